#include "ladder/inspect_impl.h"

#include <math.h>
#include <string.h>

/* What the files of a run or a ladder say before anything is computed with the network. */

void inspection_unknown(inspection *in, const char *format, ...)
{
    va_list args;
    thaw_str text = {0};
    va_start(args, format);
    thaw_str_vprintf(&text, format, args);
    va_end(args);
    thaw_json_add_string(in->unknown, thaw_str_c(&text));
    thaw_str_clear(&text);
}

/* ---- Baseline ------------------------------------------------------------------------------------------------ */

static void add_value(thaw_json *out, double value, double low, double high)
{
    thaw_json_set_double(out, "value", value);
    thaw_json_set_double(out, "low", low);
    thaw_json_set_double(out, "high", high);
}

static void add_rung_value(const thaw_json *rung, thaw_json *out)
{
    add_value(out, ladder_value(rung, "gate.", "score"), ladder_number(rung, "gate.low"),
              ladder_number(rung, "gate.high"));
}

static void copy_to(const thaw_json *from, const char *key, thaw_json *out, const char *as)
{
    const thaw_json *found = thaw_json_find(from, key);
    if (found != NULL)
        thaw_json_set_take(out, as, thaw_json_copy(found));
}

static void add_ladder_baseline(inspection *in, thaw_json *out)
{
    static const char *const keys[] = {"delta",   "low",         "high",       "p",
                                       "samples", "clusters",    "seeds",      "text",
                                       "slices",  "explanation", "slice_score"};
    const thaw_json *scratch = ladder_find_kind(in->summary, "scratch");
    const thaw_json *against = ladder_find_transfer(in->summary, ladder_text(in->rung, "name"));
    add_rung_value(in->rung, thaw_json_set_object(out, "run"));
    if (scratch == NULL || against == NULL) {
        inspection_unknown(in, "Whether the backbone helps: the ladder has no rung scratch. Add "
                               "scratch to ladder.rungs and run it with --resume.");
        return;
    }
    add_rung_value(scratch, thaw_json_set_object(out, "scratch"));
    thaw_json *row = thaw_json_set_object(out, "against_scratch");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        copy_to(against, keys[i], row, keys[i]);
    copy_to(against, "transfer_verdict", row, "verdict");
    copy_to(against, "transfer_explanation", row, "explanation");
}

static bool is_scratch(const inspection *in)
{
    return ladder_is(in->run_summary, "rung", "scratch");
}

/* One run has nothing to be paired with. */
static thaw_status add_run_baseline(inspection *in, thaw_json *out)
{
    const thaw_bootstrap how = ladder_bootstrap(&in->config);
    char why[THAW_WHY] = "";
    double value;
    thaw_interval interval;
    THAW_TRY(thaw_predictions_metric(&in->first, NULL, in->metric, &value, why));
    THAW_TRY(thaw_predictions_interval(&in->first, NULL, in->metric, &how, &interval));
    add_value(thaw_json_set_object(out, "run"), value, interval.low, interval.high);
    if (why[0] != '\0')
        inspection_unknown(in, "%s: %s.", in->metric->title, why);
    if (is_scratch(in))
        inspection_unknown(in, "Whether a backbone would help: the run is from scratch. `thaw "
                               "ladder` with model.backbone compares both on gate.");
    else
        inspection_unknown(
            in,
            "Whether the backbone helps: one run has no scratch beside it. `thaw ladder "
            "%s/config.yaml --set ladder.rungs=[scratch,frozen] --set output=DIR` trains "
            "both and compares them on gate.",
            thaw_str_c(&in->run));
    return THAW_OK;
}

static thaw_status add_baseline(inspection *in)
{
    thaw_json *out = thaw_json_set_object(in->out, "baseline");
    if (in->is_ladder) {
        copy_to(in->summary, "metric", out, "metric");
        add_ladder_baseline(in, out);
        return THAW_OK;
    }
    thaw_metric_to_json(in->metric, thaw_json_set_object(out, "metric"));
    return add_run_baseline(in, out);
}

/* ---- Constant predictions ------------------------------------------------------------------------------------ */

/* Of a classification the class, of other tasks the values. */
static bool is_constant(const thaw_predictions *p)
{
    for (int64_t i = 1; i < p->N; i++) {
        if (p->predicted != NULL
                ? p->predicted[i] != p->predicted[0]
                : memcmp(p->outputs + i * p->K, p->outputs, (size_t)p->K * sizeof *p->outputs) != 0)
            return false;
    }
    return p->N > 1;
}

static void add_constant(inspection *in)
{
    const bool constant = is_constant(&in->first);
    thaw_json_set_bool(in->out, "constant_predictions", constant);
    if (constant && in->first.predicted != NULL)
        thaw_json_set_string(in->out, "constant_class",
                             thaw_dataset_class_names(in->dataset)[in->first.predicted[0]]);
}

/* ---- Slices -------------------------------------------------------------------------------------------------- */

static const char *slice_verdict(const thaw_contrast *c, double p_adjusted, const thaw_rule *rule)
{
    if (c->units < rule->min_count || c->rest_units < rule->min_count)
        return "too few";
    return p_adjusted <= rule->alpha && c->high < 0 ? "failing" : "no evidence";
}

static void add_slice(const inspection *in, int64_t slice, const thaw_contrast *c, double p,
                      const thaw_rule *rule, thaw_json *list)
{
    thaw_json *row = thaw_json_add_object(list);
    thaw_json_set_string(row, "name", thaw_dataset_slice_name(in->dataset, slice));
    thaw_json_set_int(row, "samples", c->N);
    thaw_json_set_int(row, "clusters", c->units);
    thaw_json_set_double(row, "value", c->N > 0 ? c->mean : NAN);
    thaw_json_set_double(row, "rest", c->rest > 0 ? c->rest_mean : NAN);
    thaw_json_set_double(row, "delta", c->delta);
    thaw_json_set_double(row, "low", c->low);
    thaw_json_set_double(row, "high", c->high);
    thaw_json_set_double(row, "p", c->p_less);
    thaw_json_set_double(row, "p_adjusted", p);
    thaw_json_set_string(row, "verdict", slice_verdict(c, p, rule));
}

/* Holm's family are the slices that are large enough for a verdict: how large they are says nothing about how they do. */
static thaw_status judge_slices(inspection *in, thaw_contrast *all, double *p, double *adjusted)
{
    const thaw_rule rule = ladder_rule(&in->config);
    const int64_t count = thaw_dataset_slice_count(in->dataset);
    thaw_json *list = thaw_json_set_array(in->out, "slices");
    int64_t judged = 0;
    for (int64_t s = 0; s < count; s++) {
        const thaw_contrast_data data = {.scores = in->score,
                                         .N = in->first.N,
                                         .cluster = in->first.cluster,
                                         .mask =
                                             thaw_dataset_slice_mask(in->dataset, in->index, s)};
        THAW_TRY(thaw_contrast_slice(&data, in->config.ladder.confidence, &all[s]));
        if (all[s].units >= rule.min_count && all[s].rest_units >= rule.min_count)
            p[judged++] = all[s].p_less;
    }
    THAW_TRY(thaw_holm(p, judged, adjusted));
    judged = 0;
    for (int64_t s = 0; s < count; s++) {
        const bool enough = all[s].units >= rule.min_count && all[s].rest_units >= rule.min_count;
        add_slice(in, s, &all[s], enough ? adjusted[judged++] : NAN, &rule, list);
    }
    return THAW_OK;
}

static thaw_status add_slices(inspection *in)
{
    const int64_t count = thaw_dataset_slice_count(in->dataset);
    thaw_contrast *all = NULL;
    double *p = NULL;
    double *adjusted = NULL;
    thaw_status status;
    if (count == 0)
        inspection_unknown(in, "Which samples fail: the data name no slices.");
    THAW_TRY_TO(thaw_alloc(&all, count, sizeof *all));
    THAW_TRY_TO(thaw_alloc(&p, count, sizeof *p));
    THAW_TRY_TO(thaw_alloc(&adjusted, count, sizeof *adjusted));
    thaw_json_set_int(in->out, "slice_min_count", ladder_rule(&in->config).min_count);
    status = judge_slices(in, all, p, adjusted);
done:
    thaw_free(&adjusted);
    thaw_free(&p);
    thaw_free(&all);
    return status;
}

/* ---- Train against val --------------------------------------------------------------------------------------- */

static int64_t right_of(const inspection *in, const char *split)
{
    char path[64];
    thaw_format(path, sizeof path, "%s.samples", split);
    const double N = ladder_number(in->run_summary, path);
    thaw_format(path, sizeof path, "%s.accuracy", split);
    return llround(ladder_number(in->run_summary, path) * N);
}

/* The interval is of two independent shares, so it is there for accuracy without clusters only. */
static void add_gap_interval(const inspection *in, thaw_json *out)
{
    const int64_t train = thaw_json_int_or(in->run_summary, "train.samples", 0);
    const int64_t val = thaw_json_int_or(in->run_summary, "val.samples", 0);
    if (strcmp(in->metric->name, "accuracy") != 0 || in->first.cluster != NULL)
        return;
    const thaw_interval gap = thaw_newcombe(right_of(in, "train"), train, right_of(in, "val"), val,
                                            in->config.ladder.confidence);
    thaw_json_set_double(out, "low", gap.low);
    thaw_json_set_double(out, "high", gap.high);
}

static void add_gap(inspection *in)
{
    thaw_json *out = thaw_json_set_object(in->out, "train_val_gap");
    char path[64];
    thaw_format(path, sizeof path, "train.%s", in->metric->name);
    const double train = ladder_number(in->run_summary, path);
    thaw_format(path, sizeof path, "val.%s", in->metric->name);
    const double val = ladder_number(in->run_summary, path);
    thaw_json_set_double(out, "train", train);
    thaw_json_set_double(out, "val", val);
    thaw_json_set_double(out, "gap", in->metric->lower_is_better ? val - train : train - val);
    add_gap_interval(in, out);
    copy_to(in->run_summary, "train.loss", out, "train_loss");
    copy_to(in->run_summary, "val.loss", out, "val_loss");
}

/* ---- Calibration and motion ---------------------------------------------------------------------------------- */

static thaw_status add_calibration(inspection *in)
{
    const thaw_bootstrap how = ladder_bootstrap(&in->config);
    thaw_calibration c;
    if (!thaw_predictions_calibrates(&in->first)) {
        inspection_unknown(in, "Calibration: it is known of one class a sample only.");
        return THAW_OK;
    }
    if (in->is_ladder && thaw_json_find(in->rung, "calibration") != NULL) {
        copy_to(in->rung, "calibration", in->out, "calibration");
        return THAW_OK;
    }
    THAW_TRY(thaw_predictions_calibrate(&in->first, 1, &how, &c));
    thaw_calibration_to_json(&c, thaw_json_set_object(in->out, "calibration"));
    return THAW_OK;
}

static void add_motion_of(const thaw_json *row, const char *rung, thaw_json *list)
{
    if (thaw_json_count(thaw_json_find(row, "drift.blocks")) == 0)
        return;
    thaw_json *out = thaw_json_add_object(list);
    thaw_json_set_string(out, "rung", rung);
    copy_to(row, "drift.blocks", out, "blocks");
    copy_to(row, "drift.cka", out, "cka");
    copy_to(row, "drift.cosine", out, "cosine");
}

/* A ladder says it of all its rungs: where those that moved did so is where the frozen one could. */
static void add_motion(inspection *in)
{
    thaw_json *list = thaw_json_set_array(in->out, "motion");
    if (is_scratch(in)) {
        inspection_unknown(in, "How far a backbone moves: from scratch there is none.");
        return;
    }
    if (!in->is_ladder) {
        add_motion_of(in->run_summary, ladder_text(in->run_summary, "rung"), list);
    } else {
        for (LADDER_EACH(rung, in->summary, "rungs"))
            if (!ladder_is_kind(rung, "scratch"))
                add_motion_of(rung, ladder_text(rung, "name"), list);
    }
    if (thaw_json_count(list) == 0)
        inspection_unknown(in, "How far the backbone moves, and its features with it (CKA): "
                               "nothing of it was trained.");
}

thaw_status inspection_read(inspection *in)
{
    thaw_json_set_string(in->out, "directory", in->directory);
    thaw_json_set_string(in->out, "kind", in->is_ladder ? "ladder" : "run");
    thaw_json_set_string(in->out, "run", thaw_str_c(&in->run));
    thaw_json_set_string(in->out, "rung", ladder_text(in->run_summary, "rung"));
    thaw_json_set_int(in->out, "seeds", in->seeds);
    thaw_json_set_string(in->out, "split", in->split);
    thaw_json_set_int(in->out, "samples", in->first.N);
    thaw_json_set_double(in->out, "level", in->config.ladder.confidence);
    thaw_json_set_double(in->out, "alpha", in->config.ladder.alpha);
    ladder_sample_to_json(in->first.task, thaw_json_set_object(in->out, "slice_score"));
    add_constant(in);
    THAW_TRY(add_baseline(in));
    THAW_TRY(add_slices(in));
    add_gap(in);
    THAW_TRY(add_calibration(in));
    add_motion(in);
    return THAW_OK;
}
