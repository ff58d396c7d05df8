#include "thaw/ckpt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ckpt/ckpt_impl.h"
#include "thaw/h5.h"

static thaw_status remove_leftovers(const char *directory)
{
    thaw_str path = {0};
    DIR *dir = opendir(directory);
    THAW_CHECK(dir != NULL, THAW_ERR_RESOURCE, "cannot list %s: %s", directory, strerror(errno));
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (!thaw_ends_with(e->d_name, ".tmp"))
            continue;
        thaw_path_join(&path, directory, e->d_name);
        if (unlink(thaw_str_c(&path)) == 0)
            THAW_LOG(THAW_INFO, "removed %s, left by a run that was killed", thaw_str_c(&path));
    }
    closedir(dir);
    thaw_str_clear(&path);
    return THAW_OK;
}

/* Better now than at the first checkpoint, when an hour of work hangs on it. */
static thaw_status try_to_write(const char *directory)
{
    thaw_str path = {0};
    thaw_path_join(&path, directory, ".probe.tmp");
    int fd = open(thaw_str_c(&path), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    thaw_status status = THAW_OK;
    if (fd < 0)
        status = THAW_FAIL(THAW_ERR_RESOURCE, "cannot write in %s: %s", directory, strerror(errno));
    else
        close(fd);
    unlink(thaw_str_c(&path));
    thaw_str_clear(&path);
    return status;
}

static thaw_status prepare(const char *directory)
{
    THAW_TRY(thaw_mkdirs(directory));
    THAW_TRY(try_to_write(directory));
    return remove_leftovers(directory);
}

thaw_status thaw_ckpt_prepare(thaw_comm *comm, const char *directory)
{
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0)
        status = prepare(directory);
    return thaw_agree(comm, status);
}

/* The ways in which a writer can end, stay or be slow in the middle of a file; context: bool, whether it is slow. */
static thaw_status fail_on_request(void *context, int64_t done, int64_t total)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    bool *slow = context;
    const bool middle = done == (total + 1) / 2;
    if (middle && thaw_fault("kill_ckpt"))
        (void)raise(SIGKILL);
    if (done == 1)
        *slow = thaw_fault("slow_ckpt");
    if (*slow)
        (void)nanosleep(&moment, NULL);
    if (middle && thaw_fault("hang_ckpt")) {
        while (true)
            (void)pause();
    }
    if (done == total && thaw_fault("ckpt_write"))
        return THAW_FAIL(THAW_ERR_RESOURCE, "fault injected before a checkpoint is complete");
    return THAW_OK;
}

static thaw_status write_file(const char *path, const thaw_state *state,
                              const thaw_state *attributes, const thaw_values *values,
                              thaw_digest *digest)
{
    bool slow = false;
    const thaw_h5_write what = {.state = state,
                                .attributes = attributes,
                                .values = values->give == NULL ? NULL : values,
                                .each = fail_on_request,
                                .context = &slow};
    return thaw_h5_save(path, &what, digest);
}

/* A file that is about to be replaced must not be judged by what the manifest says of the old one. */
static thaw_status forget(const char *directory, thaw_ckpt_list *list, int64_t step)
{
    thaw_ckpt_record *old = thaw_ckpt_find(list, step);
    if (old == NULL || !old->recorded)
        return THAW_OK;
    old->recorded = old->best = false;
    return thaw_ckpt_write_manifest(directory, list);
}

static thaw_status record(const char *directory, const char *path, int64_t step, bool best,
                          thaw_ckpt_list *list)
{
    thaw_ckpt_record new = {.step = step, .recorded = true, .best = best};
    THAW_TRY(thaw_file_digest(path, &new.digest, &new.bytes));
    for (int64_t i = 0; i < list->count && best; i++)
        list->items[i].best = false;
    thaw_ckpt_record *old = thaw_ckpt_find(list, step);
    if (old != NULL)
        *old = new;
    else
        THAW_TRY(thaw_ckpt_add(list, &new));
    return thaw_ckpt_write_manifest(directory, list);
}

/* Files first, the manifest last: a line without a file is ignored, a file without a line only has to prove itself. A run that
 * went back to an older step leaves newer ones; they are none of this run's past. */
static thaw_status retain(const char *directory, int64_t step, int64_t keep, thaw_ckpt_list *list)
{
    thaw_str path = {0};
    thaw_status status = THAW_OK;
    int64_t kept = 0, left = 0;
    for (int64_t i = list->count - 1; i >= 0; i--) {
        thaw_ckpt_record *r = &list->items[i];
        bool stays = r->step <= step && (r->best || kept < keep);
        kept += r->step <= step;
        if (stays)
            continue;
        thaw_ckpt_path(directory, r->step, &path);
        if (unlink(thaw_str_c(&path)) != 0 && errno != ENOENT && status == THAW_OK)
            status = THAW_FAIL(THAW_ERR_RESOURCE, "cannot remove the old checkpoint %s: %s",
                               thaw_str_c(&path), strerror(errno));
        r->step = -1;
    }
    for (int64_t i = 0; i < list->count; i++) {
        if (list->items[i].step >= 0)
            list->items[left++] = list->items[i];
    }
    bool fewer = left < list->count;
    list->count = left;
    thaw_str_clear(&path);
    return status == THAW_OK && fewer ? thaw_ckpt_write_manifest(directory, list) : status;
}

thaw_status thaw_ckpt_save_here(const char *directory, int64_t step, const thaw_state *state,
                                const thaw_state *attributes, const thaw_ckpt_options *options,
                                const thaw_values *values)
{
    thaw_status status = THAW_OK;
    thaw_ckpt_list list = {0};
    thaw_str path = {0};
    THAW_CHECK_TO(step >= 0 && options->keep >= 1, THAW_ERR_FAIL,
                  "a checkpoint of step %lld, %lld to keep", (long long)step,
                  (long long)options->keep);
    thaw_ckpt_path(directory, step, &path);
    THAW_TRY_TO(thaw_ckpt_scan(directory, &list));
    THAW_TRY_TO(forget(directory, &list, step));
    THAW_TRY_TO(write_file(thaw_str_c(&path), state, attributes, values, NULL));
    THAW_TRY_TO(record(directory, thaw_str_c(&path), step, options->best, &list));
    THAW_TRY_TO(retain(directory, step, options->keep, &list));
done:
    thaw_str_clear(&path);
    thaw_ckpt_clear(&list);
    return status;
}

thaw_status thaw_ckpt_save(thaw_comm *comm, const char *directory, int64_t step,
                           const thaw_state *state, const thaw_state *attributes,
                           const thaw_ckpt_options *options)
{
    return thaw_ckpt_save_later(NULL, comm, directory, step, state, attributes, options);
}

thaw_status thaw_ckpt_write(thaw_comm *comm, const char *path, const thaw_state *state,
                            const thaw_state *attributes, const thaw_ckpt_parts *parts,
                            thaw_digest *digest)
{
    thaw_digest written = {0};
    thaw_ckpt_gather gather;
    thaw_status status = thaw_ckpt_gather_open(comm, state, parts, &gather);
    const thaw_values values = thaw_ckpt_gather_values(&gather);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = write_file(path, state, attributes, &values, &written);
    thaw_ckpt_gather_close(&gather);
    status = thaw_agree(comm, status);
    if (status != THAW_OK)
        return status;
    thaw_bcast(comm, 0, &written, (int64_t)sizeof written);
    if (digest != NULL)
        *digest = written;
    return THAW_OK;
}
