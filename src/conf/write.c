#include "thaw/conf.h"

#include <string.h>

#include "conf/tree_impl.h"

/* Words that YAML 1.1 readers (not ours, but those of our users) take for something else than text. */
static bool is_special_word(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no",  "on",
                                        "off",  "y",     "n",    "~",   "nan", "inf"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *word = words[i];
        size_t k = 0;
        while (word[k] != 0 && (text[k] | 0x20) == (word[k] | 0x20))
            k++;
        if (word[k] == 0 && text[k] == 0)
            return true;
    }
    return false;
}

static bool is_safe_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    return text[0] != 0 && (strchr(letters, text[0]) != NULL || text[0] == '/') &&
           strspn(text, others) == strlen(text) && !is_special_word(text);
}

/* The code point at *text, which is moved behind it; bytes that are no UTF-8 count as themselves. */
static uint32_t next_code(const unsigned char **text)
{
    const unsigned char *at = *text;
    uint32_t code = *at;
    int more = code >= 0xf0 ? 3 : code >= 0xe0 ? 2 : code >= 0xc0 ? 1 : 0;
    if (more > 0)
        code &= 0x3fu >> more;
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            *text = at + 1;
            return *at;
        }
        code = code << 6 | (at[i] & 0x3fu);
    }
    *text = at + more + 1;
    return code;
}

/* What YAML forbids in a document or folds into a line end must be escaped, also inside quotes. */
static bool needs_escape(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
           code == 0xfeff || code == 0xfffe || code == 0xffff;
}

static void write_text(thaw_str *out, const char *text)
{
    if (is_safe_plain(text)) {
        thaw_str_add(out, text);
        return;
    }
    thaw_str_add(out, "\"");
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        const unsigned char *start = at;
        uint32_t code = next_code(&at);
        if (code == '"' || code == '\\')
            thaw_str_printf(out, "\\%c", (int)code);
        else if (needs_escape(code))
            thaw_str_printf(out, "\\u%04x", (unsigned)code);
        else
            thaw_str_add_bytes(out, start, (size_t)(at - start));
    }
    thaw_str_add(out, "\"");
}

/* The shortest decimal that reads back as the same double. */
static void write_double(thaw_str *out, double value)
{
    char text[40];
    double back = 0;
    for (int digits = 15; digits <= 17; digits++) {
        thaw_format(text, sizeof text, "%.*g", digits, value);
        if (thaw_parse_double(text, &back) && back == value)
            break;
    }
    thaw_str_add(out, text);
}

static void write_list(thaw_str *out, const thaw_field *row, const void *member)
{
    int64_t count = ((const thaw_ints *)member)->count;
    if (row->type == THAW_FIELD_STRINGS)
        count = ((const thaw_strings *)member)->count;
    else if (row->type == THAW_FIELD_DOUBLES)
        count = ((const thaw_doubles *)member)->count;
    thaw_str_add(out, "[");
    for (int64_t i = 0; i < count; i++) {
        if (i > 0)
            thaw_str_add(out, ", ");
        if (row->type == THAW_FIELD_STRINGS)
            write_text(out, ((const thaw_strings *)member)->items[i]);
        else if (row->type == THAW_FIELD_DOUBLES)
            write_double(out, ((const thaw_doubles *)member)->items[i]);
        else
            thaw_str_printf(out, "%lld", (long long)((const thaw_ints *)member)->items[i]);
    }
    thaw_str_add(out, "]");
}

static void write_value(thaw_str *out, const thaw_field *row, const void *member)
{
    switch (row->type) {
    case THAW_FIELD_BOOL:
        thaw_str_add(out, *(const bool *)member ? "true" : "false");
        break;
    case THAW_FIELD_INT:
        thaw_str_printf(out, "%lld", (long long)*(const int64_t *)member);
        break;
    case THAW_FIELD_DOUBLE:
        write_double(out, *(const double *)member);
        break;
    case THAW_FIELD_STRING:
        write_text(out, *(char *const *)member);
        break;
    case THAW_FIELD_ENUM:
        write_text(out, row->choices[*(const int *)member]);
        break;
    default:
        write_list(out, row, member);
    }
}

static bool is_absent(const thaw_field *row, const void *member)
{
    if (row->type == THAW_FIELD_STRING)
        return *(char *const *)member == NULL;
    return thaw_conf_is_optional_table(row) && thaw_conf_is_zero(row->table, member);
}

static void write_table(const thaw_field *table, const void *in_struct, int indent, thaw_str *out);

/* An item's first line gets its dash where the lines below it are indented. */
static void write_tables(const thaw_field *row, const thaw_tables *list, int indent, thaw_str *out)
{
    thaw_str_add(out, list->count == 0 ? " []\n" : "\n");
    for (int64_t i = 0; i < list->count; i++) {
        const size_t start = out->length;
        write_table(row->table, thaw_conf_item(row, list, i), indent + 4, out);
        if (out->length > start)
            out->data[start + (size_t)indent + 2] = '-';
        else
            thaw_str_printf(out, "%*s- {}\n", indent + 2, "");
    }
}

static void write_table(const thaw_field *table, const void *in_struct, int indent, thaw_str *out)
{
    for (const thaw_field *row = table; row->name != NULL; row++) {
        const void *member = thaw_conf_member_const(row, in_struct);
        if (is_absent(row, member))
            continue;
        thaw_str_printf(out, "%*s%s:", indent, "", row->name);
        if (row->type == THAW_FIELD_TABLE) {
            thaw_str_add(out, "\n");
            write_table(row->table, member, indent + 2, out);
        } else if (row->type == THAW_FIELD_TABLES) {
            write_tables(row, member, indent, out);
        } else {
            thaw_str_add(out, " ");
            write_value(out, row, member);
            thaw_str_add(out, "\n");
        }
    }
}

void thaw_conf_write(const thaw_field *table, const void *in_struct, thaw_str *out)
{
    write_table(table, in_struct, 0, out);
}
