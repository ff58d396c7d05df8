#include "evidence/metric_impl.h"
#include "evidence/paired_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

thaw_status metric_units_make(const thaw_judged *j, const int32_t *cluster, metric_units *out)
{
    thaw_member *members = NULL;
    int64_t n = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&members, j->N, sizeof *members));
    THAW_TRY_TO(thaw_alloc(&out->samples, j->N, sizeof *out->samples));
    THAW_TRY_TO(thaw_alloc(&out->first, j->N + 1, sizeof *out->first));
    for (int64_t i = 0; i < j->N; i++) {
        if (j->times == NULL || j->times[i] > 0)
            members[n++] = (thaw_member){cluster == NULL ? 0 : cluster[i], i};
    }
    if (cluster != NULL)
        thaw_members_sort(members, n);
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || cluster == NULL || members[i].cluster != members[i - 1].cluster)
            out->first[out->count++] = i;
        out->samples[i] = members[i].sample;
    }
    out->first[out->count] = n;
    status = THAW_OK;
done:
    thaw_free(&members);
    return status;
}

void metric_units_clear(metric_units *units)
{
    thaw_free(&units->first);
    thaw_free(&units->samples);
    units->count = 0;
}

void metric_units_draw(const metric_units *units, const thaw_judged *j, uint64_t seed,
                       int64_t replicate, int32_t *times)
{
    thaw_words words = thaw_words_make(seed, (uint32_t)replicate);
    memset(times, 0, (size_t)j->N * sizeof *times);
    for (int64_t u = 0; u < units->count; u++) {
        const uint32_t unit = thaw_words_below(&words, (uint32_t)units->count);
        for (int64_t at = units->first[unit]; at < units->first[unit + 1]; at++) {
            const int64_t i = units->samples[at];
            times[i] += j->times == NULL ? 1 : j->times[i];
        }
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double metric_quantile(double *values, int64_t n, double q)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    const double *sorted = values;
    const double at = q * (double)(n - 1);
    const int64_t low = (int64_t)at;
    const int64_t high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

static thaw_status draw_all(const thaw_metric *metric, metric_input *in, const metric_units *units,
                            const thaw_bootstrap *how, thaw_interval *out)
{
    double *values = NULL;
    int32_t *times = NULL;
    int64_t n = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&values, how->resamples, sizeof *values));
    THAW_TRY_TO(thaw_alloc(&times, in->judged->N, sizeof *times));
    in->times = times;
    for (int64_t r = 0; r < how->resamples; r++) {
        thaw_beat("a bootstrap");
        metric_units_draw(units, in->judged, how->seed, r, times);
        const double value = metric_value_of(metric, in, NULL);
        if (!isnan(value))
            values[n++] = value;
    }
    if (2 * n > how->resamples)
        *out = (thaw_interval){metric_quantile(values, n, 0.5 * (1 - how->level)),
                               metric_quantile(values, n, 0.5 * (1 + how->level))};
    status = THAW_OK;
done:
    thaw_free(&times);
    thaw_free(&values);
    return status;
}

/* Of samples, or of clusters, each of which tells no more than one sample where all are alike. */
static thaw_interval wilson_of(int64_t n, double value, double level)
{
    return thaw_wilson(llround(value * (double)n), n, level);
}

thaw_status thaw_metric_interval(const thaw_metric *metric, const thaw_judged *judged,
                                 const int32_t *cluster, const thaw_bootstrap *how,
                                 thaw_interval *out)
{
    metric_input in;
    metric_units units = {0};
    *out = (thaw_interval){NAN, NAN};
    thaw_status status;
    THAW_TRY_TO(metric_prepare(metric, judged, true, &in));
    THAW_TRY_TO(metric_units_make(judged, cluster, &units));
    const double value = metric_value_of(metric, &in, NULL);
    /* Where all are right, or none, no resample differs. */
    const bool wilson = metric->binary && (cluster == NULL || value == 0 || value == 1);
    if (isnan(value) || (units.count < 2 && (cluster != NULL || !wilson)))
        goto done;
    if (wilson)
        *out = wilson_of(cluster == NULL ? metric_count(&in) : units.count, value, how->level);
    else
        THAW_TRY_TO(draw_all(metric, &in, &units, how, out));
    status = THAW_OK;
done:
    metric_units_clear(&units);
    metric_release(&in);
    return status;
}
