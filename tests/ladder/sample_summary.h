/* A ladder's summary as the real one writes it, with numbers that could be true: peft is chosen, partial:1 stays
 * inconclusive, full is worse, one slice fails and one suffers from the backbone. Names hold what could break a page. */
#ifndef THAW_TESTS_SAMPLE_SUMMARY_H
#define THAW_TESTS_SAMPLE_SUMMARY_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ladder/ladder_impl.h"

#define SAMPLE_RUNGS   5
#define SAMPLE_CLASSES 5
#define SAMPLE_SEEDS   3
#define SAMPLE_SLICES  7
#define SAMPLE_EPOCHS  20

static const char *const sample_rungs[SAMPLE_RUNGS] = {"scratch", "frozen", "peft", "partial:1",
                                                       "full"};
static const char *const sample_classes[SAMPLE_CLASSES] = {
    "Sandal", "Shirt", "Sneaker & <trainer>", "Bag", "Ankle boot, worn or as good as new"};
static const char *const sample_slices[SAMPLE_SLICES] = {
    "class:Sandal",     "class:Shirt", "class:Sneaker & <trainer>", "class:Bag",
    "class:Ankle boot", "source-like", "`odd` *name* |x|"};
static const int64_t sample_slice_counts[SAMPLE_SLICES] = {200, 200, 200, 200, 200, 231, 12};

static void sample_interval(thaw_json *out, double accuracy, double half)
{
    thaw_json_set_double(out, "accuracy", accuracy);
    thaw_json_set_double(out, "low", accuracy - half);
    thaw_json_set_double(out, "high", accuracy + half);
}

static void sample_paired(thaw_json *out, double delta, double low, double high, int64_t samples)
{
    char text[100];
    snprintf(text, sizeof text, "%+.1f points [95%% %+.1f, %+.1f]", 100 * delta, 100 * low,
             100 * high);
    thaw_json_set_int(out, "samples", samples);
    thaw_json_set_int(out, "seeds", SAMPLE_SEEDS);
    thaw_json_set_double(out, "level", 0.95);
    thaw_json_set_double(out, "delta", delta);
    thaw_json_set_double(out, "low", low);
    thaw_json_set_double(out, "high", high);
    thaw_json_set_double(out, "discordance", 0.061);
    thaw_json_set_string(out, "text", text);
}

static void sample_design(thaw_json *s)
{
    static const double discordance[3] = {0.05, 0.1, 0.2};
    static const double difference[3] = {0.0251, 0.0339, 0.0472};
    thaw_json *design = thaw_json_set_object(s, "design");
    thaw_json_set_int(design, "gate_samples", 1000);
    thaw_json_set_double(design, "alpha", 0.05);
    thaw_json_set_double(design, "power", 0.8);
    thaw_json_set_double(design, "min_effect", 0.01);
    thaw_json_set_double(design, "margin", 0.01);
    thaw_json_set_double(design, "slice_tolerance", 0.02);
    thaw_json_set_double(design, "confidence", 0.95);
    thaw_json_set_int(design, "comparisons", 3);
    thaw_json *list = thaw_json_set_array(design, "detectable");
    for (int i = 0; i < 3; i++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_double(row, "discordance", discordance[i]);
        thaw_json_set_double(row, "difference", difference[i]);
    }
}

static void sample_task(thaw_json *s)
{
    static const char *const splits[4] = {"train", "val", "gate", "test"};
    static const int64_t counts[4] = {250, 500, 1000, 5000};
    thaw_json_set_string(s, "kind", "ladder");
    thaw_json_set_string(s, "name", "fashion-transfer");
    thaw_json_set_string(s, "output", "runs/quickstart");
    thaw_json_set_string(s, "version", "0.1.0");
    thaw_json_set_string(s, "mode", "exhaustive");
    thaw_json_set_int(s, "seed", 1);
    thaw_json_set_int(s, "seeds", SAMPLE_SEEDS);
    thaw_json_set_int(s, "shards", 4);
    thaw_json_set_int(s, "epochs", SAMPLE_EPOCHS);
    thaw_json_set_int(s, "batch", 32);
    thaw_json_set_bool(s, "head_from_frozen", true);
    thaw_json_set_bool(s, "augmented", false);
    thaw_json_set_double(s, "slice_floor", 0.7);
    thaw_json_set_string(s, "dataset", "data/target.h5");
    thaw_json_set_digest(s, "dataset_digest", thaw_hash("data", 4));
    thaw_json_set_string(s, "backbone", "data/source-backbone.h5");
    thaw_json_set_strings(s, "classes", sample_classes, SAMPLE_CLASSES);
    thaw_json *out = thaw_json_set_object(s, "splits");
    for (int i = 0; i < 4; i++)
        thaw_json_set_int(out, splits[i], counts[i]);
    sample_design(s);
}

static void sample_search(thaw_json *rung, int r)
{
    static const double rates[SAMPLE_RUNGS][3] = {{0.03, 0.1, 0.3},
                                                  {0.1, 0.3, 1},
                                                  {0.03, 0.1, 0.3},
                                                  {0.003, 0.01, 0.03},
                                                  {0.003, 0.01, 0.03}};
    static const double accuracy[SAMPLE_RUNGS][3] = {{0.702, 0.744, 0.718},
                                                     {0.806, 0.822, 0.818},
                                                     {0.846, 0.862, NAN},
                                                     {0.842, 0.858, 0.866},
                                                     {0.834, 0.848, 0.81}};
    const int chosen = r == 3 ? 2 : 1;
    thaw_json *list = thaw_json_set_array(rung, "candidates");
    for (int k = 0; k < 3; k++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_bool(row, "diverged", isnan(accuracy[r][k]));
        thaw_json_set_double(row, "rate", rates[r][k]);
        thaw_json_set_double(row, "val.accuracy", accuracy[r][k]);
    }
    thaw_json_set_int(rung, "chosen_candidate", chosen);
    thaw_json_set_bool(rung, "at_edge", chosen == 2);
    thaw_json *own = thaw_json_set_object(rung, "rates");
    thaw_json_set_double(own, "head", r == 0 ? 0.1 : 0.3);
    thaw_json_set_double(own, "backbone", r == 0 ? 0.1 : r == 3 ? 0.03 : 0.01);
    thaw_json_set_double(own, "adapter", 0.1);
    thaw_json_set_double(own, "layer_decay", 1);
    thaw_json_set_string(own, "reason",
                         "searched over 3 candidates on val with the first seed; head: the frozen "
                         "rung's choice");
}

static void sample_seeds(thaw_json *rung, int r, double gate)
{
    static const double wobble[SAMPLE_SEEDS] = {-0.006, 0.007, -0.001};
    thaw_json *list = thaw_json_set_array(rung, "seeds");
    for (int k = 0; k < SAMPLE_SEEDS; k++) {
        char directory[120];
        char name[40];
        snprintf(name, sizeof name, "%s", r == 3 ? "partial_1" : sample_rungs[r]);
        snprintf(directory, sizeof directory, "runs/quickstart/trials/%s-lr1-seed%d", name, k + 1);
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_int(row, "seed", k + 1);
        thaw_json_set_string(row, "directory", directory);
        thaw_json_set_double(row, "train_accuracy", gate + 0.08);
        thaw_json_set_double(row, "val_accuracy", gate + wobble[k] / 2);
        thaw_json_set_double(row, "gate_accuracy", gate + wobble[k] * (1 + r % 2));
        thaw_json_set_int(row, "selected_epoch", 17 - k);
        thaw_json_set_string(row, "state_digest", "4f0c2b6d9a7e4c1f8b3a5d6e7f809122");
    }
}

static const double sample_accuracy[SAMPLE_RUNGS][SAMPLE_SLICES] = {
    {0.78, 0.63, 0.71, 0.83, 0.75, 0.62, 0.75},
    {0.86, 0.52, 0.88, 0.94, 0.91, 0.56, NAN},
    {0.91, 0.58, 0.91, 0.96, 0.93, 0.61, 0.8333},
    {0.90, 0.62, 0.91, 0.96, 0.93, 0.64, 0.8333},
    {0.89, 0.59, 0.89, 0.95, 0.90, 0.60, 0.75}};

static void sample_rung_slices(thaw_json *rung, int r)
{
    thaw_json *list = thaw_json_set_array(rung, "slices");
    for (int i = 0; i < SAMPLE_SLICES; i++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "name", sample_slices[i]);
        thaw_json_set_string(row, "description", "");
        thaw_json_set_int(row, "samples", sample_slice_counts[i]);
        sample_interval(row, sample_accuracy[r][i], 0.06);
        thaw_json_set_bool(row, "failing", sample_accuracy[r][i] + 0.06 < 0.7);
    }
}

static void sample_cost(thaw_json *rung, int r)
{
    static const double seconds[SAMPLE_RUNGS] = {9.8, 0.9, 8.1, 4.4, 10.2};
    static const int64_t bytes[SAMPLE_RUNGS] = {551000, 2600, 71200, 301000, 551000};
    thaw_json *cost = thaw_json_set_object(rung, "cost");
    thaw_json_set_int(cost, "trials", 5);
    thaw_json_set_double(cost, "core_seconds", 5 * seconds[r]);
    thaw_json_set_double(cost, "core_seconds_per_run", seconds[r]);
    thaw_json_set_double(cost, "samples_per_second", 6000 / seconds[r]);
    thaw_json_set_int(cost, "allreduce_bytes_per_step", bytes[r]);
    thaw_json_set_int(cost, "planned_bytes_per_rank", 61000000 + r * 9000000);
    thaw_json_set_bool(cost, "cached_features", r == 1);
}

static void sample_drift(thaw_json *rung, int r)
{
    static const char *const blocks[] = {"stem",     "layer1.0", "layer1.1", "layer1.2",
                                         "layer2.0", "layer2.1", "layer2.2", "layer3.0",
                                         "layer3.1", "layer3.2"};
    static const double cka[SAMPLE_RUNGS] = {NAN, NAN, 0.913, 0.886, 0.772};
    thaw_json *drift = thaw_json_set_object(rung, "drift");
    thaw_json_set_double(drift, "cka", cka[r]);
    thaw_json_set_double(drift, "cosine", cka[r] + 0.03);
    thaw_json *out = thaw_json_set_object(drift, "blocks");
    for (int i = 0; i < 10; i++) {
        if (r == 0 || r == 4)
            thaw_json_set_double(out, blocks[i], r == 0 ? 0.9 : 0.02 + 0.011 * i);
        else if (r == 3 && i == 9)
            thaw_json_set_double(out, blocks[i], 0.168);
    }
}

/* Rows are classes; what is wrong goes mostly to the next class. */
static void sample_confusion(thaw_json *rung, int r)
{
    int64_t counts[SAMPLE_CLASSES * SAMPLE_CLASSES] = {0};
    for (int k = 0; k < SAMPLE_CLASSES; k++) {
        const int64_t right = (int64_t)lrint(600 * sample_accuracy[r][k]);
        const int64_t wrong = 600 - right;
        counts[k * SAMPLE_CLASSES + k] = right;
        counts[k * SAMPLE_CLASSES + (k + 2) % SAMPLE_CLASSES] = wrong * 3 / 5;
        counts[k * SAMPLE_CLASSES + (k + 1) % SAMPLE_CLASSES] = wrong - wrong * 3 / 5;
    }
    thaw_json_set_ints(rung, "confusion", counts, SAMPLE_CLASSES * SAMPLE_CLASSES);
}

static void sample_calibration(thaw_json *rung, int r)
{
    const double ece[2] = {0.05 + 0.01 * r, 0.03};
    thaw_json *out = thaw_json_set_object(rung, "calibration");
    for (int k = 0; k < 2; k++) {
        thaw_json *c = k == 0 ? out : thaw_json_set_object(out, "tempered");
        const double around_ece[2] = {ece[k] - 0.02, ece[k] + 0.01};
        const double around_brier[2] = {0.2, 0.24};
        thaw_json_set_int(c, "bins", 15);
        thaw_json_set_double(c, "ece", ece[k]);
        thaw_json_set_doubles(c, "ece_interval", around_ece, 2);
        thaw_json_set_double(c, "brier", 0.22);
        thaw_json_set_doubles(c, "brier_interval", around_brier, 2);
    }
    thaw_json_set_double(out, "temperature", 1.43);
}

static void sample_rung(thaw_json *list, int r)
{
    static const double gate[SAMPLE_RUNGS] = {0.741, 0.824, 0.859, 0.864, 0.844};
    static const int64_t trained[SAMPLE_RUNGS] = {68645, 325, 8901, 37445, 68645};
    static const char *const trains[SAMPLE_RUNGS] = {"head and the whole backbone", "head",
                                                     "head, lora in 19 modules", "head, layer3.2",
                                                     "head and the whole backbone"};
    thaw_json *rung = thaw_json_add_object(list);
    thaw_json_set_string(rung, "name", sample_rungs[r]);
    thaw_json_set_string(rung, "trains", trains[r]);
    thaw_json *parameters = thaw_json_set_object(rung, "parameters");
    thaw_json_set_int(parameters, "total", r == 2 ? 68645 + 8576 : 68645);
    thaw_json_set_int(parameters, "trainable", trained[r]);
    sample_interval(thaw_json_set_object(rung, "gate"), gate[r], 0.022);
    thaw_json_set_double(thaw_json_set_object(rung, "val"), "accuracy", gate[r] + 0.002);
    thaw_json_set_double(rung, "train_val_gap", 0.05 + 0.02 * r);
    sample_search(rung, r);
    sample_seeds(rung, r, gate[r]);
    sample_rung_slices(rung, r);
    sample_calibration(rung, r);
    sample_cost(rung, r);
    sample_drift(rung, r);
    sample_confusion(rung, r);
}

static void sample_pair_slices(thaw_json *row, int a, int b)
{
    thaw_json *list = thaw_json_set_array(row, "slices");
    for (int i = 0; i < SAMPLE_SLICES; i++) {
        const double delta = isnan(sample_accuracy[a][i] + sample_accuracy[b][i])
                                 ? 0
                                 : sample_accuracy[b][i] - sample_accuracy[a][i];
        const double half = sample_slice_counts[i] < 30 ? 0.3 : 0.045;
        thaw_json *slice = thaw_json_add_object(list);
        thaw_json_set_string(slice, "name", sample_slices[i]);
        sample_paired(slice, delta, delta - half, delta + half, sample_slice_counts[i]);
        thaw_json_set_string(slice, "verdict",
                             delta - half > 0   ? "clear gain"
                             : delta + half < 0 ? "worse"
                                                : "inconclusive");
    }
}

static void sample_step(thaw_json *list, int a, int b, double delta, double half, double p,
                        const char *verdict, const char *const *reasons, int count)
{
    thaw_json *row = thaw_json_add_object(list);
    thaw_json_set_string(row, "purpose", "depth");
    thaw_json_set_string(row, "a", sample_rungs[a]);
    thaw_json_set_string(row, "b", sample_rungs[b]);
    sample_paired(row, delta, delta - half, delta + half, 1000);
    thaw_json_set_double(row, "p_adjusted", p);
    thaw_json_set_string(row, "verdict", verdict);
    thaw_json_set_strings(row, "reasons", reasons, count);
    char words[200];
    snprintf(words, sizeof words,
             "The whole interval lies below zero: %s (1000 samples, 3 seeds). 1 of 7 slices have "
             "fewer than 30 samples.",
             thaw_json_string_or(row, "text", ""));
    thaw_json_set_string(row, "explanation", words);
    thaw_json_set_string(row, "worst_slice", sample_slices[1]);
    thaw_json_set_int(row, "samples_needed", b == 3 ? 3120 : 700);
    thaw_json_set_double(row, "samples_needed_effect", fmax(delta, 0.02));
    sample_pair_slices(row, a, b);
}

static void sample_steps(thaw_json *s)
{
    static const char *const open[] = {"interval_reaches_zero", "gain_below_least_effect",
                                       "p_above_alpha"};
    static const char *const worse[] = {"gain_below_least_effect", "p_above_alpha",
                                        "interval_below_zero"};
    thaw_json *list = thaw_json_set_array(s, "comparisons");
    sample_step(list, 1, 2, 0.035, 0.016, 0.0003, "clear gain", NULL, 0);
    sample_step(list, 2, 3, 0.005, 0.012, 0.41, "inconclusive", open, 3);
    sample_step(list, 2, 4, -0.015, 0.0134, 1, "worse", worse, 3);
}

static void sample_transfer(thaw_json *s)
{
    static const double delta[SAMPLE_RUNGS] = {0, 0.083, 0.118, 0.123, 0.103};
    thaw_json *list = thaw_json_set_array(s, "transfer_comparisons");
    for (int r = 1; r < SAMPLE_RUNGS; r++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "purpose", "transfer");
        thaw_json_set_string(row, "a", "scratch");
        thaw_json_set_string(row, "b", sample_rungs[r]);
        sample_paired(row, delta[r], delta[r] - 0.03, delta[r] + 0.03, 1000);
        thaw_json_set_string(row, "transfer_verdict", "helps");
        thaw_json_set_string(row, "transfer_explanation", "Against scratch: helps.");
        sample_pair_slices(row, 0, r);
    }
    thaw_json *own = thaw_json_set_object(s, "transfer");
    thaw_json_set_string(own, "against", "scratch");
    thaw_json_set_string(own, "rung", "peft");
    thaw_json_set_string(own, "verdict", "helps");
    thaw_json_set_string(own, "explanation", "Against scratch: helps.");
    thaw_json_set_double(own, "delta", delta[2]);
    thaw_json_set_double(own, "low", delta[2] - 0.03);
    thaw_json_set_double(own, "high", delta[2] + 0.03);
}

/* The same figures as those of a regression. */
static inline void sample_regression(thaw_json *s)
{
    thaw_json *metric = thaw_json_set_object(s, "metric");
    thaw_json_set_string(s, "task", "regression");
    thaw_json_set_string(metric, "name", "rmse");
    thaw_json_set_string(metric, "title", "RMSE");
    thaw_json_set_string(metric, "score", "explained variance");
    thaw_json_set_bool(metric, "lower_is_better", true);
    thaw_json_set_bool(metric, "share", false);
    thaw_json *slices = thaw_json_set_object(s, "slice_score");
    thaw_json_set_string(slices, "name", "explained_variance");
    thaw_json_set_string(slices, "title", "explained variance");
}

static void sample_test(thaw_json *s)
{
    static const int rungs[3] = {2, 0, 1};
    static const double accuracy[3] = {0.852, 0.738, 0.826};
    thaw_json *test = thaw_json_set_object(s, "test");
    thaw_json_set_string(test, "split", "test");
    thaw_json_set_int(test, "samples", 5000);
    thaw_json *list = thaw_json_set_array(test, "rungs");
    thaw_json *pairs = thaw_json_set_array(test, "comparisons");
    for (int i = 0; i < 3; i++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "name", sample_rungs[rungs[i]]);
        sample_interval(row, accuracy[i], 0.011);
        if (i == 0)
            continue;
        thaw_json *pair = thaw_json_add_object(pairs);
        const double delta = accuracy[0] - accuracy[i];
        thaw_json_set_string(pair, "a", sample_rungs[rungs[i]]);
        thaw_json_set_string(pair, "b", "peft");
        sample_paired(pair, delta, delta - 0.009, delta + 0.009, 5000);
        thaw_json_set_string(pair, "verdict", "clear gain");
    }
}

static thaw_json *sample_summary(void)
{
    thaw_json *s = thaw_json_new_object();
    sample_task(s);
    thaw_json *rungs = thaw_json_set_array(s, "rungs");
    for (int r = 0; r < SAMPLE_RUNGS; r++)
        sample_rung(rungs, r);
    sample_steps(s);
    sample_transfer(s);
    thaw_json_set_array(s, "not_run");
    thaw_json_set_string(s, "chosen", "peft");
    thaw_json_set_string(s, "chosen_directory", "runs/quickstart/trials/peft-lr1-seed1");
    thaw_json_set_string(s, "within_margin_rung", "peft");
    thaw_json_set_string(s, "best_mean_rung", "partial:1");
    sample_test(s);
    thaw_json_set_bool(s, "complete", true);
    return s;
}

#endif
