#include "store/weights_impl.h"

#include <string.h>
#include <unistd.h>

/* What torch.save wrote before PyTorch 1.6, and still writes when asked: a pickle with a magic number, one with a version, one with
 * facts of the machine, the state dictionary, the storages' keys, and then each storage: its number of elements and its values. */

#define PICKLES_MOST 67108864 /* bytes of all pickles */

/* A tensor whose storage has no place yet. */
typedef struct waiting {
    char *name, *storage;
    const weights_type_row *type;
    int64_t offset, count; /* elements: of the tensor's first, of the storage */
    thaw_shape shape;
    int64_t stride[THAW_MAX_DIMS];
} waiting;

typedef struct legacy {
    thaw_weights *w;
    waiting *tensors;
    int64_t count, capacity;
    char **keys;
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
    if (l->count == l->capacity) {
        const int64_t more = l->capacity > 0 ? 2 * l->capacity : 64;
        THAW_TRY(thaw_realloc(&l->tensors, l->capacity, more, sizeof *l->tensors));
        l->capacity = more;
    }
    waiting *to = &l->tensors[l->count];
    *to =
        (waiting){.type = type, .offset = t->offset, .count = t->storage_count, .shape = t->shape};
    memcpy(to->stride, t->stride, sizeof to->stride);
    l->count++;
    THAW_TRY(thaw_strdup(&to->name, t->name));
    return thaw_strdup(&to->storage, t->storage);
}

static thaw_status take_key(void *context, const char *text)
{
    legacy *l = context;
    if (l->key_count == l->key_capacity) {
        const int64_t more = l->key_capacity > 0 ? 2 * l->key_capacity : 64;
        THAW_TRY(thaw_realloc(&l->keys, l->key_capacity, more, sizeof *l->keys));
        l->key_capacity = more;
    }
    l->keys[l->key_count] = NULL;
    THAW_TRY(thaw_strdup(&l->keys[l->key_count], text));
    l->key_count++;
    return THAW_OK;
}

/* Five pickles; *used: bytes. */
static thaw_status read_pickles(legacy *l, const uint8_t *bytes, size_t size, size_t *used)
{
    const pickle_taker nothing = {0};
    const pickle_taker tensors = {.tensor = take_tensor, .context = l};
    const pickle_taker keys = {.text = take_key, .context = l};
    const pickle_taker *takers[] = {&nothing, &nothing, &nothing, &tensors, &keys};
    *used = 0;
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
        size_t read = 0;
        THAW_TRY(weights_unpickle(l->w->path, bytes + *used, size - *used, &read, takers[i]));
        *used += read;
    }
    return THAW_OK;
}

/* The tensors of one storage, which lies at byte `at` of the file. *next: behind it. */
static thaw_status place_storage(legacy *l, const char *key, int64_t at, int64_t *next)
{
    const weights_part *file = &l->w->parts[0];
    uint8_t head[8];
    uint64_t count = 0;
    size_t element = 0;
    THAW_CHECK(pread(file->fd, head, sizeof head, (off_t)at) == (ssize_t)sizeof head,
               THAW_ERR_INPUT, "%s: ends before the storage %s", file->path, key);
    for (int i = 8; i-- > 0;)
        count = count << 8 | head[i];
    for (int64_t i = 0; i < l->count; i++) {
        const waiting *t = &l->tensors[i];
        if (strcmp(t->storage, key) != 0)
            continue;
        THAW_CHECK((uint64_t)t->count == count && (element == 0 || element == t->type->element),
                   THAW_ERR_INPUT,
                   "%s: the storage %s at byte %lld has %llu elements, '%s' says %lld", file->path,
                   key, (long long)at, (unsigned long long)count, t->name, (long long)t->count);
        element = t->type->element;
        THAW_TRY(weights_add(l->w, t->name, t->type, &t->shape, t->stride, 0,
                             at + 8 + t->offset * (int64_t)element));
    }
    THAW_CHECK(element > 0, THAW_ERR_INPUT, "%s: no tensor uses the storage %s", file->path, key);
    THAW_CHECK((double)count * (double)element <= (double)(file->bytes - at - 8), THAW_ERR_INPUT,
               "%s: ends in the middle of the storage %s", file->path, key);
    *next = at + 8 + (int64_t)count * (int64_t)element;
    return THAW_OK;
}

static thaw_status place_all(legacy *l, int64_t at)
{
    for (int64_t k = 0; k < l->key_count; k++)
        THAW_TRY(place_storage(l, l->keys[k], at, &at));
    THAW_CHECK(l->w->count == l->count, THAW_ERR_INPUT,
               "%s: %lld of its %lld tensors have no storage", l->w->path,
               (long long)(l->count - l->w->count), (long long)l->count);
    return THAW_OK;
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
    THAW_CHECK_TO(pread(w->parts[part].fd, bytes, (size_t)size, 0) == (ssize_t)size, THAW_ERR_INPUT,
                  "%s: cannot be read", path);
    THAW_TRY_TO(read_pickles(&l, bytes, (size_t)size, &used));
    status = place_all(&l, (int64_t)used);
done:
    for (int64_t i = 0; i < l.count; i++) {
        thaw_free(&l.tensors[i].name);
        thaw_free(&l.tensors[i].storage);
    }
    for (int64_t i = 0; i < l.key_count; i++)
        thaw_free(&l.keys[i]);
    thaw_free(&l.tensors);
    thaw_free(&l.keys);
    thaw_free(&bytes);
    return status;
}
