/* Two-sided decisions, as `thaw compare` makes them: what another p changes, and how often runs that are in truth no better and no worse
 * get a verdict. Seeds are fixed, so the counts are the same on every run.
 * thaw-test: timeout=60 */
#include "thaw/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { N = 200, RUNS = 4, SLICES = 5, FAMILIES = 300, RESAMPLES = 400 };

/* ---- thaw_decision_adjust ---- */

static thaw_paired far_below(void)
{
    return (thaw_paired){.N = 100,
                         .units = 100,
                         .seeds = 1,
                         .delta = -0.05,
                         .low = -0.09,
                         .high = -0.01,
                         .p_greater = 0.99,
                         .p_two_sided = 0.02,
                         .points = true};
}

static thaw_rule two_sided(void)
{
    thaw_rule rule = thaw_rule_default();
    rule.alone = true;
    rule.two_sided = true;
    return rule;
}

static void loss_needs_its_p(void **state)
{
    (void)state;
    const thaw_paired paired = far_below();
    const thaw_rule both = two_sided();
    const thaw_rule depth = thaw_rule_default();
    thaw_decision d = thaw_decide_depth(&paired, 0.02, NULL, 0, &both);
    assert_int_equal(d.verdict, THAW_DEPTH_WORSE);
    thaw_decision_adjust(&d, 0.06);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
    assert_true(d.reasons & THAW_REASON_P_LARGE);
    assert_true(d.p_adjusted == 0.06);
    thaw_decision_adjust(&d, 0.05);
    assert_int_equal(d.verdict, THAW_DEPTH_WORSE);
    assert_false(d.reasons & THAW_REASON_P_LARGE);
    /* A deeper rung is worse by its interval alone: its p asks for a gain. */
    d = thaw_decide_depth(&paired, 0.99, NULL, 0, &depth);
    assert_int_equal(d.verdict, THAW_DEPTH_WORSE);
}

static void gain_needs_its_p(void **state)
{
    (void)state;
    thaw_paired paired = far_below();
    const thaw_rule both = two_sided();
    paired.delta = 0.05;
    paired.low = 0.01;
    paired.high = 0.09;
    paired.seeds_positive = 1;
    thaw_decision d = thaw_decide_depth(&paired, 0.02, NULL, 0, &both);
    assert_int_equal(d.verdict, THAW_DEPTH_CLEAR_GAIN);
    thaw_decision_adjust(&d, 0.08);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
    thaw_str text = {0};
    thaw_decision_explain(&d, NULL, &text);
    assert_non_null(
        strstr(text.data, "corrected for the number of comparisons, 0.08, is above 0.05"));
    thaw_str_clear(&text);
}

/* ---- False alarms ---- */

static float baseline[N];
static float run[RUNS][N];

/* The baseline is right on 70 %; each run decides a fifth of the samples anew, with the same chance: no run is better or worse. */
static void simulate(uint64_t family)
{
    thaw_rng rng = thaw_rng_make(2026, THAW_RNG_TEST, 41, family);
    for (int64_t i = 0; i < N; i++) {
        baseline[i] = thaw_rng_uniform(&rng) < 0.7;
        for (int r = 0; r < RUNS; r++) {
            const bool anew = thaw_rng_uniform(&rng) < 0.2;
            const bool right = thaw_rng_uniform(&rng) < 0.7;
            run[r][i] = anew ? (float)right : baseline[i];
        }
    }
}

static thaw_paired compare(const float *b, const uint8_t *mask, uint64_t seed)
{
    const thaw_scores scores = {baseline, b, 1, N, NULL, mask, true, 0};
    const thaw_bootstrap how = {.resamples = RESAMPLES, .level = 0.95, .seed = seed};
    thaw_paired paired;
    assert_int_equal(thaw_paired_compare(&scores, &how, &paired), THAW_OK);
    return paired;
}

static bool has_verdict(const thaw_paired *paired, double p, const thaw_rule *rule)
{
    const thaw_decision d = thaw_decide_depth(paired, p, NULL, 0, rule);
    return d.verdict == THAW_DEPTH_CLEAR_GAIN || d.verdict == THAW_DEPTH_WORSE;
}

/* Verdicts in a family of `count` comparisons: with Holm's p, and with each p as it is. */
typedef struct alarms {
    int64_t holm, alone;
} alarms;

static void judge(const thaw_paired *found, int count, const thaw_rule *rule, alarms *out)
{
    double p[RUNS + SLICES];
    bool any_holm = false;
    bool any_alone = false;
    for (int i = 0; i < count; i++)
        p[i] = found[i].p_two_sided;
    assert_int_equal(thaw_holm(p, count, p), THAW_OK);
    for (int i = 0; i < count; i++) {
        any_holm = any_holm || has_verdict(&found[i], p[i], rule);
        any_alone = any_alone || has_verdict(&found[i], found[i].p_two_sided, rule);
    }
    out->holm += any_holm;
    out->alone += any_alone;
}

static void false_alarms(void **state)
{
    (void)state;
    alarms runs = {0, 0};
    alarms slices = {0, 0};
    uint8_t masks[SLICES][N];
    thaw_rule rule = two_sided();
    rule.min_effect = 0; /* nothing but the statistics guards here */
    rule.margin = 0;
    for (int s = 0; s < SLICES; s++) {
        for (int64_t i = 0; i < N; i++)
            masks[s][i] = i % SLICES == s;
    }
    for (uint64_t family = 0; family < FAMILIES; family++) {
        thaw_paired found[RUNS + SLICES];
        simulate(family);
        for (int r = 0; r < RUNS; r++)
            found[r] = compare(run[r], NULL, family);
        judge(found, RUNS, &rule, &runs);
        for (int s = 0; s < SLICES; s++)
            found[s] = compare(run[0], masks[s], family);
        judge(found, SLICES, &rule, &slices);
    }
    const int64_t most = thaw_binomial_quantile(0.999, FAMILIES, 0.05);
    print_message("false verdict in %.1f%% of %d families of %d runs (%.1f%% without Holm), in "
                  "%.1f%% of %d slices (%.1f%%); bound %.1f%%\n",
                  100.0 * (double)runs.holm / FAMILIES, FAMILIES, RUNS,
                  100.0 * (double)runs.alone / FAMILIES, 100.0 * (double)slices.holm / FAMILIES,
                  SLICES, 100.0 * (double)slices.alone / FAMILIES, 100.0 * (double)most / FAMILIES);
    assert_true(runs.holm <= most);
    assert_true(slices.holm <= most);
    assert_true(runs.alone > most); /* what the correction is for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_needs_its_p),
        cmocka_unit_test(gain_needs_its_p),
        cmocka_unit_test(false_alarms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
