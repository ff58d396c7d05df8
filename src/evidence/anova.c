#include "evidence/paired_impl.h"

#include <math.h>

/* Mean squares of the two-way layout seeds x units without replication. */
typedef struct mean_squares {
    double seeds, units, rest;
} mean_squares;

/* (count, seeds) the units' influence on delta: for equal sizes the difference less its mean, in
 * general the ratio estimator's linearisation. Their mean is 0 by construction. */
static double influence(const thaw_units *units, double delta, double mean_size, int64_t u,
                        int64_t s)
{
    return (units->difference[u * units->seeds + s] - units->size[u] * delta) / mean_size;
}

static double mean_size_of(const thaw_units *units)
{
    double total = 0;
    for (int64_t u = 0; u < units->count; u++)
        total += units->size[u];
    return total / (double)units->count;
}

static mean_squares analyse(const thaw_units *units, double delta, double *unit_mean)
{
    int64_t S = units->seeds;
    int64_t U = units->count;
    double mean_size = mean_size_of(units);
    double seed_mean[THAW_MAX_SEEDS] = {0};
    mean_squares ms = {0, 0, 0};
    for (int64_t u = 0; u < U; u++) {
        unit_mean[u] = 0;
        for (int64_t s = 0; s < S; s++) {
            double z = influence(units, delta, mean_size, u, s);
            unit_mean[u] += z / (double)S;
            seed_mean[s] += z / (double)U;
        }
        ms.units += unit_mean[u] * unit_mean[u];
    }
    ms.units *= (double)S / (double)(U - 1);
    if (S == 1)
        return ms;
    for (int64_t s = 0; s < S; s++)
        ms.seeds += seed_mean[s] * seed_mean[s];
    ms.seeds *= (double)U / (double)(S - 1);
    for (int64_t u = 0; u < U; u++) {
        for (int64_t s = 0; s < S; s++) {
            double z = influence(units, delta, mean_size, u, s) - unit_mean[u] - seed_mean[s];
            ms.rest += z * z;
        }
    }
    ms.rest /= (double)(U - 1) * (double)(S - 1);
    return ms;
}

static void set_variance(const thaw_units *units, mean_squares ms, thaw_paired *out)
{
    double S = (double)units->seeds;
    double U = (double)units->count;
    out->seed_correlation = 1;
    out->seed_sd = 0;
    out->var_seeds = 0;
    out->var_examples = ms.units / (S * U);
    if (units->seeds > 1) {
        double shared = fmax(0, ms.units - ms.rest);
        out->var_examples = shared / (S * U);
        out->var_seeds = ms.seeds / (S * U);
        double one_seed = shared / S + ms.rest;
        if (one_seed > 0)
            out->seed_correlation = shared / S / one_seed;
        out->seed_sd = sqrt(fmax(0, (ms.seeds - ms.rest) / U));
    }
    /* Half a count in each cell of the paired table: "no difference seen" is not "no
     * difference". */
    if (out->bounded || (out->points && out->mean_square == 0))
        out->var_examples += 1 / ((U + 2) * (U + 2));
}

static void set_interval(const thaw_units *units, double most_df, thaw_paired *out)
{
    double total = out->var_examples + out->var_seeds;
    double examples_df = (double)(units->count - 1);
    if (most_df > 0)
        examples_df = fmin(examples_df, most_df);
    out->se = sqrt(total);
    out->df = examples_df;
    if (total <= 0) {
        out->t_low = out->t_high = out->delta;
        out->t_p_greater = out->delta > 0 ? 0 : 1;
        return;
    }
    double denominator = out->var_examples * out->var_examples / examples_df;
    if (units->seeds > 1)
        denominator += out->var_seeds * out->var_seeds / (double)(units->seeds - 1);
    out->df = total * total / denominator;
    double half = thaw_student_quantile(0.5 + 0.5 * out->level, out->df) * out->se;
    out->t_low = out->delta - half;
    out->t_high = out->delta + half;
    out->t_p_greater = thaw_student_cdf(-out->delta / out->se, out->df);
    if (out->bounded) {
        out->t_low = fmax(-1, out->t_low);
        out->t_high = fmin(1, out->t_high);
    }
}

thaw_status thaw_crossed_analysis(const thaw_units *units, double most_df, thaw_paired *out)
{
    thaw_status status = THAW_OK;
    double *unit_mean = NULL;
    THAW_TRY_TO(thaw_alloc(&unit_mean, units->count, sizeof *unit_mean));
    set_variance(units, analyse(units, out->delta, unit_mean), out);
    set_interval(units, most_df, out);
done:
    thaw_free(&unit_mean);
    return status;
}
