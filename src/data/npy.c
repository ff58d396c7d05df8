/* NumPy's .npy: magic, version, length of a Python dictionary with descr, fortran_order and shape, then the values.
 * Source: numpy.lib.format, versions 1.0 to 3.0. */
#include "data/array_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_MOST 65536 /* bytes; NumPy itself refuses more than 10,000 */

static const struct {
    const char *descr;
    thaw_dtype dtype;
} npy_types[] = {
    {"|u1", THAW_U8},  {"|b1", THAW_U8},  {"<f4", THAW_F32},
    {"<f8", THAW_F64}, {"<i4", THAW_I32}, {"<i8", THAW_I64},
};

typedef struct npy_state {
    FILE *stream;
    int64_t offset; /* of the values */
} npy_state;

static bool npy_recognise(const uint8_t *head, size_t bytes)
{
    return bytes >= 6 && memcmp(head, "\x93NUMPY", 6) == 0;
}

/* The text behind 'key': in the dictionary, NULL when absent. */
static const char *find_value(const char *header, const char *key)
{
    char quoted[32];
    const char *at =
        thaw_format(quoted, sizeof quoted, "'%s'", key) ? strstr(header, quoted) : NULL;
    if (!at) {
        thaw_format(quoted, sizeof quoted, "\"%s\"", key);
        at = strstr(header, quoted);
    }
    if (!at)
        return NULL;
    at += strlen(quoted);
    at += strspn(at, " ");
    if (*at != ':')
        return NULL;
    at++;
    return at + strspn(at, " ");
}

static thaw_status parse_descr(thaw_array *array, const char *header)
{
    const char *at = find_value(header, "descr");
    THAW_CHECK(at, THAW_ERR_INPUT, "%s: the header has no 'descr'", array->name);
    THAW_CHECK(*at == '\'' || *at == '"', THAW_ERR_INPUT,
               "%s: 'descr' is not a plain type; save an array without named fields", array->name);
    size_t length = strcspn(at + 1, "'\"");
    for (size_t i = 0; i < sizeof npy_types / sizeof npy_types[0]; i++) {
        if (length == 3 && memcmp(at + 1, npy_types[i].descr, 3) == 0) {
            array->dtype = npy_types[i].dtype;
            return THAW_OK;
        }
    }
    return THAW_FAIL(THAW_ERR_INPUT,
                     "%s: element type '%.*s' is not supported; save it as uint8, bool, int32, "
                     "int64, float32 or "
                     "float64, little-endian",
                     array->name, (int)(length < 20 ? length : 20), at + 1);
}

static thaw_status parse_order(thaw_array *array, const char *header)
{
    const char *at = find_value(header, "fortran_order");
    THAW_CHECK(at, THAW_ERR_INPUT, "%s: the header has no 'fortran_order'", array->name);
    THAW_CHECK(thaw_starts_with(at, "False"), THAW_ERR_INPUT,
               "%s: not in C order (fortran_order is not False); save numpy.ascontiguousarray(x)",
               array->name);
    return THAW_OK;
}

static thaw_status parse_shape(thaw_array *array, const char *header, int64_t value_bytes_most)
{
    const char *at = find_value(header, "shape");
    THAW_CHECK(at && *at == '(', THAW_ERR_INPUT, "%s: the header has no 'shape' tuple",
               array->name);
    int64_t bytes = (int64_t)thaw_dtype_bytes(array->dtype);
    array->shape = (thaw_shape){0};
    at += 1 + strspn(at + 1, " ");
    while (*at != ')') {
        THAW_CHECK(
            *at >= '0' && *at <= '9' && array->shape.ndim < THAW_MAX_DIMS, THAW_ERR_INPUT,
            "%s: 'shape' cannot be read at \"%.20s\"; at most %d whole numbers are supported",
            array->name, at, THAW_MAX_DIMS);
        char *end = NULL;
        errno = 0;
        int64_t dim = strtoimax(at, &end, 10);
        THAW_CHECK(errno == 0 && dim > 0, THAW_ERR_INPUT,
                   "%s: dimension %d of 'shape' is \"%.20s\"", array->name, array->shape.ndim, at);
        THAW_CHECK(dim <= value_bytes_most / bytes, THAW_ERR_INPUT,
                   "%s: truncated: dimension %d of 'shape' promises %lld, but only %lld bytes of "
                   "values follow",
                   array->name, array->shape.ndim, (long long)dim, (long long)value_bytes_most);
        bytes *= dim;
        array->shape.dim[array->shape.ndim++] = dim;
        at = end + strspn(end, " ");
        THAW_CHECK(*at == ',' || *at == ')', THAW_ERR_INPUT,
                   "%s: 'shape' cannot be read at \"%.20s\"", array->name, at);
        at += *at == ',' ? 1 + strspn(at + 1, " ") : 0;
    }
    THAW_CHECK(bytes == value_bytes_most, THAW_ERR_INPUT,
               "%s: 'shape' promises %lld bytes of values, but %lld follow", array->name,
               (long long)bytes, (long long)value_bytes_most);
    return THAW_OK;
}

/* Reads the dictionary as text into header (HEADER_MOST + 1). */
static thaw_status read_header(const char *name, npy_state *state, char *header)
{
    uint8_t head[12];
    size_t got = fread(head, 1, 10, state->stream);
    THAW_CHECK(got == 10, THAW_ERR_INPUT, "%s: truncated: %zu bytes, an npy header has at least 10",
               name, got);
    THAW_CHECK(npy_recognise(head, got), THAW_ERR_INPUT,
               "%s: not an npy file: starts with %02x %02x %02x %02x instead of 93 'NUM'", name,
               head[0], head[1], head[2], head[3]);
    THAW_CHECK(head[6] >= 1 && head[6] <= 3, THAW_ERR_INPUT,
               "%s: offset 6: npy version %d.%d; 1 to 3 are supported", name, head[6], head[7]);
    int64_t length = head[8] | head[9] << 8;
    state->offset = 10;
    if (head[6] > 1) {
        THAW_CHECK(fread(head + 10, 1, 2, state->stream) == 2, THAW_ERR_INPUT,
                   "%s: truncated at offset 10", name);
        length |= (int64_t)head[10] << 16 | (int64_t)head[11] << 24;
        state->offset = 12;
    }
    THAW_CHECK(length <= HEADER_MOST, THAW_ERR_INPUT,
               "%s: offset 8: a header of %lld bytes; at most %d are supported", name,
               (long long)length, HEADER_MOST);
    got = fread(header, 1, (size_t)length, state->stream);
    THAW_CHECK(got == (size_t)length, THAW_ERR_INPUT,
               "%s: truncated: ends at offset %lld inside the header", name,
               (long long)state->offset + (long long)got);
    header[length] = 0;
    state->offset += length;
    return THAW_OK;
}

static thaw_status npy_open(thaw_array *array, const char *name, thaw_role role)
{
    (void)role;
    npy_state *state = NULL;
    char *header = NULL;
    struct stat info;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&array->state, 1, sizeof(npy_state)));
    state = array->state;
    state->stream = fopen(name, "rb");
    THAW_CHECK_TO(state->stream && fstat(fileno(state->stream), &info) == 0, THAW_ERR_INPUT,
                  "%s: cannot open: %s", name, strerror(errno));
    THAW_CHECK_TO(S_ISREG(info.st_mode), THAW_ERR_INPUT, "%s: not a file", name);
    THAW_TRY_TO(thaw_alloc(&header, HEADER_MOST + 1, 1));
    THAW_TRY_TO(read_header(name, state, header));
    THAW_TRY_TO(parse_descr(array, header));
    THAW_TRY_TO(parse_order(array, header));
    THAW_TRY_TO(parse_shape(array, header, (int64_t)info.st_size - state->offset));
done:
    thaw_free(&header);
    return status;
}

static thaw_status npy_rows(thaw_array *array, int64_t first, int64_t count, void *out)
{
    const npy_state *state = array->state;
    size_t row_bytes = (size_t)thaw_array_row_values(array) * thaw_dtype_bytes(array->dtype);
    int64_t at = state->offset + first * (int64_t)row_bytes;
    THAW_CHECK(fseeko(state->stream, (off_t)at, SEEK_SET) == 0 &&
                   fread(out, row_bytes, (size_t)count, state->stream) == (size_t)count,
               THAW_ERR_INPUT, "%s: cannot read %lld rows at offset %lld", array->name,
               (long long)count, (long long)at);
    return THAW_OK;
}

static void npy_close(thaw_array *array)
{
    npy_state *state = array->state;
    if (state && state->stream)
        fclose(state->stream);
    thaw_free(&array->state);
}

const thaw_importer thaw_importer_npy = {.name = "npy",
                                         .recognise = npy_recognise,
                                         .open = npy_open,
                                         .rows = npy_rows,
                                         .close = npy_close};
