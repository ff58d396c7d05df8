/* IDX: two zero bytes, type, number of dimensions, dimensions as big-endian 32-bit, then the values, big-endian.
 * Source: yann.lecun.com/exdb/mnist, "the IDX file format". */
#include "data/array_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

/* Deflate cannot shrink more than 1032 : 1, so no header can promise more than this times the file's size. */
#define DEFLATE_MOST 1032

typedef struct idx_type {
    uint8_t code;
    thaw_dtype dtype; /* in memory */
    int64_t bytes;    /* in the file */
    bool is_signed;
} idx_type;
static const idx_type idx_types[] = {
    {0x08, THAW_U8, 1, false}, {0x09, THAW_I32, 1, true},  {0x0b, THAW_I32, 2, true},
    {0x0c, THAW_I32, 4, true}, {0x0d, THAW_F32, 4, false}, {0x0e, THAW_F64, 8, false},
};

/* The whole array, decoded: IDX is a format of small sets, and a gzip stream has no rows to jump to. */
typedef struct idx_state {
    uint8_t *data;
} idx_state;

static bool idx_recognise(const uint8_t *head, size_t bytes)
{
    bool gzip = bytes >= 2 && head[0] == 0x1f && head[1] == 0x8b;
    bool plain = bytes >= 4 && head[0] == 0 && head[1] == 0 && head[2] >= 0x08 && head[2] <= 0x0e &&
                 head[3] >= 1 && head[3] <= THAW_MAX_DIMS;
    return gzip || plain;
}

/* Reads exactly `bytes`; `offset` is counted in the uncompressed stream. */
static thaw_status read_exact(gzFile stream, const char *name, int64_t offset, int64_t bytes,
                              uint8_t *out)
{
    for (int64_t done = 0; done < bytes;) {
        int64_t want = bytes - done < (1 << 24) ? bytes - done : (1 << 24);
        int got = gzread(stream, out + done, (unsigned)want);
        int code = 0;
        const char *why = gzerror(stream, &code);
        THAW_CHECK(got >= 0 && (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR),
                   THAW_ERR_INPUT, "%s: cannot decompress at offset %lld: %s", name,
                   (long long)(offset + done), why);
        THAW_CHECK(got > 0, THAW_ERR_INPUT, "%s: truncated: ends at offset %lld, needs %lld bytes",
                   name, (long long)(offset + done), (long long)(offset + bytes));
        done += got;
    }
    return THAW_OK;
}

static uint64_t big_endian(const uint8_t *bytes, int64_t count)
{
    uint64_t value = 0;
    for (int64_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static const idx_type *find_type(uint8_t code)
{
    for (size_t i = 0; i < sizeof idx_types / sizeof idx_types[0]; i++)
        if (idx_types[i].code == code)
            return &idx_types[i];
    return NULL;
}

/* Fills array->shape; every product is bounded by `most` values before it can overflow. */
static thaw_status read_header(thaw_array *array, gzFile stream, int64_t file_bytes,
                               const idx_type **type, int64_t *offset)
{
    uint8_t head[4];
    THAW_TRY(read_exact(stream, array->name, 0, 4, head));
    THAW_CHECK(
        head[0] == 0 && head[1] == 0, THAW_ERR_INPUT,
        "%s: not an IDX file: starts with %02x %02x %02x %02x instead of 00 00 TYPE DIMENSIONS",
        array->name, head[0], head[1], head[2], head[3]);
    *type = find_type(head[2]);
    THAW_CHECK(*type, THAW_ERR_INPUT,
               "%s: offset 2: unknown IDX type 0x%02x; known are 08 09 0b 0c 0d 0e", array->name,
               head[2]);
    THAW_CHECK(head[3] >= 1 && head[3] <= 4, THAW_ERR_INPUT,
               "%s: offset 3: %d dimensions; 1 to 4 are supported", array->name, head[3]);
    uint8_t dims[16];
    THAW_TRY(read_exact(stream, array->name, 4, 4 * head[3], dims));
    int64_t most = file_bytes > INT64_MAX / DEFLATE_MOST ? INT64_MAX : file_bytes * DEFLATE_MOST;
    int64_t bytes = (*type)->bytes;
    array->shape = (thaw_shape){.ndim = head[3]};
    for (int d = 0; d < head[3]; d++) {
        int64_t dim = (int64_t)big_endian(dims + 4 * d, 4);
        THAW_CHECK(dim > 0, THAW_ERR_INPUT, "%s: offset %d: dimension %d is 0", array->name,
                   4 + 4 * d, d);
        THAW_CHECK(
            dim <= most / bytes, THAW_ERR_INPUT,
            "%s: offset %d: dimension %d of %lld promises more than a file of %lld bytes can hold",
            array->name, 4 + 4 * d, d, (long long)dim, (long long)file_bytes);
        bytes *= dim;
        array->shape.dim[d] = dim;
    }
    *offset = 4 + 4 * head[3];
    return THAW_OK;
}

static void decode(const idx_type *type, const uint8_t *raw, int64_t count, void *out)
{
    for (int64_t i = 0; i < count; i++) {
        uint64_t bits = big_endian(raw + i * type->bytes, type->bytes);
        uint32_t low = (uint32_t)bits;
        if (type->dtype == THAW_F64) {
            memcpy((double *)out + i, &bits, sizeof bits);
        } else if (type->dtype == THAW_F32) {
            memcpy((float *)out + i, &low, sizeof low);
        } else {
            int64_t half = (int64_t)1 << (8 * type->bytes - 1);
            int64_t value = (int64_t)bits;
            ((int32_t *)out)[i] = (int32_t)(value >= half ? value - 2 * half : value);
        }
    }
}

/* Memory grows with the bytes that arrive: a damaged header of a gzip file may promise a thousand times its size. */
static thaw_status read_growing(gzFile stream, const char *name, int64_t offset, int64_t bytes,
                                uint8_t **out)
{
    int64_t room = 0;
    while (room < bytes) {
        int64_t more = room ? 2 * room : (int64_t)64 << 20;
        more = more < bytes ? more : bytes;
        THAW_TRY(thaw_realloc(out, room, more, 1));
        THAW_TRY(read_exact(stream, name, offset + room, more - room, *out + room));
        room = more;
    }
    uint8_t extra = 0;
    int got = gzread(stream, &extra, 1);
    int code = 0;
    const char *why = gzerror(stream, &code);
    THAW_CHECK(got >= 0, THAW_ERR_INPUT, "%s: cannot decompress at offset %lld: %s", name,
               (long long)(offset + bytes), why);
    THAW_CHECK(got == 0, THAW_ERR_INPUT,
               "%s: goes on after offset %lld, where its header says it ends", name,
               (long long)(offset + bytes));
    return THAW_OK;
}

static thaw_status read_values(thaw_array *array, gzFile stream, const idx_type *type,
                               int64_t offset, idx_state *state)
{
    int64_t count = thaw_shape_count(&array->shape);
    uint8_t *raw = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(read_growing(stream, array->name, offset, count * type->bytes, &raw));
    if (type->dtype == THAW_U8) {
        state->data = raw;
        raw = NULL;
    } else {
        THAW_TRY_TO(thaw_alloc(&state->data, count, thaw_dtype_bytes(type->dtype)));
        decode(type, raw, count, state->data);
    }
done:
    thaw_free(&raw);
    return status;
}

static thaw_status idx_open(thaw_array *array, const char *name, thaw_role role)
{
    (void)role;
    struct stat info;
    THAW_CHECK(stat(name, &info) == 0, THAW_ERR_INPUT, "%s: cannot open: %s", name,
               strerror(errno));
    THAW_CHECK(S_ISREG(info.st_mode), THAW_ERR_INPUT, "%s: not a file", name);
    gzFile stream = gzopen(name, "rb");
    THAW_CHECK(stream, THAW_ERR_INPUT, "%s: cannot open: %s", name, strerror(errno));
    thaw_status status = THAW_OK;
    gzbuffer(stream, 1 << 18);
    const idx_type *type = NULL;
    int64_t offset = 0;
    THAW_TRY_TO(read_header(array, stream, (int64_t)info.st_size, &type, &offset));
    array->dtype = type->dtype;
    THAW_TRY_TO(thaw_alloc(&array->state, 1, sizeof(idx_state)));
    THAW_TRY_TO(read_values(array, stream, type, offset, array->state));
done:
    gzclose(stream);
    return status;
}

static thaw_status idx_rows(thaw_array *array, int64_t first, int64_t count, void *out)
{
    const idx_state *state = array->state;
    size_t row_bytes = (size_t)thaw_array_row_values(array) * thaw_dtype_bytes(array->dtype);
    memcpy(out, state->data + (size_t)first * row_bytes, (size_t)count * row_bytes);
    return THAW_OK;
}

static void idx_close(thaw_array *array)
{
    idx_state *state = array->state;
    if (state)
        thaw_free(&state->data);
    thaw_free(&array->state);
}

const thaw_importer thaw_importer_idx = {.name = "idx",
                                         .recognise = idx_recognise,
                                         .open = idx_open,
                                         .rows = idx_rows,
                                         .close = idx_close};
