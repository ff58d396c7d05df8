/* A slice against everything outside it, on the scores of one model: two means whose samples may share clusters. */
#include "thaw/evidence.h"

#include <math.h>

#include "evidence/paired_impl.h"

/* One side: the slice, or the rest. */
typedef struct side {
    int64_t N, units;
    double mean;
} side;

static void add_up(const thaw_contrast_data *d, side sides[2])
{
    for (int64_t i = 0; i < d->N; i++) {
        side *own = &sides[d->mask[i] == 0];
        own->N++;
        own->mean += (double)d->scores[i];
    }
    for (int s = 0; s < 2; s++)
        sides[s].mean /= (double)sides[s].N;
}

/* Members of one cluster follow one another. */
static void count_units(const thaw_contrast_data *d, const thaw_member *members, side sides[2])
{
    int64_t last[2] = {-1, -1};
    for (int64_t i = 0; i < d->N; i++) {
        const int s = d->mask[members[i].sample] == 0;
        if (last[s] < 0 || d->cluster == NULL || members[last[s]].cluster != members[i].cluster)
            sides[s].units++;
        last[s] = i;
    }
}

/* A cluster's share of the difference of means is the sum of its residuals, each over its side's count; a side of n units gets n / (n - 1) for
 * the mean that was taken off, so that without clusters this is Welch's variance. */
static double variance(const thaw_contrast_data *d, const thaw_member *members, const side sides[2])
{
    double sum = 0;
    double unit = 0;
    for (int64_t i = 0; i < d->N; i++) {
        const int64_t sample = members[i].sample;
        const int s = d->mask[sample] == 0;
        const double n = (double)sides[s].units;
        const double share =
            ((double)d->scores[sample] - sides[s].mean) / (double)sides[s].N * sqrt(n / (n - 1));
        unit += s == 0 ? share : -share;
        if (i + 1 == d->N || d->cluster == NULL || members[i + 1].cluster != members[i].cluster) {
            sum += unit * unit;
            unit = 0;
        }
    }
    return sum;
}

static void judge(const side sides[2], double variance_of_delta, double level, thaw_contrast *out)
{
    const int64_t least = sides[0].units < sides[1].units ? sides[0].units : sides[1].units;
    const double df = (double)(least - 1);
    const double reach = thaw_student_quantile(0.5 + level / 2, df) * sqrt(variance_of_delta);
    out->se = sqrt(variance_of_delta);
    out->low = out->delta - reach;
    out->high = out->delta + reach;
    if (out->se > 0)
        out->p_less = thaw_student_cdf(out->delta / out->se, df);
    else
        out->p_less = out->delta < 0 ? 0 : 1;
}

static thaw_status check(const thaw_contrast_data *d, double level)
{
    THAW_CHECK(level > 0 && level < 1, THAW_ERR_FAIL, "a level of %g, not between 0 and 1", level);
    for (int64_t i = 0; i < d->N; i++)
        THAW_CHECK(isfinite(d->scores[i]), THAW_ERR_NUMERIC, "score %lld is not finite",
                   (long long)i);
    return THAW_OK;
}

thaw_status thaw_contrast_slice(const thaw_contrast_data *d, double level, thaw_contrast *out)
{
    side sides[2] = {{0}, {0}};
    thaw_member *members = NULL;
    thaw_status status;
    THAW_TRY(check(d, level));
    THAW_TRY_TO(thaw_alloc(&members, d->N, sizeof *members));
    for (int64_t i = 0; i < d->N; i++)
        members[i] = (thaw_member){.cluster = d->cluster != NULL ? d->cluster[i] : 0, .sample = i};
    if (d->cluster != NULL)
        thaw_members_sort(members, d->N);
    add_up(d, sides);
    count_units(d, members, sides);
    *out = (thaw_contrast){.N = sides[0].N,
                           .rest = sides[1].N,
                           .units = sides[0].units,
                           .rest_units = sides[1].units,
                           .mean = sides[0].mean,
                           .rest_mean = sides[1].mean,
                           .delta = sides[0].mean - sides[1].mean,
                           .se = NAN,
                           .low = -INFINITY,
                           .high = INFINITY,
                           .p_less = 1};
    if (sides[0].units > 1 && sides[1].units > 1)
        judge(sides, variance(d, members, sides), level, out);
done:
    thaw_free(&members);
    return status;
}
