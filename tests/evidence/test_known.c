/* Known answers of distributions, Wilson, McNemar, Holm, the detectable difference and the
 * one-standard-error rule. */
#include "thaw/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Tolerances: half a unit of the last published digit, or rounding where the answer is a closed
 * form. */
static void near(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("got %.15g, wanted %.15g within %g", got, wanted, tolerance);
}

static void normal(void **state)
{
    (void)state;
    near(thaw_normal_cdf(0), 0.5, 0);
    near(thaw_normal_cdf(1.959963984540054), 0.975, 1e-14);
    near(thaw_normal_quantile(0.975), 1.959963984540054, 1e-13);
    near(thaw_normal_quantile(0.8), 0.8416212335729143, 1e-13);
    near(thaw_normal_quantile(1e-10), -6.361340902404056, 1e-11);
    assert_true(thaw_normal_quantile(0.5) == 0);
    assert_true(isinf(thaw_normal_quantile(1)) && thaw_normal_quantile(0) < 0);
    for (double p = 0.001; p < 1; p += 0.0173)
        near(thaw_normal_cdf(thaw_normal_quantile(p)), p, 1e-14);
    near(thaw_chi2_1_tail(3.841458820694124), 0.05, 1e-14);
}

static void student(void **state)
{
    (void)state;
    /* Closed forms: Cauchy for 1, t / sqrt(2 + t^2) for 2 degrees of freedom. */
    near(thaw_student_cdf(1, 1), 0.75, 1e-14);
    near(thaw_student_cdf(3, 2), 0.5 + 0.5 * 3 / sqrt(11), 1e-14);
    near(thaw_student_quantile(0.975, 2), 0.95 * sqrt(2 / (1 - 0.95 * 0.95)), 1e-12);
    near(thaw_student_quantile(0.975, 3.7), 2.86752071, 5e-9);
    near(thaw_student_quantile(0.975, 1), 12.70620473617471, 1e-10);
    near(thaw_student_quantile(0.95, 10), 1.8124611228107335, 1e-12);
    near(thaw_student_quantile(0.975, 399), 1.9659272959208543, 1e-9);
    near(thaw_student_quantile(0.975, INFINITY), 1.959963984540054, 1e-13);
    near(thaw_student_quantile(0.025, 7.5), -thaw_student_quantile(0.975, 7.5), 1e-12);
    near(thaw_student_cdf(-1.7, 6), 1 - thaw_student_cdf(1.7, 6), 1e-15);
}

static void binomial(void **state)
{
    (void)state;
    near(thaw_binomial_cdf(2, 12, 0.5), 79.0 / 4096, 1e-15);
    near(thaw_binomial_cdf(0, 3, 0.2), 0.512, 1e-14);
    assert_true(thaw_binomial_cdf(-1, 3, 0.2) == 0 && thaw_binomial_cdf(3, 3, 0.2) == 1);
    int64_t k = thaw_binomial_quantile(0.999, 400, 0.05);
    assert_true(thaw_binomial_cdf(k, 400, 0.05) >= 0.999);
    assert_true(thaw_binomial_cdf(k - 1, 400, 0.05) < 0.999);
}

static void wilson(void **state)
{
    (void)state;
    thaw_interval i = thaw_wilson(85, 100, 0.95);
    near(i.low, 0.7671644041, 1e-10);
    near(i.high, 0.9069401471, 1e-10);
    i = thaw_wilson(0, 20, 0.95);
    assert_true(i.low == 0 && i.high > 0.1 && i.high < 0.2);
    i = thaw_wilson(20, 20, 0.95);
    assert_true(i.high == 1 && i.low < 0.9);
    i = thaw_wilson(0, 0, 0.95);
    assert_true(i.low == 0 && i.high == 1);
}

static void mcnemar(void **state)
{
    (void)state;
    thaw_mcnemar t = thaw_mcnemar_test(10, 2);
    near(t.p_exact, 0.03857421875, 1e-14);
    near(t.p_mid, 0.0224609375, 1e-14);
    near(t.chi2, 5.333333, 5e-7);
    near(t.p_chi2, 0.0209213, 5e-8);
    near(t.chi2_corrected, 4.083333, 5e-7);
    near(t.p_chi2_corrected, 0.0433081, 5e-8);
    t = thaw_mcnemar_test(25, 10);
    near(t.p_exact, 0.0166738478, 5e-11);
    near(t.p_mid, 0.01133098418, 5e-12);
    near(t.chi2, 6.428571, 5e-7);
    near(t.p_chi2, 0.0112299, 5e-8);
    t = thaw_mcnemar_test(0, 6);
    near(t.p_exact, 0.03125, 1e-15);
    near(t.p_mid, 0.015625, 1e-15);
    t = thaw_mcnemar_test(121, 59);
    near(t.p_exact, 4.434449264e-06, 5e-16);
    near(t.chi2_corrected, 20.672222, 5e-7);
}

static void mcnemar_edges(void **state)
{
    (void)state;
    thaw_mcnemar t = thaw_mcnemar_test(0, 0);
    assert_true(t.p_exact == 1 && t.p_mid == 1 && t.p_chi2 == 1 && t.chi2 == 0);
    t = thaw_mcnemar_test(7, 7);
    assert_true(t.p_exact == 1 && t.p_mid == 1 && t.chi2_corrected == 0);
    thaw_mcnemar swapped = thaw_mcnemar_test(4, 19);
    t = thaw_mcnemar_test(19, 4);
    assert_true(t.p_exact == swapped.p_exact && t.p_mid == swapped.p_mid && t.chi2 == swapped.chi2);
    const float a[] = {1, 1, 0, 0, 1};
    const float b[] = {1, 0, 1, 0, 0};
    const uint8_t mask[] = {1, 1, 1, 1, 0};
    t = thaw_mcnemar_scores(a, b, 5, NULL);
    assert_true(t.a_only == 2 && t.b_only == 1);
    t = thaw_mcnemar_scores(a, b, 5, mask);
    assert_true(t.a_only == 1 && t.b_only == 1);
}

static void holm(void **state)
{
    (void)state;
    /* By hand: 4 * .005, 3 * .01, then 2 * .03, and .04 may not fall below it. */
    double p[] = {0.01, 0.04, 0.03, 0.005};
    const double wanted[] = {0.03, 0.06, 0.06, 0.02};
    assert_int_equal(thaw_holm(p, 4, p), THAW_OK);
    for (int i = 0; i < 4; i++)
        near(p[i], wanted[i], 1e-15);
    double large[] = {0.6, 0.9};
    assert_int_equal(thaw_holm(large, 2, large), THAW_OK);
    assert_true(large[0] == 1 && large[1] == 1);
    double wrong[] = {0.5, 1.5};
    assert_int_equal(thaw_holm(wrong, 2, wrong), THAW_ERR_FAIL);
    wrong[1] = NAN;
    assert_int_equal(thaw_holm(wrong, 2, wrong), THAW_ERR_FAIL);
    assert_int_equal(thaw_holm(NULL, 0, NULL), THAW_OK);
}

static void detectable(void **state)
{
    (void)state;
    const int64_t N[] = {200, 1000, 5000, 10000};
    const double q[] = {0.05, 0.10, 0.20};
    const double points[4][3] = {
        {4.4, 6.3, 8.9}, {2.0, 2.8, 4.0}, {0.9, 1.3, 1.8}, {0.6, 0.9, 1.3}};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 3; j++) {
            thaw_design d = thaw_design_default(N[i], q[j]);
            near(thaw_design_se(&d), sqrt(q[j] / (double)N[i]), 1e-15);
            near(100 * thaw_design_detectable(&d), points[i][j], 0.06);
        }
    }
}

static void design_properties(void **state)
{
    (void)state;
    thaw_design d = thaw_design_default(1000, 0.1);
    double plain = thaw_design_detectable(&d);
    near(thaw_design_power(&d, plain), 0.8, 1e-12);
    d.design_effect = 4;
    near(thaw_design_detectable(&d), 2 * plain, 1e-12);
    d.design_effect = 1;
    d.comparisons = 3;
    assert_true(thaw_design_detectable(&d) > plain);
    d.comparisons = 1;
    d.seeds = 3; /* fully correlated seeds without variation of their own add nothing */
    near(thaw_design_detectable(&d), plain, 1e-12);
    d.seed_correlation = 0.5;
    assert_true(thaw_design_se(&d) < sqrt(0.1 / 1000));
    d.seed_sd = 0.02;
    assert_true(thaw_design_detectable(&d) > plain);
    near(thaw_design_power(&d, thaw_design_detectable(&d)), 0.8, 1e-9);
    assert_true(thaw_design_samples(&d, 0.005) ==
                -1); /* no gate is large enough for seeds that vary so */
    d = thaw_design_default(10, 0.1);
    int64_t needed = thaw_design_samples(&d, plain);
    assert_true(needed >= 999 && needed <= 1001);
    d.min_effect = 0.02;
    assert_true(thaw_design_samples(&d, 0.02) == -1);
    d.N = 0;
    assert_true(isinf(thaw_design_detectable(&d)) && thaw_design_power(&d, 1) == 0);
}

static void simplest_within(void **state)
{
    (void)state;
    const double mean[] = {0.70, 0.79, 0.80, 0.805, 0.80};
    assert_int_equal(thaw_best_rung(mean, 5), 3);
    assert_int_equal(thaw_simplest_within(mean, 5, 0.01), 2);
    assert_int_equal(thaw_simplest_within(mean, 5, 0.015), 1); /* just: rounding does not decide */
    assert_int_equal(thaw_simplest_within(mean, 5, 0.2), 0);
    assert_int_equal(thaw_simplest_within(mean, 5, 0), 3);
    const double tie[] = {0.5, 0.5};
    assert_int_equal(thaw_simplest_within(tie, 2, 0), 0);
    assert_int_equal(thaw_simplest_within(tie, 0, 0.01), -1);
    const double undefined[] = {NAN, 0.5, 0.6};
    assert_int_equal(thaw_best_rung(undefined, 3), 2);
    assert_int_equal(thaw_best_rung(undefined, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal),
        cmocka_unit_test(student),
        cmocka_unit_test(binomial),
        cmocka_unit_test(wilson),
        cmocka_unit_test(mcnemar),
        cmocka_unit_test(mcnemar_edges),
        cmocka_unit_test(holm),
        cmocka_unit_test(detectable),
        cmocka_unit_test(simplest_within),
        cmocka_unit_test(design_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
