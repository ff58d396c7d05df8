#include "store/weights_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const weights_type_row types[] = {
    {"F32", "FloatStorage", WEIGHTS_F32, 4},
    {"F16", "HalfStorage", WEIGHTS_F16, 2},
    {"BF16", "BFloat16Storage", WEIGHTS_BF16, 2},
    {"F64", "DoubleStorage", WEIGHTS_F64, 8},
    {"I64", "LongStorage", WEIGHTS_OTHER, 8},
    {"I32", "IntStorage", WEIGHTS_OTHER, 4},
    {"I16", "ShortStorage", WEIGHTS_OTHER, 2},
    {"I8", "CharStorage", WEIGHTS_OTHER, 1},
    {"U8", "ByteStorage", WEIGHTS_OTHER, 1},
    {"BOOL", "BoolStorage", WEIGHTS_OTHER, 1},
    {"U64", NULL, WEIGHTS_OTHER, 8},
    {"U32", NULL, WEIGHTS_OTHER, 4},
    {"U16", NULL, WEIGHTS_OTHER, 2},
    {"F8_E4M3", NULL, WEIGHTS_OTHER, 1},
    {"F8_E5M2", NULL, WEIGHTS_OTHER, 1},
};

const weights_type_row *weights_type_named(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const weights_type_row *weights_type_of_storage(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].storage != NULL && strcmp(types[i].storage, name) == 0)
            return &types[i];
    return NULL;
}

/* ---- Building the list ------------------------------------------------------------------------------------------ */

thaw_status weights_grow(void **array, int64_t *capacity, int64_t needed, size_t element)
{
    if (needed <= *capacity)
        return THAW_OK;
    int64_t more = *capacity > 0 ? 2 * *capacity : 256;
    while (more < needed)
        more *= 2;
    THAW_TRY(thaw_realloc(array, *capacity, more, element));
    *capacity = more;
    return THAW_OK;
}

/* In a double; as elements of 8 bytes they are still far from the end of int64_t. */
bool weights_shape_possible(const thaw_shape *shape)
{
    double elements = 1;
    for (int32_t i = 0; i < shape->ndim; i++) {
        if (shape->dim[i] < 0)
            return false;
        elements *= shape->dim[i] > 1 ? (double)shape->dim[i] : 1;
    }
    return elements < 1e15;
}

static thaw_status reserve(thaw_weights *w)
{
    int64_t same = w->capacity;
    THAW_TRY(weights_grow((void **)&w->list, &same, w->count + 1, sizeof *w->list));
    return weights_grow((void **)&w->places, &w->capacity, w->count + 1, sizeof *w->places);
}

thaw_status weights_add(thaw_weights *w, const char *name, const weights_type_row *type,
                        const thaw_shape *shape, const int64_t *stride, int32_t part,
                        int64_t offset)
{
    weights_place place = {
        .type = type->type, .element = type->element, .part = part, .offset = offset};
    int64_t dense = 1;
    char text[160];
    THAW_TRY(reserve(w));
    thaw_shape_format(shape, text, sizeof text);
    THAW_CHECK(weights_shape_possible(shape), THAW_ERR_INPUT,
               "%s: '%s' has an impossible shape, %s", w->path, name, text);
    for (int i = shape->ndim; i-- > 0; dense *= shape->dim[i])
        place.stride[i] = stride != NULL ? stride[i] : dense;
    thaw_weight *to = &w->list[w->count];
    *to =
        (thaw_weight){.type = type->name, .readable = type->type != WEIGHTS_OTHER, .shape = *shape};
    THAW_TRY(thaw_strdup(&to->name, name));
    w->places[w->count++] = place;
    return THAW_OK;
}

thaw_status weights_add_part(thaw_weights *w, const char *path, int32_t *index)
{
    struct stat about;
    THAW_TRY(
        weights_grow((void **)&w->parts, &w->part_capacity, w->part_count + 1, sizeof *w->parts));
    weights_part *part = &w->parts[w->part_count];
    *part = (weights_part){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    THAW_CHECK(part->fd >= 0, THAW_ERR_INPUT, "cannot open %s: %s", path, strerror(errno));
    *index = w->part_count++;
    THAW_CHECK(fstat(part->fd, &about) == 0 && S_ISREG(about.st_mode), THAW_ERR_INPUT,
               "%s is not a file", path);
    part->bytes = about.st_size;
    return thaw_strdup(&part->path, path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const weights_name *)a)->name, ((const weights_name *)b)->name);
}

void weights_sort_names(weights_name *names, int64_t count)
{
    if (count > 0)
        qsort(names, (size_t)count, sizeof *names, by_name);
}

thaw_status weights_names(const thaw_weights *w, weights_name **out)
{
    THAW_TRY(thaw_alloc(out, w->count, sizeof **out));
    for (int64_t i = 0; i < w->count; i++)
        (*out)[i] = (weights_name){w->list[i].name, i};
    weights_sort_names(*out, w->count);
    return THAW_OK;
}

/* ---- Opening ------------------------------------------------------------------------------------------------------ */

/* The first pickle of what torch.save wrote before 1.6 is this number alone, in a frame since protocol 4. */
static bool is_legacy(const uint8_t *head)
{
    static const char magic[] = "\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.";
    return memcmp(head + 2, magic, sizeof magic - 1) == 0 ||
           (head[2] == 0x95 && memcmp(head + 11, magic, sizeof magic - 1) == 0);
}

static thaw_status look_and_open(thaw_weights *w, const char *path)
{
    uint8_t head[32] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    THAW_CHECK(fd >= 0, THAW_ERR_INPUT, "cannot open %s: %s", path, strerror(errno));
    const ssize_t got = pread(fd, head, sizeof head, 0);
    const int why = errno;
    (void)close(fd);
    THAW_CHECK(got >= 0, THAW_ERR_INPUT, "cannot read %s: %s", path, strerror(why));
    THAW_CHECK(got > 0, THAW_ERR_INPUT, "%s is empty", path);
    if (memcmp(head, "PK\003\004", 4) == 0)
        return weights_open_torch(w, path);
    if (memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0)
        return weights_open_hdf5(w, path);
    if (got >= 9 && head[8] == '{')
        return weights_open_safetensors(w, path);
    if (head[0] == '{')
        return weights_open_index(w, path);
    THAW_CHECK(
        head[0] == 0x80 && head[1] < 6, THAW_ERR_INPUT,
        "%s is neither safetensors, nor an index of it, nor HDF5, nor what torch.save writes",
        path);
    THAW_CHECK(is_legacy(head), THAW_ERR_INPUT,
               "%s is a pickle, but not one of torch.save, whose magic number it lacks; save the "
               "state_dict with torch.save or as safetensors",
               path);
    return weights_open_legacy(w, path);
}

static thaw_status check_names(const thaw_weights *w)
{
    weights_name *names = NULL;
    thaw_status status = weights_names(w, &names);
    for (int64_t i = 1; status == THAW_OK && i < w->count; i++)
        if (strcmp(names[i - 1].name, names[i].name) == 0)
            status = THAW_FAIL(THAW_ERR_INPUT, "%s: two tensors are called '%s'", w->path,
                               names[i].name);
    thaw_free(&names);
    return status;
}

thaw_status thaw_weights_open(const char *path, thaw_weights **out)
{
    thaw_weights *w = NULL;
    *out = NULL;
    THAW_TRY(thaw_alloc(&w, 1, sizeof *w));
    thaw_status status = thaw_strdup(&w->path, path);
    if (status == THAW_OK)
        status = look_and_open(w, path);
    if (status == THAW_OK)
        status = check_names(w);
    if (status == THAW_OK)
        *out = w;
    else
        thaw_weights_close(&w);
    return status;
}

void thaw_weights_close(thaw_weights **weights)
{
    thaw_weights *w = *weights;
    if (w == NULL)
        return;
    for (int64_t i = 0; i < w->count; i++)
        thaw_free(&w->list[i].name);
    for (int32_t i = 0; i < w->part_count; i++) {
        if (w->parts[i].fd >= 0)
            (void)close(w->parts[i].fd);
        thaw_free(&w->parts[i].path);
    }
    if (w->archive != NULL)
        zip_discard(w->archive);
    thaw_h5_close(&w->hdf5);
    thaw_json_free(&w->words);
    thaw_free(&w->list);
    thaw_free(&w->places);
    thaw_free(&w->parts);
    thaw_free(&w->path);
    thaw_free(weights);
}

const char *thaw_weights_word(const thaw_weights *weights, const char *key)
{
    return thaw_json_string_or(weights->words, key, NULL);
}

int64_t thaw_weights_count(const thaw_weights *weights)
{
    return weights->count;
}

const thaw_weight *thaw_weights_at(const thaw_weights *weights, int64_t index)
{
    return &weights->list[index];
}

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

/* Bytes [offset, offset + size) of a part to out. */
static thaw_status read_file(const weights_part *part, int64_t offset, size_t size, void *out)
{
    for (size_t done = 0; done < size;) {
        const ssize_t got =
            pread(part->fd, (char *)out + done, size - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        THAW_CHECK(got > 0, THAW_ERR_INPUT, "%s: cannot read %zu bytes at %lld: %s", part->path,
                   size, (long long)offset, got < 0 ? strerror(errno) : "the file ends before");
        done += (size_t)got;
    }
    return THAW_OK;
}

/* At most `size` bytes, to out or nowhere (NULL); how many there were, or -1. */
static int64_t read_stream(zip_file_t *stream, uint64_t size, char *out)
{
    char skipped[4096];
    uint64_t done = 0;
    while (done < size) {
        const uint64_t left = size - done;
        const zip_int64_t got = out != NULL ? zip_fread(stream, out + done, left)
                                            : zip_fread(stream, skipped, left < 4096 ? left : 4096);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (uint64_t)got;
    }
    return (int64_t)done;
}

/* An entry is a stream: what comes before is read and dropped (storages that tensors share are rare, and small). */
thaw_status weights_read_entry(const thaw_weights *w, uint64_t entry, const char *name,
                               int64_t offset, size_t size, void *out)
{
    zip_file_t *stream = zip_fopen_index(w->archive, entry, 0);
    THAW_CHECK(stream != NULL, THAW_ERR_INPUT, "%s: cannot open the entry %s: %s", w->path, name,
               zip_strerror(w->archive));
    const bool there = read_stream(stream, (uint64_t)offset, NULL) == offset &&
                       read_stream(stream, size, out) == (int64_t)size;
    const bool good = there && read_stream(stream, INT64_MAX, NULL) >= 0;
    thaw_status status = THAW_OK;
    if (!good)
        status = THAW_FAIL(THAW_ERR_INPUT, "%s: the entry %s is damaged: %s", w->path, name,
                           zip_error_code_zip(zip_file_get_error(stream)) == ZIP_ER_OK
                               ? "it ends too early"
                               : zip_file_strerror(stream));
    (void)zip_fclose(stream);
    return status;
}

static thaw_status read_bytes(const thaw_weights *w, const weights_place *place, size_t size,
                              void *out)
{
    const weights_part *part = &w->parts[place->part];
    if (size == 0)
        return THAW_OK;
    return part->fd >= 0 ? read_file(part, place->offset, size, out)
                         : weights_read_entry(w, part->entry, part->path, place->offset, size, out);
}

/* IEEE 754 binary16; subnormals too. */
static float from_half(uint16_t h)
{
    const int exponent = h >> 10 & 31;
    const float fraction = (float)(h & 1023);
    float value = 0;
    if (exponent == 31)
        value = fraction == 0 ? INFINITY : NAN;
    else if (exponent == 0)
        value = ldexpf(fraction, -24);
    else
        value = ldexpf(fraction + 1024, exponent - 25);
    return h >> 15 ? -value : value;
}

static float from_bfloat(uint16_t b)
{
    const uint32_t word = (uint32_t)b << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

/* Element i of raw values as a float; false where float32 cannot hold it. */
static bool convert(weights_type type, const void *raw, int64_t i, float *out)
{
    if (type == WEIGHTS_F32)
        memcpy(out, (const char *)raw + 4 * i, sizeof *out);
    else if (type == WEIGHTS_F64) {
        double value;
        memcpy(&value, (const char *)raw + 8 * i, sizeof value);
        *out = (float)value;
        return !isfinite(value) || isfinite(*out);
    } else {
        uint16_t word;
        memcpy(&word, (const char *)raw + 2 * i, sizeof word);
        *out = type == WEIGHTS_F16 ? from_half(word) : from_bfloat(word);
    }
    return true;
}

static const char too_large[] = "%s: element %lld of '%s' is too large for float32";

static bool is_dense(const thaw_weight *what, const weights_place *place)
{
    int64_t dense = 1;
    for (int i = what->shape.ndim; i-- > 0; dense *= what->shape.dim[i])
        if (what->shape.dim[i] > 1 && place->stride[i] != dense)
            return false;
    return true;
}

/* Elements from the first to the last one that a strided tensor names. */
static int64_t extent(const thaw_weight *what, const weights_place *place)
{
    int64_t last = 0;
    if (thaw_shape_count(&what->shape) == 0)
        return 0;
    for (int i = 0; i < what->shape.ndim; i++)
        if (what->shape.dim[i] > 1)
            last += (what->shape.dim[i] - 1) * place->stride[i];
    return last + 1;
}

/* Where element i of the tensor lies, in elements. */
static int64_t place_of(const thaw_weight *what, const weights_place *place, int64_t i)
{
    int64_t at = 0;
    for (int d = what->shape.ndim; d-- > 0; i /= what->shape.dim[d])
        at += i % what->shape.dim[d] * place->stride[d];
    return at;
}

static thaw_status read_values(const thaw_weights *w, int64_t index, const weights_place *place,
                               size_t bytes, void *out)
{
    if (w->hdf5 == NULL)
        return read_bytes(w, place, bytes, out);
    return weights_read_dataset(w, w->parts[place->part].path, &w->list[index].shape, place->type,
                                out);
}

/* What the file holds, converted where it is not float32: elements [first, first + n) of a dense tensor. */
static thaw_status read_dense(const thaw_weights *w, int64_t index, int64_t first, int64_t n,
                              float *out)
{
    weights_place place = w->places[index];
    const size_t bytes = (size_t)n * place.element;
    void *raw = NULL;
    place.offset += first * (int64_t)place.element;
    if (place.type == WEIGHTS_F32)
        return read_values(w, index, &place, bytes, out);
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&raw, (int64_t)bytes, 1));
    THAW_TRY_TO(read_values(w, index, &place, bytes, raw));
    for (int64_t i = 0; i < n; i++)
        THAW_CHECK_TO(convert(place.type, raw, i, &out[i]), THAW_ERR_INPUT, too_large, w->path,
                      (long long)(first + i), w->list[index].name);
done:
    thaw_free(&raw);
    return status;
}

static thaw_status read_strided(const thaw_weights *w, int64_t index, float *out)
{
    const thaw_weight *what = &w->list[index];
    const weights_place *place = &w->places[index];
    const size_t bytes = (size_t)extent(what, place) * place->element;
    void *raw = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&raw, (int64_t)bytes, 1));
    THAW_TRY_TO(read_bytes(w, place, bytes, raw));
    for (int64_t i = 0; i < thaw_shape_count(&what->shape); i++)
        THAW_CHECK_TO(convert(place->type, raw, place_of(what, place, i), &out[i]), THAW_ERR_INPUT,
                      too_large, w->path, (long long)i, what->name);
done:
    thaw_free(&raw);
    return status;
}

static thaw_status check_readable(const thaw_weights *w, const thaw_weight *what)
{
    THAW_CHECK(what->readable, THAW_ERR_INPUT, "%s: '%s' has the type %s, which is no float",
               w->path, what->name, what->type);
    return THAW_OK;
}

thaw_status thaw_weights_read(const thaw_weights *weights, int64_t index, float *out)
{
    const thaw_weight *what = &weights->list[index];
    THAW_TRY(check_readable(weights, what));
    if (is_dense(what, &weights->places[index]))
        return read_dense(weights, index, 0, thaw_shape_count(&what->shape), out);
    return read_strided(weights, index, out);
}

bool thaw_weights_in_parts(const thaw_weights *weights, int64_t index)
{
    const weights_place *place = &weights->places[index];
    return weights->parts[place->part].fd >= 0 && is_dense(&weights->list[index], place);
}

thaw_status thaw_weights_read_part(const thaw_weights *weights, int64_t index, int64_t first,
                                   int64_t n, float *out)
{
    const thaw_weight *what = &weights->list[index];
    THAW_TRY(check_readable(weights, what));
    THAW_ASSERT(thaw_weights_in_parts(weights, index));
    THAW_ASSERT(first >= 0 && n >= 0 && n <= thaw_shape_count(&what->shape) - first);
    return read_dense(weights, index, first, n, out);
}
