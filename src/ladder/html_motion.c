#include "ladder/html_impl.h"

#include <math.h>
#include <string.h>

/* What moved: weights by block, features, and the gap between train and val. */

/* The rung that trained most blocks names them; the others have some of these. */
static const thaw_json *most_blocks(const ladder_page *page)
{
    const thaw_json *best = NULL;
    for (int64_t i = 0; i < page->count; i++) {
        const thaw_json *blocks = thaw_json_find(page->rungs[i], "drift.blocks");
        if (!ladder_is_kind(page->rungs[i], "scratch") &&
            thaw_json_count(blocks) > thaw_json_count(best))
            best = blocks;
    }
    return best;
}

/* A block that a rung did not train is frozen, so it moved by nothing. */
static double motion_of(const thaw_json *rung, const char *block)
{
    for (LADDER_EACH(own, rung, "drift.blocks")) {
        if (strcmp(thaw_json_key(own), block) == 0)
            return ladder_number(own, "");
    }
    return 0;
}

static bool moved_weights(const thaw_json *rung)
{
    return !ladder_is_kind(rung, "scratch") &&
           thaw_json_count(thaw_json_find(rung, "drift.blocks")) > 0;
}

static void add_unmoved(const ladder_page *page, thaw_str *out)
{
    const char *between = " No block was trained in ";
    for (int64_t i = 0; i < page->count; i++) {
        if (moved_weights(page->rungs[i]) || ladder_is_kind(page->rungs[i], "scratch"))
            continue;
        thaw_str_add(out, between);
        ladder_add_code(out, page->names[i]);
        between = ", ";
    }
    thaw_str_add(out, between[0] == ',' ? "." : "");
}

static thaw_status block_chart(ladder_page *page, const thaw_json *blocks)
{
    const char *names[PAGE_RUNGS];
    int colours[PAGE_RUNGS];
    int64_t moved = 0;
    int64_t row = 0;
    const char **labels = NULL;
    double *values = NULL;
    thaw_str caption = {0};
    thaw_status status;
    const int64_t count = thaw_json_count(blocks);
    THAW_TRY_TO(thaw_alloc(&labels, count, sizeof *labels));
    THAW_TRY_TO(thaw_alloc(&values, count * PAGE_RUNGS, sizeof *values));
    for (int64_t i = 0; i < page->count; i++) {
        if (!moved_weights(page->rungs[i]))
            continue;
        names[moved] = page->names[i];
        colours[moved++] = page->colours[i];
    }
    for (LADDER_EACH(block, blocks, "")) {
        labels[row] = thaw_json_key(block);
        for (int64_t i = 0; i < moved; i++)
            values[row * moved + i] =
                motion_of(ladder_find_rung(page->summary, names[i]), labels[row]);
        row++;
    }
    /* With one series, colours are those of the rows. */
    const thaw_bar_chart chart = {.chart = {.title = "How far each block of the backbone moved",
                                            .axis_label = "change of its weights",
                                            .unit = THAW_UNIT_PERCENT},
                                  .count = count,
                                  .series_count = moved,
                                  .labels = labels,
                                  .series_names = names,
                                  .values = values,
                                  .colours = moved > 1 ? colours : NULL};
    thaw_str_add(&caption, "`‖w − w0‖ / ‖w0‖`, mean of the seeds; a frozen block stays at 0%.");
    add_unmoved(page, &caption);
    ladder_add_records(page, "drift.blocks", &caption);
    thaw_html_bar(&page->html, &chart, thaw_str_c(&caption));
    status = THAW_OK;
done:
    thaw_str_clear(&caption);
    thaw_free(&values);
    thaw_free(&labels);
    return status;
}

static void figure_cell(thaw_table *table, double value)
{
    if (isfinite(value))
        thaw_table_printf(table, "%.3f", value);
    else
        thaw_table_value(table, NAN, THAW_UNIT_NUMBER);
}

static void gap_cell(thaw_table *table, double gap, bool share)
{
    if (share || !isfinite(gap))
        thaw_table_value(table, gap, THAW_UNIT_POINTS);
    else
        thaw_table_printf(table, "%+.4g", gap);
}

static void feature_table(ladder_page *page)
{
    const bool share = ladder_is_share(page->summary);
    const char *const titles[] = {"rung", share ? "better on train, points" : "better on train by",
                                  "CKA", "cosine"};
    static const thaw_align aligns[] = {THAW_LEFT, THAW_RIGHT, THAW_RIGHT, THAW_RIGHT};
    thaw_table table = {0};
    thaw_str caption = {0};
    ladder_columns(&table, titles, aligns, 4);
    for (int64_t i = 0; i < page->count; i++) {
        ladder_source(page, &table, page->rungs[i]);
        thaw_table_cell(&table, page->names[i]);
        gap_cell(&table, ladder_number(page->rungs[i], "train_val_gap"), share);
        ladder_source(page, &table, thaw_json_find(page->rungs[i], "drift"));
        figure_cell(&table, ladder_number(page->rungs[i], "drift.cka"));
        figure_cell(&table, ladder_number(page->rungs[i], "drift.cosine"));
    }
    thaw_str_printf(&caption,
                    "How much better %s is on train than on val: a wide gap is over-fitting. CKA "
                    "and cosine: how similar the features of val stayed to the backbone's own; 1 "
                    "is the same.",
                    ladder_metric_title(page->summary));
    ladder_table(page, &table, thaw_str_c(&caption));
    thaw_str_clear(&caption);
}

thaw_status ladder_page_motion(ladder_page *page)
{
    const thaw_json *blocks = most_blocks(page);
    thaw_status status = THAW_OK;
    thaw_html_section(&page->html, "Drift");
    if (thaw_json_count(blocks) > 0)
        status = block_chart(page, blocks);
    else
        ladder_paragraph(page, "No rung trained a block of the backbone.");
    feature_table(page);
    return status;
}
