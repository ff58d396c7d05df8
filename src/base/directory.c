#include "thaw/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool thaw_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool thaw_path_is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static thaw_status make_one(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return THAW_OK;
    /* Another rank may have been quicker; a read-only parent that exists says EROFS before EEXIST. */
    int failed = errno;
    THAW_CHECK(thaw_path_is_dir(path), THAW_ERR_RESOURCE, "cannot create directory %s: %s", path,
               failed == EEXIST ? "a file of this name exists" : strerror(failed));
    return THAW_OK;
}

thaw_status thaw_mkdirs(const char *path)
{
    THAW_CHECK(path[0] != 0, THAW_ERR_RESOURCE, "cannot create a directory without a name");
    thaw_status status = THAW_OK;
    thaw_str parent = {0};
    for (size_t i = 1; path[i - 1] != 0 && status == THAW_OK; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        thaw_str_reset(&parent);
        thaw_str_add_bytes(&parent, path, i);
        status = make_one(thaw_str_c(&parent));
    }
    thaw_str_clear(&parent);
    return status;
}

/* The directory that a path is in: "." of a bare name, "/" of what is in the root. */
static void go_up(thaw_str *path)
{
    const char *slash = strrchr(thaw_str_c(path), '/');
    thaw_str above = {0};
    thaw_str_add_bytes(
        &above, slash == NULL ? "." : thaw_str_c(path),
        slash == NULL || slash == thaw_str_c(path) ? 1 : (size_t)(slash - thaw_str_c(path)));
    thaw_str_clear(path);
    *path = above;
}

thaw_status thaw_output_check(const char *path, bool makes)
{
    thaw_str directory = {0};
    thaw_status status;
    THAW_CHECK(!thaw_path_is_dir(path), THAW_ERR_RESOURCE,
               "cannot create %s: a directory of this name exists", path);
    thaw_str_add(&directory, path);
    do
        go_up(&directory);
    while (makes && !thaw_path_exists(thaw_str_c(&directory)) &&
           strcmp(thaw_str_c(&directory), ".") != 0);
    THAW_CHECK_TO(thaw_path_exists(thaw_str_c(&directory)), THAW_ERR_RESOURCE,
                  "cannot create %s: there is no directory %s", path, thaw_str_c(&directory));
    THAW_CHECK_TO(thaw_path_is_dir(thaw_str_c(&directory)), THAW_ERR_RESOURCE,
                  "%s: cannot create directory %s: a file of this name exists", path,
                  thaw_str_c(&directory));
    THAW_CHECK_TO(access(thaw_str_c(&directory), W_OK | X_OK) == 0, THAW_ERR_RESOURCE,
                  "cannot create %s: cannot write into %s: %s", path, thaw_str_c(&directory),
                  strerror(errno));
    status = THAW_OK;
done:
    thaw_str_clear(&directory);
    return status;
}

static int remove_at(int parent, const char *name);

/* Returns an errno, 0 when the directory is empty afterwards. Links are removed, not followed. */
static int empty_at(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int failed = errno;
        close(fd);
        return failed;
    }
    int failed = 0;
    const struct dirent *entry;
    while (failed == 0 && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            failed = remove_at(fd, entry->d_name);
    }
    closedir(directory);
    return failed;
}

static int remove_at(int parent, const char *name)
{
    struct stat info;
    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    bool is_dir = S_ISDIR(info.st_mode);
    int failed = is_dir ? empty_at(parent, name) : 0;
    if (failed == 0 && unlinkat(parent, name, is_dir ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT)
        failed = errno;
    return failed;
}

thaw_status thaw_remove_tree(const char *path)
{
    size_t slashes = strspn(path, "/");
    THAW_CHECK(path[slashes] != 0 && strcmp(path, ".") != 0 && strcmp(path, "..") != 0,
               THAW_ERR_FAIL, "refusing to remove the directory '%s'", path);
    int failed = remove_at(AT_FDCWD, path);
    THAW_CHECK(failed == 0, THAW_ERR_RESOURCE, "cannot remove %s: %s", path, strerror(failed));
    return THAW_OK;
}
