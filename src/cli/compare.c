#include "thaw/ladder.h"

#include <string.h>

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"split", 0, "NAME",
     "predictions to compare: gate, val or test; default: gate if both runs have it, else val"},
    {0}};

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
    thaw_table_column(&table, "verdict", THAW_LEFT);
    for (const thaw_json *s = thaw_json_first(slices); s != NULL; s = thaw_json_next(s)) {
        thaw_table_cell(&table, thaw_json_string_or(s, "name", ""));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(s, "samples", 0));
        thaw_table_cell(&table, thaw_json_string_or(s, "text", ""));
        thaw_table_cell(&table, thaw_json_string_or(s, "verdict", ""));
    }
    cli_print("%s", "");
    cli_print_table(&table);
    thaw_str_clear(&title);
    thaw_table_clear(&table);
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_json *comparison = NULL;
    THAW_TRY(thaw_ladder_compare_runs(comm, args->words[0], args->words[1],
                                      cli_value(args, "split"), &comparison));
    if (thaw_comm_rank(comm) == 0 && args->json)
        cli_print_json(comparison);
    else if (thaw_comm_rank(comm) == 0) {
        cli_print("A: %s\nB: %s", args->words[0], args->words[1]);
        cli_print("B - A on %s, %s: %s: %s", thaw_json_string_or(comparison, "split", ""),
                  thaw_json_string_or(comparison, "metric.score", ""),
                  thaw_json_string_or(comparison, "text", ""),
                  thaw_json_string_or(comparison, "verdict", ""));
        cli_print("%s", thaw_json_string_or(comparison, "explanation", ""));
        print_slices(comparison);
    }
    thaw_json_free(&comparison);
    return THAW_OK;
}

const cli_command cli_compare = {
    .usage = "RUN_A RUN_B [--split NAME]",
    .doc = "compares two runs on the same samples, paired, overall and per slice",
    .options = options,
    .least_words = 2,
    .most_words = 2,
    .run = run,
};
