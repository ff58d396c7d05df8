#include "thaw/store.h"

#include <string.h>
#include <unistd.h>

#include "thaw/h5.h"

#define FORMAT  "thaw-features"
#define VERSION 1
#define NAME    "features"
/* Rows are read in any order, so a part that is read and checked as one is small. */
#define PART_BYTES 65536
/* Rows that are read and hashed together. */
#define PIECE_BYTES (4 << 20)

struct thaw_feature_file {
    thaw_h5 *h5;
    char *path;           /* where commit puts it */
    thaw_hasher *written; /* of the values so far; NULL when reading */
    int64_t rows, width, done;
    double core_seconds;
};

void thaw_feature_close(thaw_feature_file **file)
{
    if (*file == NULL)
        return;
    thaw_h5_close(&(*file)->h5);
    thaw_hasher_free(&(*file)->written);
    thaw_free(&(*file)->path);
    thaw_free(file);
}

/* ---- Writing ------------------------------------------------------------------------------------------------- */

static thaw_status describe(thaw_h5 *h5, const thaw_feature_info *info)
{
    char hex[THAW_DIGEST_HEX];
    const thaw_shape shape = thaw_shape2(info->rows, info->width);
    const int64_t row_bytes = info->width * (int64_t)sizeof(float);
    int64_t part = row_bytes < PART_BYTES ? PART_BYTES / row_bytes : 1;
    part = part < info->rows ? part : info->rows;
    thaw_digest_hex(info->key, hex);
    THAW_TRY(thaw_h5_set_text(h5, "/", "format", FORMAT));
    THAW_TRY(thaw_h5_set_int(h5, "/", "version", VERSION));
    THAW_TRY(thaw_h5_set_text(h5, "/", "key", hex));
    THAW_TRY(thaw_h5_make(h5, NAME, THAW_F32, &shape, part));
    return thaw_h5_set_text(h5, NAME, "about", info->about != NULL ? info->about : "");
}

thaw_status thaw_feature_create(const char *path, const thaw_feature_info *info,
                                thaw_feature_file **out)
{
    thaw_feature_file *file = NULL;
    thaw_str own = {0};
    thaw_status status;
    *out = NULL;
    thaw_str_printf(&own, "%s.%ld", path, (long)getpid());
    THAW_TRY_TO(thaw_alloc(&file, 1, sizeof *file));
    file->rows = info->rows;
    file->width = info->width;
    THAW_TRY_TO(thaw_strdup(&file->path, path));
    THAW_TRY_TO(thaw_hasher_new(&file->written));
    THAW_TRY_TO(thaw_h5_create(thaw_str_c(&own), &file->h5));
    THAW_TRY_TO(describe(file->h5, info));
    *out = file;
    file = NULL;
done:
    thaw_feature_close(&file);
    thaw_str_clear(&own);
    return status;
}

thaw_status thaw_feature_append(thaw_feature_file *file, int64_t n, const float *values)
{
    THAW_ASSERT(file->written != NULL && file->done + n <= file->rows);
    THAW_CHECK(!thaw_fault("cache_write"), THAW_ERR_RESOURCE,
               "%s: cannot write features: fault injected", file->path);
    THAW_TRY(thaw_h5_write_rows(file->h5, NAME, file->done, n, THAW_F32, values));
    thaw_hasher_add(file->written, values, (size_t)(n * file->width) * sizeof *values);
    file->done += n;
    return THAW_OK;
}

thaw_status thaw_feature_commit(thaw_feature_file **file, double core_seconds)
{
    thaw_feature_file *f = *file;
    char hex[THAW_DIGEST_HEX];
    thaw_str own = {0};
    thaw_status status;
    THAW_ASSERT(f->done == f->rows);
    thaw_digest_hex(thaw_hasher_get(f->written), hex);
    thaw_str_add(&own, thaw_h5_path(f->h5));
    THAW_TRY_TO(thaw_h5_set_double(f->h5, "/", "core_seconds", core_seconds));
    THAW_TRY_TO(thaw_h5_set_text(f->h5, "/", "digest", hex));
    THAW_TRY_TO(thaw_h5_commit(&f->h5));
    status = thaw_file_commit(thaw_str_c(&own), f->path);
    if (status != THAW_OK)
        (void)unlink(thaw_str_c(&own));
done:
    thaw_str_clear(&own);
    thaw_feature_close(file);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

static thaw_status check_text(const thaw_h5 *h5, const char *name, const char *expected)
{
    thaw_str text = {0};
    thaw_status status = thaw_h5_get_text(h5, "/", name, &text);
    if (status == THAW_OK && strcmp(thaw_str_c(&text), expected) != 0)
        status = THAW_FAIL(THAW_ERR_INPUT, "%s: its %s is '%s', not '%s'", thaw_h5_path(h5), name,
                           thaw_str_c(&text), expected);
    thaw_str_clear(&text);
    return status;
}

static thaw_status check_file(const thaw_h5 *h5, const thaw_feature_info *wanted)
{
    char hex[THAW_DIGEST_HEX];
    thaw_h5_info info;
    int64_t version = 0;
    thaw_digest_hex(wanted->key, hex);
    THAW_TRY(check_text(h5, "format", FORMAT));
    THAW_TRY(thaw_h5_get_int(h5, "/", "version", &version));
    THAW_CHECK(version == VERSION, THAW_ERR_INPUT, "%s: version %lld of the format, not %d",
               thaw_h5_path(h5), (long long)version, VERSION);
    THAW_TRY(check_text(h5, "key", hex));
    THAW_TRY(thaw_h5_info_of(h5, NAME, &info));
    const thaw_shape shape = thaw_shape2(wanted->rows, wanted->width);
    THAW_CHECK(!info.text && info.dtype == THAW_F32 && thaw_shape_equal(&info.shape, &shape),
               THAW_ERR_INPUT, "%s: its features have another shape or type", thaw_h5_path(h5));
    return THAW_OK;
}

thaw_status thaw_feature_open(const char *path, const thaw_feature_info *info,
                              thaw_feature_file **out)
{
    thaw_feature_file *file = NULL;
    thaw_status status;
    *out = NULL;
    THAW_TRY_TO(thaw_alloc(&file, 1, sizeof *file));
    file->rows = info->rows;
    file->width = info->width;
    THAW_TRY_TO(thaw_strdup(&file->path, path));
    THAW_TRY_TO(thaw_h5_open(path, &file->h5));
    THAW_TRY_TO(check_file(file->h5, info));
    THAW_TRY_TO(thaw_h5_get_double(file->h5, "/", "core_seconds", &file->core_seconds));
    *out = file;
    file = NULL;
done:
    thaw_feature_close(&file);
    return status;
}

thaw_status thaw_feature_read(thaw_feature_file *file, int64_t first, int64_t n, float *values)
{
    THAW_ASSERT(file->written == NULL && first >= 0 && first + n <= file->rows);
    THAW_CHECK(!thaw_fault("cache_read"), THAW_ERR_INPUT,
               "%s: cannot read features: fault injected", file->path);
    return thaw_h5_read_rows(file->h5, NAME, first, n, THAW_F32, values);
}

thaw_status thaw_feature_read_all(thaw_feature_file *file, float *values)
{
    const int64_t row_bytes = file->width * (int64_t)sizeof *values;
    const int64_t most = row_bytes < PIECE_BYTES ? PIECE_BYTES / row_bytes : 1;
    thaw_hasher *hasher = NULL;
    char hex[THAW_DIGEST_HEX];
    thaw_status status;
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    for (int64_t at = 0; at < file->rows; at += most) {
        const int64_t n = file->rows - at < most ? file->rows - at : most;
        THAW_TRY_TO(thaw_feature_read(file, at, n, values + at * file->width));
        thaw_hasher_add(hasher, values + at * file->width, (size_t)(n * row_bytes));
    }
    thaw_digest_hex(thaw_hasher_get(hasher), hex);
    status = check_text(file->h5, "digest", hex);
done:
    thaw_hasher_free(&hasher);
    return status;
}

double thaw_feature_core_seconds(const thaw_feature_file *file)
{
    return file->core_seconds;
}
