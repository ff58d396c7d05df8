#include "ladder/note_impl.h"

#include <math.h>
#include <string.h>

const char *ladder_text(const thaw_json *json, const char *path)
{
    return thaw_json_string_or(json, path, "");
}

double ladder_number(const thaw_json *json, const char *path)
{
    return thaw_json_double_or(json, path, NAN);
}

bool ladder_is(const thaw_json *json, const char *path, const char *word)
{
    return strcmp(ladder_text(json, path), word) == 0;
}

const char *ladder_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void ladder_trial_path(const char *directory, const char *recorded, thaw_str *out)
{
    thaw_str trials = {0};
    thaw_path_join(&trials, directory, "trials");
    thaw_path_join(out, thaw_str_c(&trials), ladder_base_name(recorded));
    if (!thaw_path_is_dir(thaw_str_c(out))) {
        thaw_str_reset(out);
        thaw_str_add(out, recorded);
    }
    thaw_str_clear(&trials);
}

static const thaw_json *find_row(const thaw_json *json, const char *list, const char *key,
                                 const char *word)
{
    for (LADDER_EACH(row, json, list)) {
        if (ladder_is(row, key, word))
            return row;
    }
    return NULL;
}

const thaw_json *ladder_find_rung(const thaw_json *summary, const char *name)
{
    return find_row(summary, "rungs", "name", name);
}

const thaw_json *ladder_find_kind(const thaw_json *summary, const char *kind)
{
    for (LADDER_EACH(rung, summary, "rungs")) {
        if (ladder_is_kind(rung, kind))
            return rung;
    }
    return NULL;
}

const thaw_json *ladder_find_chosen(const thaw_json *summary)
{
    return ladder_find_rung(summary, ladder_text(summary, "chosen"));
}

const thaw_json *ladder_find_step(const thaw_json *summary, const char *rung)
{
    return find_row(summary, "comparisons", "b", rung);
}

const thaw_json *ladder_find_transfer(const thaw_json *summary, const char *rung)
{
    return find_row(summary, "transfer_comparisons", "b", rung);
}

const thaw_json *ladder_find_test(const thaw_json *summary, const char *rung)
{
    return find_row(summary, "test.rungs", "name", rung);
}

const thaw_json *ladder_find_slice(const thaw_json *row, const char *name)
{
    return find_row(row, "slices", "name", name);
}

bool ladder_is_kind(const thaw_json *rung, const char *kind)
{
    const char *name = ladder_text(rung, "name");
    const size_t length = strlen(kind);
    return thaw_starts_with(name, kind) && (name[length] == '\0' || name[length] == ':');
}

bool ladder_is_chosen(const thaw_json *summary, const thaw_json *rung)
{
    return ladder_is(summary, "chosen", ladder_text(rung, "name"));
}

bool ladder_reuse_harms(const thaw_json *summary)
{
    return ladder_is(summary, "transfer.verdict", "negative transfer");
}

double ladder_trained_share(const thaw_json *rung)
{
    const double total = ladder_number(rung, "parameters.total");
    return total > 0 ? ladder_number(rung, "parameters.trainable") / total : NAN;
}

/* Nothing can be escaped inside a code span, so what would end it is replaced. */
void ladder_add_code(thaw_str *out, const char *name)
{
    thaw_str_add(out, "`");
    for (const char *at = name; *at != '\0'; at++) {
        const char c = *at == '`' ? '\'' : *at == '\n' || *at == '\r' ? ' ' : *at;
        thaw_str_add_bytes(out, &c, 1);
    }
    thaw_str_add(out, "`");
}

static void add_unit(thaw_str *out, double value, thaw_unit unit)
{
    char words[40];
    thaw_unit_format(value, unit, words, sizeof words);
    thaw_str_add(out, words);
}

void ladder_add_share(thaw_str *out, double share)
{
    add_unit(out, share, THAW_UNIT_PERCENT);
}

double ladder_value(const thaw_json *row, const char *prefix, const char *other)
{
    char path[80];
    thaw_format(path, sizeof path, "%saccuracy", prefix);
    const double accuracy = ladder_number(row, path);
    thaw_format(path, sizeof path, "%s%s", prefix, other);
    return isfinite(accuracy) ? accuracy : ladder_number(row, path);
}

bool ladder_by_accuracy(const thaw_json *summary)
{
    return strcmp(thaw_json_string_or(summary, "metric.name", "accuracy"), "accuracy") == 0;
}

const char *ladder_title(const thaw_json *summary)
{
    return thaw_json_string_or(summary, "metric.score", "accuracy");
}

const char *ladder_metric_title(const thaw_json *summary)
{
    return thaw_json_string_or(summary, "metric.title", "accuracy");
}

const char *ladder_slice_title(const thaw_json *summary)
{
    thaw_task task = THAW_TASK_CLASSIFICATION;
    (void)thaw_task_parse(ladder_text(summary, "task"), &task);
    return thaw_json_string_or(summary, "slice_score.title", ladder_sample_title(task));
}

bool ladder_is_share(const thaw_json *summary)
{
    return thaw_json_bool_or(summary, "metric.share", true);
}

void ladder_add_metric(thaw_str *out, const thaw_json *summary, double value)
{
    if (ladder_is_share(summary))
        ladder_add_share(out, value);
    else if (isfinite(value))
        thaw_str_printf(out, "%.4g", value);
}

void ladder_add_capital(thaw_str *out, const char *title)
{
    const char first = title[0] >= 'a' && title[0] <= 'z' ? (char)(title[0] - 'a' + 'A') : title[0];
    if (first == '\0')
        return;
    thaw_str_add_bytes(out, &first, 1);
    thaw_str_add(out, title + 1);
}

void ladder_add_columns(thaw_str *out, const thaw_json *summary)
{
    thaw_task task = THAW_TASK_CLASSIFICATION;
    (void)thaw_task_parse(ladder_text(summary, "task"), &task);
    thaw_str_printf(out, "%lld %s", (long long)thaw_json_count(thaw_json_find(summary, "classes")),
                    thaw_task_columns(task));
}

void ladder_add_harm(thaw_str *out, const thaw_json *summary)
{
    const bool right = ladder_by_accuracy(summary);
    if (right)
        thaw_str_add(out, "Training from scratch is right on ");
    else
        thaw_str_printf(out, "Training from scratch reaches %s ", ladder_title(summary));
    ladder_add_accuracy(out, ladder_find_kind(summary, "scratch"), "gate.");
    thaw_str_printf(out, "%s; the best rung that reuses it, ",
                    right ? " of the gate samples" : " on gate");
    ladder_add_code(out, ladder_text(summary, "chosen"));
    thaw_str_add(out, ", changes that by ");
    ladder_add_difference(out, thaw_json_find(summary, "transfer"));
    thaw_str_add(out, " points.");
}

void ladder_add_accuracy(thaw_str *out, const thaw_json *row, const char *prefix)
{
    static const char *const keys[] = {"low", "high"};
    double value[3] = {ladder_value(row, prefix, "score")};
    for (int i = 0; i < 2; i++) {
        char path[80];
        thaw_format(path, sizeof path, "%s%s", prefix, keys[i]);
        value[i + 1] = ladder_number(row, path);
    }
    ladder_add_share(out, value[0]);
    if (isfinite(value[0]) && isfinite(value[1]) && isfinite(value[2]))
        thaw_str_printf(out, " [%.1f, %.1f]", 100 * value[1], 100 * value[2]);
}

void ladder_add_difference(thaw_str *out, const thaw_json *row)
{
    const double low = ladder_number(row, "low");
    const double high = ladder_number(row, "high");
    if (thaw_json_int_or(row, "samples", 1) == 0) {
        thaw_str_add(out, "no samples");
        return;
    }
    add_unit(out, ladder_number(row, "delta"), THAW_UNIT_POINTS);
    if (!isfinite(low) || !isfinite(high))
        return;
    thaw_str_add(out, " [");
    add_unit(out, low, THAW_UNIT_POINTS);
    thaw_str_add(out, ", ");
    add_unit(out, high, THAW_UNIT_POINTS);
    thaw_str_add(out, "]");
}

void ladder_add_points(thaw_str *out, double share)
{
    const double points = 100 * share;
    thaw_str_printf(out, "%.3g point%s", points, fabs(points - 1) < 1e-9 ? "" : "s");
}

static bool has_reason(const thaw_json *row, thaw_reason reason)
{
    for (LADDER_EACH(word, row, "reasons")) {
        if (ladder_is(word, "", thaw_reason_name(reason)))
            return true;
    }
    return false;
}

static void add_reason(thaw_str *out, size_t start, const char *words)
{
    thaw_str_printf(out, "%s%s", out->length > start ? ", " : "", words);
}

/* What failed on the way to a clear gain. A p-value says again what an interval that reaches zero says. */
static void add_failures(thaw_str *out, const thaw_json *summary, const thaw_json *row)
{
    const size_t start = out->length;
    if (has_reason(row, THAW_REASON_TOO_FEW))
        add_reason(out, start, "too few samples");
    if (has_reason(row, THAW_REASON_LOW_NOT_POSITIVE))
        add_reason(out, start, "interval reaches zero");
    else if (has_reason(row, THAW_REASON_P_LARGE))
        thaw_str_printf(out, "%sadjusted p above %g", out->length > start ? ", " : "",
                        ladder_number(summary, "design.alpha"));
    if (has_reason(row, THAW_REASON_EFFECT_SMALL)) {
        thaw_str_printf(out, "%sgain below ", out->length > start ? ", " : "");
        ladder_add_points(out, ladder_number(summary, "design.min_effect"));
    }
    if (has_reason(row, THAW_REASON_SLICE_HARMED))
        thaw_str_printf(out, "%sslice \"%s\" harmed", out->length > start ? ", " : "",
                        ladder_text(row, "worst_slice"));
    if (has_reason(row, THAW_REASON_SEEDS_DISAGREE))
        add_reason(out, start, "seeds disagree");
}

void ladder_add_reasons(thaw_str *out, const thaw_json *summary, const thaw_json *row)
{
    if (ladder_is(row, "verdict", "clear gain"))
        thaw_str_add(out, "every condition is met");
    else if (ladder_is(row, "verdict", "equivalent"))
        thaw_str_add(out, "whole interval within the margin of equivalence");
    else if (ladder_is(row, "verdict", "worse"))
        thaw_str_add(out, "whole interval below zero");
    else
        add_failures(out, summary, row);
}

void ladder_add_doubt(thaw_str *out, const thaw_json *rung)
{
    const double head = ladder_number(rung, "rates.head");
    const double backbone = ladder_number(rung, "rates.backbone");
    const bool both = ladder_is_kind(rung, "partial") || ladder_is_kind(rung, "full");
    const int64_t candidates = thaw_json_count(thaw_json_find(rung, "candidates"));
    if (ladder_text(rung, "rates.reason")[0] == '\0')
        thaw_str_printf(out, "%sno reason is recorded",
                        both && head == backbone ? "one rate for head and backbone, and " : "");
    else if (candidates == 1)
        thaw_str_add(out, both && head == backbone
                              ? "one rate for head and backbone, and only one was tried"
                              : "only one rate was tried");
}

static void add_rate(thaw_str *out, const thaw_json *rung, const char *name)
{
    char path[40];
    char number[THAW_NUMBER];
    thaw_format(path, sizeof path, "rates.%s", name);
    const double rate = ladder_number(rung, path);
    thaw_number(rate, number);
    thaw_str_printf(out, "%s%s %s", out->length > 0 ? ", " : "", name,
                    isfinite(rate) ? number : "not recorded");
}

void ladder_add_rates(thaw_str *out, const thaw_json *rung)
{
    const bool deep = ladder_is_kind(rung, "partial") || ladder_is_kind(rung, "full") ||
                      ladder_is_kind(rung, "scratch");
    const double decay = ladder_number(rung, "rates.layer_decay");
    thaw_str words = {0};
    add_rate(&words, rung, "head");
    if (ladder_is_kind(rung, "peft"))
        add_rate(&words, rung, "adapter");
    if (deep)
        add_rate(&words, rung, "backbone");
    if (deep && isfinite(decay) && decay != 1)
        thaw_str_printf(&words, ", each block nearer the input times %g", decay);
    thaw_str_add(out, thaw_str_c(&words));
    thaw_str_clear(&words);
}

void ladder_note_few(const thaw_json *summary, thaw_str *out)
{
    const int64_t samples = thaw_json_int_or(summary, "design.gate_samples", 0);
    const int64_t clusters = thaw_json_int_or(summary, "design.gate_clusters", 0);
    const int64_t least = thaw_json_int_or(summary, "design.min_count", 0);
    const int64_t units = clusters > 0 ? clusters : samples;
    if (units < least)
        thaw_str_printf(out,
                        "Gate has %lld %s; fewer than %lld support no claim, so every comparison "
                        "is inconclusive.\n\n",
                        (long long)units, clusters > 0 ? "clusters" : "samples", (long long)least);
}

void ladder_note_leaks(const thaw_json *summary, thaw_str *out)
{
    const thaw_json *leaks = thaw_json_find(summary, "leaks");
    const thaw_json *pairs = thaw_json_find(leaks, "pairs");
    if (leaks == NULL || (thaw_json_bool_or(leaks, "looked", false) && thaw_json_count(pairs) == 0))
        return;
    for (LADDER_EACH(pair, pairs, "")) {
        thaw_str_add(out, "**Leak**: ");
        thaw_markdown_escape(out, ladder_text(pair, "text"));
        thaw_str_add(out, ". What is measured there may be too good.\n");
    }
    if (!thaw_json_bool_or(leaks, "looked", false))
        thaw_str_add(out, "Samples that are in two splits were not looked for: there is more of "
                          "them than `data.memory_limit_gib`.\n");
    thaw_str_add(out, "\n");
}
