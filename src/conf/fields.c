#include "thaw/conf.h"

#include <string.h>

#include "conf/tree_impl.h"

static size_t member_bytes(thaw_field_type type)
{
    static const size_t bytes[] = {
        [THAW_FIELD_BOOL] = sizeof(bool),
        [THAW_FIELD_INT] = sizeof(int64_t),
        [THAW_FIELD_DOUBLE] = sizeof(double),
        [THAW_FIELD_STRING] = sizeof(char *),
        [THAW_FIELD_ENUM] = sizeof(int),
        [THAW_FIELD_STRINGS] = sizeof(thaw_strings),
        [THAW_FIELD_DOUBLES] = sizeof(thaw_doubles),
        [THAW_FIELD_INTS] = sizeof(thaw_ints),
        [THAW_FIELD_TABLE] = 0,
        [THAW_FIELD_TABLES] = sizeof(thaw_tables),
    };
    return bytes[type];
}

void *thaw_conf_member(const thaw_field *row, void *inout_struct)
{
    return (char *)inout_struct + row->offset;
}

const void *thaw_conf_member_const(const thaw_field *row, const void *in_struct)
{
    return (const char *)in_struct + row->offset;
}

size_t thaw_conf_item_bytes(const thaw_field *row)
{
    const thaw_field *end = row->table;
    while (end->name != NULL)
        end++;
    THAW_ASSERT(end->offset > 0);
    return end->offset;
}

void *thaw_conf_item(const thaw_field *row, const thaw_tables *list, int64_t i)
{
    return (char *)list->items + (size_t)i * thaw_conf_item_bytes(row);
}

bool thaw_conf_is_optional_table(const thaw_field *row)
{
    return row->type == THAW_FIELD_TABLE && row->preset != NULL;
}

void thaw_conf_zero(const thaw_field *table, void *out_struct)
{
    for (const thaw_field *row = table; row->name != NULL; row++) {
        void *member = thaw_conf_member(row, out_struct);
        if (row->type == THAW_FIELD_TABLE)
            thaw_conf_zero(row->table, member);
        else
            memset(member, 0, member_bytes(row->type));
    }
}

/* Bytes will do: no member type has padding, and an empty list points nowhere. */
bool thaw_conf_is_zero(const thaw_field *table, const void *in_struct)
{
    static const char zeros[sizeof(thaw_strings)]; /* as large as any member */
    for (const thaw_field *row = table; row->name != NULL; row++) {
        const void *member = thaw_conf_member_const(row, in_struct);
        bool zero = row->type == THAW_FIELD_TABLE
                        ? thaw_conf_is_zero(row->table, member)
                        : memcmp(member, zeros, member_bytes(row->type)) == 0;
        if (!zero)
            return false;
    }
    return true;
}

thaw_status thaw_fields_default(const thaw_field *table, void *out_struct)
{
    thaw_status status = THAW_OK;
    thaw_conf_zero(table, out_struct);
    for (const thaw_field *row = table; row->name != NULL && status == THAW_OK; row++) {
        void *member = thaw_conf_member(row, out_struct);
        if (row->type == THAW_FIELD_TABLE && !thaw_conf_is_optional_table(row))
            status = thaw_fields_default(row->table, member);
        else if (row->type != THAW_FIELD_TABLE && row->type != THAW_FIELD_TABLES &&
                 row->preset != NULL)
            status = thaw_conf_read_preset(row, member);
    }
    if (status != THAW_OK)
        thaw_fields_clear(table, out_struct);
    return status;
}

static void clear_tables(const thaw_field *row, thaw_tables *list)
{
    for (int64_t i = 0; i < list->count; i++)
        thaw_fields_clear(row->table, thaw_conf_item(row, list, i));
    thaw_free(&list->items);
}

static void clear_member(const thaw_field *row, void *member)
{
    if (row->type == THAW_FIELD_TABLE) {
        thaw_fields_clear(row->table, member);
    } else if (row->type == THAW_FIELD_TABLES) {
        clear_tables(row, member);
    } else if (row->type == THAW_FIELD_STRING || row->type == THAW_FIELD_DOUBLES ||
               row->type == THAW_FIELD_INTS) {
        thaw_free(member); /* a list begins with its pointer */
    } else if (row->type == THAW_FIELD_STRINGS) {
        thaw_strings *list = member;
        for (int64_t i = 0; i < list->count; i++)
            thaw_free(&list->items[i]);
        thaw_free(&list->items);
    }
}

void thaw_fields_clear(const thaw_field *table, void *inout_struct)
{
    for (const thaw_field *row = table; row->name != NULL; row++)
        clear_member(row, thaw_conf_member(row, inout_struct));
    thaw_conf_zero(table, inout_struct);
}

static bool equal_text(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

static bool equal_strings(const thaw_strings *a, const thaw_strings *b)
{
    if (a->count != b->count)
        return false;
    for (int64_t i = 0; i < a->count; i++) {
        if (!equal_text(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

static bool equal_doubles(const thaw_doubles *a, const thaw_doubles *b)
{
    if (a->count != b->count)
        return false;
    for (int64_t i = 0; i < a->count; i++) {
        if (a->items[i] != b->items[i])
            return false;
    }
    return true;
}

static bool equal_ints(const thaw_ints *a, const thaw_ints *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->items, b->items, (size_t)a->count * sizeof *a->items) == 0);
}

static bool equal_tables(const thaw_field *row, const thaw_tables *a, const thaw_tables *b)
{
    if (a->count != b->count)
        return false;
    for (int64_t i = 0; i < a->count; i++) {
        if (!thaw_fields_equal(row->table, thaw_conf_item(row, a, i), thaw_conf_item(row, b, i)))
            return false;
    }
    return true;
}

static bool equal_member(const thaw_field *row, const void *a, const void *b)
{
    switch (row->type) {
    case THAW_FIELD_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case THAW_FIELD_INT:
        return *(const int64_t *)a == *(const int64_t *)b;
    case THAW_FIELD_DOUBLE:
        return *(const double *)a == *(const double *)b;
    case THAW_FIELD_STRING:
        return equal_text(*(char *const *)a, *(char *const *)b);
    case THAW_FIELD_ENUM:
        return *(const int *)a == *(const int *)b;
    case THAW_FIELD_STRINGS:
        return equal_strings(a, b);
    case THAW_FIELD_DOUBLES:
        return equal_doubles(a, b);
    case THAW_FIELD_INTS:
        return equal_ints(a, b);
    case THAW_FIELD_TABLE:
        return thaw_fields_equal(row->table, a, b);
    case THAW_FIELD_TABLES:
        return equal_tables(row, a, b);
    }
    return false;
}

bool thaw_fields_equal(const thaw_field *table, const void *a, const void *b)
{
    for (const thaw_field *row = table; row->name != NULL; row++) {
        if (!equal_member(row, thaw_conf_member_const(row, a), thaw_conf_member_const(row, b)))
            return false;
    }
    return true;
}

static thaw_status copy_strings(thaw_strings *to, const thaw_strings *from)
{
    THAW_TRY(thaw_alloc(&to->items, from->count, sizeof *to->items));
    to->count = from->count;
    for (int64_t i = 0; i < from->count; i++)
        THAW_TRY(thaw_strdup(&to->items[i], from->items[i]));
    return THAW_OK;
}

static thaw_status copy_doubles(thaw_doubles *to, const thaw_doubles *from)
{
    THAW_TRY(thaw_alloc(&to->items, from->count, sizeof *to->items));
    to->count = from->count;
    if (from->count > 0)
        memcpy(to->items, from->items, (size_t)from->count * sizeof *to->items);
    return THAW_OK;
}

static thaw_status copy_ints(thaw_ints *to, const thaw_ints *from)
{
    THAW_TRY(thaw_alloc(&to->items, from->count, sizeof *to->items));
    to->count = from->count;
    if (from->count > 0)
        memcpy(to->items, from->items, (size_t)from->count * sizeof *to->items);
    return THAW_OK;
}

static thaw_status copy_member(const thaw_field *row, void *to, const void *from);

static thaw_status copy_all(const thaw_field *table, void *to, const void *from)
{
    for (const thaw_field *row = table; row->name != NULL; row++)
        THAW_TRY(copy_member(row, thaw_conf_member(row, to), thaw_conf_member_const(row, from)));
    return THAW_OK;
}

/* The count grows with the items, so that what was copied before a failure is cleared. */
static thaw_status copy_tables(const thaw_field *row, thaw_tables *to, const thaw_tables *from)
{
    char *items = NULL;
    THAW_TRY(thaw_alloc(&items, from->count, thaw_conf_item_bytes(row)));
    to->items = items;
    for (; to->count < from->count; to->count++)
        THAW_TRY(thaw_fields_copy(row->table, thaw_conf_item(row, to, to->count),
                                  thaw_conf_item(row, from, to->count)));
    return THAW_OK;
}

static thaw_status copy_member(const thaw_field *row, void *to, const void *from)
{
    if (row->type == THAW_FIELD_STRING)
        return thaw_strdup(to, *(char *const *)from);
    if (row->type == THAW_FIELD_STRINGS)
        return copy_strings(to, from);
    if (row->type == THAW_FIELD_DOUBLES)
        return copy_doubles(to, from);
    if (row->type == THAW_FIELD_INTS)
        return copy_ints(to, from);
    if (row->type == THAW_FIELD_TABLE)
        return copy_all(row->table, to, from);
    if (row->type == THAW_FIELD_TABLES)
        return copy_tables(row, to, from);
    memcpy(to, from, member_bytes(row->type));
    return THAW_OK;
}

thaw_status thaw_fields_copy(const thaw_field *table, void *to, const void *from)
{
    thaw_conf_zero(table, to);
    thaw_status status = copy_all(table, to, from);
    if (status != THAW_OK)
        thaw_fields_clear(table, to);
    return status;
}
