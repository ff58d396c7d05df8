/* What is wrong with a dataset beyond its shapes: values, classes, leaks between splits, the digest. */
#include "data/dataset_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/pieces_impl.h"

/* Ids are read as float32, which is exact below this. */

static bool bad_tokens(const thaw_dataset *ds, const int32_t *tokens)
{
    const int64_t T = ds->shape.dim[1];
    const int64_t pieces = ds->text.pieces > 0 ? ds->text.pieces : THAW_PIECES_MOST;
    for (int64_t i = 0; i < ds->values; i++)
        if (tokens[i] < 0 || tokens[i] >= (i < T ? pieces : 2))
            return true;
    return false;
}

int64_t thaw_dataset_bad_sample(const thaw_dataset *ds, int64_t n, const void *x)
{
    if (ds->dtype == THAW_U8)
        return -1;
    for (int64_t i = 0; i < n && ds->dtype == THAW_I32; i++)
        if (bad_tokens(ds, (const int32_t *)x + i * ds->values))
            return i;
    for (int64_t i = 0; i < n * ds->values && ds->dtype == THAW_F32; i++)
        if (!isfinite(((const float *)x)[i]))
            return i / ds->values;
    return -1;
}

const char *thaw_dataset_bad_value(const thaw_dataset *ds)
{
    return ds->dtype == THAW_I32
               ? "an id that the vocabulary has not, or a type of token other than 0 and 1"
               : "a NaN or infinite value";
}

static thaw_status check_values(const thaw_dataset *ds, const thaw_split *split, int64_t first,
                                int64_t n, const void *x)
{
    int64_t bad = thaw_dataset_bad_sample(ds, n, x);
    THAW_CHECK(bad < 0, THAW_ERR_INPUT, "%s: %s/x: row %lld has %s", ds->path, split->name,
               (long long)(first + bad), thaw_dataset_bad_value(ds));
    return THAW_OK;
}

thaw_status thaw_dataset_scan_x(const thaw_dataset *ds, const thaw_split *split, thaw_digest *out)
{
    size_t row_bytes = (size_t)ds->values * thaw_dtype_bytes(ds->dtype);
    if (split->x) {
        *out = thaw_hash(split->x, (size_t)split->N * row_bytes);
        return check_values(ds, split, 0, split->N, split->x);
    }
    int64_t most = row_bytes < (4u << 20) ? (int64_t)((4u << 20) / row_bytes) : 1;
    thaw_hasher *hasher = NULL;
    void *block = NULL;
    char name[THAW_NAME_BYTES];
    thaw_status status = THAW_OK;
    thaw_dataset_name(name, split, "x");
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    THAW_TRY_TO(thaw_alloc(&block, most, row_bytes));
    for (int64_t first = 0; first < split->N; first += most) {
        int64_t n = split->N - first < most ? split->N - first : most;
        THAW_TRY_TO(thaw_h5_read_rows(ds->file, name, first, n, ds->dtype, block));
        THAW_TRY_TO(check_values(ds, split, first, n, block));
        thaw_hasher_add(hasher, block, (size_t)n * row_bytes);
    }
    *out = thaw_hasher_get(hasher);
done:
    thaw_free(&block);
    thaw_hasher_free(&hasher);
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Ids of a split in order; an import writes them so, and then nothing is sorted. */
static thaw_status sort_ids(const thaw_dataset *ds, const thaw_split *split, int64_t **out)
{
    *out = NULL;
    if (!split->id)
        return THAW_OK;
    THAW_TRY(thaw_alloc(out, split->N, sizeof **out));
    memcpy(*out, split->id, (size_t)split->N * sizeof **out);
    bool sorted = true;
    for (int64_t i = 1; i < split->N && sorted; i++)
        sorted = (*out)[i - 1] <= (*out)[i];
    if (!sorted)
        qsort(*out, (size_t)split->N, sizeof **out, compare_ids);
    for (int64_t i = 1; i < split->N; i++)
        THAW_CHECK((*out)[i - 1] != (*out)[i], THAW_ERR_INPUT,
                   "%s: %s/id has %" PRId64 " twice; a sample may be there once", ds->path,
                   split->name, (*out)[i]);
    return THAW_OK;
}

static thaw_status compare_splits(const thaw_dataset *ds, const thaw_split *a, const int64_t *ids_a,
                                  const thaw_split *b, const int64_t *ids_b)
{
    for (int64_t i = 0, j = 0; i < a->N && j < b->N;) {
        THAW_CHECK(ids_a[i] != ids_b[j], THAW_ERR_INPUT,
                   "%s: the sample with id %" PRId64
                   " is in split %s and in split %s; splits must be disjoint",
                   ds->path, ids_a[i], a->name, b->name);
        if (ids_a[i] < ids_b[j])
            i++;
        else
            j++;
    }
    return THAW_OK;
}

static thaw_status check_disjoint(const thaw_dataset *ds)
{
    int64_t **ids = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&ids, ds->split_count, sizeof *ids));
    for (int64_t s = 0; s < ds->split_count; s++) {
        THAW_TRY_TO(sort_ids(ds, &ds->splits[s], &ids[s]));
        for (int64_t t = 0; ids[s] && t < s; t++)
            if (ids[t])
                THAW_TRY_TO(compare_splits(ds, &ds->splits[t], ids[t], &ds->splits[s], ids[s]));
    }
done:
    for (int64_t s = 0; ids && s < ds->split_count; s++)
        thaw_free(&ids[s]);
    thaw_free(&ids);
    return status;
}

thaw_status thaw_dataset_check(const thaw_dataset *ds)
{
    THAW_TRY(thaw_dataset_check_labels(ds));
    return check_disjoint(ds);
}

/* ---- Digest ---- */

static void add_part(thaw_str *text, const char *name, thaw_digest digest)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(digest, hex);
    thaw_str_printf(text, "%s %s\n", name, hex);
}

/* A text of one line a part, hashed at the end; docs/dataset-format.md shows it with an h5py program. Numbers are hashed as
 * little-endian arrays. */
thaw_digest thaw_dataset_content_digest(const thaw_dataset *ds)
{
    thaw_str text = {0};
    char shape[96];
    size_t C = (size_t)ds->shape.dim[0];
    thaw_shape_format(&ds->stored, shape, sizeof shape);
    thaw_str_printf(&text, "thaw-dataset 1\nsample %s %s\n", shape, thaw_dtype_name(ds->dtype));
    if (ds->task != THAW_TASK_CLASSIFICATION)
        thaw_str_printf(&text, "task %s\n", thaw_task_name(ds->task));
    if (ds->text.tokenizer && ds->text.tokenizer[0])
        thaw_str_printf(&text, "tokenizer %s\n", ds->text.tokenizer);
    if (ds->text.vocabulary && ds->text.vocabulary[0])
        thaw_str_printf(&text, "vocabulary %s %lld\n", ds->text.vocabulary,
                        (long long)ds->text.pieces);
    if (ds->text.pad_id > 0)
        thaw_str_printf(&text, "padding %lld\n", (long long)ds->text.pad_id);
    for (int64_t k = 0; k < ds->classes.count; k++)
        thaw_str_printf(&text, "class %s\n", ds->classes.items[k]);
    if (ds->file_mean) {
        add_part(&text, "mean", thaw_hash(ds->file_mean, C * sizeof(double)));
        add_part(&text, "std", thaw_hash(ds->file_std, C * sizeof(double)));
    }
    for (int64_t s = 0; s < ds->split_count; s++) {
        const thaw_split *split = &ds->splits[s];
        size_t N = (size_t)split->N;
        thaw_str_printf(&text, "split %s %lld\n", split->name, (long long)split->N);
        add_part(&text, "x", split->x_digest);
        if (split->y)
            add_part(&text, "y", thaw_hash(split->y, N * sizeof *split->y));
        if (split->targets)
            add_part(
                &text, "y",
                thaw_hash(split->targets, N * (size_t)ds->classes.count * sizeof *split->targets));
        if (split->cluster)
            add_part(&text, "cluster", thaw_hash(split->cluster, N * sizeof *split->cluster));
        if (split->id)
            add_part(&text, "id", thaw_hash(split->id, N * sizeof *split->id));
        for (int64_t i = 0; i < ds->stored_slices; i++) {
            thaw_str_printf(&text, "slice %s ", ds->slices.items[i]);
            add_part(&text, "mask", thaw_hash(split->masks[i], N));
        }
    }
    thaw_digest digest = thaw_hash(thaw_str_c(&text), text.length);
    thaw_str_clear(&text);
    return digest;
}

static thaw_status recorded_digest(const thaw_dataset *ds, const char *object, const char *name,
                                   bool *there, thaw_digest *out)
{
    thaw_str hex = {0};
    thaw_status status = THAW_OK;
    *there = thaw_h5_has_attribute(ds->file, object, name);
    if (*there) {
        THAW_TRY_TO(thaw_h5_get_text(ds->file, object, name, &hex));
        THAW_CHECK_TO(thaw_digest_parse(thaw_str_c(&hex), out), THAW_ERR_INPUT,
                      "%s: attribute %s of %s is \"%s\", not 32 hex digits", ds->path, name, object,
                      thaw_str_c(&hex));
    }
done:
    thaw_str_clear(&hex);
    return status;
}

/* What is in memory is always hashed. x that stays in the file is trusted to have its recorded digest, unless there is
 * none: thaw_dataset_verify reads it. */
static thaw_status digest_split(thaw_dataset *ds, thaw_split *split)
{
    char name[THAW_NAME_BYTES];
    bool there = false;
    thaw_digest recorded = {0};
    thaw_dataset_name(name, split, "x");
    THAW_TRY(recorded_digest(ds, name, "xxh3", &there, &recorded));
    split->x_digest = recorded;
    if (split->x || !there)
        THAW_TRY(thaw_dataset_scan_x(ds, split, &split->x_digest));
    THAW_CHECK(!there || thaw_digest_equal(recorded, split->x_digest), THAW_ERR_INPUT,
               "%s: %s differs from its recorded digest: the file is damaged, or was changed; if "
               "that was on purpose, "
               "remove the attributes \"xxh3\" and \"digest\"",
               ds->path, name);
    return THAW_OK;
}

thaw_status thaw_dataset_check_digest(thaw_dataset *ds)
{
    thaw_digest recorded = {0};
    for (int64_t s = 0; s < ds->split_count; s++)
        THAW_TRY(digest_split(ds, &ds->splits[s]));
    THAW_TRY(recorded_digest(ds, "/", "digest", &ds->digest_recorded, &recorded));
    ds->digest = thaw_dataset_content_digest(ds);
    THAW_CHECK(!ds->digest_recorded || thaw_digest_equal(recorded, ds->digest), THAW_ERR_INPUT,
               "%s: labels, ids, slices or normalisation differ from the recorded digest: the file "
               "is damaged, or was "
               "changed; if that was on purpose, remove the attribute \"digest\"",
               ds->path);
    return THAW_OK;
}

thaw_status thaw_dataset_verify(const thaw_dataset *ds, bool *recorded)
{
    for (int64_t s = 0; s < ds->split_count; s++) {
        thaw_digest now = {0};
        THAW_TRY(thaw_dataset_scan_x(ds, &ds->splits[s], &now));
        THAW_CHECK(thaw_digest_equal(now, ds->splits[s].x_digest), THAW_ERR_INPUT,
                   "%s: %s/x differs from its recorded digest: the file is damaged or was changed",
                   ds->path, ds->splits[s].name);
    }
    if (recorded)
        *recorded = ds->digest_recorded;
    return THAW_OK;
}
