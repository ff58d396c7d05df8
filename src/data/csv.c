#include "data/texts_impl.h"

static thaw_status list_csv(thaw_job *job)
{
    return thaw_texts_list(job, ',');
}

static thaw_status read_csv(thaw_job *job)
{
    return thaw_texts_read(job, ',');
}

const thaw_importer thaw_importer_csv = {.name = "csv",
                                         .is_text = true,
                                         .check = thaw_texts_check,
                                         .list = list_csv,
                                         .read = read_csv,
                                         .rows = thaw_texts_rows,
                                         .close = thaw_texts_close};
