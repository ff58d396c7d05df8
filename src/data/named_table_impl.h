/* The columns of a table that say what its rows are: labels, split, slices, cluster. */
#ifndef THAW_DATA_NAMED_TABLE_IMPL_H
#define THAW_DATA_NAMED_TABLE_IMPL_H

#include "data/csv_impl.h"
#include "data/named_impl.h"

typedef struct thaw_table {
    int64_t *labels; /* (label_count) columns */
    int64_t label_count;
    const char **fields;            /* (label_count) of the row that is added */
    int64_t split, slices, cluster; /* columns; -1: there is none */
} thaw_table;

/* Finds the columns that options name, else those with the usual names. THAW_ERR_INPUT: one is not there. To be closed when THAW_OK. */
THAW_NODISCARD thaw_status thaw_table_open(thaw_table *table, const thaw_job *job,
                                           const thaw_csv *csv);
void thaw_table_close(thaw_table *table);
/* The row that csv is at, as thaw_named_add. */
THAW_NODISCARD thaw_status thaw_table_add(const thaw_table *table, const thaw_csv *csv,
                                          const char *where, thaw_named *named);

#endif
