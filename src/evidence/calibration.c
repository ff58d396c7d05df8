/* Calibration of a classification: whether what is said with 80 % is right in 80 % of the cases, and the temperature that mends it. */
#include "evidence/metric_impl.h"
#include "evidence/paired_impl.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

typedef struct said {
    double confidence; /* of the predicted class */
    double right;      /* 1 or 0 */
    double square;     /* Brier's, over all classes */
    double loss;       /* -log of the label's probability */
    int64_t sample;
} said;

/* Ascending; equal ones by their place, so that the sums do not depend on whose qsort it is. */
static int by_confidence(const void *a, const void *b)
{
    const said *x = a;
    const said *y = b;
    if (x->confidence != y->confidence)
        return x->confidence < y->confidence ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

static double square_of(const thaw_judged *j, int64_t i)
{
    double sum = 0;
    for (int64_t k = 0; k < j->K; k++) {
        const double gap = (double)j->outputs[i * j->K + k] - (j->labels[i] == k ? 1 : 0);
        sum += gap * gap;
    }
    return sum;
}

/* A probability that was rounded to 0 counts as the smallest float; NaN stays. */
static double log_of(float p)
{
    return isnan(p) ? NAN : log(fmax((double)p, FLT_MIN));
}

/* What the samples that count say, in order; their number, or -1 where a probability is not finite. */
static int64_t gather(const thaw_judged *j, said *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < j->N; i++) {
        if (j->times != NULL && j->times[i] == 0)
            continue;
        out[n] = (said){.confidence = (double)j->outputs[i * j->K + j->predicted[i]],
                        .right = j->labels[i] == j->predicted[i],
                        .square = square_of(j, i),
                        .loss = -log_of(j->outputs[i * j->K + j->labels[i]]),
                        .sample = i};
        if (!isfinite(out[n++].square))
            return -1;
    }
    if (n > 1)
        qsort(out, (size_t)n, sizeof *out, by_confidence);
    return n;
}

static double times_of(const int32_t *times, const said *s)
{
    return times == NULL ? 1 : (double)times[s->sample];
}

typedef struct measures {
    double ece, brier, nll;
} measures;

/* All from counts, as a resample has them. Equal confidences share the bin of the first of them: cut apart, the value would depend on the
 * order of the samples. */
static measures measure(const said *all, int64_t n, const int32_t *times, int64_t bins)
{
    double count = 0;
    double squares = 0;
    double losses = 0;
    double gaps = 0; /* of bins that are full */
    double gap = 0;
    double below = 0;
    double bin = 0;
    for (int64_t i = 0; i < n; i++) {
        count += times_of(times, &all[i]);
        squares += times_of(times, &all[i]) * all[i].square;
        losses += times_of(times, &all[i]) * all[i].loss;
    }
    for (int64_t first = 0; first < n;) {
        const double own = floor(below * (double)bins / count);
        gaps += own != bin ? fabs(gap) : 0;
        gap = own != bin ? 0 : gap;
        bin = own;
        int64_t end = first;
        for (; end < n && all[end].confidence == all[first].confidence; end++) {
            const double t = times_of(times, &all[end]);
            gap += t * (all[end].right - all[end].confidence);
            below += t;
        }
        first = end;
    }
    return (measures){
        .ece = (gaps + fabs(gap)) / count, .brier = squares / count, .nll = losses / count};
}

/* Resampling adds to the error what sampling has added already. The lower end is reflected, as of the basic bootstrap (Davison & Hinkley
 * 1997, 5.2); reflected too, the upper one would fall to 0 where the error is near 0, as if it were known to be: there the upper percentile
 * counts, less the mean of what resampling added. A mean like Brier's has no such bias. */
static thaw_status set_intervals(const thaw_judged *j, const int32_t *cluster, const said *all,
                                 int64_t n, const thaw_bootstrap *how, thaw_calibration *out)
{
    metric_units units = {0};
    int32_t *times = NULL;
    double *ece = NULL;
    double *brier = NULL;
    double *nll = NULL;
    thaw_status status;
    THAW_TRY_TO(metric_units_make(j, cluster, &units));
    if (units.count < 2)
        goto done;
    THAW_TRY_TO(thaw_alloc(&times, j->N, sizeof *times));
    THAW_TRY_TO(thaw_alloc(&ece, how->resamples, sizeof *ece));
    THAW_TRY_TO(thaw_alloc(&brier, how->resamples, sizeof *brier));
    THAW_TRY_TO(thaw_alloc(&nll, how->resamples, sizeof *nll));
    for (int64_t r = 0; r < how->resamples; r++) {
        thaw_beat("a bootstrap");
        metric_units_draw(&units, j, how->seed, r, times);
        const measures m = measure(all, n, times, out->bins);
        ece[r] = m.ece;
        brier[r] = m.brier;
        nll[r] = m.nll;
    }
    const double tail = 0.5 * (1 - how->level);
    double added = 0;
    for (int64_t r = 0; r < how->resamples; r++)
        added += (ece[r] - out->ece) / (double)how->resamples;
    const double high = metric_quantile(ece, how->resamples, 1 - tail);
    out->ece_interval = (thaw_interval){fmax(0, 2 * out->ece - high),
                                        fmin(1, fmax(out->ece, high - fmax(0, added)))};
    out->brier_interval = (thaw_interval){metric_quantile(brier, how->resamples, tail),
                                          metric_quantile(brier, how->resamples, 1 - tail)};
    out->nll_interval = (thaw_interval){metric_quantile(nll, how->resamples, tail),
                                        metric_quantile(nll, how->resamples, 1 - tail)};
done:
    thaw_free(&nll);
    thaw_free(&brier);
    thaw_free(&ece);
    thaw_free(&times);
    metric_units_clear(&units);
    return status;
}

thaw_status thaw_calibrate(const thaw_judged *judged, const int32_t *cluster, int64_t bins,
                           const thaw_bootstrap *how, thaw_calibration *out)
{
    const thaw_interval unknown = {NAN, NAN};
    said *all = NULL;
    thaw_status status;
    *out = (thaw_calibration){.bins = bins,
                              .ece = NAN,
                              .brier = NAN,
                              .nll = NAN,
                              .ece_interval = unknown,
                              .brier_interval = unknown,
                              .nll_interval = unknown};
    THAW_CHECK(judged->task == THAW_TASK_CLASSIFICATION && bins >= 1, THAW_ERR_FAIL,
               "calibration of a task of %s in %lld bins; it is for classifications, in 1 or more",
               thaw_task_name(judged->task), (long long)bins);
    THAW_TRY_TO(thaw_alloc(&all, judged->N, sizeof *all));
    const int64_t n = gather(judged, all);
    status = THAW_OK;
    if (n <= 0)
        goto done;
    const measures m = measure(all, n, judged->times, bins);
    out->ece = m.ece;
    out->brier = m.brier;
    out->nll = m.nll;
    if (how != NULL)
        status = set_intervals(judged, cluster, all, n, how, out);
done:
    thaw_free(&all);
    return status;
}

/* ---- Temperature ---- */

static double largest_log(const float *p, int64_t K)
{
    double most = log_of(p[0]);
    for (int64_t k = 1; k < K; k++)
        most = fmax(most, log_of(p[k]));
    return most;
}

/* Of the mean cross-entropy of softmax(beta log p), by beta: the mean logarithm under what it says, less that of the label. It grows with
 * beta, since the cross-entropy is convex. */
static double slope(const thaw_judged *j, double beta)
{
    double total = 0;
    for (int64_t i = 0; i < j->N; i++) {
        const float *p = j->outputs + i * j->K;
        const double most = largest_log(p, j->K);
        double sum = 0;
        double weighted = 0;
        if (j->times != NULL && j->times[i] == 0)
            continue;
        for (int64_t k = 0; k < j->K; k++) {
            const double weight = exp(beta * (log_of(p[k]) - most));
            sum += weight;
            weighted += weight * log_of(p[k]);
        }
        total += (j->times == NULL ? 1 : (double)j->times[i]) *
                 (weighted / sum - log_of(p[j->labels[i]]));
    }
    return total;
}

double thaw_temperature_fit(const thaw_judged *judged)
{
    double low = log(1 / THAW_TEMPERATURE_MOST);
    double high = log(THAW_TEMPERATURE_MOST);
    if (judged->N == 0)
        return 1;
    const double warm = slope(judged, exp(low));
    const double cold = slope(judged, exp(high));
    if (isnan(warm) || isnan(cold))
        return NAN;
    if (warm == 0 &&
        cold == 0) /* every class has the same probability: no temperature changes that */
        return 1;
    if (!(warm < 0))
        return THAW_TEMPERATURE_MOST;
    if (!(cold > 0))
        return 1 / THAW_TEMPERATURE_MOST;
    /* By bisection: slow, certain, and the same bits always. */
    for (int step = 0; step < 50; step++) {
        const double middle = 0.5 * (low + high);
        if (slope(judged, exp(middle)) > 0)
            high = middle;
        else
            low = middle;
    }
    return exp(-0.5 * (low + high));
}

void thaw_temperature_apply(const float *outputs, int64_t N, int64_t K, double temperature,
                            float *out)
{
    for (int64_t i = 0; i < N; i++) {
        const float *p = outputs + i * K;
        const double most = largest_log(p, K);
        double sum = 0;
        for (int64_t k = 0; k < K; k++)
            sum += exp((log_of(p[k]) - most) / temperature);
        for (int64_t k = 0; k < K; k++)
            out[i * K + k] = (float)(exp((log_of(p[k]) - most) / temperature) / sum);
    }
}
