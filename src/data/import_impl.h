/* The steps of an import, in order: open the sources, map classes, draw splits, name slices, read what was drawn, write. */
#ifndef THAW_DATA_IMPORT_IMPL_H
#define THAW_DATA_IMPORT_IMPL_H

#include "data/array_impl.h"
#include "data/words_impl.h"
#include "thaw/data.h"

/* NULL-ended names of thaw_import_formats, where a static table can take their address. */
extern const char *const thaw_import_format_names[];

/* Whether thaw_import_set has set this option, be it to what is usual. */
bool thaw_import_given(const thaw_import *import, const char *name);

/* One pair of files. Rows count through all sources: row r of a source is global row first + r. */
typedef struct thaw_source {
    thaw_array x;
    int64_t first, count;
} thaw_source;

/* What sources say in words of each of their rows (named_impl.h); empty when they do not. */
typedef struct thaw_row {
    int64_t label, split, cluster; /* numbers of words; -1: none */
} thaw_row;
typedef struct thaw_member {
    int64_t row, slice;
} thaw_member;
typedef struct thaw_named {
    thaw_task task;
    thaw_words classes, splits, slices,
        clusters;   /* classes: of a task of several labels, the labels */
    thaw_row *rows; /* (count) */
    int64_t count, row_room;
    thaw_member *members; /* (member_count) rows of slices */
    int64_t member_count, member_room;
    /* Of tasks other than a classification: */
    const char *separator;
    bool
        listed; /* a column has the names of the labels that hold; else columns have one value each */
    thaw_strings columns; /* names of the label columns */
    thaw_member *holds;   /* (hold_count) listed: labels of rows, as slices */
    int64_t hold_count, hold_room;
    float *values; /* (count, columns.count) else */
    int64_t value_room;
} thaw_named;

/* What all steps share. Global rows are N; a row that no class keeps has label -1. */
typedef struct thaw_job {
    const thaw_import *options;
    const thaw_importer *kind;
    thaw_source *sources;
    int64_t source_count;
    int64_t N;
    thaw_named named;
    bool *dropped;          /* (N) rows that cannot be read, or NULL: no split takes them */
    thaw_dtype dtype;       /* stored: THAW_U8, THAW_F32, or THAW_I32 of texts */
    thaw_shape sample;      /* stored, without N: (C, H, W) or (D); H = W = 0: not known yet */
    thaw_text_info text;    /* of texts: how they became tokens */
    int64_t *source_labels; /* (N) as in the files */
    int32_t *labels;        /* (N) new labels, or -1; all 0 in a task that is no classification */
    int32_t *clusters;      /* (N), or NULL */
    char **class_names;     /* (K) */
    int64_t *class_sources; /* (strata) source label of each class */
    thaw_task task;
    int64_t K;
    int64_t strata;           /* splits draw from each: classes, or all samples together */
    float *targets;           /* (N, K) of a task that is no classification */
    struct thaw_draw *splits; /* (split_count) */
    int64_t split_count;
    int16_t *split_of; /* (N) split, or -1 */
    uint8_t *mask;     /* (N), one slice at a time */
} thaw_job;

/* A split as asked for, and what it got. */
typedef enum thaw_amount {
    THAW_AMOUNT_EACH,    /* of every class */
    THAW_AMOUNT_PERCENT, /* of every class */
    THAW_AMOUNT_TOTAL,
    THAW_AMOUNT_REST
} thaw_amount;
typedef struct thaw_draw {
    char *name;
    thaw_amount amount;
    int64_t count; /* EACH, TOTAL */
    double percent;
    int64_t source; /* 1.., or 0: all */
    int64_t named;  /* 1 + number of a split that the sources name, or 0: all */
    int64_t drawn;
} thaw_draw;

/* Each step fills its part of the job; thaw_job_clear frees whatever there is. */
THAW_NODISCARD thaw_status thaw_job_open(thaw_job *job);
THAW_NODISCARD thaw_status thaw_job_classes(thaw_job *job);
THAW_NODISCARD thaw_status thaw_job_splits(thaw_job *job);
/* The end of thaw_job_splits, also when job->dropped has grown: every other row keeps its place in the order of the draw. */
THAW_NODISCARD thaw_status thaw_job_draw(thaw_job *job);
THAW_NODISCARD thaw_status thaw_job_warn_of_clusters(const thaw_job *job);
/* Makes everything of the file that is not x, and throws it away: what is wrong with it shows before samples are read. */
THAW_NODISCARD thaw_status thaw_job_rehearse(thaw_job *job);
THAW_NODISCARD thaw_status thaw_job_write(thaw_job *job);
void thaw_job_clear(thaw_job *job);

/* What an importer hands over in a task that is no classification, in place of source_labels: K columns, named as options say, else as
 * `usual` does (K, or NULL: "label 0"), then every value of every row. THAW_ERR_USAGE: names; THAW_ERR_INPUT: a value that is no label, not
 * finite, naming file and row. */
THAW_NODISCARD thaw_status thaw_job_new_targets(thaw_job *job, int64_t K,
                                                const thaw_strings *usual);
THAW_NODISCARD thaw_status thaw_job_set_target(thaw_job *job, const char *file, int64_t row,
                                               int64_t k, double value);
/* Both, from an array of a source's rows. */
THAW_NODISCARD thaw_status thaw_job_read_targets(thaw_job *job, int64_t source, const char *file);

/* The form of --splits and of --slices, before any source is opened. */
THAW_NODISCARD thaw_status thaw_splits_check(const thaw_strings *splits);
THAW_NODISCARD thaw_status thaw_slices_check(const thaw_strings *slices);
/* Checks every expression against the classes and sources, without reading mask files. */
THAW_NODISCARD thaw_status thaw_job_check_slices(const thaw_job *job);
/* Name of slice expression i (allocated), and its members to job->mask. */
THAW_NODISCARD thaw_status thaw_job_slice(thaw_job *job, int64_t i, char **name);

/* A name in the file: letters, digits, - _ . and no more than 100 of them, no dot in front. THAW_ERR_USAGE names `what`. */
bool thaw_name_is_good(const char *name);
THAW_NODISCARD thaw_status thaw_import_check_name(const char *what, const char *name);

/* UTF-8 without control characters (bytes below 0x20, and 0x7f). */
bool thaw_text_is_plain(const char *text);

/* Sums for mean and standard deviation per channel: exact for bytes, shifted double sums for floats. */
typedef struct thaw_moments {
    int64_t C, count; /* count of values per channel */
    double *shift, *sum, *square;
} thaw_moments;
THAW_NODISCARD thaw_status thaw_moments_init(thaw_moments *m, int64_t C);
void thaw_moments_add(thaw_moments *m, thaw_dtype dtype, int64_t n, int64_t values, const void *x);
/* In units of x; std is 0 for a channel that never varies, up to rounding. */
void thaw_moments_get(const thaw_moments *m, double *mean, double *std);
void thaw_moments_clear(thaw_moments *m);

#endif
