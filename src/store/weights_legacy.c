#include "store/weights_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What torch.save wrote before PyTorch 1.6, and still writes when asked: a pickle with a magic number, one with a version, one with
 * facts of the machine, the state dictionary, the storages' keys, and then each storage: its number of elements and its values. The
 * dictionary says of which type a storage is, those that no weight uses (of an optimizer) among them. */

#define PICKLES_MOST 67108864 /* bytes of all pickles */

/* A tensor whose storage has no place yet. */
typedef struct waiting {
    char *name, *storage;
    const weights_type_row *type;
    int64_t offset; /* elements */
    thaw_shape shape;
    int64_t stride[THAW_MAX_DIMS];
} waiting;

typedef struct stored {
    char *key;
    const weights_type_row *type;
    int64_t count; /* elements */
    int64_t at;    /* first byte of the values; 0: not found yet */
} stored;

typedef struct legacy {
    thaw_weights *w;
    waiting *tensors;
    int64_t count, capacity;
    stored *storages; /* in the order of their keys, each once, when the dictionary is read */
    int64_t storage_count, storage_capacity;
    char **keys; /* in the order of the file */
    int64_t key_count, key_capacity;
} legacy;

static thaw_status take_tensor(void *context, const pickle_tensor *t)
{
    legacy *l = context;
    const weights_type_row *type = weights_type_of_storage(t->storage_type);
    THAW_CHECK(type != NULL, THAW_ERR_INPUT, "%s: '%s' has the type %s, which is unknown",
               l->w->path, t->name, t->storage_type);
    THAW_CHECK(pickle_tensor_fits(t), THAW_ERR_INPUT,
               "%s: '%s' reaches beyond its storage of %lld elements", l->w->path, t->name,
               (long long)t->storage_count);
    THAW_TRY(weights_grow((void **)&l->tensors, &l->capacity, l->count + 1, sizeof *l->tensors));
    waiting *to = &l->tensors[l->count++];
    *to = (waiting){.type = type, .offset = t->offset, .shape = t->shape};
    memcpy(to->stride, t->stride, sizeof to->stride);
    THAW_TRY(thaw_strdup(&to->name, t->name));
    return thaw_strdup(&to->storage, t->storage);
}

static thaw_status take_storage(void *context, const char *type, const char *key, int64_t count)
{
    legacy *l = context;
    THAW_TRY(weights_grow((void **)&l->storages, &l->storage_capacity, l->storage_count + 1,
                          sizeof *l->storages));
    stored *to = &l->storages[l->storage_count++];
    *to = (stored){.type = weights_type_of_storage(type), .count = count};
    return thaw_strdup(&to->key, key);
}

static thaw_status take_key(void *context, const char *text)
{
    legacy *l = context;
    THAW_TRY(weights_grow((void **)&l->keys, &l->key_capacity, l->key_count + 1, sizeof *l->keys));
    l->keys[l->key_count] = NULL;
    THAW_TRY(thaw_strdup(&l->keys[l->key_count], text));
    l->key_count++;
    return THAW_OK;
}

static thaw_status take_flag(void *context, const char *name, bool value)
{
    const legacy *l = context;
    THAW_CHECK(value || strcmp(name, "little_endian") != 0, THAW_ERR_INPUT,
               "%s: its values are big-endian (little_endian is False); only those with the lowest "
               "byte first are read: save the state_dict again on a little-endian machine, or as "
               "safetensors",
               l->w->path);
    return THAW_OK;
}

/* ---- Storages ----------------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const stored *)a)->key, ((const stored *)b)->key);
}

static stored *find_storage(const legacy *l, const char *key)
{
    const stored wanted = {.key = (char *)key};
    return l->storage_count == 0
               ? NULL
               : bsearch(&wanted, l->storages, (size_t)l->storage_count, sizeof wanted, by_key);
}

/* Several tensors may name a storage; all must say the same of it. */
static thaw_status sort_storages(legacy *l)
{
    int64_t kept = 0;
    if (l->storage_count > 0)
        qsort(l->storages, (size_t)l->storage_count, sizeof *l->storages, by_key);
    for (int64_t i = 0; i < l->storage_count; i++) {
        stored *s = &l->storages[i];
        const stored *before = kept > 0 ? &l->storages[kept - 1] : NULL;
        if (before == NULL || strcmp(before->key, s->key) != 0) {
            const stored moved = *s;
            s->key = NULL;
            l->storages[kept++] = moved;
            continue;
        }
        THAW_CHECK(before->type == s->type && before->count == s->count, THAW_ERR_INPUT,
                   "%s: the storage %s is said to have %lld elements of %s and %lld of %s",
                   l->w->path, s->key, (long long)before->count, before->type->name,
                   (long long)s->count, s->type->name);
        thaw_free(&s->key);
    }
    l->storage_count = kept;
    return THAW_OK;
}

/* Five pickles; *at: behind them. */
static thaw_status read_pickles(legacy *l, const uint8_t *bytes, size_t size, size_t *at)
{
    const pickle_taker nothing = {0};
    const pickle_taker facts = {.flag = take_flag, .context = l};
    const pickle_taker tensors = {.tensor = take_tensor, .storage = take_storage, .context = l};
    const pickle_taker keys = {.text = take_key, .context = l};
    const pickle_taker *takers[] = {&nothing, &nothing, &facts, &tensors, &keys};
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++)
        THAW_TRY(weights_unpickle(l->w->path, bytes, size, at, takers[i]));
    return sort_storages(l);
}

/* The storage that lies at byte `at` of the file. *next: behind it. */
static thaw_status place_storage(const legacy *l, const char *key, int64_t at, int64_t *next)
{
    const weights_part *file = &l->w->parts[0];
    uint8_t head[8];
    uint64_t count = 0;
    stored *s = find_storage(l, key);
    THAW_CHECK(s != NULL && s->at == 0, THAW_ERR_INPUT, "%s: the storage %s is %s", file->path, key,
               s == NULL ? "nowhere in its dictionary" : "there twice");
    THAW_CHECK(pread(file->fd, head, sizeof head, (off_t)at) == (ssize_t)sizeof head,
               THAW_ERR_INPUT, "%s: ends before the storage %s, at byte %lld", file->path, key,
               (long long)at);
    for (int i = 8; i-- > 0;)
        count = count << 8 | head[i];
    THAW_CHECK((uint64_t)s->count == count, THAW_ERR_INPUT,
               "%s: the storage %s at byte %lld has %llu elements, its tensors say %lld",
               file->path, key, (long long)at, (unsigned long long)count, (long long)s->count);
    THAW_CHECK((double)count * (double)s->type->element <= (double)(file->bytes - at - 8),
               THAW_ERR_INPUT,
               "%s: ends in the middle of the storage %s, which begins at byte %lld", file->path,
               key, (long long)at);
    s->at = at + 8;
    *next = s->at + (int64_t)count * (int64_t)s->type->element;
    return THAW_OK;
}

static thaw_status place_all(const legacy *l, int64_t at)
{
    for (int64_t k = 0; k < l->key_count; k++)
        THAW_TRY(place_storage(l, l->keys[k], at, &at));
    for (int64_t i = 0; i < l->count; i++) {
        const waiting *t = &l->tensors[i];
        const stored *s = find_storage(l, t->storage);
        THAW_CHECK(s != NULL && s->at > 0, THAW_ERR_INPUT,
                   "%s: the storage %s of '%s' is not in the file", l->w->path, t->storage,
                   t->name);
        THAW_TRY(weights_add(l->w, t->name, t->type, &t->shape, t->stride, 0,
                             s->at + t->offset * (int64_t)t->type->element));
    }
    return THAW_OK;
}

static void clear(legacy *l)
{
    for (int64_t i = 0; i < l->count; i++) {
        thaw_free(&l->tensors[i].name);
        thaw_free(&l->tensors[i].storage);
    }
    for (int64_t i = 0; i < l->storage_count; i++)
        thaw_free(&l->storages[i].key);
    for (int64_t i = 0; i < l->key_count; i++)
        thaw_free(&l->keys[i]);
    thaw_free(&l->tensors);
    thaw_free(&l->storages);
    thaw_free(&l->keys);
}

thaw_status weights_open_legacy(thaw_weights *w, const char *path)
{
    legacy l = {.w = w};
    uint8_t *bytes = NULL;
    int32_t part = 0;
    size_t used = 0;
    thaw_status status;
    THAW_TRY_TO(weights_add_part(w, path, &part));
    const int64_t size = w->parts[part].bytes < PICKLES_MOST ? w->parts[part].bytes : PICKLES_MOST;
    THAW_TRY_TO(thaw_alloc(&bytes, size, 1));
    errno = 0;
    THAW_CHECK_TO(pread(w->parts[part].fd, bytes, (size_t)size, 0) == (ssize_t)size, THAW_ERR_INPUT,
                  "cannot read %s: %s", path, errno != 0 ? strerror(errno) : "it became shorter");
    THAW_TRY_TO(read_pickles(&l, bytes, (size_t)size, &used));
    status = place_all(&l, (int64_t)used);
done:
    clear(&l);
    thaw_free(&bytes);
    return status;
}
