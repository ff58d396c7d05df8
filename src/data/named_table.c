/* The columns of a table that say what its rows are. */
#include "data/named_table_impl.h"

static thaw_status find_column(const thaw_csv *csv, const char *given, const char *usual,
                               int64_t *out)
{
    if (given && *given)
        return thaw_csv_need(csv, given, out);
    *out = thaw_csv_find(csv, usual);
    return THAW_OK;
}

thaw_status thaw_table_open(thaw_table *table, const thaw_job *job, const thaw_csv *csv)
{
    const thaw_import *o = job->options;
    const thaw_strings *labels = &job->named.columns;
    *table = (thaw_table){.label_count = labels->count};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&table->labels, labels->count, sizeof *table->labels));
    THAW_TRY_TO(thaw_alloc(&table->fields, labels->count, sizeof *table->fields));
    for (int64_t k = 0; k < labels->count; k++)
        THAW_TRY_TO(thaw_csv_need(csv, labels->items[k], &table->labels[k]));
    THAW_TRY_TO(find_column(csv, o->split, "split", &table->split));
    THAW_TRY_TO(find_column(csv, o->slice, "slices", &table->slices));
    THAW_TRY_TO(find_column(csv, o->cluster, "cluster", &table->cluster));
done:
    if (status != THAW_OK)
        thaw_table_close(table);
    return status;
}

void thaw_table_close(thaw_table *table)
{
    thaw_free(&table->labels);
    thaw_free(&table->fields);
}

static const char *field(const thaw_csv *csv, int64_t column)
{
    return column < 0 ? NULL : thaw_csv_get(csv, column);
}

thaw_status thaw_table_add(const thaw_table *table, const thaw_csv *csv, const char *where,
                           thaw_named *named)
{
    for (int64_t k = 0; k < table->label_count; k++)
        table->fields[k] = thaw_csv_get(csv, table->labels[k]);
    const thaw_named_row row = {.labels = table->fields,
                                .label_count = table->label_count,
                                .split = field(csv, table->split),
                                .slices = field(csv, table->slices),
                                .cluster = field(csv, table->cluster)};
    return thaw_named_add(named, where, &row);
}
