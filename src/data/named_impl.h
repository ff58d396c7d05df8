/* What sources say of their rows in words: see named.c. An importer that names rows adds each of them, finishes, and the steps of the
 * import take classes, splits, slices and clusters from here. */
#ifndef THAW_DATA_NAMED_IMPL_H
#define THAW_DATA_NAMED_IMPL_H

#include "data/import_impl.h"

/* What a source says of one row; text of the caller. */
typedef struct thaw_named_row {
    const char *label;   /* the class */
    const char *split;   /* NULL or "": in none */
    const char *slices;  /* names with ; between them; NULL or "": in none */
    const char *cluster; /* NULL when the source has no clusters */
} thaw_named_row;

/* Adds a row; `where` ("pictures.csv:12") begins messages. THAW_ERR_INPUT: no label, a name that cannot stand in a file, a label or
 * cluster that is not UTF-8 or has control characters, too many names. */
THAW_NODISCARD thaw_status thaw_named_add(thaw_named *named, const char *where,
                                          const thaw_named_row *row);
/* After the last row: classes in the order of their names' bytes. */
THAW_NODISCARD thaw_status thaw_named_finish(thaw_named *named);
void thaw_named_clear(thaw_named *named);

/* Source labels and clusters of all job->N rows, which are the rows of job->named. THAW_ERR_INPUT names a source without clusters, or
 * without splits, where others have them. */
THAW_NODISCARD thaw_status thaw_job_take_named(thaw_job *job);
/* Members of a named slice to job->mask. */
void thaw_job_named_mask(thaw_job *job, int64_t slice);

#endif
