#include "data/texts_impl.h"

static thaw_status list_tsv(thaw_job *job)
{
    return thaw_texts_list(job, '\t');
}

static thaw_status read_tsv(thaw_job *job)
{
    return thaw_texts_read(job, '\t');
}

const thaw_importer thaw_importer_tsv = {.name = "tsv",
                                         .is_text = true,
                                         .check = thaw_texts_check,
                                         .list = list_tsv,
                                         .read = read_tsv,
                                         .rows = thaw_texts_rows,
                                         .close = thaw_texts_close};
