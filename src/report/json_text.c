#include "thaw/report.h"

#include "report/json_impl.h"

#include <string.h>

/* The few characters at the place of the error, made printable. */
static void excerpt(const char *text, size_t bytes, size_t offset, char *out, size_t out_bytes)
{
    size_t n = 0;
    for (; n + 1 < out_bytes && offset + n < bytes; n++) {
        unsigned char c = (unsigned char)text[offset + n];
        if (c == '\n' || c == '\0')
            break;
        out[n] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    out[n] = '\0';
}

static thaw_status parse_failed(const char *text, size_t bytes, const char *name, int64_t line,
                                size_t offset, const char *what)
{
    int64_t column = 1;
    for (size_t i = 0; i < offset && i < bytes; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    char near[24];
    excerpt(text, bytes, offset, near, sizeof near);
    bool at_end = offset + 1 >= bytes;
    return THAW_FAIL(THAW_ERR_INPUT, "%s:%lld:%lld (byte %lld): %s%s%s%s%s", name, (long long)line,
                     (long long)column, (long long)offset, what, *near ? " at \"" : "", near,
                     *near ? "\"" : "",
                     at_end ? " at the end of the text; was it cut off while it was written?" : "");
}

thaw_status thaw_json_parse(const char *text, size_t bytes, const char *name, thaw_json **out)
{
    return thaw_json_parse_line(text, bytes, name, 1, out);
}

thaw_status thaw_json_parse_line(const char *text, size_t bytes, const char *name, int64_t line,
                                 thaw_json **out)
{
    *out = NULL;
    size_t first = 0;
    while (first < bytes && strchr(" \t\r\n", text[first]) != NULL && text[first] != '\0')
        first++;
    THAW_CHECK(first < bytes, THAW_ERR_INPUT, "%s: empty, expected a JSON value", name);
    const char *end = NULL;
    cJSON *node = cJSON_ParseWithLengthOpts(text, bytes, &end, 0);
    size_t offset = end != NULL ? (size_t)(end - text) : 0;
    if (node == NULL)
        return parse_failed(text, bytes, name, line, offset, "not JSON");
    while (offset < bytes && text[offset] != '\0' && strchr(" \t\r\n", text[offset]) != NULL)
        offset++;
    if (offset < bytes) {
        cJSON_Delete(node);
        return parse_failed(text, bytes, name, line, offset, "more text after the JSON value");
    }
    *out = thaw_json_wrap(node);
    return THAW_OK;
}

thaw_status thaw_json_read(const char *path, thaw_json **out)
{
    *out = NULL;
    thaw_str text = {0};
    thaw_status status = thaw_file_read_within(path, THAW_JSON_MOST_BYTES, &text);
    if (status == THAW_OK)
        status = thaw_json_parse(thaw_str_c(&text), text.length, path, out);
    thaw_str_clear(&text);
    return status;
}

static void write_string(const char *text, thaw_str *out)
{
    static const char plain[] = "\"\\/bfnrt";
    static const char codes[] = "\"\\/\b\f\n\r\t";
    thaw_str_add(out, "\"");
    for (const char *at = text; *at != '\0';) {
        size_t run = 0;
        while ((unsigned char)at[run] >= 0x20 && at[run] != '"' && at[run] != '\\')
            run++;
        thaw_str_add_bytes(out, at, run);
        at += run;
        if (*at == '\0')
            break;
        const char *code = strchr(codes, *at);
        if (code != NULL)
            thaw_str_printf(out, "\\%c", plain[code - codes]);
        else
            thaw_str_printf(out, "\\u%04x", (unsigned)(unsigned char)*at);
        at++;
    }
    thaw_str_add(out, "\"");
}

static void write_scalar(const cJSON *node, thaw_str *out)
{
    char number[THAW_NUMBER];
    if (cJSON_IsString(node)) {
        write_string(node->valuestring, out);
    } else if (cJSON_IsNumber(node)) {
        thaw_number(node->valuedouble, number);
        thaw_str_add(out, number);
    } else {
        thaw_str_add(out, cJSON_IsTrue(node) ? "true" : cJSON_IsFalse(node) ? "false" : "null");
    }
}

static bool is_container(const cJSON *node)
{
    return cJSON_IsArray(node) || cJSON_IsObject(node);
}

/* A list of plain values reads best on one line. */
static bool fits_one_line(const cJSON *node)
{
    if (node->child == NULL)
        return true;
    if (cJSON_IsObject(node))
        return false;
    for (const cJSON *item = node->child; item != NULL; item = item->next)
        if (is_container(item))
            return false;
    return true;
}

static void indent(thaw_str *out, int depth)
{
    thaw_str_printf(out, "\n%*s", depth * 2, "");
}

/* Depth is bounded by cJSON's own nesting limit when parsed, and by our code when built. */
static void write_value(const cJSON *node, bool pretty, int depth, thaw_str *out)
{
    if (!is_container(node)) {
        write_scalar(node, out);
        return;
    }
    bool object = cJSON_IsObject(node);
    bool lines = pretty && !fits_one_line(node);
    thaw_str_add(out, object ? "{" : "[");
    for (const cJSON *item = node->child; item != NULL; item = item->next) {
        if (item != node->child)
            thaw_str_add(out, pretty && !lines ? ", " : ",");
        if (lines)
            indent(out, depth + 1);
        if (object) {
            write_string(item->string, out);
            thaw_str_add(out, pretty ? ": " : ":");
        }
        write_value(item, pretty, depth + 1, out);
    }
    if (lines)
        indent(out, depth);
    thaw_str_add(out, object ? "}" : "]");
}

void thaw_json_compact(const thaw_json *json, thaw_str *out)
{
    write_value(thaw_json_node(json), false, 0, out);
}

void thaw_json_pretty(const thaw_json *json, thaw_str *out)
{
    write_value(thaw_json_node(json), true, 0, out);
}

thaw_status thaw_json_write(const char *path, const thaw_json *json)
{
    thaw_str text = {0};
    thaw_json_pretty(json, &text);
    thaw_str_add(&text, "\n");
    thaw_status status = thaw_file_write(path, text.data, text.length);
    thaw_str_clear(&text);
    return status;
}
