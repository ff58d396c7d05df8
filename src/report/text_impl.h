/* report/text_impl.h - helpers that the writers of text share. */
#ifndef THAW_REPORT_TEXT_IMPL_H
#define THAW_REPORT_TEXT_IMPL_H

#include "thaw/report.h"

/* Characters of UTF-8 text, each counted as one column. */
int64_t thaw_text_columns(const char *text);

/* Walks the cells of a table: *at starts at NULL; false at the end. The last row is filled up with empty cells. */
bool thaw_table_next(const thaw_table *table, const char **at, int64_t *index, thaw_tone *tone,
                     const char **text);

/* "good", "warn", ... for class names. */
const char *thaw_tone_name(thaw_tone tone);

/* Inline Markdown to HTML: **bold**, *emphasis*, `code`, [text](link); all else escaped. */
void thaw_markdown_inline(thaw_str *out, const char *text, size_t length);

#endif
