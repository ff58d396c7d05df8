#include "thaw/tensor.h"

#include <stdlib.h>
#include <string.h>

static bool little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

/* Digests are compared between machines, so the bytes are those of a little-endian one. */
static void add_little_endian(thaw_hasher *hasher, const void *data, int64_t count, size_t size)
{
    if (little_endian()) {
        thaw_hasher_add(hasher, data, (size_t)count * size);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        const unsigned char *element = (const unsigned char *)data + (size_t)i * size;
        unsigned char swapped[8];
        for (size_t k = 0; k < size; k++)
            swapped[k] = element[size - 1 - k];
        thaw_hasher_add(hasher, swapped, size);
    }
}

void thaw_hasher_add_entry(thaw_hasher *hasher, const char *name, thaw_dtype dtype,
                           const thaw_shape *shape)
{
    const char *type = thaw_dtype_name(dtype);
    int64_t ndim = shape->ndim;
    /* The ending 0 and the number of dimensions keep neighbouring fields apart. */
    thaw_hasher_add(hasher, name, strlen(name) + 1);
    thaw_hasher_add(hasher, type, strlen(type) + 1);
    add_little_endian(hasher, &ndim, 1, sizeof ndim);
    add_little_endian(hasher, shape->dim, ndim, sizeof shape->dim[0]);
}

void thaw_hasher_add_values(thaw_hasher *hasher, thaw_dtype dtype, int64_t count,
                            const void *values)
{
    add_little_endian(hasher, values, count, thaw_dtype_bytes(dtype));
}

static int by_name(const void *a, const void *b)
{
    const thaw_entry *const *x = a;
    const thaw_entry *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

thaw_status thaw_state_sorted(const thaw_state *s, const thaw_entry ***out)
{
    THAW_TRY(thaw_alloc(out, s->count, sizeof **out));
    for (int64_t i = 0; i < s->count; i++)
        (*out)[i] = &s->entries[i];
    if (s->count > 1)
        qsort(*out, (size_t)s->count, sizeof **out, by_name);
    return THAW_OK;
}

thaw_status thaw_state_digest(const thaw_state *s, thaw_digest *out)
{
    thaw_status status = THAW_OK;
    thaw_hasher *hasher = NULL;
    const thaw_entry **order = NULL;
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    THAW_TRY_TO(thaw_state_sorted(s, &order));
    for (int64_t i = 0; i < s->count; i++) {
        const thaw_tensor *t = &order[i]->tensor;
        thaw_hasher_add_entry(hasher, order[i]->name, t->dtype, &t->shape);
        thaw_hasher_add_values(hasher, t->dtype, thaw_tensor_count(t), t->data);
    }
    *out = thaw_hasher_get(hasher);
done:
    thaw_free(&order);
    thaw_hasher_free(&hasher);
    return status;
}
