#include "thaw/ladder.h"

#include <math.h>
#include <string.h>

#include "cli/cli_impl.h"

enum { LEAST_SAMPLES = 20, USUAL_SAMPLES = 500, MOST_SAMPLES = 5000 };

static const cli_option options[] = {
    {"samples", 'n', "N",
     "samples of train and of val that go through the network at most: 20 to 5000, default 500; 0: "
     "reads the files of the run only"},
    {"source", 'S', "FILE",
     "data that the backbone was trained on: the split of the name data.train is compared with the "
     "run's"},
    {0}};

static double number(const thaw_json *json, const char *path)
{
    return thaw_json_double_or(json, path, NAN);
}

static const char *text(const thaw_json *json, const char *path)
{
    return thaw_json_string_or(json, path, "");
}

/* ---- Words --------------------------------------------------------------------------------------------------- */

/* "84.2% [83.1, 85.3]" of value, low and high under `path`; plain numbers of what is no share. */
static void add_interval(const thaw_json *json, const char *path, bool share, thaw_str *out)
{
    char key[96];
    double value[3];
    static const char *const keys[] = {"value", "low", "high"};
    for (int i = 0; i < 3; i++) {
        thaw_format(key, sizeof key, "%s.%s", path, keys[i]);
        value[i] = number(json, key);
    }
    if (isnan(value[0]))
        thaw_str_add(out, "undefined");
    else if (share)
        thaw_str_printf(out, "%.1f%% [%.1f, %.1f]", 100 * value[0], 100 * value[1], 100 * value[2]);
    else
        thaw_str_printf(out, "%.4g [%.4g, %.4g]", value[0], value[1], value[2]);
}

static void print_baseline(const thaw_json *a)
{
    const thaw_json *baseline = thaw_json_find(a, "baseline");
    const bool share = thaw_json_bool_or(baseline, "metric.share", true);
    thaw_str line = {0};
    /* A ladder has what it pairs by, a run the metric itself. */
    const bool paired = strcmp(text(a, "kind"), "ladder") == 0;
    thaw_str_printf(&line, "%s on %s: %s ",
                    text(baseline, paired ? "metric.score" : "metric.title"), text(a, "split"),
                    text(a, "rung"));
    add_interval(baseline, "run", share, &line);
    if (thaw_json_find(baseline, "scratch") != NULL) {
        thaw_str_add(&line, ", scratch ");
        add_interval(baseline, "scratch", share, &line);
    }
    cli_print("%s", thaw_str_c(&line));
    if (thaw_json_find(baseline, "against_scratch") != NULL)
        cli_print("%s", text(baseline, "against_scratch.explanation"));
    if (thaw_json_bool_or(a, "constant_predictions", false))
        cli_print("warning: every sample of %s gets the same prediction%s%s: what follows is of a "
                  "model that has learned nothing",
                  text(a, "split"), thaw_json_find(a, "constant_class") ? ", " : "",
                  text(a, "constant_class"));
    thaw_str_clear(&line);
}

static void print_gap(const thaw_json *a)
{
    const thaw_json *gap = thaw_json_find(a, "train_val_gap");
    const bool share = thaw_json_bool_or(a, "baseline.metric.share", true);
    const char *of = text(a, "baseline.metric.title");
    const double low = number(gap, "low");
    if (share && isfinite(low))
        cli_print("train - val, %s: %+.1f points [%+.1f, %+.1f] (%.1f%% and %.1f%%)", of,
                  100 * number(gap, "gap"), 100 * low, 100 * number(gap, "high"),
                  100 * number(gap, "train"), 100 * number(gap, "val"));
    else
        cli_print("train and val, %s: %.4g and %.4g; no interval is known for this difference", of,
                  number(gap, "train"), number(gap, "val"));
}

static void print_calibration(const thaw_json *a)
{
    const thaw_json *c = thaw_json_find(a, "calibration");
    if (c == NULL)
        return;
    cli_print("calibration on %s: ECE %.3f [%.3f, %.3f], Brier %.3f [%.3f, %.3f]", text(a, "split"),
              number(c, "ece"), number(c, "ece_interval.0"), number(c, "ece_interval.1"),
              number(c, "brier"), number(c, "brier_interval.0"), number(c, "brier_interval.1"));
    if (isfinite(number(c, "temperature")))
        cli_print("at the temperature %.3g that fits val: ECE %.3f, Brier %.3f",
                  number(c, "temperature"), number(c, "tempered.ece"), number(c, "tempered.brier"));
}

/* ---- Tables -------------------------------------------------------------------------------------------------- */

static void slice_row(thaw_table *table, const thaw_json *row, bool share)
{
    const double by = share ? 100 : 1;
    const char *verdict = text(row, "verdict");
    thaw_table_cell(table, text(row, "name"));
    thaw_table_printf(table, "%lld", (long long)thaw_json_int_or(row, "samples", 0));
    if (isfinite(number(row, "value")))
        thaw_table_printf(table, share ? "%.1f%%" : "%.4g", by * number(row, "value"));
    else
        thaw_table_cell(table, ""); /* no sample of it */
    if (strcmp(verdict, "too few") == 0) {
        thaw_table_cell(table, "");
        thaw_table_cell(table, "");
    } else {
        thaw_table_printf(table, share ? "%+.1f [%+.1f, %+.1f]" : "%+.4g [%+.4g, %+.4g]",
                          by * number(row, "delta"), by * number(row, "low"),
                          by * number(row, "high"));
        thaw_table_printf(table, "%.2g", number(row, "p_adjusted"));
    }
    thaw_table_cell(table, verdict);
}

static void print_slices(const thaw_json *a)
{
    const thaw_json *slices = thaw_json_find(a, "slices");
    thaw_table table = {0};
    if (thaw_json_count(slices) == 0)
        return;
    thaw_table_column(&table, "slice", THAW_LEFT);
    thaw_table_column(&table, "n", THAW_RIGHT);
    thaw_table_column(&table, text(a, "slice_score.title"), THAW_RIGHT);
    thaw_table_column(&table, "minus the rest", THAW_LEFT);
    thaw_table_column(&table, "p (Holm)", THAW_RIGHT);
    thaw_table_column(&table, "verdict", THAW_LEFT);
    for (const thaw_json *s = thaw_json_first(slices); s != NULL; s = thaw_json_next(s))
        slice_row(&table, s, true);
    cli_print("\nSlices against all other samples (failing: clearly below them; fewer than %lld "
              "support no claim):",
              (long long)thaw_json_int_or(a, "slice_min_count", 0));
    cli_print_table(&table);
    thaw_table_clear(&table);
}

static void print_motion(const thaw_json *a)
{
    const thaw_json *all = thaw_json_find(a, "motion");
    for (const thaw_json *r = thaw_json_first(all); r != NULL; r = thaw_json_next(r)) {
        thaw_str line = {0};
        const thaw_json *blocks = thaw_json_find(r, "blocks");
        for (const thaw_json *b = thaw_json_first(blocks); b != NULL; b = thaw_json_next(b))
            thaw_str_printf(&line, "%s%s %.2g", b == thaw_json_first(blocks) ? "" : ", ",
                            thaw_json_key(b), thaw_json_double_or(b, "", NAN));
        cli_print("\n%s moved the backbone, ||w - w0|| / ||w0|| by block: %s", text(r, "rung"),
                  thaw_str_c(&line));
        if (isfinite(number(r, "cka")))
            cli_print("and its features on val: CKA %.3f, cosine %.3f", number(r, "cka"),
                      number(r, "cosine"));
        thaw_str_clear(&line);
    }
}

/* Motion says how far weights went, this what that did to the features of val. */
static void print_cka(const thaw_json *a)
{
    const thaw_json *all = thaw_json_find(a, "block_cka");
    thaw_table table = {0};
    if (thaw_json_count(all) == 0)
        return;
    thaw_table_column(&table, "block", THAW_LEFT);
    for (const thaw_json *r = thaw_json_first(all); r != NULL; r = thaw_json_next(r))
        if (table.column_count < THAW_TABLE_COLUMNS)
            thaw_table_column(&table, text(r, "rung"), THAW_RIGHT);
    const int64_t blocks = thaw_json_count(thaw_json_find(all, "0.blocks"));
    for (int64_t i = 0; i < blocks; i++) {
        const thaw_json *r = thaw_json_first(all);
        thaw_table_cell(&table, text(thaw_json_at(thaw_json_find(r, "blocks"), i), "block"));
        for (int c = 1; c < table.column_count; c++, r = thaw_json_next(r))
            thaw_table_printf(&table, "%.3f",
                              number(thaw_json_at(thaw_json_find(r, "blocks"), i), "cka"));
    }
    cli_print("\nHow alike features after each block stayed (linear CKA on %lld samples of val, 1: "
              "the same but for rotation and scale):",
              (long long)thaw_json_int_or(all, "0.samples", 0));
    cli_print_table(&table);
    thaw_table_clear(&table);
}

/* By moments, and by samples where the source was named. */
static void print_source(const thaw_json *a)
{
    const thaw_json *s = thaw_json_find(a, "source_gap");
    const char *word = text(a, "depths.gap_row");
    if (thaw_json_find(a, "domain_gap") != NULL)
        cli_print("\ngap to the backbone's source: %s%s%.3f [%.3f, %.3f] of the source features' "
                  "variance; p of no gap %.2g%s",
                  word, word[0] != '\0' ? " (" : "", number(a, "domain_gap.frechet"),
                  number(a, "domain_gap.low"), number(a, "domain_gap.high"),
                  number(a, "domain_gap.p"), word[0] != '\0' ? ")" : "");
    else if (thaw_json_find(a, "depths") != NULL)
        cli_print("\ngap to the backbone's source: unknown; the backbone file has no statistics of "
                  "its source");
    if (s == NULL)
        return;
    cli_print("\nAgainst %lld samples of %s: a linear classifier takes source for target, or the "
              "reverse, in %.1f%% of the cases: proxy A-distance %.2f [%.2f, %.2f] (0: it cannot "
              "tell them apart, 2: it always can)",
              (long long)thaw_json_int_or(s, "source_samples", 0), text(s, "source"),
              100 * number(s, "proxy_a.error"), number(s, "proxy_a.distance"),
              number(s, "proxy_a.low"), number(s, "proxy_a.high"));
    cli_print("squared MMD %.4f, Gaussian kernel of width %.3g; p of no gap %.2g by %lld "
              "permutations",
              number(s, "mmd.squared"), number(s, "mmd.bandwidth"), number(s, "mmd.p"),
              (long long)thaw_json_int_or(s, "mmd.permutations", 0));
}

static void print_depths(const thaw_json *a)
{
    const thaw_json *d = thaw_json_find(a, "depths");
    if (d == NULL)
        return;
    cli_print("\nThe frozen backbone's features by depth (%lld train and %lld val samples):",
              (long long)thaw_json_int_or(d, "train_samples", 0),
              (long long)thaw_json_int_or(d, "val_samples", 0));
    cli_print_probes(d);
    cli_print("%s", text(d, "cut"));
}

static void print_labels(const thaw_json *a)
{
    const thaw_json *curve = thaw_json_find(a, "label_curve");
    const thaw_json *points = thaw_json_find(curve, "points");
    const thaw_json *m = thaw_json_find(a, "memorised");
    thaw_str line = {0};
    for (const thaw_json *p = thaw_json_first(points); p != NULL; p = thaw_json_next(p))
        thaw_str_printf(&line, "%s%.1f%% [%.1f, %.1f] of %lld", line.length > 0 ? ", " : "",
                        100 * number(p, "error"), 100 * number(p, "low"), 100 * number(p, "high"),
                        (long long)thaw_json_int_or(p, "labels", 0));
    if (curve != NULL) {
        cli_print("\nError on val of a linear probe after a quarter, half and all labels: %s",
                  thaw_str_c(&line));
        cli_print("%s", text(curve, "text"));
    }
    if (m != NULL)
        cli_print("Of %lld training labels made wrong, the probe learns %lld by heart (%.1f%% "
                  "[%.1f, %.1f]) and gives the true class of %lld",
                  (long long)thaw_json_int_or(m, "wrong", 0),
                  (long long)thaw_json_int_or(m, "memorised", 0), 100 * number(m, "share"),
                  100 * number(m, "low"), 100 * number(m, "high"),
                  (long long)thaw_json_int_or(m, "resisted", 0));
    thaw_str_clear(&line);
}

static void print_gradients(const thaw_json *a)
{
    const thaw_json *g = thaw_json_find(a, "gradients");
    const thaw_json *blocks = thaw_json_find(g, "blocks");
    thaw_table table = {0};
    if (g == NULL)
        return;
    thaw_table_column(&table, "block", THAW_LEFT);
    thaw_table_column(&table, "parameters", THAW_RIGHT);
    thaw_table_column(&table, "||gradient|| / ||weights||", THAW_LEFT);
    for (const thaw_json *b = thaw_json_first(blocks); b != NULL; b = thaw_json_next(b)) {
        thaw_table_cell(&table, text(b, "block"));
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(b, "parameters", 0));
        if (isfinite(number(b, "low")))
            thaw_table_printf(&table, "%.3g [%.3g, %.3g]", number(b, "ratio"), number(b, "low"),
                              number(b, "high"));
        else
            thaw_table_printf(&table, "%.3g", number(b, "ratio"));
    }
    cli_print("\nHow hard the training loss pulls at each frozen block (%lld batches of %lld):",
              (long long)thaw_json_int_or(g, "batches", 0),
              (long long)thaw_json_int_or(g, "batch", 0));
    cli_print_table(&table);
    if (text(g, "text")[0] != '\0')
        cli_print("%s", text(g, "text"));
    thaw_table_clear(&table);
}

static void print_unknown(const thaw_json *a)
{
    const thaw_json *list = thaw_json_find(a, "unknown");
    if (thaw_json_count(list) == 0)
        return;
    cli_print("\nNot known:");
    for (const thaw_json *item = thaw_json_first(list); item != NULL; item = thaw_json_next(item))
        cli_print("- %s", thaw_json_string_or(item, "", ""));
}

static void print(const thaw_json *a)
{
    cli_print("%s, rung %s, %lld samples of %s%s", text(a, "run"), text(a, "rung"),
              (long long)thaw_json_int_or(a, "samples", 0), text(a, "split"),
              strcmp(text(a, "split"), "val") == 0 ? ", which chose the epoch and so flatters"
                                                   : "");
    print_baseline(a);
    print_gap(a);
    print_calibration(a);
    print_slices(a);
    print_motion(a);
    print_cka(a);
    print_source(a);
    print_depths(a);
    print_labels(a);
    print_gradients(a);
    print_unknown(a);
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    const char *given = cli_value(args, "samples");
    thaw_inspect_options how = {.samples = USUAL_SAMPLES, .source = cli_value(args, "source")};
    thaw_json *answer = NULL;
    THAW_CHECK(given == NULL ||
                   (thaw_parse_int(given, &how.samples) && how.samples <= MOST_SAMPLES &&
                    (how.samples >= LEAST_SAMPLES || how.samples == 0)),
               THAW_ERR_USAGE, "--samples %s: 0, or a number from %d to %d is wanted", given,
               LEAST_SAMPLES, MOST_SAMPLES); /* uniform */
    THAW_TRY(thaw_inspect(comm, args->words[0], &how, &answer));
    if (thaw_comm_rank(comm) == 0 && args->json)
        cli_print_json(answer);
    else if (thaw_comm_rank(comm) == 0)
        print(answer);
    thaw_json_free(&answer);
    return THAW_OK;
}

const cli_command cli_inspect = {
    .usage = "RUN [--samples N] [--source FILE]",
    .doc = "looks at a finished run, or a ladder's frozen rung, before more of its backbone is "
           "trained",
    .help = "Shows the baseline against scratch, slices that fail, train against val, calibration, "
            "how far blocks and their features moved, the gap to the backbone's source, how good "
            "features are at each depth, and how hard the loss pulls at each frozen block; says "
            "what it cannot know. Trains no network and writes no "
            "file.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
