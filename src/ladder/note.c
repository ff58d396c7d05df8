#include "ladder/note_impl.h"

#include <math.h>
#include <string.h>

/* The transfer note in Markdown, from summary.json alone: no sentence without a recorded figure. */

/* "4.1% of 275k parameters". */
static void add_trained(thaw_str *out, const thaw_json *rung)
{
    char total[40];
    thaw_unit_format(ladder_number(rung, "parameters.total"), THAW_UNIT_COUNT, total, sizeof total);
    ladder_add_share(out, ladder_trained_share(rung));
    thaw_str_printf(out, " of %s parameters", total);
}

static void write_accuracy(const thaw_json *s, const thaw_json *chosen, thaw_str *out)
{
    const double level = ladder_number(s, "design.confidence");
    const thaw_json *test = ladder_find_test(s, ladder_text(s, "chosen"));
    const bool right = ladder_by_accuracy(s);
    const int64_t seeds = thaw_json_int_or(s, "seeds", 0);
    if (right)
        thaw_str_add(out, "It is right on ");
    else
        thaw_str_printf(out, "Its %s is ", ladder_title(s));
    ladder_add_accuracy(out, chosen, "gate.");
    thaw_str_printf(out, " %s %lld gate samples (", right ? "of" : "on",
                    (long long)thaw_json_int_or(s, "design.gate_samples", 0));
    if (seeds == 1)
        thaw_str_add(out, "one seed");
    else
        thaw_str_printf(out, "mean of %lld seeds", (long long)seeds);
    if (isfinite(level))
        thaw_str_printf(out, ", %g%% interval", 100 * level);
    thaw_str_add(out, ")");
    if (test != NULL) {
        thaw_str_add(out, " and on ");
        ladder_add_accuracy(out, test, "");
        thaw_str_printf(out, " %s %lld test samples, opened once after the choice",
                        right ? "of" : "on", (long long)thaw_json_int_or(s, "test.samples", 0));
    }
    thaw_str_add(out, ".\n");
}

static void write_against(const thaw_json *s, thaw_str *out)
{
    const thaw_json *step = ladder_find_step(s, ladder_text(s, "chosen"));
    if (step != NULL) {
        thaw_str_add(out, "Against ");
        ladder_add_code(out, ladder_text(step, "a"));
        thaw_str_printf(out, ", the best simpler rung: **%s**, %s.\n", ladder_text(step, "verdict"),
                        ladder_text(step, "text"));
    } else {
        thaw_str_add(out, "No deeper rung that was tried beats it clearly.\n");
    }
    if (ladder_text(s, "transfer.verdict")[0] != '\0' && !ladder_reuse_harms(s)) {
        thaw_str_printf(out, "Against training from scratch: **%s**, ",
                        ladder_text(s, "transfer.verdict"));
        ladder_add_difference(out, thaw_json_find(s, "transfer"));
        thaw_str_add(out, " points.\n");
    }
}

/* The ladder always names the best way to reuse; whether to reuse at all comes first. */
static void write_harm(const thaw_json *s, thaw_str *out)
{
    thaw_str_add(out, "**Do not reuse this backbone as it is: negative transfer.** ");
    ladder_add_harm(out, s);
    thaw_str_add(out, "\n\n");
}

/* A baseline that was evaluated with statistics of its random start proves nothing. */
static void write_unsettled(const thaw_json *s, thaw_str *out)
{
    for (LADDER_EACH(rung, s, "rungs")) {
        const double share = thaw_json_double_or(rung, "statistics_unsettled", 0);
        if (share > 0.05)
            thaw_str_printf(out,
                            "Evaluated too early: the running statistics of `%s` are still %.0f%% "
                            "what they were before its first step; set train.batch_norm_momentum "
                            "(PyTorch's is 0.1) or more epochs.\n",
                            ladder_text(rung, "name"), 100 * share);
    }
}

/* A backbone that was held back, or should have been, is not what the rates alone would have made of it. */
static void write_limit(const thaw_json *s, thaw_str *out)
{
    for (LADDER_EACH(rung, s, "rungs")) {
        const thaw_json *l = thaw_json_find(rung, "limit");
        const bool total = strcmp(ladder_text(l, "worst.of"), "total") == 0;
        if (l == NULL)
            continue;
        thaw_str_printf(
            out,
            "The backbone of `%s` moved faster than limit.%s (%g) in %lld epochs of a seed (%lld "
            "of %lld seeds did), most in epoch %lld: %s by %.3g of its weights; ",
            ladder_text(rung, "name"), ladder_text(l, "worst.of"),
            ladder_number(l, total ? "total" : "epoch"),
            (long long)thaw_json_int_or(l, "epochs_over", 0),
            (long long)thaw_json_int_or(l, "seeds_over", 0),
            (long long)thaw_json_int_or(s, "seeds", 0),
            (long long)thaw_json_int_or(l, "worst.epoch", 0), ladder_text(l, "worst.block"),
            ladder_number(l, "worst.moved"));
        if (strcmp(ladder_text(l, "action"), "warn") == 0)
            thaw_str_add(out, "nothing was done about it.\n");
        else
            thaw_str_printf(out,
                            "%lld epochs were taken back, and it ended at %.3g of its rates.\n",
                            (long long)thaw_json_int_or(l, "epochs_undone", 0),
                            ladder_number(l, "backbone_factor"));
    }
}

/* Seen while it trained; what gate says comes after it. */
static void write_watch(const thaw_json *s, thaw_str *out)
{
    for (LADDER_EACH(rung, s, "rungs")) {
        const thaw_json *w = thaw_json_find(rung, "watch");
        if (w == NULL)
            continue;
        thaw_str_printf(
            out,
            "While `%s` trained, val was surely below that of training from scratch at the same "
            "epoch, %lld evaluations running, in %lld of %lld seeds: ",
            ladder_text(rung, "name"), (long long)thaw_json_int_or(w, "evaluations", 0),
            (long long)thaw_json_int_or(w, "seeds_below", 0),
            (long long)thaw_json_int_or(s, "seeds", 0));
        ladder_add_difference(out, w);
        thaw_str_printf(out, " points at epoch %lld of one of them; it %s.\n",
                        (long long)thaw_json_int_or(w, "epoch", 0),
                        thaw_json_bool_or(w, "stopped", false) ? "was stopped there" : "went on");
    }
}

/* What a reader of the first lines must know besides, and where the model is. */
static void write_open_ends(const thaw_json *s, const thaw_json *chosen, thaw_str *out)
{
    const char *directory = ladder_text(s, "chosen_directory");
    if (thaw_json_bool_or(chosen, "at_edge", false))
        thaw_str_add(out, "Its best rate lies at the edge of the searched range; a better one may "
                          "lie outside.\n");
    write_unsettled(s, out);
    write_limit(s, out);
    write_watch(s, out);
    const thaw_json *not_run = thaw_json_find(s, "not_run");
    if (thaw_json_count(not_run) > 0)
        thaw_str_add(out, "The climb stopped early; not run:");
    for (const thaw_json *name = thaw_json_first(not_run); name != NULL;
         name = thaw_json_next(name))
        thaw_str_printf(out, " `%s`%s", thaw_json_string_or(name, "", ""),
                        thaw_json_next(name) != NULL ? "," : ".\n");
    if (directory[0] != '\0')
        thaw_str_printf(
            out, "The model (first seed): `%s`; `thaw predict %s -o predictions.csv` applies it.\n",
            directory, directory);
}

void ladder_note_head(const thaw_json *s, thaw_str *out)
{
    const thaw_json *chosen = ladder_find_chosen(s);
    thaw_str_add(out, "# Transfer note: ");
    thaw_markdown_escape(out, ladder_text(s, "name"));
    thaw_str_add(out, "\n\n");
    if (ladder_reuse_harms(s))
        write_harm(s, out);
    thaw_str_printf(out, "**%s `%s`.** It trains %s: ",
                    ladder_reuse_harms(s) ? "If it is reused: rung" : "Use rung",
                    ladder_text(s, "chosen"), ladder_text(chosen, "trains"));
    add_trained(out, chosen);
    thaw_str_add(out, ".\n");
    write_accuracy(s, chosen, out);
    write_against(s, out);
    ladder_note_precision(s, out);
    write_open_ends(s, chosen, out);
    thaw_str_add(out, "\n");
}

static void write_gate_limits(const thaw_json *s, thaw_str *out)
{
    const int64_t clusters = thaw_json_int_or(s, "design.gate_clusters", 0);
    const thaw_json *list = thaw_json_find(s, "design.detectable");
    ladder_note_few(s, out);
    if (thaw_json_count(list) == 0)
        return;
    thaw_str_printf(out,
                    "What this gate can show was known before training (power %.0f%%, error %g "
                    "over %lld comparisons):\n\n",
                    100 * ladder_number(s, "design.power"), ladder_number(s, "design.alpha"),
                    (long long)thaw_json_int_or(s, "design.comparisons", 0));
    for (LADDER_EACH(row, list, ""))
        thaw_str_printf(out, "- a gain of %.1f points, when %.0f%% of the predictions change\n",
                        100 * ladder_number(row, "difference"),
                        100 * ladder_number(row, "discordance"));
    thaw_str_add(out, "\nSmaller gains may exist unseen.\n");
    if (clusters > 0)
        thaw_str_printf(out,
                        "The samples of a cluster were taken as independent for this; where they "
                        "agree, gate counts as its %lld clusters.\n",
                        (long long)clusters);
    thaw_str_add(out, "\n");
}

/* What the word peft stands for in this ladder. */
static void write_peft(const thaw_json *s, thaw_str *out)
{
    const char *method = thaw_json_string_or(s, "peft.method", "");
    if (method[0] != '\0')
        thaw_str_printf(out, "Rung `peft` is %s", method);
    if (strcmp(method, "lora") == 0)
        thaw_str_printf(out, " of rank %lld, alpha %g",
                        (long long)thaw_json_int_or(s, "peft.rank", 0),
                        thaw_json_double_or(s, "peft.alpha", 0));
    thaw_str_add(out, method[0] != '\0' ? ".\n\n" : "\n");
}

void ladder_note_data(const thaw_json *s, thaw_str *out)
{
    const char *between = "";
    thaw_str_add(out, "Data: ");
    ladder_add_code(out, ladder_text(s, "dataset"));
    thaw_str_add(out, ", ");
    ladder_add_columns(out, s);
    thaw_str_add(out, "; ");
    for (LADDER_EACH(split, s, "splits")) {
        thaw_str_printf(out, "%s%s %lld", between, thaw_json_key(split),
                        (long long)thaw_json_int_or(split, "", 0));
        between = ", ";
    }
    thaw_str_add(out, " samples.\nBackbone: ");
    ladder_add_code(out, ladder_text(s, "backbone"));
    thaw_str_printf(out,
                    ".\nThe same for every rung: %lld epochs of batch %lld in %lld shards, %s "
                    "augmentation, %lld seeds.\n",
                    (long long)thaw_json_int_or(s, "epochs", 0),
                    (long long)thaw_json_int_or(s, "batch", 0),
                    (long long)thaw_json_int_or(s, "shards", 0),
                    thaw_json_bool_or(s, "augmented", false) ? "with" : "without",
                    (long long)thaw_json_int_or(s, "seeds", 0));
    if (!thaw_json_bool_or(s, "any_ranks", true))
        thaw_str_add(out, "Gradients were summed in rounded numbers (`train.reduce`): another "
                          "number of ranks gives other results.\n");
    write_peft(s, out);
    ladder_note_leaks(s, out);
}

static void write_task(const thaw_json *s, thaw_str *out)
{
    thaw_str_add(out, "## The task\n\n");
    ladder_note_data(s, out);
    write_gate_limits(s, out);
}

static void ladder_row(const thaw_json *s, const thaw_json *rung, thaw_table *table)
{
    const thaw_json *step = ladder_find_step(s, ladder_text(rung, "name"));
    const thaw_json *transfer = ladder_find_transfer(s, ladder_text(rung, "name"));
    thaw_str words = {0};
    thaw_table_printf(table, "%s%s", ladder_text(rung, "name"),
                      ladder_is_chosen(s, rung) ? " (chosen)" : "");
    thaw_table_value(table, ladder_trained_share(rung), THAW_UNIT_PERCENT);
    ladder_add_metric(&words, s, ladder_value(rung, "val.", "metric"));
    thaw_table_cell(table, thaw_str_c(&words));
    thaw_str_reset(&words);
    ladder_add_accuracy(&words, rung, "gate.");
    thaw_table_cell(table, thaw_str_c(&words));
    thaw_str_reset(&words);
    if (step != NULL) {
        ladder_add_difference(&words, step);
        thaw_str_printf(&words, " over %s", ladder_text(step, "a"));
    }
    thaw_table_cell(table, step != NULL ? thaw_str_c(&words) : "baseline");
    thaw_table_cell(table, ladder_text(step, "verdict"));
    thaw_table_cell(table, ladder_text(transfer, "transfer_verdict"));
    thaw_str_clear(&words);
}

/* What validation and gate said against simpler reuse. The two may show different things: RMSE, and the variance it leaves explained. */
void ladder_note_ladder(const thaw_json *s, thaw_str *out)
{
    char val[120] = "val";
    char gate[120] = "gate";
    if (!ladder_by_accuracy(s)) {
        thaw_format(val, sizeof val, "%s on val", ladder_metric_title(s));
        thaw_format(gate, sizeof gate, "%s on gate", ladder_title(s));
    }
    const char *const titles[] = {"rung",    "trainable",      val, gate, "gain on gate, points",
                                  "verdict", "against scratch"};
    thaw_table table = {0};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_table_column(&table, titles[i], i == 1 || i == 2 ? THAW_RIGHT : THAW_LEFT);
    for (LADDER_EACH(rung, s, "rungs"))
        ladder_row(s, rung, &table);
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
    thaw_str_add(out, "\n");
}

static void write_frozen(const thaw_json *chosen, thaw_str *out)
{
    const int64_t total = thaw_json_int_or(chosen, "parameters.total", 0);
    const int64_t trained = thaw_json_int_or(chosen, "parameters.trainable", 0);
    thaw_str_printf(out, "- Trainable: %s; %lld parameters.\n", ladder_text(chosen, "trains"),
                    (long long)trained);
    if (total > trained)
        thaw_str_printf(out, "- Frozen: the other %lld parameters (%.1f%%), bit for bit.\n\n",
                        (long long)(total - trained),
                        100 * (double)(total - trained) / (double)total);
    else
        thaw_str_add(out, "- Frozen: nothing.\n\n");
}

void ladder_note_why(const thaw_json *s, thaw_str *out)
{
    for (LADDER_EACH(row, s, "comparisons")) {
        thaw_str_printf(out, "- `%s` against `%s`: **%s**, Holm-adjusted p %.3g. ",
                        ladder_text(row, "b"), ladder_text(row, "a"), ladder_text(row, "verdict"),
                        thaw_json_double_or(row, "p_adjusted", 1));
        thaw_markdown_escape(out, ladder_text(row, "explanation"));
        thaw_str_add(out, "\n");
    }
    if (thaw_json_count(thaw_json_find(s, "comparisons")) == 0)
        thaw_str_add(out, "No deeper rung was tried.\n");
    thaw_str_add(out, "\n");
    const size_t before = out->length;
    ladder_add_second_opinion(out, s);
    thaw_str_add(out, out->length > before ? "\n\n" : "");
}

static void write_depth(const thaw_json *s, thaw_str *out)
{
    thaw_str_add(out, "## What was frozen, what was trained\n\n");
    write_frozen(ladder_find_chosen(s), out);
    thaw_str_add(out, "## Why this depth\n\n");
    ladder_note_why(s, out);
}

thaw_status ladder_note_markdown(const thaw_json *summary, thaw_str *out)
{
    static const struct {
        const char *title;
        void (*write)(const thaw_json *summary, thaw_str *out);
    } parts[] = {{"Learning rates, and why these", ladder_note_rates},
                 {"Slices", ladder_note_slices},
                 {"Negative transfer", ladder_note_negative},
                 {"What moved", ladder_note_motion},
                 {"Cost", ladder_note_cost},
                 {"What would justify unfreezing more", ladder_note_deeper},
                 {"What was not tried", ladder_note_untried}};
    THAW_CHECK(ladder_find_chosen(summary) != NULL, THAW_ERR_INPUT,
               "summary.json names no chosen rung; the ladder is not complete");
    ladder_note_head(summary, out);
    write_task(summary, out);
    thaw_str_add(out, "## Each rung against simpler reuse\n\n");
    ladder_note_ladder(summary, out);
    write_depth(summary, out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        thaw_str_printf(out, "## %s\n\n", parts[i].title);
        parts[i].write(summary, out);
        thaw_str_add(out, i + 1 < sizeof parts / sizeof *parts ? "\n" : "");
    }
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
                                       "metric",
                                       "slice_score",
                                       "task",
                                       "within_margin_rung",
                                       "best_mean_rung",
                                       "not_run",
                                       "seeds",
                                       "mode",
                                       "dataset",
                                       "dataset_digest",
                                       "backbone",
                                       "precision",
                                       "rungs"};
    *out = thaw_json_new_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const thaw_json *value = thaw_json_find(summary, keys[i]);
        if (value != NULL)
            thaw_json_set_take(*out, keys[i], thaw_json_copy(value));
    }
    return THAW_OK;
}
