/* A dataset in memory: what opening fills from a file, and what an import fills before it writes one. */
#ifndef THAW_DATA_DATASET_IMPL_H
#define THAW_DATA_DATASET_IMPL_H

#include "data/ahead_impl.h"
#include "thaw/data.h"
#include "thaw/h5.h"

#define THAW_DATASET_FORMAT  "thaw-dataset"
#define THAW_DATASET_VERSION 1
/* More classes than this get no slices of their own: a verdict on each would mean nothing. */
#define THAW_CLASS_SLICES_MOST 100
/* Attributes of HDF5 end at 64 KiB; longer lists are root datasets of the same name. */
#define THAW_ATTRIBUTE_ITEMS_MOST 1000

typedef struct thaw_split {
    char *name;
    int64_t N;
    void *x;       /* (N, stored sample), NULL: read by rows */
    bool borrowed; /* x is somebody else's */
    thaw_digest x_digest;
    int32_t *y;       /* (N) of a classification, or NULL */
    float *targets;   /* (N, K) of the other tasks, or NULL; neither: unlabelled */
    int32_t *cluster; /* (N), or NULL */
    int64_t *id;      /* (N), or NULL */
    uint8_t **masks;  /* (slice_count) arrays of N */
    int64_t *members; /* (slice_count) */
} thaw_split;

struct thaw_dataset {
    char *path;
    thaw_h5 *file; /* open while a split is read by rows */
    thaw_dataset_options options;
    thaw_dtype dtype;
    thaw_shape stored; /* of one sample, as in the file: (C, H, W) or (D) */
    thaw_shape shape;  /* (C, H, W) */
    int64_t values;
    thaw_task task;
    thaw_strings classes; /* names of the K classes, labels or targets */
    thaw_split *splits;
    int64_t split_count;
    thaw_strings slices;       /* names; the first stored_slices are in the file */
    thaw_strings descriptions; /* as many */
    int64_t stored_slices;
    int64_t *shown; /* (shown_count) indices of the slices that callers see; NULL: all */
    int64_t shown_count;
    char *origin, *licence, *created_by;
    thaw_text_info text;          /* of dtype THAW_I32 */
    double *mean, *std;           /* (C) */
    double *file_mean, *file_std; /* (C) as in the file: part of the digest; NULL when not there */
    double *scale, *offset;       /* (C) normalised = stored * scale + offset */
    void *rows;                   /* staging for reading by rows */
    int64_t rows_most;            /* samples that fit there */
    thaw_ahead *ahead;            /* NULL: nothing is read ahead */
    bool digest_recorded;
    thaw_digest digest;
};

/* (D) -> (D, 1, 1); (C, H, W) as it is. */
thaw_shape thaw_dataset_shape_of(const thaw_shape *stored);
/* "split/x" and the like, into a buffer that fits every name we accept. */
#define THAW_NAME_BYTES 512
void thaw_dataset_name(char out[THAW_NAME_BYTES], const thaw_split *split, const char *part);

/* Steps of opening; each leaves ds good for thaw_dataset_free. */
THAW_NODISCARD thaw_status thaw_dataset_read_root(thaw_dataset *ds);
THAW_NODISCARD thaw_status thaw_dataset_read_split(thaw_dataset *ds, thaw_split *split);
/* After the splits: they tell the number of channels. */
THAW_NODISCARD thaw_status thaw_dataset_read_normalisation(thaw_dataset *ds);
THAW_NODISCARD thaw_status thaw_dataset_read_slices(thaw_dataset *ds);
/* Whole numbers in [least, most] to out (N); NULL when the file has none. */
THAW_NODISCARD thaw_status thaw_dataset_read_small_column(thaw_dataset *ds, const thaw_split *split,
                                                          const char *part, int64_t least,
                                                          int64_t most, int32_t **out);
/* dataset_labels.c */
THAW_NODISCARD thaw_status thaw_dataset_read_labels(thaw_dataset *ds, thaw_split *split);
THAW_NODISCARD thaw_status thaw_dataset_check_labels(const thaw_dataset *ds);
THAW_NODISCARD thaw_status thaw_dataset_add_label_slices(thaw_dataset *ds);
void thaw_dataset_fill_label_slices(const thaw_dataset *ds, thaw_split *split);

THAW_NODISCARD thaw_status thaw_dataset_check(const thaw_dataset *ds);
THAW_NODISCARD thaw_status thaw_dataset_check_digest(thaw_dataset *ds);

/* Adds an empty slice to the lists of ds. */
THAW_NODISCARD thaw_status thaw_dataset_add_slice(thaw_dataset *ds, const char *name,
                                                  const char *description);
/* By name, so that the order in which splits or options name them does not show. */
void thaw_dataset_sort_slices(thaw_dataset *ds);
/* Allocates masks and members of every split for the slices that there are. */
THAW_NODISCARD thaw_status thaw_dataset_make_masks(thaw_dataset *ds);
void thaw_dataset_count_members(thaw_dataset *ds);

THAW_NODISCARD thaw_status thaw_strings_add(thaw_strings *list, const char *text);
void thaw_strings_clear(thaw_strings *list);

/* The first sample of n that has a value no sample may have, or -1: a NaN or infinity, an id that the vocabulary has not, a type of token other
 * than 0 and 1. And what to call that. */
int64_t thaw_dataset_bad_sample(const thaw_dataset *ds, int64_t n, const void *x);
const char *thaw_dataset_bad_value(const thaw_dataset *ds);
/* Digest and check of x, from memory or by rows. */
THAW_NODISCARD thaw_status thaw_dataset_scan_x(const thaw_dataset *ds, const thaw_split *split,
                                               thaw_digest *out);
/* Digest of everything, with the splits' x_digest for x. */
thaw_digest thaw_dataset_content_digest(const thaw_dataset *ds);

#endif
