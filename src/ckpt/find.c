#include "thaw/ckpt.h"

#include <string.h>

#include "ckpt/ckpt_impl.h"

static thaw_status take(const char *directory, const thaw_ckpt_record *record, thaw_ckpt_found *out)
{
    thaw_str path = {0};
    thaw_ckpt_path(directory, record->step, &path);
    bool fits = thaw_copy(out->path, sizeof out->path, thaw_str_c(&path));
    thaw_str_clear(&path);
    THAW_CHECK(fits, THAW_ERR_RESOURCE, "the path of %s is too long", directory);
    out->found = true;
    out->best = record->best;
    out->step = record->step;
    return THAW_OK;
}

/* From the newest to the oldest; what is refused is said, not counted as an error. */
static thaw_status find(const char *directory, bool best_only, thaw_ckpt_found *out)
{
    thaw_ckpt_list list;
    THAW_TRY(thaw_ckpt_scan(directory, &list));
    thaw_status status = THAW_OK;
    for (int64_t i = list.count - 1; i >= 0 && !out->found && status == THAW_OK; i--) {
        const thaw_ckpt_record *r = &list.items[i];
        if (best_only && !r->best)
            continue;
        if (thaw_ckpt_verify(directory, r) == THAW_OK) {
            status = take(directory, r, out);
        } else {
            out->damaged++;
            THAW_LOG_ALL(THAW_WARN, "the checkpoint of step %lld is not used: %s",
                         (long long)r->step, thaw_error_last()->message);
        }
    }
    thaw_ckpt_clear(&list);
    return status;
}

static thaw_status missing(const char *file, const char *directory, const thaw_ckpt_list *list)
{
    THAW_CHECK(list->count > 0, THAW_ERR_INPUT, "%s is not there, nor is any checkpoint in %s",
               file, directory);
    return THAW_FAIL(THAW_ERR_INPUT,
                     "%s is not there; %s has %lld, the oldest of step %lld, the "
                     "newest of step %lld",
                     file, directory, (long long)list->count, (long long)list->items[0].step,
                     (long long)list->items[list->count - 1].step);
}

static thaw_status find_at(const char *file, thaw_ckpt_found *out)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash == NULL ? file : slash + 1;
    thaw_str directory = {0};
    thaw_ckpt_list list = {0};
    int64_t step;
    thaw_status status;
    thaw_str_add_bytes(&directory, slash == NULL ? "." : file,
                       slash == NULL ? 1 : (size_t)(name - file));
    THAW_CHECK_TO(thaw_ckpt_parse_name(name, &step), THAW_ERR_USAGE,
                  "%s is no checkpoint: those are named by their steps, like "
                  "step-000000000120.h5",
                  file);
    THAW_TRY_TO(thaw_ckpt_scan(thaw_str_c(&directory), &list));
    const thaw_ckpt_record *record = thaw_ckpt_find(&list, step);
    if (record == NULL)
        status = missing(file, thaw_str_c(&directory), &list);
    else
        status = thaw_ckpt_verify(thaw_str_c(&directory), record);
    if (status == THAW_OK)
        status = take(thaw_str_c(&directory), record, out);
done:
    thaw_ckpt_clear(&list);
    thaw_str_clear(&directory);
    return status;
}

/* What rank 0 found becomes everybody's. */
static thaw_status share(thaw_comm *comm, thaw_status status, thaw_ckpt_found *out)
{
    status = thaw_agree(comm, status);
    if (status == THAW_OK)
        thaw_bcast(comm, 0, out, (int64_t)sizeof *out);
    return status;
}

static thaw_status find_together(thaw_comm *comm, const char *directory, bool best_only,
                                 thaw_ckpt_found *out)
{
    *out = (thaw_ckpt_found){0};
    return share(comm, thaw_comm_rank(comm) == 0 ? find(directory, best_only, out) : THAW_OK, out);
}

thaw_status thaw_ckpt_at(thaw_comm *comm, const char *file, thaw_ckpt_found *out)
{
    *out = (thaw_ckpt_found){0};
    return share(comm, thaw_comm_rank(comm) == 0 ? find_at(file, out) : THAW_OK, out);
}

thaw_status thaw_ckpt_latest(thaw_comm *comm, const char *directory, thaw_ckpt_found *out)
{
    return find_together(comm, directory, false, out);
}

thaw_status thaw_ckpt_best(thaw_comm *comm, const char *directory, thaw_ckpt_found *out)
{
    return find_together(comm, directory, true, out);
}
