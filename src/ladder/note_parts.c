#include "ladder/note_impl.h"

#include <math.h>

/* Parts of the transfer note, each from its own rows of summary.json. */

/* What was tried, and what each candidate came to on val. */
static void write_tried(const thaw_json *s, const thaw_json *rung, thaw_str *out)
{
    const char *own = ladder_by_accuracy(s) ? "val.accuracy" : "val.metric";
    const char *between = " On val: ";
    if (thaw_json_count(thaw_json_find(rung, "candidates")) < 2)
        return;
    for (LADDER_EACH(tried, rung, "candidates")) {
        thaw_str_printf(out, "%s%g ", between, ladder_number(tried, "rate"));
        if (thaw_json_bool_or(tried, "diverged", false))
            thaw_str_add(out, "diverged");
        else
            ladder_add_metric(out, s, ladder_number(tried, own));
        between = ", ";
    }
    thaw_str_add(out, ".");
}

static void write_rate(const thaw_json *s, const thaw_json *rung, thaw_str *out)
{
    thaw_str doubt = {0};
    ladder_add_doubt(&doubt, rung);
    thaw_str_add(out, "- ");
    ladder_add_code(out, ladder_text(rung, "name"));
    thaw_str_add(out, ": ");
    ladder_add_rates(out, rung);
    if (ladder_text(rung, "rates.reason")[0] != '\0') {
        thaw_str_add(out, ". Why: ");
        thaw_markdown_escape(out, ladder_text(rung, "rates.reason"));
    }
    thaw_str_add(out, ".");
    if (doubt.length > 0)
        thaw_str_printf(out, " **Same/unjustified learning rates**: %s.", thaw_str_c(&doubt));
    if (thaw_json_bool_or(rung, "at_edge", false))
        thaw_str_add(out, " The best candidate lies at the edge of the searched range; a better "
                          "rate may lie outside.");
    write_tried(s, rung, out);
    thaw_str_add(out, "\n");
    thaw_str_clear(&doubt);
}

void ladder_note_rates(const thaw_json *s, thaw_str *out)
{
    for (LADDER_EACH(rung, s, "rungs"))
        write_rate(s, rung, out);
}

static void slice_row(const thaw_json *s, const thaw_json *slice, thaw_table *table)
{
    thaw_table_cell(table, ladder_text(slice, "name"));
    thaw_table_printf(table, "%lld", (long long)thaw_json_int_or(slice, "samples", 0));
    for (LADDER_EACH(rung, s, "rungs")) {
        const thaw_json *own = ladder_find_slice(rung, ladder_text(slice, "name"));
        thaw_str words = {0};
        ladder_add_share(&words, ladder_value(own, "", "score"));
        if (thaw_json_bool_or(own, "failing", false))
            thaw_str_add(&words, " (failing)");
        thaw_table_cell(table, thaw_str_c(&words));
        thaw_str_clear(&words);
    }
}

void ladder_note_slices(const thaw_json *s, thaw_str *out)
{
    const thaw_json *chosen = ladder_find_chosen(s);
    const double floor = ladder_number(s, "slice_floor");
    if (thaw_json_count(thaw_json_find(chosen, "slices")) == 0) {
        thaw_str_add(out, "The data names no slices.\n");
        return;
    }
    thaw_table table = {0};
    thaw_table_column(&table, "slice of gate", THAW_LEFT);
    thaw_table_column(&table, "samples", THAW_RIGHT);
    for (LADDER_EACH(rung, s, "rungs"))
        thaw_table_column(&table, ladder_text(rung, "name"), THAW_RIGHT);
    for (LADDER_EACH(slice, chosen, "slices"))
        slice_row(s, slice, &table);
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
    if (!ladder_by_accuracy(s)) {
        thaw_str_add(out, "\n");
        ladder_add_capital(out, ladder_slice_title(s));
        thaw_str_add(out, ", mean of the seeds.\n");
    }
    if (floor > 0)
        thaw_str_printf(out,
                        "\nFailing: even the top of its interval is below the floor of %g%%.\n",
                        100 * floor);
}

/* One line a rung: "`frozen` is worse than scratch: overall, -3.1 points [...]; on `Shirt`, ...". */
static bool write_harm(const thaw_json *row, thaw_str *out)
{
    thaw_str where = {0};
    if (ladder_is(row, "transfer_verdict", "negative transfer"))
        thaw_str_printf(&where, "overall, %s", ladder_text(row, "text"));
    for (LADDER_EACH(slice, row, "slices")) {
        if (!ladder_is(slice, "verdict", "worse"))
            continue;
        thaw_str_add(&where, where.length > 0 ? "; on " : "on ");
        ladder_add_code(&where, ladder_text(slice, "name"));
        thaw_str_printf(&where, ", %s", ladder_text(slice, "text"));
    }
    const bool found = where.length > 0;
    if (found)
        thaw_str_printf(out, "- `%s` is worse than scratch: %s.\n", ladder_text(row, "b"),
                        thaw_str_c(&where));
    thaw_str_clear(&where);
    return found;
}

void ladder_note_negative(const thaw_json *s, thaw_str *out)
{
    const thaw_json *list = thaw_json_find(s, "transfer_comparisons");
    bool found = false;
    if (thaw_json_count(list) == 0) {
        thaw_str_add(out, "Not known: nothing was compared with scratch.\n");
        return;
    }
    for (LADDER_EACH(row, list, ""))
        found = write_harm(row, out) || found;
    if (!found)
        thaw_str_printf(out,
                        "None was found: no rung's interval against scratch lies below zero, "
                        "overall%s.\n",
                        thaw_json_count(thaw_json_find(thaw_json_at(list, 0), "slices")) > 0
                            ? " or on a slice"
                            : "");
}

/* From scratch, the weights moved away from random numbers: that says nothing about a backbone. */
static void write_block(const thaw_json *rung, thaw_str *out)
{
    const char *where = NULL;
    double largest = 0;
    for (LADDER_EACH(block, rung, "drift.blocks")) {
        if (ladder_number(block, "") > largest) {
            largest = ladder_number(block, "");
            where = thaw_json_key(block);
        }
    }
    if (where == NULL || ladder_is_kind(rung, "scratch"))
        return;
    thaw_str_printf(out, "; of the backbone, %s moved most, by ", where);
    ladder_add_share(out, largest);
    thaw_str_add(out, " of its norm");
}

/* Positive: better on train, whichever way the metric goes. */
static void write_gap(const thaw_json *s, double gap, thaw_str *out)
{
    const char *title = ladder_metric_title(s);
    if (ladder_by_accuracy(s))
        thaw_str_printf(out, "train accuracy minus val accuracy %+.1f points", 100 * gap);
    else if (ladder_is_share(s))
        thaw_str_printf(out, "%s on train minus on val %+.1f points", title, 100 * gap);
    else
        thaw_str_printf(out, "%s on train better than on val by %+.4g", title, gap);
}

void ladder_note_motion(const thaw_json *s, thaw_str *out)
{
    for (LADDER_EACH(rung, s, "rungs")) {
        const double gap = ladder_number(rung, "train_val_gap");
        const double cka = ladder_number(rung, "drift.cka");
        thaw_str_printf(out, "- `%s`: ", ladder_text(rung, "name"));
        if (isfinite(gap))
            write_gap(s, gap, out);
        else
            thaw_str_add(out, "the gap between train and val was not recorded");
        write_block(rung, out);
        if (isfinite(cka))
            thaw_str_printf(out,
                            "; similarity of the features on val to the backbone's (linear "
                            "CKA) %.3f",
                            cka);
        thaw_str_add(out, ".\n");
    }
}

static void cost_row(const thaw_json *rung, thaw_table *table)
{
    thaw_str words = {0};
    thaw_table_cell(table, ladder_text(rung, "name"));
    thaw_table_printf(table, "%lld", (long long)thaw_json_int_or(rung, "cost.trials", 0));
    thaw_table_value(table, ladder_number(rung, "cost.core_seconds"), THAW_UNIT_SECONDS);
    thaw_table_value(table, ladder_number(rung, "cost.core_seconds_per_run"), THAW_UNIT_SECONDS);
    const double rate = ladder_number(rung, "cost.samples_per_second");
    if (isfinite(rate))
        thaw_str_printf(&words, "%.0f", rate);
    if (thaw_json_bool_or(rung, "cost.cached_features", false))
        thaw_str_add(&words, " (features cached)");
    thaw_table_cell(table, thaw_str_c(&words));
    thaw_table_value(table, ladder_number(rung, "cost.allreduce_bytes_per_step"), THAW_UNIT_BYTES);
    thaw_table_value(table, ladder_number(rung, "cost.planned_bytes_per_rank"), THAW_UNIT_BYTES);
    thaw_str_clear(&words);
}

/* Rungs that could not run in 8 bits: what is compared across is not only depth. */
static void note_floats(const thaw_json *s, thaw_str *out)
{
    const char *before = "";
    for (LADDER_EACH(rung, s, "rungs")) {
        if (thaw_json_find(rung, "floats_reason") == NULL)
            continue;
        thaw_str_printf(out, "%s`%s`", before, ladder_text(rung, "name"));
        before = ", ";
    }
    if (before[0] != '\0')
        thaw_str_add(out, " ran in floats, since nothing of them could run in 8 bits: compared "
                          "with the other rungs they differ in precision too.\n");
}

/* Frozen features in 8 bits are another network than the one whose weights were given. */
void ladder_note_precision(const thaw_json *s, thaw_str *out)
{
    const thaw_json *p = thaw_json_find(s, "precision");
    if (p == NULL)
        return;
    const int64_t samples = thaw_json_int_or(p, "calibration_samples", 0);
    thaw_str_add(out, "Frozen features were computed in 8 bits (");
    if (samples > 0)
        thaw_str_printf(out, "ranges from %lld training samples", (long long)samples);
    else
        thaw_str_add(out, "linear layers, a scale for each row");
    thaw_str_printf(
        out,
        "): on val they are off by %.2f%% (2-norm); the frozen rung on gate against floats: %s, "
        "%s.\n",
        100 * ladder_number(p, "feature_error"), ladder_text(p, "text"), ladder_text(p, "verdict"));
    note_floats(s, out);
}

void ladder_note_cost(const thaw_json *s, thaw_str *out)
{
    static const char *const titles[] = {"rung",
                                         "runs",
                                         "core time",
                                         "a run",
                                         "samples/s",
                                         "all-reduced a step",
                                         "memory planned a rank"};
    thaw_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_table_column(&table, titles[i], i == 0 ? THAW_LEFT : THAW_RIGHT);
    for (LADDER_EACH(rung, s, "rungs"))
        cost_row(rung, &table);
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
    thaw_str_add(out,
                 "\nCore time: seconds times cores from set-up to the last evaluation, over all "
                 "runs of the rung, its rate search included.\n");
}

static void write_needed(const thaw_json *s, const thaw_json *row, thaw_str *out)
{
    const int64_t needed = thaw_json_int_or(row, "samples_needed", 0);
    const int64_t have = thaw_json_int_or(s, "design.gate_samples", 0);
    const double effect = 100 * ladder_number(row, "samples_needed_effect");
    if (!ladder_is(row, "verdict", "inconclusive") || needed == 0)
        return;
    thaw_str_printf(out, "- `%s` against `%s` stayed open: ", ladder_text(row, "b"),
                    ladder_text(row, "a"));
    if (needed < 0)
        thaw_str_printf(out,
                        "seeds vary so much that no number of gate samples would show a gain of "
                        "%.1f points; more seeds might.\n",
                        effect);
    else if (needed > have)
        thaw_str_printf(out,
                        "with the variation seen here, a gain of %.1f points needs about %lld gate "
                        "samples; there are %lld.\n",
                        effect, (long long)needed, (long long)have);
    else
        thaw_str_printf(out,
                        "the %lld gate samples are enough for a gain of %.1f points, and it did "
                        "not show.\n",
                        (long long)have, effect);
}

static void write_failing(const thaw_json *s, double floor, thaw_str *out)
{
    const char *between = ", as these do now: ";
    thaw_str_printf(out, "- A slice that stays surely below %g%% at the chosen depth", 100 * floor);
    for (LADDER_EACH(slice, ladder_find_chosen(s), "slices")) {
        if (!thaw_json_bool_or(slice, "failing", false))
            continue;
        thaw_str_add(out, between);
        ladder_add_code(out, ladder_text(slice, "name"));
        between = ", ";
    }
    thaw_str_add(out, ".\n");
}

void ladder_note_deeper(const thaw_json *s, thaw_str *out)
{
    const double effect = ladder_number(s, "design.min_effect");
    const double tolerance = ladder_number(s, "design.slice_tolerance");
    const double floor = ladder_number(s, "slice_floor");
    if (ladder_is_kind(ladder_find_chosen(s), "full")) {
        thaw_str_add(out, "Nothing: the chosen rung trains everything.\n");
        return;
    }
    thaw_str_add(out, "- A deeper rung whose whole interval lies above zero");
    if (isfinite(effect)) {
        thaw_str_add(out, " and which gains at least ");
        ladder_add_points(out, effect);
        thaw_str_add(out, " on gate");
    }
    thaw_str_add(out, ", in most seeds, without a slice that surely loses");
    if (isfinite(tolerance)) {
        thaw_str_add(out, " more than ");
        ladder_add_points(out, tolerance);
    }
    thaw_str_add(out, ".\n");
    for (LADDER_EACH(row, s, "comparisons"))
        write_needed(s, row, out);
    if (floor > 0)
        write_failing(s, floor, out);
}

void ladder_note_untried(const thaw_json *s, thaw_str *out)
{
    int64_t most = 0;
    for (LADDER_EACH(name, s, "not_run")) {
        thaw_str_add(out, "- Rung ");
        ladder_add_code(out, ladder_text(name, ""));
        thaw_str_add(out, ": the climb stopped before it.\n");
    }
    for (LADDER_EACH(rung, s, "rungs")) {
        const int64_t count = thaw_json_count(thaw_json_find(rung, "candidates"));
        most = count > most ? count : most;
    }
    thaw_str_add(out,
                 "- Another draw of the training and validation samples: all seeds share them, "
                 "so no interval covers it.\n");
    thaw_str_printf(out,
                    "- Other numbers of epochs, batch sizes, optimizers and %s: only learning "
                    "rates were searched, at most %lld a rung.\n",
                    thaw_json_bool_or(s, "augmented", false) ? "other augmentation"
                                                             : "augmentation",
                    (long long)most);
    if (thaw_json_bool_or(s, "head_from_frozen", false) &&
        (ladder_find_kind(s, "partial") != NULL || ladder_find_kind(s, "full") != NULL))
        thaw_str_add(out, "- Partial and full from a fresh head: here they start from the frozen "
                          "rung's (LP-FT), so they had its training before their own.\n");
}
