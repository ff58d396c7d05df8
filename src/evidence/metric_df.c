#include "evidence/metric_impl.h"

#include <math.h>

/* A mean over columns knows no more than its rarest columns do: each column's part varies as one over the units that hold it, so that two units
 * of a rare class may make most of the variance, and what is seen of it is then that of two units and not of all. */

/* One of the independent parts of which the variance is the sum, as of so many units. */
typedef struct parts {
    double sum, squares; /* of variances, and of their squares over degrees of freedom */
} parts;

/* A single unit has no spread of its own; half a degree of freedom lets it weigh by the share that it has of all. */
static void add_part(parts *p, int64_t units)
{
    if (units == 0)
        return;
    const double variance = 1 / (double)units;
    p->sum += variance;
    p->squares += variance * variance / (units > 1 ? (double)(units - 1) : 0.5);
}

/* Units that have a sample in (or not in) column k. */
static int64_t count_units(const metric_units *units, const thaw_judged *j, int64_t k, bool wanted)
{
    int64_t count = 0;
    for (int64_t u = 0; u < units->count; u++) {
        bool found = false;
        for (int64_t at = units->first[u]; !found && at < units->first[u + 1]; at++)
            found = metric_holds(j, units->samples[at], k) == wanted;
        count += found;
    }
    return count;
}

thaw_status thaw_metric_df(const thaw_metric *metric, const thaw_judged *judged,
                           const int32_t *cluster, double *out)
{
    const unsigned sides = metric->code->sides;
    metric_units units = {0};
    parts all = {0, 0};
    thaw_status status = THAW_OK;
    *out = INFINITY;
    if (sides == 0)
        return THAW_OK;
    THAW_TRY_TO(metric_units_make(judged, cluster, &units));
    for (int64_t k = 0; k < judged->K; k++) {
        const int64_t in = count_units(&units, judged, k, true);
        const int64_t not_in = count_units(&units, judged, k, false);
        if (in == 0 || ((sides & METRIC_SIDE_OUT) != 0 && not_in == 0))
            continue; /* left out of the mean */
        add_part(&all, in);
        if ((sides & METRIC_SIDE_OUT) != 0)
            add_part(&all, not_in);
    }
    if (all.squares > 0)
        *out = all.sum * all.sum / all.squares;
done:
    metric_units_clear(&units);
    return status;
}
