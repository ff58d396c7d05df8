#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* What 8 bits change: the frozen features of val, and what the trained part makes of them, against floats. */

/* Sums over a chunk of samples: |a - b|^2 and |b|^2. */
typedef struct distance {
    double apart, whole;
} distance;

/* Of this rank's chunks; *out has one entry a chunk. */
static thaw_status measure_chunks(const thaw_feed *eight, const thaw_feed *floats, int64_t chunk,
                                  int64_t first, int64_t last, distance *out)
{
    const int64_t width = eight->width;
    float *a = NULL;
    float *b = NULL;
    int64_t *indices = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&a, chunk * width, sizeof *a));
    THAW_TRY_TO(thaw_alloc(&b, chunk * width, sizeof *b));
    THAW_TRY_TO(thaw_alloc(&indices, chunk, sizeof *indices));
    for (int64_t c = first; c < last; c++) {
        const int64_t begin = c * chunk;
        const int64_t n = eight->N - begin < chunk ? eight->N - begin : chunk;
        for (int64_t i = 0; i < n; i++)
            indices[i] = begin + i;
        THAW_TRY_TO(thaw_feed_read(eight, 0, n, indices, a));
        THAW_TRY_TO(thaw_feed_read(floats, 0, n, indices, b));
        for (int64_t i = 0; i < n * width; i++) {
            const double d = (double)a[i] - (double)b[i];
            out[c - first].apart += d * d;
            out[c - first].whole += (double)b[i] * (double)b[i];
        }
    }
    status = THAW_OK;
done:
    thaw_free(&indices);
    thaw_free(&b);
    thaw_free(&a);
    return status;
}

/* ||f8 - f32|| / ||f32|| over all features of all val samples; chunks are added in order, whoever computed them. */
static thaw_status feature_error(thaw_trainer *t, thaw_comm *comm, const thaw_feed *floats,
                                 double *out)
{
    const int64_t chunk = thaw_prefix_batch(t->setup);
    const int64_t chunks = (floats->N + chunk - 1) / chunk;
    const int64_t first = chunks * thaw_comm_rank(comm) / thaw_comm_size(comm);
    const int64_t last = chunks * (thaw_comm_rank(comm) + 1) / thaw_comm_size(comm);
    distance *mine = NULL;
    void *all = NULL;
    int64_t bytes = 0;
    distance sum = {0};
    thaw_status status = thaw_alloc(&mine, last - first, sizeof *mine);
    if (status == THAW_OK)
        status = measure_chunks(&t->val, floats, chunk, first, last, mine);
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(
        thaw_allgatherv(comm, mine, (last - first) * (int64_t)sizeof *mine, &all, &bytes, NULL));
    for (int64_t c = 0; c < chunks; c++) {
        sum.apart += ((distance *)all)[c].apart;
        sum.whole += ((distance *)all)[c].whole;
    }
    *out = sum.whole > 0 ? sqrt(sum.apart / sum.whole) : 0;
done:
    thaw_free(&all);
    thaw_free(&mine);
    return status;
}

static double mean(const float *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i];
    return sum / (double)count;
}

/* By the score that a sample has alone: right or wrong, of a classification. */
static thaw_status compare(const thaw_trainer *t, const thaw_predictions *floats,
                           const thaw_predictions *eight, thaw_json *out)
{
    const thaw_bootstrap how = thaw_bootstrap_default((uint64_t)t->config->seed);
    const thaw_scores pair = {.a = floats->score,
                              .b = eight->score,
                              .seeds = 1,
                              .N = eight->N,
                              .cluster = eight->cluster};
    thaw_paired paired;
    thaw_str text = {0};
    THAW_TRY(thaw_paired_compare(&pair, &how, &paired));
    thaw_json_set_string(out, "score", thaw_metric_of_sample(eight->task)->title);
    thaw_json_set_double(out, "val_score_f32", mean(floats->score, floats->N));
    thaw_json_set_double(out, "val_score_int8", mean(eight->score, eight->N));
    thaw_json_set_double(out, "delta", paired.delta);
    thaw_json_set_double(out, "low", paired.low);
    thaw_json_set_double(out, "high", paired.high);
    thaw_paired_format(&paired, &text);
    thaw_json_set_string(out, "text", thaw_str_c(&text));
    thaw_str_clear(&text);
    return THAW_OK;
}

static thaw_status predict(thaw_trainer *t, thaw_comm *comm, const thaw_feed *feed,
                           thaw_predictions *out)
{
    const thaw_dataset *dataset = t->setup->dataset;
    const thaw_sweep_plans plans = {.plans = &t->eval_plan,
                                    .count = 1,
                                    .value = thaw_graph_logits(t->setup->model->graph),
                                    .width = thaw_dataset_classes(dataset)};
    float *logits = NULL;
    THAW_TRY(thaw_sweep(comm, feed, &plans, t->config->train.eval_batch, &logits));
    const thaw_status status =
        thaw_agree(comm, thaw_predictions_from_logits(t->setup, feed->split, logits, out));
    thaw_free(&logits);
    return status;
}

thaw_status thaw_trainer_judge_precision(thaw_trainer *t, thaw_comm *comm, thaw_json *out)
{
    thaw_prefix prefix = {0};
    thaw_predictions predictions[2] = {{0}, {0}};
    thaw_feed floats = t->val;
    double error = 0;
    thaw_status status;
    thaw_prefix_init(&prefix, t->setup);
    prefix.floats = true;
    floats.prefix = &prefix;
    floats.features = NULL;
    THAW_TRY_TO(thaw_prefix_open(comm, &prefix));
    THAW_TRY_TO(feature_error(t, comm, &floats, &error));
    THAW_TRY_TO(predict(t, comm, &floats, &predictions[0]));
    THAW_TRY_TO(predict(t, comm, &t->val, &predictions[1]));
    thaw_json_set_int(out, "calibration_samples", thaw_ranges_samples(t->setup));
    thaw_json_set_double(out, "feature_error", error);
    status = thaw_agree(comm, compare(t, &predictions[0], &predictions[1], out));
    if (status == THAW_OK && !t->options->quiet)
        THAW_LOG(THAW_INFO,
                 "frozen part in 8 bits: its features on val are off by %.2f%% (2-norm); %s on val "
                 "against features in floats: %s",
                 100 * error, thaw_json_string_or(out, "score", ""),
                 thaw_json_string_or(out, "text", ""));
done:
    thaw_predictions_clear(&predictions[0]);
    thaw_predictions_clear(&predictions[1]);
    thaw_prefix_close(&prefix);
    return status;
}
