#include "thaw/h5.h"

#include "h5/h5_impl.h"

static thaw_status stored_digest(const thaw_h5 *file, const char *object, const char *name,
                                 thaw_digest *out)
{
    thaw_str hex = {0};
    thaw_status status = thaw_h5_get_text(file, object, name, &hex);
    if (status == THAW_OK && !thaw_digest_parse(thaw_str_c(&hex), out))
        status = THAW_FAIL(THAW_ERR_INPUT, "%s: the digest of '%s' is damaged", file->path, object);
    thaw_str_clear(&hex);
    return status;
}

/* Type and shape of a dataset; what it claims to hold must fit into the file, since nothing of ours is compressed. Of other programs' types the
 * narrowest, one byte, takes four in memory. */
static thaw_status read_shape(const thaw_h5 *file, const char *name, thaw_h5_info *info)
{
    THAW_TRY(thaw_h5_info_of(file, name, info));
    THAW_CHECK(!info->text, THAW_ERR_INPUT, "%s: '%s' holds strings, not numbers", file->path,
               name);
    uint64_t bytes = (uint64_t)thaw_shape_count(&info->shape) * thaw_dtype_bytes(info->dtype);
    THAW_CHECK(bytes / 4 <= (uint64_t)file->bytes, THAW_ERR_INPUT,
               "%s: '%s' claims %llu bytes, more than the file has (%lld)", file->path, name,
               (unsigned long long)bytes, (long long)file->bytes);
    return THAW_OK;
}

/* The digest is checked after this; HDF5's own checksums, which are for others, would cost more than the reading. */
static thaw_status read_values(const thaw_h5 *file, const char *name, const thaw_h5_info *info,
                               void *data)
{
    THAW_H5_ALONE;
    thaw_status status = THAW_OK;
    hid_t how = H5Pcreate(H5P_DATASET_XFER);
    thaw_beat("reading a tensor of a file");
    hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (dataset < 0)
        status = THAW_H5_FAIL(file, "find the dataset", name);
    else if (thaw_fault("h5_read"))
        status =
            THAW_FAIL(THAW_ERR_INPUT, "%s: cannot read '%s': fault injected", file->path, name);
    else if (how < 0 || H5Pset_edc_check(how, H5Z_DISABLE_EDC) < 0 ||
             (thaw_shape_count(&info->shape) > 0 &&
              H5Dread(dataset, thaw_h5_memory_type(info->dtype), H5S_ALL, H5S_ALL, how, data) < 0))
        status = THAW_H5_FAIL(file, "read", name);
    (void)thaw_h5_release(&dataset);
    (void)thaw_h5_release(&how);
    return status;
}

static thaw_status check_digest(const thaw_h5 *file, const char *name, thaw_digest stored,
                                thaw_digest found)
{
    THAW_CHECK(thaw_digest_equal(stored, found), THAW_ERR_INPUT,
               "%s: the data of '%s' are damaged (their digest differs)", file->path, name);
    return THAW_OK;
}

/* Into the entry's data, which has room for what `info` says. */
static thaw_status read_checked(const thaw_h5 *file, const thaw_h5_info *info,
                                const thaw_entry *entry)
{
    thaw_digest stored, found;
    THAW_TRY(read_values(file, entry->name, info, entry->tensor.data));
    THAW_TRY(stored_digest(file, entry->name, THAW_H5_ENTRY_DIGEST, &stored));
    THAW_TRY(thaw_h5_entry_digest(entry, &found));
    return check_digest(file, entry->name, stored, found);
}

thaw_status thaw_h5_read_entry(thaw_h5 *file, const char *name, thaw_state *out)
{
    thaw_h5_info info;
    THAW_TRY(read_shape(file, name, &info));
    THAW_TRY(thaw_state_add_new(out, name, info.dtype, info.shape, NULL));
    return read_checked(file, &info, &out->entries[out->count - 1]);
}

thaw_status thaw_h5_read_into(thaw_h5 *file, const thaw_entry *entry, void *out)
{
    thaw_h5_info info = {0};
    thaw_entry filled = *entry;
    const bool there = thaw_h5_is_dataset(file, entry->name);
    if (there)
        THAW_TRY(read_shape(file, entry->name, &info));
    const thaw_tensor found = {info.dtype, info.shape, NULL};
    const thaw_status status = thaw_entry_check(entry, there ? &found : NULL);
    if (status != THAW_OK)
        return thaw_fail_context(status, "%s", file->path);
    filled.tensor.data = out;
    return read_checked(file, &info, &filled);
}

static bool place_of(const thaw_h5 *file, const char *name, thaw_dtype dtype, thaw_h5_place *out)
{
    THAW_H5_ALONE;
    hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    const bool good = dataset >= 0 && thaw_h5_find_place(file, dataset, dtype, out);
    (void)thaw_h5_release(&dataset);
    return good;
}

static thaw_status digest_rows(thaw_h5 *file, const char *name, const thaw_h5_info *info,
                               thaw_hasher *hasher)
{
    thaw_status status = THAW_OK;
    const int64_t count = thaw_shape_count(&info->shape);
    const int64_t rows = count > 0 ? thaw_shape_rows(&info->shape) : 0;
    const int64_t piece = thaw_rows_a_piece(&info->shape, info->dtype);
    void *values = NULL;
    thaw_h5_place place;
    if (rows == 0)
        return THAW_OK;
    const bool placed = place_of(file, name, info->dtype, &place);
    const int64_t row_bytes = count / rows * (int64_t)thaw_dtype_bytes(info->dtype);
    THAW_TRY(thaw_alloc(&values, piece, (size_t)row_bytes));
    for (int64_t row = 0; row < rows; row += piece) {
        const int64_t n = piece < rows - row ? piece : rows - row;
        THAW_TRY_TO(placed ? thaw_h5_get_bytes(file, name, &place, row * row_bytes,
                                               (size_t)(n * row_bytes), values)
                           : thaw_h5_read_rows(file, name, row, n, info->dtype, values));
        thaw_hasher_add_values(hasher, info->dtype, count / rows * n, values);
    }
done:
    thaw_free(&values);
    return status;
}

thaw_status thaw_h5_read_digest(thaw_h5 *file, const char *name, thaw_digest *out)
{
    thaw_h5_info info;
    thaw_digest stored;
    thaw_hasher *hasher = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(read_shape(file, name, &info));
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    thaw_hasher_add_entry(hasher, name, info.dtype, &info.shape);
    THAW_TRY_TO(digest_rows(file, name, &info, hasher));
    *out = thaw_hasher_get(hasher);
    THAW_TRY_TO(stored_digest(file, name, THAW_H5_ENTRY_DIGEST, &stored));
    status = check_digest(file, name, stored, *out);
done:
    thaw_hasher_free(&hasher);
    return status;
}

static thaw_status add_shape(const thaw_h5 *file, const char *name, thaw_state *out)
{
    thaw_h5_info info;
    THAW_TRY(read_shape(file, name, &info));
    return thaw_state_add(out, name, info.dtype, info.shape, NULL);
}

static thaw_status read_state(thaw_h5 *file, const char *prefix, bool shapes_only, thaw_state *out)
{
    thaw_status status = THAW_OK;
    thaw_strings names = {0};
    thaw_digest stored, found;
    THAW_TRY_TO(thaw_h5_all_datasets(file, prefix, &names));
    for (int64_t i = 0; i < names.count; i++)
        THAW_TRY_TO(shapes_only ? add_shape(file, names.items[i], out)
                                : thaw_h5_read_entry(file, names.items[i], out));
    if (prefix != NULL || shapes_only)
        goto done;
    /* Each dataset is right; this one says that none is missing and none was added. */
    THAW_TRY_TO(stored_digest(file, "/", THAW_H5_DIGEST, &stored));
    THAW_TRY_TO(thaw_state_digest(out, &found));
    THAW_CHECK_TO(thaw_digest_equal(stored, found), THAW_ERR_INPUT,
                  "%s: datasets are missing or were added (the file's digest differs)", file->path);
done:
    thaw_h5_strings_free(&names);
    return status;
}

static thaw_status read_attributes(const thaw_h5 *file, thaw_state *out)
{
    thaw_digest stored, found;
    THAW_TRY(thaw_h5_read_attributes(file, out));
    if (out->count == 0 && !thaw_h5_has_attribute(file, "/", THAW_H5_ATTRIBUTES_DIGEST))
        return THAW_OK;
    THAW_TRY(stored_digest(file, "/", THAW_H5_ATTRIBUTES_DIGEST, &stored));
    THAW_TRY(thaw_state_digest(out, &found));
    THAW_CHECK(thaw_digest_equal(stored, found), THAW_ERR_INPUT,
               "%s: the attributes are damaged (their digest differs)", file->path);
    return THAW_OK;
}

static thaw_status load(const char *path, const char *prefix, bool shapes_only, thaw_state *state,
                        thaw_state *attributes)
{
    thaw_h5 *file = NULL;
    THAW_TRY(thaw_h5_open(path, &file));
    thaw_status status = THAW_OK;
    if (state != NULL)
        status = read_state(file, prefix, shapes_only, state);
    if (status == THAW_OK && attributes != NULL)
        status = read_attributes(file, attributes);
    thaw_h5_close(&file);
    if (status == THAW_OK)
        return THAW_OK;
    if (state != NULL)
        thaw_state_clear(state);
    if (attributes != NULL)
        thaw_state_clear(attributes);
    /* A damaged shape or name may come out as something that only a program can do wrong. */
    return status == THAW_ERR_FAIL ? thaw_fail_context(THAW_ERR_INPUT, "%s", path) : status;
}

thaw_status thaw_h5_load(const char *path, const char *prefix, thaw_state *state,
                         thaw_state *attributes)
{
    return load(path, prefix, false, state, attributes);
}

thaw_status thaw_h5_load_shapes(const char *path, const char *prefix, thaw_state *state,
                                thaw_state *attributes)
{
    return load(path, prefix, true, state, attributes);
}
