#include "train/train_impl.h"

#include <math.h>
#include <string.h>

#include "thaw/ckpt.h"

static thaw_status allocate(thaw_predictions *p, thaw_task task, int64_t N, int64_t K,
                            bool clusters, bool ids)
{
    memset(p, 0, sizeof *p);
    p->task = task;
    p->N = N;
    p->K = K;
    if (task == THAW_TASK_CLASSIFICATION) {
        THAW_TRY(thaw_alloc(&p->labels, N, sizeof *p->labels));
        THAW_TRY(thaw_alloc(&p->predicted, N, sizeof *p->predicted));
    } else {
        THAW_TRY(thaw_alloc(&p->targets, N * K, sizeof *p->targets));
    }
    if (task == THAW_TASK_REGRESSION)
        THAW_TRY(thaw_alloc(&p->scale, K, sizeof *p->scale));
    THAW_TRY(thaw_alloc(&p->loss, N, sizeof *p->loss));
    THAW_TRY(thaw_alloc(&p->score, N, sizeof *p->score));
    THAW_TRY(thaw_alloc(&p->outputs, N * K, sizeof *p->outputs));
    if (clusters)
        THAW_TRY(thaw_alloc(&p->cluster, N, sizeof *p->cluster));
    if (ids)
        THAW_TRY(thaw_alloc(&p->ids, N, sizeof *p->ids));
    return THAW_OK;
}

void thaw_predictions_clear(thaw_predictions *p)
{
    thaw_free(&p->labels);
    thaw_free(&p->predicted);
    thaw_free(&p->targets);
    thaw_free(&p->scale);
    thaw_free(&p->loss);
    thaw_free(&p->score);
    thaw_free(&p->outputs);
    thaw_free(&p->cluster);
    thaw_free(&p->ids);
    memset(p, 0, sizeof *p);
}

static void reorder(void *values, size_t row_bytes, const int64_t *from, int64_t N, void *room)
{
    if (values == NULL)
        return;
    for (int64_t i = 0; i < N; i++)
        memcpy((char *)room + (size_t)i * row_bytes,
               (const char *)values + (size_t)from[i] * row_bytes, row_bytes);
    memcpy(values, room, (size_t)N * row_bytes);
}

thaw_status thaw_predictions_reorder(thaw_predictions *p, const int64_t *from)
{
    const size_t wide = (size_t)p->K * sizeof *p->outputs;
    double *room = NULL; /* no row is wider than K + 1 of these */
    THAW_TRY(thaw_alloc(&room, p->N * (p->K + 1), sizeof *room));
    reorder(p->labels, sizeof *p->labels, from, p->N, room);
    reorder(p->predicted, sizeof *p->predicted, from, p->N, room);
    reorder(p->targets, wide, from, p->N, room);
    reorder(p->outputs, wide, from, p->N, room);
    reorder(p->loss, sizeof *p->loss, from, p->N, room);
    reorder(p->score, sizeof *p->score, from, p->N, room);
    reorder(p->cluster, sizeof *p->cluster, from, p->N, room);
    reorder(p->ids, sizeof *p->ids, from, p->N, room);
    thaw_free(&room);
    return THAW_OK;
}

/* The class of the largest logit; the first one when several are equal. */
static int32_t largest(int64_t K, const float *logits)
{
    int32_t best = 0;
    for (int32_t k = 1; k < K; k++) {
        if (logits[k] > logits[best])
            best = k;
    }
    return best;
}

/* Without labels the loss means nothing: zeros stand in for the arithmetic and are taken back below. */
static void take_truth(const thaw_dataset *dataset, int64_t split, thaw_predictions *out)
{
    const int32_t *labels = thaw_dataset_labels(dataset, split);
    const float *targets = thaw_dataset_targets(dataset, split);
    const int32_t *cluster = thaw_dataset_clusters(dataset, split);
    const int64_t *ids = thaw_dataset_ids(dataset, split);
    out->labelled = labels != NULL || targets != NULL;
    if (labels != NULL)
        memcpy(out->labels, labels, (size_t)out->N * sizeof *labels);
    if (targets != NULL)
        memcpy(out->targets, targets, (size_t)(out->N * out->K) * sizeof *targets);
    if (cluster != NULL)
        memcpy(out->cluster, cluster, (size_t)out->N * sizeof *cluster);
    if (ids != NULL)
        memcpy(out->ids, ids, (size_t)out->N * sizeof *ids);
}

static void forget_truth(thaw_predictions *p)
{
    for (int64_t i = 0; i < p->N; i++) {
        p->loss[i] = p->score[i] = NAN;
        if (p->labels != NULL)
            p->labels[i] = -1;
        for (int64_t k = 0; p->targets != NULL && k < p->K; k++)
            p->targets[i * p->K + k] = NAN;
    }
}

/* Loss and outputs, in the network's units and then in the user's. */
static thaw_status run_loss(const thaw_setup *s, const float *logits, thaw_predictions *p)
{
    float *learned = NULL;
    const thaw_loss *loss = thaw_loss_default(p->task);
    thaw_loss_batch batch = {.B = p->N, .K = p->K, .logits = logits, .labels = p->labels};
    if (p->targets != NULL) {
        THAW_TRY(thaw_alloc(&learned, p->N * p->K, sizeof *learned));
        thaw_setup_targets(s, p->targets, p->N, NULL, learned);
        batch.targets = learned;
    }
    loss->forward(&batch, p->loss, p->outputs);
    for (int64_t at = 0; p->scale != NULL && at < p->N * p->K; at++)
        p->outputs[at] =
            (float)((double)p->outputs[at] * s->target_std[at % p->K] + s->target_mean[at % p->K]);
    thaw_free(&learned);
    return THAW_OK;
}

static thaw_judged judged(const thaw_predictions *p, const int32_t *times)
{
    return (thaw_judged){.task = p->task,
                         .N = p->N,
                         .K = p->K,
                         .labels = p->labels,
                         .predicted = p->predicted,
                         .targets = p->targets,
                         .outputs = p->outputs,
                         .scale = p->scale,
                         .times = times};
}

thaw_status thaw_predictions_scores(const thaw_predictions *p, const thaw_metric *metric,
                                    float *scores)
{
    const thaw_judged j = judged(p, NULL);
    return thaw_metric_scores(metric, &j, scores);
}

thaw_status thaw_predictions_df(const thaw_predictions *p, const thaw_metric *metric, double *out)
{
    const thaw_judged j = judged(p, NULL);
    return thaw_metric_df(metric, &j, p->cluster, out);
}

thaw_status thaw_predictions_from_logits(const thaw_setup *setup, int64_t split,
                                         const float *logits, thaw_predictions *out)
{
    const thaw_dataset *dataset = setup->dataset;
    const int64_t N = thaw_dataset_count(dataset, split);
    const int64_t K = thaw_dataset_classes(dataset);
    thaw_status status;
    THAW_TRY_TO(allocate(out, setup->task, N, K, thaw_dataset_clusters(dataset, split) != NULL,
                         thaw_dataset_ids(dataset, split) != NULL));
    take_truth(dataset, split, out);
    if (out->scale != NULL)
        memcpy(out->scale, setup->target_std, (size_t)K * sizeof *out->scale);
    THAW_TRY_TO(run_loss(setup, logits, out));
    for (int64_t i = 0; out->predicted != NULL && i < N; i++)
        out->predicted[i] = largest(K, logits + i * K);
    THAW_TRY_TO(thaw_predictions_scores(out, thaw_metric_of_sample(out->task), out->score));
    if (!out->labelled)
        forget_truth(out);
done:
    if (status != THAW_OK)
        thaw_predictions_clear(out);
    return status;
}

/* ---- Reading them ---- */

double thaw_predictions_loss(const thaw_predictions *p, const uint8_t *mask)
{
    int64_t count = 0;
    double sum = 0;
    for (int64_t i = 0; i < p->N; i++) {
        if (mask == NULL || mask[i] != 0) {
            count++;
            sum += (double)p->loss[i];
        }
    }
    return count == 0 ? NAN : sum / (double)count;
}

/* A slice as counts of samples, to be freed; NULL for all. */
static thaw_status times_of(const thaw_predictions *p, const uint8_t *mask, int32_t **out)
{
    *out = NULL;
    if (mask == NULL)
        return THAW_OK;
    THAW_TRY(thaw_alloc(out, p->N, sizeof **out));
    for (int64_t i = 0; i < p->N; i++)
        (*out)[i] = mask[i] != 0;
    return THAW_OK;
}

thaw_status thaw_predictions_metric(const thaw_predictions *p, const uint8_t *mask,
                                    const thaw_metric *metric, double *value, char *why)
{
    int32_t *times = NULL;
    *value = NAN;
    if (!p->labelled) {
        if (why != NULL)
            thaw_copy(why, THAW_WHY, "the samples have no labels");
        return THAW_OK;
    }
    thaw_status status = times_of(p, mask, &times);
    const thaw_judged j = judged(p, times);
    if (status == THAW_OK)
        status = thaw_metric_value(metric, &j, value, why);
    thaw_free(&times);
    return status;
}

thaw_status thaw_predictions_interval(const thaw_predictions *p, const uint8_t *mask,
                                      const thaw_metric *metric, const thaw_bootstrap *how,
                                      thaw_interval *out)
{
    int32_t *times = NULL;
    *out = (thaw_interval){NAN, NAN};
    if (!p->labelled)
        return THAW_OK;
    thaw_status status = times_of(p, mask, &times);
    const thaw_judged j = judged(p, times);
    if (status == THAW_OK)
        status = thaw_metric_interval(metric, &j, p->cluster, how, out);
    thaw_free(&times);
    return status;
}

/* Sorting more than this takes the best part of a minute: too long for the end of every run. */
#define MOST_SORTED 20000000

thaw_status thaw_predictions_describe(const thaw_predictions *p, thaw_json *out)
{
    thaw_json *undefined = NULL;
    thaw_json_set_double(out, "loss", thaw_predictions_loss(p, NULL));
    for (const thaw_metric *const *m = thaw_metrics(); *m != NULL; m++) {
        char why[THAW_WHY] = "";
        double value;
        if (!thaw_metric_fits(*m, p->task, p->K))
            continue;
        if ((*m)->sorts && p->N > MOST_SORTED / p->K) {
            value = NAN;
            thaw_format(why, sizeof why, "not computed for more than %d outputs; see thaw eval",
                        MOST_SORTED);
        } else {
            THAW_TRY(thaw_predictions_metric(p, NULL, *m, &value, why));
        }
        thaw_json_set_double(out, (*m)->name, value);
        if (why[0] == '\0')
            continue;
        if (undefined == NULL)
            undefined = thaw_json_set_object(out, "undefined");
        thaw_json_set_string(undefined, (*m)->name, why);
    }
    return THAW_OK;
}

/* ---- The file ---- */

static void file_of(const char *directory, const char *split, thaw_str *out)
{
    thaw_str name = {0};
    thaw_str_printf(&name, "predictions-%s.h5", split);
    thaw_path_join(out, directory, thaw_str_c(&name));
    thaw_str_clear(&name);
}

static thaw_status as_state(const thaw_predictions *p, thaw_state *out)
{
    const thaw_shape rows = thaw_shape1(p->N);
    const thaw_shape columns = thaw_shape2(p->N, p->K);
    if (p->task == THAW_TASK_CLASSIFICATION) {
        THAW_TRY(thaw_state_add(out, "label", THAW_I32, rows, p->labels));
        THAW_TRY(thaw_state_add(out, "predicted", THAW_I32, rows, p->predicted));
    } else {
        THAW_TRY(thaw_state_add(out, "target", THAW_F32, columns, p->targets));
    }
    if (p->scale != NULL)
        THAW_TRY(thaw_state_add(out, "scale", THAW_F64, thaw_shape1(p->K), p->scale));
    THAW_TRY(thaw_state_add(out, "loss", THAW_F32, rows, p->loss));
    THAW_TRY(thaw_state_add(out, "score", THAW_F32, rows, p->score));
    THAW_TRY(thaw_state_add(out, p->scale != NULL ? "value" : "probability", THAW_F32, columns,
                            p->outputs));
    if (p->cluster != NULL)
        THAW_TRY(thaw_state_add(out, "cluster", THAW_I32, rows, p->cluster));
    if (p->ids != NULL)
        THAW_TRY(thaw_state_add(out, "id", THAW_I64, rows, p->ids));
    return THAW_OK;
}

thaw_status thaw_predictions_write(thaw_comm *comm, const char *run_directory, const char *split,
                                   const thaw_predictions *p)
{
    thaw_str path = {0};
    thaw_state state = {0};
    file_of(run_directory, split, &path);
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, as_state(p, &state)));
    status = thaw_ckpt_write(comm, thaw_str_c(&path), &state, NULL, NULL, NULL);
done:
    thaw_state_clear(&state);
    thaw_str_clear(&path);
    return status;
}

/* Labels are indices: a damaged file must not reach beyond the classes. */
static thaw_status check_labels(const char *path, const thaw_predictions *p)
{
    for (int64_t i = 0; p->labels != NULL && i < p->N; i++) {
        const int32_t least = p->labelled ? 0 : -1;
        THAW_CHECK(p->labels[i] >= least && p->labels[i] < p->K && p->predicted[i] >= 0 &&
                       p->predicted[i] < p->K,
                   THAW_ERR_INPUT,
                   "%s: row %lld has label %d and prediction %d; there are %lld classes", path,
                   (long long)i, (int)p->labels[i], (int)p->predicted[i], (long long)p->K);
    }
    return THAW_OK;
}

/* Of which task they are shows in what is there. */
static thaw_status from_state(const char *path, const thaw_state *state, thaw_predictions *out)
{
    const thaw_tensor *values = thaw_state_find(state, "value");
    const thaw_tensor *outputs = values != NULL ? values : thaw_state_find(state, "probability");
    const thaw_task task = values != NULL                             ? THAW_TASK_REGRESSION
                           : thaw_state_find(state, "target") != NULL ? THAW_TASK_MULTI_LABEL
                                                                      : THAW_TASK_CLASSIFICATION;
    THAW_CHECK(outputs != NULL && outputs->shape.ndim == 2, THAW_ERR_INPUT,
               "%s: no (N, K) dataset 'probability' or 'value'; this is no predictions file", path);
    THAW_TRY(allocate(out, task, outputs->shape.dim[0], outputs->shape.dim[1],
                      thaw_state_find(state, "cluster") != NULL,
                      thaw_state_find(state, "id") != NULL));
    thaw_state into = {0};
    thaw_status status = as_state(out, &into);
    if (status == THAW_OK)
        status = thaw_state_copy(&into, state);
    thaw_state_clear(&into);
    out->labelled = status == THAW_OK && out->N > 0 && !isnan(out->loss[0]);
    if (status == THAW_OK)
        return check_labels(path, out);
    return thaw_fail_context(status, "%s", path);
}

thaw_status thaw_predictions_read(thaw_comm *comm, const char *run_directory, const char *split,
                                  thaw_predictions *out)
{
    thaw_str path = {0};
    thaw_state state = {0};
    memset(out, 0, sizeof *out);
    file_of(run_directory, split, &path);
    thaw_status status;
    THAW_TRY_TO(thaw_ckpt_read(comm, thaw_str_c(&path), &state, NULL));
    status = thaw_agree(comm, from_state(thaw_str_c(&path), &state, out));
    if (status != THAW_OK)
        thaw_predictions_clear(out);
done:
    thaw_state_clear(&state);
    thaw_str_clear(&path);
    return status;
}
