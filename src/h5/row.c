#include "thaw/h5.h"

#include <string.h>
#include <sys/stat.h>

#include "h5/h5_impl.h"

/* A dataset by name, kept open for the next call. */
static thaw_status open_kept(thaw_h5 *file, const char *name, hid_t *out)
{
    for (int i = 0; i < THAW_H5_KEPT; i++) {
        if (file->kept[i].name != NULL && strcmp(file->kept[i].name, name) == 0) {
            *out = file->kept[i].dataset;
            return THAW_OK;
        }
    }
    thaw_h5_kept *slot = &file->kept[file->next_kept];
    THAW_TRY(thaw_h5_shut(file, slot->name, &slot->dataset));
    thaw_free(&slot->name);
    hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (dataset < 0)
        return THAW_H5_FAIL(file, "find the dataset", name);
    thaw_status status = thaw_strdup(&slot->name, name);
    if (status != THAW_OK) {
        (void)thaw_h5_release(&dataset);
        return status;
    }
    slot->dataset = *out = dataset;
    file->next_kept = (file->next_kept + 1) % THAW_H5_KEPT;
    return THAW_OK;
}

/* Selects rows in the file's space and makes the space of the caller's memory. A scalar is one row. */
static thaw_status select_rows(const thaw_h5 *file, const char *name, int64_t first, int64_t n,
                               hid_t space, hid_t *memory)
{
    thaw_shape shape;
    THAW_TRY(thaw_h5_shape_of(file, name, space, &shape));
    int64_t rows = shape.ndim > 0 ? shape.dim[0] : 1;
    THAW_CHECK(first >= 0 && n >= 0 && first <= rows && n <= rows - first, THAW_ERR_INPUT,
               "%s: rows %lld to %lld of '%s', which has %lld", file->path, (long long)first,
               (long long)(first + n), name, (long long)rows);
    if (shape.ndim == 0) {
        *memory = thaw_h5_space(&shape);
        return *memory >= 0 ? THAW_OK : THAW_H5_FAIL(file, "select", name);
    }
    hsize_t start[THAW_MAX_DIMS] = {(hsize_t)first};
    hsize_t count[THAW_MAX_DIMS];
    shape.dim[0] = n;
    for (int i = 0; i < shape.ndim; i++)
        count[i] = (hsize_t)shape.dim[i];
    *memory = thaw_h5_space(&shape);
    if (*memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0)
        return THAW_H5_FAIL(file, "select rows of", name);
    return THAW_OK;
}

static thaw_status check_conversion(const thaw_h5 *file, const char *name, hid_t dataset,
                                    thaw_dtype wanted)
{
    thaw_dtype stored;
    hid_t type = H5Dget_type(dataset);
    if (type < 0)
        return THAW_H5_FAIL(file, "read the type of", name);
    thaw_status status = thaw_h5_dtype_of(file, name, type, &stored);
    (void)thaw_h5_release(&type);
    THAW_TRY(status);
    bool to_float = wanted == THAW_F32 || wanted == THAW_F64;
    THAW_CHECK(to_float || (stored != THAW_F32 && stored != THAW_F64), THAW_ERR_INPUT,
               "%s: '%s' holds %s, where integers are needed", file->path, name,
               thaw_dtype_name(stored));
    return THAW_OK;
}

/* HDF5 takes what lies behind the end of a file for zeros, and zeros have the right checksum: a file that somebody cuts while it is open would
 * give black pictures. */
static thaw_status check_length(const thaw_h5 *file)
{
    void *handle = NULL;
    struct stat info;
    if (file->temporary != NULL)
        return THAW_OK;
    if (H5Fget_vfd_handle(file->id, H5P_DEFAULT, &handle) < 0 || fstat(*(int *)handle, &info) != 0)
        return THAW_H5_FAIL(file, "see the length of it", NULL);
    THAW_CHECK((int64_t)info.st_size >= file->bytes, THAW_ERR_INPUT,
               "%s has %lld bytes and had %lld when it was opened; it was cut while it was read",
               file->path, (long long)info.st_size, (long long)file->bytes);
    return THAW_OK;
}

thaw_status thaw_h5_read_rows(thaw_h5 *file, const char *name, int64_t first, int64_t n,
                              thaw_dtype dtype, void *out)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    hid_t dataset = THAW_H5_NONE, space = THAW_H5_NONE, memory = THAW_H5_NONE;
    THAW_TRY_TO(open_kept(file, name, &dataset));
    THAW_TRY_TO(check_conversion(file, name, dataset, dtype));
    space = H5Dget_space(dataset);
    if (space < 0)
        THAW_TRY_TO(THAW_H5_FAIL(file, "read the shape of", name));
    THAW_TRY_TO(select_rows(file, name, first, n, space, &memory));
    thaw_beat("reading rows of a file");
    THAW_CHECK_TO(!thaw_fault("h5_read"), THAW_ERR_INPUT, "%s: cannot read '%s': fault injected",
                  file->path, name);
    if (n > 0 && H5Dread(dataset, thaw_h5_memory_type(dtype), memory, space, H5P_DEFAULT, out) < 0)
        THAW_TRY_TO(THAW_H5_FAIL(file, "read", name));
    status = check_length(file);
done:
    (void)thaw_h5_release(&memory);
    (void)thaw_h5_release(&space);
    return status;
}

thaw_status thaw_h5_put_rows(thaw_h5 *file, const char *name, hid_t dataset,
                             const thaw_h5_rows *rows, const void *data)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    hid_t memory = THAW_H5_NONE;
    thaw_beat("writing rows of a file");
    hid_t space = H5Dget_space(dataset);
    if (space < 0)
        THAW_TRY_TO(THAW_H5_FAIL(file, "read the shape of", name));
    THAW_TRY_TO(select_rows(file, name, rows->first, rows->n, space, &memory));
    if (rows->n > 0 &&
        H5Dwrite(dataset, thaw_h5_memory_type(rows->dtype), memory, space, H5P_DEFAULT, data) < 0)
        status = THAW_H5_FAIL(file, "write", name);
done:
    (void)thaw_h5_release(&memory);
    (void)thaw_h5_release(&space);
    return status;
}

thaw_status thaw_h5_write_rows(thaw_h5 *file, const char *name, int64_t first, int64_t n,
                               thaw_dtype dtype, const void *data)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    const thaw_h5_rows rows = {first, n, dtype};
    hid_t dataset = THAW_H5_NONE;
    THAW_TRY_TO(open_kept(file, name, &dataset));
    THAW_CHECK_TO(!thaw_fault("h5_write"), THAW_ERR_RESOURCE,
                  "%s: cannot write '%s': fault injected", file->path, name);
    status = thaw_h5_put_rows(file, name, dataset, &rows, data);
done:
    if (status != THAW_OK)
        thaw_h5_break(file);
    return status;
}

thaw_status thaw_h5_make(thaw_h5 *file, const char *name, thaw_dtype dtype, const thaw_shape *shape,
                         int64_t rows_per_chunk)
{
    return thaw_h5_make_dataset(file, name, dtype, shape, rows_per_chunk, NULL);
}

static thaw_status describe(const thaw_h5 *file, const char *name, hid_t dataset, hid_t type,
                            hid_t space, thaw_h5_info *out)
{
    if (type < 0 || space < 0)
        return THAW_H5_FAIL(file, "read type and shape of", name);
    THAW_TRY(thaw_h5_shape_of(file, name, space, &out->shape));
    out->bytes_stored = (int64_t)H5Dget_storage_size(dataset);
    out->text = H5Tget_class(type) == H5T_STRING;
    return out->text ? THAW_OK : thaw_h5_dtype_of(file, name, type, &out->dtype);
}

thaw_status thaw_h5_info_of(const thaw_h5 *file, const char *name, thaw_h5_info *out)
{
    THAW_H5_ALONE;
    *out = (thaw_h5_info){0};
    hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (dataset < 0)
        return THAW_H5_FAIL(file, "find the dataset", name);
    hid_t type = H5Dget_type(dataset);
    hid_t space = H5Dget_space(dataset);
    thaw_status status = describe(file, name, dataset, type, space, out);
    (void)thaw_h5_release(&space);
    (void)thaw_h5_release(&type);
    (void)thaw_h5_release(&dataset);
    return status;
}
