/* Tables with several labels or numbers a row. */
#include "data/named_impl.h"

#include <math.h>
#include <string.h>

/* "toxic;rude": an empty field has no label. */
static thaw_status add_listed(thaw_named *named, const char *where, const char *text)
{
    const size_t width = strlen(named->separator);
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    for (bool more = *text != '\0'; more;) {
        const char *end = strstr(text, named->separator);
        const size_t length = end ? (size_t)(end - text) : strlen(text);
        int64_t label = 0;
        thaw_str_reset(&name);
        thaw_str_add_bytes(&name, text, length);
        THAW_TRY_TO(thaw_named_word(named, where, thaw_str_c(&name), &label));
        THAW_TRY_TO(thaw_members_add(&named->holds, &named->hold_count, &named->hold_room,
                                     named->count, label));
        more = end != NULL;
        text += length + width;
    }
done:
    thaw_str_clear(&name);
    return status;
}

static thaw_status read_value(const thaw_named *named, const char *where, int64_t k,
                              const char *text, float *out)
{
    double value = 0;
    const bool number = thaw_parse_double(text, &value);
    if (named->task == THAW_TASK_MULTI_LABEL)
        THAW_CHECK(number && (value == 0 || value == 1), THAW_ERR_INPUT,
                   "%s: \"%.200s\" in the column \"%s\"; it must be 0 or 1", where, text,
                   named->columns.items[k]);
    else
        THAW_CHECK(number && isfinite((float)value), THAW_ERR_INPUT,
                   "%s: \"%.200s\" in the column \"%s\"; it must be a number that is finite as "
                   "float32",
                   where, text, named->columns.items[k]);
    *out = (float)value;
    return THAW_OK;
}

thaw_status thaw_named_add_targets(thaw_named *named, const char *where, const thaw_named_row *row)
{
    const int64_t K = named->columns.count;
    if (named->listed)
        return add_listed(named, where, row->labels[0]);
    THAW_ASSERT(row->label_count == K);
    if (named->count == named->value_room) {
        const int64_t room = named->value_room == 0 ? 1024 : 2 * named->value_room;
        THAW_TRY(
            thaw_realloc(&named->values, named->value_room * K, room * K, sizeof *named->values));
        named->value_room = room;
    }
    for (int64_t k = 0; k < K; k++)
        THAW_TRY(read_value(named, where, k, row->labels[k], &named->values[named->count * K + k]));
    return THAW_OK;
}

/* A column of 0 and 1 is no list of labels called 0 and 1. */
static thaw_status check_listed(const thaw_job *job)
{
    const thaw_strings *labels = &job->named.classes.list;
    const char *column = job->named.columns.items[0];
    bool flags = true;
    THAW_CHECK(labels->count > 0, THAW_ERR_INPUT, "%s: the column \"%s\" names no label in any row",
               job->sources[0].x.name, column);
    for (int64_t k = 0; k < labels->count; k++)
        flags = flags && (strcmp(labels->items[k], "0") == 0 || strcmp(labels->items[k], "1") == 0);
    THAW_CHECK(
        !flags, THAW_ERR_INPUT,
        "%s: the column \"%s\" has only 0 and 1, where one column has the names of the labels "
        "that hold, with \"%s\" between them; name all columns, --label A,B, or take one as "
        "classes, --task classification",
        job->sources[0].x.name, column, job->named.separator);
    return THAW_OK;
}

thaw_status thaw_job_take_named_targets(thaw_job *job)
{
    const thaw_named *named = &job->named;
    const int64_t K = named->columns.count;
    if (!named->listed) {
        THAW_TRY(thaw_job_new_targets(job, K, &named->columns));
        memcpy(job->targets, named->values, (size_t)(job->N * K) * sizeof *job->targets);
        return THAW_OK;
    }
    THAW_TRY(check_listed(job));
    THAW_TRY(thaw_job_new_targets(job, named->classes.list.count, &named->classes.list));
    for (int64_t i = 0; i < named->hold_count; i++)
        job->targets[named->holds[i].row * job->K + named->holds[i].slice] = 1;
    return THAW_OK;
}
