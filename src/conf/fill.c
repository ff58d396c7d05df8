#include "thaw/conf.h"

#include <string.h>

#include "conf/tree_impl.h"

/* Where absent keys are missed: the mapping itself, or the nearest one around it. */
typedef struct mapping {
    const thaw_conf_node *node; /* NULL: absent, read as empty */
    int line, column;
} mapping;

static thaw_status fill(const thaw_conf *conf, const thaw_field *table, const char *path,
                        const mapping *map, void *out_struct);

static void join(thaw_str *out, const char *path, const char *key)
{
    thaw_str_reset(out);
    thaw_str_printf(out, "%s%s%s", path, path[0] != 0 ? "." : "", key);
}

static const char *nearest_row(const thaw_field *table, const char *key)
{
    size_t count = 0;
    const char *names[128];
    for (; table[count].name != NULL && count < sizeof names / sizeof *names; count++)
        names[count] = table[count].name;
    return thaw_did_you_mean(key, names, count);
}

static thaw_status unknown_key(const thaw_conf *conf, const thaw_field *table, const char *path,
                               const thaw_conf_child *child)
{
    thaw_str full = {0};
    char shown[THAW_CONF_SHOWN];
    const char *near = nearest_row(table, child->key);
    join(&full, path, thaw_conf_show(child->key, shown));
    thaw_status status = thaw_conf_fail(conf, child->line, child->column, thaw_str_c(&full),
                                        "unknown key%s%s%s", near != NULL ? "; did you mean '" : "",
                                        near != NULL ? near : "", near != NULL ? "'?" : "");
    thaw_str_clear(&full);
    return status;
}

static bool has_row(const thaw_field *table, const char *key)
{
    for (const thaw_field *row = table; row->name != NULL; row++) {
        if (strcmp(row->name, key) == 0)
            return true;
    }
    return false;
}

/* Before anything else is judged: a misspelt key explains a missing one better than the other way round. */
static thaw_status check_keys(const thaw_conf *conf, const thaw_field *table, const char *path,
                              const thaw_conf_node *map)
{
    for (int64_t i = 0; map != NULL && i < map->count; i++) {
        const thaw_conf_child *child = &map->children[i];
        if (!child->used && !child->claimed && !has_row(table, child->key))
            return unknown_key(conf, table, path, child);
    }
    return THAW_OK;
}

static thaw_status missing(const thaw_conf *conf, const thaw_field *row, const char *path,
                           const mapping *map)
{
    bool has_doc = row->doc != NULL && row->doc[0] != 0;
    const char *type = thaw_conf_type_name(row->type);
    return thaw_conf_fail(conf, map->line, map->column, path,
                          "the required key '%s' is missing (%s%s%s)", row->name, type,
                          has_doc ? ": " : "", has_doc ? row->doc : "");
}

/* The mapping that a node stands for; "key:" with nothing after it is an empty one. */
static thaw_status as_mapping(const thaw_conf *conf, const char *path, const thaw_conf_child *child,
                              const thaw_conf_node *node, mapping *out)
{
    if (node->kind == THAW_CONF_LIST ||
        (node->kind == THAW_CONF_TEXT && !thaw_conf_node_is_nothing(node)))
        return thaw_conf_fail(conf, node->line, node->column, path,
                              "expected a mapping ('key: value'), found %s",
                              node->kind == THAW_CONF_LIST ? "a list" : "a single value");
    out->node = node->kind == THAW_CONF_MAP ? node : NULL;
    out->line = child != NULL ? child->line : node->line;
    out->column = child != NULL ? child->column : node->column;
    return THAW_OK;
}

static thaw_status fill_table(const thaw_conf *conf, const thaw_field *row, const char *path,
                              const mapping *map, const thaw_conf_child *child, void *member)
{
    mapping inner = {.node = NULL, .line = map->line, .column = map->column};
    if (child == NULL && thaw_conf_is_optional_table(row))
        return THAW_OK;
    if (child != NULL)
        THAW_TRY(as_mapping(conf, path, child, child->value, &inner));
    return fill(conf, row->table, path, &inner, member);
}

/* One after the other, so that those that were filled before a failure are cleared with the list. */
static thaw_status fill_items(const thaw_conf *conf, const thaw_field *row, const char *path,
                              const thaw_conf_node *node, thaw_tables *list)
{
    thaw_str full = {0};
    char number[24];
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < node->count && status == THAW_OK; i++) {
        mapping map;
        thaw_conf_child *child = &node->children[i];
        thaw_format(number, sizeof number, "%lld", (long long)i);
        join(&full, path, number);
        child->used = true;
        status = as_mapping(conf, thaw_str_c(&full), NULL, child->value, &map);
        list->count = i + 1;
        if (status == THAW_OK)
            status = fill(conf, row->table, thaw_str_c(&full), &map, thaw_conf_item(row, list, i));
    }
    thaw_str_clear(&full);
    return status;
}

static thaw_status fill_tables(const thaw_conf *conf, const thaw_field *row, const char *path,
                               const thaw_conf_child *child, thaw_tables *list)
{
    char *items = NULL;
    if (child == NULL || thaw_conf_node_is_nothing(child->value))
        return THAW_OK;
    const thaw_conf_node *node = child->value;
    if (node->kind != THAW_CONF_LIST)
        return thaw_conf_fail(conf, node->line, node->column, path,
                              "expected a list of mappings ('- key: value'), found %s",
                              node->kind == THAW_CONF_MAP ? "a mapping" : "a single value");
    THAW_TRY(thaw_alloc(&items, node->count, thaw_conf_item_bytes(row)));
    list->items = items;
    return fill_items(conf, row, path, node, list);
}

static thaw_status fill_row(const thaw_conf *conf, const thaw_field *row, const char *path,
                            const mapping *map, const char *around, void *member)
{
    thaw_conf_child *child =
        map->node != NULL ? thaw_conf_node_find(map->node, row->name, strlen(row->name)) : NULL;
    if (child != NULL)
        child->used = true;
    if (row->type == THAW_FIELD_TABLE)
        return fill_table(conf, row, path, map, child, member);
    if (row->type == THAW_FIELD_TABLES)
        return fill_tables(conf, row, path, child, member);
    if (child != NULL) {
        child->claimed = true;
        return thaw_conf_read(conf, path, child->value, row, member);
    }
    if (row->preset == NULL)
        return missing(conf, row, around, map);
    return thaw_conf_read_preset(row, member);
}

static thaw_status fill(const thaw_conf *conf, const thaw_field *table, const char *path,
                        const mapping *map, void *out_struct)
{
    thaw_str full = {0};
    thaw_status status = check_keys(conf, table, path, map->node);
    for (const thaw_field *row = table; row->name != NULL && status == THAW_OK; row++) {
        join(&full, path, row->name);
        status =
            fill_row(conf, row, thaw_str_c(&full), map, path, thaw_conf_member(row, out_struct));
    }
    thaw_str_clear(&full);
    return status;
}

thaw_status thaw_conf_fill(const thaw_conf *conf, const thaw_field *table, const char *path,
                           void *out_struct)
{
    thaw_conf_place place = thaw_conf_find(conf, path, true);
    const thaw_conf_child *around = place.around_child;
    mapping map = {.node = NULL,
                   .line = around != NULL ? around->line : place.around->line,
                   .column = around != NULL ? around->column : place.around->column};
    thaw_conf_zero(table, out_struct);
    if (place.node != NULL)
        THAW_TRY(as_mapping(conf, path, place.child, place.node, &map));
    thaw_status status = fill(conf, table, path, &map, out_struct);
    if (status != THAW_OK)
        thaw_fields_clear(table, out_struct);
    return status;
}

void thaw_conf_claim(const thaw_conf *conf, const char *path)
{
    thaw_conf_place place = thaw_conf_find(conf, path, true);
    if (place.child != NULL)
        place.child->claimed = true;
}

static thaw_status check_below(const thaw_conf *conf, const thaw_conf_node *node, const char *path)
{
    thaw_str full = {0};
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < node->count && status == THAW_OK; i++) {
        const thaw_conf_child *child = &node->children[i];
        char number[24];
        char shown[THAW_CONF_SHOWN];
        thaw_format(number, sizeof number, "%lld", (long long)i);
        join(&full, path, child->key != NULL ? thaw_conf_show(child->key, shown) : number);
        if (child->claimed)
            continue;
        if (!child->used)
            status = thaw_conf_fail(conf, child->line, child->column, thaw_str_c(&full),
                                    "unknown key; nothing reads it");
        else
            status = check_below(conf, child->value, thaw_str_c(&full));
    }
    thaw_str_clear(&full);
    return status;
}

thaw_status thaw_conf_check_unused(const thaw_conf *conf)
{
    return check_below(conf, conf->root, "");
}
