#include "thaw/conf.h"

#include "conf/tree_impl.h"

/* The values a row takes: its choices, or its type with the range. */
static void add_allowed(const thaw_field *row, thaw_str *out)
{
    char range[100];
    if (row->type == THAW_FIELD_ENUM) {
        thaw_str_add(out, "one of ");
        thaw_conf_choices(row, out);
        return;
    }
    thaw_conf_range(row, range, sizeof range);
    thaw_str_add(out, thaw_conf_type_name(row->type));
    if (range[0] != 0)
        thaw_str_printf(out, " %s", range);
}

/* `before` stands in front of a preset: "default " or nothing. A table's keys have their own presets. */
static void add_preset(const thaw_field *row, const char *before, thaw_str *out)
{
    if (row->type == THAW_FIELD_TABLE)
        thaw_str_add(out, row->preset != NULL ? "optional" : "");
    else if (row->type == THAW_FIELD_TABLES)
        thaw_str_add(out, "empty");
    else if (row->preset == NULL)
        thaw_str_add(out, "required");
    else
        thaw_str_printf(out, "%s%s", before, row->preset[0] != 0 ? row->preset : "empty");
}

static const char *doc_of(const thaw_field *row)
{
    return row->doc != NULL ? row->doc : "";
}

static bool is_nested(const thaw_field *row)
{
    return row->type == THAW_FIELD_TABLE || row->type == THAW_FIELD_TABLES;
}

static void help_table(const thaw_field *table, int indent, thaw_str *out)
{
    for (const thaw_field *row = table; row->name != NULL; row++) {
        bool nested = is_nested(row);
        thaw_str_printf(out, "%*s%s:", indent, "", row->name);
        if (!nested) {
            thaw_str_add(out, " ");
            add_allowed(row, out);
            thaw_str_add(out, "; ");
            add_preset(row, "default ", out);
        } else if (row->preset != NULL) {
            thaw_str_add(out, row->type == THAW_FIELD_TABLES ? " (a list)" : " (optional)");
        }
        thaw_str_add(out, "\n");
        if (doc_of(row)[0] != 0)
            thaw_str_printf(out, "%*s%s\n", indent + 6, "", doc_of(row));
        if (nested)
            help_table(row->table, indent + 2, out);
    }
}

void thaw_conf_help(const thaw_field *table, thaw_str *out)
{
    help_table(table, 0, out);
}

/* Ends a cell; a bar inside the text would do so too early. */
static void move_cell(thaw_str *cell, thaw_str *out)
{
    for (const char *text = thaw_str_c(cell); *text != 0; text++)
        thaw_str_printf(out, *text == '|' ? "\\%c" : "%c", *text);
    thaw_str_add(out, " | ");
    thaw_str_reset(cell);
}

static void markdown_row(const thaw_field *row, const char *path, thaw_str *out)
{
    thaw_str cell = {0};
    thaw_str_printf(out, "| `%s` | ", path);
    add_allowed(row, &cell);
    move_cell(&cell, out);
    add_preset(row, "", &cell);
    move_cell(&cell, out);
    thaw_str_add(&cell, doc_of(row));
    move_cell(&cell, out);
    out->data[out->length - 1] = '\n'; /* the last cell's space */
    thaw_str_clear(&cell);
}

static void markdown_table(const thaw_field *table, const char *path, thaw_str *out)
{
    thaw_str full = {0};
    for (const thaw_field *row = table; row->name != NULL; row++) {
        thaw_str_reset(&full);
        thaw_str_printf(&full, "%s%s%s", path, path[0] != 0 ? "." : "", row->name);
        markdown_row(row, thaw_str_c(&full), out);
        if (row->type == THAW_FIELD_TABLES)
            thaw_str_add(&full, "[]");
        if (is_nested(row))
            markdown_table(row->table, thaw_str_c(&full), out);
    }
    thaw_str_clear(&full);
}

void thaw_conf_doc_markdown(const thaw_field *table, thaw_str *out)
{
    thaw_str_add(out, "| key | value | default | meaning |\n|---|---|---|---|\n");
    markdown_table(table, "", out);
}
