/* conf/tree_impl.h - the document as a tree, and the limits that keep a hostile one small.
 *
 * A node is text, a list or a mapping; it owns what is below it. Aliases are deep copies, so every value has one
 * parent and one mark of use. Line 0 says that the node came from an override. */
#ifndef THAW_CONF_TREE_IMPL_H
#define THAW_CONF_TREE_IMPL_H

#include "thaw/conf.h"

#define THAW_CONF_MAX_BYTES ((size_t)4 << 20)
#define THAW_CONF_MAX_TEXT  ((size_t)16 << 20) /* after aliases were expanded */
#define THAW_CONF_MAX_DEPTH 32
#define THAW_CONF_MAX_NODES 100000
#define THAW_CONF_MAX_KEYS  1024 /* in one mapping: duplicates are looked for one by one */

typedef enum thaw_conf_kind { THAW_CONF_TEXT, THAW_CONF_LIST, THAW_CONF_MAP } thaw_conf_kind;

struct thaw_conf_child;

typedef struct thaw_conf_node {
    thaw_conf_kind kind;
    int line, column; /* from 1 */
    int height;       /* levels from here down, 1 for a text */
    char *text;       /* TEXT */
    bool plain;       /* TEXT: it was not quoted */
    struct thaw_conf_child *children;
    int64_t count, capacity;
} thaw_conf_node;

typedef struct thaw_conf_child {
    char *key; /* NULL in a list */
    int line, column;
    bool used;    /* a table or a path went through it */
    bool claimed; /* everything below it belongs to the reader */
    thaw_conf_node *value;
} thaw_conf_child;

struct thaw_conf {
    char *name;
    thaw_conf_node *root;
};

THAW_NODISCARD thaw_status thaw_conf_node_new(thaw_conf_kind kind, int line, int column,
                                              thaw_conf_node **out);
void thaw_conf_node_free(thaw_conf_node **node);
/* Takes *value, also when it fails. The child is value's place in the parent until the next one is added. */
THAW_NODISCARD thaw_status thaw_conf_node_add(thaw_conf_node *parent, const char *key, int line,
                                              int column, thaw_conf_node **value);
thaw_conf_child *thaw_conf_node_find(const thaw_conf_node *map, const char *key, size_t bytes);
bool thaw_conf_node_is_nothing(const thaw_conf_node *node);

/* What a path leads to. `node` is NULL when it leads nowhere; `child` is NULL for the root; `around` is the last
 * node on the way. `mark` sets `used` along the way. */
typedef struct thaw_conf_place {
    thaw_conf_node *node;
    thaw_conf_child *child;
    thaw_conf_node *around;
    thaw_conf_child *around_child;
} thaw_conf_place;
thaw_conf_place thaw_conf_find(const thaw_conf *conf, const char *path, bool mark);

/* One YAML document of any kind; nothing at all gives an empty mapping. With `override` messages start with `name` alone and nodes
 * have line 0. */
THAW_NODISCARD thaw_status thaw_conf_build(const char *name, bool override, const char *text,
                                           size_t bytes, thaw_conf_node **out);
THAW_NODISCARD thaw_status thaw_conf_override(thaw_conf *conf, const char *assignment);

/* Records THAW_ERR_CONFIG: "name:line:column: path: words" ("--set path: words" when line is 0). */
thaw_status thaw_conf_fail(const thaw_conf *conf, int line, int column, const char *path,
                           const char *format, ...) THAW_PRINTF(5, 6);
/* Cuts `text` to what fits a message and hides control characters in it. */
#define THAW_CONF_SHOWN 64
const char *thaw_conf_show(const char *text, char out[THAW_CONF_SHOWN]);

/* ---- Rows ---- */

/* Reads node into the member of the row; lists and text are new. */
THAW_NODISCARD thaw_status thaw_conf_read(const thaw_conf *conf, const char *path,
                                          const thaw_conf_node *node, const thaw_field *row,
                                          void *member);
/* Reads the row's preset; THAW_ERR_FAIL when the table is wrong. Rows of types TABLE and TABLES are not for it. */
THAW_NODISCARD thaw_status thaw_conf_read_preset(const thaw_field *row, void *member);
void *thaw_conf_member(const thaw_field *row, void *inout_struct);
const void *thaw_conf_member_const(const thaw_field *row, const void *in_struct);
/* Of a row of type TABLES: bytes of one struct; struct i of its list. */
size_t thaw_conf_item_bytes(const thaw_field *row);
void *thaw_conf_item(const thaw_field *row, const thaw_tables *list, int64_t i);
/* Sets every member to zero, without freeing. */
void thaw_conf_zero(const thaw_field *table, void *out_struct);
bool thaw_conf_is_zero(const thaw_field *table, const void *in_struct);
bool thaw_conf_is_optional_table(const thaw_field *row);
/* "an integer", "a list of numbers", ... and "at least 1", "between 0 and 1" or "". */
const char *thaw_conf_type_name(thaw_field_type type);
void thaw_conf_range(const thaw_field *row, char *out, size_t bytes);
void thaw_conf_choices(const thaw_field *row, thaw_str *out); /* "sgd, adamw" */

#endif
