#include "thaw/conf.h"

#include <string.h>

#include "conf/tree_impl.h"

thaw_status thaw_conf_node_new(thaw_conf_kind kind, int line, int column, thaw_conf_node **out)
{
    THAW_TRY(thaw_alloc(out, 1, sizeof **out));
    (*out)->kind = kind;
    (*out)->line = line;
    (*out)->column = column;
    (*out)->height = 1;
    return THAW_OK;
}

/* The depth limit of the document bounds the recursion. */
void thaw_conf_node_free(thaw_conf_node **node)
{
    if (*node == NULL)
        return;
    for (int64_t i = 0; i < (*node)->count; i++) {
        thaw_free(&(*node)->children[i].key);
        thaw_conf_node_free(&(*node)->children[i].value);
    }
    thaw_free(&(*node)->children);
    thaw_free(&(*node)->text);
    thaw_free(node);
}

thaw_status thaw_conf_node_add(thaw_conf_node *parent, const char *key, int line, int column,
                               thaw_conf_node **value)
{
    thaw_status status = THAW_OK;
    thaw_conf_child child = {.line = line, .column = column};
    if (parent->count == parent->capacity) {
        int64_t capacity = parent->capacity > 0 ? 2 * parent->capacity : 4;
        THAW_TRY_TO(
            thaw_realloc(&parent->children, parent->capacity, capacity, sizeof *parent->children));
        parent->capacity = capacity;
    }
    THAW_TRY_TO(thaw_strdup(&child.key, key));
    child.value = *value;
    *value = NULL;
    if (parent->height <= child.value->height)
        parent->height = child.value->height + 1;
    parent->children[parent->count++] = child;
done:
    thaw_conf_node_free(value);
    return status;
}

thaw_conf_child *thaw_conf_node_find(const thaw_conf_node *map, const char *key, size_t bytes)
{
    if (map->kind != THAW_CONF_MAP)
        return NULL;
    for (int64_t i = 0; i < map->count; i++) {
        const char *have = map->children[i].key;
        if (strncmp(have, key, bytes) == 0 && have[bytes] == 0)
            return &map->children[i];
    }
    return NULL;
}

bool thaw_conf_node_is_nothing(const thaw_conf_node *node)
{
    return node->kind == THAW_CONF_TEXT && node->plain &&
           (node->text[0] == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

static thaw_conf_child *item(const thaw_conf_node *list, const char *number, size_t bytes)
{
    char digits[20];
    int64_t index;
    if (bytes >= sizeof digits)
        return NULL;
    memcpy(digits, number, bytes);
    digits[bytes] = 0;
    if (!thaw_parse_int(digits, &index) || index < 0 || index >= list->count)
        return NULL;
    return &list->children[index];
}

thaw_conf_place thaw_conf_find(const thaw_conf *conf, const char *path, bool mark)
{
    thaw_conf_place place = {.node = conf->root, .around = conf->root};
    while (*path != 0 && place.node != NULL) {
        size_t bytes = strcspn(path, ".");
        place.around = place.node;
        place.around_child = place.child;
        place.child = place.node->kind == THAW_CONF_LIST
                          ? item(place.node, path, bytes)
                          : thaw_conf_node_find(place.node, path, bytes);
        if (place.child != NULL && mark)
            place.child->used = true;
        place.node = place.child != NULL ? place.child->value : NULL;
        path += bytes + (path[bytes] == '.');
    }
    return place;
}
