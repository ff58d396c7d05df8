#include "thaw/evidence.h"

#include <math.h>

thaw_design thaw_design_default(int64_t N, double discordance)
{
    thaw_design design = {.N = N,
                          .discordance = discordance,
                          .design_effect = 1,
                          .seeds = 1,
                          .seed_correlation = 1,
                          .alpha = 0.05,
                          .comparisons = 1,
                          .power = 0.8};
    return design;
}

/* The expected split of the variance of a paired mean, as thaw_paired measures it: what the
 * examples share over seeds, and what belongs to a seed. */
typedef struct variance_split {
    double examples, seeds;
    double interaction; /* the part of `seeds` that more examples would remove */
} variance_split;

static variance_split expected_split(const thaw_design *design)
{
    double one_seed = design->discordance * design->design_effect / (double)design->N;
    variance_split split = {one_seed, 0, 0};
    if (design->seeds > 1) {
        split.examples = one_seed * design->seed_correlation;
        double S = (double)design->seeds;
        split.interaction = one_seed * (1 - design->seed_correlation) / S;
        split.seeds = split.interaction + design->seed_sd * design->seed_sd / S;
    }
    return split;
}

double thaw_design_se(const thaw_design *design)
{
    if (design->N < 1)
        return INFINITY;
    variance_split split = expected_split(design);
    return sqrt(split.examples + split.seeds);
}

/* What the observed gain must exceed, at evenly spaced quantiles of the spread that a handful of
 * seeds may happen to show. Three seeds often look closer together, or further apart, than they
 * are: the limit is not one number, and power taken at its mean promises several points too
 * much. One seed shows no spread: all limits are equal. */
enum { QUANTILES = 32 };
typedef struct reach_table {
    double se;
    double limit[QUANTILES];
} reach_table;

/* Quantile of chi2 / df by Wilson & Hilferty 1931. */
static double spread_quantile(double u, double df)
{
    double c = 2 / (9 * df);
    double root = fmax(0, 1 - c + thaw_normal_quantile(u) * sqrt(c));
    return root * root * root;
}

/* The half width of the wider of both intervals when the seeds' mean square is `spread` times
 * its expectation. The crossed bootstrap counts the interaction of seeds and examples up to
 * three times (Owen 2007). */
static double half_width(variance_split split, double S, double spread, double one_sided)
{
    double seeds = split.seeds * spread;
    double total = split.examples + seeds;
    double df = S > 1 && seeds > 0 ? total * total / (seeds * seeds / (S - 1)) : INFINITY;
    double bootstrap =
        split.examples + split.interaction + (1 - 1 / S) * (seeds + split.interaction);
    return fmax(thaw_student_quantile(1 - one_sided, df) * sqrt(total),
                thaw_normal_quantile(1 - one_sided) * sqrt(bootstrap));
}

/* Interval (two-sided alpha), Holm's hardest step (one-sided alpha over the comparisons), least
 * effect. */
static reach_table reach_of(const thaw_design *design)
{
    int64_t comparisons = design->comparisons < 1 ? 1 : design->comparisons;
    double one_sided = fmin(0.5 * design->alpha, design->alpha / (double)comparisons);
    double S = (double)(design->seeds < 1 ? 1 : design->seeds);
    reach_table reach = {.se = thaw_design_se(design)};
    for (int i = 0; i < QUANTILES; i++) {
        double spread = S > 1 ? spread_quantile((i + 0.5) / QUANTILES, S - 1) : 1;
        double width = half_width(expected_split(design), S, spread, one_sided);
        reach.limit[i] = fmax(width, design->min_effect);
    }
    return reach;
}

static double power_of(const reach_table *reach, double effect)
{
    double sum = 0;
    for (int i = 0; i < QUANTILES; i++) {
        double ahead = effect - reach->limit[i];
        sum += reach->se > 0 ? thaw_normal_cdf(ahead / reach->se) : ahead >= 0;
    }
    return sum / QUANTILES;
}

double thaw_design_power(const thaw_design *design, double effect)
{
    if (design->N < 1)
        return 0;
    reach_table reach = reach_of(design);
    return power_of(&reach, effect);
}

double thaw_design_detectable(const thaw_design *design)
{
    if (design->N < 1)
        return INFINITY;
    reach_table reach = reach_of(design);
    double low = 0;
    double high = reach.limit[QUANTILES - 1] + 40 * reach.se;
    for (int step = 0; step < 60; step++) {
        double middle = 0.5 * (low + high);
        if (power_of(&reach, middle) >= design->power)
            high = middle;
        else
            low = middle;
    }
    return high;
}

int64_t thaw_design_samples(const thaw_design *design, double effect)
{
    thaw_design trial = *design;
    const int64_t most = INT64_C(1) << 40;
    trial.N = most;
    if (!(thaw_design_detectable(&trial) <= effect))
        return -1;
    int64_t low = 0;
    int64_t high = most;
    while (high - low > 1) {
        trial.N = low + (high - low) / 2;
        if (thaw_design_detectable(&trial) <= effect)
            high = trial.N;
        else
            low = trial.N;
    }
    return high;
}

thaw_design thaw_paired_design(const thaw_paired *paired)
{
    thaw_design design = thaw_design_default(paired->N, paired->mean_square);
    design.design_effect = paired->design_effect;
    design.seeds = paired->seeds;
    design.seed_correlation = paired->seed_correlation;
    design.seed_sd = paired->seed_sd;
    return design;
}
