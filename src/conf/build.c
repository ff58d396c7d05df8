#include "thaw/conf.h"

#include <string.h>

#include <yaml.h>

#include "conf/tree_impl.h"

typedef struct anchor {
    char *name;
    const thaw_conf_node *node;
} anchor;

typedef struct builder {
    thaw_conf source; /* no root: only names the document in messages */
    bool override;
    const char *text;
    size_t bytes;
    yaml_parser_t parser;
    yaml_event_t event;
    anchor *anchors;
    int64_t anchor_count, anchor_capacity;
    int64_t nodes;
    size_t text_bytes;
} builder;

static thaw_status build(builder *b, int depth, thaw_conf_node **out);

/* A mark as line and column from 1; 0 in an override, where they mean nothing to the user. */
static int line_of(const builder *b, const yaml_mark_t *mark)
{
    return b->override ? 0 : (int)mark->line + 1;
}

static int column_of(const yaml_mark_t *mark)
{
    return (int)mark->column + 1;
}

static thaw_status fail_here(const builder *b, const char *words)
{
    const yaml_mark_t *mark = &b->event.start_mark;
    return thaw_conf_fail(&b->source, line_of(b, mark), column_of(mark), "", "%s", words);
}

/* The reader gives a byte, not a place. */
static yaml_mark_t mark_of_byte(const builder *b, size_t offset)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < b->bytes; i++) {
        mark.column++;
        if (b->text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        }
    }
    return mark;
}

static thaw_status syntax_error(const builder *b)
{
    const yaml_parser_t *p = &b->parser;
    const char *problem = p->problem != NULL ? p->problem : "unknown problem";
    if (p->error == YAML_MEMORY_ERROR)
        return THAW_FAIL(THAW_ERR_RESOURCE, "out of memory while reading %s", b->source.name);
    bool reading = p->error == YAML_READER_ERROR;
    yaml_mark_t mark = reading ? mark_of_byte(b, p->problem_offset) : p->problem_mark;
    bool context = !reading && p->context != NULL;
    return thaw_conf_fail(&b->source, line_of(b, &mark), column_of(&mark), "",
                          "not valid YAML: %s%s%s", problem, context ? " " : "",
                          context ? p->context : "");
}

/* Replaces b->event by the next one. */
static thaw_status next(builder *b)
{
    yaml_event_delete(&b->event);
    if (!yaml_parser_parse(&b->parser, &b->event))
        return syntax_error(b);
    return THAW_OK;
}

static thaw_status count_node(builder *b, size_t text_bytes)
{
    b->nodes++;
    b->text_bytes += text_bytes;
    if (b->nodes > THAW_CONF_MAX_NODES || b->text_bytes > THAW_CONF_MAX_TEXT)
        return fail_here(b, "the document is too large once its aliases are expanded; the limit is "
                            "100000 values and 16 MiB of text");
    return THAW_OK;
}

static thaw_status copy_node(builder *b, const thaw_conf_node *from, thaw_conf_node **out)
{
    thaw_status status = THAW_OK;
    thaw_conf_node *copy = NULL;
    THAW_TRY(count_node(b, from->text != NULL ? strlen(from->text) : 0));
    THAW_TRY(thaw_conf_node_new(from->kind, from->line, from->column, &copy));
    copy->plain = from->plain;
    THAW_TRY_TO(thaw_strdup(&copy->text, from->text));
    for (int64_t i = 0; i < from->count; i++) {
        const thaw_conf_child *child = &from->children[i];
        thaw_conf_node *value = NULL;
        THAW_TRY_TO(copy_node(b, child->value, &value));
        THAW_TRY_TO(thaw_conf_node_add(copy, child->key, child->line, child->column, &value));
    }
    *out = copy;
    copy = NULL;
done:
    thaw_conf_node_free(&copy);
    return status;
}

static thaw_status build_alias(builder *b, int depth, thaw_conf_node **out)
{
    const char *name = (const char *)b->event.data.alias.anchor;
    const yaml_mark_t *mark = &b->event.start_mark;
    char shown[THAW_CONF_SHOWN];
    /* From the end, because a later anchor of the same name hides the earlier one. */
    for (int64_t i = b->anchor_count - 1; i >= 0; i--) {
        if (strcmp(b->anchors[i].name, name) != 0)
            continue;
        /* Anchors inside anchors could otherwise build a tree too deep to walk. */
        if (depth + b->anchors[i].node->height - 1 > THAW_CONF_MAX_DEPTH)
            return fail_here(b, "values are nested more than 32 levels deep");
        THAW_TRY(copy_node(b, b->anchors[i].node, out));
        (*out)->line = line_of(b, mark);
        (*out)->column = column_of(mark);
        return THAW_OK;
    }
    return thaw_conf_fail(&b->source, line_of(b, mark), column_of(mark), "",
                          "the alias '*%s' has no anchor '&%s' before it",
                          thaw_conf_show(name, shown), shown);
}

static thaw_status remember(builder *b, const char *name, const thaw_conf_node *node)
{
    if (b->anchor_count == b->anchor_capacity) {
        int64_t capacity = b->anchor_capacity > 0 ? 2 * b->anchor_capacity : 8;
        THAW_TRY(thaw_realloc(&b->anchors, b->anchor_capacity, capacity, sizeof *b->anchors));
        b->anchor_capacity = capacity;
    }
    anchor *a = &b->anchors[b->anchor_count];
    THAW_TRY(thaw_strdup(&a->name, name));
    a->node = node;
    b->anchor_count++;
    return THAW_OK;
}

/* The text of the current scalar event; it must be one that C can hold. */
static thaw_status take_text(const builder *b, char **out)
{
    const char *value = (const char *)b->event.data.scalar.value;
    if (strlen(value) != b->event.data.scalar.length)
        return fail_here(b, "a text contains a NUL character");
    return thaw_strdup(out, value);
}

static thaw_status build_text(const builder *b, thaw_conf_node *node)
{
    node->plain = b->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return take_text(b, &node->text);
}

static thaw_status build_list(builder *b, int depth, thaw_conf_node *node)
{
    for (;;) {
        thaw_conf_node *value = NULL;
        THAW_TRY(next(b));
        if (b->event.type == YAML_SEQUENCE_END_EVENT)
            return THAW_OK;
        int line = line_of(b, &b->event.start_mark);
        int column = column_of(&b->event.start_mark);
        THAW_TRY(build(b, depth + 1, &value));
        THAW_TRY(thaw_conf_node_add(node, NULL, line, column, &value));
    }
}

static thaw_status check_key(const builder *b, const thaw_conf_node *map, const char *key)
{
    char shown[THAW_CONF_SHOWN];
    if (map->count >= THAW_CONF_MAX_KEYS)
        return fail_here(b, "a mapping has more than 1024 keys");
    const thaw_conf_child *first = thaw_conf_node_find(map, key, strlen(key));
    if (first == NULL)
        return THAW_OK;
    const yaml_mark_t *mark = &b->event.start_mark;
    thaw_conf_show(key, shown);
    if (b->override)
        return thaw_conf_fail(&b->source, 0, 0, "", "the key '%s' appears twice", shown);
    return thaw_conf_fail(&b->source, line_of(b, mark), column_of(mark), "",
                          "the key '%s' appears twice; the first is in line %d", shown,
                          first->line);
}

static thaw_status build_pair(builder *b, int depth, thaw_conf_node *node)
{
    thaw_status status = THAW_OK;
    thaw_conf_node *value = NULL;
    char *key = NULL;
    int line = line_of(b, &b->event.start_mark);
    int column = column_of(&b->event.start_mark);
    if (b->event.type != YAML_SCALAR_EVENT)
        return fail_here(b, "a key must be text");
    THAW_TRY_TO(take_text(b, &key));
    THAW_TRY_TO(check_key(b, node, key));
    THAW_TRY_TO(count_node(b, strlen(key)));
    THAW_TRY_TO(next(b));
    THAW_TRY_TO(build(b, depth + 1, &value));
    THAW_TRY_TO(thaw_conf_node_add(node, key, line, column, &value));
done:
    thaw_free(&key);
    return status;
}

static thaw_status build_map(builder *b, int depth, thaw_conf_node *node)
{
    for (;;) {
        THAW_TRY(next(b));
        if (b->event.type == YAML_MAPPING_END_EVENT)
            return THAW_OK;
        THAW_TRY(build_pair(b, depth, node));
    }
}

/* Anchor and tag of the current event, whichever of the three kinds with properties it is. */
static void properties(const yaml_event_t *event, const char **anchor_name, const char **tag)
{
    const yaml_char_t *a = event->data.scalar.anchor;
    const yaml_char_t *t = event->data.scalar.tag;
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        a = event->data.sequence_start.anchor;
        t = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        a = event->data.mapping_start.anchor;
        t = event->data.mapping_start.tag;
    }
    *anchor_name = (const char *)a;
    *tag = (const char *)t;
}

static thaw_status build_content(builder *b, int depth, thaw_conf_node *node)
{
    if (node->kind == THAW_CONF_TEXT)
        return build_text(b, node);
    return node->kind == THAW_CONF_LIST ? build_list(b, depth, node) : build_map(b, depth, node);
}

/* Builds the value that the current event starts; ends on its last event. */
static thaw_status build(builder *b, int depth, thaw_conf_node **out)
{
    thaw_status status = THAW_OK;
    thaw_conf_node *node = NULL;
    char *name = NULL;
    const char *anchor_name;
    const char *tag;
    if (depth > THAW_CONF_MAX_DEPTH)
        return fail_here(b, "values are nested more than 32 levels deep");
    if (b->event.type == YAML_ALIAS_EVENT)
        return build_alias(b, depth, out);
    properties(&b->event, &anchor_name, &tag);
    if (tag != NULL)
        return fail_here(b, "tags ('!...') are not supported; write the value alone");
    thaw_conf_kind kind = b->event.type == YAML_SCALAR_EVENT           ? THAW_CONF_TEXT
                          : b->event.type == YAML_SEQUENCE_START_EVENT ? THAW_CONF_LIST
                                                                       : THAW_CONF_MAP;
    THAW_TRY(count_node(b, kind == THAW_CONF_TEXT ? b->event.data.scalar.length : 0));
    THAW_TRY_TO(thaw_strdup(&name, anchor_name));
    THAW_TRY_TO(thaw_conf_node_new(kind, line_of(b, &b->event.start_mark),
                                   column_of(&b->event.start_mark), &node));
    THAW_TRY_TO(build_content(b, depth, node));
    if (name != NULL)
        THAW_TRY_TO(remember(b, name, node));
    *out = node;
    node = NULL;
done:
    thaw_free(&name);
    thaw_conf_node_free(&node);
    return status;
}

static thaw_status build_document(builder *b, thaw_conf_node **out)
{
    THAW_TRY(next(b)); /* stream start */
    THAW_TRY(next(b)); /* document start, or the end of an empty stream */
    if (b->event.type == YAML_STREAM_END_EVENT)
        return thaw_conf_node_new(THAW_CONF_MAP, b->override ? 0 : 1, 1, out);
    THAW_TRY(next(b));
    THAW_TRY(build(b, 1, out));
    THAW_TRY(next(b)); /* document end */
    THAW_TRY(next(b));
    if (b->event.type != YAML_STREAM_END_EVENT)
        return fail_here(b, "a second document starts here; only one is allowed");
    return THAW_OK;
}

thaw_status thaw_conf_build(const char *name, bool override, const char *text, size_t bytes,
                            thaw_conf_node **out)
{
    builder b = {.override = override, .text = text, .bytes = bytes};
    thaw_status status = THAW_OK;
    *out = NULL;
    THAW_CHECK(bytes <= THAW_CONF_MAX_BYTES, THAW_ERR_CONFIG,
               "%s: the document is larger than 4 MiB", name);
    THAW_TRY(thaw_strdup(&b.source.name, name));
    THAW_CHECK_TO(yaml_parser_initialize(&b.parser), THAW_ERR_RESOURCE,
                  "out of memory while reading %s", name);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, bytes);
    status = build_document(&b, out);
    if (status != THAW_OK)
        thaw_conf_node_free(out);
    yaml_event_delete(&b.event);
    yaml_parser_delete(&b.parser);
done:
    for (int64_t i = 0; i < b.anchor_count; i++)
        thaw_free(&b.anchors[i].name);
    thaw_free(&b.anchors);
    thaw_free(&b.source.name);
    return status;
}
