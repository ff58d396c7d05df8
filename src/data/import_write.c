/* The last step of an import: one pass over the sources, every kept row to the end of its split. */
#include "data/dataset_impl.h"
#include "data/named_impl.h"

#include <string.h>

#define BLOCK_BYTES ((int64_t)4 << 20)
#define CHUNK_BYTES ((int64_t)128 << 10)

/* What the pass needs beside the job. */
typedef struct writer {
    thaw_job *job;
    thaw_dataset *ds;      /* becomes the file, but for x */
    thaw_hasher **hashers; /* (split_count) */
    int64_t *written;      /* (split_count) rows */
    int64_t *
        file_split; /* (split_count) split of the job -> split of ds, which is in the order of names */
    thaw_moments moments;
    int64_t measured; /* split of ds that moments are taken of */
    int64_t block;    /* rows a block */
    void *raw;        /* (block, sample) as in the source */
    void *packed;     /* (block, sample) as stored */
    float *turn;      /* (sample), for layout hwc */
} writer;

static thaw_status order_splits(writer *w)
{
    const thaw_job *job = w->job;
    THAW_TRY(thaw_alloc(&w->file_split, job->split_count, sizeof *w->file_split));
    for (int64_t s = 0; s < job->split_count; s++)
        for (int64_t t = 0; t < job->split_count; t++)
            w->file_split[s] += strcmp(job->splits[t].name, job->splits[s].name) < 0;
    return THAW_OK;
}

static thaw_status make_split(writer *w, int64_t s)
{
    const thaw_job *job = w->job;
    thaw_split *split = &w->ds->splits[w->file_split[s]];
    split->N = job->splits[s].drawn;
    THAW_TRY(thaw_strdup(&split->name, job->splits[s].name));
    if (job->targets)
        THAW_TRY(thaw_alloc(&split->targets, split->N * job->K, sizeof *split->targets));
    else
        THAW_TRY(thaw_alloc(&split->y, split->N, sizeof *split->y));
    THAW_TRY(thaw_alloc(&split->id, split->N, sizeof *split->id));
    if (job->clusters)
        THAW_TRY(thaw_alloc(&split->cluster, split->N, sizeof *split->cluster));
    int64_t n = 0;
    for (int64_t row = 0; row < job->N; row++) {
        if (job->split_of[row] != s)
            continue;
        if (job->targets)
            memcpy(split->targets + n * job->K, job->targets + row * job->K,
                   (size_t)job->K * sizeof *split->targets);
        else
            split->y[n] = job->labels[row];
        split->id[n] = row;
        if (job->clusters)
            split->cluster[n] = job->clusters[row];
        n++;
    }
    THAW_ASSERT(n == split->N);
    return THAW_OK;
}

/* Description of a slice expression: what stands behind its name. */
static thaw_status make_slices(writer *w)
{
    const thaw_job *job = w->job;
    thaw_dataset *ds = w->ds;
    for (int64_t i = 0; i < job->options->slices.count; i++) {
        const char *text = job->options->slices.items[i];
        thaw_str name = {0};
        thaw_str_add_bytes(&name, text, strcspn(text, "="));
        thaw_status status = thaw_dataset_add_slice(ds, thaw_str_c(&name), strchr(text, '=') + 1);
        thaw_str_clear(&name);
        THAW_TRY(status);
    }
    const thaw_strings *named = &job->named.slices.list;
    for (int64_t i = 0; i < named->count; i++) {
        THAW_CHECK(thaw_dataset_slice_find(ds, named->items[i]) < 0, THAW_ERR_USAGE,
                   "--slices names \"%s\", which is a slice of the sources", named->items[i]);
        THAW_TRY(thaw_dataset_add_slice(ds, named->items[i], "named by the source"));
    }
    thaw_dataset_sort_slices(ds);
    ds->stored_slices = ds->slices.count;
    return thaw_dataset_make_masks(ds);
}

/* From job->mask, which goes by row; the number of members. */
static int64_t spread_mask(writer *w, int64_t slice)
{
    int64_t members = 0;
    for (int64_t s = 0; s < w->ds->split_count; s++) {
        thaw_split *split = &w->ds->splits[s];
        for (int64_t n = 0; n < split->N; n++) {
            split->masks[slice][n] = w->job->mask[split->id[n]];
            members += split->masks[slice][n];
        }
    }
    return members;
}

static thaw_status fill_slice(writer *w, int64_t i)
{
    thaw_job *job = w->job;
    char *name = NULL;
    THAW_TRY(thaw_job_slice(job, i, &name));
    const int64_t members = spread_mask(w, thaw_dataset_slice_find(w->ds, name));
    thaw_status status = THAW_OK;
    THAW_CHECK_TO(members > 0, THAW_ERR_USAGE,
                  "--slices \"%s\": no sample of any split belongs to it",
                  job->options->slices.items[i]);
done:
    thaw_free(&name);
    return status;
}

static thaw_status fill_named_slices(writer *w)
{
    thaw_job *job = w->job;
    const thaw_strings *names = &job->named.slices.list;
    if (names->count > 0 && job->mask == NULL)
        THAW_TRY(thaw_alloc(&job->mask, job->N, 1));
    for (int64_t i = 0; i < names->count; i++) {
        thaw_job_named_mask(job, i);
        (void)spread_mask(w, thaw_dataset_slice_find(w->ds, names->items[i]));
    }
    return THAW_OK;
}

/* Everything of the file that is not x. */
static thaw_status build(writer *w)
{
    const thaw_job *job = w->job;
    thaw_dataset *ds = w->ds;
    THAW_TRY(thaw_strdup(&ds->path, job->options->output));
    ds->task = job->task;
    ds->text.pieces = job->text.pieces;
    ds->text.pad_id = job->text.pad_id;
    THAW_TRY(thaw_strdup(&ds->text.tokenizer, job->text.tokenizer));
    THAW_TRY(thaw_strdup(&ds->text.vocabulary, job->text.vocabulary));
    ds->dtype = job->dtype;
    ds->stored = job->sample;
    ds->shape = thaw_dataset_shape_of(&job->sample);
    ds->values = thaw_shape_count(&job->sample);
    for (int64_t k = 0; k < job->K; k++)
        THAW_TRY(thaw_strings_add(&ds->classes, job->class_names[k]));
    THAW_TRY(order_splits(w));
    THAW_TRY(thaw_alloc(&ds->splits, job->split_count, sizeof *ds->splits));
    ds->split_count = job->split_count;
    for (int64_t s = 0; s < job->split_count; s++)
        THAW_TRY(make_split(w, s));
    if (job->targets)
        THAW_TRY(thaw_dataset_check_labels(ds));
    THAW_TRY(make_slices(w));
    for (int64_t i = 0; i < job->options->slices.count; i++)
        THAW_TRY(fill_slice(w, i));
    THAW_TRY(fill_named_slices(w));
    int64_t train = thaw_dataset_split_find(ds, "train");
    w->measured = train >= 0 ? train : w->file_split[0];
    return THAW_OK;
}

static thaw_status prepare_pass(writer *w)
{
    int64_t source_bytes = 8 * w->ds->values;
    w->block = source_bytes < BLOCK_BYTES ? BLOCK_BYTES / source_bytes : 1;
    size_t stored = thaw_dtype_bytes(w->ds->dtype);
    THAW_TRY(thaw_alloc(&w->raw, w->block * w->ds->values, 8));
    THAW_TRY(thaw_alloc(&w->packed, w->block * w->ds->values, stored));
    THAW_TRY(thaw_alloc(&w->turn, w->ds->values, sizeof *w->turn));
    THAW_TRY(thaw_alloc(&w->written, w->ds->split_count, sizeof *w->written));
    THAW_TRY(thaw_alloc(&w->hashers, w->ds->split_count, sizeof(thaw_hasher *)));
    int64_t row_bytes = w->ds->values * (int64_t)stored;
    for (int64_t s = 0; s < w->ds->split_count; s++) {
        char name[THAW_NAME_BYTES];
        thaw_split *split = &w->ds->splits[s];
        thaw_shape shape = {.ndim = w->ds->stored.ndim + 1, .dim = {split->N}};
        for (int d = 0; d < w->ds->stored.ndim; d++)
            shape.dim[d + 1] = w->ds->stored.dim[d];
        thaw_dataset_name(name, split, "x");
        THAW_TRY(thaw_hasher_new(&w->hashers[s]));
        THAW_TRY(thaw_h5_make(w->ds->file, name, w->ds->dtype, &shape,
                              row_bytes < CHUNK_BYTES ? CHUNK_BYTES / row_bytes : 1));
    }
    return thaw_moments_init(&w->moments, w->ds->shape.dim[0]);
}

/* One raw row (H, W, C) or (C, H, W) to (C, H, W) as stored. `row` counts in its source, for messages. */
static thaw_status convert_row(const writer *w, const thaw_array *x, int64_t row, const void *raw,
                               void *out)
{
    int64_t C = w->ds->shape.dim[0], plane = w->ds->values / C;
    bool turned = w->job->options->layout == THAW_HWC && x->shape.ndim == 4 && C > 1;
    if (w->ds->dtype == THAW_I32) {
        memcpy(out, raw, (size_t)w->ds->values * sizeof(int32_t));
        return THAW_OK;
    }
    if (w->ds->dtype == THAW_F32) {
        float *pixels = turned ? w->turn : out;
        THAW_TRY(thaw_array_pixels(x, row, raw, pixels));
        for (int64_t i = 0; turned && i < w->ds->values; i++)
            ((float *)out)[i % C * plane + i / C] = pixels[i];
        return THAW_OK;
    }
    if (!turned)
        memcpy(out, raw, (size_t)w->ds->values);
    for (int64_t i = 0; turned && i < w->ds->values; i++)
        ((uint8_t *)out)[i % C * plane + i / C] = ((const uint8_t *)raw)[i];
    return THAW_OK;
}

/* The rows of split s among rows [first, first + n) of a source, whose raw values are staged. */
static thaw_status pack(writer *w, const thaw_source *source, int64_t first, int64_t n, int64_t s)
{
    thaw_dataset *ds = w->ds;
    int64_t t = w->file_split[s], count = 0;
    size_t raw_bytes = (size_t)ds->values * thaw_dtype_bytes(source->x.dtype);
    size_t bytes = (size_t)ds->values * thaw_dtype_bytes(ds->dtype);
    for (int64_t i = 0; i < n; i++) {
        if (w->job->split_of[source->first + first + i] != s)
            continue;
        THAW_TRY(convert_row(w, &source->x, first + i, (const char *)w->raw + (size_t)i * raw_bytes,
                             (char *)w->packed + (size_t)count * bytes));
        count++;
    }
    if (count == 0)
        return THAW_OK;
    char name[THAW_NAME_BYTES];
    thaw_dataset_name(name, &ds->splits[t], "x");
    THAW_TRY(thaw_h5_write_rows(ds->file, name, w->written[t], count, ds->dtype, w->packed));
    thaw_hasher_add(w->hashers[t], w->packed, (size_t)count * bytes);
    if (t == w->measured && ds->dtype != THAW_I32)
        thaw_moments_add(&w->moments, ds->dtype, count, ds->values, w->packed);
    w->written[t] += count;
    return THAW_OK;
}

static thaw_status pass_source(writer *w, thaw_source *source)
{
    for (int64_t first = 0; first < source->count; first += w->block) {
        int64_t n = source->count - first < w->block ? source->count - first : w->block;
        bool wanted = false;
        for (int64_t i = 0; i < n && !wanted; i++)
            wanted = w->job->split_of[source->first + first + i] >= 0;
        if (!wanted)
            continue;
        THAW_TRY(source->x.kind->rows(&source->x, first, n, w->raw));
        for (int64_t s = 0; s < w->job->split_count; s++)
            THAW_TRY(pack(w, source, first, n, s));
    }
    return THAW_OK;
}

static thaw_status normalisation(writer *w)
{
    thaw_dataset *ds = w->ds;
    const thaw_import *o = w->job->options;
    int64_t C = ds->shape.dim[0];
    if (ds->dtype == THAW_I32)
        return THAW_OK;
    THAW_TRY(thaw_alloc(&ds->file_mean, C, sizeof(double)));
    THAW_TRY(thaw_alloc(&ds->file_std, C, sizeof(double)));
    thaw_moments_get(&w->moments, ds->file_mean, ds->file_std);
    double unit = ds->dtype == THAW_U8 ? 255 : 1;
    for (int64_t c = 0; c < C; c++) {
        ds->file_mean[c] = o->mean.count ? o->mean.items[c] : ds->file_mean[c] / unit;
        ds->file_std[c] = o->std.count          ? o->std.items[c]
                          : ds->file_std[c] > 0 ? ds->file_std[c] / unit
                                                : 1;
    }
    return THAW_OK;
}

static thaw_status write_column(writer *w, const thaw_split *split, const char *part,
                                thaw_dtype dtype, const void *data)
{
    char name[THAW_NAME_BYTES];
    thaw_shape shape = thaw_shape1(split->N);
    if (!data)
        return THAW_OK;
    thaw_dataset_name(name, split, part);
    THAW_TRY(thaw_h5_make(w->ds->file, name, dtype, &shape, 0));
    return thaw_h5_write_rows(w->ds->file, name, 0, split->N, dtype, data);
}

/* Labels as bytes, numbers as they are. */
static thaw_status write_targets(writer *w, const thaw_split *split)
{
    char name[THAW_NAME_BYTES];
    const thaw_dtype stored = w->ds->task == THAW_TASK_MULTI_LABEL ? THAW_U8 : THAW_F32;
    const thaw_shape shape = thaw_shape2(split->N, w->ds->classes.count);
    if (!split->targets)
        return THAW_OK;
    thaw_dataset_name(name, split, "y");
    THAW_TRY(thaw_h5_make(w->ds->file, name, stored, &shape, 0));
    return thaw_h5_write_rows(w->ds->file, name, 0, split->N, THAW_F32, split->targets);
}

static thaw_status write_split(writer *w, int64_t s)
{
    thaw_dataset *ds = w->ds;
    thaw_split *split = &ds->splits[s];
    char name[THAW_NAME_BYTES], part[THAW_NAME_BYTES / 2], hex[THAW_DIGEST_HEX];
    THAW_ASSERT(w->written[s] == split->N);
    split->x_digest = thaw_hasher_get(w->hashers[s]);
    thaw_digest_hex(split->x_digest, hex);
    thaw_dataset_name(name, split, "x");
    THAW_TRY(thaw_h5_set_text(ds->file, name, "xxh3", hex));
    THAW_TRY(write_column(w, split, "y", THAW_I32, split->y));
    THAW_TRY(write_targets(w, split));
    THAW_TRY(write_column(w, split, "id", THAW_I64, split->id));
    THAW_TRY(write_column(w, split, "cluster", THAW_I32, split->cluster));
    for (int64_t i = 0; i < ds->slices.count; i++) {
        bool fits = thaw_format(part, sizeof part, "slices/%s", ds->slices.items[i]);
        THAW_ASSERT(fits);
        THAW_TRY(write_column(w, split, part, THAW_U8, split->masks[i]));
        thaw_dataset_name(name, split, part);
        THAW_TRY(thaw_h5_set_text(ds->file, name, "description", ds->descriptions.items[i]));
    }
    return THAW_OK;
}

static thaw_status write_numbers(thaw_h5 *file, const char *name, const double *values,
                                 int64_t count)
{
    if (count <= THAW_ATTRIBUTE_ITEMS_MOST)
        return thaw_h5_set_doubles(file, "/", name, values, count);
    thaw_shape shape = thaw_shape1(count);
    THAW_TRY(thaw_h5_make(file, name, THAW_F64, &shape, 0));
    return thaw_h5_write_rows(file, name, 0, count, THAW_F64, values);
}

static thaw_status write_root(writer *w)
{
    thaw_dataset *ds = w->ds;
    const thaw_import *o = w->job->options;
    char hex[THAW_DIGEST_HEX], version[64];
    thaw_digest_hex(thaw_dataset_content_digest(ds), hex);
    thaw_format(version, sizeof version, "thaw %s", thaw_version());
    THAW_TRY(thaw_h5_set_text(ds->file, "/", "format", THAW_DATASET_FORMAT));
    THAW_TRY(thaw_h5_set_int(ds->file, "/", "version", THAW_DATASET_VERSION));
    THAW_TRY(thaw_h5_set_text(ds->file, "/", "task", thaw_task_name(ds->task)));
    THAW_TRY(thaw_h5_set_text(ds->file, "/", "created_by", version));
    if (o->origin && *o->origin)
        THAW_TRY(thaw_h5_set_text(ds->file, "/", "origin", o->origin));
    if (o->licence && *o->licence)
        THAW_TRY(thaw_h5_set_text(ds->file, "/", "licence", o->licence));
    if (ds->classes.count <= THAW_ATTRIBUTE_ITEMS_MOST)
        THAW_TRY(thaw_h5_set_strings(ds->file, "/", "classes", &ds->classes));
    else
        THAW_TRY(thaw_h5_put_strings(ds->file, "classes", &ds->classes));
    if (ds->dtype == THAW_I32) {
        THAW_TRY(thaw_h5_set_text(ds->file, "/", "tokenizer", ds->text.tokenizer));
        THAW_TRY(thaw_h5_set_text(ds->file, "/", "vocabulary", ds->text.vocabulary));
        THAW_TRY(thaw_h5_set_int(ds->file, "/", "pieces", ds->text.pieces));
        if (ds->text.pad_id > 0)
            THAW_TRY(thaw_h5_set_int(ds->file, "/", "padding", ds->text.pad_id));
    } else {
        THAW_TRY(write_numbers(ds->file, "mean", ds->file_mean, ds->shape.dim[0]));
        THAW_TRY(write_numbers(ds->file, "std", ds->file_std, ds->shape.dim[0]));
    }
    return thaw_h5_set_text(ds->file, "/", "digest", hex);
}

static void clear_writer(writer *w)
{
    for (int64_t s = 0; w->hashers && s < w->ds->split_count; s++)
        thaw_hasher_free(&w->hashers[s]);
    thaw_free(&w->hashers);
    thaw_free(&w->written);
    thaw_free(&w->file_split);
    thaw_free(&w->raw);
    thaw_free(&w->packed);
    thaw_free(&w->turn);
    thaw_moments_clear(&w->moments);
    thaw_dataset_free(&w->ds);
}

thaw_status thaw_job_rehearse(thaw_job *job)
{
    writer w = {.job = job};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&w.ds, 1, sizeof *w.ds));
    THAW_TRY_TO(build(&w));
done:
    clear_writer(&w);
    return status;
}

thaw_status thaw_job_write(thaw_job *job)
{
    writer w = {.job = job};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&w.ds, 1, sizeof *w.ds));
    THAW_TRY_TO(build(&w));
    THAW_TRY_TO(thaw_h5_create(job->options->output, &w.ds->file));
    THAW_TRY_TO(prepare_pass(&w));
    for (int64_t i = 0; i < job->source_count; i++)
        THAW_TRY_TO(pass_source(&w, &job->sources[i]));
    THAW_TRY_TO(normalisation(&w));
    for (int64_t s = 0; s < w.ds->split_count; s++)
        THAW_TRY_TO(write_split(&w, s));
    THAW_TRY_TO(write_root(&w));
    THAW_TRY_TO(thaw_h5_commit(&w.ds->file));
done:
    clear_writer(&w);
    return status;
}
