/* How sure a distance to a source is of which only moments are known: rows are drawn again, as they are and as they would be without any
 * distance. */
#include "thaw/evidence.h"

#include <math.h>

#include "evidence/metric_impl.h"
#include "evidence/paired_impl.h"

typedef struct gap_work {
    const float *x;
    int64_t n, D;
    const double *mean, *var; /* of the source */
    double spread;
    double *own_mean, *own_var; /* of x */
    metric_units units;         /* rows, or clusters */
    int32_t *times;             /* (n) how often a row was drawn */
    double *sums;               /* (2, D): of a replicate, mean and variance */
} gap_work;

/* Moments of the drawn rows. */
static void draw_moments(const gap_work *w)
{
    double *mean = w->sums;
    double *var = w->sums + w->D;
    int64_t n = 0; /* clusters differ in size */
    for (int64_t j = 0; j < 2 * w->D; j++)
        w->sums[j] = 0;
    for (int64_t i = 0; i < w->n; i++) {
        if (w->times[i] == 0)
            continue;
        n += w->times[i];
        for (int64_t j = 0; j < w->D; j++) {
            const double away = (double)w->x[i * w->D + j] - w->own_mean[j];
            mean[j] += w->times[i] * away;
            var[j] += w->times[i] * away * away;
        }
    }
    for (int64_t j = 0; j < w->D; j++) {
        mean[j] /= (double)n;
        var[j] = fmax(0, (var[j] - (double)n * mean[j] * mean[j]) / fmax(1, (double)(n - 1)));
    }
}

/* Of the replicate: its distance, and what it would be if the rows had had the source's moments. */
static void distances(const gap_work *w, double *as_is, double *without)
{
    *as_is = *without = 0;
    for (int64_t j = 0; j < w->D; j++) {
        const double sd = sqrt(w->var[j]);
        const double own = sqrt(w->own_var[j]);
        const double drawn = sqrt(w->sums[w->D + j]);
        const double scale = own > 0 ? sd / own : 0;
        const double shift = w->own_mean[j] + w->sums[j] - w->mean[j];
        *as_is += shift * shift + (drawn - sd) * (drawn - sd);
        if (own > 0)
            *without += scale * scale * (w->sums[j] * w->sums[j] + (drawn - own) * (drawn - own));
    }
    *as_is /= w->spread;
    *without /= w->spread;
}

static void resample(const gap_work *w, const thaw_bootstrap *how, double *values,
                     thaw_gap_test *out)
{
    const double tail = (1 - how->level) / 2;
    const int64_t R = how->resamples;
    const thaw_judged rows = {.N = w->n};
    int64_t as_large = 0;
    for (int64_t r = 0; r < R; r++) {
        double without;
        metric_units_draw(&w->units, &rows, how->seed, r, w->times);
        draw_moments(w);
        distances(w, &values[r], &without);
        as_large += without >= out->value;
    }
    out->interval.low = fmax(0, 2 * out->value - metric_quantile(values, R, 1 - tail));
    out->interval.high = fmax(0, 2 * out->value - metric_quantile(values, R, tail));
    out->p = (double)(1 + as_large) / (double)(R + 1);
}

thaw_status thaw_gap_to_moments(const thaw_side *side, int64_t D, const double *mean,
                                const double *var, const thaw_bootstrap *how, thaw_gap_test *out)
{
    const int64_t n = side->n;
    const thaw_judged rows = {.N = n};
    gap_work w = {.x = side->x, .n = n, .D = D, .mean = mean, .var = var};
    double *values = NULL;
    thaw_status status;
    *out = (thaw_gap_test){.value = NAN, .interval = {NAN, NAN}, .p = NAN};
    THAW_CHECK(n >= 2 && how->resamples >= 1, THAW_ERR_FAIL,
               "a gap of %lld rows and %lld resamples", (long long)n, (long long)how->resamples);
    for (int64_t j = 0; j < D; j++)
        w.spread += var[j];
    if (!(w.spread > 0))
        return THAW_OK;
    THAW_TRY_TO(metric_units_make(&rows, side->cluster, &w.units));
    THAW_TRY_TO(thaw_alloc(&w.own_mean, D, sizeof *w.own_mean));
    THAW_TRY_TO(thaw_alloc(&w.own_var, D, sizeof *w.own_var));
    THAW_TRY_TO(thaw_alloc(&w.times, n, sizeof *w.times));
    THAW_TRY_TO(thaw_alloc(&w.sums, 2 * D, sizeof *w.sums));
    THAW_TRY_TO(thaw_alloc(&values, how->resamples, sizeof *values));
    thaw_moments(side->x, n, D, w.own_mean, w.own_var, NULL);
    out->value = thaw_frechet_diagonal(mean, var, w.own_mean, w.own_var, D) / w.spread;
    out->clusters = w.units.count;
    if (w.units.count > 1)
        resample(&w, how, values, out);
    status = THAW_OK;
done:
    thaw_free(&values);
    thaw_free(&w.sums);
    thaw_free(&w.times);
    thaw_free(&w.own_var);
    thaw_free(&w.own_mean);
    metric_units_clear(&w.units);
    return status;
}
