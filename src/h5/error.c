#define _GNU_SOURCE /* memfd_create */
#include "thaw/h5.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "h5/h5_impl.h"

void thaw_h5_silence(void)
{
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* The innermost entry of HDF5's error stack says what happened; the others only say who had called it. */
static herr_t innermost(unsigned n, const H5E_error2_t *error, void *context)
{
    char *text = context;
    if (n == 0 && error->desc != NULL)
        (void)thaw_copy(text, 512, error->desc);
    return 0;
}

/* Messages about system calls hold time, addresses and sizes around the one part that helps. */
static const char *helpful_part(char *text)
{
    static const char mark[] = "error message = '";
    char *start = strstr(text, mark);
    if (start == NULL)
        return text[0] != 0 ? text : "HDF5 gives no reason";
    start += sizeof mark - 1;
    char *end = strchr(start, '\'');
    if (end != NULL)
        *end = 0;
    return start;
}

thaw_status thaw_h5_failed(const thaw_h5 *file, const char *source, int line, const char *doing,
                           const char *object)
{
    char text[512] = "";
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, text);
    (void)H5Eclear2(H5E_DEFAULT);
    const char *reason = helpful_part(text);
    bool locked = strstr(text, "lock file") != NULL;
    return thaw_fail(file->temporary != NULL ? THAW_ERR_RESOURCE : THAW_ERR_INPUT, source, line,
                     "%s: cannot %s%s%s%s: %s%s", file->path, doing, object != NULL ? " '" : "",
                     object != NULL ? object : "", object != NULL ? "'" : "", reason,
                     locked ? "; where file locking does not work, set HDF5_USE_FILE_LOCKING=FALSE"
                            : "");
}

/* HDF5 goes on in memory: a disk without any room would make closing fail, too. */
static void detach(const thaw_h5 *file)
{
    void *handle = NULL;
    if (file->id < 0 || H5Fget_vfd_handle(file->id, H5P_DEFAULT, &handle) < 0)
        return;
    const int lost = memfd_create("thaw-lost", MFD_CLOEXEC);
    if (lost < 0)
        return;
    (void)dup2(lost, *(int *)handle); /* of HDF5's default driver it is the descriptor */
    (void)close(lost);
}

void thaw_h5_break(thaw_h5 *file)
{
    THAW_H5_ALONE;
    if (file->temporary == NULL)
        return;
    file->broken = true;
    /* It is about to be removed: should this fail, nothing is worse than before. */
    int ignored = truncate(file->temporary, 0);
    (void)ignored;
    detach(file);
}

thaw_status thaw_h5_shut(thaw_h5 *file, const char *name, hid_t *dataset)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    if (file->temporary != NULL && *dataset >= 0 && H5Dflush(*dataset) < 0 && !file->broken) {
        status = THAW_H5_FAIL(file, "write", name);
        thaw_h5_break(file);
    }
    if (!thaw_h5_release(dataset) && status == THAW_OK && !file->broken) {
        status = THAW_H5_FAIL(file, "write", name);
        thaw_h5_break(file);
    }
    return status;
}

bool thaw_h5_release(hid_t *id)
{
    bool good = true;
    if (*id >= 0)
        good = H5Idec_ref(*id) >= 0;
    *id = THAW_H5_NONE;
    return good;
}

static bool part_is_bad(const char *part, size_t length)
{
    return length == 0 || (length == 1 && part[0] == '.') ||
           (length == 2 && part[0] == '.' && part[1] == '.');
}

thaw_status thaw_h5_check_name(const thaw_h5 *file, const char *name)
{
    const char *part = name;
    for (;;) {
        size_t length = strcspn(part, "/");
        THAW_CHECK(!part_is_bad(part, length), THAW_ERR_FAIL,
                   "%s: '%s' cannot be the name of a dataset or group", file->path, name);
        if (part[length] == 0)
            return THAW_OK;
        part += length + 1;
    }
}
