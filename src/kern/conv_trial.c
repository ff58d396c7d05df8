/* conv_trial.c - the fastest algorithm for one pass, measured: the best of a few runs, bounded in time. */
#include "kern/conv_plan_impl.h"

#include <math.h>
#include <time.h>

enum { RUNS = 2, ROUNDS = 2, MOST_IMAGES = 64, MOST_CANDIDATES = 16 };
/* A run of a trial has about so many operations, and at most so many images: what is faster on some is faster on many. Where weights
 * are constant the shape alone decides, not the batch: a frozen prefix runs in chunks, shards and alone, and must give a sample the same
 * bits. Where they train, each run packs them again, which a small batch pays for and a larger one hardly: there it is the shard's, and where the
 * trial has fewer images, their part of the packing counts. */
static const double most_flops = 1.6e9;
/* Less of a gain than this is noise; the rule's choice stays. */
static const double least_gain = 0.03;
/* An algorithm whose first run takes so many times the best is not run again. */
static const double hopeless = 1.4;

typedef struct trial_arrays {
    float *x, *y, *w, *dw, *bias, *packed;
    char *workspace;
    double packing; /* how much of the packing of weights counts in a run */
} trial_arrays;

static thaw_status fill(float **out, int64_t count)
{
    THAW_TRY(thaw_alloc(out, count, sizeof(float)));
    for (int64_t i = 0; i < count; i++)
        (*out)[i] = (float)(i * 7 % 13 - 6) * 0.125f;
    return THAW_OK;
}

static void free_arrays(trial_arrays *a)
{
    thaw_free(&a->x);
    thaw_free(&a->y);
    thaw_free(&a->w);
    thaw_free(&a->dw);
    thaw_free(&a->bias);
}

static thaw_status make_arrays(const thaw_conv_spec *spec, trial_arrays *a)
{
    thaw_image x = conv_input_image(spec);
    thaw_image y = conv_output_image(spec);
    int64_t w = conv_weight_count(&spec->shape);
    thaw_status status = THAW_OK;
    THAW_TRY_TO(fill(&a->x, thaw_image_count(&x)));
    THAW_TRY_TO(fill(&a->y, thaw_image_count(&y)));
    THAW_TRY_TO(fill(&a->w, w));
    THAW_TRY_TO(fill(&a->dw, w));
    THAW_TRY_TO(fill(&a->bias, spec->shape.O + KERN_MOST_LANES));
done:
    if (status != THAW_OK)
        free_arrays(a);
    return status;
}

/* With one thread the time that it was on a core: what other processes took does not count. */
static double seconds(void)
{
    struct timespec t;
    if (thaw_threads() > 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return thaw_seconds();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int64_t most_images(const thaw_conv_spec *spec)
{
    const thaw_conv2d *s = &spec->shape;
    double flops =
        2.0 * (double)(s->O * s->OH * s->OW) * (double)(s->C / s->groups * s->KH * s->KW);
    int64_t images = flops * MOST_IMAGES < most_flops ? MOST_IMAGES : (int64_t)(most_flops / flops);
    return images > 1 ? images : 1;
}

static void bound(thaw_conv_spec *spec)
{
    int64_t most = most_images(spec);
    if (!conv_trains(spec) || spec->shape.B > most)
        spec->shape.B = most;
}

static double run_once(conv_unit *unit, const trial_arrays *a)
{
    thaw_beat("a trial of convolution algorithms");
    double start = seconds();
    if (unit->packed_bytes > 0 && a->packing > 0)
        unit->algorithm->pack(unit, a->w, a->packed);
    double packed = seconds();
    conv_run run = {.B = unit->spec.shape.B,
                    .x = a->x,
                    .dy = a->y,
                    .w = unit->packed_bytes > 0 ? a->packed : a->w,
                    .bias = a->bias,
                    .y = a->y,
                    .dx = a->x,
                    .dw = a->dw,
                    .workspace = a->workspace};
    unit->algorithm->run(unit, &run);
    return a->packing * (packed - start) + (seconds() - packed);
}

/* Small batches run often enough to be timed. */
static double time_runs(conv_unit *unit, const trial_arrays *a)
{
    double sum = 0;
    for (int64_t images = 0; images < most_images(&unit->spec); images += unit->spec.shape.B)
        sum += run_once(unit, a);
    return sum;
}

/* Seconds of one algorithm's best run: the one that other processes disturbed least. Infinity when it cannot be opened. */
static double measure(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass,
                      const conv_algorithm *algorithm, trial_arrays *a, double best)
{
    conv_unit unit;
    double least = INFINITY;
    if (conv_unit_open(k, spec, pass, algorithm, &unit) != THAW_OK) {
        thaw_error_clear();
        return least;
    }
    if (thaw_alloc(&a->packed, (int64_t)unit.packed_bytes + 1, 1) == THAW_OK &&
        thaw_alloc(&a->workspace, (int64_t)unit.workspace_bytes + 1, 1) == THAW_OK) {
        if (unit.packed_bytes > 0)
            algorithm->pack(&unit, a->w, a->packed);
        (void)run_once(&unit, a);
        for (int i = 0; i < RUNS && (i == 0 || least < hopeless * best); i++)
            least = fmin(least, time_runs(&unit, a));
    } else {
        thaw_error_clear();
    }
    thaw_free(&a->packed);
    thaw_free(&a->workspace);
    conv_unit_close(&unit);
    return least;
}

/* Those that fit, the preferred one first; what reorders inside is not worth a run. */
static int list_candidates(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass,
                           const conv_algorithm *preferred,
                           const conv_algorithm *out[MOST_CANDIDATES])
{
    int count = 0;
    out[count++] = preferred;
    for (const conv_algorithm *const *a = k->backend->algorithms; *a; a++)
        if (*a != preferred && !(*a)->inside_reorders && (*a)->fits(k, spec, pass) &&
            count < MOST_CANDIDATES)
            out[count++] = *a;
    return count;
}

thaw_status conv_trial(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass,
                       const conv_algorithm *preferred, const conv_algorithm **out)
{
    thaw_conv_spec bounded = *spec;
    bound(&bounded);
    *out = preferred;
    const conv_algorithm *candidates[MOST_CANDIDATES];
    int count = list_candidates(k, &bounded, pass, preferred, candidates);
    if (count < 2)
        return THAW_OK;
    trial_arrays arrays = {0};
    THAW_TRY(make_arrays(&bounded, &arrays));
    if (conv_trains(spec))
        arrays.packing = (double)bounded.shape.B / (double)spec->shape.B;
    double took[MOST_CANDIDATES];
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < count; i++) {
            if (round > 0 && took[i] > hopeless * best)
                continue;
            double now = measure(k, &bounded, pass, candidates[i], &arrays, best);
            took[i] = round == 0 ? now : fmin(now, took[i]);
            best = fmin(best, took[i]);
        }
    best = took[0] * (1 - least_gain);
    for (int i = 1; i < count; i++)
        if (took[i] < best) {
            best = took[i];
            *out = candidates[i];
        }
    free_arrays(&arrays);
    return THAW_OK;
}
