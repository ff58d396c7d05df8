#include "thaw/ckpt.h"

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

static thaw_status find_together(thaw_comm *comm, const char *directory, bool best_only,
                                 thaw_ckpt_found *out)
{
    thaw_status status = THAW_OK;
    *out = (thaw_ckpt_found){0};
    if (thaw_comm_rank(comm) == 0)
        status = find(directory, best_only, out);
    status = thaw_agree(comm, status);
    if (status == THAW_OK)
        thaw_bcast(comm, 0, out, (int64_t)sizeof *out);
    return status;
}

thaw_status thaw_ckpt_latest(thaw_comm *comm, const char *directory, thaw_ckpt_found *out)
{
    return find_together(comm, directory, false, out);
}

thaw_status thaw_ckpt_best(thaw_comm *comm, const char *directory, thaw_ckpt_found *out)
{
    return find_together(comm, directory, true, out);
}
