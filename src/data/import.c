#include "data/named_impl.h"

#include <inttypes.h>
#include <string.h>

static thaw_status check_options(const thaw_import *o)
{
    THAW_CHECK(o->images.count > 0, THAW_ERR_USAGE,
               "--images, or --texts: name at least one file with samples");
    THAW_CHECK(o->output && *o->output, THAW_ERR_USAGE, "--output: name the dataset file to write");
    THAW_CHECK(
        o->labels.count == 0 || o->labels.count == o->images.count, THAW_ERR_USAGE,
        "--labels names %lld files for %lld of --images; name one for each, in the same order",
        (long long)o->labels.count, (long long)o->images.count);
    THAW_CHECK(
        o->clusters.count == 0 || o->clusters.count == o->images.count, THAW_ERR_USAGE,
        "--clusters names %lld files for %lld of --images; name one for each, in the same order",
        (long long)o->clusters.count, (long long)o->images.count);
    THAW_CHECK((o->mean.count == 0) == (o->std.count == 0), THAW_ERR_USAGE,
               "--mean and --std belong together");
    THAW_CHECK(
        o->task != THAW_TASK_CLASSIFICATION || o->label.count <= 1, THAW_ERR_USAGE,
        "--label names %lld columns; a classification has one: is this --task multi_label or "
        "regression?",
        (long long)o->label.count);
    THAW_CHECK(
        o->separator == NULL ||
            (o->task == THAW_TASK_MULTI_LABEL && o->label.count <= 1 && *o->separator),
        THAW_ERR_USAGE,
        "--separator: is what stands between labels in one column, of --task multi_label; it "
        "must not be empty");
    THAW_CHECK(o->task == THAW_TASK_CLASSIFICATION || o->select.count == 0, THAW_ERR_USAGE,
               "--select chooses classes; a task of %s has none",
               thaw_task_name((thaw_task)o->task));
    return THAW_OK;
}

/* (C, H, W) or (D) as we store it, of one sample of this array. */
static thaw_status sample_shape(const thaw_job *job, const thaw_array *x, thaw_shape *out)
{
    const int64_t *dim = x->shape.dim;
    char shape[96];
    thaw_shape_format(&x->shape, shape, sizeof shape);
    switch (x->shape.ndim) {
    case 2:
        *out = thaw_shape1(dim[1]);
        return THAW_OK;
    case 3:
        *out = thaw_shape_make(3, (int64_t[]){1, dim[1], dim[2]});
        return THAW_OK;
    case 4:
        if (job->options->layout == THAW_HWC)
            *out = thaw_shape_make(3, (int64_t[]){dim[3], dim[1], dim[2]});
        else
            *out = thaw_shape_make(3, dim + 1);
        if (job->options->layout == THAW_CHW && dim[1] > 4 &&
            (dim[3] == 1 || dim[3] == 3 || dim[3] == 4))
            THAW_LOG(THAW_WARN, "%s: shape %s looks like channels last; if it is, add --layout hwc",
                     x->name, shape);
        return THAW_OK;
    default:
        return THAW_FAIL(
            THAW_ERR_INPUT,
            "%s: samples have shape %s; supported are (N, D), (N, H, W) and 4 dimensions", x->name,
            shape);
    }
}

static thaw_status open_x(thaw_job *job, int64_t i)
{
    thaw_source *source = &job->sources[i];
    thaw_shape sample = {0};
    THAW_TRY(thaw_array_open(job->kind, job->options->images.items[i], THAW_ROLE_X, &source->x));
    THAW_TRY(sample_shape(job, &source->x, &sample));
    thaw_dtype dtype = source->x.dtype == THAW_U8 ? THAW_U8 : THAW_F32;
    if (i == 0) {
        job->sample = sample;
        job->dtype = dtype;
    }
    char here[96], first[96];
    thaw_shape_format(&sample, here, sizeof here);
    thaw_shape_format(&job->sample, first, sizeof first);
    THAW_CHECK(thaw_shape_equal(&sample, &job->sample) && dtype == job->dtype, THAW_ERR_INPUT,
               "%s: samples are %s of %s, but those of %s are %s of %s", source->x.name, here,
               thaw_dtype_name(source->x.dtype), job->sources[0].x.name, first,
               thaw_dtype_name(job->sources[0].x.dtype));
    source->first = job->N;
    source->count = source->x.shape.dim[0];
    job->N += source->count;
    return THAW_OK;
}

/* One whole number for each row of source i, from a file of its own, to out. */
static thaw_status read_integers(thaw_job *job, int64_t i, const char *file, thaw_role role,
                                 int64_t *out)
{
    const thaw_source *source = &job->sources[i];
    thaw_array array = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_array_open(job->kind, file, role, &array));
    THAW_CHECK_TO(array.shape.dim[0] == source->count, THAW_ERR_INPUT,
                  "%s has %lld rows, but %s has %lld", array.name, (long long)array.shape.dim[0],
                  source->x.name, (long long)source->count);
    THAW_TRY_TO(thaw_array_integers(&array, out + source->first));
done:
    thaw_array_close(&array);
    return status;
}

static thaw_status read_labels(thaw_job *job)
{
    const thaw_import *o = job->options;
    THAW_CHECK(o->labels.count > 0 || job->kind->labels_inside, THAW_ERR_USAGE,
               "--labels: %s files have no labels inside; name one file for each of --images",
               job->kind->name);
    if (job->task == THAW_TASK_CLASSIFICATION)
        THAW_TRY(thaw_alloc(&job->source_labels, job->N, sizeof *job->source_labels));
    for (int64_t i = 0; i < job->source_count; i++) {
        const char *file = o->labels.count ? o->labels.items[i] : o->images.items[i];
        thaw_str whole = {0};
        /* "FILE:x" without labels means FILE's own y. */
        if (o->labels.count == 0 && !thaw_path_exists(file) && strrchr(file, ':')) {
            thaw_str_add_bytes(&whole, file, (size_t)(strrchr(file, ':') - file));
            file = thaw_str_c(&whole);
        }
        const thaw_status status =
            job->task == THAW_TASK_CLASSIFICATION
                ? read_integers(job, i, file, THAW_ROLE_Y, job->source_labels)
                : thaw_job_read_targets(job, i, file);
        thaw_str_clear(&whole);
        THAW_TRY(status);
    }
    return THAW_OK;
}

static thaw_status read_clusters(thaw_job *job)
{
    const thaw_import *o = job->options;
    if (o->clusters.count == 0)
        return THAW_OK;
    int64_t *wide = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&wide, job->N, sizeof *wide));
    THAW_TRY_TO(thaw_alloc(&job->clusters, job->N, sizeof *job->clusters));
    for (int64_t i = 0; i < job->source_count; i++)
        THAW_TRY_TO(read_integers(job, i, o->clusters.items[i], THAW_ROLE_CLUSTER, wide));
    for (int64_t n = 0; n < job->N; n++) {
        THAW_CHECK_TO(wide[n] >= INT32_MIN && wide[n] <= INT32_MAX, THAW_ERR_INPUT,
                      "clusters: row %lld has the number %" PRId64 "; it must fit 32 bits",
                      (long long)n, wide[n]);
        job->clusters[n] = (int32_t)wide[n];
    }
done:
    thaw_free(&wide);
    return status;
}

/* Labels and all else come with the rows. */
static thaw_status open_named(thaw_job *job)
{
    THAW_TRY(thaw_named_start(job));
    THAW_TRY(job->kind->list(job));
    THAW_TRY(thaw_named_finish(&job->named));
    return thaw_job_take_named(job);
}

/* What an option is for. */
typedef enum use {
    USE_NUMBERED,
    USE_ARRAYS,
    USE_VALUES,
    USE_PICTURES,
    USE_TEXTS,
    USE_TABLES,
    USE_COUNT
} use;

static thaw_status check_use(const thaw_importer *kind, const char *option, use what)
{
    const bool named = kind->list != NULL;
    const struct {
        bool fits;
        const char *why, *formats;
    } uses[USE_COUNT] = {
        [USE_NUMBERED] = {!named, NULL, NULL},
        [USE_ARRAYS] = {!named, " is for arrays of numbers, not for texts or picture files",
                        "idx, hdf5 or npy"},
        [USE_VALUES] = {!kind->is_text, " is for pictures and numbers, not for texts",
                        "images, idx, hdf5 or npy"},
        [USE_PICTURES] = {named && !kind->is_text, " is for pictures in JPEG and PNG files",
                          "images"},
        [USE_TEXTS] = {kind->is_text, " is for texts", "csv or tsv"},
        [USE_TABLES] = {named, " is for tables of texts or pictures", "csv, tsv or images"},
    };
    THAW_CHECK(uses[what].fits || uses[what].why, THAW_ERR_USAGE,
               "--%s: %s name these themselves; leave it out", option, kind->name);
    THAW_CHECK(uses[what].fits, THAW_ERR_USAGE,
               "--%s%s, but the sources are %s; say --format %s, or leave it out", option,
               uses[what].why, kind->name, uses[what].formats);
    return THAW_OK;
}

/* An option that these sources have no use for is a mistake about them, also when it asks for what is usual. */
static thaw_status check_applies(const thaw_import *o, const thaw_importer *kind)
{
    thaw_import usual;
    thaw_import_init(&usual);
    const struct {
        const char *name;
        bool changed;
        use what;
    } options[] = {
        {"layout", o->layout != usual.layout, USE_ARRAYS},
        {"labels", o->labels.count > 0, USE_NUMBERED},
        {"clusters", o->clusters.count > 0, USE_NUMBERED},
        {"mean", o->mean.count > 0, USE_VALUES},
        {"std", o->std.count > 0, USE_VALUES},
        {"size", o->size != usual.size, USE_PICTURES},
        {"shorter", o->shorter != usual.shorter, USE_PICTURES},
        {"fit", o->fit != usual.fit, USE_PICTURES},
        {"filter", o->filter != usual.filter, USE_PICTURES},
        {"colours", o->colours != usual.colours, USE_PICTURES},
        {"broken", o->max_broken > usual.max_broken, USE_PICTURES},
        {"vocab", o->vocab != NULL, USE_TEXTS},
        {"cased", o->cased != usual.cased, USE_TEXTS},
        {"tokens", o->tokens != usual.tokens, USE_TEXTS},
        {"quotes", o->quotes != usual.quotes, USE_TEXTS},
        {"text", o->text != NULL, USE_TEXTS},
        {"text-pair", o->text_pair != NULL, USE_TEXTS},
        {"label", o->label.count > 0, USE_TABLES},
        {"separator", o->separator != NULL, USE_TABLES},
        {"split", o->split != NULL, USE_TABLES},
        {"slice", o->slice != NULL, USE_TABLES},
        {"cluster", o->cluster != NULL, USE_TABLES},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].changed || thaw_import_given(o, options[i].name))
            THAW_TRY(check_use(kind, options[i].name, options[i].what));
    return THAW_OK;
}

thaw_status thaw_job_open(thaw_job *job)
{
    const thaw_import *o = job->options;
    THAW_TRY(thaw_importer_find(o->format, o->images.items[0], &job->kind));
    THAW_TRY(thaw_alloc(&job->sources, o->images.count, sizeof *job->sources));
    job->source_count = o->images.count;
    if (job->kind->list)
        THAW_TRY(open_named(job));
    for (int64_t i = 0; i < job->source_count && !job->kind->list; i++)
        THAW_TRY(open_x(job, i));
    int64_t C = job->sample.dim[0];
    THAW_CHECK(o->mean.count == 0 || (o->mean.count == C && o->std.count == C), THAW_ERR_USAGE,
               "--mean has %lld values and --std %lld; the samples have %lld channels",
               (long long)o->mean.count, (long long)o->std.count, (long long)C);
    if (job->kind->list)
        return THAW_OK;
    THAW_TRY(read_labels(job));
    return read_clusters(job);
}

void thaw_job_clear(thaw_job *job)
{
    for (int64_t i = 0; i < job->source_count; i++)
        thaw_array_close(&job->sources[i].x);
    thaw_free(&job->sources);
    for (int64_t k = 0; job->class_names && k < job->K; k++)
        thaw_free(&job->class_names[k]);
    thaw_free(&job->class_names);
    thaw_free(&job->class_sources);
    for (int64_t s = 0; s < job->split_count; s++)
        thaw_free(&job->splits[s].name);
    thaw_free(&job->splits);
    thaw_free(&job->text.tokenizer);
    thaw_free(&job->text.vocabulary);
    thaw_named_clear(&job->named);
    thaw_free(&job->dropped);
    thaw_free(&job->source_labels);
    thaw_free(&job->labels);
    thaw_free(&job->targets);
    thaw_free(&job->clusters);
    thaw_free(&job->split_of);
    thaw_free(&job->mask);
}

thaw_status thaw_import_check(const thaw_import *import)
{
    const thaw_importer *kind = NULL;
    THAW_TRY(check_options(import));
    THAW_TRY(thaw_splits_check(&import->splits));
    THAW_TRY(thaw_slices_check(&import->slices));
    THAW_TRY(thaw_importer_find(import->format, import->images.items[0], &kind));
    THAW_TRY(check_applies(import, kind));
    return kind->check ? kind->check(import) : THAW_OK;
}

thaw_status thaw_import_run(const thaw_import *import)
{
    thaw_job job = {.options = import, .task = (thaw_task)import->task};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_import_check(import));
    THAW_TRY_TO(thaw_job_open(&job));
    if (job.task == THAW_TASK_CLASSIFICATION)
        THAW_TRY_TO(thaw_job_classes(&job));
    THAW_TRY_TO(thaw_job_check_slices(&job));
    THAW_TRY_TO(thaw_job_splits(&job));
    if (job.kind->read) {
        THAW_TRY_TO(thaw_job_rehearse(&job));
        THAW_TRY_TO(job.kind->read(&job));
    }
    THAW_TRY_TO(thaw_job_warn_of_clusters(&job));
    THAW_TRY_TO(thaw_job_write(&job));
done:
    thaw_job_clear(&job);
    return status;
}
