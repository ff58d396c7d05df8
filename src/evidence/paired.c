#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

#include "evidence/paired_impl.h"

#define MOST_RESAMPLES 100000000

thaw_bootstrap thaw_bootstrap_default(uint64_t seed)
{
    thaw_bootstrap how = {.resamples = 10000, .level = 0.95, .seed = seed};
    return how;
}

static thaw_status check_input(const thaw_scores *scores, const thaw_bootstrap *how)
{
    THAW_CHECK(scores->seeds >= 1 && scores->seeds <= THAW_MAX_SEEDS, THAW_ERR_FAIL,
               "a comparison of %lld seeds is not supported; use 1 to %d", (long long)scores->seeds,
               THAW_MAX_SEEDS);
    THAW_CHECK(how->resamples >= 1 && how->resamples <= MOST_RESAMPLES, THAW_ERR_FAIL,
               "%lld bootstrap resamples are not supported; use 1 to %d", (long long)how->resamples,
               MOST_RESAMPLES);
    THAW_CHECK(how->level > 0 && how->level < 1, THAW_ERR_FAIL,
               "interval level %g is not between 0 and 1; use 0.95", how->level);
    for (int64_t i = 0; i < scores->seeds * scores->N; i++)
        THAW_CHECK(isfinite(scores->a[i]) && isfinite(scores->b[i]), THAW_ERR_NUMERIC,
                   "score of example %lld under seed %lld is not finite (%g against %g)",
                   (long long)(i % scores->N), (long long)(i / scores->N), (double)scores->a[i],
                   (double)scores->b[i]);
    return THAW_OK;
}

/* Means, differences by seed, and whether the scores are shares. */
static void describe(const thaw_scores *scores, thaw_paired *out)
{
    double sum_a = 0;
    double sum_b = 0;
    double sum = 0;
    double square = 0;
    int64_t differ = 0;
    out->bounded = true;
    for (int64_t s = 0; s < scores->seeds; s++) {
        double seed_sum = 0;
        out->N = 0;
        for (int64_t i = 0; i < scores->N; i++) {
            if (scores->mask && !scores->mask[i])
                continue;
            double a = scores->a[s * scores->N + i];
            double b = scores->b[s * scores->N + i];
            out->N++;
            sum_a += a;
            sum_b += b;
            seed_sum += b - a;
            differ += a != b;
            square += (b - a) * (b - a);
            out->bounded = out->bounded && a >= 0 && a <= 1 && b >= 0 && b <= 1;
        }
        sum += seed_sum;
        out->seed_delta[s] = out->N ? seed_sum / (double)out->N : 0;
        out->seeds_positive += seed_sum > 0;
        out->seeds_negative += seed_sum < 0;
    }
    double count = (double)(out->N * scores->seeds);
    out->points = out->bounded || scores->points;
    if (out->N == 0)
        return;
    out->mean_a = sum_a / count;
    out->mean_b = sum_b / count;
    out->delta = sum / count;
    out->discordance = (double)differ / count;
    out->mean_square = square / count;
}

/* Variance of the mean with clusters over that without, both with the seeds pooled. */
static double measured_design_effect(const thaw_scores *scores, const thaw_units *units,
                                     const thaw_paired *paired)
{
    if (!scores->cluster || units->count < 2 || paired->N < 2)
        return 1;
    double clustered = 0;
    double independent = 0;
    for (int64_t s = 0; s < scores->seeds; s++) {
        for (int64_t u = 0; u < units->count; u++) {
            double z = units->difference[u * units->seeds + s] - units->size[u] * paired->delta;
            clustered += z * z;
        }
        for (int64_t i = 0; i < scores->N; i++) {
            if (scores->mask && !scores->mask[i])
                continue;
            int64_t at = s * scores->N + i;
            double z = (double)scores->b[at] - (double)scores->a[at] - paired->delta;
            independent += z * z;
        }
    }
    double U = (double)units->count;
    double N = (double)paired->N;
    return independent > 0 ? clustered * U / (U - 1) / (independent * N / (N - 1)) : 1;
}

/* Nothing can be said about spread from fewer than two units: the widest interval there is. */
static void set_ignorant(thaw_paired *out)
{
    double wide = out->bounded ? 1 : INFINITY;
    out->low = out->boot_low = out->t_low = -wide;
    out->high = out->boot_high = out->t_high = wide;
    out->se = out->boot_se = wide;
    out->df = 1;
    out->p_greater = out->p_less = out->p_two_sided = 1;
    out->boot_p_greater = out->boot_p_less = out->t_p_greater = 1;
    out->seed_correlation = 1;
    out->design_effect = 1;
}

/* The cautious side of both ways to look. */
static void combine(thaw_paired *out)
{
    double t_p_less = 1;
    if (out->se > 0)
        t_p_less = thaw_student_cdf(out->delta / out->se, out->df);
    else if (out->delta < 0)
        t_p_less = 0;
    out->low = fmin(out->boot_low, out->t_low);
    out->high = fmax(out->boot_high, out->t_high);
    out->p_greater = fmax(out->boot_p_greater, out->t_p_greater);
    out->p_less = fmax(out->boot_p_less, t_p_less);
    out->p_two_sided = fmin(1, 2 * fmin(out->p_greater, out->p_less));
}

thaw_status thaw_paired_compare(const thaw_scores *scores, const thaw_bootstrap *how,
                                thaw_paired *out)
{
    thaw_status status = THAW_OK;
    thaw_units units = {0};
    thaw_paired found = {0};
    THAW_TRY_TO(check_input(scores, how));
    found.seeds = scores->seeds;
    found.resamples = how->resamples;
    found.level = how->level;
    found.most_df = scores->df;
    describe(scores, &found);
    THAW_TRY_TO(thaw_units_make(scores, &units));
    found.units = units.count;
    if (units.count < 2) {
        set_ignorant(&found);
    } else {
        found.design_effect = measured_design_effect(scores, &units, &found);
        THAW_TRY_TO(thaw_crossed_analysis(&units, scores->df, &found));
        THAW_TRY_TO(thaw_crossed_bootstrap(&units, how, THAW_DRAW_AUTO, &found));
        combine(&found);
    }
    *out = found;
done:
    thaw_units_clear(&units);
    return status;
}

void thaw_scores_from_predictions(const int32_t *labels, const int32_t *predictions, int64_t N,
                                  float *right)
{
    for (int64_t i = 0; i < N; i++)
        right[i] = labels[i] == predictions[i] ? 1.0f : 0.0f;
}

int64_t thaw_best_rung(const double *mean, int64_t count)
{
    int64_t best = count < 1 ? -1 : 0;
    for (int64_t i = 1; i < count; i++) {
        if (mean[i] > mean[best] || isnan(mean[best]))
            best = i;
    }
    return best;
}

int64_t thaw_simplest_within(const double *mean, int64_t count, double margin)
{
    const int64_t best = thaw_best_rung(mean, count);
    for (int64_t i = 0; i < best; i++) {
        if (mean[i] >= mean[best] - margin - 1e-12)
            return i;
    }
    return best;
}
