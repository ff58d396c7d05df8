#include "thaw/h5.h"

#include "h5/h5_impl.h"

thaw_status thaw_h5_entry_digest(const thaw_entry *entry, thaw_digest *out)
{
    thaw_entry copy = *entry;
    thaw_state one = {&copy, 1, 1};
    return thaw_state_digest(&one, out);
}

static thaw_status put_digest(thaw_h5 *file, hid_t object, const char *name, thaw_digest digest)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(digest, hex);
    const char *text = hex;
    return thaw_h5_put_texts(file, object, name, &text, -1);
}

static thaw_status write_entry(thaw_h5 *file, const thaw_entry *entry, thaw_digest digest)
{
    thaw_status status = THAW_OK;
    const thaw_tensor *t = &entry->tensor;
    hid_t dataset = THAW_H5_NONE;
    THAW_TRY_TO(thaw_h5_make_dataset(file, entry->name, t->dtype, &t->shape, 0, &dataset));
    THAW_TRY_TO(put_digest(file, dataset, THAW_H5_ENTRY_DIGEST, digest));
    if (thaw_fault("h5_write"))
        THAW_TRY_TO(THAW_FAIL(THAW_ERR_RESOURCE, "%s: cannot write '%s': fault injected",
                              file->path, entry->name));
    if (thaw_tensor_count(t) > 0 && H5Dwrite(dataset, thaw_h5_memory_type(t->dtype), H5S_ALL,
                                             H5S_ALL, H5P_DEFAULT, t->data) < 0)
        status = THAW_H5_FAIL(file, "write", entry->name);
done:
    if (status != THAW_OK)
        thaw_h5_break(file);
    thaw_status closed = thaw_h5_shut(file, entry->name, &dataset);
    return status != THAW_OK ? status : closed;
}

static thaw_status write_all(thaw_h5 *file, const thaw_h5_write *what, const thaw_digest *digests,
                             thaw_digest whole)
{
    const thaw_state *state = what->state;
    for (int64_t i = 0; i < state->count; i++) {
        THAW_TRY(write_entry(file, &state->entries[i], digests[i]));
        if (what->each != NULL)
            THAW_TRY(what->each(what->context, i + 1, state->count));
    }
    THAW_TRY(put_digest(file, file->id, THAW_H5_DIGEST, whole));
    if (what->attributes == NULL)
        return THAW_OK;
    thaw_digest attributes;
    THAW_TRY(thaw_state_digest(what->attributes, &attributes));
    THAW_TRY(put_digest(file, file->id, THAW_H5_ATTRIBUTES_DIGEST, attributes));
    return thaw_h5_write_attributes(file, what->attributes);
}

/* Reads the file as a later run will, and compares with what was in memory, not with what the file says about itself. */
static thaw_status verify(const char *path, const thaw_h5_write *what, const thaw_digest *digests)
{
    thaw_status status = THAW_OK;
    thaw_h5 *file = NULL;
    thaw_state one = {0}, attributes = {0};
    thaw_digest found, expected;
    THAW_TRY_TO(thaw_h5_open(path, &file));
    for (int64_t i = 0; i < what->state->count; i++) {
        const char *name = what->state->entries[i].name;
        THAW_TRY_TO(thaw_h5_read_entry(file, name, &one));
        THAW_TRY_TO(thaw_h5_entry_digest(&one.entries[0], &found));
        THAW_CHECK_TO(thaw_digest_equal(found, digests[i]), THAW_ERR_INPUT,
                      "%s: '%s' differs from what was written", path, name);
        thaw_state_clear(&one);
    }
    if (what->attributes != NULL) {
        THAW_TRY_TO(thaw_h5_read_attributes(file, &attributes));
        THAW_TRY_TO(thaw_state_digest(&attributes, &found));
        THAW_TRY_TO(thaw_state_digest(what->attributes, &expected));
        THAW_CHECK_TO(thaw_digest_equal(found, expected), THAW_ERR_INPUT,
                      "%s: the attributes differ from what was written", path);
    }
done:
    thaw_state_clear(&attributes);
    thaw_state_clear(&one);
    thaw_h5_close(&file);
    /* Read or written: it is the writing that failed. */
    if (status != THAW_OK)
        status = thaw_fail_context(THAW_ERR_RESOURCE, "while verifying after writing");
    return status;
}

/* Closed so that every buffer is out of our hands, but not yet renamed. */
static thaw_status finish(thaw_h5 *file, const thaw_h5_write *what, const thaw_digest *digests)
{
    THAW_TRY(thaw_h5_seal(file));
    thaw_file_start_sync(file->temporary); /* the disk works while we read */
    THAW_TRY(verify(file->temporary, what, digests));
    THAW_TRY(thaw_file_commit(file->temporary, file->path));
    thaw_free(&file->temporary);
    return THAW_OK;
}

thaw_status thaw_h5_save(const char *path, const thaw_h5_write *what, thaw_digest *digest)
{
    thaw_status status = THAW_OK;
    thaw_h5 *file = NULL;
    thaw_digest *digests = NULL;
    thaw_digest whole;
    THAW_TRY_TO(thaw_state_digest(what->state, &whole));
    THAW_TRY_TO(thaw_alloc(&digests, what->state->count, sizeof *digests));
    for (int64_t i = 0; i < what->state->count; i++)
        THAW_TRY_TO(thaw_h5_entry_digest(&what->state->entries[i], &digests[i]));
    THAW_TRY_TO(thaw_h5_create(path, &file));
    THAW_TRY_TO(write_all(file, what, digests, whole));
    THAW_TRY_TO(finish(file, what, digests));
    if (digest != NULL)
        *digest = whole;
done:
    thaw_h5_close(&file);
    thaw_free(&digests);
    return status;
}
