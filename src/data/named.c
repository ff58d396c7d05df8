/* Sources that name things themselves, row by row: folders and tables say class, split, slices and cluster in words. */
#include "data/named_impl.h"

#include <string.h>

#include "data/dataset_impl.h"

#define SPLITS_MOST 1000
#define SLICES_MOST 1000

static thaw_status grow_rows(thaw_named *named)
{
    const int64_t room = named->row_room == 0 ? 1024 : 2 * named->row_room;
    if (named->count < named->row_room)
        return THAW_OK;
    THAW_TRY(thaw_realloc(&named->rows, named->count, room, sizeof *named->rows));
    named->row_room = room;
    return THAW_OK;
}

thaw_status thaw_members_add(thaw_member **list, int64_t *count, int64_t *room, int64_t row,
                             int64_t of)
{
    if (*count == *room) {
        const int64_t more = *room == 0 ? 1024 : 2 * *room;
        THAW_TRY(thaw_realloc(list, *count, more, sizeof **list));
        *room = more;
    }
    (*list)[(*count)++] = (thaw_member){row, of};
    return THAW_OK;
}

static thaw_status add_member(thaw_named *named, const char *where, const char *name)
{
    int64_t slice = 0;
    THAW_CHECK(thaw_name_is_good(name), THAW_ERR_INPUT,
               "%s: the slice \"%.200s\": use letters, digits, - _ . and at most 100 of them",
               where, name);
    THAW_TRY(thaw_words_add(&named->slices, name, &slice));
    THAW_CHECK(slice < SLICES_MOST, THAW_ERR_INPUT,
               "%s: more than %d slices; is this the right column?", where, SLICES_MOST);
    return thaw_members_add(&named->members, &named->member_count, &named->member_room,
                            named->count, slice);
}

/* "night;blurred": empty pieces mean nothing. */
static thaw_status add_members(thaw_named *named, const char *where, const char *text)
{
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    while (*text) {
        const size_t length = strcspn(text, ";");
        thaw_str_reset(&name);
        thaw_str_add_bytes(&name, text, length);
        if (length > 0)
            THAW_TRY_TO(add_member(named, where, thaw_str_c(&name)));
        text += length + (text[length] == ';');
    }
done:
    thaw_str_clear(&name);
    return status;
}

static thaw_status check_plain(const char *where, const char *what, const char *text)
{
    THAW_CHECK(thaw_text_is_plain(text), THAW_ERR_INPUT,
               "%s: the %s is not UTF-8, or has a newline or another control character", where,
               what);
    return THAW_OK;
}

/* A class, or one of several labels. */
thaw_status thaw_named_word(thaw_named *named, const char *where, const char *label, int64_t *out)
{
    THAW_CHECK(*label && strlen(label) <= 200, THAW_ERR_INPUT,
               "%s: the label \"%.200s\" must have 1 to 200 bytes", where, label);
    THAW_TRY(check_plain(where, "label", label));
    return thaw_words_add(&named->classes, label, out);
}

thaw_status thaw_named_add(thaw_named *named, const char *where, const thaw_named_row *row)
{
    THAW_TRY(grow_rows(named));
    thaw_row *out = &named->rows[named->count];
    *out = (thaw_row){-1, -1, -1};
    if (named->task == THAW_TASK_CLASSIFICATION)
        THAW_TRY(thaw_named_word(named, where, row->labels[0], &out->label));
    else
        THAW_TRY(thaw_named_add_targets(named, where, row));
    if (row->split && *row->split) {
        THAW_CHECK(thaw_name_is_good(row->split), THAW_ERR_INPUT,
                   "%s: the split \"%.200s\": use letters, digits, - _ . and at most 100 of them",
                   where, row->split);
        THAW_TRY(thaw_words_add(&named->splits, row->split, &out->split));
        THAW_CHECK(out->split < SPLITS_MOST, THAW_ERR_INPUT,
                   "%s: more than %d splits; is this the right column?", where, SPLITS_MOST);
    }
    if (row->slices)
        THAW_TRY(add_members(named, where, row->slices));
    if (row->cluster) {
        THAW_CHECK(*row->cluster, THAW_ERR_INPUT, "%s: no cluster, but other rows have one", where);
        THAW_TRY(check_plain(where, "cluster", row->cluster));
        THAW_TRY(thaw_words_add(&named->clusters, row->cluster, &out->cluster));
    }
    named->count++;
    return THAW_OK;
}

thaw_status thaw_named_start(thaw_job *job)
{
    const thaw_import *o = job->options;
    thaw_named *named = &job->named;
    named->task = job->task;
    named->separator = o->separator && *o->separator ? o->separator : ";";
    named->listed = job->task == THAW_TASK_MULTI_LABEL && o->label.count <= 1;
    for (int64_t i = 0; i < o->label.count || i == 0; i++)
        THAW_TRY(thaw_strings_add(&named->columns, o->label.count ? o->label.items[i] : "label"));
    return THAW_OK;
}

thaw_status thaw_named_finish(thaw_named *named)
{
    int64_t *order = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&order, named->classes.list.count, sizeof *order));
    THAW_TRY_TO(thaw_words_sort(&named->classes, order));
    for (int64_t i = 0; i < named->count && named->task == THAW_TASK_CLASSIFICATION; i++)
        named->rows[i].label = order[named->rows[i].label];
    for (int64_t i = 0; i < named->hold_count; i++)
        named->holds[i].slice = order[named->holds[i].slice];
done:
    thaw_free(&order);
    return status;
}

void thaw_named_clear(thaw_named *named)
{
    thaw_words_clear(&named->classes);
    thaw_words_clear(&named->splits);
    thaw_words_clear(&named->slices);
    thaw_words_clear(&named->clusters);
    thaw_free(&named->rows);
    thaw_free(&named->members);
    for (int64_t i = 0; i < named->columns.count; i++)
        thaw_free(&named->columns.items[i]);
    thaw_free(&named->columns.items);
    thaw_free(&named->holds);
    thaw_free(&named->values);
    *named = (thaw_named){0};
}

/* What one source says of its rows and another does not would put all rows of the other together, or leave them out. */
static thaw_status check_sources(const thaw_job *job)
{
    const thaw_named *named = &job->named;
    int64_t nowhere = 0;
    for (int64_t i = 0; i < job->source_count; i++) {
        const thaw_source *source = &job->sources[i];
        const thaw_row *rows = named->rows + source->first;
        int64_t without = 0;
        for (int64_t n = 0; n < source->count; n++)
            without += rows[n].split < 0;
        THAW_CHECK(named->clusters.list.count == 0 || rows[0].cluster >= 0, THAW_ERR_INPUT,
                   "%s: names no clusters, but other sources do; name them in all or in none",
                   source->x.name);
        THAW_CHECK(named->splits.list.count == 0 || without < source->count, THAW_ERR_INPUT,
                   "%s: names no splits, but other sources do; name them in all or in none",
                   source->x.name);
        nowhere += without;
    }
    if (named->splits.list.count > 0 && nowhere > 0)
        THAW_LOG(THAW_INFO, "%lld of %lld rows are in no split and are left out",
                 (long long)nowhere, (long long)job->N);
    return THAW_OK;
}

thaw_status thaw_job_take_named(thaw_job *job)
{
    const thaw_named *named = &job->named;
    const bool clustered = named->clusters.list.count > 0;
    THAW_ASSERT(job->N == named->count);
    THAW_TRY(check_sources(job));
    if (clustered)
        THAW_TRY(thaw_alloc(&job->clusters, job->N, sizeof *job->clusters));
    for (int64_t i = 0; i < job->N && clustered; i++)
        job->clusters[i] = (int32_t)named->rows[i].cluster;
    if (job->task != THAW_TASK_CLASSIFICATION)
        return thaw_job_take_named_targets(job);
    THAW_TRY(thaw_alloc(&job->source_labels, job->N, sizeof *job->source_labels));
    for (int64_t i = 0; i < job->N; i++)
        job->source_labels[i] = named->rows[i].label;
    return THAW_OK;
}

void thaw_job_named_mask(thaw_job *job, int64_t slice)
{
    memset(job->mask, 0, (size_t)job->N);
    for (int64_t i = 0; i < job->named.member_count; i++)
        if (job->named.members[i].slice == slice)
            job->mask[job->named.members[i].row] = 1;
}
