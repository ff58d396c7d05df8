#include "ladder/html_impl.h"

#include <math.h>

/* What each rung cost, how its rates were found, and what the gate could show. */

#define WIDE_RANGE 40 /* largest over smallest; from there on small bars vanish on a linear scale */

static bool needs_log(const double *values, int64_t count)
{
    double least = INFINITY;
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!(values[i] > 0) || !isfinite(values[i]))
            continue;
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    return most > WIDE_RANGE * least;
}

static void cost_chart(ladder_page *page, const char *path, const char *title, const char *axis,
                       thaw_unit unit, const char *caption)
{
    double values[PAGE_RUNGS];
    bool any = false;
    for (int64_t i = 0; i < page->count; i++) {
        values[i] = ladder_number(page->rungs[i], path);
        any = any || isfinite(values[i]);
    }
    const thaw_bar_chart chart = {.chart = {.title = title, .axis_label = axis, .unit = unit},
                                  .count = page->count,
                                  .series_count = 1,
                                  .labels = page->names,
                                  .values = values,
                                  .colours = page->colours,
                                  .log_scale = needs_log(values, page->count)};
    thaw_str words = {0};
    thaw_str_add(&words, caption);
    ladder_add_records(page, "cost", &words);
    if (any)
        thaw_html_bar(&page->html, &chart, thaw_str_c(&words));
    thaw_str_clear(&words);
}

void ladder_page_cost(ladder_page *page)
{
    thaw_str table = {0};
    thaw_html_section(&page->html, "Cost");
    cost_chart(page, "cost.core_seconds_per_run", "Core time of one run", "seconds times cores",
               THAW_UNIT_SECONDS, "From set-up to the last evaluation.");
    cost_chart(page, "cost.allreduce_bytes_per_step", "All-reduced in each step", "bytes a rank",
               THAW_UNIT_BYTES,
               "Counted where the messages are sent: what a slow network would feel.");
    ladder_note_cost(page->summary, &table);
    thaw_html_markdown(&page->html, thaw_str_c(&table));
    thaw_str_clear(&table);
}

static void candidate_cell(const ladder_page *page, thaw_table *table, const thaw_json *rung,
                           const thaw_json *candidate, bool chosen)
{
    char rate[THAW_NUMBER];
    thaw_str words = {0};
    const bool edge = thaw_json_bool_or(rung, "at_edge", false);
    ladder_source(page, table, candidate);
    thaw_number(ladder_number(candidate, "rate"), rate);
    if (isfinite(ladder_number(candidate, "rate")))
        thaw_str_printf(&words, "%s: ", rate);
    if (thaw_json_bool_or(candidate, "diverged", false))
        thaw_str_add(&words, "diverged");
    else
        ladder_add_metric(&words, page->summary, ladder_value(candidate, "val.", "metric"));
    if (chosen)
        thaw_str_add(&words, edge ? " chosen, at the edge" : " chosen");
    thaw_table_badge(table,
                     !chosen ? THAW_TONE_NONE
                     : edge  ? THAW_TONE_WARN
                             : THAW_TONE_GOOD,
                     thaw_str_c(&words));
    thaw_str_clear(&words);
}

static int64_t most_candidates(const ladder_page *page)
{
    int64_t most = 0;
    for (int64_t i = 0; i < page->count; i++) {
        const int64_t count = thaw_json_count(thaw_json_find(page->rungs[i], "candidates"));
        most = count > most ? count : most;
    }
    return most < PAGE_RUNGS ? most : PAGE_RUNGS;
}

static void search_table(ladder_page *page)
{
    const int64_t most = most_candidates(page);
    char title[120];
    thaw_table table = {0};
    thaw_format(title, sizeof title, "rate: %s on val", ladder_metric_title(page->summary));
    thaw_table_column(&table, "rung", THAW_LEFT);
    for (int64_t k = 0; k < most; k++) {
        char other[40];
        thaw_format(other, sizeof other, "candidate %lld", (long long)k + 1);
        thaw_table_column(&table, k == 0 ? title : other, THAW_LEFT);
    }
    for (int64_t i = 0; i < page->count; i++) {
        const int64_t chosen = thaw_json_int_or(page->rungs[i], "chosen_candidate", -1);
        const thaw_json *list = thaw_json_find(page->rungs[i], "candidates");
        thaw_table_cell(&table, page->names[i]);
        for (int64_t k = 0; k < most; k++) {
            if (k < thaw_json_count(list))
                candidate_cell(page, &table, page->rungs[i], thaw_json_at(list, k), k == chosen);
            else
                thaw_table_cell(&table, "");
        }
    }
    ladder_table(
        page, &table,
        "Searched with the first seed, judged on val: the head's rate for frozen, the "
        "adapter's for peft, the backbone's for partial and full, one for all in scratch. At the "
        "edge: a better rate may lie outside the range.");
}

/* The rates that came out of it, and why they are these. */
static void rates_table(ladder_page *page)
{
    static const char *const titles[] = {"rung", "rates", "why", ""};
    static const thaw_align aligns[] = {THAW_LEFT, THAW_LEFT, THAW_LEFT, THAW_LEFT};
    thaw_table table = {0};
    bool doubted = false;
    for (int64_t i = 0; i < page->count; i++) {
        thaw_str doubt = {0};
        ladder_add_doubt(&doubt, page->rungs[i]);
        doubted = doubted || doubt.length > 0;
        thaw_str_clear(&doubt);
    }
    ladder_columns(&table, titles, aligns, doubted ? 4 : 3);
    for (int64_t i = 0; i < page->count; i++) {
        thaw_str rates = {0};
        thaw_str doubt = {0};
        ladder_add_rates(&rates, page->rungs[i]);
        ladder_add_doubt(&doubt, page->rungs[i]);
        ladder_source(page, &table, thaw_json_find(page->rungs[i], "rates"));
        thaw_table_cell(&table, page->names[i]);
        thaw_table_cell(&table, thaw_str_c(&rates));
        thaw_table_cell(&table, doubt.length > 0 ? thaw_str_c(&doubt)
                                                 : ladder_text(page->rungs[i], "rates.reason"));
        if (doubted && doubt.length > 0)
            thaw_table_badge(&table, THAW_TONE_WARN, "same/unjustified learning rates");
        else if (doubted)
            thaw_table_cell(&table, "");
        thaw_str_clear(&doubt);
        thaw_str_clear(&rates);
    }
    ladder_table(page, &table, "The rates each rung was judged with.");
}

void ladder_page_rates(ladder_page *page)
{
    thaw_html_section(&page->html, "Learning rates");
    if (most_candidates(page) > 0)
        search_table(page);
    rates_table(page);
}

static void detectable_facts(ladder_page *page)
{
    for (LADDER_EACH(row, page->summary, "design.detectable")) {
        char name[100];
        thaw_format(name, sizeof name, "Smallest gain if %.0f%% of predictions change",
                    100 * ladder_number(row, "discordance"));
        ladder_fact(page, name, "%.1f points", 100 * ladder_number(row, "difference"));
    }
}

static void needed_cell(thaw_table *table, const thaw_json *row)
{
    const int64_t needed = thaw_json_int_or(row, "samples_needed", 0);
    if (needed > 0)
        thaw_table_printf(table, "%lld", (long long)needed);
    else
        thaw_table_cell(table, needed < 0 ? "no number: seeds vary too much" : "");
}

static void seen_table(ladder_page *page)
{
    const char *const titles[] = {"comparison",
                                  ladder_by_accuracy(page->summary) ? "predictions that differ"
                                                                    : "samples whose scores differ",
                                  "for a gain of, points", "gate samples needed"};
    static const thaw_align aligns[] = {THAW_LEFT, THAW_RIGHT, THAW_RIGHT, THAW_RIGHT};
    const thaw_json *rows = thaw_json_find(page->summary, "comparisons");
    thaw_table table = {0};
    if (thaw_json_count(rows) == 0)
        return;
    ladder_columns(&table, titles, aligns, 4);
    for (LADDER_EACH(row, rows, "")) {
        ladder_source(page, &table, row);
        thaw_table_printf(&table, "%s over %s", ladder_text(row, "b"), ladder_text(row, "a"));
        thaw_table_value(&table, ladder_number(row, "discordance"), THAW_UNIT_PERCENT);
        thaw_table_value(&table, ladder_number(row, "samples_needed_effect"), THAW_UNIT_POINTS);
        needed_cell(&table, row);
    }
    ladder_table(page, &table,
                 "As it turned out: with the variation seen in a comparison, how many gate samples "
                 "would show the gain that was seen, or twice the least gain worth having.");
}

void ladder_page_gate(ladder_page *page)
{
    const thaw_json *design = thaw_json_find(page->summary, "design");
    thaw_str few = {0};
    thaw_str known = {0};
    if (design == NULL)
        return;
    thaw_html_section(&page->html, "What the gate can show");
    ladder_add_link(page, "Known before training", design, &known);
    ladder_paragraph(page,
                     "%s, for %lld samples, %lld seeds, power %.0f%% and error %g "
                     "over %lld comparisons. Smaller gains may exist unseen.",
                     thaw_str_c(&known), (long long)thaw_json_int_or(design, "gate_samples", 0),
                     (long long)thaw_json_int_or(page->summary, "seeds", 0),
                     100 * ladder_number(design, "power"), ladder_number(design, "alpha"),
                     (long long)thaw_json_int_or(design, "comparisons", 0));
    thaw_str_clear(&known);
    ladder_note_leaks(page->summary, &few);
    ladder_note_few(page->summary, &few);
    thaw_html_markdown(&page->html, thaw_str_c(&few));
    thaw_str_clear(&few);
    detectable_facts(page);
    seen_table(page);
}
