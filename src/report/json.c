#include "thaw/report.h"

#include "report/json_impl.h"

#include <math.h>
#include <stdio.h>

/* Building cannot fail visibly, like thaw_str: no caller could do anything but stop. */
static cJSON *checked(cJSON *node)
{
    if (node == NULL) {
        THAW_LOG_ALL(THAW_ERROR, "out of memory while building a JSON value");
        thaw_abort(thaw_status_exit_code(THAW_ERR_RESOURCE));
    }
    return node;
}

thaw_json *thaw_json_new_object(void)
{
    return thaw_json_wrap(checked(cJSON_CreateObject()));
}

thaw_json *thaw_json_new_array(void)
{
    return thaw_json_wrap(checked(cJSON_CreateArray()));
}

thaw_json *thaw_json_copy(const thaw_json *json)
{
    return thaw_json_wrap(checked(cJSON_Duplicate(thaw_json_node(json), 1)));
}

void thaw_json_free(thaw_json **json)
{
    if (json == NULL || *json == NULL)
        return;
    cJSON_Delete(thaw_json_node(*json));
    *json = NULL;
}

static cJSON *make_int(int64_t value)
{
    if (value >= -THAW_JSON_EXACT && value <= THAW_JSON_EXACT)
        return checked(cJSON_CreateNumber((double)value));
    char text[THAW_NUMBER];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return checked(cJSON_CreateString(text));
}

static cJSON *make_double(double value)
{
    return checked(isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

static cJSON *make_string(const char *text)
{
    return checked(text != NULL ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static thaw_json *set(thaw_json *object, const char *key, cJSON *value)
{
    cJSON *node = thaw_json_node(object);
    THAW_ASSERT(cJSON_IsObject(node) && key != NULL);
    cJSON_bool done = cJSON_GetObjectItemCaseSensitive(node, key) != NULL
                          ? cJSON_ReplaceItemInObjectCaseSensitive(node, key, value)
                          : cJSON_AddItemToObject(node, key, value);
    checked(done ? value : NULL);
    return thaw_json_wrap(value);
}

static thaw_json *add(thaw_json *array, cJSON *value)
{
    cJSON *node = thaw_json_node(array);
    THAW_ASSERT(cJSON_IsArray(node));
    checked(cJSON_AddItemToArray(node, value) ? value : NULL);
    return thaw_json_wrap(value);
}

void thaw_json_set_null(thaw_json *object, const char *key)
{
    set(object, key, checked(cJSON_CreateNull()));
}

void thaw_json_set_bool(thaw_json *object, const char *key, bool value)
{
    set(object, key, checked(cJSON_CreateBool(value)));
}

void thaw_json_set_int(thaw_json *object, const char *key, int64_t value)
{
    set(object, key, make_int(value));
}

void thaw_json_set_double(thaw_json *object, const char *key, double value)
{
    set(object, key, make_double(value));
}

void thaw_json_set_string(thaw_json *object, const char *key, const char *text)
{
    set(object, key, make_string(text));
}

void thaw_json_set_digest(thaw_json *object, const char *key, thaw_digest digest)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(digest, hex);
    set(object, key, make_string(hex));
}

void thaw_json_set_doubles(thaw_json *object, const char *key, const double *values, int64_t count)
{
    thaw_json *array = thaw_json_set_array(object, key);
    for (int64_t i = 0; i < count; i++)
        add(array, make_double(values[i]));
}

void thaw_json_set_ints(thaw_json *object, const char *key, const int64_t *values, int64_t count)
{
    thaw_json *array = thaw_json_set_array(object, key);
    for (int64_t i = 0; i < count; i++)
        add(array, make_int(values[i]));
}

void thaw_json_set_strings(thaw_json *object, const char *key, const char *const *values,
                           int64_t count)
{
    thaw_json *array = thaw_json_set_array(object, key);
    for (int64_t i = 0; i < count; i++)
        add(array, make_string(values[i]));
}

thaw_json *thaw_json_set_object(thaw_json *object, const char *key)
{
    return set(object, key, checked(cJSON_CreateObject()));
}

thaw_json *thaw_json_set_array(thaw_json *object, const char *key)
{
    return set(object, key, checked(cJSON_CreateArray()));
}

thaw_json *thaw_json_child(thaw_json *object, const char *key)
{
    cJSON *found = cJSON_GetObjectItemCaseSensitive(thaw_json_node(object), key);
    return cJSON_IsObject(found) ? thaw_json_wrap(found) : thaw_json_set_object(object, key);
}

void thaw_json_set_take(thaw_json *object, const char *key, thaw_json *value)
{
    set(object, key, thaw_json_node(value));
}

void thaw_json_add_null(thaw_json *array)
{
    add(array, checked(cJSON_CreateNull()));
}

void thaw_json_add_bool(thaw_json *array, bool value)
{
    add(array, checked(cJSON_CreateBool(value)));
}

void thaw_json_add_int(thaw_json *array, int64_t value)
{
    add(array, make_int(value));
}

void thaw_json_add_double(thaw_json *array, double value)
{
    add(array, make_double(value));
}

void thaw_json_add_string(thaw_json *array, const char *text)
{
    add(array, make_string(text));
}

thaw_json *thaw_json_add_object(thaw_json *array)
{
    return add(array, checked(cJSON_CreateObject()));
}

thaw_json *thaw_json_add_array(thaw_json *array)
{
    return add(array, checked(cJSON_CreateArray()));
}

void thaw_json_add_take(thaw_json *array, thaw_json *value)
{
    add(array, thaw_json_node(value));
}
