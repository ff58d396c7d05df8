/* A foreign array, read by rows: what every importer offers and all that the import knows of a file format.
 *
 * An importer is a const thaw_importer named thaw_importer_<kind>, in src/data/<kind>.c, and a line in kinds.def. */
#ifndef THAW_DATA_ARRAY_IMPL_H
#define THAW_DATA_ARRAY_IMPL_H

#include "thaw/data.h"

/* What an array is for: it settles which dataset a name without ":DATASET" means. */
typedef enum thaw_role { THAW_ROLE_X, THAW_ROLE_Y, THAW_ROLE_CLUSTER, THAW_ROLE_MASK } thaw_role;

typedef struct thaw_array thaw_array;
struct thaw_job;

typedef struct thaw_importer {
    const char *name;
    bool (*recognise)(const uint8_t *head,
                      size_t bytes); /* by the first bytes of the file; NULL: cannot be told */
    bool is_text;                    /* its samples are tokens */
    bool labels_inside;              /* without a labels file, the images' file has them */
    /* Fills dtype, shape (with N first, at least one dimension) and state. THAW_ERR_INPUT with file and offset. */
    thaw_status (*open)(thaw_array *array, const char *name, thaw_role role);
    /* Rows [first, first + count) in dtype to out. */
    thaw_status (*rows)(thaw_array *array, int64_t first, int64_t count, void *out);
    void (*close)(thaw_array *array);
    /* The next three are for sources that say in words what their rows are, and NULL for all others; then open is never called, and may be
     * NULL. list opens all of options->images as job->sources, and fills N, dtype, named and what is known of sample; it decodes nothing,
     * so that all the options can be looked at first. */
    thaw_status (*list)(struct thaw_job *job);
    /* Reads the rows that job->split_of takes, and no others; fills sample and the shape of each x. When some of them cannot be read and may
     * be left out, they go to job->dropped and splits are drawn again (thaw_job_draw), until all that are taken have been read. */
    thaw_status (*read)(struct thaw_job *job);
    /* What options mean to this format, before any source is opened. THAW_ERR_USAGE. */
    thaw_status (*check)(const struct thaw_import *options);
    bool (*recognise_path)(const char *path); /* what is no file, or NULL */
} thaw_importer;

/* name is what messages call it. */
struct thaw_array {
    const thaw_importer *kind;
    char *name;
    thaw_dtype dtype;
    thaw_shape shape;
    void *state;
};

#define THAW_KIND(kind, doc) extern const thaw_importer thaw_importer_##kind;
#include "data/kinds.def"
#undef THAW_KIND

/* The importer of a format index; 0 (auto) looks into the file. THAW_ERR_INPUT when it cannot tell. */
THAW_NODISCARD thaw_status thaw_importer_find(int format, const char *file,
                                              const thaw_importer **out);

THAW_NODISCARD thaw_status thaw_array_open(const thaw_importer *kind, const char *name,
                                           thaw_role role, thaw_array *out);
void thaw_array_close(thaw_array *array);
/* Values a row: the product of all dimensions but the first. */
int64_t thaw_array_row_values(const thaw_array *array);
/* A whole array of whole numbers, one a row ((N) or (N, 1)), to values (N). THAW_ERR_INPUT names the row of a value that is
 * not a whole number. */
THAW_NODISCARD thaw_status thaw_array_integers(thaw_array *array, int64_t *values);
/* Element i of raw values. */
double thaw_array_value(thaw_dtype dtype, const void *data, int64_t i);
/* One raw row as float32. A number that float32 cannot hold, NaN or infinity is THAW_ERR_INPUT with its row. */
THAW_NODISCARD thaw_status thaw_array_pixels(const thaw_array *array, int64_t row, const void *raw,
                                             float *out);

#endif
