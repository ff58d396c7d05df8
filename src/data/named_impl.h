/* What sources say of their rows in words: see named.c. An importer that names rows adds each of them, finishes, and the steps of the
 * import take classes, splits, slices and clusters from here. */
#ifndef THAW_DATA_NAMED_IMPL_H
#define THAW_DATA_NAMED_IMPL_H

#include "data/import_impl.h"

/* What a source says of one row; text of the caller. */
typedef struct thaw_named_row {
    const char *const *labels; /* the class; or a field of each label column */
    int64_t label_count;
    const char *split;   /* NULL or "": in none */
    const char *slices;  /* names with ; between them; NULL or "": in none */
    const char *cluster; /* NULL when the source has no clusters */
} thaw_named_row;

/* What the sources of a job are to say: its task, and of labels in one column what stands between them. */
THAW_NODISCARD thaw_status thaw_named_start(thaw_job *job);
/* Adds a row; `where` ("pictures.csv:12") begins messages. THAW_ERR_INPUT: no label, a name that cannot stand in a file, a label or
 * cluster that is not UTF-8 or has control characters, a label that is not 0 or 1, a number that float32 cannot hold, too many names. */
THAW_NODISCARD thaw_status thaw_named_add(thaw_named *named, const char *where,
                                          const thaw_named_row *row);
/* After the last row: classes in the order of their names' bytes. */
THAW_NODISCARD thaw_status thaw_named_finish(thaw_named *named);
void thaw_named_clear(thaw_named *named);

/* Source labels or targets, and clusters of all job->N rows, which are the rows of job->named. THAW_ERR_INPUT names a source without
 * clusters, or without splits, where others have them; labels of several that are all one. */
THAW_NODISCARD thaw_status thaw_job_take_named(thaw_job *job);
/* Of several labels and of numbers (named_targets.c): what a row's fields say; and targets of all rows. */
THAW_NODISCARD thaw_status thaw_named_add_targets(thaw_named *named, const char *where,
                                                  const thaw_named_row *row);
THAW_NODISCARD thaw_status thaw_job_take_named_targets(thaw_job *job);
THAW_NODISCARD thaw_status thaw_named_word(thaw_named *named, const char *where, const char *label,
                                           int64_t *out);
/* Adds a row and what it belongs to, in room that doubles. */
THAW_NODISCARD thaw_status thaw_members_add(thaw_member **list, int64_t *count, int64_t *room,
                                            int64_t row, int64_t of);

/* Members of a named slice to job->mask. */
void thaw_job_named_mask(thaw_job *job, int64_t slice);

#endif
