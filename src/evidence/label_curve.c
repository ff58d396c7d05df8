/* What more labels would do, and how easily wrong ones are learned by heart: both by linear probes of the same features. */
#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

#include "evidence/metric_impl.h"
#include "evidence/paired_impl.h"

static const int64_t subset_counts[THAW_CURVE_POINTS] = {4, 2, 1};

/* ---- Learning curve ------------------------------------------------------------------------------------------ */

/* wrong (m): share of the point's subsets after which each row is wrong. */
static thaw_status run_point(const thaw_probe_data *d, int64_t subsets, double *wrong)
{
    int32_t *predicted = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&predicted, d->m, sizeof *predicted));
    for (int64_t s = 0; s < subsets; s++) {
        int64_t right;
        const int64_t begin = d->n * s / subsets;
        thaw_probe_data part = *d;
        part.x = d->x + begin * d->D;
        part.labels = d->labels + begin;
        part.n = d->n * (s + 1) / subsets - begin;
        THAW_TRY_TO(thaw_linear_predict(&part, predicted, &right));
        for (int64_t i = 0; i < d->m; i++)
            wrong[i] += (predicted[i] != d->test_labels[i]) / (double)subsets;
    }
    status = THAW_OK;
done:
    thaw_free(&predicted);
    return status;
}

typedef struct law {
    double factor, exponent;
} law;

/* errors: sums over m rows. */
static law fit(const thaw_label_curve *c, const double *errors, int64_t m)
{
    double x[THAW_CURVE_POINTS];
    double y[THAW_CURVE_POINTS];
    double mean_x = 0;
    double mean_y = 0;
    double xx = 0;
    double xy = 0;
    for (int k = 0; k < THAW_CURVE_POINTS; k++) {
        x[k] = log((double)c->n[k]);
        y[k] = log((errors[k] + 0.5) / (double)(m + 1));
        mean_x += x[k] / THAW_CURVE_POINTS;
        mean_y += y[k] / THAW_CURVE_POINTS;
    }
    for (int k = 0; k < THAW_CURVE_POINTS; k++) {
        xx += (x[k] - mean_x) * (x[k] - mean_x);
        xy += (x[k] - mean_x) * (y[k] - mean_y);
    }
    const double slope = xy / xx;
    return (law){exp(mean_y - slope * mean_x), -slope};
}

static double error_at(law l, double n)
{
    return fmin(1, l.factor * pow(n, -l.exponent));
}

static double gain_of(law l, int64_t now)
{
    return error_at(l, (double)now) - error_at(l, 2.0 * (double)now);
}

static thaw_interval percentiles(double *values, const thaw_bootstrap *how)
{
    const double tail = (1 - how->level) / 2;
    const double low = metric_quantile(values, how->resamples, tail);
    return (thaw_interval){low, metric_quantile(values, how->resamples, 1 - tail)};
}

/* Which figures of a replicate are kept: the errors, then these. */
enum { EXPONENT = THAW_CURVE_POINTS, GAIN, FIGURES };

/* wrong (points, m); kept (FIGURES, resamples). */
static void replicate(const thaw_label_curve *c, const double *wrong, int64_t m,
                      const thaw_bootstrap *how, double *kept)
{
    for (int64_t r = 0; r < how->resamples; r++) {
        thaw_words words = thaw_words_make(how->seed, (uint32_t)r);
        double errors[THAW_CURVE_POINTS] = {0};
        for (int64_t i = 0; i < m; i++) {
            const int64_t row = thaw_words_below(&words, (uint32_t)m);
            for (int k = 0; k < THAW_CURVE_POINTS; k++)
                errors[k] += wrong[k * m + row];
        }
        const law l = fit(c, errors, m);
        for (int k = 0; k < THAW_CURVE_POINTS; k++)
            kept[k * how->resamples + r] = errors[k] / (double)m;
        kept[EXPONENT * how->resamples + r] = l.exponent;
        kept[GAIN * how->resamples + r] = gain_of(l, c->now);
    }
}

static void summarize(const double *wrong, int64_t m, thaw_label_curve *out)
{
    double errors[THAW_CURVE_POINTS] = {0};
    for (int k = 0; k < THAW_CURVE_POINTS; k++) {
        for (int64_t i = 0; i < m; i++)
            errors[k] += wrong[k * m + i];
        out->error[k] = errors[k] / (double)m;
    }
    const law l = fit(out, errors, m);
    out->factor = l.factor;
    out->exponent = l.exponent;
    out->error_now = error_at(l, (double)out->now);
    out->error_twice = error_at(l, 2.0 * (double)out->now);
    out->gain = gain_of(l, out->now);
}

thaw_status thaw_label_curve_fit(const thaw_probe_data *d, int64_t now, const thaw_bootstrap *how,
                                 thaw_label_curve *out)
{
    double *wrong = NULL;
    double *kept = NULL;
    thaw_status status;
    THAW_CHECK(how->resamples >= 1, THAW_ERR_FAIL, "%lld resamples; at least 1 is needed",
               (long long)how->resamples);
    THAW_CHECK(d->n >= 8, THAW_ERR_INPUT,
               "a learning curve of %lld rows; a quarter of them needs to be 2 at least",
               (long long)d->n);
    *out = (thaw_label_curve){.now = now};
    THAW_TRY_TO(thaw_alloc(&wrong, THAW_CURVE_POINTS * d->m, sizeof *wrong));
    THAW_TRY_TO(thaw_alloc(&kept, FIGURES * how->resamples, sizeof *kept));
    for (int k = 0; k < THAW_CURVE_POINTS; k++) {
        out->subsets[k] = subset_counts[k];
        out->n[k] = d->n / subset_counts[k];
        THAW_TRY_TO(run_point(d, subset_counts[k], wrong + k * d->m));
    }
    summarize(wrong, d->m, out);
    replicate(out, wrong, d->m, how, kept);
    for (int k = 0; k < THAW_CURVE_POINTS; k++)
        out->interval[k] = percentiles(kept + k * how->resamples, how);
    out->exponent_interval = percentiles(kept + EXPONENT * how->resamples, how);
    out->gain_interval = percentiles(kept + GAIN * how->resamples, how);
    status = THAW_OK;
done:
    thaw_free(&kept);
    thaw_free(&wrong);
    return status;
}

/* ---- Learned by heart ---------------------------------------------------------------------------------------- */

/* Every fifth row gets a label that is not its own; its features are asked for again, in the order of rows. */
static void make_wrong(const thaw_probe_data *d, uint64_t seed, int32_t *labels, float *x,
                       int32_t *given)
{
    thaw_words words = thaw_words_make(seed, 0);
    memcpy(labels, d->labels, (size_t)d->n * sizeof *labels);
    for (int64_t i = 0; i < d->n / 5; i++) {
        const int64_t row = 5 * i;
        const uint32_t step = 1 + thaw_words_below(&words, (uint32_t)d->K - 1);
        labels[row] = (int32_t)((d->labels[row] + (int64_t)step) % d->K);
        given[i] = labels[row];
        memcpy(x + i * d->D, d->x + row * d->D, (size_t)d->D * sizeof *x);
    }
}

thaw_status thaw_memorise(const thaw_probe_data *d, uint64_t seed, double level,
                          thaw_memorised *out)
{
    int32_t *labels = NULL;
    int32_t *given = NULL;
    int32_t *predicted = NULL;
    float *x = NULL;
    thaw_status status;
    THAW_CHECK(d->n >= 5 && d->K >= 2, THAW_ERR_INPUT,
               "wrong labels for %lld rows of %lld classes; 5 rows and 2 classes are needed",
               (long long)d->n, (long long)d->K);
    *out = (thaw_memorised){.wrong = d->n / 5};
    THAW_TRY_TO(thaw_alloc(&labels, d->n, sizeof *labels));
    THAW_TRY_TO(thaw_alloc(&given, out->wrong, sizeof *given));
    THAW_TRY_TO(thaw_alloc(&predicted, out->wrong, sizeof *predicted));
    THAW_TRY_TO(thaw_alloc(&x, out->wrong * d->D, sizeof *x));
    make_wrong(d, seed, labels, x, given);
    thaw_probe_data data = *d;
    data.labels = labels;
    data.test_x = x;
    data.test_labels = given;
    data.m = out->wrong;
    THAW_TRY_TO(thaw_linear_predict(&data, predicted, &out->memorised));
    for (int64_t i = 0; i < out->wrong; i++)
        out->resisted += predicted[i] == d->labels[5 * i];
    out->interval = thaw_wilson(out->memorised, out->wrong, level);
done:
    thaw_free(&x);
    thaw_free(&predicted);
    thaw_free(&given);
    thaw_free(&labels);
    return status;
}
