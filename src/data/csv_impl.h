/* A table in a text file, read row by row in memory of one row: comma-separated values as of RFC 4180, or with tabs.
 *
 * The first row names the columns. A field may stand in double quotes, then it may hold separators, newlines (not with tabs: such tables
 * are often written without quoting, and a field that begins with a quote would take in the lines that follow) and, doubled, quotes; a
 * quote inside a field that does not begin with one is itself. Rows end in LF or CRLF; empty lines and a byte-order mark of UTF-8
 * at the start are passed over. Bytes are not decoded. */
#ifndef THAW_DATA_CSV_IMPL_H
#define THAW_DATA_CSV_IMPL_H

#include "thaw/data.h"

typedef struct thaw_csv thaw_csv;

#define THAW_CSV_COLUMNS_MOST 4096
#define THAW_CSV_ROW_MOST     ((size_t)16 << 20) /* bytes a row */

/* Opens a file and reads its first row; separator is ',' or '\t'; without `quotes` a quote is a byte like
 * others. THAW_ERR_INPUT, with file and line: it cannot be read, has no first
 * row, names a column twice, or is malformed there. */
THAW_NODISCARD thaw_status thaw_csv_open(const char *path, char separator, bool quotes,
                                         thaw_csv **out);
void thaw_csv_close(thaw_csv **csv);

int64_t thaw_csv_columns(const thaw_csv *csv);
const char *thaw_csv_column_name(const thaw_csv *csv, int64_t column); /* "" for an unnamed one */
/* -1 when there is none of this name. */
int64_t thaw_csv_find(const thaw_csv *csv, const char *name);
/* THAW_ERR_INPUT names the columns that there are. */
THAW_NODISCARD thaw_status thaw_csv_need(const thaw_csv *csv, const char *name, int64_t *column);

/* Goes to the next row; *more is false after the last one. THAW_ERR_INPUT, with file and line: another number of fields than columns,
 * text after a closing quote, a quote that is not closed, a byte 0, a carriage return alone, a row beyond the limits, a read error. */
THAW_NODISCARD thaw_status thaw_csv_next(thaw_csv *csv, bool *more);
/* A field of this row, ended by 0, good until the next row; and the line on which the row begins, from 1. */
const char *thaw_csv_get(const thaw_csv *csv, int64_t column);
int64_t thaw_csv_line(const thaw_csv *csv);

#endif
