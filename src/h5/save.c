#include "thaw/h5.h"

#include "h5/h5_impl.h"

/* One pass: while a piece of values is in the core's cache, it is written and both digests see it. */
typedef struct saver {
    thaw_h5 *file;
    const thaw_h5_write *what;
    const thaw_entry **order; /* by name, as the digest of the whole wants them */
    thaw_digest *digests;     /* in that order */
    thaw_hasher *whole;
    /* Of the entry that is being written. */
    const thaw_entry *entry;
    thaw_hasher *own;
    hid_t dataset;
    bool placed; /* its values go straight to: */
    thaw_h5_place place;
    int64_t row;
    int64_t waiting; /* bytes that the disk has not been asked to take */
} saver;

/* The disk works while we do; in smaller amounts the asking itself would show. */
static const int64_t some_writing = 32 << 20;

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

/* A thaw_take_rows. */
static thaw_status take(void *to, int64_t n, const void *values)
{
    saver *s = to;
    const thaw_tensor *t = &s->entry->tensor;
    const int64_t rows = thaw_shape_rows(&t->shape);
    THAW_CHECK(n > 0 && n <= rows - s->row, THAW_ERR_FAIL,
               "'%s' has %lld rows, and %lld were given for those from %lld", s->entry->name,
               (long long)rows, (long long)n, (long long)s->row);
    const int64_t count = thaw_tensor_count(t) / rows * n;
    thaw_hasher_add_values(s->own, t->dtype, count, values);
    thaw_hasher_add_values(s->whole, t->dtype, count, values);
    const thaw_h5_rows where = {s->row, n, t->dtype};
    const int64_t bytes = count * (int64_t)thaw_dtype_bytes(t->dtype);
    THAW_TRY(s->placed ? thaw_h5_put_bytes(s->file, s->entry->name, &s->place, bytes / n * s->row,
                                           (size_t)bytes, values)
                       : thaw_h5_put_rows(s->file, s->entry->name, s->dataset, &where, values));
    s->row += n;
    s->waiting += bytes;
    if (s->waiting >= some_writing) {
        thaw_file_start_sync(s->file->temporary);
        s->waiting = 0;
    }
    return THAW_OK;
}

static thaw_status take_data(saver *s)
{
    const thaw_tensor *t = &s->entry->tensor;
    const int64_t rows = thaw_tensor_count(t) > 0 ? thaw_shape_rows(&t->shape) : 0;
    const int64_t piece = thaw_rows_a_piece(&t->shape, t->dtype);
    for (int64_t row = 0; row < rows; row += piece) {
        const int64_t n = piece < rows - row ? piece : rows - row;
        const size_t row_bytes = thaw_tensor_bytes(t) / (size_t)rows;
        THAW_TRY(take(s, n, (const char *)t->data + (size_t)row * row_bytes));
    }
    return THAW_OK;
}

static thaw_status write_values(saver *s)
{
    const thaw_tensor *t = &s->entry->tensor;
    const thaw_values *source = s->what->values;
    thaw_beat("writing a tensor of a file");
    THAW_CHECK(!thaw_fault("h5_write"), THAW_ERR_RESOURCE, "%s: cannot write '%s': fault injected",
               s->file->path, s->entry->name);
    if (t->data != NULL || source == NULL)
        return take_data(s);
    THAW_TRY(source->give(source->context, s->entry, take, s));
    THAW_CHECK(thaw_tensor_count(t) == 0 || s->row == thaw_shape_rows(&t->shape), THAW_ERR_FAIL,
               "'%s': only %lld of %lld rows were given", s->entry->name, (long long)s->row,
               (long long)thaw_shape_rows(&t->shape));
    return THAW_OK;
}

static thaw_status write_entry(saver *s, const thaw_entry *entry, thaw_digest *digest)
{
    thaw_status status = THAW_OK;
    const thaw_tensor *t = &entry->tensor;
    s->entry = entry;
    s->row = 0;
    s->dataset = THAW_H5_NONE;
    THAW_TRY_TO(thaw_hasher_new(&s->own));
    thaw_hasher_add_entry(s->own, entry->name, t->dtype, &t->shape);
    thaw_hasher_add_entry(s->whole, entry->name, t->dtype, &t->shape);
    THAW_TRY_TO(thaw_h5_make_dataset(s->file, entry->name, t->dtype, &t->shape, THAW_H5_UNCHUNKED,
                                     &s->dataset));
    s->placed = thaw_h5_find_place(s->file, s->dataset, t->dtype, &s->place);
    THAW_TRY_TO(write_values(s));
    *digest = thaw_hasher_get(s->own);
    status = put_digest(s->file, s->dataset, THAW_H5_ENTRY_DIGEST, *digest);
done:
    thaw_hasher_free(&s->own);
    if (status != THAW_OK)
        thaw_h5_break(s->file);
    thaw_status closed = thaw_h5_shut(s->file, entry->name, &s->dataset);
    return status != THAW_OK ? status : closed;
}

static thaw_status write_all(saver *s)
{
    const thaw_h5_write *what = s->what;
    for (int64_t i = 0; i < what->state->count; i++) {
        THAW_TRY(write_entry(s, s->order[i], &s->digests[i]));
        if (what->each != NULL)
            THAW_TRY(what->each(what->context, i + 1, what->state->count));
    }
    THAW_TRY(put_digest(s->file, s->file->id, THAW_H5_DIGEST, thaw_hasher_get(s->whole)));
    if (what->attributes == NULL)
        return THAW_OK;
    thaw_digest attributes;
    THAW_TRY(thaw_state_digest(what->attributes, &attributes));
    THAW_TRY(put_digest(s->file, s->file->id, THAW_H5_ATTRIBUTES_DIGEST, attributes));
    return thaw_h5_write_attributes(s->file, what->attributes);
}

static thaw_status verify_attributes(const thaw_h5 *file, const thaw_state *written)
{
    thaw_status status = THAW_OK;
    thaw_state attributes = {0};
    thaw_digest found, expected;
    THAW_TRY_TO(thaw_h5_read_attributes(file, &attributes));
    THAW_TRY_TO(thaw_state_digest(&attributes, &found));
    THAW_TRY_TO(thaw_state_digest(written, &expected));
    THAW_CHECK_TO(thaw_digest_equal(found, expected), THAW_ERR_INPUT,
                  "%s: the attributes differ from what was written", file->path);
done:
    thaw_state_clear(&attributes);
    return status;
}

/* Reads the file as a later run will, and compares with what was given, not with what the file says about itself. */
static thaw_status verify(const saver *s, const char *path)
{
    thaw_status status = THAW_OK;
    thaw_h5 *file = NULL;
    thaw_digest found;
    THAW_TRY_TO(thaw_h5_open(path, &file));
    for (int64_t i = 0; i < s->what->state->count; i++) {
        const char *name = s->order[i]->name;
        THAW_TRY_TO(thaw_h5_read_digest(file, name, &found));
        THAW_CHECK_TO(thaw_digest_equal(found, s->digests[i]), THAW_ERR_INPUT,
                      "%s: '%s' differs from what was written", path, name);
    }
    if (s->what->attributes != NULL)
        THAW_TRY_TO(verify_attributes(file, s->what->attributes));
done:
    thaw_h5_close(&file);
    /* Read or written: it is the writing that failed. */
    if (status != THAW_OK)
        status = thaw_fail_context(THAW_ERR_RESOURCE, "while verifying after writing");
    return status;
}

/* Closed so that every buffer is out of our hands, but not yet renamed. */
static thaw_status finish(const saver *s)
{
    thaw_h5 *file = s->file;
    THAW_TRY(thaw_h5_seal(file));
    thaw_file_start_sync(file->temporary); /* the disk works while we read */
    THAW_TRY(verify(s, file->temporary));
    THAW_TRY(thaw_file_commit(file->temporary, file->path));
    thaw_free(&file->temporary);
    return THAW_OK;
}

thaw_status thaw_h5_save(const char *path, const thaw_h5_write *what, thaw_digest *digest)
{
    thaw_status status = THAW_OK;
    saver s = {.what = what, .dataset = THAW_H5_NONE};
    THAW_TRY_TO(thaw_state_sorted(what->state, &s.order));
    THAW_TRY_TO(thaw_alloc(&s.digests, what->state->count, sizeof *s.digests));
    THAW_TRY_TO(thaw_hasher_new(&s.whole));
    THAW_TRY_TO(thaw_h5_create(path, &s.file));
    THAW_TRY_TO(write_all(&s));
    THAW_TRY_TO(finish(&s));
    if (digest != NULL)
        *digest = thaw_hasher_get(s.whole);
done:
    thaw_h5_close(&s.file);
    thaw_hasher_free(&s.whole);
    thaw_free(&s.digests);
    thaw_free(&s.order);
    return status;
}
