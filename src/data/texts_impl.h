/* Tables of texts: what the importers csv and tsv share. */
#ifndef THAW_DATA_TEXTS_IMPL_H
#define THAW_DATA_TEXTS_IMPL_H

#include "data/named_impl.h"

/* check, list, read, rows and close of an importer. A table is read twice: for its labels, and for the texts that splits take, which become
 * tokens and are kept without their padding, so memory holds no more than the tables do. THAW_ERR_USAGE: no vocabulary; THAW_ERR_INPUT:
 * vocabulary, a column that is not there, a row, with its line. */
THAW_NODISCARD thaw_status thaw_texts_check(const thaw_import *o);
THAW_NODISCARD thaw_status thaw_texts_list(thaw_job *job, char separator);
THAW_NODISCARD thaw_status thaw_texts_read(thaw_job *job, char separator);
THAW_NODISCARD thaw_status thaw_texts_rows(thaw_array *array, int64_t first, int64_t count,
                                           void *out);
void thaw_texts_close(thaw_array *array);

#endif
