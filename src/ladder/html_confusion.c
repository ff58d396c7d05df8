#include "ladder/html_impl.h"

/* What changed in the confusion matrix: a deeper rung against frozen, counts over all seeds. */

#define READABLE 40 /* classes; a larger matrix is not drawn */
#define TOP      6

typedef struct change {
    int64_t K;
    const char **classes;
    int64_t *before, *after;
    double *difference;
} change;

/* The chosen rung; when that is frozen itself, the deeper rung that came nearest. -1: none. */
static int64_t deeper_rung(const ladder_page *page)
{
    int64_t best = -1;
    if (!ladder_is_kind(page->rungs[page->chosen], "frozen") &&
        !ladder_is_kind(page->rungs[page->chosen], "scratch"))
        return page->chosen;
    for (int64_t i = 0; i < page->count; i++) {
        if (ladder_is_kind(page->rungs[i], "frozen") || ladder_is_kind(page->rungs[i], "scratch"))
            continue;
        if (best < 0 || ladder_value(page->rungs[i], "gate.", "score") >
                            ladder_value(page->rungs[best], "gate.", "score"))
            best = i;
    }
    return best;
}

static void read_counts(const thaw_json *rung, int64_t *out, int64_t count)
{
    int64_t i = 0;
    for (LADDER_EACH(cell, rung, "confusion")) {
        if (i < count)
            out[i++] = thaw_json_int_or(cell, "", 0);
    }
}

static thaw_status read_change(const ladder_page *page, const thaw_json *frozen,
                               const thaw_json *deeper, change *out)
{
    int64_t i = 0;
    out->K = thaw_json_count(thaw_json_find(page->summary, "classes"));
    THAW_TRY(thaw_alloc(&out->classes, out->K, sizeof *out->classes));
    THAW_TRY(thaw_alloc(&out->before, out->K * out->K, sizeof *out->before));
    THAW_TRY(thaw_alloc(&out->after, out->K * out->K, sizeof *out->after));
    THAW_TRY(thaw_alloc(&out->difference, out->K * out->K, sizeof *out->difference));
    for (LADDER_EACH(name, page->summary, "classes"))
        out->classes[i++] = ladder_text(name, "");
    read_counts(frozen, out->before, out->K * out->K);
    read_counts(deeper, out->after, out->K * out->K);
    for (i = 0; i < out->K * out->K; i++)
        out->difference[i] = (double)(out->after[i] - out->before[i]);
    return THAW_OK;
}

static void clear_change(change *c)
{
    thaw_free(&c->difference);
    thaw_free(&c->after);
    thaw_free(&c->before);
    thaw_free(&c->classes);
}

static void matrix(ladder_page *page, const change *c, const char *name)
{
    char title[200];
    thaw_format(title, sizeof title, "Predictions on gate: %s minus frozen", name);
    const thaw_matrix_chart chart = {.chart = {.title = title},
                                     .row_count = c->K,
                                     .column_count = c->K,
                                     .row_labels = c->classes,
                                     .column_labels = c->classes,
                                     .row_title = "true class",
                                     .column_title = "predicted class",
                                     .values = c->difference,
                                     .diverging = true};
    thaw_html_matrix(&page->html, &chart,
                     "Counts over all seeds. On the diagonal more is better, elsewhere fewer.");
}

static void top_cells(ladder_page *page, const change *c, const char *name)
{
    static const char *const titles[] = {"true class", "predicted as", "frozen", "", "change", ""};
    static const thaw_align aligns[] = {THAW_LEFT,  THAW_LEFT,  THAW_RIGHT,
                                        THAW_RIGHT, THAW_RIGHT, THAW_LEFT};
    thaw_cell_change cells[TOP];
    thaw_table table = {0};
    const int64_t count = thaw_confusion_changes(c->before, c->after, c->K, cells, TOP);
    if (count == 0) {
        ladder_paragraph(page, "The two confuse the same classes, equally often.");
        return;
    }
    for (int i = 0; i < 6; i++)
        thaw_table_column(&table, i == 3 ? name : titles[i], aligns[i]);
    for (int64_t i = 0; i < count; i++) {
        const bool better = cells[i].after < cells[i].before;
        thaw_table_source(&table, NULL);
        thaw_table_cell(&table, c->classes[cells[i].label]);
        thaw_table_cell(&table, c->classes[cells[i].prediction]);
        ladder_source(page, &table, ladder_find_kind(page->summary, "frozen"));
        thaw_table_printf(&table, "%lld", (long long)cells[i].before);
        ladder_source(page, &table, ladder_find_rung(page->summary, name));
        thaw_table_printf(&table, "%lld", (long long)cells[i].after);
        thaw_table_printf(&table, "%+lld", (long long)(cells[i].after - cells[i].before));
        thaw_table_badge(&table, better ? THAW_TONE_GOOD : THAW_TONE_BAD,
                         better ? "fewer errors" : "more errors");
    }
    ladder_table(page, &table, "The confusions that changed most.");
}

thaw_status ladder_page_confusion(ladder_page *page)
{
    const thaw_json *frozen = ladder_find_kind(page->summary, "frozen");
    const int64_t deeper = deeper_rung(page);
    const int64_t K = thaw_json_count(thaw_json_find(page->summary, "classes"));
    change c = {0};
    thaw_status status;
    if (frozen == NULL || deeper < 0 || K == 0 ||
        thaw_json_count(thaw_json_find(frozen, "confusion")) != K * K ||
        thaw_json_count(thaw_json_find(page->rungs[deeper], "confusion")) != K * K)
        return THAW_OK;
    THAW_TRY_TO(read_change(page, frozen, page->rungs[deeper], &c));
    thaw_html_section(&page->html, "Confusion");
    if (deeper != page->chosen)
        ladder_paragraph(page,
                         "Frozen is the choice; this is what `%s`, the best deeper rung that "
                         "was tried, does differently.",
                         page->names[deeper]);
    if (K <= READABLE)
        matrix(page, &c, page->names[deeper]);
    else
        ladder_paragraph(page, "%lld classes are too many to draw; these are the largest changes.",
                         (long long)K);
    top_cells(page, &c, page->names[deeper]);
    status = THAW_OK;
done:
    clear_change(&c);
    return status;
}
