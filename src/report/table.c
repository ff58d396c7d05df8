#include "thaw/report.h"

#include "report/text_impl.h"

#include <math.h>
#include <string.h>

void thaw_table_column(thaw_table *table, const char *header, thaw_align align)
{
    THAW_ASSERT(table->column_count < THAW_TABLE_COLUMNS && table->cell_count == 0);
    thaw_str_add_bytes(&table->headers, header, strlen(header) + 1);
    table->align[table->column_count++] = align;
}

void thaw_table_badge(thaw_table *table, thaw_tone tone, const char *text)
{
    char mark = (char)('0' + (int)tone);
    if (text == NULL)
        text = "";
    thaw_str_add_bytes(&table->cells, &mark, 1);
    thaw_str_add_bytes(&table->cells, table->source, strlen(table->source) + 1);
    thaw_str_add_bytes(&table->cells, text, strlen(text) + 1);
    table->cell_count++;
}

void thaw_table_source(thaw_table *table, const char *id)
{
    (void)thaw_copy(table->source, sizeof table->source, id == NULL ? "" : id);
}

void thaw_table_cell(thaw_table *table, const char *text)
{
    thaw_table_badge(table, THAW_TONE_NONE, text);
}

void thaw_table_printf(thaw_table *table, const char *format, ...)
{
    thaw_str text = {0};
    va_list args;
    va_start(args, format);
    thaw_str_vprintf(&text, format, args);
    va_end(args);
    thaw_table_cell(table, thaw_str_c(&text));
    thaw_str_clear(&text);
}

void thaw_table_value(thaw_table *table, double value, thaw_unit unit)
{
    char text[64];
    thaw_unit_format(value, unit, text, sizeof text);
    thaw_table_cell(table, text);
}

void thaw_table_clear(thaw_table *table)
{
    thaw_str_clear(&table->headers);
    thaw_str_clear(&table->cells);
    memset(table, 0, sizeof *table);
}

bool thaw_table_next(const thaw_table *table, const char **at, int64_t *index, thaw_tone *tone,
                     const char **text)
{
    int64_t next = *at == NULL ? 0 : *index + 1;
    if (next < table->cell_count) {
        const char *cell = *at == NULL ? thaw_str_c(&table->cells) : *text + strlen(*text) + 1;
        *at = cell;
        *tone = (thaw_tone)(cell[0] - '0');
        *text = thaw_table_source_at(cell) + strlen(thaw_table_source_at(cell)) + 1;
    } else if (table->column_count > 0 && next % table->column_count != 0) {
        *tone = THAW_TONE_NONE;
        *text = "";
    } else {
        return false;
    }
    *index = next;
    return true;
}

const char *thaw_table_source_at(const char *at)
{
    return at + 1;
}

int64_t thaw_text_columns(const char *text)
{
    int64_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* How a cell is written: as Markdown source, or plain. */
typedef void cell_writer(thaw_str *out, const char *text);

static void write_plain(thaw_str *out, const char *text)
{
    thaw_str_add(out, text);
}

static int64_t written_columns(const char *text, cell_writer *writer, thaw_str *scratch)
{
    thaw_str_reset(scratch);
    writer(scratch, text);
    return thaw_text_columns(thaw_str_c(scratch));
}

static void measure(const thaw_table *table, cell_writer *writer, int64_t *widths)
{
    thaw_str scratch = {0};
    const char *header = thaw_str_c(&table->headers);
    for (int c = 0; c < table->column_count; c++, header += strlen(header) + 1) {
        int64_t columns = written_columns(header, writer, &scratch);
        widths[c] = columns > 3 ? columns : 3;
    }
    const char *at = NULL;
    const char *text = NULL;
    int64_t index = 0;
    thaw_tone tone = THAW_TONE_NONE;
    while (thaw_table_next(table, &at, &index, &tone, &text)) {
        int64_t columns = written_columns(text, writer, &scratch);
        int64_t *width = &widths[index % table->column_count];
        *width = columns > *width ? columns : *width;
    }
    thaw_str_clear(&scratch);
}

static void pad(thaw_str *out, int64_t columns)
{
    for (int64_t i = 0; i < columns; i++)
        thaw_str_add(out, " ");
}

static void write_padded(thaw_str *out, const char *text, cell_writer *writer, thaw_align align,
                         int64_t width)
{
    thaw_str cell = {0};
    int64_t space = width - written_columns(text, writer, &cell);
    int64_t before = align == THAW_RIGHT ? space : align == THAW_CENTER ? space / 2 : 0;
    pad(out, before);
    thaw_str_add(out, thaw_str_c(&cell));
    pad(out, space - before);
    thaw_str_clear(&cell);
}

static void trim_end(thaw_str *out)
{
    while (out->length > 0 && out->data[out->length - 1] == ' ')
        out->data[--out->length] = '\0';
}

static void rule_markdown(const thaw_table *table, const int64_t *widths, thaw_str *out)
{
    for (int c = 0; c < table->column_count; c++) {
        thaw_str_add(out, c == 0 ? "|" : "");
        thaw_str_add(out, table->align[c] == THAW_CENTER ? ":" : "-");
        for (int64_t i = 0; i < widths[c]; i++)
            thaw_str_add(out, "-");
        thaw_str_add(out, table->align[c] == THAW_LEFT ? "-|" : ":|");
    }
    thaw_str_add(out, "\n");
}

static void rule_text(const thaw_table *table, const int64_t *widths, thaw_str *out)
{
    for (int c = 0; c < table->column_count; c++) {
        thaw_str_add(out, c == 0 ? "" : "  ");
        for (int64_t i = 0; i < widths[c]; i++)
            thaw_str_add(out, "-");
    }
    thaw_str_add(out, "\n");
}

static void write_grid(const thaw_table *table, bool markdown, thaw_str *out)
{
    int64_t widths[THAW_TABLE_COLUMNS] = {0};
    cell_writer *writer = markdown ? thaw_markdown_escape : write_plain;
    const char *between = markdown ? " | " : "  ";
    measure(table, writer, widths);
    const char *header = thaw_str_c(&table->headers);
    for (int c = 0; c < table->column_count; c++, header += strlen(header) + 1) {
        thaw_str_add(out, c > 0 ? between : markdown ? "| " : "");
        write_padded(out, header, writer, table->align[c], widths[c]);
    }
    if (!markdown)
        trim_end(out);
    thaw_str_add(out, markdown ? " |\n" : "\n");
    (markdown ? rule_markdown : rule_text)(table, widths, out);
    const char *at = NULL;
    const char *text = NULL;
    int64_t index = 0;
    thaw_tone tone = THAW_TONE_NONE;
    while (thaw_table_next(table, &at, &index, &tone, &text)) {
        int column = (int)(index % table->column_count);
        thaw_str_add(out, column > 0 ? between : markdown ? "| " : "");
        write_padded(out, text, writer, table->align[column], widths[column]);
        if (column + 1 < table->column_count)
            continue;
        if (!markdown)
            trim_end(out);
        thaw_str_add(out, markdown ? " |\n" : "\n");
    }
}

void thaw_table_markdown(const thaw_table *table, thaw_str *out)
{
    write_grid(table, true, out);
}

void thaw_table_text(const thaw_table *table, thaw_str *out)
{
    write_grid(table, false, out);
}

void thaw_table_csv(const thaw_table *table, thaw_str *out)
{
    const char *header = thaw_str_c(&table->headers);
    for (int c = 0; c < table->column_count; c++, header += strlen(header) + 1)
        thaw_csv_field(out, header, c == 0);
    thaw_csv_end(out);
    const char *at = NULL;
    const char *text = NULL;
    int64_t index = 0;
    thaw_tone tone = THAW_TONE_NONE;
    while (thaw_table_next(table, &at, &index, &tone, &text)) {
        int column = (int)(index % table->column_count);
        thaw_csv_field(out, text, column == 0);
        if (column + 1 == table->column_count)
            thaw_csv_end(out);
    }
}

void thaw_csv_field(thaw_str *out, const char *text, bool first)
{
    if (!first)
        thaw_str_add(out, ",");
    bool quote = strpbrk(text, ",\"\r\n") != NULL || text[0] == ' ' ||
                 (text[0] != '\0' && text[strlen(text) - 1] == ' ');
    if (!quote) {
        thaw_str_add(out, text);
        return;
    }
    thaw_str_add(out, "\"");
    for (const char *at = text; *at != '\0'; at++)
        thaw_str_add_bytes(out, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
    thaw_str_add(out, "\"");
}

void thaw_csv_number(thaw_str *out, double value, bool first)
{
    char text[THAW_NUMBER];
    thaw_number(value, text);
    thaw_csv_field(out,
                   isnan(value)   ? ""
                   : isinf(value) ? (value > 0 ? "inf" : "-inf")
                                  : text,
                   first);
}

void thaw_csv_end(thaw_str *out)
{
    thaw_str_add(out, "\n");
}

/* A bracket alone is text, as in an interval; it takes "](", "][" or "]:" to make a link of it. */
static bool opens_link(const char *at)
{
    for (const char *end = strchr(at, ']'); end != NULL; end = strchr(end + 1, ']')) {
        if (end[1] == '(' || end[1] == '[' || end[1] == ':')
            return true;
    }
    return false;
}

/* Only what would be read as markup: underscores inside words and lone signs stay readable in the source. */
void thaw_markdown_escape(thaw_str *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\r')
            thaw_str_add(out, " ");
        else if (strchr("\\`*|<", *at) != NULL || (*at == '_' && at == text) ||
                 (*at == '[' && opens_link(at)) || (at == text && strchr("#>", *at) != NULL))
            thaw_str_printf(out, "\\%c", *at);
        else
            thaw_str_add_bytes(out, at, 1);
    }
}
