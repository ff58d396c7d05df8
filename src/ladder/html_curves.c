#include "ladder/html_impl.h"

#include <string.h>

/* Learning curves from the metrics.jsonl of the runs: every seed, the first of a rung drawn thick. */

typedef struct curve {
    double *epoch, *accuracy, *loss, *val_loss;
    int64_t count;
} curve;

typedef struct curves {
    curve *items;
    int *rungs; /* of each curve */
    bool *first;
    int64_t count;
    thaw_str missing; /* runs without metrics */
} curves;

bool ladder_find_metrics(const ladder_page *page, const char *recorded, thaw_str *path)
{
    thaw_str run = {0};
    ladder_trial_path(page->directory, recorded, &run);
    thaw_path_join(path, thaw_str_c(&run), "metrics.jsonl");
    thaw_str_clear(&run);
    return thaw_path_exists(thaw_str_c(path));
}

static void clear_curve(curve *c)
{
    thaw_free(&c->val_loss);
    thaw_free(&c->loss);
    thaw_free(&c->accuracy);
    thaw_free(&c->epoch);
    c->count = 0;
}

/* The metric that epochs are selected by; the file of an old run has accuracy. */
static thaw_status take_rows(const thaw_json *summary, const thaw_json *rows, curve *out)
{
    char path[80] = "val.accuracy";
    if (ladder_text(summary, "metric.name")[0] != '\0')
        thaw_format(path, sizeof path, "val.%s", ladder_text(summary, "metric.name"));
    const int64_t most = thaw_json_count(rows);
    THAW_TRY(thaw_alloc(&out->epoch, most, sizeof *out->epoch));
    THAW_TRY(thaw_alloc(&out->accuracy, most, sizeof *out->accuracy));
    THAW_TRY(thaw_alloc(&out->loss, most, sizeof *out->loss));
    THAW_TRY(thaw_alloc(&out->val_loss, most, sizeof *out->val_loss));
    for (LADDER_EACH(row, rows, "")) {
        if (!ladder_is(row, "kind", "epoch"))
            continue;
        out->epoch[out->count] = ladder_number(row, "epoch");
        out->accuracy[out->count] = ladder_number(row, path);
        out->loss[out->count] = ladder_number(row, "train.loss");
        out->val_loss[out->count++] = ladder_number(row, "val.loss");
    }
    return THAW_OK;
}

/* A file that cannot be read costs its curve, not the report; that it is missing is said on the page. */
static thaw_status read_curve(const ladder_page *page, const char *recorded, curves *all,
                              curve *out)
{
    thaw_str path = {0};
    thaw_json *rows = NULL;
    thaw_status status = THAW_OK;
    const bool there = ladder_find_metrics(page, recorded, &path) &&
                       thaw_rows_read(thaw_str_c(&path), &rows) == THAW_OK;
    if (there)
        status = take_rows(page->summary, rows, out);
    if (status == THAW_OK && out->count == 0) {
        thaw_str_add(&all->missing, all->missing.length > 0 ? ", " : "");
        ladder_add_code(&all->missing, ladder_base_name(recorded));
    }
    thaw_json_free(&rows);
    thaw_str_clear(&path);
    return status;
}

static thaw_status read_curves(const ladder_page *page, curves *all)
{
    int64_t most = 0;
    for (int64_t i = 0; i < page->count; i++)
        most += thaw_json_count(thaw_json_find(page->rungs[i], "seeds"));
    THAW_TRY(thaw_alloc(&all->items, most, sizeof *all->items));
    THAW_TRY(thaw_alloc(&all->rungs, most, sizeof *all->rungs));
    THAW_TRY(thaw_alloc(&all->first, most, sizeof *all->first));
    for (int64_t i = 0; i < page->count; i++) {
        bool first = true;
        for (LADDER_EACH(seed, page->rungs[i], "seeds")) {
            curve *c = &all->items[all->count];
            THAW_TRY(read_curve(page, ladder_text(seed, "directory"), all, c));
            all->rungs[all->count] = (int)i;
            all->first[all->count] = first && c->count > 0;
            first = first && c->count == 0;
            all->count++;
        }
    }
    return THAW_OK;
}

static thaw_status draw(ladder_page *page, const curves *all, int which,
                        const thaw_line_chart *like, const char *caption)
{
    thaw_line_chart chart = *like;
    thaw_series *series = NULL;
    THAW_TRY(thaw_alloc(&series, all->count, sizeof *series));
    for (int64_t i = 0; i < all->count; i++) {
        const curve *c = &all->items[i];
        series[i] = (thaw_series){.name = all->first[i] ? page->names[all->rungs[i]] : NULL,
                                  .x = c->epoch,
                                  .y = which == 0   ? c->accuracy
                                       : which == 1 ? c->loss
                                                    : c->val_loss,
                                  .count = c->count,
                                  .colour = page->colours[all->rungs[i]],
                                  .thin = !all->first[i]};
    }
    chart.count = all->count;
    chart.series = series;
    chart.x_label = "epoch";
    chart.x_unit = THAW_UNIT_COUNT;
    thaw_html_line(&page->html, &chart, caption);
    thaw_free(&series);
    return THAW_OK;
}

static thaw_status draw_all(ladder_page *page, const curves *all)
{
    const thaw_json *s = page->summary;
    const bool share = ladder_is_share(s);
    const char *unit = ladder_is(s, "task", "regression")    ? "squared error, standardised"
                       : ladder_is(s, "task", "multi_label") ? "binary cross-entropy, nats"
                                                             : "cross-entropy, nats";
    thaw_str title = {0};
    thaw_status status;
    ladder_add_capital(&title, ladder_metric_title(s));
    thaw_str_printf(&title, " on val while training%s",
                    thaw_json_bool_or(s, "metric.lower_is_better", false) ? " (lower is better)"
                                                                          : "");
    const thaw_line_chart accuracy = {
        .chart = {.title = thaw_str_c(&title),
                  .unit = share ? THAW_UNIT_PERCENT : THAW_UNIT_NUMBER}};
    const thaw_line_chart loss = {
        .chart = {.title = "Loss on train while training", .axis_label = unit}};
    const thaw_line_chart val_loss = {
        .chart = {.title = "Loss on val while training", .axis_label = unit}};
    THAW_TRY_TO(draw(page, all, 0, &accuracy,
                     "Thick: the first seed of a rung, at its chosen rate. Thin: its other seeds. "
                     "The epoch that a run kept is linked under Every run."));
    thaw_html_details_begin(&page->html, "Losses");
    THAW_TRY_TO(draw(page, all, 1, &loss, NULL));
    status = draw(page, all, 2, &val_loss, "A loss that rises again on val shows over-fitting.");
    thaw_html_details_end(&page->html);
done:
    thaw_str_clear(&title);
    return status;
}

thaw_status ladder_page_curves(ladder_page *page)
{
    curves all = {0};
    bool any = false;
    thaw_status status;
    THAW_TRY_TO(read_curves(page, &all));
    for (int64_t i = 0; i < all.count; i++)
        any = any || all.items[i].count > 0;
    if (all.count > 0)
        thaw_html_section(&page->html, "Learning curves");
    if (any)
        THAW_TRY_TO(draw_all(page, &all));
    if (all.missing.length > 0)
        ladder_paragraph(page,
                         "Without a curve, because the run's metrics.jsonl is missing or "
                         "holds no epoch: %s.",
                         thaw_str_c(&all.missing));
    status = THAW_OK;
done:
    for (int64_t i = 0; i < all.count; i++)
        clear_curve(&all.items[i]);
    thaw_free(&all.first);
    thaw_free(&all.rungs);
    thaw_free(&all.items);
    thaw_str_clear(&all.missing);
    return status;
}
