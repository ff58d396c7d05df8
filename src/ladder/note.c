#include <math.h>
#include <string.h>

#include "ladder/ladder_impl.h"

/* The transfer note in Markdown, from summary.json alone: no sentence without a recorded figure. */

static const char *text(const thaw_json *j, const char *path)
{
    return thaw_json_string_or(j, path, "");
}

static double number(const thaw_json *j, const char *path)
{
    return thaw_json_double_or(j, path, NAN);
}

static const thaw_json *rung_named(const thaw_json *summary, const char *name)
{
    for (const thaw_json *r = thaw_json_first(thaw_json_find(summary, "rungs")); r != NULL;
         r = thaw_json_next(r)) {
        if (strcmp(text(r, "name"), name) == 0)
            return r;
    }
    return NULL;
}

/* The rung whose name is a kind or begins with it ("partial" finds "partial:1"). */
static bool is_rung(const thaw_json *rung, const char *kind)
{
    return thaw_starts_with(text(rung, "name"), kind);
}

static void percent(thaw_str *out, double value)
{
    thaw_str_printf(out, "%.1f %%", 100 * value);
}

static void interval(thaw_str *out, const thaw_json *j, const char *name)
{
    char path[3][64];
    thaw_format(path[0], sizeof path[0], "%saccuracy", name);
    thaw_format(path[1], sizeof path[1], "%slow", name);
    thaw_format(path[2], sizeof path[2], "%shigh", name);
    percent(out, number(j, path[0]));
    thaw_str_printf(out, " [%.1f, %.1f]", 100 * number(j, path[1]), 100 * number(j, path[2]));
}

/* ---- Sections ---------------------------------------------------------------------------------------------- */

static void write_head(const thaw_json *s, thaw_str *out)
{
    const thaw_json *chosen = rung_named(s, text(s, "chosen"));
    thaw_str_printf(out, "# Transfer note: %s\n\n", text(s, "name"));
    thaw_str_printf(out,
                    "**Use rung `%s`.** It trains %s (%lld of %lld parameters) and is right on ",
                    text(s, "chosen"), text(chosen, "trains"),
                    (long long)thaw_json_int_or(chosen, "parameters.trainable", 0),
                    (long long)thaw_json_int_or(chosen, "parameters.total", 0));
    interval(out, chosen, "gate.");
    thaw_str_printf(out, " of %lld gate samples (mean of %lld seeds, %.0f %% interval).",
                    (long long)thaw_json_int_or(s, "design.gate_samples", 0),
                    (long long)thaw_json_int_or(s, "seeds", 0), 95.0);
    const thaw_json *test = thaw_json_at(thaw_json_find(s, "test.rungs"), 0);
    if (test != NULL) {
        thaw_str_printf(out, " On the test split, opened once after the choice: ");
        interval(out, test, "");
        thaw_str_printf(out, " of %lld samples.",
                        (long long)thaw_json_int_or(s, "test.samples", 0));
    }
    thaw_str_printf(out, "\n\nTransfer against scratch: **%s** (%s)\n\n",
                    text(s, "transfer.verdict"), text(s, "transfer.explanation"));
}

static void write_task(const thaw_json *s, thaw_str *out)
{
    thaw_str_add(out, "## The task\n\n");
    thaw_str_printf(out, "Data: `%s`, %lld classes;", text(s, "dataset"),
                    (long long)thaw_json_count(thaw_json_find(s, "classes")));
    const thaw_json *splits = thaw_json_find(s, "splits");
    for (const thaw_json *x = thaw_json_first(splits); x != NULL; x = thaw_json_next(x))
        thaw_str_printf(out, "%s %s %lld", x == thaw_json_first(splits) ? "" : ",",
                        thaw_json_key(x), (long long)thaw_json_int_or(x, "", 0));
    thaw_str_printf(out,
                    " samples. Backbone: `%s`. %lld epochs of batch %lld in %lld shards%s, the "
                    "same for every rung.\n\n",
                    text(s, "backbone"), (long long)thaw_json_int_or(s, "epochs", 0),
                    (long long)thaw_json_int_or(s, "batch", 0),
                    (long long)thaw_json_int_or(s, "shards", 0),
                    thaw_json_bool_or(s, "augmented", false) ? ", with augmentation"
                                                             : ", without augmentation");
    thaw_str_printf(out,
                    "Before training it was clear that this gate can show (power %.0f %%, error "
                    "%.2g over %lld comparisons):",
                    100 * number(s, "design.power"), number(s, "design.alpha"),
                    (long long)thaw_json_int_or(s, "design.comparisons", 0));
    for (const thaw_json *d = thaw_json_first(thaw_json_find(s, "design.detectable")); d != NULL;
         d = thaw_json_next(d))
        thaw_str_printf(out, " a gain of %.1f points when %.0f %% of predictions change;",
                        100 * number(d, "difference"), 100 * number(d, "discordance"));
    thaw_str_add(out, " smaller gains may exist unseen.\n\n");
}

static const thaw_json *step_of(const thaw_json *s, const char *rung)
{
    for (const thaw_json *c = thaw_json_first(thaw_json_find(s, "comparisons")); c != NULL;
         c = thaw_json_next(c)) {
        if (strcmp(text(c, "b"), rung) == 0)
            return c;
    }
    return NULL;
}

static const thaw_json *transfer_of(const thaw_json *s, const char *rung)
{
    for (const thaw_json *c = thaw_json_first(thaw_json_find(s, "transfer_comparisons")); c != NULL;
         c = thaw_json_next(c)) {
        if (strcmp(text(c, "b"), rung) == 0)
            return c;
    }
    return NULL;
}

static void write_ladder(const thaw_json *s, thaw_str *out)
{
    static const char *const titles[] = {
        "rung", "trainable", "gate accuracy", "against simpler", "verdict", "against scratch"};
    thaw_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_table_column(&table, titles[i], i == 1 ? THAW_RIGHT : THAW_LEFT);
    for (const thaw_json *r = thaw_json_first(thaw_json_find(s, "rungs")); r != NULL;
         r = thaw_json_next(r)) {
        const thaw_json *step = step_of(s, text(r, "name"));
        const thaw_json *transfer = transfer_of(s, text(r, "name"));
        thaw_str accuracy = {0};
        interval(&accuracy, r, "gate.");
        thaw_table_printf(&table, "%s%s", text(r, "name"),
                          strcmp(text(r, "name"), text(s, "chosen")) == 0 ? " (chosen)" : "");
        thaw_table_printf(&table, "%lld",
                          (long long)thaw_json_int_or(r, "parameters.trainable", 0));
        thaw_table_cell(&table, thaw_str_c(&accuracy));
        thaw_table_printf(&table, "%s%s%s", step ? text(step, "text") : "baseline",
                          step ? " vs " : "", step ? text(step, "a") : "");
        thaw_table_cell(&table, step ? text(step, "verdict") : "");
        thaw_table_cell(&table, transfer ? text(transfer, "transfer_verdict") : "");
        thaw_str_clear(&accuracy);
    }
    thaw_str_add(out, "## The ladder on gate\n\n");
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
    thaw_str_add(out, "\n");
}

/* What was frozen, what trained, and why that depth. */
static void write_depth(const thaw_json *s, thaw_str *out)
{
    const thaw_json *chosen = rung_named(s, text(s, "chosen"));
    const int64_t total = thaw_json_int_or(chosen, "parameters.total", 0);
    const int64_t trained = thaw_json_int_or(chosen, "parameters.trainable", 0);
    thaw_str_printf(out,
                    "## Why this depth\n\nTrained: %s. Frozen: the other %lld parameters (%.1f "
                    "%%), bit for bit.\n\n",
                    text(chosen, "trains"), (long long)(total - trained),
                    100 * (double)(total - trained) / (double)total);
    for (const thaw_json *c = thaw_json_first(thaw_json_find(s, "comparisons")); c != NULL;
         c = thaw_json_next(c))
        thaw_str_printf(out, "- `%s` against `%s`: **%s**, %s (Holm-adjusted p %.3g). %s\n",
                        text(c, "b"), text(c, "a"), text(c, "verdict"), text(c, "text"),
                        number(c, "p_adjusted"), text(c, "explanation"));
    const char *one_se = text(s, "one_se_rung");
    thaw_str_printf(
        out,
        "\nSecond opinion: the simplest rung within one standard error of the best mean (`%s`) is "
        "`%s`%s.\n\n",
        text(s, "best_mean_rung"), one_se,
        strcmp(one_se, text(s, "chosen")) == 0
            ? ", the same"
            : "; the choice above asks for a clear gain at each step, so the two may differ");
}

static void write_rates(const thaw_json *s, thaw_str *out)
{
    thaw_str_add(out, "## Learning rates\n\n");
    for (const thaw_json *r = thaw_json_first(thaw_json_find(s, "rungs")); r != NULL;
         r = thaw_json_next(r)) {
        const char *reason = text(r, "rates.reason");
        thaw_str_printf(out, "- `%s`: head %g", text(r, "name"), number(r, "rates.head"));
        if (is_rung(r, "peft"))
            thaw_str_printf(out, ", adapter %g", number(r, "rates.adapter"));
        if (is_rung(r, "partial") || is_rung(r, "full") || is_rung(r, "scratch"))
            thaw_str_printf(out, ", backbone %g", number(r, "rates.backbone"));
        thaw_str_printf(out, ". %s%s\n",
                        reason[0] != '\0' ? reason
                                          : "Same/unjustified learning rates: no reason was given",
                        thaw_json_bool_or(r, "at_edge", false)
                            ? "; the best candidate lies at the edge of the searched range, so a "
                              "better rate may lie outside"
                            : "");
    }
    thaw_str_add(out, "\n");
}

static void write_slices(const thaw_json *s, thaw_str *out)
{
    const thaw_json *first = thaw_json_at(thaw_json_find(s, "rungs"), 0);
    const int64_t count = thaw_json_count(thaw_json_find(first, "slices"));
    if (count == 0)
        return;
    thaw_table table = {0};
    thaw_table_column(&table, "slice", THAW_LEFT);
    thaw_table_column(&table, "n", THAW_RIGHT);
    for (const thaw_json *r = thaw_json_first(thaw_json_find(s, "rungs")); r != NULL;
         r = thaw_json_next(r))
        thaw_table_column(&table, text(r, "name"), THAW_RIGHT);
    for (int64_t i = 0; i < count; i++) {
        const thaw_json *slice = thaw_json_at(thaw_json_find(first, "slices"), i);
        thaw_table_cell(&table, text(slice, "name"));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(slice, "samples", 0));
        for (const thaw_json *r = thaw_json_first(thaw_json_find(s, "rungs")); r != NULL;
             r = thaw_json_next(r)) {
            const thaw_json *own = thaw_json_at(thaw_json_find(r, "slices"), i);
            thaw_table_printf(&table, "%.1f%s", 100 * number(own, "accuracy"),
                              thaw_json_bool_or(own, "failing", false) ? " (failing)" : "");
        }
    }
    thaw_str_add(out, "## Slices (gate accuracy, %)\n\n");
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
    thaw_str_add(out, "\n");
    for (const thaw_json *c = thaw_json_first(thaw_json_find(s, "transfer_comparisons")); c != NULL;
         c = thaw_json_next(c)) {
        for (const thaw_json *x = thaw_json_first(thaw_json_find(c, "slices")); x != NULL;
             x = thaw_json_next(x)) {
            if (strcmp(text(x, "verdict"), "worse") == 0)
                thaw_str_printf(out,
                                "- Negative transfer on slice `%s`: rung `%s` is worse than "
                                "scratch there, %s.\n",
                                text(x, "name"), text(c, "b"), text(x, "text"));
        }
    }
    thaw_str_add(out, "\n");
}

static void write_drift(const thaw_json *s, thaw_str *out)
{
    thaw_str_add(out, "## What moved\n\n");
    for (const thaw_json *r = thaw_json_first(thaw_json_find(s, "rungs")); r != NULL;
         r = thaw_json_next(r)) {
        const thaw_json *blocks = thaw_json_find(r, "drift.blocks");
        double largest = 0;
        const char *where = "";
        for (const thaw_json *b = thaw_json_first(blocks); b != NULL; b = thaw_json_next(b)) {
            if (number(b, "") > largest) {
                largest = number(b, "");
                where = thaw_json_key(b);
            }
        }
        thaw_str_printf(out, "- `%s`: train accuracy above val by %+.1f points", text(r, "name"),
                        100 * number(r, "train_val_gap"));
        if (largest > 0)
            thaw_str_printf(out, "; weights moved most in %s (%.1f %% of their norm)", where,
                            100 * largest);
        if (!isnan(number(r, "drift.cka")))
            thaw_str_printf(out, "; features on val keep a linear CKA of %.3f with the backbone's",
                            number(r, "drift.cka"));
        thaw_str_add(out, ".\n");
    }
    thaw_str_add(out, "\n");
}

static void write_cost(const thaw_json *s, thaw_str *out)
{
    static const char *const titles[] = {
        "rung", "runs", "core-seconds", "samples/s", "all-reduced a step", "peak memory a rank"};
    thaw_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_table_column(&table, titles[i], i == 0 ? THAW_LEFT : THAW_RIGHT);
    for (const thaw_json *r = thaw_json_first(thaw_json_find(s, "rungs")); r != NULL;
         r = thaw_json_next(r)) {
        thaw_table_cell(&table, text(r, "name"));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(r, "cost.trials", 0));
        thaw_table_printf(&table, "%.1f", number(r, "cost.core_seconds"));
        thaw_table_printf(&table, "%.0f%s", number(r, "cost.samples_per_second"),
                          thaw_json_bool_or(r, "cost.cached_features", false) ? " (cached features)"
                                                                              : "");
        thaw_table_value(&table, number(r, "cost.allreduce_bytes_per_step"), THAW_UNIT_BYTES);
        thaw_table_value(&table, number(r, "cost.peak_rss_bytes_per_rank"), THAW_UNIT_BYTES);
    }
    thaw_str_add(out, "## Cost (rate search included)\n\n");
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
    thaw_str_add(out, "\n");
}

/* What would change our mind, from what the comparisons turned out to need. */
static void write_outlook(const thaw_json *s, thaw_str *out)
{
    thaw_str_add(out, "## What would justify going deeper\n\n");
    const double effect = number(s, "design.min_effect");
    thaw_str_printf(out,
                    "- A deeper rung whose whole interval lies above zero and which gains at least "
                    "%.1f points on gate, in most seeds, "
                    "without a slice that surely falls by more than the tolerance.\n",
                    100 * effect);
    for (const thaw_json *c = thaw_json_first(thaw_json_find(s, "comparisons")); c != NULL;
         c = thaw_json_next(c)) {
        const int64_t needed = thaw_json_int_or(c, "samples_needed", 0);
        if (strcmp(text(c, "verdict"), "inconclusive") == 0 && needed > 0)
            thaw_str_printf(out,
                            "- `%s` against `%s` stayed open: with the variation seen here, about "
                            "%lld gate samples would show a gain of %.1f points.\n",
                            text(c, "b"), text(c, "a"), (long long)needed,
                            100 * number(c, "samples_needed_effect"));
    }
    if (number(s, "slice_floor") > 0)
        thaw_str_printf(out, "- A slice that stays below %.0f %%.\n",
                        100 * number(s, "slice_floor"));
    thaw_str_add(out, "\n## What was not tried\n\n");
    for (const thaw_json *x = thaw_json_first(thaw_json_find(s, "not_run")); x != NULL;
         x = thaw_json_next(x))
        thaw_str_printf(out, "- Rung `%s`: the climb stopped before it.\n", text(x, ""));
    thaw_str_printf(out, "- Another draw of the training and validation samples: all seeds share "
                         "them, so the intervals do not cover it.\n");
    thaw_str_printf(out,
                    "- Other numbers of epochs, batch sizes, optimizers and %s; only learning "
                    "rates were searched, %lld candidates a rung.\n",
                    thaw_json_bool_or(s, "augmented", false) ? "other augmentation"
                                                             : "augmentation",
                    (long long)thaw_json_count(
                        thaw_json_find(thaw_json_at(thaw_json_find(s, "rungs"), 0), "candidates")));
    if (thaw_json_bool_or(s, "head_from_frozen", false))
        thaw_str_add(out, "- Partial and full from a fresh head: here they start from the frozen "
                          "rung's (LP-FT), so they had its training before their own.\n");
}

thaw_status ladder_note_markdown(const thaw_json *summary, thaw_str *out)
{
    const thaw_json *chosen = rung_named(summary, text(summary, "chosen"));
    THAW_CHECK(chosen != NULL, THAW_ERR_INPUT,
               "summary.json names no chosen rung; the ladder is not complete");
    write_head(summary, out);
    write_task(summary, out);
    write_ladder(summary, out);
    write_depth(summary, out);
    write_rates(summary, out);
    write_slices(summary, out);
    write_drift(summary, out);
    write_cost(summary, out);
    write_outlook(summary, out);
    return THAW_OK;
}

/* The note for programs: the summary without what only the report needs. */
thaw_status ladder_note_json(const thaw_json *summary, thaw_json **out)
{
    static const char *const keys[] = {"name",
                                       "version",
                                       "chosen",
                                       "chosen_directory",
                                       "transfer",
                                       "design",
                                       "splits",
                                       "comparisons",
                                       "transfer_comparisons",
                                       "test",
                                       "one_se_rung",
                                       "best_mean_rung",
                                       "not_run",
                                       "seeds",
                                       "mode",
                                       "dataset",
                                       "dataset_digest",
                                       "backbone"};
    *out = thaw_json_new_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const thaw_json *value = thaw_json_find(summary, keys[i]);
        if (value != NULL)
            thaw_json_set_take(*out, keys[i], thaw_json_copy(value));
    }
    thaw_json *rungs = thaw_json_set_array(*out, "rungs");
    for (const thaw_json *r = thaw_json_first(thaw_json_find(summary, "rungs")); r != NULL;
         r = thaw_json_next(r))
        thaw_json_add_take(rungs, thaw_json_copy(r));
    return THAW_OK;
}
