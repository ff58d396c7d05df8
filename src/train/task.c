#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* What the task of the data asks of a run: its loss, the metric that epochs are selected by, the units of its targets. */

static thaw_status find_loss(const thaw_setup *s, const thaw_loss **out)
{
    const char *name = s->config->train.loss;
    *out = strcmp(name, "auto") == 0 ? thaw_loss_default(s->task) : thaw_loss_find(name);
    THAW_CHECK((*out)->task == s->task, THAW_ERR_CONFIG,
               "train.loss: %s is for a task of %s, but that of %s is %s; use auto or %s", name,
               thaw_task_name((*out)->task), s->config->data.file, thaw_task_name(s->task),
               thaw_loss_default(s->task)->name);
    return THAW_OK;
}

thaw_status thaw_config_metric(const thaw_config *config, const thaw_dataset *dataset,
                               const thaw_metric **out)
{
    const char *name = config->train.metric;
    const thaw_task task = thaw_dataset_task(dataset);
    const int64_t K = thaw_dataset_classes(dataset);
    *out = strcmp(name, "auto") == 0 ? thaw_metric_default(task) : thaw_metric_find(name);
    if (thaw_metric_fits(*out, task, K))
        return THAW_OK;
    thaw_str known = {0};
    for (const thaw_metric *const *m = thaw_metrics(); *m != NULL; m++) {
        if (thaw_metric_fits(*m, task, K))
            thaw_str_printf(&known, "%s%s", known.length > 0 ? ", " : "", (*m)->name);
    }
    const thaw_status status =
        THAW_FAIL(THAW_ERR_CONFIG,
                  "train.metric: %s is not defined for %s, a task of %s with %lld columns; use %s",
                  name, config->data.file, thaw_task_name(task), (long long)K, thaw_str_c(&known));
    thaw_str_clear(&known);
    return status;
}

/* Shares of classes mean nothing where there are none. */
static thaw_status check_options(const thaw_setup *s)
{
    const thaw_train_config *t = &s->config->train;
    if (s->task == THAW_TASK_CLASSIFICATION)
        return THAW_OK;
    THAW_CHECK(
        t->label_smoothing == 0, THAW_ERR_CONFIG,
        "train.label_smoothing: %g, but %s is a task of %s; smoothing is for classifications",
        t->label_smoothing, s->config->data.file, thaw_task_name(s->task));
    THAW_CHECK(t->class_weights == 0, THAW_ERR_CONFIG,
               "train.class_weights: balanced, but %s is a task of %s; weights are for "
               "classifications",
               s->config->data.file, thaw_task_name(s->task));
    return THAW_OK;
}

/* Prediction gets the moments of what was trained on later, from its adaptation.h5. */
static thaw_status take_moments(thaw_setup *s, thaw_setup_purpose purpose)
{
    const int64_t K = thaw_dataset_classes(s->dataset);
    if (s->task != THAW_TASK_REGRESSION)
        return THAW_OK;
    THAW_TRY(thaw_alloc(&s->target_mean, K, sizeof *s->target_mean));
    THAW_TRY(thaw_alloc(&s->target_std, K, sizeof *s->target_std));
    if (purpose == THAW_SETUP_PREDICT)
        return THAW_OK;
    thaw_dataset_target_moments(s->dataset, s->train, s->target_mean, s->target_std);
    for (int64_t k = 0; k < K; k++)
        THAW_CHECK(s->target_std[k] > 0, THAW_ERR_INPUT,
                   "%s: target \"%s\" is the same in all samples of %s: there is nothing to learn",
                   s->config->data.file, thaw_dataset_class_names(s->dataset)[k],
                   s->config->data.train);
    return THAW_OK;
}

thaw_status thaw_setup_task(thaw_setup *s, thaw_setup_purpose purpose)
{
    s->task = thaw_dataset_task(s->dataset);
    THAW_TRY(find_loss(s, &s->loss));
    THAW_TRY(thaw_config_metric(s->config, s->dataset, &s->metric));
    THAW_TRY(check_options(s));
    return take_moments(s, purpose);
}

void thaw_setup_targets(const thaw_setup *s, const float *targets, int64_t n,
                        const int64_t *indices, float *out)
{
    const int64_t K = thaw_dataset_classes(s->dataset);
    for (int64_t i = 0; i < n; i++) {
        const float *from = targets + (indices == NULL ? i : indices[i]) * K;
        for (int64_t k = 0; k < K; k++)
            out[i * K + k] =
                s->target_mean == NULL
                    ? from[k]
                    : (float)(((double)from[k] - s->target_mean[k]) / s->target_std[k]);
    }
}

thaw_status thaw_setup_add_moments(const thaw_setup *s, thaw_state *out)
{
    const thaw_shape shape = thaw_shape1(thaw_dataset_classes(s->dataset));
    if (s->target_mean == NULL)
        return THAW_OK;
    THAW_TRY(thaw_state_add(out, "target_mean", THAW_F64, shape, s->target_mean));
    return thaw_state_add(out, "target_std", THAW_F64, shape, s->target_std);
}

void thaw_metric_to_json(const thaw_metric *metric, thaw_json *out)
{
    thaw_json_set_string(out, "name", metric->name);
    thaw_json_set_string(out, "title", metric->title);
    thaw_json_set_string(out, "score", metric->score != NULL ? metric->score : metric->title);
    thaw_json_set_bool(out, "lower_is_better", metric->lower_is_better);
    thaw_json_set_bool(out, "share", metric->share);
}
