#include "data/import_impl.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const thaw_importer *const importers[] = {
#define THAW_KIND(kind, doc) &thaw_importer_##kind,
#include "data/kinds.def"
#undef THAW_KIND
};
const char *const thaw_import_format_names[] = {"auto",
#define THAW_KIND(kind, doc) #kind,
#include "data/kinds.def"
#undef THAW_KIND
                                                NULL};
static const char *const format_docs[] = {
    "by the first bytes of the first file",
#define THAW_KIND(kind, doc) doc,
#include "data/kinds.def"
#undef THAW_KIND
};
#define IMPORTER_COUNT ((int)(sizeof importers / sizeof importers[0]))

const char *const *thaw_import_formats(void)
{
    return thaw_import_format_names;
}

const char *thaw_import_format_doc(int format)
{
    return format >= 0 && format <= IMPORTER_COUNT ? format_docs[format] : "";
}

/* "FILE:DATASET" is for importers that know datasets; the file is what exists. */
static FILE *open_head(const char *file)
{
    FILE *stream = fopen(file, "rb");
    const char *colon = strrchr(file, ':');
    thaw_str path = {0};
    if (!stream && colon) {
        thaw_str_add_bytes(&path, file, (size_t)(colon - file));
        stream = fopen(thaw_str_c(&path), "rb");
        thaw_str_clear(&path);
    }
    return stream;
}

thaw_status thaw_importer_find(int format, const char *file, const thaw_importer **out)
{
    THAW_ASSERT(format >= 0 && format <= IMPORTER_COUNT);
    if (format > 0) {
        *out = importers[format - 1];
        return THAW_OK;
    }
    for (int i = 0; i < IMPORTER_COUNT; i++) {
        if (importers[i]->recognise_path && importers[i]->recognise_path(file)) {
            *out = importers[i];
            return THAW_OK;
        }
    }
    FILE *stream = open_head(file);
    THAW_CHECK(stream, THAW_ERR_INPUT, "%s: cannot open: %s", file, strerror(errno));
    uint8_t head[16] = {0};
    size_t bytes = fread(head, 1, sizeof head, stream);
    fclose(stream);
    for (int i = 0; i < IMPORTER_COUNT; i++) {
        if (importers[i]->recognise && importers[i]->recognise(head, bytes)) {
            *out = importers[i];
            return THAW_OK;
        }
    }
    return THAW_FAIL(
        THAW_ERR_INPUT,
        "%s: neither IDX, HDF5 nor npy by its first bytes (%02x %02x %02x %02x); name its --format",
        file, head[0], head[1], head[2], head[3]);
}

thaw_status thaw_array_open(const thaw_importer *kind, const char *name, thaw_role role,
                            thaw_array *out)
{
    *out = (thaw_array){.kind = kind};
    thaw_status status = THAW_OK;
    THAW_CHECK_TO(kind->open, THAW_ERR_USAGE, "%s: %s are samples, not an array of numbers", name,
                  kind->name);
    THAW_TRY_TO(thaw_strdup(&out->name, name));
    THAW_TRY_TO(kind->open(out, name, role));
    THAW_CHECK_TO(out->shape.ndim >= 1, THAW_ERR_INPUT, "%s: a single value, not an array of rows",
                  out->name);
    THAW_CHECK_TO(thaw_shape_count(&out->shape) > 0, THAW_ERR_INPUT, "%s: the array is empty",
                  out->name);
done:
    if (status != THAW_OK)
        thaw_array_close(out);
    return status;
}

void thaw_array_close(thaw_array *array)
{
    if (array->kind)
        array->kind->close(array);
    thaw_free(&array->name);
    *array = (thaw_array){0};
}

int64_t thaw_array_row_values(const thaw_array *array)
{
    return thaw_shape_count(&array->shape) / array->shape.dim[0];
}

static bool as_integer(thaw_dtype dtype, const void *data, int64_t i, int64_t *out)
{
    double real = 0;
    switch (dtype) {
    case THAW_U8:
        *out = ((const uint8_t *)data)[i];
        return true;
    case THAW_I32:
        *out = ((const int32_t *)data)[i];
        return true;
    case THAW_I64:
        *out = ((const int64_t *)data)[i];
        return true;
    case THAW_F32:
        real = ((const float *)data)[i];
        break;
    case THAW_F64:
        real = ((const double *)data)[i];
        break;
    }
    if (!(real >= -9e15 && real <= 9e15) || real != floor(real))
        return false;
    *out = (int64_t)real;
    return true;
}

thaw_status thaw_array_integers(thaw_array *array, int64_t *values)
{
    int64_t N = array->shape.dim[0];
    char shape[64];
    thaw_shape_format(&array->shape, shape, sizeof shape);
    THAW_CHECK(thaw_array_row_values(array) == 1, THAW_ERR_INPUT,
               "%s: shape %s, but one value a row is needed, (%lld)", array->name, shape,
               (long long)N);
    void *raw = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&raw, N, thaw_dtype_bytes(array->dtype)));
    THAW_TRY_TO(array->kind->rows(array, 0, N, raw));
    for (int64_t i = 0; i < N; i++)
        THAW_CHECK_TO(as_integer(array->dtype, raw, i, &values[i]), THAW_ERR_INPUT,
                      "%s: row %lld is not a whole number", array->name, (long long)i);
done:
    thaw_free(&raw);
    return status;
}

double thaw_array_value(thaw_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case THAW_U8:
        return ((const uint8_t *)data)[i];
    case THAW_I32:
        return ((const int32_t *)data)[i];
    case THAW_I64:
        return (double)((const int64_t *)data)[i];
    case THAW_F32:
        return (double)((const float *)data)[i];
    case THAW_F64:
        return ((const double *)data)[i];
    }
    return 0;
}

thaw_status thaw_array_pixels(const thaw_array *array, int64_t row, const void *raw, float *out)
{
    int64_t values = thaw_array_row_values(array);
    for (int64_t i = 0; i < values; i++) {
        double value = thaw_array_value(array->dtype, raw, i);
        /* A NaN fails the comparison too. */
        THAW_CHECK(fabs(value) <= (double)FLT_MAX, THAW_ERR_INPUT,
                   "%s: row %lld has the value %g; all values must be finite float32", array->name,
                   (long long)row, value);
        out[i] = (float)value;
    }
    return THAW_OK;
}
