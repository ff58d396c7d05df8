#include "thaw/conf.h"

#include <math.h>
#include <string.h>

#include "conf/tree_impl.h"

/* Where a value is, for its messages. */
typedef struct spot {
    const thaw_conf *conf;
    const char *path;
    const thaw_conf_node *node;
    const thaw_field *row;
} spot;

const char *thaw_conf_type_name(thaw_field_type type)
{
    static const char *const names[] = {
        [THAW_FIELD_BOOL] = "true or false",
        [THAW_FIELD_INT] = "an integer",
        [THAW_FIELD_DOUBLE] = "a number",
        [THAW_FIELD_STRING] = "text",
        [THAW_FIELD_ENUM] = "a word",
        [THAW_FIELD_STRINGS] = "a list of texts",
        [THAW_FIELD_DOUBLES] = "a list of numbers",
        [THAW_FIELD_INTS] = "a list of integers",
        [THAW_FIELD_TABLE] = "a mapping",
        [THAW_FIELD_TABLES] = "a list of mappings",
    };
    return names[type];
}

static void describe(const thaw_conf_node *node, char *out, size_t bytes)
{
    char shown[THAW_CONF_SHOWN];
    if (node->kind != THAW_CONF_TEXT)
        thaw_copy(out, bytes, node->kind == THAW_CONF_LIST ? "a list" : "a mapping");
    else if (thaw_conf_node_is_nothing(node))
        thaw_copy(out, bytes, "nothing");
    else
        thaw_format(out, bytes, node->plain ? "'%s'" : "the quoted text \"%s\"",
                    thaw_conf_show(node->text, shown));
}

static thaw_status wrong_type(const spot *at, const char *expected)
{
    char found[THAW_CONF_SHOWN + 32];
    describe(at->node, found, sizeof found);
    return thaw_conf_fail(at->conf, at->node->line, at->node->column, at->path,
                          "expected %s, found %s", expected, found);
}

static void format_bound(const thaw_field *row, double bound, char *out, size_t bytes)
{
    bool whole = row->type == THAW_FIELD_INT || row->type == THAW_FIELD_INTS;
    if (whole && fabs(bound) < 0x1p53)
        thaw_format(out, bytes, "%lld", (long long)bound);
    else
        thaw_format(out, bytes, "%.10g", bound);
}

void thaw_conf_range(const thaw_field *row, char *out, size_t bytes)
{
    char least[40];
    char most[40];
    format_bound(row, row->least, least, sizeof least);
    format_bound(row, row->most, most, sizeof most);
    if (row->least == row->most)
        thaw_copy(out, bytes, "");
    else if (row->most >= 0x1p53)
        thaw_format(out, bytes, "at least %s", least);
    else if (row->least <= -0x1p53)
        thaw_format(out, bytes, "at most %s", most);
    else
        thaw_format(out, bytes, "between %s and %s", least, most);
}

static thaw_status check_range(const spot *at, double value)
{
    char range[100];
    char shown[THAW_CONF_SHOWN];
    const thaw_field *row = at->row;
    if (row->least == row->most || (value >= row->least && value <= row->most))
        return THAW_OK;
    thaw_conf_range(row, range, sizeof range);
    return thaw_conf_fail(at->conf, at->node->line, at->node->column, at->path,
                          "%s is out of range; expected %s", thaw_conf_show(at->node->text, shown),
                          range);
}

static bool is_plain(const thaw_conf_node *node)
{
    return node->kind == THAW_CONF_TEXT && node->plain;
}

static thaw_status read_bool(const spot *at, bool *out)
{
    if (!is_plain(at->node) ||
        (strcmp(at->node->text, "true") != 0 && strcmp(at->node->text, "false") != 0))
        return wrong_type(at, "true or false");
    *out = at->node->text[0] == 't';
    return THAW_OK;
}

static thaw_status read_int(const spot *at, int64_t *out)
{
    if (!is_plain(at->node) || !thaw_parse_int(at->node->text, out))
        return wrong_type(at, "an integer");
    return check_range(at, (double)*out);
}

static thaw_status read_double(const spot *at, double *out)
{
    if (!is_plain(at->node) || !thaw_parse_double(at->node->text, out))
        return wrong_type(at, "a finite number");
    return check_range(at, *out);
}

static thaw_status read_string(const spot *at, char **out)
{
    if (at->node->kind != THAW_CONF_TEXT || thaw_conf_node_is_nothing(at->node))
        return wrong_type(at, "text");
    return thaw_strdup(out, at->node->text);
}

void thaw_conf_choices(const thaw_field *row, thaw_str *out)
{
    for (size_t i = 0; row->choices[i] != NULL; i++)
        thaw_str_printf(out, "%s%s", i > 0 ? ", " : "", row->choices[i]);
}

static thaw_status read_enum(const spot *at, int *out)
{
    const char *const *choices = at->row->choices;
    size_t count = 0;
    if (at->node->kind != THAW_CONF_TEXT || thaw_conf_node_is_nothing(at->node))
        return wrong_type(at, "a word");
    for (; choices[count] != NULL; count++) {
        if (strcmp(choices[count], at->node->text) == 0) {
            *out = (int)count;
            return THAW_OK;
        }
    }
    thaw_str words = {0};
    char shown[THAW_CONF_SHOWN];
    const char *near = thaw_did_you_mean(at->node->text, choices, count);
    thaw_conf_choices(at->row, &words);
    thaw_status status = thaw_conf_fail(
        at->conf, at->node->line, at->node->column, at->path, "'%s' is not one of: %s%s%s%s",
        thaw_conf_show(at->node->text, shown), thaw_str_c(&words),
        near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
    thaw_str_clear(&words);
    return status;
}

_Static_assert(offsetof(thaw_strings, count) == offsetof(thaw_doubles, count) &&
                   offsetof(thaw_strings, count) == offsetof(thaw_ints, count),
               "the three lists have one layout: a pointer to the items, then their count");

static thaw_status read_list(const spot *at, thaw_field_type item_type, size_t item_bytes,
                             void *list)
{
    thaw_status status = THAW_OK;
    thaw_field item_row = *at->row;
    thaw_str path = {0};
    char *items = NULL;
    int64_t tried = 0;
    item_row.type = item_type;
    if (at->node->kind != THAW_CONF_LIST)
        return wrong_type(at, thaw_conf_type_name(at->row->type));
    THAW_TRY(thaw_alloc(&items, at->node->count, item_bytes));
    for (; tried < at->node->count && status == THAW_OK; tried++) {
        thaw_str_reset(&path);
        thaw_str_printf(&path, "%s.%lld", at->path, (long long)tried);
        status = thaw_conf_read(at->conf, thaw_str_c(&path), at->node->children[tried].value,
                                &item_row, items + (size_t)tried * item_bytes);
    }
    thaw_str_clear(&path);
    if (status == THAW_OK) {
        memcpy(list, &items, sizeof items);
        memcpy((char *)list + offsetof(thaw_strings, count), &tried, sizeof tried);
        return THAW_OK;
    }
    for (int64_t i = 0; item_type == THAW_FIELD_STRING && i < tried; i++)
        thaw_free(items + (size_t)i * item_bytes);
    thaw_free(&items);
    return status;
}

thaw_status thaw_conf_read(const thaw_conf *conf, const char *path, const thaw_conf_node *node,
                           const thaw_field *row, void *member)
{
    const spot at = {conf, path, node, row};
    switch (row->type) {
    case THAW_FIELD_BOOL:
        return read_bool(&at, member);
    case THAW_FIELD_INT:
        return read_int(&at, member);
    case THAW_FIELD_DOUBLE:
        return read_double(&at, member);
    case THAW_FIELD_STRING:
        return read_string(&at, member);
    case THAW_FIELD_ENUM:
        return read_enum(&at, member);
    case THAW_FIELD_STRINGS:
        return read_list(&at, THAW_FIELD_STRING, sizeof(char *), member);
    case THAW_FIELD_DOUBLES:
        return read_list(&at, THAW_FIELD_DOUBLE, sizeof(double), member);
    case THAW_FIELD_INTS:
        return read_list(&at, THAW_FIELD_INT, sizeof(int64_t), member);
    case THAW_FIELD_TABLE:
    case THAW_FIELD_TABLES:
        break;
    }
    return THAW_FAIL(THAW_ERR_FAIL, "the row of %s has an unknown type", path);
}

static bool is_list(const thaw_field *row)
{
    return row->type == THAW_FIELD_STRINGS || row->type == THAW_FIELD_DOUBLES ||
           row->type == THAW_FIELD_INTS;
}

thaw_status thaw_conf_read_preset(const thaw_field *row, void *member)
{
    thaw_status status = THAW_OK;
    thaw_conf conf = {0};
    char *text = NULL;
    THAW_TRY_TO(thaw_strdup(&conf.name, "preset"));
    if (is_list(row)) {
        const char *list = row->preset[0] != 0 ? row->preset : "[]";
        THAW_TRY_TO(thaw_conf_build("preset", false, list, strlen(list), &conf.root));
    } else {
        /* Text is taken as it stands, without YAML's quotes. */
        THAW_TRY_TO(thaw_strdup(&text, row->preset));
        THAW_TRY_TO(thaw_conf_node_new(THAW_CONF_TEXT, 1, 1, &conf.root));
        conf.root->text = text;
        conf.root->plain = row->type != THAW_FIELD_STRING;
    }
    status = thaw_conf_read(&conf, row->name, conf.root, row, member);
done:
    thaw_conf_node_free(&conf.root);
    thaw_free(&conf.name);
    /* A wrong preset is a mistake in our table, whatever the parser called it. */
    return status == THAW_ERR_CONFIG ? thaw_fail_context(THAW_ERR_FAIL, "field table") : status;
}
