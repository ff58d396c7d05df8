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

/* The expected split of the variance of a paired mean, as thaw_paired measures it: what the examples share over
 * seeds, and what belongs to a seed. */
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

static double expected_df(const thaw_design *design)
{
    variance_split split = expected_split(design);
    if (design->seeds < 2 || split.seeds <= 0)
        return INFINITY;
    double total = split.examples + split.seeds;
    return total * total / (split.seeds * split.seeds / (double)(design->seeds - 1));
}

/* Standard deviation of the crossed bootstrap's replicates. It counts the interaction of seeds and examples up to
 * three times (Owen 2007), which is why its interval can be the wider one. */
static double expected_boot_se(const thaw_design *design)
{
    variance_split split = expected_split(design);
    double repeated = 1 - 1 / (double)(design->seeds < 1 ? 1 : design->seeds);
    return sqrt(split.examples + split.interaction + repeated * (split.seeds + split.interaction));
}

/* What the observed gain must exceed: the half width of the wider interval (two-sided alpha), Holm's hardest step
 * (one-sided alpha over the number of comparisons) or the least effect, whichever is largest. */
static double threshold(const thaw_design *design)
{
    int64_t comparisons = design->comparisons < 1 ? 1 : design->comparisons;
    double one_sided = fmin(0.5 * design->alpha, design->alpha / (double)comparisons);
    double t = thaw_student_quantile(1 - one_sided, expected_df(design));
    double z = thaw_normal_quantile(1 - one_sided);
    double reach = fmax(t * thaw_design_se(design), z * expected_boot_se(design));
    return fmax(reach, design->min_effect);
}

double thaw_design_detectable(const thaw_design *design)
{
    if (design->N < 1)
        return INFINITY;
    return threshold(design) +
           thaw_student_quantile(design->power, expected_df(design)) * thaw_design_se(design);
}

double thaw_design_power(const thaw_design *design, double effect)
{
    if (design->N < 1)
        return 0;
    double se = thaw_design_se(design);
    double ahead = effect - threshold(design);
    if (se <= 0)
        return ahead >= 0 ? 1 : 0;
    return thaw_student_cdf(ahead / se, expected_df(design));
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
    thaw_design design = thaw_design_default(paired->N, paired->discordance);
    design.design_effect = paired->design_effect;
    design.seeds = paired->seeds;
    design.seed_correlation = paired->seed_correlation;
    design.seed_sd = paired->seed_sd;
    return design;
}
