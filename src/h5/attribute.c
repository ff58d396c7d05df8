#include "thaw/h5.h"

#include <string.h>

#include "h5/h5_impl.h"

typedef struct opened {
    hid_t id, type, space;
    char label[256]; /* "name of object", for messages */
} opened;

static void shut(opened *a)
{
    (void)thaw_h5_release(&a->space);
    (void)thaw_h5_release(&a->type);
    (void)thaw_h5_release(&a->id);
}

static thaw_status open_attribute(const thaw_h5 *file, const char *object, const char *name,
                                  opened *out)
{
    *out = (opened){THAW_H5_NONE, THAW_H5_NONE, THAW_H5_NONE, ""};
    (void)thaw_format(out->label, sizeof out->label, "%s@%s", object, name);
    THAW_CHECK(thaw_h5_has_attribute(file, object, name), THAW_ERR_INPUT,
               "%s: '%s' has no attribute '%s'", file->path, object, name);
    out->id = H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (out->id >= 0) {
        out->type = H5Aget_type(out->id);
        out->space = H5Aget_space(out->id);
    }
    if (out->id >= 0 && out->type >= 0 && out->space >= 0)
        return THAW_OK;
    thaw_status status = THAW_H5_FAIL(file, "open the attribute", out->label);
    shut(out);
    return status;
}

bool thaw_h5_has_attribute(const thaw_h5 *file, const char *object, const char *name)
{
    THAW_H5_ALONE;
    bool there = (strcmp(object, "/") == 0 || thaw_h5_exists(file, object)) &&
                 H5Aexists_by_name(file->id, object, name, H5P_DEFAULT) > 0;
    (void)H5Eclear2(H5E_DEFAULT);
    return there;
}

thaw_status thaw_h5_get_strings(const thaw_h5 *file, const char *object, const char *name,
                                thaw_strings *out)
{
    THAW_H5_ALONE;
    opened a;
    *out = (thaw_strings){0};
    THAW_TRY(open_attribute(file, object, name, &a));
    thaw_status status =
        thaw_h5_strings_of(file, a.label, a.id, a.type, a.space, thaw_h5_read_attribute, out);
    shut(&a);
    return status;
}

thaw_status thaw_h5_get_text(const thaw_h5 *file, const char *object, const char *name,
                             thaw_str *out)
{
    THAW_H5_ALONE;
    thaw_strings list;
    thaw_str_reset(out);
    THAW_TRY(thaw_h5_get_strings(file, object, name, &list));
    thaw_status status = THAW_OK;
    if (list.count == 1)
        thaw_str_add(out, list.items[0]);
    else
        status = THAW_FAIL(THAW_ERR_INPUT,
                           "%s: attribute '%s' of '%s' holds %lld strings instead of one",
                           file->path, name, object, (long long)list.count);
    thaw_h5_strings_free(&list);
    return status;
}

/* Numbers of any stored type as `dtype`. */
static thaw_status read_numbers(const thaw_h5 *file, const opened *a, thaw_dtype dtype,
                                thaw_shape *shape, void **out)
{
    thaw_dtype stored;
    *out = NULL;
    THAW_TRY(thaw_h5_dtype_of(file, a->label, a->type, &stored));
    THAW_TRY(thaw_h5_shape_of(file, a->label, a->space, shape));
    bool to_float = dtype == THAW_F32 || dtype == THAW_F64;
    THAW_CHECK(to_float || (stored != THAW_F32 && stored != THAW_F64), THAW_ERR_INPUT,
               "%s: '%s' holds %s, where integers are needed", file->path, a->label,
               thaw_dtype_name(stored));
    int64_t count = thaw_shape_count(shape);
    THAW_CHECK(file->temporary != NULL || count <= file->bytes, THAW_ERR_INPUT,
               "%s: '%s' claims %lld values, more than the file has bytes", file->path, a->label,
               (long long)count);
    THAW_TRY(thaw_alloc(out, count, thaw_dtype_bytes(dtype)));
    if (count > 0 && H5Aread(a->id, thaw_h5_memory_type(dtype), *out) < 0) {
        thaw_free(out);
        return THAW_H5_FAIL(file, "read the attribute", a->label);
    }
    return THAW_OK;
}

static thaw_status read_one(const thaw_h5 *file, const char *object, const char *name,
                            thaw_dtype dtype, void *out)
{
    thaw_status status = THAW_OK;
    opened a;
    thaw_shape shape;
    void *values = NULL;
    THAW_TRY(open_attribute(file, object, name, &a));
    THAW_TRY_TO(read_numbers(file, &a, dtype, &shape, &values));
    THAW_CHECK_TO(thaw_shape_count(&shape) == 1, THAW_ERR_INPUT,
                  "%s: '%s' holds %lld values instead of one", file->path, a.label,
                  (long long)thaw_shape_count(&shape));
    memcpy(out, values, thaw_dtype_bytes(dtype));
done:
    thaw_free(&values);
    shut(&a);
    return status;
}

thaw_status thaw_h5_get_int(const thaw_h5 *file, const char *object, const char *name, int64_t *out)
{
    THAW_H5_ALONE;
    return read_one(file, object, name, THAW_I64, out);
}

thaw_status thaw_h5_get_double(const thaw_h5 *file, const char *object, const char *name,
                               double *out)
{
    THAW_H5_ALONE;
    return read_one(file, object, name, THAW_F64, out);
}

thaw_status thaw_h5_get_doubles(const thaw_h5 *file, const char *object, const char *name,
                                double **out, int64_t *count)
{
    THAW_H5_ALONE;
    opened a;
    thaw_shape shape;
    void *values = NULL;
    *out = NULL;
    *count = 0;
    THAW_TRY(open_attribute(file, object, name, &a));
    thaw_status status = read_numbers(file, &a, THAW_F64, &shape, &values);
    if (status == THAW_OK) {
        *out = values;
        *count = thaw_shape_count(&shape);
    }
    shut(&a);
    return status;
}

static bool is_own(const char *name)
{
    return strcmp(name, THAW_H5_DIGEST) == 0 || strcmp(name, THAW_H5_ATTRIBUTES_DIGEST) == 0;
}

static thaw_status add_attribute(const thaw_h5 *file, const char *name, thaw_state *out)
{
    thaw_status status = THAW_OK;
    opened a;
    thaw_str text = {0};
    thaw_shape shape;
    thaw_dtype dtype;
    void *values = NULL;
    void *own = NULL;
    THAW_TRY(open_attribute(file, "/", name, &a));
    if (H5Tget_class(a.type) == H5T_STRING) {
        THAW_TRY_TO(thaw_h5_get_text(file, "/", name, &text));
        THAW_TRY_TO(thaw_state_add_text(out, name, thaw_str_c(&text)));
        goto done;
    }
    THAW_TRY_TO(thaw_h5_dtype_of(file, a.label, a.type, &dtype));
    THAW_TRY_TO(read_numbers(file, &a, dtype, &shape, &values));
    THAW_TRY_TO(thaw_state_add_new(out, name, dtype, shape, &own));
    if (own != NULL)
        memcpy(own, values, (size_t)thaw_shape_count(&shape) * thaw_dtype_bytes(dtype));
done:
    thaw_free(&values);
    thaw_str_clear(&text);
    shut(&a);
    return status;
}

typedef struct names {
    thaw_strings list;
    int64_t capacity;
    thaw_status status;
} names;

static herr_t take_name(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
    names *n = context;
    (void)object;
    (void)info;
    if (!is_own(name))
        n->status = thaw_h5_strings_add(&n->list, &n->capacity, name);
    return n->status == THAW_OK ? 0 : -1;
}

thaw_status thaw_h5_read_attributes(const thaw_h5 *file, thaw_state *out)
{
    THAW_H5_ALONE;
    names n = {0};
    hsize_t position = 0;
    thaw_status status = THAW_OK;
    if (H5Aiterate2(file->id, H5_INDEX_NAME, H5_ITER_INC, &position, take_name, &n) < 0)
        status = n.status != THAW_OK ? n.status : THAW_H5_FAIL(file, "list the attributes", NULL);
    for (int64_t i = 0; i < n.list.count && status == THAW_OK; i++)
        status = add_attribute(file, n.list.items[i], out);
    thaw_h5_strings_free(&n.list);
    return status;
}

thaw_status thaw_h5_put_numbers(thaw_h5 *file, hid_t object, const char *label, thaw_dtype dtype,
                                const thaw_shape *shape, const void *values)
{
    thaw_status status = THAW_OK;
    hid_t space = thaw_h5_space(shape);
    hid_t attribute = THAW_H5_NONE;
    if (space >= 0)
        attribute =
            H5Acreate2(object, label, thaw_h5_file_type(dtype), space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || (thaw_shape_count(shape) > 0 &&
                          H5Awrite(attribute, thaw_h5_memory_type(dtype), values) < 0)) {
        status = THAW_H5_FAIL(file, "write the attribute", label);
        thaw_h5_break(file);
    }
    (void)thaw_h5_release(&attribute);
    (void)thaw_h5_release(&space);
    return status;
}

/* Opens the object and makes room: a second value replaces the first. */
static thaw_status open_object(thaw_h5 *file, const char *object, const char *name, hid_t *out)
{
    *out = H5Oopen(file->id, object, H5P_DEFAULT);
    if (*out >= 0 && H5Aexists(*out, name) > 0 && H5Adelete(*out, name) < 0)
        (void)thaw_h5_release(out);
    if (*out >= 0)
        return THAW_OK;
    thaw_status status = THAW_H5_FAIL(file, "set an attribute of", object);
    thaw_h5_break(file);
    return status;
}

static thaw_status set_texts(thaw_h5 *file, const char *object, const char *name,
                             const char *const *texts, int64_t count)
{
    hid_t id;
    THAW_TRY(open_object(file, object, name, &id));
    thaw_status status = thaw_h5_put_texts(file, id, name, texts, count);
    (void)thaw_h5_release(&id);
    return status;
}

static thaw_status set_numbers(thaw_h5 *file, const char *object, const char *name,
                               thaw_dtype dtype, thaw_shape shape, const void *values)
{
    hid_t id;
    THAW_TRY(open_object(file, object, name, &id));
    thaw_status status = thaw_h5_put_numbers(file, id, name, dtype, &shape, values);
    (void)thaw_h5_release(&id);
    return status;
}

thaw_status thaw_h5_set_text(thaw_h5 *file, const char *object, const char *name, const char *value)
{
    THAW_H5_ALONE;
    return set_texts(file, object, name, &value, -1);
}

thaw_status thaw_h5_set_strings(thaw_h5 *file, const char *object, const char *name,
                                const thaw_strings *values)
{
    THAW_H5_ALONE;
    return set_texts(file, object, name, (const char *const *)values->items, values->count);
}

thaw_status thaw_h5_set_int(thaw_h5 *file, const char *object, const char *name, int64_t value)
{
    THAW_H5_ALONE;
    return set_numbers(file, object, name, THAW_I64, (thaw_shape){0}, &value);
}

thaw_status thaw_h5_set_double(thaw_h5 *file, const char *object, const char *name, double value)
{
    THAW_H5_ALONE;
    return set_numbers(file, object, name, THAW_F64, (thaw_shape){0}, &value);
}

thaw_status thaw_h5_set_doubles(thaw_h5 *file, const char *object, const char *name,
                                const double *values, int64_t count)
{
    THAW_H5_ALONE;
    return set_numbers(file, object, name, THAW_F64, thaw_shape1(count), values);
}

static thaw_status put_entry(thaw_h5 *file, const thaw_entry *entry)
{
    const thaw_tensor *t = &entry->tensor;
    if (t->dtype != THAW_U8 || t->shape.ndim != 1)
        return thaw_h5_put_numbers(file, file->id, entry->name, t->dtype, &t->shape, t->data);
    thaw_str text = {0};
    thaw_str_add_bytes(&text, t->data, thaw_tensor_bytes(t));
    const char *words = thaw_str_c(&text);
    thaw_status status =
        strlen(words) == thaw_tensor_bytes(t)
            ? thaw_h5_put_texts(file, file->id, entry->name, &words, -1)
            : THAW_FAIL(THAW_ERR_FAIL, "%s: the text of attribute '%s' has a zero byte inside",
                        file->path, entry->name);
    thaw_str_clear(&text);
    return status;
}

thaw_status thaw_h5_write_attributes(thaw_h5 *file, const thaw_state *attributes)
{
    THAW_H5_ALONE;
    for (int64_t i = 0; i < attributes->count; i++) {
        const char *name = attributes->entries[i].name;
        THAW_CHECK(!is_own(name), THAW_ERR_FAIL, "%s: '%s' is not free as the name of an attribute",
                   file->path, name);
        THAW_TRY(put_entry(file, &attributes->entries[i]));
    }
    return THAW_OK;
}
