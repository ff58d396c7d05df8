#include "ladder/html_impl.h"

#include <math.h>
#include <string.h>

#define FAILING "\xe2\x96\xbc" /* a black triangle that points down */

/* Slices: where scores are low, and where reuse helps or harms. */

static void slice_heads(const ladder_page *page, thaw_table *table)
{
    thaw_table_column(table, "slice", THAW_LEFT);
    thaw_table_column(table, "samples", THAW_RIGHT);
    for (int64_t i = 0; i < page->count; i++) {
        char title[THAW_RUNG_TEXT + 16];
        thaw_format(title, sizeof title, "%s%s", page->names[i],
                    i == page->chosen ? " (chosen)" : "");
        thaw_table_column(table, title, THAW_RIGHT);
    }
    thaw_table_column(table, "chosen vs scratch", THAW_LEFT);
}

/* A slice has the words of a depth verdict; against scratch they mean this. */
static const char *transfer_word(const char *verdict)
{
    if (strcmp(verdict, "clear gain") == 0)
        return "helps";
    return strcmp(verdict, "worse") == 0 ? "negative transfer" : verdict;
}

static void accuracy_cell(thaw_table *table, const thaw_json *slice)
{
    const bool failing = thaw_json_bool_or(slice, "failing", false);
    thaw_str words = {0};
    thaw_str_add(&words, failing ? FAILING " " : "");
    ladder_add_share(&words, ladder_value(slice, "", "score"));
    if (failing) {
        thaw_table_badge(table, THAW_TONE_BAD, thaw_str_c(&words));
    } else {
        thaw_table_cell(table, thaw_str_c(&words));
    }
    thaw_str_clear(&words);
}

static void slice_table(ladder_page *page, const thaw_json *slices)
{
    const thaw_json *transfer = ladder_find_transfer(page->summary, page->names[page->chosen]);
    const double floor = ladder_number(page->summary, "slice_floor");
    thaw_table table = {0};
    thaw_str caption = {0};
    slice_heads(page, &table);
    for (LADDER_EACH(slice, slices, "")) {
        const char *name = ladder_text(slice, "name");
        const char *verdict =
            transfer_word(ladder_text(ladder_find_slice(transfer, name), "verdict"));
        ladder_source(page, &table, slice);
        thaw_table_cell(&table, name);
        thaw_table_printf(&table, "%lld", (long long)thaw_json_int_or(slice, "samples", 0));
        for (int64_t i = 0; i < page->count; i++) {
            ladder_source(page, &table, ladder_find_slice(page->rungs[i], name));
            accuracy_cell(&table, ladder_find_slice(page->rungs[i], name));
        }
        thaw_table_badge(&table, ladder_verdict_tone(verdict), verdict);
    }
    ladder_add_capital(&caption, ladder_slice_title(page->summary));
    thaw_str_add(&caption, " on gate, mean of the seeds.");
    if (floor > 0)
        thaw_str_printf(&caption,
                        " %s failing: even the top of the interval is below the floor of %g%%.",
                        FAILING, 100 * floor);
    ladder_table(page, &table, thaw_str_c(&caption));
    thaw_str_clear(&caption);
}

typedef struct gains {
    const char **labels;
    double *mean, *low, *high;
    int *colours;
    int64_t count;
} gains;

static thaw_status collect_gains(const thaw_json *transfer, int colour, gains *out)
{
    const int64_t most = thaw_json_count(thaw_json_find(transfer, "slices"));
    THAW_TRY(thaw_alloc(&out->labels, most, sizeof *out->labels));
    THAW_TRY(thaw_alloc(&out->mean, most, sizeof *out->mean));
    THAW_TRY(thaw_alloc(&out->low, most, sizeof *out->low));
    THAW_TRY(thaw_alloc(&out->high, most, sizeof *out->high));
    THAW_TRY(thaw_alloc(&out->colours, most, sizeof *out->colours));
    for (LADDER_EACH(slice, transfer, "slices")) {
        const int64_t i = out->count;
        /* An empty slice has the interval of everything, which would flatten the others. */
        if (thaw_json_int_or(slice, "samples", 0) == 0)
            continue;
        out->labels[i] = ladder_text(slice, "name");
        out->mean[i] = ladder_number(slice, "delta");
        out->low[i] = ladder_number(slice, "low");
        out->high[i] = ladder_number(slice, "high");
        out->colours[i] = colour;
        out->count++;
    }
    return THAW_OK;
}

static thaw_status gain_chart(ladder_page *page)
{
    const char *name = page->names[page->chosen];
    const thaw_json *transfer = ladder_find_transfer(page->summary, name);
    gains g = {0};
    thaw_str caption = {0};
    char title[200];
    char axis[120];
    thaw_status status;
    THAW_TRY_TO(collect_gains(transfer, page->colours[page->chosen], &g));
    thaw_format(title, sizeof title, "Gain of %s over scratch by slice", name);
    thaw_format(axis, sizeof axis, "points of %s on gate", ladder_slice_title(page->summary));
    const thaw_interval_chart chart = {
        .chart = {.title = title, .axis_label = axis, .unit = THAW_UNIT_POINTS},
        .count = g.count,
        .labels = g.labels,
        .mean = g.mean,
        .low = g.low,
        .high = g.high,
        .colours = g.colours,
        .reference_label = "no difference",
        .reference = 0};
    thaw_str_add(&caption, "Left of the line the backbone harms. An interval wholly left of it is "
                           "negative transfer. Recorded by slice ");
    ladder_add_link(page, "below the comparison", transfer, &caption);
    thaw_str_add(&caption, ".");
    if (g.count > 1 && g.count <= 40)
        thaw_html_interval(&page->html, &chart, thaw_str_c(&caption));
    status = THAW_OK;
done:
    thaw_str_clear(&caption);
    thaw_free(&g.colours);
    thaw_free(&g.high);
    thaw_free(&g.low);
    thaw_free(&g.mean);
    thaw_free(&g.labels);
    return status;
}

thaw_status ladder_page_slices(ladder_page *page)
{
    const thaw_json *slices = thaw_json_find(page->rungs[page->chosen], "slices");
    thaw_str negative = {0};
    if (thaw_json_count(slices) == 0)
        return THAW_OK;
    thaw_html_section(&page->html, "Slices");
    slice_table(page, slices);
    const thaw_status status = gain_chart(page);
    thaw_html_heading(&page->html, "Negative transfer");
    ladder_note_negative(page->summary, &negative);
    thaw_html_markdown(&page->html, thaw_str_c(&negative));
    thaw_str_clear(&negative);
    return status;
}
