#include "thaw/h5.h"

#include <string.h>

#include "h5/h5_impl.h"

/* Objects of HDF5 know when they were made, unless they are told not to: then the same values give the same bytes. */
hid_t thaw_h5_timeless(hid_t kind)
{
    hid_t rules = H5Pcreate(kind);
    if (rules >= 0 && H5Pset_obj_track_times(rules, 0) < 0)
        (void)thaw_h5_release(&rules);
    return rules;
}

static bool make(const thaw_h5 *file, const char *name)
{
    hid_t rules = thaw_h5_timeless(H5P_GROUP_CREATE);
    hid_t group =
        rules >= 0 ? H5Gcreate2(file->id, name, H5P_DEFAULT, rules, H5P_DEFAULT) : THAW_H5_NONE;
    const bool good = group >= 0;
    (void)thaw_h5_release(&group);
    (void)thaw_h5_release(&rules);
    return good;
}

/* HDF5 could make groups on the way by itself, but only such as know the time. */
static bool make_way(const thaw_h5 *file, const char *name)
{
    bool good = true;
    thaw_str way = {0};
    for (const char *end = strchr(name, '/'); good && end != NULL; end = strchr(end + 1, '/')) {
        thaw_str_reset(&way);
        thaw_str_add_bytes(&way, name, (size_t)(end - name));
        const htri_t there = H5Lexists(file->id, thaw_str_c(&way), H5P_DEFAULT);
        good = there > 0 || (there == 0 && make(file, thaw_str_c(&way)));
    }
    thaw_str_clear(&way);
    return good;
}

thaw_status thaw_h5_make_way(thaw_h5 *file, const char *name)
{
    THAW_H5_ALONE;
    THAW_TRY(thaw_h5_check_name(file, name));
    if (make_way(file, name))
        return THAW_OK;
    const thaw_status status = THAW_H5_FAIL(file, "create", name);
    thaw_h5_break(file);
    return status;
}

thaw_status thaw_h5_make_group(thaw_h5 *file, const char *name)
{
    THAW_H5_ALONE;
    THAW_TRY(thaw_h5_make_way(file, name));
    if (make(file, name))
        return THAW_OK;
    const thaw_status status = THAW_H5_FAIL(file, "create the group", name);
    thaw_h5_break(file);
    return status;
}
