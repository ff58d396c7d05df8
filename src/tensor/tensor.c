#include "thaw/tensor.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [THAW_F32] = {"float32", 4}, [THAW_F64] = {"float64", 8}, [THAW_I32] = {"int32", 4},
    [THAW_I64] = {"int64", 8},   [THAW_U8] = {"uint8", 1},
};

size_t thaw_dtype_bytes(thaw_dtype dtype)
{
    THAW_ASSERT((size_t)dtype < sizeof dtypes / sizeof dtypes[0]);
    return dtypes[dtype].bytes;
}

const char *thaw_dtype_name(thaw_dtype dtype)
{
    THAW_ASSERT((size_t)dtype < sizeof dtypes / sizeof dtypes[0]);
    return dtypes[dtype].name;
}

thaw_shape thaw_shape_make(int ndim, const int64_t *dim)
{
    thaw_shape shape = {.ndim = ndim};
    THAW_ASSERT(ndim >= 0 && ndim <= THAW_MAX_DIMS);
    for (int i = 0; i < ndim; i++)
        shape.dim[i] = dim[i];
    return shape;
}

thaw_shape thaw_shape1(int64_t a)
{
    return (thaw_shape){.ndim = 1, .dim = {a}};
}

thaw_shape thaw_shape2(int64_t a, int64_t b)
{
    return (thaw_shape){.ndim = 2, .dim = {a, b}};
}

thaw_shape thaw_shape4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (thaw_shape){.ndim = 4, .dim = {a, b, c, d}};
}

int64_t thaw_shape_count(const thaw_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->ndim; i++)
        count *= shape->dim[i];
    return count;
}

bool thaw_shape_equal(const thaw_shape *a, const thaw_shape *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++) {
        if (a->dim[i] != b->dim[i])
            return false;
    }
    return true;
}

int64_t thaw_shape_rows(const thaw_shape *shape)
{
    return shape->ndim > 0 ? shape->dim[0] : 1;
}

int64_t thaw_rows_a_piece(const thaw_shape *shape, thaw_dtype dtype)
{
    const int64_t piece = 256 << 10;
    const int64_t count = thaw_shape_count(shape);
    const int64_t rows = thaw_shape_rows(shape);
    if (count == 0)
        return 1;
    const int64_t fit = piece / (count / rows * (int64_t)thaw_dtype_bytes(dtype));
    return fit < 1 ? 1 : fit < rows ? fit : rows;
}

void thaw_shape_format(const thaw_shape *shape, char *out, size_t bytes)
{
    char text[16 + THAW_MAX_DIMS * 24] = "(";
    size_t used = 1;
    for (int i = 0; i < shape->ndim; i++) {
        thaw_format(text + used, sizeof text - used, i == 0 ? "%lld" : ", %lld",
                    (long long)shape->dim[i]);
        while (text[used] != 0)
            used++;
    }
    thaw_format(out, bytes, "%s)", text);
}

int64_t thaw_tensor_count(const thaw_tensor *t)
{
    return thaw_shape_count(&t->shape);
}

size_t thaw_tensor_bytes(const thaw_tensor *t)
{
    return (size_t)thaw_tensor_count(t) * thaw_dtype_bytes(t->dtype);
}

/* Exponents of all ones, counted first: weights are large, and almost all files are good. */
static int64_t first_bad_float(const float *x, int64_t count)
{
    const uint32_t ones = UINT32_C(0x7f800000);
    int64_t bad = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, &x[i], sizeof word);
        bad += (word & ones) == ones;
    }
    for (int64_t i = 0; bad > 0 && i < count; i++) {
        if (!isfinite(x[i]))
            return i;
    }
    return -1;
}

static int64_t first_bad_double(const double *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(x[i]))
            return i;
    }
    return -1;
}

thaw_status thaw_check_finite(const char *file, const char *name, const thaw_tensor *t,
                              thaw_status code)
{
    return thaw_check_finite_rows(file, name, t, 0, code);
}

thaw_status thaw_check_finite_rows(const char *file, const char *name, const thaw_tensor *t,
                                   int64_t first, thaw_status code)
{
    const int64_t count = thaw_tensor_count(t);
    thaw_shape index = t->shape;
    char where[96];
    int64_t bad = -1;
    if (t->dtype == THAW_F32)
        bad = first_bad_float(t->data, count);
    else if (t->dtype == THAW_F64)
        bad = first_bad_double(t->data, count);
    if (bad < 0)
        return THAW_OK;
    const double value = t->dtype == THAW_F32 ? (double)((const float *)t->data)[bad]
                                              : ((const double *)t->data)[bad];
    for (int i = t->shape.ndim; i-- > 0; bad /= t->shape.dim[i])
        index.dim[i] = bad % t->shape.dim[i];
    if (index.ndim > 0)
        index.dim[0] += first;
    thaw_shape_format(&index, where, sizeof where);
    return THAW_FAIL(
        code,
        "%s: '%s' has %s at %s, but weights are finite; get the file again, or weights "
        "whose training did not diverge",
        file, name,
        isnan(value) ? "NaN"
        : value > 0  ? "infinity"
                     : "-infinity",
        where);
}
