#include "thaw/report.h"

#include "report/json_impl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

thaw_status thaw_rows_append(const char *path, const thaw_json *row)
{
    thaw_str line = {0};
    thaw_json_compact(row, &line);
    thaw_str_add(&line, "\n");
    thaw_status status = thaw_file_append(path, line.data, line.length);
    thaw_str_clear(&line);
    return status;
}

/* Walks the lines of a file of rows. */
typedef struct row_reader {
    const char *path, *text;
    size_t bytes, start, end; /* of the current line, without its end */
    int64_t line;
} row_reader;

/* Parses the next row. *row NULL: the end, or a last line that is torn (reader->start is where it begins). Blank
 * lines are passed over. */
static thaw_status next_row(row_reader *reader, thaw_json **row)
{
    *row = NULL;
    while (reader->start < reader->bytes) {
        const char *from = reader->text + reader->start;
        const char *newline = memchr(from, '\n', reader->bytes - reader->start);
        if (newline == NULL)
            return THAW_OK;
        reader->end = (size_t)(newline - reader->text);
        reader->line++;
        size_t length = reader->end - reader->start;
        if (strspn(from, " \t\r") < length) {
            thaw_status status =
                thaw_json_parse_line(from, length, reader->path, reader->line, row);
            if (status == THAW_OK)
                return THAW_OK;
            if (reader->end + 1 == reader->bytes) {
                thaw_error_clear();
                return THAW_OK;
            }
            return thaw_fail_context(status, "a row in the middle of the file is damaged");
        }
        reader->start = reader->end + 1;
    }
    return THAW_OK;
}

static thaw_status cut_file(const char *path, size_t bytes)
{
    THAW_CHECK(truncate(path, (off_t)bytes) == 0, THAW_ERR_RESOURCE,
               "%s: cannot cut to %lld bytes: %s", path, (long long)bytes, strerror(errno));
    return THAW_OK;
}

thaw_status thaw_rows_truncate(const char *path, const char *key, int64_t last, int64_t *kept)
{
    thaw_status status = THAW_OK;
    thaw_str text = {0};
    thaw_json *row = NULL;
    int64_t count = 0;
    if (kept != NULL)
        *kept = 0;
    if (!thaw_path_exists(path))
        return THAW_OK;
    THAW_TRY_TO(thaw_file_read(path, &text));
    row_reader reader = {.path = path, .text = thaw_str_c(&text), .bytes = text.length};
    for (;;) {
        THAW_TRY_TO(next_row(&reader, &row));
        if (row == NULL || thaw_json_int_or(row, key, INT64_MIN) > last)
            break;
        thaw_json_free(&row);
        reader.start = reader.end + 1;
        count++;
    }
    if (reader.start < reader.bytes)
        THAW_TRY_TO(cut_file(path, reader.start));
    if (kept != NULL)
        *kept = count;
done:
    thaw_json_free(&row);
    thaw_str_clear(&text);
    return status;
}

thaw_status thaw_rows_read(const char *path, thaw_json **out)
{
    thaw_status status = THAW_OK;
    thaw_str text = {0};
    thaw_json *row = NULL;
    thaw_json *rows = thaw_json_new_array();
    *out = NULL;
    THAW_TRY_TO(thaw_file_read(path, &text));
    row_reader reader = {.path = path, .text = thaw_str_c(&text), .bytes = text.length};
    for (;;) {
        THAW_TRY_TO(next_row(&reader, &row));
        if (row == NULL)
            break;
        thaw_json_add_take(rows, row);
        reader.start = reader.end + 1;
    }
    *out = rows;
    rows = NULL;
done:
    thaw_json_free(&rows);
    thaw_str_clear(&text);
    return status;
}
