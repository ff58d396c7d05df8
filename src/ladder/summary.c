#include "ladder/ladder_impl.h"

#include <math.h>
#include <string.h>

/* summary.json of a ladder: every figure that the note and the report may speak of, and nothing else. */

/* ---- The task and what the gate can show, before training --------------------------------------------------------- */

static void describe_split(const ladder *l, const char *name, thaw_json *out)
{
    const int64_t split = name[0] == '\0' ? -1 : thaw_dataset_split_find(l->dataset, name);
    if (split >= 0)
        thaw_json_set_int(out, name, thaw_dataset_count(l->dataset, split));
}

/* Units of gate that intervals are made over: clusters, or samples on their own. */
static thaw_status count_units(const ladder *l, int64_t *out)
{
    thaw_dataset_info info = {0};
    *out = l->N;
    if (thaw_dataset_clusters(l->dataset, l->gate) == NULL)
        return THAW_OK;
    const thaw_status status = thaw_dataset_inspect(l->dataset, &info);
    if (status == THAW_OK)
        *out = info.splits[l->gate].cluster_count;
    thaw_dataset_info_clear(&info);
    return status;
}

/* The differences that this gate can show, for the discordance that a comparison may turn out to have. */
static void describe_detectable(const ladder *l, thaw_json *list)
{
    static const double discordances[] = {0.05, 0.1, 0.2};
    const thaw_ladder_config *c = &l->config->ladder;
    for (size_t i = 0; i < sizeof discordances / sizeof *discordances; i++) {
        thaw_design design = thaw_design_default(l->N, discordances[i]);
        design.seeds = l->S;
        design.alpha = c->alpha;
        design.power = c->power;
        design.comparisons = l->planned > 0 ? l->planned : 1;
        design.min_effect = c->min_effect;
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_double(row, "discordance", discordances[i]);
        thaw_json_set_double(row, "difference", thaw_design_detectable(&design));
        if (!l->options->quiet)
            THAW_LOG(THAW_INFO,
                     "  smallest detectable gain on %lld gate samples, %lld seeds: %.1f points if "
                     "%2.0f%% of predictions change",
                     (long long)l->N, (long long)l->S, 100 * thaw_design_detectable(&design),
                     100 * discordances[i]);
    }
}

/* No verdict is given on fewer units than the rule asks for, whatever they show: better known now than after the last trial. */
static thaw_status describe_units(const ladder *l, bool *enough, thaw_json *out)
{
    const thaw_rule rule = ladder_rule(l->config);
    const bool clusters = thaw_dataset_clusters(l->dataset, l->gate) != NULL;
    int64_t units;
    THAW_TRY(count_units(l, &units));
    *enough = units >= rule.min_count;
    thaw_json_set_int(out, "min_count", rule.min_count);
    if (clusters)
        thaw_json_set_int(out, "gate_clusters", units);
    if (!*enough)
        THAW_LOG(THAW_WARN,
                 "%s: split '%s' has %lld %s; fewer than %lld support no claim, so every "
                 "comparison will be inconclusive; give it more",
                 l->config->data.file, l->config->data.gate, (long long)units,
                 clusters ? "clusters" : "samples", (long long)rule.min_count);
    return THAW_OK;
}

static thaw_status describe_design(const ladder *l, thaw_json *out)
{
    const thaw_ladder_config *c = &l->config->ladder;
    bool enough;
    thaw_json_set_int(out, "gate_samples", l->N);
    thaw_json_set_double(out, "alpha", c->alpha);
    thaw_json_set_double(out, "power", c->power);
    thaw_json_set_double(out, "min_effect", c->min_effect);
    thaw_json_set_double(out, "margin", c->margin);
    thaw_json_set_double(out, "slice_tolerance", c->slice_tolerance);
    thaw_json_set_double(out, "confidence", c->confidence);
    thaw_json_set_int(out, "comparisons", l->planned);
    THAW_TRY(describe_units(l, &enough, out));
    thaw_json *list = thaw_json_set_array(out, "detectable");
    if (!enough)
        return THAW_OK;
    if (!l->metric->binary) { /* how scores vary is seen in the first comparison */
        if (!l->options->quiet)
            THAW_LOG(THAW_INFO,
                     "  the smallest detectable gain in %s depends on how much scores vary, which "
                     "the first comparison shows",
                     ladder_score_title(l));
        return THAW_OK;
    }
    describe_detectable(l, list);
    return THAW_OK;
}

static void describe_peft(const thaw_peft *peft, thaw_json *out)
{
    thaw_json_set_string(out, "method", thaw_peft_names()[peft->method]);
    thaw_json_set_int(out, "rank", peft->rank);
    thaw_json_set_double(out, "alpha", peft->alpha);
}

thaw_status ladder_describe_task(ladder *l)
{
    const thaw_data_config *d = &l->config->data;
    thaw_json *s = l->summary;
    thaw_json_set_string(s, "kind", "ladder");
    thaw_json_set_string(s, "name", l->config->name);
    thaw_json_set_string(s, "output", l->config->output);
    thaw_json_set_string(s, "version", thaw_version());
    thaw_json_set_string(s, "mode", l->config->ladder.mode == 0 ? "sequential" : "exhaustive");
    thaw_json_set_int(s, "seed", l->config->seed);
    thaw_json_set_int(s, "seeds", l->S);
    thaw_json_set_int(s, "shards", l->config->train.shards);
    thaw_json_set_bool(s, "any_ranks",
                       thaw_reduce_is_exact((thaw_reduce_mode)l->config->train.reduce));
    thaw_json_set_int(s, "epochs", l->config->train.epochs);
    thaw_json_set_int(s, "batch", l->config->train.batch);
    describe_peft(&l->config->peft, thaw_json_set_object(s, "peft"));
    thaw_json_set_bool(s, "head_from_frozen", l->config->ladder.head_from_frozen);
    thaw_json_set_bool(s, "augmented", !thaw_augment_none(&d->augment));
    thaw_json_set_double(s, "slice_floor", l->config->ladder.slice_floor);
    thaw_json_set_string(s, "dataset", d->file);
    thaw_json_set_digest(s, "dataset_digest", thaw_dataset_digest(l->dataset));
    thaw_json_set_string(s, "backbone", l->config->model.backbone);
    thaw_json_set_string(s, "task", thaw_task_name(thaw_dataset_task(l->dataset)));
    thaw_metric_to_json(l->metric, thaw_json_set_object(s, "metric"));
    ladder_sample_to_json(thaw_dataset_task(l->dataset), thaw_json_set_object(s, "slice_score"));
    thaw_json_set_strings(s, "classes", thaw_dataset_class_names(l->dataset), l->K);
    thaw_json *splits = thaw_json_set_object(s, "splits");
    describe_split(l, d->train, splits);
    describe_split(l, d->val, splits);
    describe_split(l, d->gate, splits);
    describe_split(l, d->test, splits);
    THAW_TRY(describe_design(l, thaw_json_set_object(s, "design")));
    l->rung_rows = thaw_json_set_array(s, "rungs");
    l->comparisons = thaw_json_set_array(s, "comparisons");
    return THAW_OK;
}

/* ---- A rung that is done ------------------------------------------------------------------------------------------ */

static double mean_of(const ladder *l, const ladder_rung *r, const char *path)
{
    double sum = 0;
    for (int64_t s = 0; s < l->S; s++)
        sum += thaw_json_double_or(r->seeds[s].summary, path, NAN);
    return sum / (double)l->S;
}

double ladder_train_val_gap(const ladder *l, const ladder_rung *r)
{
    const double gap = r->train_metric - r->val_metric;
    return l->metric->lower_is_better ? -gap : gap;
}

static bool is_accuracy(const ladder *l)
{
    return strcmp(l->metric->name, "accuracy") == 0;
}

/* The chosen rate is the smallest or the largest that was tried: a better one may lie outside. */
static bool is_at_edge(const thaw_doubles *tried, int64_t chosen)
{
    bool smaller = false;
    bool larger = false;
    for (int64_t i = 0; i < tried->count; i++) {
        smaller = smaller || tried->items[i] < tried->items[chosen];
        larger = larger || tried->items[i] > tried->items[chosen];
    }
    return tried->count > 1 && !(smaller && larger);
}

static void describe_search(const ladder *l, const ladder_rung *r, thaw_json *out)
{
    const thaw_doubles *tried = ladder_candidates(l->config, r->rung.kind);
    thaw_json *list = thaw_json_set_array(out, "candidates");
    char path[80];
    const char *own = is_accuracy(l) ? "val.accuracy" : "val.metric";
    thaw_format(path, sizeof path, "val.%s", l->metric->name);
    for (int64_t i = 0; i < r->candidates; i++) {
        const ladder_trial *t = &r->search[i];
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_bool(row, "diverged", t->diverged);
        thaw_json_set_double(row, "rate", tried->items[i]);
        thaw_json_set_double(row, own, thaw_json_double_or(t->summary, path, NAN));
        thaw_json_set_double(row, "val.loss", thaw_json_double_or(t->summary, "val.loss", NAN));
        thaw_json_set_string(row, "directory", t->directory);
    }
    thaw_json_set_int(out, "chosen_candidate", r->chosen);
    thaw_json_set_bool(out, "at_edge", is_at_edge(tried, r->chosen));
    const thaw_rates used = thaw_rates_at(&r->rates, l->config->train.batch);
    thaw_json *rates = thaw_json_set_object(out, "rates");
    thaw_json_set_double(rates, "head", used.head);
    thaw_json_set_double(rates, "backbone", used.backbone);
    thaw_json_set_double(rates, "adapter", used.adapter < 0 ? used.head : used.adapter);
    thaw_json_set_double(rates, "layer_decay", used.layer_decay);
    thaw_json_set_double(rates, "batch_factor",
                         thaw_rates_factor(&r->rates, l->config->train.batch));
    thaw_json_set_string(rates, "reason", r->reason_text);
}

/* "val_accuracy", or "val_metric" of another metric. */
static void set_run_metric(const ladder *l, const thaw_json *run, const char *split, thaw_json *out)
{
    char path[80];
    char key[80];
    thaw_format(path, sizeof path, "%s.%s", split, l->metric->name);
    thaw_format(key, sizeof key, "%s_%s", split, is_accuracy(l) ? "accuracy" : "metric");
    thaw_json_set_double(out, key, thaw_json_double_or(run, path, NAN));
}

static void describe_seeds(const ladder *l, const ladder_rung *r, thaw_json *out)
{
    thaw_json *list = thaw_json_set_array(out, "seeds");
    for (int64_t s = 0; s < l->S; s++) {
        const thaw_json *run = r->seeds[s].summary;
        double sum = 0;
        for (int64_t i = 0; i < l->N; i++)
            sum += (double)r->score[s * l->N + i];
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_int(row, "seed", l->config->seed + s);
        thaw_json_set_string(row, "directory", r->seeds[s].directory);
        set_run_metric(l, run, "train", row);
        set_run_metric(l, run, "val", row);
        if (!is_accuracy(l))
            set_run_metric(l, run, "gate", row);
        thaw_json_set_double(row, is_accuracy(l) ? "gate_accuracy" : "gate_score",
                             sum / (double)l->N);
        thaw_json_set_int(row, "selected_epoch", thaw_json_int_or(run, "selected_epoch", -1));
        thaw_json_set_string(row, "state_digest", thaw_json_string_or(run, "state_digest", ""));
    }
}

/* Each sample's own score, whatever the metric, which on a slice may be undefined. */
static thaw_status describe_slices(const ladder *l, const ladder_rung *r, thaw_json *out)
{
    const bool right = thaw_dataset_task(l->dataset) == THAW_TASK_CLASSIFICATION;
    thaw_json *list = thaw_json_set_array(out, "slices");
    for (int64_t slice = 0; slice < thaw_dataset_slice_count(l->dataset); slice++) {
        ladder_mean own;
        THAW_TRY(ladder_mean_slice(l, r, slice, &own));
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "name", thaw_dataset_slice_name(l->dataset, slice));
        thaw_json_set_string(row, "description", thaw_dataset_slice_description(l->dataset, slice));
        thaw_json_set_int(row, "samples", own.N);
        thaw_json_set_double(row, right ? "accuracy" : "score", own.mean);
        thaw_json_set_double(row, "low", own.low);
        thaw_json_set_double(row, "high", own.high);
        thaw_json_set_bool(row, "failing", ladder_slice_fails(l, &own));
    }
    return THAW_OK;
}

static void describe_calibration(const ladder_rung *r, thaw_json *out)
{
    if (!r->calibrates)
        return;
    thaw_json *calibration = thaw_json_set_object(out, "calibration");
    thaw_calibration_to_json(&r->calibration, calibration);
    thaw_json_set_double(calibration, "temperature", r->temperature);
    thaw_calibration_to_json(&r->tempered, thaw_json_set_object(calibration, "tempered"));
}

/* Over all trials of the rung, search included: what the answer cost. */
static void describe_cost(const ladder *l, const ladder_rung *r, thaw_json *out)
{
    double core_seconds = 0;
    int64_t trials = 0;
    for (int64_t i = 0; i < r->candidates; i++) {
        core_seconds += thaw_json_double_or(r->search[i].summary, "core_seconds", 0);
        trials++;
    }
    for (int64_t s = 1; s < l->S; s++) {
        core_seconds += thaw_json_double_or(r->seeds[s].summary, "core_seconds", 0);
        trials++;
    }
    const thaw_json *first = r->seeds[0].summary;
    thaw_json *cost = thaw_json_set_object(out, "cost");
    thaw_json_set_int(cost, "trials", trials);
    thaw_json_set_double(cost, "core_seconds", core_seconds);
    thaw_json_set_double(cost, "core_seconds_per_run", mean_of(l, r, "core_seconds"));
    thaw_json_set_double(cost, "samples_per_second", mean_of(l, r, "samples_per_second"));
    thaw_json_set_int(cost, "allreduce_bytes_per_step",
                      thaw_json_int_or(first, "allreduce_bytes_per_step", 0));
    thaw_json_set_int(cost, "planned_bytes_per_rank",
                      thaw_json_int_or(first, "planned_bytes_per_rank", 0));
    thaw_json_set_bool(cost, "cached_features", thaw_json_bool_or(first, "cached_features", false));
}

static void describe_drift(const ladder *l, const ladder_rung *r, thaw_json *out)
{
    thaw_json *drift = thaw_json_set_object(out, "drift");
    thaw_json_set_double(drift, "cka", mean_of(l, r, "drift.cka"));
    thaw_json_set_double(drift, "cosine", mean_of(l, r, "drift.cosine"));
    thaw_json *blocks = thaw_json_set_object(drift, "blocks");
    const thaw_json *first = thaw_json_find(r->seeds[0].summary, "drift.blocks");
    for (const thaw_json *b = thaw_json_first(first); b != NULL; b = thaw_json_next(b)) {
        thaw_str path = {0};
        thaw_str_printf(&path, "drift.blocks.%s", thaw_json_key(b));
        thaw_json_set_double(blocks, thaw_json_key(b), mean_of(l, r, thaw_str_c(&path)));
        thaw_str_clear(&path);
    }
}

/* Of the seed whose backbone was beyond its limit in most epochs. */
static void describe_limit(const ladder *l, const ladder_rung *r, thaw_json *out)
{
    const thaw_json *most = NULL;
    int64_t seeds = 0;
    int64_t epochs = 0;
    for (int64_t s = 0; s < l->S; s++) {
        const thaw_json *limit = thaw_json_find(r->seeds[s].summary, "limit");
        const int64_t over = thaw_json_int_or(limit, "epochs_over", 0);
        seeds += over > 0;
        if (over > epochs) {
            most = limit;
            epochs = over;
        }
    }
    if (most == NULL)
        return;
    thaw_json_set_take(out, "limit", thaw_json_copy(most));
    thaw_json_set_int(thaw_json_child(out, "limit"), "seeds_over", seeds);
}

/* Of the first seed that was surely below scratch for long enough. */
static void describe_watch(const ladder *l, const ladder_rung *r, thaw_json *out)
{
    const thaw_json *first = NULL;
    int64_t seeds = 0;
    for (int64_t s = 0; s < l->S; s++) {
        const thaw_json *watch = thaw_json_find(r->seeds[s].summary, "watch");
        const bool below = thaw_json_int_or(watch, "epoch", 0) > 0;
        seeds += below;
        first = first == NULL && below ? watch : first;
    }
    if (first == NULL)
        return;
    thaw_json_set_take(out, "watch", thaw_json_copy(first));
    thaw_json_set_int(thaw_json_child(out, "watch"), "seeds_below", seeds);
}

thaw_status ladder_describe_rung(ladder *l, int64_t index)
{
    const ladder_rung *r = &l->rungs[index];
    const thaw_json *first = r->seeds[0].summary;
    thaw_json *out = thaw_json_add_object(l->rung_rows);
    thaw_json_set_string(out, "name", r->name);
    thaw_json_set_string(out, "trains", thaw_json_string_or(first, "trains", ""));
    thaw_json_set_string(out, "frozen_precision",
                         thaw_json_string_or(first, "frozen_precision", "f32"));
    if (r->floats_why[0] != '\0')
        thaw_json_set_string(out, "floats_reason", r->floats_why);
    thaw_json_set_double(out, "statistics_unsettled",
                         thaw_json_double_or(first, "statistics_unsettled", 0));
    thaw_json *parameters = thaw_json_set_object(out, "parameters");
    thaw_json_set_int(parameters, "total", thaw_json_int_or(first, "parameters.total", 0));
    thaw_json_set_int(parameters, "trainable", thaw_json_int_or(first, "parameters.trainable", 0));
    thaw_json *gate = thaw_json_set_object(out, "gate");
    thaw_json_set_double(gate, ladder_score_key(l), r->gate_score);
    if (!is_accuracy(l))
        thaw_json_set_double(gate, "metric", r->gate_metric);
    thaw_json_set_double(gate, "low", r->gate_low);
    thaw_json_set_double(gate, "high", r->gate_high);
    thaw_json *val = thaw_json_set_object(out, "val");
    thaw_json_set_double(val, is_accuracy(l) ? "accuracy" : "metric", r->val_metric);
    thaw_json_set_double(out, "train_val_gap", ladder_train_val_gap(l, r));
    describe_search(l, r, out);
    describe_seeds(l, r, out);
    THAW_TRY(describe_slices(l, r, out));
    describe_calibration(r, out);
    describe_cost(l, r, out);
    describe_drift(l, r, out);
    describe_limit(l, r, out);
    describe_watch(l, r, out);
    if (r->confusion != NULL)
        thaw_json_set_ints(out, "confusion", r->confusion, l->K * l->K);
    return THAW_OK;
}

/* ---- The choice --------------------------------------------------------------------------------------------------- */

/* Beside our verdicts, and quoted as such: what one would take who asks for no proof. */
static thaw_status second_opinion(ladder *l)
{
    double *mean = NULL;
    int64_t *index = NULL;
    int64_t n = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&mean, l->count, sizeof *mean));
    THAW_TRY_TO(thaw_alloc(&index, l->count, sizeof *index));
    for (int64_t i = 0; i < l->count; i++) {
        if (l->rungs[i].done && l->rungs[i].rung.kind != THAW_RUNG_SCRATCH) {
            index[n] = i;
            mean[n++] = l->rungs[i].gate_score;
        }
    }
    const int64_t pick = thaw_simplest_within(mean, n, l->config->ladder.margin);
    const int64_t best = thaw_best_rung(mean, n);
    thaw_json_set_string(l->summary, "within_margin_rung", l->rungs[index[pick]].name);
    thaw_json_set_string(l->summary, "best_mean_rung", l->rungs[index[best]].name);
    status = THAW_OK;
done:
    thaw_free(&index);
    thaw_free(&mean);
    return status;
}

/* Transfer of the chosen rung against scratch, taken up to the top level. */
static void describe_transfer(ladder *l)
{
    thaw_json *out = thaw_json_set_object(l->summary, "transfer");
    const thaw_json *list = thaw_json_find(l->summary, "transfer_comparisons");
    thaw_json_set_string(out, "against", "scratch");
    thaw_json_set_string(out, "rung", l->rungs[l->best].name);
    for (const thaw_json *row = thaw_json_first(list); row != NULL; row = thaw_json_next(row)) {
        if (strcmp(thaw_json_string_or(row, "b", ""), l->rungs[l->best].name) != 0)
            continue;
        thaw_json_set_string(out, "verdict", thaw_json_string_or(row, "transfer_verdict", ""));
        thaw_json_set_double(out, "delta", thaw_json_double_or(row, "delta", NAN));
        thaw_json_set_double(out, "low", thaw_json_double_or(row, "low", NAN));
        thaw_json_set_double(out, "high", thaw_json_double_or(row, "high", NAN));
        thaw_json_set_string(out, "explanation",
                             thaw_json_string_or(row, "transfer_explanation", ""));
    }
}

thaw_status ladder_describe_choice(ladder *l)
{
    thaw_json *not_run = thaw_json_set_array(l->summary, "not_run");
    for (int64_t i = 0; i < l->count; i++) {
        if (!l->rungs[i].done)
            thaw_json_add_string(not_run, l->rungs[i].name);
    }
    thaw_json_set_string(l->summary, "chosen", l->rungs[l->best].name);
    thaw_json_set_string(l->summary, "chosen_directory", l->rungs[l->best].seeds[0].directory);
    describe_transfer(l);
    return second_opinion(l);
}
