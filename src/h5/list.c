#include "thaw/h5.h"

#include <stdlib.h>
#include <string.h>

#include "h5/h5_impl.h"

/* Every step of the path has to exist before HDF5 may be asked about the next one. */
static bool link_exists(const thaw_h5 *file, const char *name)
{
    thaw_str path = {0};
    bool there = name[0] != 0;
    for (const char *at = name; there && *at != 0;) {
        size_t length = strcspn(at, "/");
        thaw_str_add_bytes(&path, at, length);
        there = length == 0 || H5Lexists(file->id, thaw_str_c(&path), H5P_DEFAULT) > 0;
        at += length;
        if (*at == '/') {
            thaw_str_add(&path, "/");
            at++;
        }
    }
    thaw_str_clear(&path);
    return there;
}

static H5O_type_t kind_of(hid_t from, const char *name)
{
    H5O_info_t info;
    H5O_type_t kind = H5O_TYPE_UNKNOWN;
    if (H5Oget_info_by_name2(from, name, &info, H5O_INFO_BASIC, H5P_DEFAULT) >= 0)
        kind = info.type;
    (void)H5Eclear2(H5E_DEFAULT);
    return kind;
}

bool thaw_h5_exists(const thaw_h5 *file, const char *name)
{
    THAW_H5_ALONE;
    bool there = strcmp(name, "/") == 0 ||
                 (link_exists(file, name) && H5Oexists_by_name(file->id, name, H5P_DEFAULT) > 0);
    (void)H5Eclear2(H5E_DEFAULT);
    return there;
}

bool thaw_h5_is_dataset(const thaw_h5 *file, const char *name)
{
    THAW_H5_ALONE;
    return thaw_h5_exists(file, name) && kind_of(file->id, name) == H5O_TYPE_DATASET;
}

typedef struct search {
    thaw_strings *out;
    int64_t capacity;
    H5O_type_t kind;
    const char *prefix;
    thaw_status status;
} search;

/* Hard links only: a soft or external one could lead round in circles or out of the file. */
static herr_t take(hid_t from, const char *name, const H5L_info_t *info, void *context)
{
    search *s = context;
    if (info->type != H5L_TYPE_HARD || kind_of(from, name) != s->kind ||
        (s->prefix != NULL && !thaw_starts_with(name, s->prefix)))
        return 0;
    s->status = thaw_h5_strings_add(s->out, &s->capacity, name);
    return s->status == THAW_OK ? 0 : -1;
}

static thaw_status list_kind(const thaw_h5 *file, const char *group, H5O_type_t kind,
                             thaw_strings *out)
{
    search s = {.out = out, .kind = kind};
    *out = (thaw_strings){0};
    hsize_t position = 0;
    hid_t id = H5Gopen2(file->id, group, H5P_DEFAULT);
    if (id < 0)
        return THAW_H5_FAIL(file, "find the group", group);
    thaw_status status = THAW_OK;
    if (H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, &position, take, &s) < 0)
        status = s.status != THAW_OK ? s.status : THAW_H5_FAIL(file, "list the group", group);
    (void)thaw_h5_release(&id);
    if (status != THAW_OK)
        thaw_h5_strings_free(out);
    return status;
}

thaw_status thaw_h5_list_datasets(const thaw_h5 *file, const char *group, thaw_strings *out)
{
    THAW_H5_ALONE;
    return list_kind(file, group, H5O_TYPE_DATASET, out);
}

thaw_status thaw_h5_list_groups(const thaw_h5 *file, const char *group, thaw_strings *out)
{
    THAW_H5_ALONE;
    return list_kind(file, group, H5O_TYPE_GROUP, out);
}

static int by_name(const void *a, const void *b)
{
    char *const *x = a;
    char *const *y = b;
    return strcmp(*x, *y);
}

thaw_status thaw_h5_all_datasets(const thaw_h5 *file, const char *prefix, thaw_strings *out)
{
    THAW_H5_ALONE;
    search s = {.out = out, .kind = H5O_TYPE_DATASET, .prefix = prefix};
    *out = (thaw_strings){0};
    if (H5Lvisit(file->id, H5_INDEX_NAME, H5_ITER_INC, take, &s) < 0) {
        thaw_h5_strings_free(out);
        return s.status != THAW_OK ? s.status : THAW_H5_FAIL(file, "list its datasets", NULL);
    }
    /* HDF5 sorts inside each group, which puts "a/b" elsewhere than a comparison of whole names does. */
    if (out->count > 1)
        qsort(out->items, (size_t)out->count, sizeof *out->items, by_name);
    return THAW_OK;
}
