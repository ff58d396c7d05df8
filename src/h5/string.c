#include "thaw/h5.h"

#include <string.h>

#include "h5/h5_impl.h"

/* Class names and descriptions; what is larger is no list of names. */
#define MOST_STRINGS ((int64_t)1 << 26)
#define MOST_BYTES   ((int64_t)1 << 30)

herr_t thaw_h5_read_attribute(hid_t id, hid_t memory_type, void *out)
{
    return H5Aread(id, memory_type, out);
}

herr_t thaw_h5_read_dataset(hid_t id, hid_t memory_type, void *out)
{
    return H5Dread(id, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
}

void thaw_h5_strings_free(thaw_strings *strings)
{
    for (int64_t i = 0; i < strings->count; i++)
        thaw_free(&strings->items[i]);
    thaw_free(&strings->items);
    strings->count = 0;
}

thaw_status thaw_h5_strings_add(thaw_strings *list, int64_t *capacity, const char *text)
{
    if (list->count == *capacity) {
        int64_t more = *capacity > 0 ? 2 * *capacity : 16;
        THAW_TRY(thaw_realloc(&list->items, *capacity, more, sizeof *list->items));
        *capacity = more;
    }
    THAW_TRY(thaw_strdup(&list->items[list->count], text != NULL ? text : ""));
    list->count++;
    return THAW_OK;
}

/* HDF5 allocates each string; it also frees them. */
static thaw_status read_variable(const thaw_h5 *file, const char *object, hid_t id, hid_t type,
                                 hid_t space, thaw_h5_reader *reader, int64_t n, thaw_strings *out)
{
    thaw_status status = THAW_OK;
    char **texts = NULL;
    int64_t capacity = 0;
    THAW_TRY(thaw_alloc(&texts, n, sizeof *texts));
    if (reader(id, type, texts) < 0)
        status = THAW_H5_FAIL(file, "read the strings of", object);
    for (int64_t i = 0; i < n && status == THAW_OK; i++)
        status = thaw_h5_strings_add(out, &capacity, texts[i]);
    (void)H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts);
    thaw_free(&texts);
    return status;
}

static thaw_status read_fixed(const thaw_h5 *file, const char *object, hid_t id, hid_t type,
                              thaw_h5_reader *reader, int64_t n, thaw_strings *out)
{
    thaw_status status = THAW_OK;
    char *block = NULL;
    char *text = NULL;
    int64_t capacity = 0;
    size_t size = H5Tget_size(type);
    bool spaces = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    THAW_CHECK(size > 0 && size <= (size_t)MOST_BYTES && n <= MOST_BYTES / (int64_t)size,
               THAW_ERR_INPUT, "%s: '%s' is too large for a list of strings (%lld of %zu bytes)",
               file->path, object, (long long)n, size);
    THAW_TRY_TO(thaw_alloc(&block, n, size));
    THAW_TRY_TO(thaw_alloc(&text, (int64_t)size + 1, 1));
    if (reader(id, type, block) < 0)
        THAW_TRY_TO(THAW_H5_FAIL(file, "read the strings of", object));
    for (int64_t i = 0; i < n; i++) {
        memcpy(text, block + (size_t)i * size, size);
        size_t length = strlen(text);
        while (spaces && length > 0 && text[length - 1] == ' ')
            length--;
        text[length] = 0;
        THAW_TRY_TO(thaw_h5_strings_add(out, &capacity, text));
        memset(text, 0, size);
    }
done:
    thaw_free(&text);
    thaw_free(&block);
    return status;
}

thaw_status thaw_h5_strings_of(const thaw_h5 *file, const char *object, hid_t id, hid_t type,
                               hid_t space, thaw_h5_reader *reader, thaw_strings *out)
{
    *out = (thaw_strings){0};
    THAW_CHECK(H5Tget_class(type) == H5T_STRING, THAW_ERR_INPUT, "%s: '%s' does not hold strings",
               file->path, object);
    THAW_CHECK(H5Sget_simple_extent_type(space) != H5S_NULL, THAW_ERR_INPUT,
               "%s: '%s' holds nothing", file->path, object);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    THAW_CHECK(n >= 0 && n <= MOST_STRINGS && H5Sget_simple_extent_ndims(space) <= 1,
               THAW_ERR_INPUT, "%s: '%s' is not a list of strings", file->path, object);
    if (n == 0)
        return THAW_OK;
    thaw_status status = H5Tis_variable_str(type) > 0
                             ? read_variable(file, object, id, type, space, reader, n, out)
                             : read_fixed(file, object, id, type, reader, n, out);
    if (status != THAW_OK)
        thaw_h5_strings_free(out);
    return status;
}

thaw_status thaw_h5_read_strings(thaw_h5 *file, const char *name, thaw_strings *out)
{
    THAW_H5_ALONE;
    *out = (thaw_strings){0};
    hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (dataset < 0)
        return THAW_H5_FAIL(file, "find the dataset", name);
    hid_t type = H5Dget_type(dataset);
    hid_t space = H5Dget_space(dataset);
    thaw_status status =
        type >= 0 && space >= 0
            ? thaw_h5_strings_of(file, name, dataset, type, space, thaw_h5_read_dataset, out)
            : THAW_H5_FAIL(file, "read type and shape of", name);
    (void)thaw_h5_release(&space);
    (void)thaw_h5_release(&type);
    (void)thaw_h5_release(&dataset);
    return status;
}

/* Fixed length, since HDF5 1.10 trusts what it finds in the heap of variable-length data: one flipped bit there and it crashes. */
static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, size) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
                      H5Tset_strpad(type, H5T_STR_NULLPAD) < 0))
        (void)thaw_h5_release(&type);
    return type;
}

/* The texts one after another, each padded with zeros to the longest. */
static thaw_status pack(const char *const *texts, int64_t count, size_t *size, char **out)
{
    *size = 1;
    for (int64_t i = 0; i < count; i++)
        *size = strlen(texts[i]) > *size ? strlen(texts[i]) : *size;
    THAW_TRY(thaw_alloc(out, count, *size));
    for (int64_t i = 0; i < count; i++)
        memcpy(*out + (size_t)i * *size, texts[i], strlen(texts[i]));
    return THAW_OK;
}

thaw_status thaw_h5_put_strings(thaw_h5 *file, const char *name, const thaw_strings *strings)
{
    THAW_H5_ALONE;
    char *block = NULL;
    size_t size = 1;
    THAW_TRY(thaw_h5_make_way(file, name));
    THAW_TRY(pack((const char *const *)strings->items, strings->count, &size, &block));
    thaw_status status = THAW_OK;
    thaw_shape shape = thaw_shape1(strings->count);
    hid_t type = text_type(size);
    hid_t space = thaw_h5_space(&shape);
    hid_t creation = thaw_h5_creation(&shape, size, 0);
    hid_t dataset = THAW_H5_NONE;
    if (type >= 0 && space >= 0 && creation >= 0)
        dataset = H5Dcreate2(file->id, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (dataset < 0 ||
        (strings->count > 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, block) < 0)) {
        status = THAW_H5_FAIL(file, "write the strings", name);
        thaw_h5_break(file);
    }
    thaw_status closed = thaw_h5_shut(file, name, &dataset);
    (void)thaw_h5_release(&creation);
    (void)thaw_h5_release(&space);
    (void)thaw_h5_release(&type);
    thaw_free(&block);
    return status != THAW_OK ? status : closed;
}

thaw_status thaw_h5_put_texts(thaw_h5 *file, hid_t object, const char *label,
                              const char *const *texts, int64_t count)
{
    THAW_H5_ALONE;
    char *block = NULL;
    size_t size = 1;
    THAW_TRY(pack(texts, count < 0 ? 1 : count, &size, &block));
    thaw_status status = THAW_OK;
    thaw_shape shape = count < 0 ? (thaw_shape){0} : thaw_shape1(count);
    hid_t type = text_type(size);
    hid_t space = thaw_h5_space(&shape);
    hid_t attribute = THAW_H5_NONE;
    if (type >= 0 && space >= 0)
        attribute = H5Acreate2(object, label, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || (count != 0 && H5Awrite(attribute, type, block) < 0)) {
        status = THAW_H5_FAIL(file, "write the attribute", label);
        thaw_h5_break(file);
    }
    (void)thaw_h5_release(&attribute);
    (void)thaw_h5_release(&space);
    (void)thaw_h5_release(&type);
    thaw_free(&block);
    return status;
}
