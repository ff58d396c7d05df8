#include "h5/h5_impl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Values of a contiguous dataset that are in the file as they are in memory need none of HDF5's selections and buffers, nor its lock. */

static bool as_in_memory(hid_t dataset, thaw_dtype dtype)
{
    const hid_t stored = thaw_h5_file_type(dtype);
    hid_t type = H5Dget_type(dataset);
    const bool same =
        type >= 0 && H5Tequal(type, stored) > 0 && H5Tequal(stored, thaw_h5_memory_type(dtype)) > 0;
    (void)thaw_h5_release(&type);
    return same;
}

/* External files would have an offset of their own. */
static bool is_contiguous(hid_t dataset)
{
    hid_t rules = H5Dget_create_plist(dataset);
    const bool good =
        rules >= 0 && H5Pget_layout(rules) == H5D_CONTIGUOUS && H5Pget_external_count(rules) == 0;
    (void)thaw_h5_release(&rules);
    return good;
}

bool thaw_h5_find_place(const thaw_h5 *file, hid_t dataset, thaw_dtype dtype, thaw_h5_place *out)
{
    THAW_H5_ALONE;
    void *handle = NULL;
    if (!is_contiguous(dataset) || !as_in_memory(dataset, dtype))
        return false;
    const haddr_t offset = H5Dget_offset(dataset);
    if (offset == HADDR_UNDEF || offset > INT64_MAX / 2 ||
        H5Fget_vfd_handle(file->id, H5P_DEFAULT, &handle) < 0)
        return false;
    *out = (thaw_h5_place){.fd = *(int *)handle, .offset = (int64_t)offset};
    return true;
}

thaw_status thaw_h5_put_bytes(const thaw_h5 *file, const char *name, const thaw_h5_place *place,
                              int64_t at, size_t bytes, const void *data)
{
    thaw_beat("writing rows of a file");
    for (size_t done = 0; done < bytes;) {
        const ssize_t put = pwrite(place->fd, (const char *)data + done, bytes - done,
                                   (off_t)(place->offset + at + (int64_t)done));
        if (put < 0 && errno == EINTR)
            continue;
        THAW_CHECK(put > 0, THAW_ERR_RESOURCE, "%s: cannot write '%s': %s", file->path, name,
                   put < 0 ? strerror(errno) : "nothing was written");
        done += (size_t)put;
    }
    return THAW_OK;
}

thaw_status thaw_h5_get_bytes(const thaw_h5 *file, const char *name, const thaw_h5_place *place,
                              int64_t at, size_t bytes, void *out)
{
    thaw_beat("reading rows of a file");
    THAW_CHECK(!thaw_fault("h5_read"), THAW_ERR_INPUT, "%s: cannot read '%s': fault injected",
               file->path, name);
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = pread(place->fd, (char *)out + done, bytes - done,
                                  (off_t)(place->offset + at + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        THAW_CHECK(got > 0, THAW_ERR_INPUT, "%s: cannot read '%s': %s", file->path, name,
                   got < 0 ? strerror(errno) : "the file ends before");
        done += (size_t)got;
    }
    return THAW_OK;
}
