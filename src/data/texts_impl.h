/* Tables of texts: what the importers csv and tsv share. */
#ifndef THAW_DATA_TEXTS_IMPL_H
#define THAW_DATA_TEXTS_IMPL_H

#include "data/named_impl.h"

/* open_named, rows and close of an importer. Texts become tokens when they are opened, and are kept without their padding, so memory holds
 * about as much as the tables do. THAW_ERR_USAGE: options that pictures have, no vocabulary; THAW_ERR_INPUT: vocabulary, a column that is
 * not there, a row, with its line. */
THAW_NODISCARD thaw_status thaw_texts_open(thaw_job *job, char separator);
THAW_NODISCARD thaw_status thaw_texts_rows(thaw_array *array, int64_t first, int64_t count,
                                           void *out);
void thaw_texts_close(thaw_array *array);

#endif
