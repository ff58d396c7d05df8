/* An open file, how HDF5's failures become ours, and the small pieces that all of module h5 shares. */
#ifndef THAW_H5_H5_IMPL_H
#define THAW_H5_H5_IMPL_H

#include "thaw/h5.h"

#include <hdf5.h>

/* Datasets stay open between calls on rows; the least recently opened makes room. */
#define THAW_H5_KEPT 8

typedef struct thaw_h5_kept {
    char *name;
    hid_t dataset;
} thaw_h5_kept;

struct thaw_h5 {
    hid_t id;
    char *path;      /* where the file is, or will be after commit */
    char *temporary; /* where it is being written; NULL when reading */
    bool broken;     /* a write failed: HDF5 may report success from here on, so commit must not */
    int64_t bytes;   /* size when it was opened for reading */
    thaw_h5_kept kept[THAW_H5_KEPT];
    int next_kept;
};

/* No identifier; what HDF5 returns when it fails, too. */
#define THAW_H5_NONE ((hid_t)-1)

/* Serial HDF5 is not for two threads at once, on whatever files: a function that calls it begins with this line, and is alone in it until it
 * returns. Long work is done in many such functions, so that another thread waits for a piece, not for a file. */
#define THAW_H5_ALONE                                                                              \
    const int thaw_h5_entered __attribute__((cleanup(thaw_h5_leave), unused)) = thaw_h5_enter()
int thaw_h5_enter(void);
void thaw_h5_leave(const int *entered);

/* Turns HDF5's printing off. */
void thaw_h5_silence(void);
/* "<path>: cannot <doing> '<object>': <innermost message of HDF5>"; object may be NULL. THAW_ERR_RESOURCE for a file that
 * is being written, else THAW_ERR_INPUT. */
thaw_status thaw_h5_failed(const thaw_h5 *file, const char *source, int line, const char *doing,
                           const char *object);
#define THAW_H5_FAIL(file, doing, object)                                                          \
    thaw_h5_failed((file), __FILE__, __LINE__, (doing), (object))

/* Names a user gave us become paths in a file: no empty part, no "." or "..". THAW_ERR_FAIL. */
THAW_NODISCARD thaw_status thaw_h5_check_name(const thaw_h5 *file, const char *name);

/* A new list of rules of this kind for what is created: without its time. THAW_H5_NONE when HDF5 cannot. */
hid_t thaw_h5_timeless(hid_t kind);
/* Checks a name and makes the groups that lead to it. */
THAW_NODISCARD thaw_status thaw_h5_make_way(thaw_h5 *file, const char *name);

/* The type in the file (little-endian) and in memory; not to be closed. */
hid_t thaw_h5_file_type(thaw_dtype dtype);
hid_t thaw_h5_memory_type(thaw_dtype dtype);
/* The smallest of our types that holds every value of the stored one. THAW_ERR_INPUT. */
THAW_NODISCARD thaw_status thaw_h5_dtype_of(const thaw_h5 *file, const char *object, hid_t type,
                                            thaw_dtype *out);
THAW_NODISCARD thaw_status thaw_h5_shape_of(const thaw_h5 *file, const char *object, hid_t space,
                                            thaw_shape *out);
/* A new dataspace; THAW_H5_NONE when HDF5 cannot. */
hid_t thaw_h5_space(const thaw_shape *shape);
/* How datasets are laid out: chunked with Fletcher32 where that is possible. rows 0: about 1 MiB a chunk; THAW_H5_UNCHUNKED: contiguous, in a
 * place that is known from the start, for values that have a digest of ours. */
#define THAW_H5_UNCHUNKED (-1)
hid_t thaw_h5_creation(const thaw_shape *shape, size_t element, int64_t rows);
/* Makes a dataset and closes it again or hands it out (dataset may be NULL). */
THAW_NODISCARD thaw_status thaw_h5_make_dataset(thaw_h5 *file, const char *name, thaw_dtype dtype,
                                                const thaw_shape *shape, int64_t rows_per_chunk,
                                                hid_t *dataset);
/* Closes what is kept open. */
THAW_NODISCARD thaw_status thaw_h5_drop_kept(thaw_h5 *file);
/* Closes the file that was written, with everything in it on its way to the disk. */
THAW_NODISCARD thaw_status thaw_h5_seal(thaw_h5 *file);

/* After a failed write, with its message taken: the file is lost, so its space is given back at once, and what HDF5 still holds goes to
 * memory instead. Then closing succeeds; where closing fails, HDF5 1.10 crashes when the process ends. */
void thaw_h5_break(thaw_h5 *file);
/* Flushes a dataset that was written and closes it: a full disk may show here for the first time. */
THAW_NODISCARD thaw_status thaw_h5_shut(thaw_h5 *file, const char *name, hid_t *dataset);

/* Closes any kind of identifier; takes THAW_H5_NONE. */
bool thaw_h5_release(hid_t *id);

/* Attributes of an open object; `label` is for messages. values are in memory as `dtype`. */
THAW_NODISCARD thaw_status thaw_h5_put_numbers(thaw_h5 *file, hid_t object, const char *label,
                                               thaw_dtype dtype, const thaw_shape *shape,
                                               const void *values);
/* Fixed-length UTF-8; count < 0: one scalar. */
THAW_NODISCARD thaw_status thaw_h5_put_texts(thaw_h5 *file, hid_t object, const char *label,
                                             const char *const *texts, int64_t count);
/* Strings of an attribute or a dataset, read by one of the two functions. */
typedef herr_t thaw_h5_reader(hid_t id, hid_t memory_type, void *out);
THAW_NODISCARD thaw_status thaw_h5_strings_of(const thaw_h5 *file, const char *object, hid_t id,
                                              hid_t type, hid_t space, thaw_h5_reader *reader,
                                              thaw_strings *out);
herr_t thaw_h5_read_attribute(hid_t id, hid_t memory_type, void *out);
herr_t thaw_h5_read_dataset(hid_t id, hid_t memory_type, void *out);

/* Paths of all datasets of the file that start with prefix, sorted by name. */
THAW_NODISCARD thaw_status thaw_h5_all_datasets(const thaw_h5 *file, const char *prefix,
                                                thaw_strings *out);
THAW_NODISCARD thaw_status thaw_h5_strings_add(thaw_strings *list, int64_t *capacity,
                                               const char *text);

/* The digest of one named tensor: that of a state which holds nothing else. */
THAW_NODISCARD thaw_status thaw_h5_entry_digest(const thaw_entry *entry, thaw_digest *out);
/* All root attributes but our own two. */
THAW_NODISCARD thaw_status thaw_h5_read_attributes(const thaw_h5 *file, thaw_state *out);
THAW_NODISCARD thaw_status thaw_h5_write_attributes(thaw_h5 *file, const thaw_state *attributes);
/* Rows [first, first + n) of an open dataset, of values that are `dtype` in memory. */
typedef struct thaw_h5_rows {
    int64_t first, n;
    thaw_dtype dtype;
} thaw_h5_rows;
THAW_NODISCARD thaw_status thaw_h5_put_rows(thaw_h5 *file, const char *name, hid_t dataset,
                                            const thaw_h5_rows *rows, const void *data);
/* Where the values of a dataset lie, which are there as in memory; false: they do not. */
typedef struct thaw_h5_place {
    int fd; /* HDF5's */
    int64_t offset;
} thaw_h5_place;
bool thaw_h5_find_place(const thaw_h5 *file, hid_t dataset, thaw_dtype dtype, thaw_h5_place *out);
/* Bytes [at, at + bytes) of them. */
THAW_NODISCARD thaw_status thaw_h5_put_bytes(const thaw_h5 *file, const char *name,
                                             const thaw_h5_place *place, int64_t at, size_t bytes,
                                             const void *data);
THAW_NODISCARD thaw_status thaw_h5_get_bytes(const thaw_h5 *file, const char *name,
                                             const thaw_h5_place *place, int64_t at, size_t bytes,
                                             void *out);

#define THAW_H5_DIGEST            "digest"
#define THAW_H5_ATTRIBUTES_DIGEST "attributes_digest"
#define THAW_H5_ENTRY_DIGEST      "xxh3"

#endif
