/* Simulated ladders: how often verdicts are wrong, how often a true gain is found, how often
 * intervals cover.
 * thaw-test: timeout=60
 * 500 resamples instead of 10000 keep this quick; seeds are fixed, so the counts below are the
 * same on every run. */
#include "thaw/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_N = 400, MOST_SEEDS = 5, LADDERS = 400, TRIALS = 250, RUNGS = 3, RESAMPLES = 500 };

/* A pair of rungs with a known true gain. On each example B is right and A wrong, or the
 * reverse, with probability `discordance` altogether. With probability `shared` an example (or
 * cluster) has one fate for all seeds, else each seed decides anew; so differences of two seeds
 * correlate by shared^2. Seeds' own gains vary by seed_sd. */
typedef struct world {
    int64_t N, seeds, cluster_size;
    double discordance, shared, gain, seed_sd;
} world;

static float score_a[MOST_SEEDS * MOST_N];
static float score_b[MOST_SEEDS * MOST_N];
static int32_t cluster[MOST_N];

/* -1, 0 or 1 with mean `mean`. */
static int fate(thaw_rng *rng, double discordance, double mean)
{
    double u = thaw_rng_uniform(rng);
    if (u < 0.5 * (discordance + mean))
        return 1;
    return u < discordance ? -1 : 0;
}

static void simulate(const world *w, uint32_t stream, uint64_t trial)
{
    thaw_rng rng = thaw_rng_make(2024, THAW_RNG_TEST, stream, trial);
    double seed_gain[MOST_SEEDS];
    for (int64_t s = 0; s < w->seeds; s++) {
        /* Only the part of an example's fate that seeds decide can carry a seed's gain. */
        double own = w->seed_sd * thaw_rng_normal(&rng) / (1 - w->shared);
        double most = w->discordance - fabs(w->gain);
        seed_gain[s] = w->seed_sd > 0 ? fmin(most, fmax(-most, own)) : 0;
    }
    int common = 0;
    for (int64_t i = 0; i < w->N; i++) {
        if (i % w->cluster_size == 0)
            common = fate(&rng, w->discordance, w->gain);
        cluster[i] = (int32_t)(i / w->cluster_size);
        for (int64_t s = 0; s < w->seeds; s++) {
            int d = common;
            if (thaw_rng_uniform(&rng) >= w->shared)
                d = fate(&rng, w->discordance, w->gain + seed_gain[s]);
            bool a_right = d < 0 || (d == 0 && i % 3 != 0);
            score_a[s * w->N + i] = a_right;
            score_b[s * w->N + i] = (float)(a_right + d);
        }
    }
}

static thaw_paired compare(const world *w, const uint8_t *mask, uint64_t seed)
{
    const int32_t *clusters = w->cluster_size > 1 ? cluster : NULL;
    thaw_scores scores = {score_a, score_b, w->seeds, w->N, clusters, mask, false, 0};
    thaw_bootstrap how = {.resamples = RESAMPLES, .level = 0.95, .seed = seed};
    thaw_paired paired;
    assert_int_equal(thaw_paired_compare(&scores, &how, &paired), THAW_OK);
    return paired;
}

/* Ladders of RUNGS deeper rungs that are in truth no better, on which some rung gets a clear
 * gain. */
typedef struct null_rates {
    int64_t by_verdict, by_bootstrap;
} null_rates;

static null_rates false_gains(const world *w, uint32_t stream)
{
    null_rates rates = {0, 0};
    thaw_rule rule = thaw_rule_default();
    rule.min_effect = 0; /* nothing but the statistics guards against a false gain here */
    for (uint64_t ladder = 0; ladder < LADDERS; ladder++) {
        thaw_paired found[RUNGS];
        double p[RUNGS];
        double boot_p[RUNGS];
        for (uint32_t rung = 0; rung < RUNGS; rung++) {
            simulate(w, stream, ladder * RUNGS + rung);
            found[rung] = compare(w, NULL, ladder);
            p[rung] = found[rung].p_greater;
            boot_p[rung] = found[rung].boot_p_greater;
        }
        assert_int_equal(thaw_holm(p, RUNGS, p), THAW_OK);
        assert_int_equal(thaw_holm(boot_p, RUNGS, boot_p), THAW_OK);
        bool any = false;
        bool any_boot = false;
        for (int rung = 0; rung < RUNGS; rung++) {
            thaw_decision d = thaw_decide_depth(&found[rung], p[rung], NULL, 0, &rule);
            any = any || d.verdict == THAW_DEPTH_CLEAR_GAIN;
            any_boot = any_boot || (found[rung].boot_low > 0 && boot_p[rung] <= rule.alpha);
        }
        rates.by_verdict += any;
        rates.by_bootstrap += any_boot;
    }
    return rates;
}

/* Under the null the family's rate is at most alpha; the bound is the binomial's 99.9% point. */
static null_rates null_is_kept(const char *name, const world *w, uint32_t stream)
{
    null_rates rates = false_gains(w, stream);
    int64_t most = thaw_binomial_quantile(0.999, LADDERS, 0.05);
    print_message("%s: false clear gain in %.1f%% of %d ladders (bootstrap interval alone %.1f%%), "
                  "bound %.1f%%\n",
                  name, 100.0 * (double)rates.by_verdict / LADDERS, LADDERS,
                  100.0 * (double)rates.by_bootstrap / LADDERS, 100.0 * (double)most / LADDERS);
    assert_true(rates.by_verdict <= most);
    return rates;
}

static void null_correlated(void **state)
{
    (void)state;
    null_is_kept("seeds share hard examples", &(world){400, 3, 1, 0.12, 0.6, 0, 0}, 1);
}

static void null_independent(void **state)
{
    (void)state;
    null_is_kept("seeds independent", &(world){400, 3, 1, 0.12, 0, 0, 0}, 2);
}

static void null_one_seed(void **state)
{
    (void)state;
    null_is_kept("one seed", &(world){400, 1, 1, 0.12, 1, 0, 0}, 3);
}

static void null_clusters(void **state)
{
    (void)state;
    null_is_kept("clusters of 8", &(world){400, 3, 8, 0.12, 0.8, 0, 0}, 4);
}

/* Seeds that really differ: what a percentile interval over three seeds gets wrong, and why ours
 * is a hull. */
static void null_seeds_vary(void **state)
{
    (void)state;
    world w = {400, 3, 1, 0.4, 0.1, 0, 0.05};
    null_rates rates = null_is_kept("seeds vary by 5 points", &w, 5);
    assert_true(rates.by_bootstrap > 2 * rates.by_verdict);
}

/* A true gain of the stated detectable size is found with at least the stated power; the bound
 * is the binomial's 0.1% point. Slices and seeds take part in the verdict, as they do in a
 * ladder. */
static void power_is_reached(const char *name, const world *null, uint32_t stream)
{
    thaw_design design = thaw_design_default(null->N, null->discordance);
    design.seeds = null->seeds;
    design.seed_correlation = null->seeds > 1 ? null->shared * null->shared : 1;
    design.seed_sd = null->seed_sd;
    design.min_effect = 0.01;
    world w = *null;
    w.gain = thaw_design_detectable(&design);
    uint8_t half[2][MOST_N];
    for (int i = 0; i < MOST_N; i++) {
        half[0][i] = i % 2 == 0;
        half[1][i] = i % 2 == 1;
    }
    thaw_rule rule = thaw_rule_default();
    int64_t found = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        simulate(&w, stream, trial);
        thaw_paired overall = compare(&w, NULL, trial);
        thaw_paired slices[2] = {compare(&w, half[0], trial), compare(&w, half[1], trial)};
        thaw_decision d = thaw_decide_depth(&overall, overall.p_greater, slices, 2, &rule);
        found += d.verdict == THAW_DEPTH_CLEAR_GAIN;
    }
    int64_t least = thaw_binomial_quantile(0.001, TRIALS, design.power);
    print_message(
        "%s: true gain of %.1f points found in %.1f%% of %d trials, stated %.0f%%, bound %.1f%%\n",
        name, 100 * w.gain, 100.0 * (double)found / TRIALS, TRIALS, 100 * design.power,
        100.0 * (double)least / TRIALS);
    assert_true(found >= least);
}

static void power_one_seed(void **state)
{
    (void)state;
    power_is_reached("one seed", &(world){400, 1, 1, 0.12, 1, 0, 0}, 11);
}

static void power_correlated(void **state)
{
    (void)state;
    power_is_reached("seeds share hard examples", &(world){400, 3, 1, 0.12, 0.6, 0, 0}, 12);
    power_is_reached("seeds share most", &(world){400, 3, 1, 0.12, 0.85, 0, 0}, 13);
}

static void power_five_seeds(void **state)
{
    (void)state;
    power_is_reached("five seeds that vary by 1 point", &(world){400, 5, 1, 0.15, 0.6, 0, 0.01},
                     14);
}

/* Nominal 95%. The hull must not fall below it; the bootstrap's own must be near it where its
 * assumptions hold. */
static void coverage_of(const char *name, const world *w, uint32_t stream, double least_bootstrap)
{
    int64_t covered = 0;
    int64_t bootstrap = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        simulate(w, stream, trial);
        thaw_paired p = compare(w, NULL, trial);
        covered += p.low <= w->gain && w->gain <= p.high;
        bootstrap += p.boot_low <= w->gain && w->gain <= p.boot_high;
    }
    print_message("%s: 95%% interval covers in %.1f%% of %d trials, bootstrap alone %.1f%%\n", name,
                  100.0 * (double)covered / TRIALS, TRIALS, 100.0 * (double)bootstrap / TRIALS);
    assert_true(covered >= thaw_binomial_quantile(0.001, TRIALS, 0.95));
    assert_true(bootstrap >= thaw_binomial_quantile(0.001, TRIALS, least_bootstrap));
}

static void coverage(void **state)
{
    (void)state;
    coverage_of("one seed", &(world){400, 1, 1, 0.2, 1, 0.05, 0}, 21, 0.95);
    coverage_of("one seed, clusters of 4", &(world){400, 1, 4, 0.2, 0.8, 0.05, 0}, 22, 0.94);
    coverage_of("three seeds", &(world){400, 3, 1, 0.2, 0.7, 0.05, 0}, 23, 0.95);
    coverage_of("three seeds that vary", &(world){400, 3, 1, 0.4, 0.2, 0.05, 0.04}, 24, 0.8);
    coverage_of("a slice of 40", &(world){40, 3, 1, 0.1, 0.8, 0, 0}, 25, 0.9);
}

/* Clusters that nobody declares make intervals too narrow: the fault that cluster ids exist to
 * prevent. */
static void undeclared_clusters(void **state)
{
    (void)state;
    world w = {400, 1, 8, 0.2, 0.9, 0, 0};
    int64_t declared = 0;
    int64_t undeclared = 0;
    for (uint64_t trial = 0; trial < 200; trial++) {
        simulate(&w, 31, trial);
        thaw_paired with = compare(&w, NULL, trial);
        world blind = w;
        blind.cluster_size = 1;
        thaw_paired without = compare(&blind, NULL, trial);
        declared += with.low <= 0 && with.high >= 0;
        undeclared += without.low <= 0 && without.high >= 0;
    }
    print_message("clusters of 8: 95%% interval covers in %.1f%% declared, %.1f%% undeclared\n",
                  (double)declared / 2, (double)undeclared / 2);
    assert_true(declared >= thaw_binomial_quantile(0.001, 200, 0.93));
    assert_true(undeclared < thaw_binomial_quantile(0.001, 200, 0.9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_correlated),  cmocka_unit_test(null_independent),
        cmocka_unit_test(null_one_seed),    cmocka_unit_test(null_clusters),
        cmocka_unit_test(null_seeds_vary),  cmocka_unit_test(power_one_seed),
        cmocka_unit_test(power_correlated), cmocka_unit_test(power_five_seeds),
        cmocka_unit_test(coverage),         cmocka_unit_test(undeclared_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
