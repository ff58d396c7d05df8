/* Pictures in JPEG and PNG files. They are listed first; those that splits take are decoded once, in threads, into a file without a name
 * beside the output, row r at its place there, and from there the rows are read like those of any array. So which files are broken is known
 * before anything is written, memory holds some pictures only, and pictures that no split takes cost a hole in that file. */
#include "data/images_impl.h"
#include "data/picture_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_BYTES ((int64_t)16 << 20)
#define BATCH_MOST  64
#define LISTED_MOST 5

typedef struct images_state {
    thaw_paths paths;
    int file; /* of decoded rows, or -1 */
    int64_t row_bytes;
} images_state;

/* One picture of a batch. */
typedef struct slot {
    thaw_status status;
    char why[THAW_PICTURE_WHY];
    int64_t W, H; /* as in the file */
} slot;

typedef struct decoder {
    thaw_job *job;
    thaw_picture_rule rule;
    int64_t W, H; /* what comes out */
    int64_t row_bytes;
    int64_t batch;   /* pictures */
    uint8_t *pixels; /* (batch, row_bytes) */
    slot *slots;     /* (batch) */
    int64_t *rows;   /* (batch) of the job */
    bool *tried;     /* (N) */
    int64_t asked;   /* how many were tried */
    int64_t broken;
    thaw_str listed;
    double said; /* when progress was */
} decoder;

static thaw_picture_rule make_rule(const thaw_import *o)
{
    return (thaw_picture_rule){.C = o->colours == THAW_GREY ? 1 : 3,
                               .size = o->size,
                               .shorter = o->shorter > 0 ? o->shorter : o->size,
                               .fit = o->fit,
                               .filter = o->filter};
}

static thaw_status images_check(const thaw_import *o)
{
    static const char *const resized[] = {"shorter", "fit", "filter"};
    for (size_t i = 0; i < sizeof resized / sizeof *resized; i++)
        THAW_CHECK(o->size > 0 || !thaw_import_given(o, resized[i]), THAW_ERR_USAGE,
                   "--%s: is for --size; name the side that pictures are to have, or leave it out",
                   resized[i]);
    THAW_CHECK(o->shorter == 0 || o->fit == THAW_FIT_CROP, THAW_ERR_USAGE,
               "--shorter: is for --size with --fit crop");
    THAW_CHECK(o->shorter == 0 || o->shorter >= o->size, THAW_ERR_USAGE,
               "--shorter %lld: must be at least --size, %lld, or the cut would leave the picture",
               (long long)o->shorter, (long long)o->size);
    return THAW_OK;
}

/* Path of a row of the job. */
static const char *path_of(const thaw_job *job, int64_t row)
{
    const thaw_source *source = job->sources;
    while (row >= source->first + source->count)
        source++;
    const images_state *state = source->x.state;
    return thaw_paths_get(&state->paths, row - source->first);
}

static thaw_status read_one(const decoder *d, const char *path, slot *s, uint8_t *out)
{
    thaw_picture picture = {0};
    thaw_status status = thaw_picture_read(path, &picture, s->why);
    s->W = picture.W;
    s->H = picture.H;
    if (status == THAW_OK && d->rule.C == 1)
        thaw_picture_to_grey(&picture);
    if (status == THAW_OK && (d->rule.size > 0 || (s->W == d->W && s->H == d->H))) {
        status = thaw_picture_fit(&picture, &d->rule, out);
        if (status != THAW_OK)
            (void)thaw_format(s->why, sizeof s->why, "no memory to resize %lld x %lld pixels",
                              (long long)s->W, (long long)s->H);
    }
    thaw_free(&picture.pixels);
    return status;
}

static void decode_slot(void *context, int32_t thread, int64_t i)
{
    decoder *d = context;
    (void)thread;
    d->slots[i].status =
        read_one(d, path_of(d->job, d->rows[i]), &d->slots[i], d->pixels + i * d->row_bytes);
}

static void note_broken(decoder *d, int64_t row, const char *why)
{
    d->job->dropped[row] = true;
    if (d->broken < LISTED_MOST)
        thaw_str_printf(&d->listed, "%s%.250s: %s", d->broken == 0 ? "" : "; ",
                        path_of(d->job, row), why);
    d->broken++;
}

/* What became of the batch, in the order of files, so that messages do not depend on threads. */
static thaw_status judge(decoder *d, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const slot *s = &d->slots[i];
        const char *path = path_of(d->job, d->rows[i]);
        THAW_CHECK(s->status != THAW_ERR_RESOURCE, THAW_ERR_RESOURCE, "%s: %s", path, s->why);
        if (s->status != THAW_OK) {
            note_broken(d, d->rows[i], s->why);
            continue;
        }
        THAW_CHECK(d->rule.size > 0 || (s->W == d->W && s->H == d->H), THAW_ERR_USAGE,
                   "%s is %lld x %lld pixels, but those before are %lld x %lld; name the side that "
                   "all are to have, --size",
                   path, (long long)s->W, (long long)s->H, (long long)d->W, (long long)d->H);
    }
    return THAW_OK;
}

/* Without --size the first whole picture says what all must have. */
static thaw_status find_size(decoder *d)
{
    slot s = {0};
    const char *path = "";
    d->W = d->H = d->rule.size;
    for (int64_t i = 0; i < d->job->N && d->W == 0; i++) {
        thaw_picture picture = {0};
        if (d->job->split_of[i] < 0)
            continue;
        path = path_of(d->job, i);
        s.status = thaw_picture_read(path, &picture, s.why);
        if (s.status == THAW_OK) {
            d->W = picture.W;
            d->H = picture.H;
        }
        thaw_free(&picture.pixels);
        THAW_CHECK(s.status != THAW_ERR_RESOURCE, THAW_ERR_RESOURCE, "%s: %s", path, s.why);
    }
    THAW_CHECK(d->W > 0, THAW_ERR_INPUT, "no picture that splits take can be read; %s: %s", path,
               s.why);
    return THAW_OK;
}

static thaw_status prepare(decoder *d)
{
    thaw_job *job = d->job;
    THAW_TRY(find_size(d));
    job->sample = thaw_shape_make(3, (int64_t[]){d->rule.C, d->H, d->W});
    d->row_bytes = thaw_shape_count(&job->sample);
    d->batch = d->row_bytes < BATCH_BYTES / BATCH_MOST ? BATCH_MOST : BATCH_BYTES / d->row_bytes;
    d->batch = d->batch < thaw_threads() ? thaw_threads() : d->batch;
    THAW_TRY(thaw_alloc(&job->dropped, job->N, sizeof *job->dropped));
    THAW_TRY(thaw_alloc(&d->tried, job->N, sizeof *d->tried));
    THAW_TRY(thaw_alloc(&d->slots, d->batch, sizeof *d->slots));
    THAW_TRY(thaw_alloc(&d->rows, d->batch, sizeof *d->rows));
    return thaw_alloc(&d->pixels, d->batch * d->row_bytes, 1);
}

/* In the folder of the output, where there is to be room; it has no name, so nothing is left of it whatever happens. */
static thaw_status make_file(const thaw_import *o, int *out)
{
    thaw_str path = {0};
    thaw_str_printf(&path, "%s.pixels-XXXXXX", o->output);
    *out = mkstemp(path.data);
    const int failed = errno;
    if (*out >= 0)
        (void)unlink(path.data);
    thaw_str_clear(&path);
    THAW_CHECK(*out >= 0, THAW_ERR_RESOURCE, "%s: cannot write beside it: %s", o->output,
               strerror(failed));
    return THAW_OK;
}

static thaw_status write_all(const thaw_import *o, int file, const uint8_t *data, int64_t bytes,
                             int64_t offset)
{
    for (int64_t done = 0; done < bytes;) {
        const ssize_t got = pwrite(file, data + done, (size_t)(bytes - done), offset + done);
        THAW_CHECK(got > 0 || (got < 0 && errno == EINTR), THAW_ERR_RESOURCE,
                   "%s: cannot write decoded pictures beside it: %s", o->output, strerror(errno));
        done += got > 0 ? got : 0;
    }
    return THAW_OK;
}

/* A file with room for all rows of a source, which is a hole until they are written. */
static thaw_status prepare_source(const decoder *d, thaw_source *source)
{
    images_state *state = source->x.state;
    state->row_bytes = d->row_bytes;
    source->x.shape = thaw_shape_make(4, (int64_t[]){source->count, d->rule.C, d->H, d->W});
    THAW_TRY(make_file(d->job->options, &state->file));
    THAW_CHECK(ftruncate(state->file, source->count * d->row_bytes) == 0, THAW_ERR_RESOURCE,
               "%s: cannot write decoded pictures beside it: %s", d->job->options->output,
               strerror(errno));
    return THAW_OK;
}

/* The next rows from *at on that splits take and that were not tried; returns how many. */
static int64_t gather(decoder *d, const thaw_source *source, int64_t *at)
{
    int64_t n = 0;
    for (; *at < source->first + source->count && n < d->batch; (*at)++) {
        if (d->job->split_of[*at] < 0 || d->tried[*at])
            continue;
        d->tried[*at] = true;
        d->rows[n++] = *at;
    }
    d->asked += n;
    return n;
}

static thaw_status decode_source(decoder *d, const thaw_source *source)
{
    const images_state *state = source->x.state;
    int64_t at = source->first;
    for (int64_t n; (n = gather(d, source, &at)) > 0;) {
        thaw_parallel(thaw_threads(), n, decode_slot, d);
        THAW_TRY(judge(d, n));
        for (int64_t i = 0; i < n; i++)
            THAW_TRY(write_all(d->job->options, state->file, d->pixels + i * d->row_bytes,
                               d->row_bytes, (d->rows[i] - source->first) * d->row_bytes));
        if (thaw_seconds() - d->said > 10) {
            THAW_LOG(THAW_INFO, "%lld pictures read", (long long)d->asked);
            d->said = thaw_seconds();
        }
    }
    return THAW_OK;
}

static const char *more_than_listed(const decoder *d)
{
    return d->broken > LISTED_MOST ? "; ..." : "";
}

static thaw_status check_broken(const decoder *d)
{
    const double most = d->job->options->max_broken;
    THAW_CHECK((double)d->broken <= most * (double)d->asked, THAW_ERR_INPUT,
               "%lld of %lld pictures cannot be read: %s%s. --broken %.2g would leave them out",
               (long long)d->broken, (long long)d->asked, thaw_str_c(&d->listed),
               more_than_listed(d), fmin(1, 1.1 * (double)d->broken / (double)d->asked));
    return THAW_OK;
}

/* Broken pictures leave room in their splits for others, which are then read too. */
static thaw_status decode_all(decoder *d)
{
    for (int64_t before = -1; before < d->broken;) {
        before = d->broken;
        for (int64_t i = 0; i < d->job->source_count; i++)
            THAW_TRY(decode_source(d, &d->job->sources[i]));
        THAW_TRY(check_broken(d));
        if (d->broken > before)
            THAW_TRY(thaw_job_draw(d->job));
    }
    if (d->broken > 0)
        THAW_LOG(THAW_WARN, "%lld of %lld pictures cannot be read and are left out: %s%s",
                 (long long)d->broken, (long long)d->asked, thaw_str_c(&d->listed),
                 more_than_listed(d));
    return THAW_OK;
}

static thaw_status list_source(thaw_job *job, int64_t i)
{
    thaw_source *source = &job->sources[i];
    images_state *state = NULL;
    int64_t ignored = 0;
    source->x = (thaw_array){.kind = job->kind, .dtype = THAW_U8};
    THAW_TRY(thaw_strdup(&source->x.name, job->options->images.items[i]));
    THAW_TRY(thaw_alloc(&state, 1, sizeof *state));
    state->file = -1;
    source->x.state = state;
    THAW_TRY(thaw_images_list(job, source->x.name, &state->paths, &ignored));
    source->first = job->N;
    source->count = state->paths.count;
    job->N += source->count;
    if (ignored > 0)
        THAW_LOG(THAW_INFO,
                 "%s: %lld files with other endings than .jpg, .jpeg, .png are passed over",
                 source->x.name, (long long)ignored);
    return THAW_OK;
}

static thaw_status images_list(thaw_job *job)
{
    const thaw_picture_rule rule = make_rule(job->options);
    for (int64_t i = 0; i < job->source_count; i++)
        THAW_TRY(list_source(job, i));
    job->dtype = THAW_U8;
    job->sample = thaw_shape_make(3, (int64_t[]){rule.C, rule.size, rule.size});
    return THAW_OK;
}

static thaw_status images_read(thaw_job *job)
{
    const double began = thaw_seconds();
    decoder d = {.job = job, .rule = make_rule(job->options), .said = began};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(prepare(&d));
    for (int64_t i = 0; i < job->source_count; i++)
        THAW_TRY_TO(prepare_source(&d, &job->sources[i]));
    THAW_TRY_TO(decode_all(&d));
    THAW_LOG(THAW_INFO, "%lld pictures read in %.1f s", (long long)(d.asked - d.broken),
             thaw_seconds() - began);
done:
    thaw_str_clear(&d.listed);
    thaw_free(&d.tried);
    thaw_free(&d.slots);
    thaw_free(&d.rows);
    thaw_free(&d.pixels);
    return status;
}

static thaw_status images_rows(thaw_array *array, int64_t first, int64_t count, void *out)
{
    const images_state *state = array->state;
    const int64_t bytes = count * state->row_bytes, offset = first * state->row_bytes;
    for (int64_t done = 0; done < bytes;) {
        const ssize_t got =
            pread(state->file, (char *)out + done, (size_t)(bytes - done), offset + done);
        THAW_CHECK(got > 0 || (got < 0 && errno == EINTR), THAW_ERR_RESOURCE,
                   "%s: decoded pictures cannot be read again: %s", array->name,
                   got == 0 ? "the file ends" : strerror(errno));
        done += got > 0 ? got : 0;
    }
    return THAW_OK;
}

static void images_close(thaw_array *array)
{
    images_state *state = array->state;
    if (state != NULL) {
        thaw_paths_clear(&state->paths);
        if (state->file >= 0)
            (void)close(state->file);
    }
    thaw_free(&array->state);
}

const thaw_importer thaw_importer_images = {.name = "images",
                                            .recognise_path = thaw_path_is_dir,
                                            .check = images_check,
                                            .list = images_list,
                                            .read = images_read,
                                            .rows = images_rows,
                                            .close = images_close};
