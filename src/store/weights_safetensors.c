#include "store/weights_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* safetensors: eight bytes with the length of a JSON header, the header, then the values of all tensors without holes. */

#define HEADER_MOST 100000000 /* bytes; the format's own limit */

/* [begin, end) of each tensor, to find overlaps and holes. */
typedef struct range {
    int64_t begin, end;
} range;

static int by_begin(const void *a, const void *b)
{
    const range *x = a;
    const range *y = b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin)
                                : (x->end > y->end) - (x->end < y->end);
}

static thaw_status read_shape(const thaw_json *list, thaw_shape *out)
{
    *out = (thaw_shape){.ndim = (int32_t)thaw_json_count(list)};
    THAW_CHECK(thaw_json_count(list) <= THAW_MAX_DIMS, THAW_ERR_INPUT,
               "it has %lld dimensions; at most %d are possible", (long long)thaw_json_count(list),
               THAW_MAX_DIMS);
    for (int32_t i = 0; i < out->ndim; i++)
        THAW_TRY(thaw_json_get_int(thaw_json_at(list, i), "", &out->dim[i]));
    char text[160];
    thaw_shape_format(out, text, sizeof text);
    THAW_CHECK(weights_shape_possible(out), THAW_ERR_INPUT, "its shape is impossible, %s", text);
    return THAW_OK;
}

static thaw_status add_tensor(thaw_weights *w, int32_t part, const thaw_json *item, int64_t data,
                              range *out)
{
    const char *name = thaw_json_key(item);
    const char *type_name = NULL;
    const thaw_json *list = NULL;
    thaw_shape shape;
    THAW_TRY(thaw_json_get_string(item, "dtype", &type_name));
    const weights_type_row *type = weights_type_named(type_name);
    THAW_CHECK(type != NULL, THAW_ERR_INPUT, "its dtype \"%s\" is unknown", type_name);
    THAW_TRY(thaw_json_get_array(item, "shape", &list));
    THAW_TRY(read_shape(list, &shape));
    THAW_TRY(thaw_json_get_array(item, "data_offsets", &list));
    THAW_CHECK(thaw_json_count(list) == 2, THAW_ERR_INPUT, "data_offsets are not two numbers");
    THAW_TRY(thaw_json_get_int(thaw_json_at(list, 0), "", &out->begin));
    THAW_TRY(thaw_json_get_int(thaw_json_at(list, 1), "", &out->end));
    const int64_t room = w->parts[part].bytes - data;
    THAW_CHECK(out->begin >= 0 && out->begin <= out->end && out->end <= room, THAW_ERR_INPUT,
               "data_offsets [%lld, %lld] do not lie in the %lld bytes of values",
               (long long)out->begin, (long long)out->end, (long long)room);
    const int64_t wanted = thaw_shape_count(&shape) * (int64_t)type->element;
    THAW_CHECK(out->end - out->begin == wanted, THAW_ERR_INPUT,
               "data_offsets give it %lld bytes, its shape and dtype need %lld",
               (long long)(out->end - out->begin), (long long)wanted);
    return weights_add(w, name, type, &shape, NULL, part, data + out->begin);
}

static thaw_status check_ranges(const thaw_weights *w, int32_t part, range *ranges, int64_t count,
                                int64_t data)
{
    int64_t at = 0;
    if (count > 0)
        qsort(ranges, (size_t)count, sizeof *ranges, by_begin);
    for (int64_t i = 0; i < count; i++) {
        THAW_CHECK(ranges[i].begin == at, THAW_ERR_INPUT, "%s: values %s at byte %lld of the data",
                   w->parts[part].path,
                   ranges[i].begin < at ? "of two tensors overlap" : "are missing (a hole)",
                   (long long)at);
        at = ranges[i].end;
    }
    THAW_CHECK(at == w->parts[part].bytes - data, THAW_ERR_INPUT,
               "%s: %lld bytes behind the last tensor", w->parts[part].path,
               (long long)(w->parts[part].bytes - data - at));
    return THAW_OK;
}

static thaw_status take_header(thaw_weights *w, int32_t part, const thaw_json *header, int64_t data)
{
    range *ranges = NULL;
    int64_t count = 0;
    thaw_status status;
    THAW_CHECK(thaw_json_type_of(header) == THAW_JSON_OBJECT, THAW_ERR_INPUT,
               "%s: the header is no JSON object", w->parts[part].path);
    THAW_TRY_TO(thaw_alloc(&ranges, thaw_json_count(header), sizeof *ranges));
    for (const thaw_json *item = thaw_json_first(header); item != NULL;
         item = thaw_json_next(item)) {
        if (strcmp(thaw_json_key(item), "__metadata__") == 0) {
            if (w->words == NULL) /* of several files the first one's */
                w->words = thaw_json_copy(item);
            continue;
        }
        status = add_tensor(w, part, item, data, &ranges[count++]);
        if (status == THAW_ERR_INPUT)
            status = thaw_fail_context(status, "%s: tensor '%s'", w->parts[part].path,
                                       thaw_json_key(item));
        if (status != THAW_OK)
            goto done;
    }
    status = check_ranges(w, part, ranges, count, data);
done:
    thaw_free(&ranges);
    return status;
}

static thaw_status add_file(thaw_weights *w, const char *path)
{
    uint8_t head[8];
    int32_t part = 0;
    uint64_t length = 0;
    char *text = NULL;
    thaw_json *header = NULL;
    thaw_status status;
    THAW_TRY_TO(weights_add_part(w, path, &part));
    const weights_part *file = &w->parts[part];
    THAW_CHECK_TO(pread(file->fd, head, sizeof head, 0) == (ssize_t)sizeof head, THAW_ERR_INPUT,
                  "%s: %lld bytes are too few for safetensors", path, (long long)file->bytes);
    for (int i = 8; i-- > 0;)
        length = length << 8 | head[i];
    THAW_CHECK_TO(length <= HEADER_MOST && (int64_t)length <= file->bytes - 8, THAW_ERR_INPUT,
                  "%s: the header is said to be %llu bytes long, but the file has %lld", path,
                  (unsigned long long)length, (long long)file->bytes);
    THAW_TRY_TO(thaw_alloc(&text, (int64_t)length + 1, 1));
    THAW_CHECK_TO(pread(file->fd, text, length, 8) == (ssize_t)length, THAW_ERR_INPUT,
                  "%s: cannot read the header", path);
    THAW_TRY_TO(thaw_json_parse(text, length, path, &header));
    status = take_header(w, part, header, 8 + (int64_t)length);
done:
    thaw_json_free(&header);
    thaw_free(&text);
    return status;
}

thaw_status weights_open_safetensors(thaw_weights *w, const char *path)
{
    return add_file(w, path);
}

/* ---- Several files ------------------------------------------------------------------------------------------------ */

/* A name without folders: an index does not reach beyond its own. */
static thaw_status add_shard(thaw_weights *w, const char *index, const char *name)
{
    const char *slash = strrchr(index, '/');
    thaw_str path = {0};
    THAW_CHECK(name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, "..") != 0,
               THAW_ERR_INPUT, "%s: \"%s\" is no file name", index, name);
    if (slash != NULL)
        thaw_str_add_bytes(&path, index, (size_t)(slash - index) + 1);
    thaw_str_add(&path, name);
    thaw_status status = THAW_OK;
    for (int32_t i = 0; i < w->part_count; i++)
        if (strcmp(w->parts[i].path, thaw_str_c(&path)) == 0)
            goto done;
    status = add_file(w, thaw_str_c(&path));
done:
    thaw_str_clear(&path);
    return status;
}

/* Every tensor of the map is in its file, and every tensor of the files in the map. */
static thaw_status check_map(const thaw_weights *w, const thaw_json *map, const char *path)
{
    const int64_t count = thaw_json_count(map);
    weights_name *ours = NULL;
    weights_name *theirs = NULL;
    int64_t n = 0;
    thaw_status status;
    THAW_TRY_TO(weights_names(w, &ours));
    THAW_TRY_TO(thaw_alloc(&theirs, count, sizeof *theirs));
    for (const thaw_json *item = thaw_json_first(map); item != NULL; item = thaw_json_next(item))
        theirs[n++] = (weights_name){.name = thaw_json_key(item)};
    weights_sort_names(theirs, count);
    n = 0;
    for (int64_t i = 0; i < w->count; i++) {
        while (n < count && strcmp(theirs[n].name, ours[i].name) < 0)
            n++;
        THAW_CHECK_TO(n < count && strcmp(theirs[n].name, ours[i].name) == 0, THAW_ERR_INPUT,
                      "%s does not name the tensor '%s' of %s", path, ours[i].name,
                      w->parts[w->places[ours[i].index].part].path);
    }
    THAW_CHECK_TO(count == w->count, THAW_ERR_INPUT, "%s names %lld tensors, its files have %lld",
                  path, (long long)count, (long long)w->count);
done:
    thaw_free(&theirs);
    thaw_free(&ours);
    return status;
}

thaw_status weights_open_index(thaw_weights *w, const char *path)
{
    thaw_json *index = NULL;
    const thaw_json *map = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_json_read(path, &index));
    status = thaw_json_get_object(index, "weight_map", &map);
    if (status != THAW_OK) {
        status = thaw_fail_context(status, "%s is no index of safetensors files", path);
        goto done;
    }
    for (const thaw_json *item = thaw_json_first(map); item != NULL; item = thaw_json_next(item)) {
        const char *name = NULL;
        status = thaw_json_get_string(item, "", &name);
        if (status == THAW_OK)
            status = add_shard(w, path, name);
        if (status != THAW_OK)
            goto done;
    }
    status = check_map(w, map, path);
done:
    thaw_json_free(&index);
    return status;
}
