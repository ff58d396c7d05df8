#include "thaw/h5.h"

#include "h5/h5_impl.h"

hid_t thaw_h5_file_type(thaw_dtype dtype)
{
    switch (dtype) {
    case THAW_F32:
        return H5T_IEEE_F32LE;
    case THAW_F64:
        return H5T_IEEE_F64LE;
    case THAW_I32:
        return H5T_STD_I32LE;
    case THAW_I64:
        return H5T_STD_I64LE;
    case THAW_U8:
        return H5T_STD_U8LE;
    }
    return THAW_H5_NONE;
}

hid_t thaw_h5_memory_type(thaw_dtype dtype)
{
    switch (dtype) {
    case THAW_F32:
        return H5T_NATIVE_FLOAT;
    case THAW_F64:
        return H5T_NATIVE_DOUBLE;
    case THAW_I32:
        return H5T_NATIVE_INT32;
    case THAW_I64:
        return H5T_NATIVE_INT64;
    case THAW_U8:
        return H5T_NATIVE_UINT8;
    }
    return THAW_H5_NONE;
}

static const char *class_name(H5T_class_t class)
{
    static const char *const names[] = {"integer",   "float",           "time",     "string",
                                        "bit field", "opaque",          "compound", "reference",
                                        "enum",      "variable-length", "array"};
    return class >= 0 && (size_t) class < sizeof names / sizeof names[0] ? names[class] : "unknown";
}

static thaw_dtype integer_of(size_t bytes, bool with_sign)
{
    if (bytes == 1 && !with_sign)
        return THAW_U8;
    if (bytes < 4 || (bytes == 4 && with_sign))
        return THAW_I32;
    return THAW_I64;
}

thaw_status thaw_h5_dtype_of(const thaw_h5 *file, const char *object, hid_t type, thaw_dtype *out)
{
    H5T_class_t class = H5Tget_class(type);
    size_t bytes = H5Tget_size(type);
    if (class == H5T_INTEGER && bytes <= 8) {
        *out = integer_of(bytes, H5Tget_sign(type) != H5T_SGN_NONE);
        return THAW_OK;
    }
    if (class == H5T_FLOAT && bytes <= 8) {
        *out = bytes <= 4 ? THAW_F32 : THAW_F64;
        return THAW_OK;
    }
    if (class == H5T_ENUM) {
        /* h5py stores bool as an enum over int8. */
        *out = THAW_I32;
        return THAW_OK;
    }
    return THAW_FAIL(THAW_ERR_INPUT,
                     "%s: '%s' holds values of type %s (%zu bytes); integers and floats of up to 8 "
                     "bytes can be read",
                     file->path, object, class_name(class), bytes);
}

thaw_status thaw_h5_shape_of(const thaw_h5 *file, const char *object, hid_t space, thaw_shape *out)
{
    hsize_t dim[H5S_MAX_RANK];
    *out = (thaw_shape){0};
    THAW_CHECK(H5Sget_simple_extent_type(space) != H5S_NULL, THAW_ERR_INPUT,
               "%s: '%s' holds nothing", file->path, object);
    int ndim = H5Sget_simple_extent_dims(space, dim, NULL);
    if (ndim < 0)
        return THAW_H5_FAIL(file, "read the shape of", object);
    THAW_CHECK(ndim <= THAW_MAX_DIMS, THAW_ERR_INPUT,
               "%s: '%s' has %d dimensions; at most %d are possible", file->path, object, ndim,
               THAW_MAX_DIMS);
    /* 8 bytes an element is our largest; the product must stay a size that memory can have. */
    uint64_t bytes = 8;
    for (int i = 0; i < ndim; i++) {
        THAW_CHECK(dim[i] <= INT64_MAX && (dim[i] == 0 || bytes <= PTRDIFF_MAX / dim[i]),
                   THAW_ERR_INPUT, "%s: the shape of '%s' is beyond any memory", file->path,
                   object);
        bytes *= dim[i] > 0 ? dim[i] : 1;
        out->dim[i] = (int64_t)dim[i];
    }
    out->ndim = ndim;
    return THAW_OK;
}

hid_t thaw_h5_space(const thaw_shape *shape)
{
    hsize_t dim[THAW_MAX_DIMS];
    if (shape->ndim == 0)
        return H5Screate(H5S_SCALAR);
    for (int i = 0; i < shape->ndim; i++)
        dim[i] = (hsize_t)shape->dim[i];
    return H5Screate_simple(shape->ndim, dim, NULL);
}

/* About 1 MiB a chunk: divides the first dimensions first, so that a chunk is a run of rows where it can be; and evenly, for the last
 * chunk of each dimension is written whole. */
static void choose_chunk(const thaw_shape *shape, size_t element, int64_t rows, hsize_t *chunk)
{
    const uint64_t most = 1 << 20;
    uint64_t bytes = element;
    for (int i = 0; i < shape->ndim; i++) {
        chunk[i] = (hsize_t)shape->dim[i];
        bytes *= chunk[i];
    }
    if (rows > 0) {
        bytes /= chunk[0];
        chunk[0] = rows < shape->dim[0] ? (hsize_t)rows : chunk[0];
        bytes *= chunk[0];
    }
    /* A caller's wish holds up to what HDF5 can do: chunks below 4 GiB. */
    uint64_t limit = rows > 0 ? (uint64_t)1 << 31 : most;
    for (int i = 0; i < shape->ndim && bytes > limit; i++) {
        bytes /= chunk[i];
        const uint64_t fit = limit / bytes > 0 ? limit / bytes : 1;
        if (fit < chunk[i]) {
            const uint64_t parts = (chunk[i] + fit - 1) / fit;
            chunk[i] = (chunk[i] + parts - 1) / parts;
        }
        bytes *= chunk[i];
    }
}

/* Scalars and empty datasets cannot be chunked, and Fletcher32 works on chunks. */
hid_t thaw_h5_creation(const thaw_shape *shape, size_t element, int64_t rows)
{
    hsize_t chunk[THAW_MAX_DIMS];
    hid_t creation = thaw_h5_timeless(H5P_DATASET_CREATE);
    bool good = creation >= 0;
    if (good && rows != THAW_H5_UNCHUNKED && shape->ndim > 0 && thaw_shape_count(shape) > 0) {
        choose_chunk(shape, element, rows, chunk);
        /* Everything is written anyway; filling first would write it twice. */
        good = H5Pset_chunk(creation, shape->ndim, chunk) >= 0 &&
               H5Pset_fletcher32(creation) >= 0 &&
               H5Pset_fill_time(creation, H5D_FILL_TIME_IFSET) >= 0;
    }
    if (good && rows == THAW_H5_UNCHUNKED)
        good = H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
               H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0;
    if (!good)
        (void)thaw_h5_release(&creation);
    return creation;
}

thaw_status thaw_h5_make_dataset(thaw_h5 *file, const char *name, thaw_dtype dtype,
                                 const thaw_shape *shape, int64_t rows_per_chunk, hid_t *dataset)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_h5_make_way(file, name));
    hid_t space = thaw_h5_space(shape);
    hid_t creation = thaw_h5_creation(shape, thaw_dtype_bytes(dtype), rows_per_chunk);
    hid_t made = THAW_H5_NONE;
    if (space >= 0 && creation >= 0)
        made = H5Dcreate2(file->id, name, thaw_h5_file_type(dtype), space, H5P_DEFAULT, creation,
                          H5P_DEFAULT);
    if (made < 0) {
        status = THAW_H5_FAIL(file, "create", name);
        thaw_h5_break(file);
    }
    if (dataset != NULL)
        *dataset = made;
    else
        (void)thaw_h5_release(&made);
    (void)thaw_h5_release(&creation);
    (void)thaw_h5_release(&space);
    return status;
}
