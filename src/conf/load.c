#include "thaw/conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/tree_impl.h"

static thaw_status check_root(const thaw_conf *conf, thaw_conf_node **root)
{
    if (thaw_conf_node_is_nothing(*root)) {
        thaw_conf_node_free(root);
        return thaw_conf_node_new(THAW_CONF_MAP, 1, 1, root);
    }
    if ((*root)->kind != THAW_CONF_MAP)
        return thaw_conf_fail(conf, (*root)->line, (*root)->column, "",
                              "expected a mapping ('key: value') as the document, found %s",
                              (*root)->kind == THAW_CONF_LIST ? "a list" : "a single value");
    return THAW_OK;
}

thaw_status thaw_conf_parse_text(const char *name, const char *text, size_t bytes,
                                 const thaw_strings *overrides, thaw_conf **out)
{
    thaw_status status = THAW_OK;
    thaw_conf *conf = NULL;
    *out = NULL;
    THAW_TRY(thaw_alloc(&conf, 1, sizeof *conf));
    THAW_TRY_TO(thaw_strdup(&conf->name, name));
    THAW_TRY_TO(thaw_conf_build(name, false, text, bytes, &conf->root));
    THAW_TRY_TO(check_root(conf, &conf->root));
    for (int64_t i = 0; overrides != NULL && i < overrides->count; i++)
        THAW_TRY_TO(thaw_conf_override(conf, overrides->items[i]));
    *out = conf;
    conf = NULL;
done:
    thaw_conf_free(&conf);
    return status;
}

/* One byte more than the limit is enough to know; the path may be a pipe or an endless device. */
static thaw_status read_limited(const char *path, thaw_str *out)
{
    char block[4096];
    size_t got;
    FILE *file = fopen(path, "r");
    THAW_CHECK(file != NULL, THAW_ERR_CONFIG, "cannot open the config %s: %s", path,
               strerror(errno));
    while (out->length <= THAW_CONF_MAX_BYTES && (got = fread(block, 1, sizeof block, file)) > 0)
        thaw_str_add_bytes(out, block, got);
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    THAW_CHECK(failed == 0, THAW_ERR_CONFIG, "cannot read the config %s: %s", path,
               strerror(failed));
    return THAW_OK;
}

thaw_status thaw_conf_load(const char *path, const thaw_strings *overrides, thaw_conf **out)
{
    thaw_str text = {0};
    *out = NULL;
    thaw_status status = read_limited(path, &text);
    if (status == THAW_OK)
        status = thaw_conf_parse_text(path, thaw_str_c(&text), text.length, overrides, out);
    thaw_str_clear(&text);
    return status;
}

void thaw_conf_free(thaw_conf **conf)
{
    if (*conf == NULL)
        return;
    thaw_conf_node_free(&(*conf)->root);
    thaw_free(&(*conf)->name);
    thaw_free(conf);
}

bool thaw_conf_has(const thaw_conf *conf, const char *path)
{
    return thaw_conf_find(conf, path, false).node != NULL;
}

int64_t thaw_conf_count(const thaw_conf *conf, const char *path)
{
    const thaw_conf_node *node = thaw_conf_find(conf, path, false).node;
    return node == NULL || node->kind == THAW_CONF_TEXT ? -1 : node->count;
}

/* The value of an override. Nothing after '=' is the empty text, because a shell makes quotes hard to pass. */
static thaw_status build_value(const char *assignment, const char *value, thaw_conf_node **out)
{
    thaw_str name = {0};
    char shown[THAW_CONF_SHOWN * 4];
    size_t bytes = (size_t)(value - assignment - 1);
    if (bytes >= sizeof shown)
        bytes = sizeof shown - 1;
    memcpy(shown, assignment, bytes);
    shown[bytes] = 0;
    thaw_str_printf(&name, "--set %s", shown);
    if (*value == 0)
        value = "''";
    thaw_status status = thaw_conf_build(thaw_str_c(&name), true, value, strlen(value), out);
    thaw_str_clear(&name);
    return status;
}

/* The child of `map` for the first `bytes` of `key`, made when there is none. */
static thaw_status step_into(thaw_conf_node *map, const char *key, size_t bytes,
                             thaw_conf_child **out)
{
    thaw_conf_child *child = thaw_conf_node_find(map, key, bytes);
    if (child == NULL) {
        thaw_str name = {0};
        thaw_conf_node *value = NULL;
        thaw_str_add_bytes(&name, key, bytes);
        thaw_status status = thaw_conf_node_new(THAW_CONF_MAP, 0, 0, &value);
        if (status == THAW_OK)
            status = thaw_conf_node_add(map, thaw_str_c(&name), 0, 0, &value);
        thaw_str_clear(&name);
        THAW_TRY(status);
        child = &map->children[map->count - 1];
    }
    *out = child;
    return THAW_OK;
}

/* The child at the end of the path; mappings on the way are made where there is nothing. */
static thaw_status walk(thaw_conf *conf, const char *path, size_t length, const char *shown,
                        int height, thaw_conf_child **out)
{
    thaw_conf_node *node = conf->root;
    int depth = 1;
    for (size_t at = 0; at <= length;) {
        size_t bytes = strcspn(path + at, ".=");
        THAW_CHECK(bytes > 0, THAW_ERR_USAGE, "--set %s: the path has an empty part", shown);
        THAW_CHECK(++depth + height - 1 <= THAW_CONF_MAX_DEPTH, THAW_ERR_CONFIG,
                   "--set %s: values are nested more than 32 levels deep", shown);
        THAW_CHECK(node->kind == THAW_CONF_MAP, THAW_ERR_CONFIG,
                   "--set %s: the path goes through %s, which has no keys", shown,
                   node->kind == THAW_CONF_LIST ? "a list" : "a single value");
        THAW_TRY(step_into(node, path + at, bytes, out));
        at += bytes + 1;
        if (at <= length && thaw_conf_node_is_nothing((*out)->value)) {
            thaw_conf_node_free(&(*out)->value);
            THAW_TRY(thaw_conf_node_new(THAW_CONF_MAP, 0, 0, &(*out)->value));
        }
        node = (*out)->value;
    }
    return THAW_OK;
}

thaw_status thaw_conf_override(thaw_conf *conf, const char *assignment)
{
    thaw_status status = THAW_OK;
    thaw_conf_node *value = NULL;
    thaw_conf_child *child = NULL;
    char shown[THAW_CONF_SHOWN];
    const char *equals = strchr(assignment, '=');
    thaw_conf_show(assignment, shown);
    THAW_CHECK(equals != NULL, THAW_ERR_USAGE, "--set %s has no '='; write --set path.to.key=value",
               shown);
    THAW_TRY_TO(build_value(assignment, equals + 1, &value));
    THAW_TRY_TO(
        walk(conf, assignment, (size_t)(equals - assignment), shown, value->height, &child));
    thaw_conf_node_free(&child->value);
    child->value = value;
    child->line = 0;
    value = NULL;
done:
    thaw_conf_node_free(&value);
    return status;
}
