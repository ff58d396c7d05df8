/* report/text_impl.h - helpers that the writers of text share. */
#ifndef THAW_REPORT_TEXT_IMPL_H
#define THAW_REPORT_TEXT_IMPL_H

#include "thaw/report.h"

/* Characters of UTF-8 text, each counted as one column. */
int64_t thaw_text_columns(const char *text);

/* Walks the cells of a table: *at starts at NULL; false at the end. The last row is filled up with empty cells. *text is read, too, where
 * *at is not NULL. */
bool thaw_table_next(const thaw_table *table, const char **at, int64_t *index, thaw_tone *tone,
                     const char **text);

/* The record that a cell is from, "" for none; `at` is where the cell was found, and holds for cells with text. */
const char *thaw_table_source_at(const char *at);

/* "good", "warn", ... for class names. */
const char *thaw_tone_name(thaw_tone tone);

/* Inline Markdown to HTML: **bold**, *emphasis*, `code`, [text](link); all else escaped. */
void thaw_markdown_inline(thaw_str *out, const char *text, size_t length);

/* Appends the table; `markdown`: its cells are inline Markdown, else plain text. */
void thaw_html_add_table(thaw_html *html, const thaw_table *table, const char *caption,
                         bool markdown);

/* Style sheet of the page, beside thaw_chart_css. */
void thaw_html_css(thaw_str *out);

/* Ends a run of tiles or facts: whatever is not one of them calls it first. */
void thaw_html_end_group(thaw_html *html);

#endif
