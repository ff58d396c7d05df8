#include "data/texts_impl.h"

static thaw_status open_tsv(thaw_job *job)
{
    return thaw_texts_open(job, '\t');
}

const thaw_importer thaw_importer_tsv = {.name = "tsv",
                                         .is_text = true,
                                         .open_named = open_tsv,
                                         .rows = thaw_texts_rows,
                                         .close = thaw_texts_close};
