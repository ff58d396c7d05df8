#include "thaw/tensor.h"

#include <string.h>

/* A shape may come from a file: its product must be a size that memory can have. */
static bool shape_fits(const thaw_shape *shape, size_t element)
{
    uint64_t bytes = element;
    if (shape->ndim < 0 || shape->ndim > THAW_MAX_DIMS)
        return false;
    for (int i = 0; i < shape->ndim; i++) {
        uint64_t dim = (uint64_t)shape->dim[i];
        if (shape->dim[i] < 0 || (dim > 0 && bytes > PTRDIFF_MAX / dim))
            return false;
        bytes *= dim;
    }
    return true;
}

static thaw_status reserve(thaw_state *s)
{
    if (s->count < s->capacity)
        return THAW_OK;
    int64_t capacity = s->capacity > 0 ? 2 * s->capacity : 16;
    THAW_TRY(thaw_realloc(&s->entries, s->capacity, capacity, sizeof *s->entries));
    s->capacity = capacity;
    return THAW_OK;
}

static thaw_status insert(thaw_state *s, const char *name, const thaw_tensor *tensor, bool owned)
{
    THAW_CHECK(thaw_state_find(s, name) == NULL, THAW_ERR_FAIL,
               "the state already has an entry named '%s'", name);
    THAW_TRY(reserve(s));
    thaw_entry *entry = &s->entries[s->count];
    THAW_TRY(thaw_strdup(&entry->name, name));
    entry->tensor = *tensor;
    entry->owned = owned;
    s->count++;
    return THAW_OK;
}

static thaw_status check_shape(const char *name, thaw_dtype dtype, const thaw_shape *shape)
{
    char text[160] = "?";
    if (shape_fits(shape, thaw_dtype_bytes(dtype)))
        return THAW_OK;
    if (shape->ndim >= 0 && shape->ndim <= THAW_MAX_DIMS)
        thaw_shape_format(shape, text, sizeof text);
    return THAW_FAIL(THAW_ERR_FAIL, "'%s' has the impossible shape %s (%d dimensions)", name, text,
                     (int)shape->ndim);
}

thaw_status thaw_state_add(thaw_state *s, const char *name, thaw_dtype dtype, thaw_shape shape,
                           void *data)
{
    thaw_tensor tensor = {dtype, shape, data};
    THAW_TRY(check_shape(name, dtype, &shape));
    return insert(s, name, &tensor, false);
}

thaw_status thaw_state_add_new(thaw_state *s, const char *name, thaw_dtype dtype, thaw_shape shape,
                               void **data)
{
    thaw_tensor tensor = {dtype, shape, NULL};
    THAW_TRY(check_shape(name, dtype, &shape));
    THAW_TRY(thaw_alloc(&tensor.data, thaw_shape_count(&shape), thaw_dtype_bytes(dtype)));
    thaw_status status = insert(s, name, &tensor, true);
    if (status != THAW_OK)
        thaw_free(&tensor.data);
    if (data != NULL)
        *data = tensor.data;
    return status;
}

static thaw_status add_bytes(thaw_state *s, const char *name, thaw_dtype dtype, thaw_shape shape,
                             const void *value)
{
    void *data;
    THAW_TRY(thaw_state_add_new(s, name, dtype, shape, &data));
    size_t bytes = (size_t)thaw_shape_count(&shape) * thaw_dtype_bytes(dtype);
    if (bytes > 0)
        memcpy(data, value, bytes);
    return THAW_OK;
}

thaw_status thaw_state_add_int(thaw_state *s, const char *name, int64_t value)
{
    return add_bytes(s, name, THAW_I64, thaw_shape_make(0, NULL), &value);
}

thaw_status thaw_state_add_double(thaw_state *s, const char *name, double value)
{
    return add_bytes(s, name, THAW_F64, thaw_shape_make(0, NULL), &value);
}

thaw_status thaw_state_add_text(thaw_state *s, const char *name, const char *text)
{
    return add_bytes(s, name, THAW_U8, thaw_shape1((int64_t)strlen(text)), text);
}

thaw_tensor *thaw_state_find(const thaw_state *s, const char *name)
{
    for (int64_t i = 0; i < s->count; i++) {
        if (strcmp(s->entries[i].name, name) == 0)
            return &s->entries[i].tensor;
    }
    return NULL;
}

static thaw_status get(const thaw_state *s, const char *name, thaw_dtype dtype, int ndim,
                       const thaw_tensor **out)
{
    const thaw_tensor *found = thaw_state_find(s, name);
    THAW_CHECK(found != NULL, THAW_ERR_INPUT, "the state has no entry named '%s'", name);
    THAW_CHECK(found->dtype == dtype && found->shape.ndim == ndim, THAW_ERR_INPUT,
               "'%s' is %s with %d dimensions; expected %s with %d", name,
               thaw_dtype_name(found->dtype), (int)found->shape.ndim, thaw_dtype_name(dtype), ndim);
    *out = found;
    return THAW_OK;
}

thaw_status thaw_state_get_int(const thaw_state *s, const char *name, int64_t *out)
{
    const thaw_tensor *found;
    THAW_TRY(get(s, name, THAW_I64, 0, &found));
    memcpy(out, found->data, sizeof *out);
    return THAW_OK;
}

thaw_status thaw_state_get_double(const thaw_state *s, const char *name, double *out)
{
    const thaw_tensor *found;
    THAW_TRY(get(s, name, THAW_F64, 0, &found));
    memcpy(out, found->data, sizeof *out);
    return THAW_OK;
}

thaw_status thaw_state_get_text(const thaw_state *s, const char *name, thaw_str *out)
{
    const thaw_tensor *found;
    THAW_TRY(get(s, name, THAW_U8, 1, &found));
    thaw_str_add_bytes(out, found->data, thaw_tensor_bytes(found));
    return THAW_OK;
}

thaw_status thaw_entry_check(const thaw_entry *to, const thaw_tensor *from)
{
    char want[160];
    char have[160];
    THAW_CHECK(from != NULL, THAW_ERR_INPUT, "'%s' is missing", to->name);
    thaw_shape_format(&to->tensor.shape, want, sizeof want);
    thaw_shape_format(&from->shape, have, sizeof have);
    THAW_CHECK(to->tensor.dtype == from->dtype && thaw_shape_equal(&to->tensor.shape, &from->shape),
               THAW_ERR_INPUT, "'%s' is %s %s; expected %s %s", to->name,
               thaw_dtype_name(from->dtype), have, thaw_dtype_name(to->tensor.dtype), want);
    return THAW_OK;
}

thaw_status thaw_state_copy(thaw_state *to, const thaw_state *from)
{
    for (int64_t i = 0; i < to->count; i++)
        THAW_TRY(thaw_entry_check(&to->entries[i], thaw_state_find(from, to->entries[i].name)));
    for (int64_t i = 0; i < to->count; i++) {
        const thaw_tensor *source = thaw_state_find(from, to->entries[i].name);
        size_t bytes = thaw_tensor_bytes(source);
        if (bytes > 0)
            memmove(to->entries[i].tensor.data, source->data, bytes);
    }
    return THAW_OK;
}

void thaw_state_clear(thaw_state *s)
{
    for (int64_t i = 0; i < s->count; i++) {
        if (s->entries[i].owned)
            thaw_free(&s->entries[i].tensor.data);
        thaw_free(&s->entries[i].name);
    }
    thaw_free(&s->entries);
    s->count = 0;
    s->capacity = 0;
}
