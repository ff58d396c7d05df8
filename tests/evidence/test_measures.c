/* Drift, confusion, domain gap, transferability and calibration: known answers and invariances. */
#include "thaw/evidence.h"
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

#include "evidence/evidence_test.h"

static void motion(void **state)
{
    (void)state;
    const float w0[] = {3, 4, 0};
    const float w[] = {3, 4, 5};
    thaw_motion m = {0};
    assert_true(thaw_motion_relative(&m) == 0);
    thaw_motion_add(&m, w, w0, 3);
    near(thaw_motion_relative(&m), 1, 1e-15);
    thaw_motion_add(&m, w0, w0, 3);
    near(thaw_motion_relative(&m), 5 / sqrt(50), 1e-15);
    thaw_motion from_zero = {0};
    thaw_motion_add(&from_zero, w, w0 + 2, 1);
    assert_true(isinf(thaw_motion_relative(&from_zero)));
}

static double cka(const float *x, int64_t D1, const float *y, int64_t D2, int64_t n, bool unbiased)
{
    thaw_cka c;
    assert_int_equal(thaw_cka_init(&c, D1, D2), THAW_OK);
    thaw_cka_add(&c, x, y, n);
    double value = unbiased ? thaw_cka_unbiased(&c) : thaw_cka_biased(&c);
    thaw_cka_clear(&c);
    return value;
}

static void cka_known(void **state)
{
    (void)state;
    const float x[] = {1, 0, 0, 1, 1, 1, 2, 0};
    const float y[] = {1, 2, 0, 1, 3, 1, 2, 2};
    float scaled[8];
    for (int i = 0; i < 8; i++)
        scaled[i] = 2 * x[i] + 3;
    near(cka(x, 2, y, 2, 4, false), 0.444749589997, 5e-13);
    near(cka(x, 2, scaled, 2, 4, false), 1, 1e-14);
    const float x6[] = {1, 0, 0, 1, 1, 1, 2, 0, 3, 1, 0, 2};
    const float y6[] = {1, 2, 0, 1, 3, 1, 2, 2, 2, 0, 1, 1};
    thaw_cka c;
    assert_int_equal(thaw_cka_init(&c, 2, 2), THAW_OK);
    thaw_cka_add(&c, x6, y6, 6);
    double xy;
    double xx;
    double yy;
    thaw_cka_hsic(&c, &xy, &xx, &yy);
    near(xy, 0.222222222222, 5e-13);
    near(xx, 1.733333333333, 5e-13);
    near(yy, 1.111111111111, 5e-13);
    near(thaw_cka_unbiased(&c), 0.160128153805, 5e-13);
    near(thaw_cka_biased(&c), 0.352822618700, 5e-13);
    thaw_cka_clear(&c);
}

/* The unbiased estimator straight from its definition, with both n x n matrices. */
static double hsic_by_definition(const float *x, int64_t D1, const float *y, int64_t D2, int64_t n)
{
    double trace = 0;
    double sum_k = 0;
    double sum_l = 0;
    double chain = 0;
    for (int64_t i = 0; i < n; i++) {
        double row_k = 0;
        double row_l = 0;
        for (int64_t j = 0; j < n; j++) {
            double k = 0;
            double l = 0;
            for (int64_t d = 0; d < D1; d++)
                k += (double)x[i * D1 + d] * (double)x[j * D1 + d];
            for (int64_t d = 0; d < D2; d++)
                l += (double)y[i * D2 + d] * (double)y[j * D2 + d];
            if (i == j)
                continue;
            trace += k * l;
            row_k += k;
            row_l += l;
        }
        sum_k += row_k;
        sum_l += row_l;
        chain += row_k * row_l;
    }
    double N = (double)n;
    return (trace + sum_k * sum_l / ((N - 1) * (N - 2)) - 2 * chain / (N - 2)) / (N * (N - 3));
}

static void cka_properties(void **state)
{
    (void)state;
    enum { n = 37, D1 = 5, D2 = 3 };
    float x[n * D1];
    float y[n * D2];
    fill_normal(x, n * D1, 1);
    fill_normal(y, n * D2, 2);
    for (int i = 0; i < n; i++)
        y[i * D2] += x[i * D1] + 4;
    thaw_cka whole;
    thaw_cka first;
    thaw_cka second;
    assert_int_equal(thaw_cka_init(&whole, D1, D2), THAW_OK);
    assert_int_equal(thaw_cka_init(&first, D1, D2), THAW_OK);
    assert_int_equal(thaw_cka_init(&second, D1, D2), THAW_OK);
    thaw_cka_add(&whole, x, y, n);
    thaw_cka_add(&first, x, y, 10);
    thaw_cka_add(&second, x + 10 * D1, y + 10 * D2, n - 10);
    thaw_cka_merge(&first, &second);
    near(thaw_cka_biased(&first), thaw_cka_biased(&whole), 1e-13);
    near(thaw_cka_unbiased(&first), thaw_cka_unbiased(&whole), 1e-12);
    double xy;
    double xx;
    double yy;
    thaw_cka_hsic(&whole, &xy, &xx, &yy);
    near(xy, hsic_by_definition(x, D1, y, D2, n), 1e-11);
    near(xx, hsic_by_definition(x, D1, x, D1, n), 1e-11);
    near(yy, hsic_by_definition(y, D2, y, D2, n), 1e-11);
    near(cka(x, D1, y, D2, n, false), cka(y, D2, x, D1, n, false), 1e-14);
    assert_true(isnan(cka(x, D1, y, D2, 3, true)));
    thaw_cka_clear(&second);
    thaw_cka_clear(&first);
    thaw_cka_clear(&whole);
}

/* Independent features, D close to n: the biased estimate is high, the unbiased one is about
 * zero. */
static void cka_bias(void **state)
{
    (void)state;
    enum { n = 40, D = 40 };
    float *x = NULL;
    float *y = NULL;
    assert_int_equal(thaw_alloc(&x, n * D, sizeof *x), THAW_OK);
    assert_int_equal(thaw_alloc(&y, n * D, sizeof *y), THAW_OK);
    fill_normal(x, n * D, 3);
    fill_normal(y, n * D, 4);
    assert_true(cka(x, D, y, D, n, false) > 0.4);
    near(cka(x, D, y, D, n, true), 0, 0.1);
    near(thaw_mean_cosine(x, x, n, D), 1, 1e-12);
    near(thaw_mean_cosine(x, y, n, D), 0, 0.1);
    thaw_free(&y);
    thaw_free(&x);
    const float zero[] = {0, 0, 1, 0};
    const float other[] = {0, 0, 0, 0};
    near(thaw_mean_cosine(zero, other, 2, 2), 0.5, 0);
}

static void confusion(void **state)
{
    (void)state;
    const int32_t labels[] = {0, 0, 0, 0, 1, 1, 1, 1, 1, 1};
    const int32_t before[] = {0, 0, 0, 1, 1, 1, 1, 2, 2, 2};
    const int32_t after[] = {0, 0, 0, 1, 1, 1, 1, 1, 1, 0};
    int64_t first[9] = {0};
    int64_t second[9] = {0};
    assert_int_equal(thaw_confusion_add(labels, before, 10, NULL, 3, first), THAW_OK);
    assert_int_equal(thaw_confusion_add(labels, after, 10, NULL, 3, second), THAW_OK);
    assert_int_equal(first[0], 3);
    assert_int_equal(first[5], 3);
    double recall[3];
    double precision[3];
    double f1[3];
    thaw_class_summary s = thaw_confusion_summary(first, 3, recall, precision, f1);
    near(s.accuracy, 0.6, 1e-15);
    near(recall[0], 0.75, 1e-15);
    near(recall[1], 0.5, 1e-15);
    assert_true(isnan(recall[2]) && precision[2] == 0 && f1[2] == 0);
    near(s.balanced_accuracy, 0.625, 1e-15);
    near(s.macro_f1, (6.0 / 7 + 6.0 / 10 + 0) / 3, 1e-15);
    thaw_cell_change change[2];
    assert_int_equal(thaw_confusion_changes(first, second, 3, change, 2), 2);
    assert_true(change[0].label == 1 && change[0].prediction == 2 && change[0].before == 3 &&
                change[0].after == 0);
    assert_true(change[1].label == 1 && change[1].prediction == 0 && change[1].after == 1);
    assert_int_equal(thaw_confusion_changes(first, second, 3, change, 1), 1);
    assert_int_equal(change[0].prediction, 2);
    assert_int_equal(thaw_confusion_changes(first, first, 3, change, 2), 0);
    const int32_t bad[] = {3};
    assert_int_equal(thaw_confusion_add(bad, before, 1, NULL, 3, first), THAW_ERR_INPUT);
    assert_int_equal(thaw_confusion_add(labels, bad, 1, NULL, 3, first), THAW_ERR_INPUT);
    int64_t none[4] = {0};
    assert_true(isnan(thaw_confusion_summary(none, 2, NULL, NULL, NULL).accuracy));
}

/* A v = lambda v and V'V = 1, with `kept` the matrix before. */
static void check_eigen(double *matrix, int64_t D)
{
    double kept[17 * 17];
    double values[17];
    double plain[17];
    double vectors[17 * 17];
    memcpy(kept, matrix, (size_t)(D * D) * sizeof *kept);
    thaw_symmetric_eigen(matrix, D, values, vectors);
    memcpy(matrix, kept, (size_t)(D * D) * sizeof *kept);
    thaw_symmetric_eigen(matrix, D, plain, NULL);
    for (int64_t k = 0; k < D; k++) {
        for (int64_t i = 0; i < D; i++) {
            double sum = 0;
            double product = 0;
            for (int64_t j = 0; j < D; j++) {
                sum += kept[i * D + j] * vectors[j * D + k];
                product += vectors[j * D + i] * vectors[j * D + k];
            }
            near(sum, values[k] * vectors[i * D + k], 1e-12);
            near(product, i == k, 1e-13);
        }
        assert_true(plain[k] == values[k]);
        assert_true(k == 0 || values[k] >= values[k - 1]);
    }
}

static void eigen(void **state)
{
    (void)state;
    enum { D = 17 };
    float x[D * D];
    double matrix[D * D];
    fill_normal(x, D * D, 5);
    for (int i = 0; i < D * D; i++)
        matrix[i] = (double)x[i] + (double)x[i % D * D + i / D];
    check_eigen(matrix, D);
    /* Rank one, a repeated value, already diagonal, block diagonal, sizes 1 and 2, zero. */
    for (int i = 0; i < D * D; i++)
        matrix[i] = (double)x[i / D] * (double)x[i % D];
    check_eigen(matrix, D);
    for (int i = 0; i < D * D; i++)
        matrix[i] = i / D == i % D ? 3 - (i % 2) : 0;
    check_eigen(matrix, D);
    for (int i = 0; i < D * D; i++)
        matrix[i] = i / D / 2 == i % D / 2 ? 1 + (i / D == i % D) : 0;
    check_eigen(matrix, D);
    double two[] = {0, 1, 1, 0};
    check_eigen(two, 2);
    double one[] = {-4};
    check_eigen(one, 1);
    memset(matrix, 0, sizeof matrix);
    check_eigen(matrix, D);
}

static void frechet(void **state)
{
    (void)state;
    const double mean1[] = {0, 0};
    const double mean2[] = {1, 2};
    const double var1[] = {1, 4};
    const double var2[] = {4, 1};
    near(thaw_frechet_diagonal(mean1, var1, mean2, var2, 2), 7, 1e-14);
    const double cov1[] = {1, 0, 0, 4};
    const double cov2[] = {4, 0, 0, 1};
    double full;
    assert_int_equal(thaw_frechet_full(mean1, cov1, mean2, cov2, 2, &full), THAW_OK);
    near(full, 7, 1e-12);
    /* 2 x 2: tr (C1 C2)^(1/2) = sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)). */
    const double a[] = {2, 1, 1, 3};
    const double b[] = {5, -1, -1, 2};
    double root = sqrt((2 * 5 - 1) + (-1 + 3 * 2) + 2 * sqrt(5.0 * 9.0));
    assert_int_equal(thaw_frechet_full(mean1, a, mean2, b, 2, &full), THAW_OK);
    near(full, 5 + 5 + 7 - 2 * root, 1e-12);
    assert_int_equal(thaw_frechet_full(mean1, a, mean1, a, 2, &full), THAW_OK);
    near(full, 0, 1e-12);
    assert_int_equal(thaw_frechet_full(mean1, a, mean2, b, THAW_FRECHET_MAX_D + 1, &full),
                     THAW_ERR_FAIL);
    const float x[] = {0, 1, 2, 1, 4, 4};
    double mean[2];
    double var[2];
    double cov[4];
    thaw_moments(x, 3, 2, mean, var, cov);
    near(mean[0], 2, 1e-15);
    near(var[0], 4, 1e-15);
    near(cov[1], 3, 1e-15);
    near(cov[3], var[1], 1e-15);
}

static void proxy_a(void **state)
{
    (void)state;
    thaw_proxy_a gap = thaw_proxy_a_from_error(15, 100, 0.95);
    near(gap.distance, 1.4, 1e-14);
    near(gap.interval.high, 2 * (1 - 2 * (1 - 0.9069401471)), 1e-9);
    near(thaw_proxy_a_from_error(70, 100, 0.95).distance, 0, 0);
    enum { n = 200, D = 8 };
    float x[n * D];
    float y[n * D];
    fill_normal(x, n * D, 16);
    fill_normal(y, n * D, 18);
    assert_int_equal(
        thaw_proxy_a_features(&(thaw_side){x, n, NULL}, &(thaw_side){y, n, NULL}, D, 0.95, &gap),
        THAW_OK);
    assert_int_equal(gap.n, 2 * n);
    assert_true(gap.interval.low == 0 && gap.distance < 0.4);
    for (int i = 0; i < n; i++)
        y[i * D + 3] += 4;
    assert_int_equal(
        thaw_proxy_a_features(&(thaw_side){x, n, NULL}, &(thaw_side){y, n, NULL}, D, 0.95, &gap),
        THAW_OK);
    /* Two sides 4 standard deviations apart: Bayes error Phi(-2) = 0.023, distance 1.91. */
    near(gap.distance, 1.91, 0.09);
    assert_int_equal(
        thaw_proxy_a_features(&(thaw_side){x, 3, NULL}, &(thaw_side){y, n, NULL}, D, 0.95, &gap),
        THAW_ERR_INPUT);
    memset(x, 0, sizeof x);
    assert_int_equal(
        thaw_proxy_a_features(&(thaw_side){x, n, NULL}, &(thaw_side){x, n, NULL}, D, 0.95, &gap),
        THAW_OK);
    near(gap.error, 0.5, 1e-12);
}

static void logme(void **state)
{
    (void)state;
    const float perfect[] = {1, 1, 1, -1, 1, 1, 1, -1};
    const int32_t perfect_labels[] = {0, 1, 0, 1};
    double value;
    assert_int_equal(thaw_logme(perfect, 4, 2, perfect_labels, 2, &value), THAW_OK);
    near(value, 1.882579628145, 1e-6); /* the fit is perfect: what is left is rounding over 1e-5 */
    const float mixed[] = {1, 1, 1, 1, 1, 1, 1, -1, 1, -1, 1, -1};
    const int32_t mixed_labels[] = {0, 0, 1, 1, 0, 1};
    assert_int_equal(thaw_logme(mixed, 6, 2, mixed_labels, 2, &value), THAW_OK);
    near(value, -1.022347537630, 5e-12);
    const int32_t bad[] = {0, 0, 1, 2, 0, 1};
    assert_int_equal(thaw_logme(mixed, 6, 2, bad, 2, &value), THAW_ERR_INPUT);
}

/* Fewer and more features than rows take different routes; wanted values from numpy's SVD and
 * the authors' loop. */
static double logme_of_pattern(int64_t n, int64_t D)
{
    float x[14 * 14];
    int32_t labels[14];
    double value = 0;
    for (int64_t i = 0; i < n; i++) {
        labels[i] = (int32_t)((i * i + i / 3) % 3);
        for (int64_t j = 0; j < D; j++)
            x[i * D + j] = (float)((i * 7 + j * 13 + i * j) % 11 - 5);
    }
    assert_int_equal(thaw_logme(x, n, D, labels, 3, &value), THAW_OK);
    return value;
}

static void logme_shapes(void **state)
{
    (void)state;
    near(logme_of_pattern(14, 5), -0.7730009110042725, 1e-9);
    near(logme_of_pattern(10, 14), 0.3063080935701101, 1e-6);
}

static thaw_judged two_classes(const float *outputs, const int32_t *labels,
                               const int32_t *predicted, int64_t N)
{
    return (thaw_judged){.task = THAW_TASK_CLASSIFICATION,
                         .N = N,
                         .K = 2,
                         .labels = labels,
                         .predicted = predicted,
                         .outputs = outputs};
}

/* By hand: bins {0.6, 0.7} and {0.8, 0.9}, of which the first is right once: (|1 - 1.3| + |2 - 1.7|) / 4. */
static void calibration(void **state)
{
    (void)state;
    const float outputs[] = {0.1f, 0.9f, 0.6f, 0.4f, 0.2f, 0.8f, 0.7f, 0.3f};
    const int32_t predicted[] = {1, 0, 1, 0};
    const int32_t labels[] = {1, 0, 1, 1};
    thaw_calibration c;
    thaw_judged j = two_classes(outputs, labels, predicted, 4);
    assert_int_equal(thaw_calibrate(&j, NULL, 2, NULL, &c), THAW_OK);
    near(c.ece, 0.15, 1e-7);
    near(c.brier, 2 * (0.01 + 0.16 + 0.04 + 0.49) / 4, 1e-7);
    near(c.nll, -log(0.9 * 0.6 * 0.8 * 0.3) / 4, 1e-7);
    assert_true(isnan(c.ece_interval.low) && isnan(c.brier_interval.high));
    /* One bin: |3 - 3| / 4. More bins than samples: each is alone. */
    assert_int_equal(thaw_calibrate(&j, NULL, 1, NULL, &c), THAW_OK);
    near(c.ece, 0, 1e-7);
    assert_int_equal(thaw_calibrate(&j, NULL, 100, NULL, &c), THAW_OK);
    near(c.ece, (0.1 + 0.4 + 0.2 + 0.7) / 4, 1e-7);
    /* A sample that counts twice is there twice: {0.6, 0.7, 0.7} and {0.8, 0.9}. */
    const int32_t times[] = {1, 1, 1, 2};
    j.times = times;
    assert_int_equal(thaw_calibrate(&j, NULL, 2, NULL, &c), THAW_OK);
    near(c.ece, (fabs(1 - 2.0) + fabs(2 - 1.7)) / 5, 1e-7);
    j.N = 0;
    assert_int_equal(thaw_calibrate(&j, NULL, 2, NULL, &c), THAW_OK);
    assert_true(isnan(c.ece) && isnan(c.brier));
    j.task = THAW_TASK_REGRESSION;
    assert_int_equal(thaw_calibrate(&j, NULL, 2, NULL, &c), THAW_ERR_FAIL);
}

/* 0.75 everywhere and three of four right: no fault, in whatever order the samples come and however many bins there are. */
static void calibration_of_ties(void **state)
{
    (void)state;
    enum { ALIKE = 40 };
    const thaw_bootstrap how = {.resamples = 400, .level = 0.95, .seed = 5};
    float outputs[2 * ALIKE];
    int32_t labels[ALIKE];
    int32_t predicted[ALIKE] = {0};
    int32_t cluster[ALIKE];
    thaw_calibration c;
    thaw_calibration by_cluster;
    const thaw_judged j = two_classes(outputs, labels, predicted, ALIKE);
    for (int i = 0; i < ALIKE; i++) {
        outputs[2 * i] = 0.75f;
        outputs[2 * i + 1] = 0.25f;
        labels[i] = i < ALIKE / 4;
        cluster[i] = i / 5;
    }
    assert_int_equal(thaw_calibrate(&j, NULL, THAW_CALIBRATION_BINS, &how, &c), THAW_OK);
    near(c.ece, 0, 0);
    near(c.ece_interval.low, 0, 0);
    /* The share that is right has the standard error sqrt(0.75 * 0.25 / 40) = 0.068: far from certain. */
    assert_true(c.ece_interval.high > 0.05 && c.ece_interval.high < 0.2);
    near(c.brier, 2 * (0.75 * 0.0625 + 0.25 * 0.5625), 1e-12);
    assert_true(c.brier_interval.low < c.brier && c.brier < c.brier_interval.high);
    near(c.nll, -0.75 * log(0.75) - 0.25 * log(0.25), 1e-7);
    assert_true(c.nll_interval.low < c.nll && c.nll < c.nll_interval.high);
    assert_int_equal(thaw_calibrate(&j, cluster, THAW_CALIBRATION_BINS, &how, &by_cluster),
                     THAW_OK);
    assert_true(by_cluster.brier_interval.high - by_cluster.brier_interval.low >
                1.5 * (c.brier_interval.high - c.brier_interval.low));
    outputs[0] = NAN;
    assert_int_equal(thaw_calibrate(&j, NULL, THAW_CALIBRATION_BINS, &how, &c), THAW_OK);
    assert_true(isnan(c.ece) && isnan(c.ece_interval.high));
}

/* sigmoid(ln 9 / T) = 3 / 4, the share that is right, for T = ln 9 / ln 3 = 2. */
static void temperature(void **state)
{
    (void)state;
    float outputs[] = {0.9f, 0.1f, 0.9f, 0.1f, 0.1f, 0.9f, 0.9f, 0.1f};
    const int32_t predicted[] = {0, 0, 1, 0};
    const int32_t labels[] = {0, 0, 1, 1};
    thaw_judged j = two_classes(outputs, labels, predicted, 4);
    near(thaw_temperature_fit(&j), 2, 1e-6);
    thaw_temperature_apply(outputs, 4, 2, 2, outputs);
    near(outputs[0], 0.75, 1e-7);
    near(outputs[4], 0.25, 1e-7);
    near(thaw_temperature_fit(&j), 1, 1e-6);
    /* Nothing to choose between, and nothing known. */
    const float even[] = {0.5f, 0.5f, 0.5f, 0.5f};
    const float unknown[] = {0.5f, 0.5f, NAN, 0.5f};
    j.N = 2;
    j.outputs = even;
    near(thaw_temperature_fit(&j), 1, 0);
    j.outputs = unknown;
    assert_true(isnan(thaw_temperature_fit(&j)));
    j.N = 4;
    j.outputs = outputs;
    /* All right: the colder the better, as far as it goes; all wrong: the other way. A certain 0 is finite. */
    j.labels = predicted;
    outputs[0] = 1;
    outputs[1] = 0;
    near(thaw_temperature_fit(&j), 0.01, 0);
    const int32_t wrong[] = {1, 1, 0, 1};
    j.labels = wrong;
    near(thaw_temperature_fit(&j), 100, 0);
    thaw_temperature_apply(outputs, 1, 2, 2, outputs);
    near(outputs[0] + outputs[1], 1, 1e-7);
    j.N = 0;
    near(thaw_temperature_fit(&j), 1, 0);
}

/* Expected: the formulas in numpy, with scikit-learn's shrinkage. */
static void h_score(void **state)
{
    (void)state;
    float x[60 * 4];
    int32_t labels[60];
    double score = 0;
    pattern(0, 60, x, labels);
    assert_int_equal(thaw_h_score(x, 60, 4, labels, 3, &score), THAW_OK);
    near(score, 0.752418945249299, 1e-9);
    for (int i = 0; i < 60 * 4; i++)
        x[i] = 3; /* constant: tells nothing */
    assert_int_equal(thaw_h_score(x, 60, 4, labels, 3, &score), THAW_OK);
    near(score, 0, 0);
    labels[7] = 3;
    assert_int_equal(thaw_h_score(x, 60, 4, labels, 3, &score), THAW_ERR_INPUT);
}

/* Expected: numpy, where each row was left out for real. */
static void linear_probe(void **state)
{
    (void)state;
    float x[60 * 4];
    float test_x[90 * 4];
    int32_t labels[60];
    int32_t test_labels[90];
    int64_t right = 0;
    pattern(0, 60, x, labels);
    pattern(60, 90, test_x, test_labels);
    thaw_probe_data d = {x, labels, 60, test_x, test_labels, 90, 4, 3};
    assert_int_equal(thaw_linear_probe(&d, &right), THAW_OK);
    assert_int_equal(right, 70);
    for (int i = 0; i < 60 * 4; i++)
        x[i] = 3; /* constant: the most frequent class, here the first */
    assert_int_equal(thaw_linear_probe(&d, &right), THAW_OK);
    assert_int_equal(right, 30);
    test_labels[89] = -1;
    assert_int_equal(thaw_linear_probe(&d, &right), THAW_ERR_INPUT);
}

/* Rows of b, one of them scaled about b's mean and one with a little noise, and one that is far from all. */
static void nearest_rows(void **state)
{
    enum { M = 50, D = 12 };
    (void)state;
    float b[M * D];
    float a[3 * D];
    float noise[D];
    double mean[D];
    double variance[D];
    thaw_near found[M];
    fill_normal(b, (int64_t)M * D, 71);
    fill_normal(noise, D, 72);
    for (int i = 0; i < M; i++)
        b[i * D + 3] = 5; /* says nothing */
    thaw_moments(b, M, D, mean, variance, NULL);
    for (int j = 0; j < D; j++) {
        a[j] = (float)(mean[j] + 2 * ((double)b[7 * D + j] - mean[j]));
        a[D + j] = b[31 * D + j] + (j == 3 ? 100 : 0.02f * noise[j]);
        a[2 * D + j] = (float)mean[j];
    }
    assert_int_equal(thaw_nearest_rows(a, 3, b, M, D, found), THAW_OK);
    assert_int_equal(found[0].nearest, 7);
    near(found[0].cosine, 1, 1e-5);
    assert_true(found[0].cosine <= 1);
    assert_int_equal(found[1].row, 1);
    assert_int_equal(found[1].nearest, 31);
    assert_true(found[1].cosine > 0.99 && found[1].cosine < 0.99999);
    near(found[2].cosine, 0, 1e-5);
    /* Among themselves: no row is its own nearest, and two that are equal find each other. */
    memcpy(b + 40 * D, b + 12 * D, D * sizeof *b);
    assert_int_equal(thaw_nearest_rows(b, M, b, M, D, found), THAW_OK);
    for (int i = 0; i < M; i++) {
        assert_int_not_equal(found[i].nearest, i);
        assert_true(i == 12 || i == 40 || found[i].cosine < 0.99);
    }
    assert_int_equal(found[12].nearest, 40);
    assert_int_equal(found[40].nearest, 12);
    near(found[40].cosine, 1, 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_rows),
        cmocka_unit_test(h_score),
        cmocka_unit_test(linear_probe),
        cmocka_unit_test(motion),
        cmocka_unit_test(cka_known),
        cmocka_unit_test(cka_properties),
        cmocka_unit_test(cka_bias),
        cmocka_unit_test(confusion),
        cmocka_unit_test(eigen),
        cmocka_unit_test(frechet),
        cmocka_unit_test(proxy_a),
        cmocka_unit_test(logme),
        cmocka_unit_test(logme_shapes),
        cmocka_unit_test(calibration),
        cmocka_unit_test(calibration_of_ties),
        cmocka_unit_test(temperature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
