/* Maximum mean discrepancy: a value by hand, the formula's sums one by one, all divisions of four rows, and what its p does without and with
 * a difference. */
#include "thaw/evidence.h"

#include <string.h>

#include "evidence_test.h"

static double kernel(const float *x, const float *y, int64_t D, double bandwidth)
{
    double square = 0;
    for (int64_t d = 0; d < D; d++)
        square += ((double)x[d] - (double)y[d]) * ((double)x[d] - (double)y[d]);
    return exp(-square / (2 * bandwidth * bandwidth));
}

/* Mean over pairs of a row of a and another row of b. */
static double mean_kernel(const float *a, int64_t n, const float *b, int64_t m, int64_t D,
                          double bandwidth)
{
    double sum = 0;
    int64_t pairs = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < m; j++) {
            if (a == b && i == j)
                continue;
            sum += kernel(a + i * D, b + j * D, D, bandwidth);
            pairs++;
        }
    }
    return sum / (double)pairs;
}

static thaw_mmd mmd(const float *x, int64_t n, const float *y, int64_t m, int64_t D,
                    int64_t permutations)
{
    thaw_bootstrap how = thaw_bootstrap_default(5);
    thaw_mmd out;
    how.resamples = permutations;
    assert_int_equal(
        thaw_mmd_features(&(thaw_side){x, n, NULL}, &(thaw_side){y, m, NULL}, D, &how, &out),
        THAW_OK);
    return out;
}

static void by_hand(void **state)
{
    (void)state;
    /* Squared distances 1, 1, 4, 4, 9, 16: the median of the distances is 2. */
    const float x[] = {0, 1};
    const float y[] = {2, 4};
    const thaw_mmd got = mmd(x, 2, y, 2, 1, 6000);
    near(got.bandwidth, 2, 1e-15);
    near(got.squared,
         exp(-1.0 / 8) + exp(-4.0 / 8) -
             0.5 * (exp(-4.0 / 8) + exp(-16.0 / 8) + exp(-1.0 / 8) + exp(-9.0 / 8)),
         1e-14);
    /* No division of the four is as far apart but this one, either way round: 2 of 6. Six standard deviations. */
    near(got.p, 1.0 / 3, 6 * sqrt(2.0 / 9 / 6000));
    assert_true(got.n1 == 2 && got.n2 == 2 && got.permutations == 6000);
}

static void by_sums(void **state)
{
    (void)state;
    enum { n = 23, m = 31, D = 5 };
    float x[n * D];
    float y[m * D];
    fill_normal(x, n * D, 31);
    fill_normal(y, m * D, 33);
    for (int i = 0; i < m * D; i++)
        y[i] = 0.5f + 1.5f * y[i];
    const thaw_mmd got = mmd(x, n, y, m, D, 19);
    near(got.squared,
         mean_kernel(x, n, x, n, D, got.bandwidth) + mean_kernel(y, m, y, m, D, got.bandwidth) -
             2 * mean_kernel(x, n, y, m, D, got.bandwidth),
         1e-13);
    const thaw_mmd swapped = mmd(y, m, x, n, D, 19);
    near(swapped.squared, got.squared, 1e-13);
    near(swapped.bandwidth, got.bandwidth, 1e-13);
}

/* Without a difference p is below 0.05 in one case of twenty, and with one of spread alone, which no linear classifier sees, always. */
static void errors(void **state)
{
    (void)state;
    enum { n = 30, D = 3, TRIALS = 200 };
    float x[2 * n * D];
    int64_t alarms = 0;
    int64_t found = 0;
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        fill_normal(x, 2 * n * D, 100 + trial);
        alarms += mmd(x, n, x + n * D, n, D, 99).p <= 0.05;
        for (int i = 0; i < n * D; i++)
            x[i] *= 3;
        found += mmd(x, n, x + n * D, n, D, 99).p <= 0.05;
    }
    assert_in_range(alarms, thaw_binomial_quantile(0.0005, TRIALS, 0.05),
                    thaw_binomial_quantile(0.9995, TRIALS, 0.05));
    assert_true(found >= TRIALS * 95 / 100);
}

/* Rows beyond the most are not looked at; equal rows are no distance apart. */
static void edges(void **state)
{
    (void)state;
    static float x[THAW_MMD_MOST + 1];
    const thaw_bootstrap how = {.resamples = 3, .level = 0.95, .seed = 1};
    thaw_mmd out = mmd(x, THAW_MMD_MOST, x, 2, 1, 3);
    assert_true(out.squared == 0 && out.bandwidth == 0 && out.p == 1);
    x[THAW_MMD_MOST] = 1;
    out = mmd(x, THAW_MMD_MOST + 1, x, 2, 1, 3);
    assert_true(out.squared == 0 && out.n1 == THAW_MMD_MOST);
    /* More than half of the rows are equal, so that the median says nothing. */
    const float few[] = {0, 0, 0, 0, 0, 3};
    near(mmd(few, 3, few + 3, 3, 1, 3).bandwidth, sqrt(9.0 * 5 / 15), 1e-14);
    assert_int_equal(
        thaw_mmd_features(&(thaw_side){few, 1, NULL}, &(thaw_side){few, 3, NULL}, 1, &how, &out),
        THAW_ERR_INPUT);
    x[1] = NAN;
    assert_int_equal(
        thaw_mmd_features(&(thaw_side){few, 3, NULL}, &(thaw_side){x, 2, NULL}, 1, &how, &out),
        THAW_ERR_NUMERIC);
    assert_non_null(strstr(thaw_error_last()->message, "row 1 of side 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(by_sums),
        cmocka_unit_test(errors),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
