/* The paired comparison: symmetry, determinism, clusters, slices, degenerate inputs, exactness
 * of the draws. */
#include "thaw/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evidence/paired_impl.h"

static void near(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("got %.15g, wanted %.15g within %g", got, wanted, tolerance);
}

enum { SEEDS = 3, N = 600 };

static float score_a[SEEDS * N];
static float score_b[SEEDS * N];
static int32_t cluster[N];
static uint8_t mask[N];

/* Right and wrong with B clearly better; groups of six share much of their fate. */
static void fill(void)
{
    for (int i = 0; i < N; i++) {
        cluster[i] = 1000 - (i / 6) * 3;
        mask[i] = i % 5 == 0;
        thaw_rng group = thaw_rng_make(1, THAW_RNG_TEST, 1, (uint64_t)i / 6);
        double shared = thaw_rng_normal(&group);
        double change = thaw_rng_normal(&group);
        for (int s = 0; s < SEEDS; s++) {
            thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, (uint32_t)(2 + s), (uint64_t)i);
            double common = shared + thaw_rng_normal(&rng);
            score_a[s * N + i] = common + 0.7 * thaw_rng_normal(&rng) > -1;
            score_b[s * N + i] = common + change > -1.9;
        }
    }
}

static thaw_paired compare(const float *a, const float *b, int64_t seeds, const int32_t *clusters,
                           const uint8_t *in_slice, uint64_t seed)
{
    thaw_scores scores = {a, b, seeds, N, clusters, in_slice, false, 0};
    thaw_bootstrap how = thaw_bootstrap_default(seed);
    how.resamples = 4000;
    thaw_paired out;
    assert_int_equal(thaw_paired_compare(&scores, &how, &out), THAW_OK);
    return out;
}

static void means(void **state)
{
    (void)state;
    fill();
    thaw_paired p = compare(score_a, score_b, SEEDS, NULL, NULL, 1);
    double delta = 0;
    double differ = 0;
    for (int i = 0; i < SEEDS * N; i++) {
        delta += (double)score_b[i] - (double)score_a[i];
        differ += score_b[i] != score_a[i];
    }
    near(p.delta, delta / (SEEDS * N), 1e-15);
    near(p.mean_b - p.mean_a, p.delta, 1e-14);
    near(p.discordance, differ / (SEEDS * N), 1e-15);
    near(p.seed_delta[0] + p.seed_delta[1] + p.seed_delta[2], 3 * p.delta, 1e-14);
    near(p.var_examples + p.var_seeds, p.se * p.se, 1e-15);
    assert_true(p.bounded && p.N == N && p.units == N && p.design_effect == 1);
    assert_true(p.low <= p.boot_low && p.low <= p.t_low && p.high >= p.boot_high);
    assert_true(p.low < p.delta && p.delta < p.high);
}

static void antisymmetry_of(int64_t seeds, const int32_t *clusters, const uint8_t *in_slice)
{
    thaw_paired p = compare(score_a, score_b, seeds, clusters, in_slice, 5);
    thaw_paired q = compare(score_b, score_a, seeds, clusters, in_slice, 5);
    assert_true(p.delta == -q.delta && p.low == -q.high && p.high == -q.low);
    assert_true(p.boot_low == -q.boot_high && p.t_low == -q.t_high);
    assert_true(p.p_greater == q.p_less && p.p_less == q.p_greater);
    assert_true(p.p_two_sided == q.p_two_sided);
    assert_true(p.se == q.se && p.boot_se == q.boot_se && p.df == q.df);
    assert_int_equal(p.seeds_positive, q.seeds_negative);
    thaw_paired again = compare(score_a, score_b, seeds, clusters, in_slice, 5);
    assert_memory_equal(&again, &p, sizeof p);
    thaw_paired other = compare(score_a, score_b, seeds, clusters, in_slice, 6);
    assert_true(other.delta == p.delta && other.boot_se != p.boot_se);
}

static void antisymmetry(void **state)
{
    (void)state;
    fill();
    antisymmetry_of(1, NULL, NULL);
    antisymmetry_of(SEEDS, NULL, NULL);
    antisymmetry_of(SEEDS, cluster, NULL);
    antisymmetry_of(SEEDS, cluster, mask);
    for (int i = 0; i < SEEDS * N; i++) {
        score_a[i] += (float)(i % 97) * 0.01f;
        score_b[i] -= (float)(i % 89) * 0.02f;
    }
    antisymmetry_of(SEEDS, NULL, NULL);
    antisymmetry_of(2, cluster, NULL);
}

/* One seed, no clusters: the analysis is the paired t test, and its SE under H0 is close to
 * sqrt(b + c) / N. */
static void one_seed_is_paired_t(void **state)
{
    (void)state;
    fill();
    thaw_paired p = compare(score_a, score_b, 1, NULL, NULL, 1);
    double var = 0;
    for (int i = 0; i < N; i++) {
        double d = (double)score_b[i] - (double)score_a[i] - p.delta;
        var += d * d;
    }
    double half_counts = 1.0 / ((N + 2.0) * (N + 2.0));
    near(p.se, sqrt(var / (N - 1) / N + half_counts), 1e-14);
    near(p.df, N - 1, 1e-9);
    near(p.boot_se, p.se, 0.04 * p.se); /* 4000 replicates: 1.1% standard error of an SE */
    thaw_mcnemar m = thaw_mcnemar_scores(score_a, score_b, N, NULL);
    near(p.discordance, (double)(m.a_only + m.b_only) / N, 1e-15);
    assert_true(p.p_two_sided < 0.05 && m.p_exact < 0.05);
}

/* Scores that may leave [0, 1] and happen to be equal everywhere: no difference was seen, which is not "there is none". */
static void equal_scores_are_not_certainty(void **state)
{
    (void)state;
    const thaw_bootstrap how = {.resamples = 100, .level = 0.95, .seed = 1};
    float same[40];
    thaw_paired p;
    for (int i = 0; i < 40; i++)
        same[i] = 1.5f - 0.05f * (float)i;
    const thaw_scores scores = {.a = same, .b = same, .seeds = 1, .N = 40, .points = true};
    assert_int_equal(thaw_paired_compare(&scores, &how, &p), THAW_OK);
    near(p.delta, 0, 0);
    near(p.se, 1.0 / 42, 1e-15);
    assert_true(p.low < -0.04 && p.high > 0.04 && p.p_two_sided > 0.9);
}

static void clusters_widen(void **state)
{
    (void)state;
    fill();
    for (int64_t seeds = 1; seeds <= SEEDS; seeds += 2) {
        thaw_paired iid = compare(score_a, score_b, seeds, NULL, NULL, 1);
        thaw_paired grouped = compare(score_a, score_b, seeds, cluster, NULL, 1);
        assert_true(grouped.delta == iid.delta);
        assert_int_equal(grouped.units, N / 6);
        assert_true(grouped.design_effect > 1.3);
        assert_true(grouped.boot_se > 1.1 * iid.boot_se);
        assert_true(grouped.high - grouped.low > 1.1 * (iid.high - iid.low));
    }
    /* A cluster each is no cluster. */
    int32_t own[N];
    for (int i = 0; i < N; i++)
        own[i] = i - 300;
    thaw_paired iid = compare(score_a, score_b, SEEDS, NULL, NULL, 1);
    thaw_paired singles = compare(score_a, score_b, SEEDS, own, NULL, 1);
    assert_true(iid.low == singles.low && iid.high == singles.high);
    near(singles.design_effect, 1, 1e-12);
    /* Fully repeated examples: four copies carry the information of one. */
    float a[4 * N / 4];
    float b[4 * N / 4];
    for (int i = 0; i < N; i++) {
        a[i] = score_a[i / 4];
        b[i] = score_b[i / 4];
        own[i] = i / 4;
    }
    thaw_paired copies = compare(a, b, 1, own, NULL, 1);
    near(copies.design_effect, 4, 0.05);
}

/* Comparing in a slice is comparing the slice. */
static void slices(void **state)
{
    (void)state;
    fill();
    float a[SEEDS * N];
    float b[SEEDS * N];
    int64_t n = 0;
    for (int i = 0; i < N; i++)
        n += mask[i];
    int64_t at = 0;
    for (int i = 0; i < N; i++) {
        if (!mask[i])
            continue;
        for (int s = 0; s < SEEDS; s++) {
            a[s * n + at] = score_a[s * N + i];
            b[s * n + at] = score_b[s * N + i];
        }
        at++;
    }
    thaw_paired masked = compare(score_a, score_b, SEEDS, NULL, mask, 3);
    thaw_scores scores = {a, b, SEEDS, n, NULL, NULL, false, 0};
    thaw_bootstrap how = thaw_bootstrap_default(3);
    how.resamples = 4000;
    thaw_paired alone;
    assert_int_equal(thaw_paired_compare(&scores, &how, &alone), THAW_OK);
    assert_memory_equal(&masked, &alone, sizeof alone);
}

static void degenerate(void **state)
{
    (void)state;
    fill();
    thaw_paired p = compare(score_a, score_a, SEEDS, NULL, NULL, 1);
    assert_true(p.delta == 0 && p.boot_low == 0 && p.boot_high == 0 && p.p_greater == 1);
    assert_true(p.low < 0 && p.high > 0 && p.high < 0.01); /* half counts: not certain */
    uint8_t few[N] = {0};
    p = compare(score_a, score_b, SEEDS, NULL, few, 1);
    assert_true(p.N == 0 && p.low == -1 && p.high == 1 && p.p_greater == 1 && p.p_two_sided == 1);
    few[17] = 1;
    p = compare(score_a, score_b, SEEDS, NULL, few, 1);
    assert_true(p.N == 1 && p.low == -1 && p.high == 1 && p.p_greater == 1);
    for (int i = 20; i < 31; i++)
        few[i] = 1;
    p = compare(score_a, score_a, SEEDS, NULL, few, 1);
    assert_true(p.N == 12 && p.high > 0.1); /* 0 of 12 differ: up to a fifth may */
}

static void unbounded_scores(void **state)
{
    (void)state;
    fill();
    for (int i = 0; i < SEEDS * N; i++) {
        score_a[i] = -2 - score_a[i];
        score_b[i] = -2 - score_b[i];
    }
    thaw_paired p = compare(score_a, score_b, SEEDS, NULL, NULL, 1);
    assert_false(p.bounded);
    assert_true(p.delta < 0 && p.high < 0);
    uint8_t few[N] = {1};
    p = compare(score_a, score_b, SEEDS, NULL, few, 1);
    assert_true(isinf(p.low) && isinf(p.high));
}

static void refusals(void **state)
{
    (void)state;
    fill();
    thaw_bootstrap how = thaw_bootstrap_default(1);
    thaw_paired out;
    thaw_scores scores = {score_a, score_b, 0, N, NULL, NULL, false, 0};
    int64_t live = thaw_alloc_live();
    assert_int_equal(thaw_paired_compare(&scores, &how, &out), THAW_ERR_FAIL);
    scores.seeds = THAW_MAX_SEEDS + 1;
    assert_int_equal(thaw_paired_compare(&scores, &how, &out), THAW_ERR_FAIL);
    scores.seeds = SEEDS;
    how.resamples = 0;
    assert_int_equal(thaw_paired_compare(&scores, &how, &out), THAW_ERR_FAIL);
    how = thaw_bootstrap_default(1);
    how.level = 1;
    assert_int_equal(thaw_paired_compare(&scores, &how, &out), THAW_ERR_FAIL);
    how.level = 0.9;
    score_b[N + 3] = NAN;
    assert_int_equal(thaw_paired_compare(&scores, &how, &out), THAW_ERR_NUMERIC);
    score_b[N + 3] = 0;
    assert_int_equal(thaw_paired_compare(&scores, &how, &out), THAW_OK);
    assert_true(out.level == 0.9);
    assert_int_equal(thaw_alloc_live(), live);
}

/* Mean and variance of the exact binomial draw, and its tails against the distribution function. */
static void binomial_draws(void **state)
{
    (void)state;
    static const int64_t cases[][3] = {{600, 400, 600}, {7, 1, 3},     {1000, 5, 1000},
                                       {64, 1, 2},      {33, 99, 100}, {97, 13, 600}};
    enum { draws = 20000 };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int64_t n = cases[c][0];
        double p = (double)cases[c][1] / (double)cases[c][2];
        int64_t middle = thaw_binomial_quantile(0.5, n, p);
        double sum = 0;
        double square = 0;
        int64_t below = 0;
        for (uint32_t r = 0; r < draws; r++) {
            thaw_words words = thaw_words_make(99 + c, r);
            int64_t k = thaw_words_binomial(&words, n, cases[c][1], cases[c][2]);
            assert_true(k >= 0 && k <= n);
            double gap = (double)k - (double)n * p;
            sum += gap;
            square += gap * gap;
            below += k <= middle;
        }
        double var = (double)n * p * (1 - p);
        near(sum / draws, 0, 4 * sqrt(var / draws));
        near(square / draws / var, 1, 0.06);
        double wanted = thaw_binomial_cdf(middle, n, p);
        near((double)below / draws, wanted, 4 * sqrt(wanted * (1 - wanted) / draws));
    }
    thaw_words words = thaw_words_make(1, 1);
    assert_int_equal(thaw_words_binomial(&words, 9, 5, 5), 9);
    assert_int_equal(thaw_words_binomial(&words, 9, 0, 5), 0);
    assert_int_equal(thaw_words_binomial(&words, 0, 2, 5), 0);
}

static void index_draws(void **state)
{
    (void)state;
    enum { draws = 60000 };
    int64_t seen[7] = {0};
    thaw_words words = thaw_words_make(4, 2);
    for (int i = 0; i < draws; i++)
        seen[thaw_words_below(&words, 7)]++;
    double chi2 = 0;
    for (int k = 0; k < 7; k++)
        chi2 += pow((double)seen[k] - draws / 7.0, 2) / (draws / 7.0);
    assert_true(chi2 < 22.5); /* 99.9% of chi2 with 6 degrees of freedom */
}

/* Counting classes and drawing indices are two ways to the same distribution. */
static void draws_agree(void **state)
{
    (void)state;
    fill();
    for (int clustered = 0; clustered < 2; clustered++) {
        thaw_scores scores = {score_a, score_b, SEEDS, N, clustered ? cluster : NULL,
                              NULL,    false,   0};
        thaw_bootstrap how = {.resamples = 20000, .level = 0.95, .seed = 11};
        thaw_paired whole = compare(score_a, score_b, SEEDS, scores.cluster, NULL, 1);
        thaw_paired by_index = whole;
        thaw_paired by_class = whole;
        thaw_units units;
        assert_int_equal(thaw_units_make(&scores, &units), THAW_OK);
        assert_int_equal(thaw_crossed_bootstrap(&units, &how, THAW_DRAW_INDICES, &by_index),
                         THAW_OK);
        assert_int_equal(thaw_crossed_bootstrap(&units, &how, THAW_DRAW_AUTO, &by_class), THAW_OK);
        thaw_units_clear(&units);
        /* 20000 replicates: SE within 0.5%, quantiles within about 1.9% of an SE; both four
         * times over. */
        near(by_index.boot_se / by_class.boot_se, 1, 0.03);
        near(by_index.boot_low, by_class.boot_low, 0.1 * by_class.boot_se);
        near(by_index.boot_high, by_class.boot_high, 0.1 * by_class.boot_se);
        assert_true(by_index.boot_low != by_class.boot_low || by_index.boot_se != by_class.boot_se);
    }
}

static void scores(void **state)
{
    (void)state;
    const int32_t labels[] = {0, 1, 2};
    const int32_t predictions[] = {0, 2, 2};
    float right[3];
    thaw_scores_from_predictions(labels, predictions, 3, right);
    assert_true(right[0] == 1 && right[1] == 0 && right[2] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means),
        cmocka_unit_test(antisymmetry),
        cmocka_unit_test(one_seed_is_paired_t),
        cmocka_unit_test(equal_scores_are_not_certainty),
        cmocka_unit_test(clusters_widen),
        cmocka_unit_test(slices),
        cmocka_unit_test(degenerate),
        cmocka_unit_test(unbounded_scores),
        cmocka_unit_test(refusals),
        cmocka_unit_test(binomial_draws),
        cmocka_unit_test(index_draws),
        cmocka_unit_test(draws_agree),
        cmocka_unit_test(scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
