#include "thaw/ladder.h"

#include <math.h>
#include <string.h>

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"split", 0, "NAME",
     "predictions to compare: gate, val or test; default: gate if all runs have it, else val"},
    {"many", 0, NULL,
     "a table of any number of runs against the first, p corrected for their number (Holm)"},
    {"baseline", 0, "RUN", "with --many: what the others are compared with instead of the first"},
    {"csv", 0, NULL, "one line a comparison instead of words"},
    {0}};

static const char *text_of(const thaw_json *row, const char *path)
{
    return thaw_json_string_or(row, path, "");
}

static double number_of(const thaw_json *row, const char *path)
{
    return thaw_json_double_or(row, path, NAN);
}

/* ---- Two runs ---- */

static void print_differences(const thaw_json *comparison)
{
    const thaw_json *list = thaw_json_find(comparison, "differences");
    thaw_table table = {0};
    cli_print("%s", text_of(comparison, "credit"));
    if (thaw_json_count(list) == 0)
        return;
    thaw_table_column(&table, "differs", THAW_LEFT);
    thaw_table_column(&table, "A", THAW_LEFT);
    thaw_table_column(&table, "B", THAW_LEFT);
    for (const thaw_json *r = thaw_json_first(list); r != NULL; r = thaw_json_next(r)) {
        thaw_table_cell(&table, text_of(r, "setting"));
        thaw_table_cell(&table, text_of(r, "a"));
        thaw_table_cell(&table, text_of(r, "b"));
    }
    cli_print_table(&table);
    thaw_table_clear(&table);
    cli_print("%s", "");
}

/* Below the least size a slice has no verdict, and its p is not one of the family. */
static const char *slice_verdict(const thaw_json *slice)
{
    return isnan(number_of(slice, "p_adjusted")) ? "too few" : text_of(slice, "verdict");
}

static void print_slices(const thaw_json *comparison)
{
    const thaw_json *slices = thaw_json_find(comparison, "slices");
    thaw_table table = {0};
    thaw_str title = {0};
    if (thaw_json_count(slices) == 0)
        return;
    thaw_str_printf(&title, "%s, B - A",
                    thaw_json_string_or(comparison, "slice_score.title", "accuracy"));
    thaw_table_column(&table, "slice", THAW_LEFT);
    thaw_table_column(&table, "n", THAW_RIGHT);
    thaw_table_column(&table, thaw_str_c(&title), THAW_LEFT);
    thaw_table_column(&table, "p (Holm)", THAW_RIGHT);
    thaw_table_column(&table, "verdict", THAW_LEFT);
    for (const thaw_json *s = thaw_json_first(slices); s != NULL; s = thaw_json_next(s)) {
        thaw_table_cell(&table, text_of(s, "name"));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(s, "samples", 0));
        thaw_table_cell(&table, text_of(s, "text"));
        if (isnan(number_of(s, "p_adjusted")))
            thaw_table_cell(&table, "-");
        else
            thaw_table_printf(&table, "%.3g", number_of(s, "p_adjusted"));
        thaw_table_cell(&table, slice_verdict(s));
    }
    cli_print("%s", "");
    cli_print_table(&table);
    thaw_str_clear(&title);
    thaw_table_clear(&table);
}

static void print_tests(const thaw_json *comparison)
{
    const thaw_json *m = thaw_json_at(thaw_json_find(comparison, "mcnemar"), 0);
    if (m != NULL)
        cli_print("McNemar, exact: only A right %lld, only B right %lld, p %.3g",
                  (long long)thaw_json_int_or(m, "a_only", 0),
                  (long long)thaw_json_int_or(m, "b_only", 0), number_of(m, "p_exact"));
    cli_print("loss: A %.4g, B %.4g, B - A %+.4g [%+.4g, %+.4g], p %.3g",
              number_of(comparison, "loss.mean_a"), number_of(comparison, "loss.mean_b"),
              number_of(comparison, "loss.delta"), number_of(comparison, "loss.low"),
              number_of(comparison, "loss.high"), number_of(comparison, "loss.p_two_sided"));
}

static void print_confusion(const thaw_json *comparison)
{
    const thaw_json *list = thaw_json_find(comparison, "confusion_changes");
    thaw_table table = {0};
    if (thaw_json_count(list) == 0)
        return;
    thaw_table_column(&table, "is", THAW_LEFT);
    thaw_table_column(&table, "taken for", THAW_LEFT);
    thaw_table_column(&table, "A", THAW_RIGHT);
    thaw_table_column(&table, "B", THAW_RIGHT);
    for (const thaw_json *r = thaw_json_first(list); r != NULL; r = thaw_json_next(r)) {
        thaw_table_cell(&table, text_of(r, "label"));
        thaw_table_cell(&table, text_of(r, "predicted"));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(r, "before", 0));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(r, "after", 0));
    }
    cli_print("%s", "");
    cli_print_table(&table);
    thaw_table_clear(&table);
}

static void print_cost(const thaw_json *comparison)
{
    const thaw_json *list = thaw_json_find(comparison, "cost");
    thaw_table table = {0};
    thaw_table_column(&table, "cost", THAW_LEFT);
    thaw_table_column(&table, "A", THAW_RIGHT);
    thaw_table_column(&table, "B", THAW_RIGHT);
    thaw_table_column(&table, "B / A", THAW_RIGHT);
    for (const thaw_json *r = thaw_json_first(list); r != NULL; r = thaw_json_next(r)) {
        const char *name = text_of(r, "name");
        const thaw_unit unit = strncmp(name, "bytes", 5) == 0  ? THAW_UNIT_BYTES
                               : strncmp(name, "core", 4) == 0 ? THAW_UNIT_NUMBER
                                                               : THAW_UNIT_COUNT;
        thaw_table_cell(&table, name);
        thaw_table_value(&table, number_of(r, "a"), unit);
        thaw_table_value(&table, number_of(r, "b"), unit);
        thaw_table_value(&table, number_of(r, "ratio"), THAW_UNIT_NUMBER);
    }
    cli_print("%s", "");
    cli_print_table(&table);
    thaw_table_clear(&table);
}

static void print_limits(const thaw_json *comparison)
{
    const thaw_json *limits = thaw_json_find(comparison, "limits");
    cli_print("%s", "");
    for (const thaw_json *l = thaw_json_first(limits); l != NULL; l = thaw_json_next(l))
        cli_print("- %s", thaw_json_string_or(l, "", ""));
}

static void print_two(const thaw_json *comparison)
{
    cli_print("A: %s\nB: %s", text_of(comparison, "a"), text_of(comparison, "b"));
    print_differences(comparison);
    cli_print("B - A on %s, %s: %s: %s", text_of(comparison, "split"),
              text_of(comparison, "metric.score"), text_of(comparison, "text"),
              text_of(comparison, "verdict"));
    cli_print("%s", text_of(comparison, "explanation"));
    print_tests(comparison);
    print_slices(comparison);
    print_confusion(comparison);
    print_cost(comparison);
    print_limits(comparison);
}

/* ---- Many ---- */

/* Settings alone, for a cell: "rung, rates.head". */
static void join_differences(const thaw_json *comparison, const char *between, thaw_str *out)
{
    const thaw_json *list = thaw_json_find(comparison, "differences");
    for (const thaw_json *r = thaw_json_first(list); r != NULL; r = thaw_json_next(r)) {
        thaw_str_add(out, text_of(r, "setting"));
        thaw_str_add(out, thaw_json_next(r) != NULL ? between : "");
    }
}

static void print_many(const thaw_json *list)
{
    const thaw_json *first = thaw_json_first(list);
    thaw_table table = {0};
    static const char *const titles[] = {"run",     "run - baseline",    "p (Holm)",
                                         "verdict", "core hours, ratio", "differs"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_table_column(&table, titles[i], i == 2 || i == 4 ? THAW_RIGHT : THAW_LEFT);
    for (const thaw_json *r = first; r != NULL; r = thaw_json_next(r)) {
        thaw_str differs = {0};
        join_differences(r, ", ", &differs);
        thaw_table_cell(&table, text_of(r, "b"));
        thaw_table_cell(&table, text_of(r, "text"));
        thaw_table_printf(&table, "%.3g", number_of(r, "p_adjusted"));
        thaw_table_cell(&table, text_of(r, "verdict"));
        thaw_table_value(&table, number_of(r, "cost.0.ratio"), THAW_UNIT_NUMBER);
        thaw_table_cell(&table, differs.length == 0 ? "nothing" : thaw_str_c(&differs));
        thaw_str_clear(&differs);
    }
    cli_print("baseline: %s, %s on %s (%lld samples)", text_of(first, "a"),
              text_of(first, "metric.score"), text_of(first, "split"),
              (long long)thaw_json_int_or(first, "samples", 0));
    cli_print_table(&table);
    thaw_table_clear(&table);
    cli_print("p is two-sided and corrected for %lld comparisons (Holm). Where more than one thing "
              "differs, no one of them can be credited. One run a side: seeds are in no interval.",
              (long long)thaw_json_count(list));
}

static void print_csv(const thaw_json *list)
{
    static const char *const numbers[] = {"samples",    "clusters",   "mean_a",      "mean_b",
                                          "delta",      "low",        "high",        "p_two_sided",
                                          "p_adjusted", "loss.delta", "cost.0.ratio"};
    static const char *const words[] = {"a", "b", "split", "verdict"};
    const size_t word_count = sizeof words / sizeof *words;
    const size_t number_count = sizeof numbers / sizeof *numbers;
    thaw_table table = {0};
    thaw_str text = {0};
    for (size_t i = 0; i < word_count; i++)
        thaw_table_column(&table, words[i], THAW_LEFT);
    for (size_t i = 0; i + 1 < number_count; i++)
        thaw_table_column(&table, numbers[i], THAW_LEFT);
    thaw_table_column(&table, "core_hours_ratio", THAW_LEFT);
    thaw_table_column(&table, "differences", THAW_LEFT);
    for (const thaw_json *r = thaw_json_first(list); r != NULL; r = thaw_json_next(r)) {
        for (size_t i = 0; i < word_count; i++)
            thaw_table_cell(&table, text_of(r, words[i]));
        for (size_t i = 0; i < number_count; i++) {
            char number[THAW_NUMBER];
            thaw_number(number_of(r, numbers[i]), number);
            thaw_table_cell(&table, number);
        }
        thaw_str_reset(&text);
        join_differences(r, " ", &text);
        thaw_table_cell(&table, thaw_str_c(&text));
    }
    thaw_str_reset(&text);
    thaw_table_csv(&table, &text);
    /* The line's end is the printer's. */
    cli_print("%.*s", (int)(text.length > 0 ? text.length - 1 : 0), thaw_str_c(&text));
    thaw_str_clear(&text);
    thaw_table_clear(&table);
}

static void print(const cli_args *args, thaw_json *list)
{
    if (cli_flag(args, "csv"))
        print_csv(list);
    else if (args->json && !cli_flag(args, "many"))
        cli_print_json(thaw_json_first(list));
    else if (args->json)
        cli_print_json(list);
    else if (cli_flag(args, "many"))
        print_many(list);
    else
        print_two(thaw_json_first(list));
}

/* ---- What is asked for ---- */

/* The baseline first; a run that is named as such and in the list is there once. */
static thaw_status gather(const cli_args *args, const char **runs, int64_t *count)
{
    const char *baseline = cli_value(args, "baseline");
    const bool many = cli_flag(args, "many");
    THAW_CHECK(many || args->word_count == 2, THAW_ERR_USAGE,
               "compare takes two runs, not %d; --many makes a table of more", args->word_count);
    THAW_CHECK(many || baseline == NULL, THAW_ERR_USAGE,
               "--baseline goes with --many; of two runs the first is it");
    THAW_CHECK(!args->json || !cli_flag(args, "csv"), THAW_ERR_USAGE,
               "--json and --csv are two answers; ask for one");
    if (baseline != NULL)
        runs[(*count)++] = baseline;
    for (int i = 0; i < args->word_count; i++) {
        if (baseline == NULL || strcmp(args->words[i], baseline) != 0)
            runs[(*count)++] = args->words[i];
    }
    THAW_CHECK(*count > 1, THAW_ERR_USAGE, "compare needs a run besides the baseline %s", runs[0]);
    for (int64_t i = 0; many && i < *count; i++) {
        for (int64_t j = 0; j < i; j++)
            THAW_CHECK(strcmp(runs[i], runs[j]) != 0, THAW_ERR_USAGE,
                       "%s is there twice; each run is compared once", runs[i]);
    }
    return THAW_OK;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    const char *runs[CLI_MOST_WORDS + 1];
    int64_t count = 0;
    thaw_json *list = NULL;
    THAW_TRY(gather(args, runs, &count)); /* uniform */
    THAW_TRY(thaw_ladder_compare_runs(comm, runs, count, cli_value(args, "split"), &list));
    if (thaw_comm_rank(comm) == 0)
        print(args, list);
    thaw_json_free(&list);
    return THAW_OK;
}

const cli_command cli_compare = {
    .usage = "RUN_A RUN_B [--split NAME] | --many RUN RUN ... [--baseline RUN]",
    .doc = "compares runs on the same samples, paired, overall and per slice",
    .help = "Lists every setting that differs and credits none where it is more than one. Samples "
            "are paired by their ids. p is two-sided; of slices it is corrected for their number "
            "(Holm), where they are large enough.",
    .options = options,
    .least_words = 1,
    .most_words = CLI_MOST_WORDS,
    .run = run,
};
