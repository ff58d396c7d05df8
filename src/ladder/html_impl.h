/* html_impl.h - what the parts of report.html share: the page and the rungs on it. */
#ifndef THAW_LADDER_HTML_IMPL_H
#define THAW_LADDER_HTML_IMPL_H

#include "ladder/note_impl.h"

#define PAGE_RUNGS 28 /* a table holds them beside its other columns */

typedef struct ladder_page {
    thaw_html html;
    const thaw_json *summary;
    const char *directory;
    int64_t count;
    const thaw_json *rungs[PAGE_RUNGS];
    const char *names[PAGE_RUNGS];
    int colours[PAGE_RUNGS]; /* one a rung, the same in every chart */
    int64_t chosen;          /* index */
} ladder_page;

/* Each appends its section, or nothing when the summary has nothing for it. Only memory can fail. */
void ladder_page_verdict(ladder_page *page);
void ladder_page_ladder(ladder_page *page);
void ladder_page_test(ladder_page *page);
THAW_NODISCARD thaw_status ladder_page_slices(ladder_page *page);
THAW_NODISCARD thaw_status ladder_page_confusion(ladder_page *page);
THAW_NODISCARD thaw_status ladder_page_curves(ladder_page *page);
THAW_NODISCARD thaw_status ladder_page_motion(ladder_page *page);
void ladder_page_cost(ladder_page *page);
void ladder_page_rates(ladder_page *page);
void ladder_page_gate(ladder_page *page);
void ladder_page_outlook(ladder_page *page);
void ladder_page_details(ladder_page *page);
void ladder_page_records(ladder_page *page);

/* html_records.c: links to what figures are from. */
/* The id of the record of an object of the summary; false where it is none. */
bool ladder_record_id(const ladder_page *page, const thaw_json *row, char id[THAW_RECORD_ID]);
/* Figures of the cells to come, or of the next tile, link to it. */
void ladder_source(const ladder_page *page, thaw_table *table, const thaw_json *row);
void ladder_tile_source(ladder_page *page, const thaw_json *row);
/* Appends words, in Markdown, that link to it. */
void ladder_add_link(const ladder_page *page, const char *words, const thaw_json *row,
                     thaw_str *out);
/* Appends " Recorded of `frozen`, `peft`." with a link to what each rung has at `path`, for the caption of a chart. */
void ladder_add_records(const ladder_page *page, const char *path, thaw_str *out);
/* The row of metrics.jsonl of the epoch that a run kept, and its number in the file; a root, or NULL. Its record has the id. */
thaw_json *ladder_kept_row(const ladder_page *page, const thaw_json *seed, int64_t *line);
bool ladder_metrics_id(const ladder_page *page, const thaw_json *seed, char id[THAW_RECORD_ID]);
/* html_curves.c: whether a run left its metrics, and where. */
bool ladder_find_metrics(const ladder_page *page, const char *recorded, thaw_str *path);

/* html_words.c */
thaw_tone ladder_verdict_tone(const char *verdict); /* of depth and of transfer */
void ladder_paragraph(ladder_page *page, const char *format, ...) THAW_PRINTF(2, 3);
void ladder_tile(ladder_page *page, const char *label, const thaw_str *value,
                 const thaw_str *detail, thaw_tone tone);
void ladder_fact(ladder_page *page, const char *name, const char *format, ...) THAW_PRINTF(3, 4);
/* Ends the table: adds it to the page and clears it. */
void ladder_table(ladder_page *page, thaw_table *table, const char *caption);
void ladder_columns(thaw_table *table, const char *const *titles, const thaw_align *aligns,
                    int count);

#endif
