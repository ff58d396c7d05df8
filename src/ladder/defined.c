#include "ladder/ladder_impl.h"

#include <math.h>

/* Whether the metric has a value on a split, by its labels alone: better known now than after the last trial. */

/* Answers that are right, and all different, so that what is undefined of them is undefined of any. */
static thaw_status answer(const thaw_dataset *dataset, int64_t split, thaw_judged *j, float **out)
{
    THAW_TRY(thaw_alloc(out, j->N * j->K, sizeof **out));
    for (int64_t at = 0; at < j->N * j->K; at++)
        (*out)[at] = (float)at;
    j->outputs = *out;
    if (j->task == THAW_TASK_CLASSIFICATION)
        j->labels = j->predicted = thaw_dataset_labels(dataset, split);
    else
        j->targets = thaw_dataset_targets(dataset, split);
    return THAW_OK;
}

static thaw_status check_split(const ladder *l, const char *name)
{
    int64_t split = -1;
    double value;
    char why[THAW_WHY] = "";
    float *outputs = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_dataset_split_need(l->dataset, name, &split));
    thaw_judged j = {.task = thaw_dataset_task(l->dataset),
                     .N = thaw_dataset_count(l->dataset, split),
                     .K = thaw_dataset_classes(l->dataset)};
    THAW_TRY_TO(answer(l->dataset, split, &j, &outputs));
    THAW_TRY_TO(thaw_metric_value(l->metric, &j, &value, why));
    THAW_CHECK_TO(!isnan(value), THAW_ERR_INPUT,
                  "%s: %s is undefined on split '%s' whatever is predicted: %s; give the split "
                  "other samples, or choose another train.metric",
                  l->config->data.file, l->metric->title, name, why);
done:
    thaw_free(&outputs);
    return status;
}

thaw_status ladder_check_defined(const ladder *l)
{
    THAW_TRY(check_split(l, l->config->data.gate));
    return l->config->data.test[0] == '\0' ? THAW_OK : check_split(l, l->config->data.test);
}
