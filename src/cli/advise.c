#include "thaw/ladder.h"

#include <math.h>

#include "cli/cli_impl.h"

enum { LEAST_SAMPLES = 20, USUAL_SAMPLES = 500, MOST_SAMPLES = 5000 };

static const cli_option options[] = {
    {"samples", 'n', "N",
     "samples of train and of val that probes use at most: 20 to 5000, default 500"},
    {0}};

void cli_print_probes(const thaw_json *advice)
{
    thaw_table table = {0};
    thaw_table_column(&table, "after block", THAW_LEFT);
    thaw_table_column(&table, "features", THAW_RIGHT);
    thaw_table_column(&table, "LogME", THAW_RIGHT);
    thaw_table_column(&table, "H-score", THAW_RIGHT);
    thaw_table_column(&table, "linear probe on val", THAW_LEFT);
    const thaw_json *rows = thaw_json_find(advice, "probes");
    for (const thaw_json *r = thaw_json_first(rows); r != NULL; r = thaw_json_next(r)) {
        thaw_table_cell(&table, thaw_json_string_or(r, "block", ""));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(r, "features", 0));
        if (isfinite(thaw_json_double_or(r, "logme", NAN)))
            thaw_table_printf(&table, "%.3f", thaw_json_double_or(r, "logme", NAN));
        else
            thaw_table_cell(&table, "-");
        thaw_table_printf(&table, "%.3f", thaw_json_double_or(r, "h_score", NAN));
        thaw_table_printf(
            &table, "%.1f%% [%.1f, %.1f]", 100 * thaw_json_double_or(r, "accuracy", NAN),
            100 * thaw_json_double_or(r, "low", NAN), 100 * thaw_json_double_or(r, "high", NAN));
    }
    cli_print_table(&table);
    thaw_table_clear(&table);
}

/* Both shares, since samples of one kind may all look alike to a backbone. */
static void print_near(const thaw_json *near)
{
    const thaw_json *closest = thaw_json_find(near, "closest");
    cli_print(
        "near duplicates (cosine %.2f or more over all blocks): %lld of %lld val samples have "
        "one in train, %lld of %lld train samples another one in train",
        thaw_json_double_or(near, "cosine", NAN), (long long)thaw_json_int_or(near, "near_val", 0),
        (long long)thaw_json_int_or(near, "val", 0),
        (long long)thaw_json_int_or(near, "near_train", 0),
        (long long)thaw_json_int_or(near, "train", 0));
    for (const thaw_json *r = thaw_json_first(closest); r != NULL; r = thaw_json_next(r))
        cli_print("  row %lld of val and row %lld of train: %.4f",
                  (long long)thaw_json_int_or(r, "val_row", 0),
                  (long long)thaw_json_int_or(r, "train_row", 0),
                  thaw_json_double_or(r, "cosine", NAN));
    if (thaw_json_count(closest) > 0)
        cli_print("Look at them: a copy in train makes val too good, and gate and test may hold "
                  "such copies, too.");
}

static void print(const thaw_json *a)
{
    const double gap = thaw_json_double_or(a, "gap", NAN);
    cli_print("labels: %s (%lld, %.0f a class)", thaw_json_string_or(a, "labels_row", ""),
              (long long)thaw_json_int_or(a, "labels", 0),
              thaw_json_double_or(a, "labels_per_class", NAN));
    if (isfinite(gap))
        cli_print("gap to the backbone's source: %s (%.3f of the source features' variance)",
                  thaw_json_string_or(a, "gap_row", ""), gap);
    else
        cli_print("gap to the backbone's source: unknown; the backbone file has no statistics of "
                  "its source");
    const thaw_json *reasons = thaw_json_find(a, "reasons");
    for (const thaw_json *r = thaw_json_first(reasons); r != NULL; r = thaw_json_next(r))
        cli_print("  because %s", thaw_json_string_or(r, "", ""));
    cli_print("right rung: %s", thaw_json_string_or(a, "right_rung", ""));
    cli_print("first move: %s", thaw_json_string_or(a, "first_move", ""));
    cli_print("warning: %s", thaw_json_string_or(a, "warning", ""));
    cli_print("\nThe frozen backbone's features, averaged over pixels or tokens, by depth "
              "(%lld train and %lld val samples):",
              (long long)thaw_json_int_or(a, "train_samples", 0),
              (long long)thaw_json_int_or(a, "val_samples", 0));
    cli_print_probes(a);
    cli_print("%s", thaw_json_string_or(a, "cut", ""));
    print_near(thaw_json_find(a, "near"));
    cli_print("The table is from small networks (docs/evidence.md); probes rank depths, they prove "
              "nothing: `thaw ladder` judges.");
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    const char *given = cli_value(args, "samples");
    int64_t most = USUAL_SAMPLES;
    thaw_config config;
    thaw_json *advice = NULL;
    THAW_CHECK(given == NULL ||
                   (thaw_parse_int(given, &most) && most >= LEAST_SAMPLES && most <= MOST_SAMPLES),
               THAW_ERR_USAGE, "--samples %s: a number from %d to %d is wanted", given,
               LEAST_SAMPLES, MOST_SAMPLES); /* uniform */
    THAW_TRY(cli_load_config(comm, args, &config));
    const thaw_status status = thaw_advise(comm, &config, most, &advice);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0 && args->json)
        cli_print_json(advice);
    else if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        print(advice);
    thaw_json_free(&advice);
    thaw_config_clear(&config);
    return status;
}

const cli_command cli_advise = {
    .usage = "CONFIG [--samples N] [--set KEY=VALUE ...]",
    .doc = "says where to begin: label count, domain gap, and how good the frozen features are at "
           "each depth",
    .help = "Runs the frozen backbone once over some samples of train and val; trains no network. "
            "What gate and test hold is not looked at.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .config_keys = true,
    .run = run,
};
