/* weights_impl.h - what readers of foreign weights share: tensors that lie in files, or in entries of a zip, as plain arrays. */
#ifndef THAW_STORE_WEIGHTS_IMPL_H
#define THAW_STORE_WEIGHTS_IMPL_H

#include <zip.h>

#include "thaw/h5.h"
#include "thaw/report.h"
#include "thaw/store.h"

typedef enum weights_type {
    WEIGHTS_F32,
    WEIGHTS_F16,
    WEIGHTS_BF16,
    WEIGHTS_F64,
    WEIGHTS_OTHER /* no float */
} weights_type;

/* Where the values of a tensor lie: strides and offset in elements, from the start of a file's data or of a zip's entry. */
typedef struct weights_place {
    weights_type type;
    size_t element; /* bytes */
    int32_t part;   /* file; of a zip: entry */
    int64_t offset; /* bytes */
    int64_t stride[THAW_MAX_DIMS];
} weights_place;

typedef struct weights_part {
    char *path; /* or the name of the entry or dataset */
    int fd;     /* -1: an entry or dataset */
    uint64_t entry;
    int64_t bytes;
} weights_part;

struct thaw_weights {
    char *path;
    thaw_json *words; /* metadata of safetensors or HDF5; NULL: none */
    zip_t *archive;   /* NULL: files, or */
    thaw_h5 *hdf5;    /* NULL: files, or the archive; of it each dataset is a part */
    weights_part *parts;
    int32_t part_count;
    int64_t part_capacity;
    thaw_weight *list;
    weights_place *places;
    int64_t count, capacity;
};

/* A name and the bytes of an element, of safetensors ("BF16") and of PyTorch's storages. */
typedef struct weights_type_row {
    const char *name, *storage;
    weights_type type;
    size_t element;
} weights_type_row;
const weights_type_row *weights_type_named(const char *name);      /* NULL: unknown */
const weights_type_row *weights_type_of_storage(const char *name); /* "FloatStorage" */

/* More room for an array; at least `needed` elements. */
THAW_NODISCARD thaw_status weights_grow(void **array, int64_t *capacity, int64_t needed,
                                        size_t element);
/* Whether no product of its dimensions can overflow, the order and zeros among them whatever. */
bool weights_shape_possible(const thaw_shape *shape);
/* Takes over nothing. Strides may be NULL: dense. THAW_ERR_INPUT: an impossible shape. */
THAW_NODISCARD thaw_status weights_add(thaw_weights *w, const char *name,
                                       const weights_type_row *type, const thaw_shape *shape,
                                       const int64_t *stride, int32_t part, int64_t offset);
THAW_NODISCARD thaw_status weights_add_part(thaw_weights *w, const char *path, int32_t *index);
/* Bytes [offset, offset + size) of an entry of the archive. It is read to its end, where alone its checksum is compared. */
THAW_NODISCARD thaw_status weights_read_entry(const thaw_weights *w, uint64_t entry,
                                              const char *name, int64_t offset, size_t size,
                                              void *out);
/* Names in the order of strcmp, with what they belong to. To be freed. */
typedef struct weights_name {
    const char *name;
    int64_t index;
} weights_name;
void weights_sort_names(weights_name *names, int64_t count);
THAW_NODISCARD thaw_status weights_names(const thaw_weights *w, weights_name **out);

/* One format each. */
THAW_NODISCARD thaw_status weights_open_safetensors(thaw_weights *w, const char *path);
THAW_NODISCARD thaw_status weights_open_index(thaw_weights *w, const char *path);
THAW_NODISCARD thaw_status weights_open_torch(thaw_weights *w, const char *path);
THAW_NODISCARD thaw_status weights_open_legacy(thaw_weights *w, const char *path);
THAW_NODISCARD thaw_status weights_open_hdf5(thaw_weights *w, const char *path);
/* A whole dataset, which has this shape: as doubles where type says so, else as floats. */
THAW_NODISCARD thaw_status weights_read_dataset(const thaw_weights *w, const char *name,
                                                const thaw_shape *shape, weights_type type,
                                                void *out);

/* The tensors of a pickle that describes a state dictionary, in order. storage is the key of the archive's entry data/<key>. */
typedef struct pickle_tensor {
    const char *name, *storage_type, *storage;
    int64_t storage_count, offset; /* elements */
    thaw_shape shape;
    int64_t stride[THAW_MAX_DIMS];
} pickle_tensor;
/* What becomes of a pickle: each tensor of a dictionary, each storage that anything in it names (as often as it does), each text of a list,
 * each true or false of a dictionary. What is NULL is not asked for; all: it may be anything. */
typedef struct pickle_taker {
    thaw_status (*tensor)(void *context, const pickle_tensor *tensor);
    thaw_status (*storage)(void *context, const char *type, const char *key, int64_t count);
    thaw_status (*text)(void *context, const char *text);
    thaw_status (*flag)(void *context, const char *name, bool value);
    void *context;
} pickle_taker;
/* Reads the pickle that begins at byte *at, which becomes the one behind it. `name` is what messages call the bytes. */
THAW_NODISCARD thaw_status weights_unpickle(const char *name, const uint8_t *bytes, size_t size,
                                            size_t *at, const pickle_taker *taker);
/* It begins and ends in its storage. */
bool pickle_tensor_fits(const pickle_tensor *tensor);

#endif
