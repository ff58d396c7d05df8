/* Learning curves, labels learned by heart, and gaps to moments: values from numpy, and what must hold of any. */
#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

#include "evidence/evidence_test.h"

/* Expected: numpy, with the probe of test_measures.c on four quarters, two halves and all rows; polyfit of logarithms. */
static void label_curve(void **state)
{
    (void)state;
    float x[60 * 4];
    float test_x[90 * 4];
    int32_t labels[60];
    int32_t test_labels[90];
    thaw_label_curve c;
    thaw_bootstrap how = thaw_bootstrap_default(1);
    how.resamples = 2000;
    pattern(0, 60, x, labels);
    pattern(60, 90, test_x, test_labels);
    thaw_probe_data d = {x, labels, 60, test_x, test_labels, 90, 4, 3};
    assert_int_equal(thaw_label_curve_fit(&d, 1000, &how, &c), THAW_OK);
    const double errors[] = {0.280555555555556, 0.261111111111111, 0.222222222222222};
    for (int k = 0; k < THAW_CURVE_POINTS; k++) {
        assert_int_equal(c.n[k], k == 0 ? 15 : 30 * k);
        near(c.error[k], errors[k], 1e-12);
        assert_true(c.interval[k].low < c.error[k] && c.error[k] < c.interval[k].high);
    }
    near(c.factor, 0.448216472754185, 1e-12);
    near(c.exponent, 0.164474261282567, 1e-12);
    near(c.error_now, 0.143901403506675, 1e-12);
    near(c.error_twice, 0.128396546786794, 1e-12);
    near(c.gain, c.error_now - c.error_twice, 1e-15);
    assert_true(c.gain_interval.low < c.gain && c.gain < c.gain_interval.high);
    assert_true(c.exponent_interval.low < c.exponent && c.exponent < c.exponent_interval.high);
    /* The last error is one share of 90: its interval is about the normal one, 1.96 standard errors either way. */
    near(c.interval[2].high - c.interval[2].low, 2 * 1.96 * sqrt(2.0 / 9 * 7 / 9 / 90), 0.03);
    d.n = 7;
    assert_int_equal(thaw_label_curve_fit(&d, 7, &how, &c), THAW_ERR_INPUT);
    d.n = 60;
    how.resamples = 0;
    assert_int_equal(thaw_label_curve_fit(&d, 60, &how, &c), THAW_ERR_FAIL);
}

/* No error at all has a curve too: it is flat at half an error, and promises nothing. */
static void curve_without_errors(void **state)
{
    (void)state;
    float x[40];
    int32_t labels[40];
    thaw_label_curve c;
    thaw_bootstrap how = thaw_bootstrap_default(1);
    how.resamples = 50;
    for (int i = 0; i < 40; i++) {
        labels[i] = i % 2;
        x[i] = i % 2 == 0 ? -1 : 1;
    }
    const thaw_probe_data d = {x, labels, 40, x, labels, 40, 1, 2};
    assert_int_equal(thaw_label_curve_fit(&d, 40, &how, &c), THAW_OK);
    near(c.error[0], 0, 0);
    near(c.exponent, 0, 1e-12);
    near(c.gain, 0, 1e-12);
}

/* Features that name their row let a probe learn anything by heart; one that names the class lets it learn nothing else. */
static void memorised(void **state)
{
    (void)state;
    static float own[60 * 60];
    float kind[60];
    int32_t labels[60];
    thaw_memorised m;
    for (int i = 0; i < 60; i++) {
        labels[i] = i % 2;
        kind[i] = i % 2 == 0 ? -1 : 1;
        own[i * 60 + i] = 1;
    }
    thaw_probe_data d = {own, labels, 60, own, labels, 60, 60, 2};
    assert_int_equal(thaw_memorise(&d, 1, 0.95, &m), THAW_OK);
    assert_int_equal(m.wrong, 12);
    assert_int_equal(m.memorised, 12);
    assert_int_equal(m.resisted, 0);
    d.x = kind;
    d.D = 1;
    assert_int_equal(thaw_memorise(&d, 1, 0.95, &m), THAW_OK);
    assert_int_equal(m.memorised, 0);
    assert_int_equal(m.resisted, 12);
    near(m.interval.low, 0, 0);
    near(m.interval.high, thaw_wilson(0, 12, 0.95).high, 0);
    d.K = 1;
    assert_int_equal(thaw_memorise(&d, 1, 0.95, &m), THAW_ERR_INPUT);
    d.K = 2;
    d.n = 4;
    assert_int_equal(thaw_memorise(&d, 1, 0.95, &m), THAW_ERR_INPUT);
}

/* Expected value: numpy. */
static void gap(void **state)
{
    (void)state;
    float x[60 * 4];
    int32_t labels[60];
    double mean[] = {0.1, -0.2, 0, 0.3};
    double var[] = {1, 0.5, 0.25, 2};
    thaw_gap_test g;
    thaw_bootstrap how = thaw_bootstrap_default(3);
    how.resamples = 400;
    pattern(0, 60, x, labels);
    assert_int_equal(thaw_gap_to_moments(&(thaw_side){x, 60, NULL}, 4, mean, var, &how, &g),
                     THAW_OK);
    near(g.value, 0.450473931764987, 1e-6);
    assert_true(g.interval.low >= 0 && g.interval.low < g.value && g.value < g.interval.high);
    near(g.p, 1.0 / 401, 1e-12);
    thaw_moments(x, 60, 4, mean, var, NULL); /* its own: no gap */
    assert_int_equal(thaw_gap_to_moments(&(thaw_side){x, 60, NULL}, 4, mean, var, &how, &g),
                     THAW_OK);
    near(g.value, 0, 1e-12);
    near(g.interval.low, 0, 0);
    near(g.p, 1, 1e-12);
    memset(var, 0, sizeof var);
    assert_int_equal(thaw_gap_to_moments(&(thaw_side){x, 60, NULL}, 4, mean, var, &how, &g),
                     THAW_OK);
    assert_true(isnan(g.value) && isnan(g.p));
    assert_int_equal(thaw_gap_to_moments(&(thaw_side){x, 1, NULL}, 4, mean, var, &how, &g),
                     THAW_ERR_FAIL);
}

/* Rows from the source itself, with columns that go together: p below 0.05 in about 5% of 400 sets. */
static void gap_false_alarms(void **state)
{
    (void)state;
    const double mean[] = {0, 0, 0};
    const double var[] = {1, 1, 1};
    float x[40 * 3];
    int alarms = 0;
    thaw_bootstrap how = thaw_bootstrap_default(5);
    how.resamples = 199;
    for (uint32_t set = 0; set < 400; set++) {
        thaw_gap_test g;
        fill_normal(x, 40 * 3, set);
        for (int i = 0; i < 40; i++)
            x[i * 3 + 1] = 0.8f * x[i * 3] + 0.6f * x[i * 3 + 1];
        how.seed = set;
        assert_int_equal(thaw_gap_to_moments(&(thaw_side){x, 40, NULL}, 3, mean, var, &how, &g),
                         THAW_OK);
        alarms += g.p <= 0.05;
    }
    /* Binomial(400, 0.05) is within 8 to 34 in 99.9% of the cases; resampling 40 rows is a little too sure. */
    if (alarms < 8 || alarms > 48)
        fail_msg("%d of 400", alarms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_curve),      cmocka_unit_test(curve_without_errors),
        cmocka_unit_test(memorised),        cmocka_unit_test(gap),
        cmocka_unit_test(gap_false_alarms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
