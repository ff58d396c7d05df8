#ifdef __linux__
#define _GNU_SOURCE /* sync_file_range */
#endif
#include "thaw/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void thaw_path_join(thaw_str *out, const char *directory, const char *name)
{
    thaw_str_reset(out);
    thaw_str_add(out, directory);
    if (out->length > 0 && !thaw_ends_with(directory, "/"))
        thaw_str_add(out, "/");
    thaw_str_add(out, name);
}

static thaw_status read_all(int fd, const char *path, thaw_str *out)
{
    char block[65536];
    for (;;) {
        ssize_t got = read(fd, block, sizeof block);
        if (got < 0 && errno == EINTR)
            continue;
        THAW_CHECK(got >= 0, THAW_ERR_INPUT, "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            return THAW_OK;
        thaw_str_add_bytes(out, block, (size_t)got);
    }
}

thaw_status thaw_file_read(const char *path, thaw_str *out)
{
    thaw_str_reset(out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    THAW_CHECK(fd >= 0, THAW_ERR_INPUT, "cannot open %s: %s", path, strerror(errno));
    thaw_status status = read_all(fd, path, out);
    close(fd);
    return status;
}

/* O_NONBLOCK: a pipe that nobody writes to must not hold up its refusal. */
thaw_status thaw_file_read_within(const char *path, int64_t most, thaw_str *out)
{
    struct stat about;
    thaw_status status = THAW_OK;
    thaw_str_reset(out);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    THAW_CHECK(fd >= 0, THAW_ERR_INPUT, "cannot open %s: %s", path, strerror(errno));
    THAW_CHECK_TO(fstat(fd, &about) == 0, THAW_ERR_INPUT, "cannot read %s: %s", path,
                  strerror(errno));
    THAW_CHECK_TO(S_ISREG(about.st_mode), THAW_ERR_INPUT,
                  "%s is no regular file; a pipe, a device or a directory is not read", path);
    THAW_CHECK_TO((int64_t)about.st_size <= most, THAW_ERR_INPUT,
                  "%s has %lld bytes; at most %lld are read", path, (long long)about.st_size,
                  (long long)most);
    status = read_all(fd, path, out);
done:
    close(fd);
    return status;
}

thaw_status thaw_file_digest(const char *path, thaw_digest *out, int64_t *bytes)
{
    thaw_status status = THAW_OK;
    thaw_hasher *hasher = NULL;
    char block[65536];
    int64_t total = 0;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    THAW_CHECK(fd >= 0, THAW_ERR_INPUT, "cannot open %s: %s", path, strerror(errno));
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    while ((got = read(fd, block, sizeof block)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        THAW_CHECK_TO(got > 0, THAW_ERR_INPUT, "cannot read %s: %s", path, strerror(errno));
        thaw_hasher_add(hasher, block, (size_t)got);
        thaw_beat("reading a file");
        total += got;
    }
    *out = thaw_hasher_get(hasher);
    if (bytes != NULL)
        *bytes = total;
done:
    thaw_hasher_free(&hasher);
    close(fd);
    return status;
}

static thaw_status write_all(int fd, const char *path, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t put = write(fd, at, bytes);
        if (put < 0 && errno == EINTR)
            continue;
        THAW_CHECK(put >= 0, THAW_ERR_RESOURCE, "cannot write %s: %s", path, strerror(errno));
        at += put;
        bytes -= (size_t)put;
    }
    return THAW_OK;
}

/* What waits for a slow disk gets on with each piece; one call for all of it would look like a hang to a watchdog. Zero, or errno. */
static int sync_pieces(int fd)
{
#ifdef __linux__
    const off_t piece = 64 << 20;
    const unsigned how =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return 0;
    for (off_t at = 0; at + piece < info.st_size; at += piece) {
        /* An error that is told here is not told again. */
        if (sync_file_range(fd, at, piece, how) != 0)
            return errno == EIO || errno == ENOSPC || errno == EDQUOT ? errno : 0;
        thaw_beat("making a file durable");
    }
#else
    (void)fd;
#endif
    return 0;
}

static thaw_status sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    THAW_CHECK(fd >= 0, THAW_ERR_RESOURCE, "cannot open %s to make it durable: %s", path,
               strerror(errno));
    /* Some file systems cannot sync a directory and say EINVAL; the rename is as durable as it gets there. */
    int failed = sync_pieces(fd);
    if (failed == 0 && fsync(fd) != 0 && errno != EINVAL)
        failed = errno;
    close(fd);
    THAW_CHECK(failed == 0, THAW_ERR_RESOURCE, "cannot make %s durable: %s", path,
               strerror(failed));
    return THAW_OK;
}

void thaw_file_start_sync(const char *path)
{
#ifdef __linux__
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        close(fd);
    }
#else
    (void)path;
#endif
}

static thaw_status sync_directory_of(const char *path)
{
    thaw_str directory = {0};
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        thaw_str_add(&directory, ".");
    else
        thaw_str_add_bytes(&directory, path, slash == path ? 1 : (size_t)(slash - path));
    thaw_status status = sync_path(thaw_str_c(&directory), O_RDONLY | O_DIRECTORY);
    thaw_str_clear(&directory);
    return status;
}

thaw_status thaw_file_commit(const char *path, const char *to)
{
    THAW_TRY(sync_path(path, O_RDONLY));
    THAW_CHECK(rename(path, to) == 0, THAW_ERR_RESOURCE, "cannot rename %s to %s: %s", path, to,
               strerror(errno));
    return sync_directory_of(to);
}

thaw_status thaw_file_write(const char *path, const void *data, size_t bytes)
{
    thaw_status status = THAW_OK;
    thaw_str temporary = {0};
    thaw_str_printf(&temporary, "%s.tmp", path);
    int fd = open(thaw_str_c(&temporary), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    THAW_CHECK_TO(fd >= 0, THAW_ERR_RESOURCE, "cannot create %s: %s", thaw_str_c(&temporary),
                  strerror(errno));
    status = write_all(fd, path, data, bytes);
    /* Network file systems report a full disk only here. */
    if (close(fd) != 0 && status == THAW_OK)
        status = THAW_FAIL(THAW_ERR_RESOURCE, "cannot write %s: %s", path, strerror(errno));
    if (status == THAW_OK)
        status = thaw_file_commit(thaw_str_c(&temporary), path);
    if (status != THAW_OK)
        unlink(thaw_str_c(&temporary));
done:
    thaw_str_clear(&temporary);
    return status;
}

thaw_status thaw_file_append(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    THAW_CHECK(fd >= 0, THAW_ERR_RESOURCE, "cannot open %s to append: %s", path, strerror(errno));
    ssize_t put;
    do
        put = write(fd, data, bytes);
    while (put < 0 && errno == EINTR);
    int failed = put < 0 ? errno : put != (ssize_t)bytes ? ENOSPC : 0;
    if (close(fd) != 0 && failed == 0)
        failed = errno;
    THAW_CHECK(failed == 0, THAW_ERR_RESOURCE, "cannot append to %s: %s", path, strerror(failed));
    return THAW_OK;
}
