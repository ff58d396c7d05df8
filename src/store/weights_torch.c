#include "store/weights_impl.h"

#include <string.h>

/* What torch.save writes since PyTorch 1.6: a zip with <name>/data.pkl, which describes the tensors, and <name>/data/<key>, the bytes of
 * each storage. */

#define PICKLE_MOST 67108864 /* bytes */

typedef struct torch_file {
    thaw_weights *w;
    char prefix[1024]; /* "archive/" */
} torch_file;

static thaw_status find_pickle(torch_file *f, zip_stat_t *out)
{
    static const char name[] = "data.pkl";
    const zip_int64_t count = zip_get_num_entries(f->w->archive, 0);
    for (zip_int64_t i = 0; i < count; i++) {
        const char *entry = zip_get_name(f->w->archive, (zip_uint64_t)i, 0);
        const size_t length = entry == NULL ? 0 : strlen(entry);
        if (length < sizeof name - 1 || strcmp(entry + length - (sizeof name - 1), name) != 0 ||
            length >= sizeof f->prefix)
            continue;
        memcpy(f->prefix, entry, length - (sizeof name - 1));
        f->prefix[length - (sizeof name - 1)] = '\0';
        THAW_CHECK(zip_stat_index(f->w->archive, (zip_uint64_t)i, 0, out) == 0 &&
                       (out->valid & ZIP_STAT_SIZE) != 0 && out->size <= PICKLE_MOST,
                   THAW_ERR_INPUT, "%s: %s is damaged or larger than %d bytes", f->w->path, entry,
                   PICKLE_MOST);
        return THAW_OK;
    }
    return THAW_FAIL(THAW_ERR_INPUT,
                     "%s is a zip, but not one of torch.save: it has no entry data.pkl",
                     f->w->path);
}

static thaw_status find_entry(const torch_file *f, const pickle_tensor *t, size_t element,
                              int32_t *part)
{
    char name[1200];
    zip_stat_t about;
    thaw_weights *w = f->w;
    THAW_CHECK(thaw_format(name, sizeof name, "%sdata/%s", f->prefix, t->storage), THAW_ERR_INPUT,
               "%s: the storage of '%s' has too long a name", w->path, t->name);
    for (*part = 0; *part < w->part_count; (*part)++)
        if (strcmp(w->parts[*part].path, name) == 0)
            break;
    if (*part == w->part_count) {
        THAW_CHECK(zip_stat(w->archive, name, 0, &about) == 0 && (about.valid & ZIP_STAT_SIZE) != 0,
                   THAW_ERR_INPUT, "%s: the entry %s, which '%s' needs, is missing", w->path, name,
                   t->name);
        if (w->part_count == w->part_capacity) {
            const int32_t more = w->part_capacity > 0 ? 2 * w->part_capacity : 64;
            THAW_TRY(thaw_realloc(&w->parts, w->part_capacity, more, sizeof *w->parts));
            w->part_capacity = more;
        }
        weights_part *entry = &w->parts[w->part_count];
        *entry = (weights_part){.fd = -1, .entry = about.index, .bytes = (int64_t)about.size};
        THAW_TRY(thaw_strdup(&entry->path, name));
        w->part_count++;
    }
    THAW_CHECK(
        (double)t->storage_count * (double)element == (double)w->parts[*part].bytes, THAW_ERR_INPUT,
        "%s: the entry %s has %lld bytes, its storage is said to have %lld "
        "elements of %zu",
        w->path, name, (long long)w->parts[*part].bytes, (long long)t->storage_count, element);
    return THAW_OK;
}

static thaw_status take_tensor(void *context, const pickle_tensor *t)
{
    const torch_file *f = context;
    const weights_type_row *type = weights_type_of_storage(t->storage_type);
    int32_t part = 0;
    THAW_CHECK(type != NULL, THAW_ERR_INPUT, "%s: '%s' has the type %s, which is unknown",
               f->w->path, t->name, t->storage_type);
    THAW_CHECK(pickle_tensor_fits(t), THAW_ERR_INPUT,
               "%s: '%s' reaches beyond its storage of %lld elements", f->w->path, t->name,
               (long long)t->storage_count);
    THAW_TRY(find_entry(f, t, type->element, &part));
    return weights_add(f->w, t->name, type, &t->shape, t->stride, part,
                       t->offset * (int64_t)type->element);
}

thaw_status weights_open_torch(thaw_weights *w, const char *path)
{
    int code = 0;
    torch_file f = {.w = w};
    zip_stat_t about;
    zip_file_t *stream = NULL;
    uint8_t *bytes = NULL;
    zip_error_t error;
    thaw_status status = THAW_OK;
    w->archive = zip_open(path, ZIP_RDONLY, &code);
    zip_error_init_with_code(&error, code);
    if (w->archive == NULL)
        status =
            THAW_FAIL(THAW_ERR_INPUT, "%s: not a whole zip: %s", path, zip_error_strerror(&error));
    zip_error_fini(&error);
    if (w->archive == NULL)
        return status;
    THAW_TRY_TO(find_pickle(&f, &about));
    THAW_TRY_TO(thaw_alloc(&bytes, (int64_t)about.size, 1));
    stream = zip_fopen_index(w->archive, about.index, 0);
    THAW_CHECK_TO(stream != NULL && zip_fread(stream, bytes, about.size) == (zip_int64_t)about.size,
                  THAW_ERR_INPUT, "%s: %sdata.pkl cannot be read", path, f.prefix);
    const pickle_taker taker = {.tensor = take_tensor, .context = &f};
    size_t used = 0;
    status = weights_unpickle(path, bytes, (size_t)about.size, &used, &taker);
done:
    if (stream != NULL)
        (void)zip_fclose(stream);
    thaw_free(&bytes);
    return status;
}
