#include "ladder/html_impl.h"

#include <math.h>

/* The rungs on gate: their scores, each step up, each against scratch; then test. */

typedef struct dots {
    double values[THAW_MAX_SEEDS];
    int64_t count;
} dots;

static void collect_dots(const thaw_json *rung, dots *out)
{
    out->count = 0;
    for (LADDER_EACH(seed, rung, "seeds")) {
        if (out->count < THAW_MAX_SEEDS)
            out->values[out->count++] = ladder_value(seed, "gate_", "score");
    }
}

static void describe_choice(const ladder_page *page, thaw_str *out)
{
    for (int64_t i = 0; i < page->count; i++) {
        thaw_str_printf(out, "%s%s ", i > 0 ? "; " : "", page->names[i]);
        ladder_add_accuracy(out, page->rungs[i], "gate.");
    }
    thaw_str_printf(out, ". Chosen: %s.", page->names[page->chosen]);
}

static void add_chart(ladder_page *page)
{
    double mean[PAGE_RUNGS];
    double low[PAGE_RUNGS];
    double high[PAGE_RUNGS];
    dots seeds[PAGE_RUNGS];
    const double *values[PAGE_RUNGS];
    int64_t counts[PAGE_RUNGS];
    thaw_str words = {0};
    thaw_str title = {0};
    for (int64_t i = 0; i < page->count; i++) {
        mean[i] = ladder_value(page->rungs[i], "gate.", "score");
        low[i] = ladder_number(page->rungs[i], "gate.low");
        high[i] = ladder_number(page->rungs[i], "gate.high");
        collect_dots(page->rungs[i], &seeds[i]);
        values[i] = seeds[i].values;
        counts[i] = seeds[i].count;
    }
    const thaw_json *scratch = ladder_find_kind(page->summary, "scratch");
    describe_choice(page, &words);
    ladder_add_capital(&title, ladder_title(page->summary));
    thaw_str_add(&title, " on gate by rung");
    const thaw_interval_chart chart = {.chart = {.title = thaw_str_c(&title),
                                                 .description = thaw_str_c(&words),
                                                 .unit = THAW_UNIT_PERCENT},
                                       .count = page->count,
                                       .labels = page->names,
                                       .mean = mean,
                                       .low = low,
                                       .high = high,
                                       .colours = page->colours,
                                       .dots = values,
                                       .dot_counts = counts,
                                       .chosen = page->names[page->chosen],
                                       .reference_label = scratch != NULL ? "scratch" : NULL,
                                       .reference = ladder_value(scratch, "gate.", "score")};
    thaw_str caption = {0};
    thaw_str_add(&caption, "Large dot: mean of the seeds, with its interval. Small dots: single "
                           "seeds. All rungs meet the same samples, so intervals that overlap here "
                           "can still differ clearly; the differences below decide.");
    ladder_add_records(page, "gate", &caption);
    thaw_html_interval(&page->html, &chart, thaw_str_c(&caption));
    thaw_str_clear(&caption);
    thaw_str_clear(&title);
    thaw_str_clear(&words);
}

static void p_cell(thaw_table *table, double p)
{
    if (isfinite(p))
        thaw_table_printf(table, p < 0.0005 ? "< 0.001" : "%.3f", p);
    else
        thaw_table_value(table, p, THAW_UNIT_NUMBER);
}

static void difference_cell(thaw_table *table, const thaw_json *row)
{
    thaw_str words = {0};
    ladder_add_difference(&words, row);
    thaw_table_cell(table, thaw_str_c(&words));
    thaw_str_clear(&words);
}

static void badge_cell(thaw_table *table, const char *verdict)
{
    thaw_table_badge(table, ladder_verdict_tone(verdict), verdict);
}

static void add_steps(ladder_page *page)
{
    static const char *const titles[] = {"deeper rung", "verdict", "gain, points",
                                         "over",        "because", "p adjusted"};
    static const thaw_align aligns[] = {THAW_LEFT, THAW_LEFT, THAW_RIGHT,
                                        THAW_LEFT, THAW_LEFT, THAW_RIGHT};
    const thaw_json *rows = thaw_json_find(page->summary, "comparisons");
    thaw_table table = {0};
    if (thaw_json_count(rows) == 0) {
        ladder_paragraph(page, "No deeper rung was tried.");
        return;
    }
    ladder_columns(&table, titles, aligns, 6);
    for (LADDER_EACH(row, rows, "")) {
        thaw_str why = {0};
        ladder_add_reasons(&why, page->summary, row);
        ladder_source(page, &table, row);
        thaw_table_cell(&table, ladder_text(row, "b"));
        badge_cell(&table, ladder_text(row, "verdict"));
        difference_cell(&table, row);
        thaw_table_cell(&table, ladder_text(row, "a"));
        thaw_table_cell(&table, thaw_str_c(&why));
        p_cell(&table, ladder_number(row, "p_adjusted"));
        thaw_str_clear(&why);
    }
    thaw_html_heading(&page->html, "Does going deeper pay?");
    ladder_table(page, &table,
                 "Each deeper rung against the best simpler one, on the same gate samples: paired "
                 "bootstrap over samples and seeds, p corrected for the number of rungs (Holm).");
}

static void add_not_run(ladder_page *page)
{
    thaw_str names = {0};
    for (LADDER_EACH(name, page->summary, "not_run")) {
        thaw_str_add(&names, names.length > 0 ? ", " : "");
        ladder_add_code(&names, ladder_text(name, ""));
    }
    if (names.length > 0)
        ladder_paragraph(page, "The climb stopped before %s.", thaw_str_c(&names));
    thaw_str_clear(&names);
}

static void add_second_opinion(ladder_page *page)
{
    thaw_str words = {0};
    ladder_add_second_opinion(&words, page->summary);
    if (words.length > 0)
        ladder_paragraph(page, "%s", thaw_str_c(&words));
    thaw_str_clear(&words);
}

static void add_transfer(ladder_page *page)
{
    static const char *const titles[] = {"rung", "verdict", "gain, points", "slices worse"};
    static const thaw_align aligns[] = {THAW_LEFT, THAW_LEFT, THAW_RIGHT, THAW_LEFT};
    const thaw_json *rows = thaw_json_find(page->summary, "transfer_comparisons");
    thaw_table table = {0};
    if (thaw_json_count(rows) == 0)
        return;
    ladder_columns(&table, titles, aligns, 4);
    for (LADDER_EACH(row, rows, "")) {
        thaw_str worse = {0};
        for (LADDER_EACH(slice, row, "slices")) {
            if (ladder_is(slice, "verdict", "worse"))
                thaw_str_printf(&worse, "%s%s", worse.length > 0 ? ", " : "",
                                ladder_text(slice, "name"));
        }
        ladder_source(page, &table, row);
        thaw_table_cell(&table, ladder_text(row, "b"));
        badge_cell(&table, ladder_text(row, "transfer_verdict"));
        difference_cell(&table, row);
        if (worse.length > 0)
            thaw_table_badge(&table, THAW_TONE_BAD, thaw_str_c(&worse));
        else
            thaw_table_cell(&table, "none");
        thaw_str_clear(&worse);
    }
    thaw_html_heading(&page->html, "Does the backbone help at all?");
    ladder_table(page, &table,
                 "Each rung against training the same network from scratch, on gate.");
}

static void ece_cell(thaw_table *table, const thaw_json *c)
{
    thaw_str words = {0};
    ladder_add_share(&words, ladder_number(c, "ece"));
    const double low = ladder_number(c, "ece_interval.0");
    const double high = ladder_number(c, "ece_interval.1");
    if (isfinite(low) && isfinite(high))
        thaw_str_printf(&words, " [%.1f, %.1f]", 100 * low, 100 * high);
    thaw_table_cell(table, thaw_str_c(&words));
    thaw_str_clear(&words);
}

static void brier_cell(thaw_table *table, const thaw_json *c)
{
    const double low = ladder_number(c, "brier_interval.0");
    const double high = ladder_number(c, "brier_interval.1");
    if (isfinite(low) && isfinite(high))
        thaw_table_printf(table, "%.3f [%.3f, %.3f]", ladder_number(c, "brier"), low, high);
    else
        thaw_table_value(table, ladder_number(c, "brier"), THAW_UNIT_NUMBER);
}

/* Whether what is said with 80 % is right in 80 % of the cases. */
static void add_calibration(ladder_page *page)
{
    static const char *const titles[] = {"rung",        "ECE",          "Brier score",
                                         "temperature", "ECE, with it", "Brier score, with it"};
    static const thaw_align aligns[] = {THAW_LEFT,  THAW_RIGHT, THAW_RIGHT,
                                        THAW_RIGHT, THAW_RIGHT, THAW_RIGHT};
    thaw_table table = {0};
    int64_t rows = 0;
    ladder_columns(&table, titles, aligns, 6);
    for (int64_t i = 0; i < page->count; i++) {
        const thaw_json *c = thaw_json_find(page->rungs[i], "calibration");
        if (c == NULL)
            continue;
        rows++;
        ladder_source(page, &table, c);
        thaw_table_cell(&table, page->names[i]);
        ece_cell(&table, c);
        brier_cell(&table, c);
        thaw_table_printf(&table, "%.3g", ladder_number(c, "temperature"));
        ladder_source(page, &table, thaw_json_find(c, "tempered"));
        ece_cell(&table, thaw_json_find(c, "tempered"));
        brier_cell(&table, thaw_json_find(c, "tempered"));
    }
    if (rows == 0) {
        thaw_table_clear(&table);
        return;
    }
    thaw_html_heading(&page->html, "Can its probabilities be believed?");
    ladder_table(
        page, &table,
        "The first seed on gate. ECE: how far confidence is from the share that is right, "
        "over 15 bins of equal mass; of few samples it is too high, and its interval takes "
        "off what resampling adds. The temperature divides the logits and was fitted on "
        "val; it changes no prediction.");
}

void ladder_page_ladder(ladder_page *page)
{
    thaw_html_section(&page->html, "Ladder");
    add_chart(page);
    add_steps(page);
    add_not_run(page);
    add_second_opinion(page);
    add_transfer(page);
    add_calibration(page);
}

void ladder_page_test(ladder_page *page)
{
    const char *const titles[] = {"rung", ladder_title(page->summary), "chosen minus this, points"};
    static const thaw_align aligns[] = {THAW_LEFT, THAW_RIGHT, THAW_RIGHT};
    const thaw_json *rows = thaw_json_find(page->summary, "test.rungs");
    thaw_table table = {0};
    if (thaw_json_count(rows) == 0)
        return;
    ladder_columns(&table, titles, aligns, 3);
    for (LADDER_EACH(row, rows, "")) {
        const char *name = ladder_text(row, "name");
        thaw_str words = {0};
        ladder_add_accuracy(&words, row, "");
        ladder_source(page, &table, row);
        thaw_table_printf(&table, "%s%s", name,
                          ladder_is(page->summary, "chosen", name) ? " (chosen)" : "");
        thaw_table_cell(&table, thaw_str_c(&words));
        thaw_str_reset(&words);
        for (LADDER_EACH(pair, page->summary, "test.comparisons")) {
            if (!ladder_is(pair, "a", name))
                continue;
            ladder_add_difference(&words, pair);
            ladder_source(page, &table, pair);
        }
        thaw_table_cell(&table, thaw_str_c(&words));
        thaw_str_clear(&words);
    }
    thaw_html_heading(&page->html, "On test");
    ladder_table(page, &table,
                 "Opened once, after the choice, for the chosen rung and the baselines. Nothing "
                 "was decided on it.");
}
