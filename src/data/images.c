/* Pictures in JPEG and PNG files. Each is decoded once, in threads, into a file without a name beside the output; from there the rows are
 * read like those of any array. So which files are broken is known before splits are drawn, and memory holds some pictures only. */
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
    int file;
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
    thaw_paths paths;
    int64_t W, H; /* what comes out */
    int64_t row_bytes;
    int64_t batch;   /* pictures */
    uint8_t *pixels; /* (batch, row_bytes) */
    slot *slots;     /* (batch) */
    int64_t first;   /* of the batch among all pictures */
    int64_t broken;
    thaw_str listed;
} decoder;

static thaw_status check_options(const thaw_import *o, thaw_picture_rule *rule)
{
    *rule = (thaw_picture_rule){.C = o->colours == THAW_GREY ? 1 : 3,
                                .size = o->size,
                                .shorter = o->shorter > 0 ? o->shorter : o->size,
                                .fit = o->fit,
                                .filter = o->filter};
    THAW_CHECK(o->layout == THAW_CHW, THAW_ERR_USAGE,
               "--layout: how pixels lie in JPEG and PNG files is known; leave it out");
    THAW_CHECK(o->shorter == 0 || (o->size > 0 && o->fit == THAW_FIT_CROP), THAW_ERR_USAGE,
               "--shorter: is for --size with --fit crop");
    THAW_CHECK(rule->shorter >= rule->size, THAW_ERR_USAGE,
               "--shorter %lld: must be at least --size, %lld, or the cut would leave the picture",
               (long long)o->shorter, (long long)o->size);
    return THAW_OK;
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
    d->slots[i].status = read_one(d, thaw_paths_get(&d->paths, d->first + i), &d->slots[i],
                                  d->pixels + i * d->row_bytes);
}

static void note_broken(decoder *d, int64_t i, const char *why)
{
    thaw_job *job = d->job;
    job->dropped[d->first + i] = true;
    if (d->broken < LISTED_MOST)
        thaw_str_printf(&d->listed, "%s%.250s: %s", d->broken == 0 ? "" : "; ",
                        thaw_paths_get(&d->paths, d->first + i), why);
    d->broken++;
}

/* What became of the batch, in the order of files, so that messages do not depend on threads. */
static thaw_status judge(decoder *d, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const slot *s = &d->slots[i];
        const char *path = thaw_paths_get(&d->paths, d->first + i);
        THAW_CHECK(s->status != THAW_ERR_RESOURCE, THAW_ERR_RESOURCE, "%s: %s", path, s->why);
        if (s->status != THAW_OK) {
            note_broken(d, i, s->why);
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
    d->W = d->H = d->rule.size;
    for (int64_t i = 0; i < d->paths.count && d->W == 0; i++) {
        thaw_picture picture = {0};
        s.status = thaw_picture_read(thaw_paths_get(&d->paths, i), &picture, s.why);
        if (s.status == THAW_OK) {
            d->W = picture.W;
            d->H = picture.H;
        }
        thaw_free(&picture.pixels);
        THAW_CHECK(s.status != THAW_ERR_RESOURCE, THAW_ERR_RESOURCE, "%s: %s",
                   thaw_paths_get(&d->paths, i), s.why);
    }
    THAW_CHECK(d->W > 0, THAW_ERR_INPUT, "none of %lld pictures can be read; %s: %s",
               (long long)d->paths.count, thaw_paths_get(&d->paths, d->paths.count - 1), s.why);
    return THAW_OK;
}

static thaw_status prepare(decoder *d)
{
    thaw_job *job = d->job;
    THAW_TRY(find_size(d));
    job->sample = thaw_shape_make(3, (int64_t[]){d->rule.C, d->H, d->W});
    job->dtype = THAW_U8;
    d->row_bytes = thaw_shape_count(&job->sample);
    d->batch = d->row_bytes < BATCH_BYTES / BATCH_MOST ? BATCH_MOST : BATCH_BYTES / d->row_bytes;
    d->batch = d->batch < thaw_threads() ? thaw_threads() : d->batch;
    THAW_TRY(thaw_alloc(&job->dropped, job->N, sizeof *job->dropped));
    THAW_TRY(thaw_alloc(&d->slots, d->batch, sizeof *d->slots));
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

static thaw_status decode_source(decoder *d, thaw_source *source, double *last_said)
{
    images_state *state = source->x.state;
    state->row_bytes = d->row_bytes;
    THAW_TRY(make_file(d->job->options, &state->file));
    for (int64_t first = 0; first < source->count; first += d->batch) {
        const int64_t n = source->count - first < d->batch ? source->count - first : d->batch;
        d->first = source->first + first;
        thaw_parallel(thaw_threads(), n, decode_slot, d);
        THAW_TRY(judge(d, n));
        THAW_TRY(write_all(d->job->options, state->file, d->pixels, n * d->row_bytes,
                           first * d->row_bytes));
        if (thaw_seconds() - *last_said > 10) {
            THAW_LOG(THAW_INFO, "%lld of %lld pictures read", (long long)(d->first + n),
                     (long long)d->paths.count);
            *last_said = thaw_seconds();
        }
    }
    return THAW_OK;
}

static thaw_status settle_broken(const decoder *d)
{
    const thaw_import *o = d->job->options;
    if (d->broken == 0)
        return THAW_OK;
    const char *more = d->broken > LISTED_MOST ? "; ..." : "";
    THAW_CHECK((double)d->broken <= o->max_broken * (double)d->job->N, THAW_ERR_INPUT,
               "%lld of %lld pictures cannot be read: %s%s. --broken %.2g would leave them out",
               (long long)d->broken, (long long)d->job->N, thaw_str_c(&d->listed), more,
               fmin(1, 1.1 * (double)d->broken / (double)d->job->N));
    THAW_LOG(THAW_WARN, "%lld of %lld pictures cannot be read and are left out: %s%s",
             (long long)d->broken, (long long)d->job->N, thaw_str_c(&d->listed), more);
    return THAW_OK;
}

static thaw_status list_source(decoder *d, int64_t i)
{
    thaw_job *job = d->job;
    thaw_source *source = &job->sources[i];
    images_state *state = NULL;
    int64_t ignored = 0;
    source->x = (thaw_array){.kind = job->kind, .dtype = THAW_U8};
    THAW_TRY(thaw_strdup(&source->x.name, job->options->images.items[i]));
    THAW_TRY(thaw_alloc(&state, 1, sizeof *state));
    state->file = -1;
    source->x.state = state;
    source->first = job->N;
    THAW_TRY(thaw_images_list(source->x.name, &job->named, &d->paths, &ignored));
    source->count = d->paths.count - job->N;
    job->N = d->paths.count;
    if (ignored > 0)
        THAW_LOG(THAW_INFO,
                 "%s: %lld files with other endings than .jpg, .jpeg, .png are passed over",
                 source->x.name, (long long)ignored);
    return THAW_OK;
}

static thaw_status images_open(thaw_job *job)
{
    decoder d = {.job = job};
    double said = thaw_seconds();
    const double began = said;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(check_options(job->options, &d.rule));
    for (int64_t i = 0; i < job->source_count; i++)
        THAW_TRY_TO(list_source(&d, i));
    THAW_TRY_TO(prepare(&d));
    for (int64_t i = 0; i < job->source_count; i++) {
        thaw_source *source = &job->sources[i];
        source->x.shape = thaw_shape_make(4, (int64_t[]){source->count, d.rule.C, d.H, d.W});
        THAW_TRY_TO(decode_source(&d, source, &said));
    }
    THAW_TRY_TO(settle_broken(&d));
    THAW_LOG(THAW_INFO, "%lld pictures read in %.1f s", (long long)(job->N - d.broken),
             thaw_seconds() - began);
done:
    thaw_str_clear(&d.listed);
    thaw_free(&d.slots);
    thaw_free(&d.pixels);
    thaw_paths_clear(&d.paths);
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
    if (state != NULL && state->file >= 0)
        (void)close(state->file);
    thaw_free(&array->state);
}

const thaw_importer thaw_importer_images = {.name = "images",
                                            .recognise_path = thaw_path_is_dir,
                                            .open_named = images_open,
                                            .rows = images_rows,
                                            .close = images_close};
