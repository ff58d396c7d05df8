/* Slices against the rest, and differences of shares: published and independent values. */
#include "thaw/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("got %.15g, wanted %.15g within %g", got, wanted, tolerance);
}

/* Newcombe 1998, table II, method 10. */
static void newcombe(void **state)
{
    (void)state;
    const int64_t counts[][4] = {{56, 70, 48, 80}, {9, 10, 3, 10}, {5, 56, 0, 29}, {10, 10, 0, 10}};
    const double wanted[][2] = {
        {0.0524, 0.3339}, {0.1705, 0.8090}, {-0.0381, 0.1926}, {0.6075, 1.0000}};
    for (int i = 0; i < 4; i++) {
        const int64_t *c = counts[i];
        const thaw_interval got = thaw_newcombe(c[0], c[1], c[2], c[3], 0.95);
        const thaw_interval swapped = thaw_newcombe(c[2], c[3], c[0], c[1], 0.95);
        near(got.low, wanted[i][0], 5e-5);
        near(got.high, wanted[i][1], 5e-5);
        near(swapped.low, -got.high, 1e-15);
    }
    near(thaw_newcombe(0, 0, 3, 4, 0.95).low, -1, 0);
    near(thaw_newcombe(3, 4, 0, 0, 0.95).high, 1, 0);
}

/* Expected: 2.5 -+ 3.18244630528 * 1.29099444874 / 2. */
static void student(void **state)
{
    (void)state;
    const double x[] = {1, -7, 2, -7, 3, -7, 4};
    double mean;
    thaw_interval i = thaw_student_interval(x, 4, 2, 0.95, &mean);
    near(mean, 2.5, 0);
    near(i.low, 2.5 - 2.0542602567605, 1e-9);
    near(i.high, 2.5 + 2.0542602567605, 1e-9);
    i = thaw_student_interval(x, 1, 2, 0.95, &mean);
    assert_true(mean == 1 && isinf(i.low) && isinf(i.high));
    i = thaw_student_interval(x, 0, 2, 0.95, &mean);
    assert_true(isnan(mean) && isinf(i.low));
}

/* Expected: the two means and the sum over clusters in numpy; Welch's variance from its var(ddof=1); t by Simpson's rule. */
static void contrast(void **state)
{
    (void)state;
    float scores[60];
    int32_t cluster[60];
    uint8_t mask[60];
    thaw_contrast c;
    for (int i = 0; i < 60; i++) {
        scores[i] = (float)(i * 7 % 11) / 10.0f;
        cluster[i] = i * i % 13;
        mask[i] = i % 3 == 0 || i % 7 == 0;
    }
    thaw_contrast_data d = {.scores = scores, .N = 60, .mask = mask};
    assert_int_equal(thaw_contrast_slice(&d, 0.95, &c), THAW_OK);
    assert_int_equal(c.N, 26);
    assert_int_equal(c.rest, 34);
    assert_int_equal(c.units, 26);
    near(c.mean, 0.55, 1e-7);
    near(c.delta, 0.0852941176470588, 1e-7);
    near(c.se, 0.0832313973134284, 1e-7);
    near(c.low, -0.0861241539194742, 1e-6);
    near(c.high, 0.2567123892135919, 1e-6);
    near(c.p_less, 0.842360041514323, 1e-6);
    d.cluster = cluster;
    assert_int_equal(thaw_contrast_slice(&d, 0.95, &c), THAW_OK);
    assert_int_equal(c.units, 7);
    assert_int_equal(c.rest_units, 7);
    near(c.se, 0.0621646637552411, 1e-7);
    near(c.low, -0.0668173348180827, 1e-6);
    near(c.high, 0.2374055701122003, 1e-6);
    near(c.p_less, 0.890435384910445, 1e-6);
    /* The other side's slice is the mirror image. */
    for (int i = 0; i < 60; i++)
        mask[i] = !mask[i];
    assert_int_equal(thaw_contrast_slice(&d, 0.95, &c), THAW_OK);
    near(c.delta, -0.0852941176470588, 1e-7);
    near(c.p_less, 0.109564615089555, 1e-6);
}

static void contrast_of_little(void **state)
{
    (void)state;
    float scores[] = {1, 1, 1, 0, 0};
    const uint8_t none[5] = {0};
    const uint8_t one[] = {1, 0, 0, 0, 0};
    const uint8_t wrong[] = {0, 0, 0, 1, 1};
    thaw_contrast c;
    thaw_contrast_data d = {.scores = scores, .N = 5, .mask = none};
    assert_int_equal(thaw_contrast_slice(&d, 0.95, &c), THAW_OK);
    assert_int_equal(c.N, 0);
    assert_true(isnan(c.mean) && isnan(c.se) && isinf(c.low) && c.p_less == 1);
    d.mask = one;
    assert_int_equal(thaw_contrast_slice(&d, 0.95, &c), THAW_OK);
    assert_true(isnan(c.se) && isinf(c.high) && c.p_less == 1);
    d.mask = wrong; /* nothing varies on either side */
    assert_int_equal(thaw_contrast_slice(&d, 0.95, &c), THAW_OK);
    assert_true(c.se == 0 && c.delta == -1 && c.p_less == 0);
    assert_int_equal(thaw_contrast_slice(&d, 1, &c), THAW_ERR_FAIL);
    scores[2] = NAN;
    assert_int_equal(thaw_contrast_slice(&d, 0.95, &c), THAW_ERR_NUMERIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcombe),
        cmocka_unit_test(student),
        cmocka_unit_test(contrast),
        cmocka_unit_test(contrast_of_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
