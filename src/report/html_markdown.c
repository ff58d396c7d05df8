#include "thaw/report.h"

#include "report/text_impl.h"

#include <ctype.h>
#include <string.h>

#define LIST_DEPTH 4

static void escape_bytes(thaw_str *out, const char *text, size_t length)
{
    thaw_str piece = {0};
    thaw_str_add_bytes(&piece, text, length);
    thaw_html_escape(out, thaw_str_c(&piece));
    thaw_str_clear(&piece);
}

/* Where `mark` next stands in text[from..length), or length. */
static size_t find_mark(const char *text, size_t from, size_t length, const char *mark)
{
    size_t size = strlen(mark);
    for (size_t i = from; i + size <= length; i++)
        if (memcmp(text + i, mark, size) == 0)
            return i;
    return length;
}

/* A pair of marks around something: <tag>inside</tag>. Returns what it read, 0 when there is no such pair. */
static size_t read_pair(thaw_str *out, const char *text, size_t at, size_t length, const char *mark,
                        const char *tag)
{
    size_t size = strlen(mark);
    if (at + size > length || memcmp(text + at, mark, size) != 0)
        return 0;
    size_t end = find_mark(text, at + size, length, mark);
    /* "a * b * c" is arithmetic, not emphasis. */
    bool open = at + size < length && !isspace((unsigned char)text[at + size]);
    if (end == length || end == at + size || !open || isspace((unsigned char)text[end - 1]))
        return 0;
    thaw_str_printf(out, "<%s>", tag);
    if (*mark == '`')
        escape_bytes(out, text + at + size, end - at - size);
    else
        thaw_markdown_inline(out, text + at + size, end - at - size);
    thaw_str_printf(out, "</%s>", tag);
    return end + size - at;
}

/* [words](target), where the target is a place in the page, a relative path or http(s). */
static size_t read_link(thaw_str *out, const char *text, size_t at, size_t length)
{
    size_t middle = find_mark(text, at, length, "](");
    size_t end = find_mark(text, middle, length, ")");
    /* Of "[0.1, 0.3] over [frozen](#id)" only the second is a link. */
    if (text[at] != '[' || end == length || find_mark(text, at + 1, middle, "[") < middle)
        return 0;
    const char *target = text + middle + 2;
    size_t target_length = end - middle - 2;
    bool scheme = memchr(target, ':', target_length) != NULL;
    if (scheme && strncmp(target, "https://", 8) != 0 && strncmp(target, "http://", 7) != 0)
        return 0;
    thaw_str_add(out, "<a href=\"");
    escape_bytes(out, target, target_length);
    thaw_str_add(out, "\">");
    thaw_markdown_inline(out, text + at + 1, middle - at - 1);
    thaw_str_add(out, "</a>");
    return end + 1 - at;
}

void thaw_markdown_inline(thaw_str *out, const char *text, size_t length)
{
    size_t plain = 0;
    for (size_t at = 0; at < length;) {
        size_t used = 0;
        thaw_str piece = {0};
        if (text[at] == '\\' && at + 1 < length && ispunct((unsigned char)text[at + 1])) {
            escape_bytes(&piece, text + at + 1, 1);
            used = 2;
        } else if (text[at] == '`') {
            used = read_pair(&piece, text, at, length, "`", "code");
        } else if (text[at] == '*') {
            used = read_pair(&piece, text, at, length, "**", "strong");
            if (used == 0)
                used = read_pair(&piece, text, at, length, "*", "em");
        } else if (text[at] == '[') {
            used = read_link(&piece, text, at, length);
        }
        if (used > 0) {
            escape_bytes(out, text + plain, at - plain);
            thaw_str_add(out, thaw_str_c(&piece));
            plain = at + used;
        }
        at += used > 0 ? used : 1;
        thaw_str_clear(&piece);
    }
    escape_bytes(out, text + plain, length - plain);
}

/* The lines of a text; `line` is without its end and without what indents it. */
typedef struct cursor {
    const char *next, *line;
    size_t length;
    int indent;
} cursor;

static bool next_line(cursor *at)
{
    if (*at->next == '\0')
        return false;
    const char *end = at->next + strcspn(at->next, "\n");
    at->indent = (int)strspn(at->next, " ");
    at->line = at->next + at->indent < end ? at->next + at->indent : end;
    at->length = (size_t)(end - at->line);
    while (at->length > 0 && isspace((unsigned char)at->line[at->length - 1]))
        at->length--;
    at->next = *end == '\n' ? end + 1 : end;
    return true;
}

/* Bytes of a list mark at the start of the line ("- ", "* ", "12. "), or 0. */
static size_t list_mark(const cursor *at, bool *numbered)
{
    size_t digits = 0;
    *numbered = false;
    if (at->length > 1 && (at->line[0] == '-' || at->line[0] == '*') && at->line[1] == ' ')
        return 2;
    while (digits < at->length && isdigit((unsigned char)at->line[digits]))
        digits++;
    *numbered = digits > 0;
    bool dot = digits > 0 && digits + 1 < at->length && at->line[digits] == '.' &&
               at->line[digits + 1] == ' ';
    return dot ? digits + 2 : 0;
}

static bool is_rule(const cursor *at)
{
    return at->length >= 3 && strspn(at->line, "-") >= at->length;
}

static bool is_table_rule(const cursor *at)
{
    return at->length > 2 && at->line[0] == '|' && strspn(at->line, "|-: ") >= at->length;
}

static bool starts_block(const cursor *at)
{
    bool numbered = false;
    return at->length == 0 || at->line[0] == '#' || at->line[0] == '|' || at->line[0] == '>' ||
           thaw_starts_with(at->line, "```") || list_mark(at, &numbered) > 0 || is_rule(at);
}

/* The rest of a paragraph or list item, as far as it goes on over the next lines. */
static void read_flow(cursor *at, size_t skip, thaw_str *out)
{
    thaw_str text = {0};
    thaw_str_add_bytes(&text, at->line + skip, at->length - skip);
    for (cursor ahead = *at; next_line(&ahead) && !starts_block(&ahead); *at = ahead) {
        thaw_str_add(&text, "\n");
        thaw_str_add_bytes(&text, ahead.line, ahead.length);
    }
    thaw_markdown_inline(out, thaw_str_c(&text), text.length);
    thaw_str_clear(&text);
}

static void read_heading(const cursor *at, thaw_str *out)
{
    size_t level = strspn(at->line, "#");
    int shown = level <= 2 ? 3 : level == 3 ? 4 : 5;
    size_t skip = level + strspn(at->line + level, " ");
    skip = skip < at->length ? skip : at->length;
    thaw_str_printf(out, "<h%d>", shown);
    thaw_markdown_inline(out, at->line + skip, at->length - skip);
    thaw_str_printf(out, "</h%d>\n", shown);
}

static void read_fence(cursor *at, thaw_str *out)
{
    thaw_str_add(out, "<pre>");
    while (next_line(at) && !thaw_starts_with(at->line, "```")) {
        thaw_str_printf(out, "%*s", at->indent, "");
        escape_bytes(out, at->line, at->length);
        thaw_str_add(out, "\n");
    }
    thaw_str_add(out, "</pre>\n");
}

static void read_quote(cursor *at, thaw_str *out)
{
    thaw_str text = {0};
    cursor ahead = *at;
    do {
        *at = ahead;
        thaw_str_add_bytes(&text, at->line + 1, at->length - 1);
        thaw_str_add(&text, "\n");
    } while (next_line(&ahead) && ahead.length > 0 && ahead.line[0] == '>');
    thaw_str_add(out, "<blockquote>");
    thaw_markdown_inline(out, thaw_str_c(&text), text.length);
    thaw_str_add(out, "</blockquote>\n");
    thaw_str_clear(&text);
}

typedef struct list_level {
    int indent;
    bool numbered;
} list_level;

static void close_list(list_level *levels, int *depth, thaw_str *out)
{
    thaw_str_add(out, levels[--*depth].numbered ? "</li></ol>\n" : "</li></ul>\n");
}

static void read_list(cursor *at, thaw_str *out)
{
    list_level levels[LIST_DEPTH];
    int depth = 0;
    bool more = true;
    while (more) {
        bool numbered = false;
        size_t skip = list_mark(at, &numbered);
        while (depth > 1 && at->indent < levels[depth - 1].indent)
            close_list(levels, &depth, out);
        bool deeper = depth == 0 || at->indent > levels[depth - 1].indent;
        if (deeper && depth < LIST_DEPTH) {
            thaw_str_add(out, numbered ? "<ol><li>" : "<ul><li>");
            levels[depth++] = (list_level){.indent = at->indent, .numbered = numbered};
        } else {
            thaw_str_add(out, "</li>\n<li>");
        }
        read_flow(at, skip, out);
        cursor ahead = *at;
        more = next_line(&ahead) && list_mark(&ahead, &numbered) > 0;
        if (more)
            *at = ahead;
    }
    while (depth > 0)
        close_list(levels, &depth, out);
}

/* Calls add for each cell of "| a | b |"; "\|" does not end one. */
static void split_cells(thaw_table *table, const cursor *at,
                        void (*add)(thaw_table *table, const char *text))
{
    thaw_str cell = {0};
    size_t i = at->line[0] == '|' ? 1 : 0;
    for (; i < at->length; i++) {
        bool escaped = at->line[i] == '\\' && i + 1 < at->length;
        if (at->line[i] != '|') {
            thaw_str_add_bytes(&cell, at->line + i, escaped ? 2 : 1);
            i += escaped;
            continue;
        }
        while (cell.length > 0 && cell.data[cell.length - 1] == ' ')
            cell.data[--cell.length] = '\0';
        add(table, thaw_str_c(&cell) + strspn(thaw_str_c(&cell), " "));
        thaw_str_reset(&cell);
    }
    thaw_str_clear(&cell);
}

static void add_header(thaw_table *table, const char *text)
{
    if (table->column_count < THAW_TABLE_COLUMNS)
        thaw_table_column(table, text, THAW_LEFT);
}

static void add_align(thaw_table *table, const char *text)
{
    /* cell_count counts the columns seen while the rule is read. */
    size_t length = strlen(text);
    bool right = length > 0 && text[length - 1] == ':';
    if (table->cell_count < table->column_count)
        table->align[table->cell_count++] = right && text[0] == ':' ? THAW_CENTER
                                            : right                 ? THAW_RIGHT
                                                                    : THAW_LEFT;
}

static void read_table(thaw_html *html, cursor *at)
{
    thaw_table table = {0};
    split_cells(&table, at, add_header);
    next_line(at);
    split_cells(&table, at, add_align);
    table.cell_count = 0;
    for (cursor ahead = *at; next_line(&ahead) && ahead.length > 0 && ahead.line[0] == '|';
         *at = ahead) {
        int64_t before = table.cell_count;
        split_cells(&table, &ahead, thaw_table_cell);
        while (table.cell_count - before < table.column_count)
            thaw_table_cell(&table, "");
    }
    thaw_html_add_table(html, &table, NULL, true);
    thaw_table_clear(&table);
}

void thaw_html_markdown(thaw_html *html, const char *markdown)
{
    thaw_str *out = &html->body;
    cursor at = {.next = markdown};
    thaw_html_end_group(html);
    while (next_line(&at)) {
        bool numbered = false;
        cursor ahead = at;
        if (at.length == 0)
            continue;
        if (at.line[0] == '#') {
            read_heading(&at, out);
        } else if (thaw_starts_with(at.line, "```")) {
            read_fence(&at, out);
        } else if (at.line[0] == '>') {
            read_quote(&at, out);
        } else if (is_rule(&at)) {
            thaw_str_add(out, "<hr>\n");
        } else if (list_mark(&at, &numbered) > 0) {
            read_list(&at, out);
        } else if (at.line[0] == '|' && next_line(&ahead) && is_table_rule(&ahead)) {
            read_table(html, &at);
        } else {
            thaw_str_add(out, "<p>");
            read_flow(&at, 0, out);
            thaw_str_add(out, "</p>\n");
        }
    }
}
