#include "data/csv_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER = 1 << 16, END = -1 };

struct thaw_csv {
    FILE *stream;
    char *path;
    char separator;
    bool quotes; /* mean something */
    thaw_strings names;
    thaw_str row;   /* fields one after another, each ended by 0 */
    size_t *fields; /* (field_room) where each begins in row */
    int64_t field_count, field_room;
    int64_t line;     /* where the reader is */
    int64_t row_line; /* where the row began */
    size_t at, filled;
    char buffer[BUFFER];
};

/* The byte that comes next, without going past it, or END. */
static int peek(thaw_csv *csv)
{
    if (csv->at == csv->filled) {
        csv->at = 0;
        csv->filled = fread(csv->buffer, 1, BUFFER, csv->stream);
    }
    return csv->at == csv->filled ? END : (unsigned char)csv->buffer[csv->at];
}

static int next(thaw_csv *csv)
{
    const int byte = peek(csv);
    csv->at += byte != END;
    csv->line += byte == '\n';
    return byte;
}

/* Takes the bytes that mean nothing here at one go; stop has the others, NUL counts among them. */
static thaw_status take_plain(thaw_csv *csv, const char *stop)
{
    while (peek(csv) != END) {
        size_t end = csv->at;
        while (end < csv->filled && strchr(stop, csv->buffer[end]) == NULL)
            end++;
        THAW_CHECK(csv->row.length + (end - csv->at) <= THAW_CSV_ROW_MOST, THAW_ERR_INPUT,
                   "%s:%lld: the row has more than %zu bytes; is a quote not closed?", csv->path,
                   (long long)csv->row_line, THAW_CSV_ROW_MOST);
        thaw_str_add_bytes(&csv->row, csv->buffer + csv->at, end - csv->at);
        csv->at = end;
        if (end < csv->filled)
            break;
    }
    THAW_CHECK(peek(csv) != 0, THAW_ERR_INPUT,
               "%s:%lld: a byte 0; text in UTF-8 is wanted, not UTF-16 or a binary file", csv->path,
               (long long)csv->line);
    return THAW_OK;
}

/* What cannot be read ends like a file, and is no mistake in it. */
static thaw_status check_read(const thaw_csv *csv)
{
    THAW_CHECK(!ferror(csv->stream), THAW_ERR_INPUT, "%s:%lld: cannot read on: %s", csv->path,
               (long long)csv->line, strerror(errno));
    return THAW_OK;
}

static thaw_status take_quoted(thaw_csv *csv)
{
    const int64_t opened = csv->line;
    for (;;) {
        THAW_TRY(take_plain(csv, "\"\n"));
        const int byte = next(csv);
        THAW_TRY(check_read(csv));
        THAW_CHECK(byte != END, THAW_ERR_INPUT, "%s:%lld: a quote is opened here and never closed",
                   csv->path, (long long)opened);
        THAW_CHECK(byte != '\n' || csv->separator != '\t', THAW_ERR_INPUT,
                   "%s:%lld: a quote is opened here and not closed on this line, as it must be "
                   "between tabs; are quotes part of the texts (--quotes none)? Texts with "
                   "newlines can be written as csv",
                   csv->path, (long long)opened);
        if (byte == '"' && peek(csv) != '"')
            return THAW_OK;
        if (byte == '"')
            (void)next(csv);
        thaw_str_add_bytes(&csv->row, byte == '"' ? "\"" : "\n", 1);
    }
}

/* After a field: a separator (*last false), or the end of the row. */
static thaw_status take_end(thaw_csv *csv, bool *last)
{
    const int64_t line = csv->line;
    const int byte = next(csv);
    *last = byte != csv->separator;
    if (byte == csv->separator || byte == '\n' || byte == END)
        return THAW_OK;
    THAW_CHECK(
        byte == '\r', THAW_ERR_INPUT,
        "%s:%lld: text after a closing quote; a quote inside a quoted field is written twice, and "
        "in tables of texts --quotes none takes all as they are",
        csv->path, (long long)line);
    THAW_CHECK(peek(csv) == '\n' || peek(csv) == END, THAW_ERR_INPUT,
               "%s:%lld: a carriage return without a newline; rows end in LF or CRLF", csv->path,
               (long long)line);
    (void)next(csv);
    return THAW_OK;
}

static thaw_status take_field(thaw_csv *csv, bool *last)
{
    const char stop[] = {csv->separator, '\r', '\n', 0};
    THAW_CHECK(csv->field_count < THAW_CSV_COLUMNS_MOST, THAW_ERR_INPUT,
               "%s:%lld: more than %d fields; is the separator right?", csv->path,
               (long long)csv->row_line, THAW_CSV_COLUMNS_MOST);
    if (csv->field_count == csv->field_room) {
        const int64_t room = csv->field_room == 0 ? 16 : 2 * csv->field_room;
        THAW_TRY(thaw_realloc(&csv->fields, csv->field_room, room, sizeof *csv->fields));
        csv->field_room = room;
    }
    csv->fields[csv->field_count++] = csv->row.length;
    if (csv->quotes && peek(csv) == '"') {
        (void)next(csv);
        THAW_TRY(take_quoted(csv));
    } else {
        THAW_TRY(take_plain(csv, stop));
    }
    thaw_str_add_bytes(&csv->row, "", 1);
    return take_end(csv, last);
}

static thaw_status read_row(thaw_csv *csv, bool *more)
{
    bool last = false;
    thaw_str_reset(&csv->row);
    csv->field_count = 0;
    while (peek(csv) == '\n' || peek(csv) == '\r')
        THAW_TRY(take_end(csv, &last));
    csv->row_line = csv->line;
    *more = peek(csv) != END;
    for (last = !*more; !last;)
        THAW_TRY(take_field(csv, &last));
    return check_read(csv);
}

static thaw_status read_names(thaw_csv *csv)
{
    bool some = false;
    THAW_TRY(read_row(csv, &some));
    THAW_CHECK(some, THAW_ERR_INPUT, "%s: empty; a first row with the names of columns is needed",
               csv->path);
    THAW_TRY(thaw_alloc(&csv->names.items, csv->field_count, sizeof *csv->names.items));
    for (int64_t i = 0; i < csv->field_count; i++) {
        const char *name = thaw_csv_get(csv, i);
        THAW_CHECK(*name == '\0' || thaw_csv_find(csv, name) < 0, THAW_ERR_INPUT,
                   "%s:%lld: two columns have the name \"%.200s\"", csv->path,
                   (long long)csv->row_line, name);
        THAW_TRY(thaw_strdup(&csv->names.items[i], name));
        csv->names.count = i + 1;
    }
    return THAW_OK;
}

thaw_status thaw_csv_open(const char *path, char separator, bool quotes, thaw_csv **out)
{
    thaw_csv *csv = NULL;
    thaw_status status = THAW_OK;
    *out = NULL;
    THAW_TRY_TO(thaw_alloc(&csv, 1, sizeof *csv));
    csv->separator = separator;
    csv->quotes = quotes;
    csv->line = 1;
    THAW_TRY_TO(thaw_strdup(&csv->path, path));
    csv->stream = fopen(path, "rb");
    THAW_CHECK_TO(csv->stream, THAW_ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    (void)peek(csv);
    if (csv->filled >= 3 && memcmp(csv->buffer, "\xef\xbb\xbf", 3) == 0)
        csv->at = 3;
    THAW_TRY_TO(read_names(csv));
    *out = csv;
    csv = NULL;
done:
    thaw_csv_close(&csv);
    return status;
}

void thaw_csv_close(thaw_csv **csv)
{
    if (*csv == NULL)
        return;
    for (int64_t i = 0; i < (*csv)->names.count; i++)
        thaw_free(&(*csv)->names.items[i]);
    thaw_free(&(*csv)->names.items);
    thaw_free(&(*csv)->fields);
    thaw_str_clear(&(*csv)->row);
    thaw_free(&(*csv)->path);
    if ((*csv)->stream != NULL)
        (void)fclose((*csv)->stream);
    thaw_free(csv);
}

int64_t thaw_csv_columns(const thaw_csv *csv)
{
    return csv->names.count;
}

const char *thaw_csv_column_name(const thaw_csv *csv, int64_t column)
{
    return csv->names.items[column];
}

int64_t thaw_csv_find(const thaw_csv *csv, const char *name)
{
    for (int64_t i = 0; i < csv->names.count; i++)
        if (strcmp(csv->names.items[i], name) == 0)
            return i;
    return -1;
}

thaw_status thaw_csv_need(const thaw_csv *csv, const char *name, int64_t *column)
{
    thaw_str there = {0};
    *column = thaw_csv_find(csv, name);
    if (*column >= 0)
        return THAW_OK;
    for (int64_t i = 0; i < csv->names.count && i < 20; i++)
        thaw_str_printf(&there, "%s\"%.60s\"", i == 0 ? "" : ", ", csv->names.items[i]);
    const thaw_status status =
        THAW_FAIL(THAW_ERR_INPUT, "%s: the first row names no column \"%s\"; it has %s%s",
                  csv->path, name, thaw_str_c(&there), csv->names.count > 20 ? ", ..." : "");
    thaw_str_clear(&there);
    return status;
}

thaw_status thaw_csv_next(thaw_csv *csv, bool *more)
{
    THAW_TRY(read_row(csv, more));
    THAW_CHECK(!*more || csv->field_count == csv->names.count, THAW_ERR_INPUT,
               "%s:%lld: %lld fields, but the first row names %lld columns", csv->path,
               (long long)csv->row_line, (long long)csv->field_count, (long long)csv->names.count);
    return THAW_OK;
}

const char *thaw_csv_get(const thaw_csv *csv, int64_t column)
{
    return csv->row.data + csv->fields[column];
}

int64_t thaw_csv_line(const thaw_csv *csv)
{
    return csv->row_line;
}
