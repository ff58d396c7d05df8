#include "store/weights_impl.h"

#include <string.h>

/* What torch.save writes since PyTorch 1.6: a zip with <name>/data.pkl, which describes the tensors, and <name>/data/<key>, the bytes of
 * each storage. */

#define PICKLE_MOST 67108864 /* bytes */

typedef struct torch_file {
    thaw_weights *w;
    char prefix[1024]; /* "archive/" */
    int32_t *part_of;  /* per entry of the zip: its part and 1 */
} torch_file;

static thaw_status find_pickle(torch_file *f, zip_stat_t *out)
{
    static const char name[] = "data.pkl";
    const zip_int64_t count = zip_get_num_entries(f->w->archive, 0);
    THAW_TRY(thaw_alloc(&f->part_of, count, sizeof *f->part_of));
    for (zip_int64_t i = 0; i < count; i++) {
        const char *entry = zip_get_name(f->w->archive, (zip_uint64_t)i, 0);
        if (entry == NULL || !thaw_ends_with(entry, name) ||
            !thaw_format(f->prefix, sizeof f->prefix, "%.*s", (int)(strlen(entry) - strlen(name)),
                         entry))
            continue;
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

/* Since 2.1 torch.save writes down the order of the bytes; what it wrote before is of small machines. */
static thaw_status check_byte_order(const torch_file *f)
{
    char name[1200];
    char order[8] = "";
    zip_stat_t about;
    const thaw_weights *w = f->w;
    if (!thaw_format(name, sizeof name, "%sbyteorder", f->prefix) ||
        zip_stat(w->archive, name, 0, &about) != 0)
        return THAW_OK;
    if ((about.valid & ZIP_STAT_SIZE) != 0 && about.size < sizeof order)
        THAW_TRY(weights_read_entry(w, about.index, name, 0, (size_t)about.size, order));
    THAW_CHECK(strcmp(order, "little") == 0, THAW_ERR_INPUT,
               "%s: %s is '%s'; only values with the lowest byte first ('little') are read: save "
               "the state_dict again on a little-endian machine, or as safetensors",
               w->path, name, order);
    return THAW_OK;
}

static thaw_status add_entry(thaw_weights *w, const char *name, const zip_stat_t *about)
{
    THAW_TRY(
        weights_grow((void **)&w->parts, &w->part_capacity, w->part_count + 1, sizeof *w->parts));
    weights_part *entry = &w->parts[w->part_count];
    *entry = (weights_part){.fd = -1, .entry = about->index, .bytes = (int64_t)about->size};
    THAW_TRY(thaw_strdup(&entry->path, name));
    w->part_count++;
    return THAW_OK;
}

static thaw_status find_entry(const torch_file *f, const pickle_tensor *t, size_t element,
                              int32_t *part)
{
    char name[1200];
    zip_stat_t about;
    thaw_weights *w = f->w;
    THAW_CHECK(thaw_format(name, sizeof name, "%sdata/%s", f->prefix, t->storage), THAW_ERR_INPUT,
               "%s: the storage of '%s' has too long a name", w->path, t->name);
    THAW_CHECK(zip_stat(w->archive, name, 0, &about) == 0 && (about.valid & ZIP_STAT_SIZE) != 0 &&
                   about.size <= INT64_MAX,
               THAW_ERR_INPUT, "%s: the entry %s, which '%s' needs, is missing", w->path, name,
               t->name);
    if (f->part_of[about.index] == 0) {
        THAW_TRY(add_entry(w, name, &about));
        f->part_of[about.index] = w->part_count;
    }
    *part = f->part_of[about.index] - 1;
    THAW_CHECK((double)t->storage_count * (double)element == (double)about.size, THAW_ERR_INPUT,
               "%s: the entry %s has %lld bytes, its storage is said to have %lld "
               "elements of %zu",
               w->path, name, (long long)about.size, (long long)t->storage_count, element);
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

static thaw_status read_archive(thaw_weights *w)
{
    torch_file f = {.w = w};
    zip_stat_t about;
    uint8_t *bytes = NULL;
    char name[1200];
    size_t at = 0;
    thaw_status status;
    THAW_TRY_TO(find_pickle(&f, &about));
    THAW_TRY_TO(check_byte_order(&f));
    THAW_TRY_TO(thaw_alloc(&bytes, (int64_t)about.size, 1));
    THAW_TRY_TO(weights_read_entry(w, about.index, about.name, 0, (size_t)about.size, bytes));
    (void)thaw_format(name, sizeof name, "%s: %sdata.pkl", w->path, f.prefix);
    const pickle_taker taker = {.tensor = take_tensor, .context = &f};
    status = weights_unpickle(name, bytes, (size_t)about.size, &at, &taker);
done:
    thaw_free(&bytes);
    thaw_free(&f.part_of);
    return status;
}

thaw_status weights_open_torch(thaw_weights *w, const char *path)
{
    int code = 0;
    zip_error_t error;
    thaw_status status = THAW_OK;
    w->archive = zip_open(path, ZIP_RDONLY, &code);
    zip_error_init_with_code(&error, code);
    if (w->archive == NULL)
        status =
            THAW_FAIL(THAW_ERR_INPUT, "%s: not a whole zip: %s", path, zip_error_strerror(&error));
    zip_error_fini(&error);
    return w->archive == NULL ? status : read_archive(w);
}
