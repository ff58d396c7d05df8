#include "thaw/report.h"

#include "report/json_impl.h"

#include <math.h>
#include <string.h>

static const cJSON *item_of_length(const cJSON *object, const char *key, size_t length)
{
    for (const cJSON *item = object->child; item != NULL; item = item->next)
        if (item->string != NULL && strncmp(item->string, key, length) == 0 &&
            item->string[length] == '\0')
            return item;
    return NULL;
}

static const cJSON *find(const cJSON *node, const char *path);

static const cJSON *find_in_array(const cJSON *array, const char *path)
{
    int64_t index = 0;
    const char *at = path;
    for (; *at >= '0' && *at <= '9' && index < INT32_MAX; at++)
        index = index * 10 + (*at - '0');
    if (at == path || (*at != '.' && *at != '\0'))
        return NULL;
    const cJSON *item = array->child;
    while (item != NULL && index-- > 0)
        item = item->next;
    return item != NULL ? find(item, *at == '.' ? at + 1 : at) : NULL;
}

static const cJSON *find_in_object(const cJSON *object, const char *path)
{
    for (size_t length = strlen(path); length > 0; length--) {
        if (path[length] != '.' && path[length] != '\0')
            continue;
        const cJSON *item = item_of_length(object, path, length);
        const cJSON *found =
            item != NULL ? find(item, path + length + (path[length] == '.')) : NULL;
        if (found != NULL)
            return found;
    }
    return NULL;
}

static const cJSON *find(const cJSON *node, const char *path)
{
    if (*path == '\0')
        return node;
    if (cJSON_IsArray(node))
        return find_in_array(node, path);
    return cJSON_IsObject(node) ? find_in_object(node, path) : NULL;
}

const thaw_json *thaw_json_find(const thaw_json *json, const char *path)
{
    return json != NULL ? thaw_json_wrap(find(thaw_json_node(json), path)) : NULL;
}

thaw_json_type thaw_json_type_of(const thaw_json *json)
{
    switch (json != NULL ? thaw_json_node(json)->type & 0xff : cJSON_NULL) {
    case cJSON_True:
    case cJSON_False:
        return THAW_JSON_BOOL;
    case cJSON_Number:
        return THAW_JSON_NUMBER;
    case cJSON_String:
        return THAW_JSON_STRING;
    case cJSON_Array:
        return THAW_JSON_ARRAY;
    case cJSON_Object:
        return THAW_JSON_OBJECT;
    default:
        return THAW_JSON_NULL;
    }
}

static const char *type_words(const thaw_json *json)
{
    static const char *const words[] = {"null",     "a truth value", "a number",
                                        "a string", "a list",        "an object"};
    return json != NULL ? words[thaw_json_type_of(json)] : "nothing";
}

static thaw_status mismatch(const thaw_json *found, const char *path, const char *expected)
{
    return THAW_FAIL(THAW_ERR_INPUT, "\"%s\": expected %s, found %s",
                     *path != '\0' ? path : "(whole value)", expected, type_words(found));
}

thaw_status thaw_json_get_bool(const thaw_json *json, const char *path, bool *out)
{
    const thaw_json *found = thaw_json_find(json, path);
    if (thaw_json_type_of(found) != THAW_JSON_BOOL)
        return mismatch(found, path, "a truth value");
    *out = cJSON_IsTrue(thaw_json_node(found));
    return THAW_OK;
}

static bool read_int(const thaw_json *found, int64_t *out)
{
    if (thaw_json_type_of(found) == THAW_JSON_STRING)
        return thaw_parse_int(thaw_json_node(found)->valuestring, out);
    if (thaw_json_type_of(found) != THAW_JSON_NUMBER)
        return false;
    double value = thaw_json_node(found)->valuedouble;
    if (value != floor(value) || fabs(value) > (double)THAW_JSON_EXACT)
        return false;
    *out = (int64_t)value;
    return true;
}

thaw_status thaw_json_get_int(const thaw_json *json, const char *path, int64_t *out)
{
    const thaw_json *found = thaw_json_find(json, path);
    if (read_int(found, out))
        return THAW_OK;
    if (thaw_json_type_of(found) != THAW_JSON_NUMBER)
        return mismatch(found, path, "a whole number");
    char text[THAW_NUMBER];
    thaw_number(thaw_json_node(found)->valuedouble, text);
    return THAW_FAIL(THAW_ERR_INPUT,
                     "\"%s\": expected a whole number within +-2^53 (larger ones as a string), "
                     "found %s",
                     path, text);
}

thaw_status thaw_json_get_double(const thaw_json *json, const char *path, double *out)
{
    const thaw_json *found = thaw_json_find(json, path);
    if (found != NULL && thaw_json_type_of(found) == THAW_JSON_NULL) {
        *out = NAN;
        return THAW_OK;
    }
    if (thaw_json_type_of(found) != THAW_JSON_NUMBER)
        return mismatch(found, path, "a number");
    *out = thaw_json_node(found)->valuedouble;
    return THAW_OK;
}

thaw_status thaw_json_get_string(const thaw_json *json, const char *path, const char **out)
{
    const thaw_json *found = thaw_json_find(json, path);
    if (thaw_json_type_of(found) != THAW_JSON_STRING)
        return mismatch(found, path, "a string");
    *out = thaw_json_node(found)->valuestring;
    return THAW_OK;
}

thaw_status thaw_json_get_digest(const thaw_json *json, const char *path, thaw_digest *out)
{
    const char *hex = NULL;
    THAW_TRY(thaw_json_get_string(json, path, &hex));
    THAW_CHECK(thaw_digest_parse(hex, out), THAW_ERR_INPUT,
               "\"%s\": expected a digest of 32 hex digits, found \"%.40s\"", path, hex);
    return THAW_OK;
}

thaw_status thaw_json_get_object(const thaw_json *json, const char *path, const thaw_json **out)
{
    const thaw_json *found = thaw_json_find(json, path);
    if (thaw_json_type_of(found) != THAW_JSON_OBJECT)
        return mismatch(found, path, "an object");
    *out = found;
    return THAW_OK;
}

thaw_status thaw_json_get_array(const thaw_json *json, const char *path, const thaw_json **out)
{
    const thaw_json *found = thaw_json_find(json, path);
    if (thaw_json_type_of(found) != THAW_JSON_ARRAY)
        return mismatch(found, path, "a list");
    *out = found;
    return THAW_OK;
}

bool thaw_json_bool_or(const thaw_json *json, const char *path, bool fallback)
{
    const thaw_json *found = thaw_json_find(json, path);
    return thaw_json_type_of(found) == THAW_JSON_BOOL ? cJSON_IsTrue(thaw_json_node(found))
                                                      : fallback;
}

int64_t thaw_json_int_or(const thaw_json *json, const char *path, int64_t fallback)
{
    int64_t value = 0;
    return read_int(thaw_json_find(json, path), &value) ? value : fallback;
}

double thaw_json_double_or(const thaw_json *json, const char *path, double fallback)
{
    const thaw_json *found = thaw_json_find(json, path);
    return thaw_json_type_of(found) == THAW_JSON_NUMBER ? thaw_json_node(found)->valuedouble
                                                        : fallback;
}

const char *thaw_json_string_or(const thaw_json *json, const char *path, const char *fallback)
{
    const thaw_json *found = thaw_json_find(json, path);
    return thaw_json_type_of(found) == THAW_JSON_STRING ? thaw_json_node(found)->valuestring
                                                        : fallback;
}

int64_t thaw_json_count(const thaw_json *json)
{
    int64_t count = 0;
    for (const thaw_json *item = thaw_json_first(json); item != NULL; item = thaw_json_next(item))
        count++;
    return count;
}

const thaw_json *thaw_json_first(const thaw_json *json)
{
    return json != NULL ? thaw_json_wrap(thaw_json_node(json)->child) : NULL;
}

const thaw_json *thaw_json_next(const thaw_json *item)
{
    return item != NULL ? thaw_json_wrap(thaw_json_node(item)->next) : NULL;
}

const char *thaw_json_key(const thaw_json *item)
{
    return item != NULL ? thaw_json_node(item)->string : NULL;
}

const thaw_json *thaw_json_at(const thaw_json *array, int64_t index)
{
    const thaw_json *item = index >= 0 ? thaw_json_first(array) : NULL;
    while (item != NULL && index-- > 0)
        item = thaw_json_next(item);
    return item;
}
