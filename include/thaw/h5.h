/* thaw/h5.h - tensors and attributes in HDF5 files that h5py reads, written so that a file is whole or not there.
 *
 * Two levels: a whole thaw_state in one file (checkpoints, backbones), and an open file with datasets by rows (the data
 * module and its importers). One writer a file; nothing here communicates.
 *
 * Names are stored verbatim; '/' in a name means groups, so "optim/momentum/fc.weight" is h5py's f["optim/momentum/fc.weight"].
 * Files are in the format of HDF5 1.10 (2016), whose metadata have checksums. Element types are little-endian, texts UTF-8 of
 * fixed length (h5py gives bytes). HDF5's own error printing is turned off in the process by the first call here;
 * its innermost message becomes part of ours. Nothing in a file says when it was written: the same calls give the same bytes. Several threads may work on files of their own: the library, which is not for two threads
 * at once, is entered by one at a time, and nobody holds it for longer than a call or a piece of a state takes. Failing reads are THAW_ERR_INPUT, failing writes THAW_ERR_RESOURCE. */
#ifndef THAW_H5_H
#define THAW_H5_H

#include "thaw/base.h"
#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "1.10.8": of the library that runs. */
const char *thaw_h5_library(void);

/* ---- A whole state ---------------------------------------------------------------------------------------- */

/* Writes every entry of `state` as a dataset (contiguous), in name order, each with its
 * XXH3-128 as attribute "xxh3", and every entry of `attributes` (NULL: none) as an attribute of the root: numbers as they
 * are, 1-D uint8 entries as text. The root also gets "digest" = thaw_state_digest(state) and "attributes_digest".
 * Entries without data are asked of `values` (NULL: all have data) when it is their turn, so that they need never be in memory together;
 * a tensor without elements too, which then gives nothing.
 * Order: path.tmp, flush, close, reopen and verify every dataset, fsync, rename. After an error the old file is
 * untouched and path.tmp is gone. *digest may be NULL. `each` (may be NULL) is called after each dataset, and when it
 * fails the file is given up; until it has returned for the last one, `attributes` may still get entries. */
typedef thaw_status thaw_h5_each(void *context, int64_t done, int64_t total);
typedef struct thaw_h5_write {
    const thaw_state *state;
    const thaw_state *attributes;
    const thaw_values *values;
    thaw_h5_each *each;
    void *context;
} thaw_h5_write;
THAW_NODISCARD thaw_status thaw_h5_save(const char *path, const thaw_h5_write *what,
                                        thaw_digest *digest);

/* Reads the entries whose names start with `prefix` (NULL: all) into *state, which must be {0} and owns them, in name order; and
 * all root attributes into *attributes (either may be NULL). Each dataset is checked against its "xxh3", and all of them against
 * "digest" when prefix is NULL. The error names file, dataset and what is wrong; *state is empty then. */
THAW_NODISCARD thaw_status thaw_h5_load(const char *path, const char *prefix, thaw_state *state,
                                        thaw_state *attributes);
/* Shapes without data: entries with data NULL (not owned). */
THAW_NODISCARD thaw_status thaw_h5_load_shapes(const char *path, const char *prefix,
                                               thaw_state *state, thaw_state *attributes);

/* ---- An open file ----------------------------------------------------------------------------------------- */

typedef struct thaw_h5 thaw_h5;

THAW_NODISCARD thaw_status thaw_h5_open(const char *path,
                                        thaw_h5 **out); /* for reading; THAW_ERR_INPUT */
/* For writing, into path.tmp; nothing is at `path` until commit. */
THAW_NODISCARD thaw_status thaw_h5_create(const char *path, thaw_h5 **out);
/* Closes, makes durable and renames a file being written; *file is freed in any case. */
THAW_NODISCARD thaw_status thaw_h5_commit(thaw_h5 **file);
/* Closes; a file being written is thrown away. Takes NULL. */
void thaw_h5_close(thaw_h5 **file);
const char *thaw_h5_path(const thaw_h5 *file);

/* ---- Reading ---------------------------------------------------------------------------------------------- */

typedef struct thaw_h5_info {
    bool text;        /* strings, of fixed or variable length; dtype means nothing then */
    thaw_dtype dtype; /* the smallest of ours that holds every value of the stored type */
    thaw_shape shape;
    int64_t bytes_stored;
} thaw_h5_info;

bool thaw_h5_exists(const thaw_h5 *file, const char *name); /* dataset or group */
bool thaw_h5_is_dataset(const thaw_h5 *file, const char *name);
/* Names (last component) of the datasets, or of the groups, directly under a group ("/": root), in name order. Free with
 * thaw_h5_strings_free. */
THAW_NODISCARD thaw_status thaw_h5_list_datasets(const thaw_h5 *file, const char *group,
                                                 thaw_strings *out);
THAW_NODISCARD thaw_status thaw_h5_list_groups(const thaw_h5 *file, const char *group,
                                               thaw_strings *out);
THAW_NODISCARD thaw_status thaw_h5_info_of(const thaw_h5 *file, const char *name,
                                           thaw_h5_info *out);
/* Rows [first, first + n) of the first dimension (a scalar is one row) into caller memory as `dtype`. Integers convert to any
 * type that was asked for (out of range: clamped), floats to floats only. Datasets stay open inside, so a call per batch is
 * cheap. */
THAW_NODISCARD thaw_status thaw_h5_read_rows(thaw_h5 *file, const char *name, int64_t first,
                                             int64_t n, thaw_dtype dtype, void *out);
/* Adds a dataset of thaw_h5_save whole to *out, which owns it, checked against its digest. THAW_ERR_INPUT. */
THAW_NODISCARD thaw_status thaw_h5_read_entry(thaw_h5 *file, const char *name, thaw_state *out);
/* A dataset of thaw_h5_save whole into out (the entry's bytes), checked against its digest. THAW_ERR_INPUT names file and entry when it is
 * missing, damaged, or of another type or shape. */
THAW_NODISCARD thaw_status thaw_h5_read_into(thaw_h5 *file, const thaw_entry *entry, void *out);
/* The digest of a dataset's values, read in pieces. THAW_ERR_INPUT when the one that thaw_h5_save left with it is another. */
THAW_NODISCARD thaw_status thaw_h5_read_digest(thaw_h5 *file, const char *name, thaw_digest *out);
/* A 0-D or 1-D dataset of strings. */
THAW_NODISCARD thaw_status thaw_h5_read_strings(thaw_h5 *file, const char *name, thaw_strings *out);
void thaw_h5_strings_free(thaw_strings *strings);

/* Attributes of a dataset or group ("/": root). get_text replaces *out. */
bool thaw_h5_has_attribute(const thaw_h5 *file, const char *object, const char *name);
THAW_NODISCARD thaw_status thaw_h5_get_text(const thaw_h5 *file, const char *object,
                                            const char *name, thaw_str *out);
THAW_NODISCARD thaw_status thaw_h5_get_int(const thaw_h5 *file, const char *object,
                                           const char *name, int64_t *out);
THAW_NODISCARD thaw_status thaw_h5_get_double(const thaw_h5 *file, const char *object,
                                              const char *name, double *out);
THAW_NODISCARD thaw_status thaw_h5_get_strings(const thaw_h5 *file, const char *object,
                                               const char *name, thaw_strings *out);
/* 0-D or 1-D numbers; *out by thaw_alloc. */
THAW_NODISCARD thaw_status thaw_h5_get_doubles(const thaw_h5 *file, const char *object,
                                               const char *name, double **out, int64_t *count);

/* ---- Writing ---------------------------------------------------------------------------------------------- */

/* A dataset of this shape; groups on the way are made. rows_per_chunk 0: about 1 MiB a chunk. With Fletcher32. */
THAW_NODISCARD thaw_status thaw_h5_make(thaw_h5 *file, const char *name, thaw_dtype dtype,
                                        const thaw_shape *shape, int64_t rows_per_chunk);
THAW_NODISCARD thaw_status thaw_h5_make_group(thaw_h5 *file, const char *name);
/* data: n rows of `dtype`, converted to the stored type. */
THAW_NODISCARD thaw_status thaw_h5_write_rows(thaw_h5 *file, const char *name, int64_t first,
                                              int64_t n, thaw_dtype dtype, const void *data);
/* Makes and fills a 1-D dataset of fixed-length UTF-8 strings. */
THAW_NODISCARD thaw_status thaw_h5_put_strings(thaw_h5 *file, const char *name,
                                               const thaw_strings *strings);
THAW_NODISCARD thaw_status thaw_h5_set_text(thaw_h5 *file, const char *object, const char *name,
                                            const char *value);
THAW_NODISCARD thaw_status thaw_h5_set_int(thaw_h5 *file, const char *object, const char *name,
                                           int64_t value);
THAW_NODISCARD thaw_status thaw_h5_set_double(thaw_h5 *file, const char *object, const char *name,
                                              double value);
THAW_NODISCARD thaw_status thaw_h5_set_doubles(thaw_h5 *file, const char *object, const char *name,
                                               const double *values, int64_t count);
THAW_NODISCARD thaw_status thaw_h5_set_strings(thaw_h5 *file, const char *object, const char *name,
                                               const thaw_strings *values);

#ifdef __cplusplus
}
#endif
#endif
