#include "thaw/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "h5/h5_impl.h"

static thaw_status make_handle(const char *path, bool writing, thaw_h5 **out)
{
    thaw_status status = THAW_OK;
    thaw_h5 *file = NULL;
    thaw_str temporary = {0};
    thaw_h5_silence();
    THAW_TRY_TO(thaw_alloc(&file, 1, sizeof *file));
    file->id = THAW_H5_NONE;
    for (int i = 0; i < THAW_H5_KEPT; i++)
        file->kept[i].dataset = THAW_H5_NONE;
    THAW_TRY_TO(thaw_strdup(&file->path, path));
    if (writing) {
        thaw_str_printf(&temporary, "%s.tmp", path);
        THAW_TRY_TO(thaw_strdup(&file->temporary, thaw_str_c(&temporary)));
    }
done:
    thaw_str_clear(&temporary);
    *out = file;
    return status;
}

static void free_handle(thaw_h5 **file)
{
    if (*file != NULL) {
        thaw_free(&(*file)->path);
        thaw_free(&(*file)->temporary);
        thaw_free(file);
    }
}

/* Closing the file closes what somebody forgot, so that no identifier keeps it half open. The format of HDF5 1.10 has
 * checksums in all of its metadata, the older ones do not. */
static hid_t access_rules(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 ||
                        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0))
        (void)thaw_h5_release(&access);
    return access;
}

/* Why a file cannot be opened: the system's own words are better than HDF5's for what has nothing to do with HDF5. */
static thaw_status look_at(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    THAW_CHECK(fd >= 0, THAW_ERR_INPUT, "cannot open %s: %s", path, strerror(errno));
    int failed = fstat(fd, &info);
    close(fd);
    THAW_CHECK(failed == 0 && !S_ISDIR(info.st_mode), THAW_ERR_INPUT,
               "cannot open %s: it is a directory, not a file", path);
    THAW_CHECK(info.st_size > 0, THAW_ERR_INPUT, "%s is empty", path);
    THAW_CHECK(H5Fis_hdf5(path) > 0, THAW_ERR_INPUT,
               "%s is not an HDF5 file, or its beginning is damaged", path);
    return THAW_OK;
}

/* What only HDF5 knows stays as it said it. */
static thaw_status explain(const thaw_h5 *file)
{
    const thaw_status status = THAW_H5_FAIL(file, "open it", NULL);
    const thaw_error own = *thaw_error_last();
    THAW_TRY(look_at(file->path));
    *thaw_error_last() = own;
    return status;
}

/* A file is opened once, which matters where thousands of ranks ask one server for it; a second look is for one that is no good. */
thaw_status thaw_h5_open(const char *path, thaw_h5 **out)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    thaw_h5 *file = NULL;
    hid_t access = THAW_H5_NONE;
    hsize_t bytes = 0;
    *out = NULL;
    THAW_TRY_TO(make_handle(path, false, &file));
    access = access_rules();
    file->id = access >= 0 ? H5Fopen(path, H5F_ACC_RDONLY, access) : THAW_H5_NONE;
    if (file->id < 0)
        THAW_TRY_TO(explain(file));
    if (H5Fget_filesize(file->id, &bytes) < 0)
        status = THAW_H5_FAIL(file, "find the size of it", NULL);
    file->bytes = (int64_t)bytes;
done:
    (void)thaw_h5_release(&access);
    if (status != THAW_OK)
        thaw_h5_close(&file);
    *out = file;
    return status;
}

thaw_status thaw_h5_create(const char *path, thaw_h5 **out)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    thaw_h5 *file = NULL;
    hid_t access = THAW_H5_NONE, creation = THAW_H5_NONE;
    int fd = -1;
    *out = NULL;
    THAW_TRY_TO(make_handle(path, true, &file));
    fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    THAW_CHECK_TO(fd >= 0, THAW_ERR_RESOURCE, "cannot create %s: %s", file->temporary,
                  strerror(errno));
    close(fd);
    access = access_rules();
    creation = thaw_h5_timeless(H5P_FILE_CREATE); /* of the root group */
    file->id = access >= 0 && creation >= 0
                   ? H5Fcreate(file->temporary, H5F_ACC_TRUNC, creation, access)
                   : THAW_H5_NONE;
    if (file->id < 0)
        status = THAW_H5_FAIL(file, "create it", NULL);
done:
    (void)thaw_h5_release(&creation);
    (void)thaw_h5_release(&access);
    if (status != THAW_OK) {
        if (fd < 0)
            free_handle(&file);
        thaw_h5_close(&file);
    }
    *out = file;
    return status;
}

thaw_status thaw_h5_drop_kept(thaw_h5 *file)
{
    thaw_status status = THAW_OK;
    for (int i = 0; i < THAW_H5_KEPT; i++) {
        thaw_status one = thaw_h5_shut(file, file->kept[i].name, &file->kept[i].dataset);
        status = status == THAW_OK ? one : status;
        thaw_free(&file->kept[i].name);
    }
    return status;
}

thaw_status thaw_h5_seal(thaw_h5 *file)
{
    THAW_H5_ALONE;
    THAW_TRY(thaw_h5_drop_kept(file));
    if (H5Fflush(file->id, H5F_SCOPE_GLOBAL) < 0) {
        thaw_status status = THAW_H5_FAIL(file, "write it", NULL);
        thaw_h5_break(file);
        return status;
    }
    hid_t id = file->id;
    file->id = THAW_H5_NONE;
    return H5Fclose(id) >= 0 ? THAW_OK : THAW_H5_FAIL(file, "close it", NULL);
}

/* What a full disk swallowed may show only when the file is opened anew. */
static thaw_status check_again(const thaw_h5 *file)
{
    hid_t id = H5Fopen(file->temporary, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (id < 0)
        return THAW_H5_FAIL(file, "open it after writing", NULL);
    if (!thaw_h5_release(&id))
        return THAW_H5_FAIL(file, "close it after writing", NULL);
    return THAW_OK;
}

thaw_status thaw_h5_commit(thaw_h5 **inout)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    thaw_h5 *file = *inout;
    THAW_ASSERT(file->temporary != NULL);
    THAW_CHECK_TO(!file->broken, THAW_ERR_RESOURCE,
                  "%s is not kept, since writing it failed before", file->path);
    THAW_TRY_TO(thaw_h5_seal(file));
    THAW_TRY_TO(check_again(file));
    THAW_TRY_TO(thaw_file_commit(file->temporary, file->path));
    thaw_free(&file->temporary);
done:
    thaw_h5_close(inout);
    return status;
}

void thaw_h5_close(thaw_h5 **inout)
{
    THAW_H5_ALONE;
    thaw_h5 *file = *inout;
    if (file == NULL)
        return;
    /* Given up: nothing of it needs to reach the disk. */
    thaw_h5_break(file);
    if (thaw_h5_drop_kept(file) != THAW_OK)
        thaw_h5_break(file);
    if (file->id >= 0)
        (void)H5Fclose(file->id);
    if (file->temporary != NULL)
        unlink(file->temporary);
    free_handle(inout);
}

const char *thaw_h5_path(const thaw_h5 *file)
{
    return file->path;
}
