#include "data/texts_impl.h"

static thaw_status open_csv(thaw_job *job)
{
    return thaw_texts_open(job, ',');
}

const thaw_importer thaw_importer_csv = {.name = "csv",
                                         .is_text = true,
                                         .open_named = open_csv,
                                         .rows = thaw_texts_rows,
                                         .close = thaw_texts_close};
