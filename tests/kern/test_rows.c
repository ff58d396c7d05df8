/* thaw-test: timeout=60 */
/* Sweeps over rows against their formulas in double, with every kind of inner loop that this CPU runs. */
#include "kern_test.h"

#include "kern/rows_impl.h"

static const kern_rows *row_kind(int index)
{
    static const kern_rows *const all[] = {
        &kern_rows_portable,
#if defined(__x86_64__)
        &kern_rows_avx2,
        &kern_rows_avx512,
#endif
    };
    if (index >= (int)(sizeof all / sizeof all[0]) || all[index]->lanes > kern_rows_choose()->lanes)
        return NULL;
    return all[index];
}

static double largest_error(const kern_rows *rows, double from, double to)
{
    enum { COUNT = 200003 };
    float *x = test_floats(COUNT);
    float *y = test_floats(COUNT);
    double worst = 0;
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(from + (to - from) * i / (COUNT - 1));
    rows->exp(COUNT, x, y);
    for (int i = 0; i < COUNT; i++)
        worst = fmax(worst, fabs(y[i] / exp(x[i]) - 1));
    thaw_free(&x);
    thaw_free(&y);
    return worst;
}

static void test_exp(void **state)
{
    (void)state;
    const kern_rows *rows;
    for (int i = 0; (rows = row_kind(i)); i++) {
        assert_true(largest_error(rows, -87.3, 88) < 3e-7);
        assert_true(largest_error(rows, -1, 1) < 3e-7);
        float x[6] = {-INFINITY, -200, NAN, INFINITY, 0, -0.0f};
        float y[6];
        rows->exp(6, x, y);
        assert_true(y[0] == 0 && y[1] == 0 && isnan(y[2]) && y[3] > 1e38f && isfinite(y[3]));
        assert_true(y[4] == 1 && y[5] == 1);
    }
}

static double gelu_truth(bool tanh_form, double x, double *slope)
{
    double k = sqrt(2 / acos(-1.0));
    if (tanh_form) {
        double t = tanh(k * (x + 0.044715 * x * x * x));
        *slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
        return 0.5 * x * (1 + t);
    }
    double area = 0.5 * erfc(-x / sqrt(2.0));
    *slope = area + x * 0.5 * k * exp(-x * x / 2);
    return x * area;
}

static void check_gelu(const kern_rows *rows, bool tanh_form)
{
    enum { N = 301, D = 37 };
    float *x = test_floats(N * D);
    float *bias = test_random(D, 2);
    float *y = test_floats(N * D);
    float *slope = test_floats(N * D);
    for (int i = 0; i < N * D; i++)
        x[i] = 12.0f * (2.0f * (float)i / (N * D) - 1.0f);
    rows->gelu[tanh_form](N, D, x, bias, y, slope);
    for (int i = 0; i < N * D; i++) {
        double change;
        double v = (float)(x[i] + bias[i % D]);
        double truth = gelu_truth(tanh_form, v, &change);
        assert_true(fabs(y[i] - truth) < 3e-7 * fmax(fabs(v), 0.01));
        assert_true(fabs(slope[i] - change) < 1e-6);
    }
    /* Without bias, in place; an element has the same bits wherever it stands. */
    float *z = test_copy(N * D, x);
    rows->gelu[tanh_form](1, N * D, z, NULL, z, NULL);
    for (int i = 0; i < N * D; i += 7) {
        float alone = x[i];
        rows->gelu[tanh_form](1, 1, &alone, NULL, &alone, NULL);
        assert_true(alone == z[i]);
    }
    z[5] = NAN;
    rows->gelu[tanh_form](1, N * D, z, NULL, z, slope);
    assert_true(isnan(z[5]) && isnan(slope[5]));
    thaw_free(&z);
    thaw_free(&x);
    thaw_free(&bias);
    thaw_free(&y);
    thaw_free(&slope);
}

static void test_gelu(void **state)
{
    (void)state;
    const kern_rows *rows;
    for (int i = 0; (rows = row_kind(i)); i++) {
        check_gelu(rows, false);
        check_gelu(rows, true);
    }
}

static const int64_t sizes[][2] = {{1, 1}, {3, 5}, {33, 64}, {70, 129}, {5, 384}, {100, 2100}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void check_sums(const kern_rows *rows, int64_t N, int64_t D)
{
    float *x = test_random(N * D, 1);
    float *slope = test_random(N * D, 2);
    float *dx = test_floats(N * D);
    double *sums = NULL;
    assert_int_equal(thaw_alloc(&sums, D, sizeof *sums), THAW_OK);
    rows->column_sums(N, D, x, sums);
    rows->slope_backward(N, D, x, slope, dx, sums);
    for (int64_t d = 0; d < D; d++) {
        double truth = 0;
        for (int64_t n = 0; n < N; n++) {
            truth += x[n * D + d] + (double)x[n * D + d] * slope[n * D + d];
            assert_true(dx[n * D + d] == x[n * D + d] * slope[n * D + d]);
        }
        /* groups of 32 unit-sized floats */
        assert_true(fabs(sums[d] - truth) < 2e-5);
    }
    thaw_free(&sums);
    thaw_free(&dx);
    thaw_free(&slope);
    thaw_free(&x);
}

static void test_column_sums(void **state)
{
    (void)state;
    const kern_rows *rows;
    for (int i = 0; (rows = row_kind(i)); i++)
        for (int j = 0; j < SIZES; j++)
            check_sums(rows, sizes[j][0], sizes[j][1]);
}

/* All of layer norm in double: y, and gradients from dy. */
static void norm_truth(int64_t N, int64_t D, const float *x, const float *w, const float *b,
                       const float *dy, float *y, float *dx, double *dw, double *db)
{
    for (int64_t n = 0; n < N; n++) {
        double mean = 0;
        double var = 0;
        double g = 0;
        double gz = 0;
        for (int64_t d = 0; d < D; d++)
            mean += x[n * D + d] / (double)D;
        for (int64_t d = 0; d < D; d++)
            var += pow(x[n * D + d] - mean, 2) / (double)D;
        double inv = 1 / sqrt(var + 1e-5);
        for (int64_t d = 0; d < D; d++) {
            double z = (x[n * D + d] - mean) * inv;
            y[n * D + d] = (float)(z * w[d] + b[d]);
            dw[d] += dy[n * D + d] * z;
            db[d] += dy[n * D + d];
            g += (double)dy[n * D + d] * w[d] / (double)D;
            gz += (double)dy[n * D + d] * w[d] * z / (double)D;
        }
        for (int64_t d = 0; d < D; d++)
            dx[n * D + d] = (float)(inv * ((double)dy[n * D + d] * w[d] - g -
                                           (x[n * D + d] - mean) * inv * gz));
    }
}

static void check_norm(const kern_rows *rows, int64_t N, int64_t D)
{
    float *x = test_random(N * D, 1);
    float *dy = test_random(N * D, 2);
    float *w = test_random(D, 3);
    float *b = test_random(D, 4);
    float *y = test_floats(N * D);
    float *dx = test_random(N * D, 5);
    float *old = test_copy(N * D, dx);
    float *true_y = test_floats(N * D);
    float *true_dx = test_floats(N * D);
    float *stats = test_floats(2 * N);
    double *sums = NULL;
    double *truth = NULL;
    assert_int_equal(thaw_alloc(&sums, 2 * D, sizeof *sums), THAW_OK);
    assert_int_equal(thaw_alloc(&truth, 2 * D, sizeof *truth), THAW_OK);
    for (int64_t i = 0; i < N * D; i++)
        x[i] += 3; /* a mean that is not 0 */
    norm_truth(N, D, x, w, b, dy, true_y, true_dx, truth, truth + D);
    rows->layer_norm(N, D, x, w, b, 1e-5f, y, stats, stats + N);
    /* D = 1: y is bias, and x minus its mean is exactly 0 */
    assert_near(N * D, y, true_y, 2e-6);
    rows->layer_norm_backward(N, D, x, w, stats, stats + N, dy, dx, true);
    for (int64_t i = 0; i < N * D; i++)
        old[i] += true_dx[i];
    assert_near(N * D, dx, old, 5e-6);
    rows->layer_norm_sums(N, D, x, stats, stats + N, dy, sums);
    for (int64_t d = 0; d < 2 * D; d++)
        assert_true(fabs(sums[d] - truth[d]) < 3e-5);
    rows->layer_norm_backward(N, D, x, w, stats, stats + N, dy, dy, false);
    assert_near(N * D, dy, true_dx, 5e-6);
    rows->layer_norm(N, D, x, w, b, 1e-5f, x, stats, stats + N);
    assert_near(N * D, x, true_y, 2e-6);
    thaw_free(&truth);
    thaw_free(&sums);
    thaw_free(&stats);
    thaw_free(&true_dx);
    thaw_free(&true_y);
    thaw_free(&old);
    thaw_free(&dx);
    thaw_free(&y);
    thaw_free(&b);
    thaw_free(&w);
    thaw_free(&dy);
    thaw_free(&x);
}

static void test_layer_norm(void **state)
{
    (void)state;
    const kern_rows *rows;
    for (int i = 0; (rows = row_kind(i)); i++)
        for (int j = 0; j < SIZES; j++)
            check_norm(rows, sizes[j][0], sizes[j][1]);
}

/* The public entry: blocks of rows, dx over dy, what is not wanted. */
static void test_layer_norm_backward(void **state)
{
    (void)state;
    enum { N = 75, D = 50 };
    float *x = test_random(N * D, 1);
    float *dy = test_random(N * D, 2);
    float *w = test_random(D, 3);
    float *y = test_floats(N * D);
    float *dx = test_floats(N * D);
    float stats[2 * N], dw[D] = {1}, db[D] = {2}, again[D] = {1};
    double sums[2 * D], truth[2 * D] = {0};
    norm_truth(N, D, x, w, w, dy, y, dx, truth, truth + D);
    thaw_kern_layer_norm(N, D, x, w, w, 1e-5f, y, stats, stats + N);
    thaw_kern_layer_norm_backward(N, D, x, w, stats, stats + N, dy, NULL, false, again, NULL, sums);
    thaw_kern_layer_norm_backward(N, D, x, w, stats, stats + N, dy, dy, false, dw, db, sums);
    assert_near(N * D, dy, dx, 5e-6);
    assert_memory_equal(dw, again, sizeof dw);
    for (int d = 0; d < D; d++) {
        assert_true(fabs(dw[d] - truth[d] - (d == 0 ? 1 : 0)) < 3e-5);
        assert_true(fabs(db[d] - truth[D + d] - (d == 0 ? 2 : 0)) < 3e-5);
    }
    thaw_free(&x);
    thaw_free(&dy);
    thaw_free(&w);
    thaw_free(&y);
    thaw_free(&dx);
}

static void test_bias_gelu_backward(void **state)
{
    (void)state;
    for (int j = 0; j < SIZES; j++) {
        int64_t N = sizes[j][0];
        int64_t D = sizes[j][1];
        float *dy = test_random(N * D, 1);
        float *slope = test_random(N * D, 2);
        float *dx = test_floats(N * D);
        float *with = test_floats(D);
        float *sums = test_floats(D);
        thaw_kern_bias_gelu_backward(N, D, dy, slope, dx, with);
        thaw_kern_sum_rows(N, D, dx, sums);
        thaw_kern_bias_gelu_backward(N, D, dy, slope, dy, NULL);
        assert_memory_equal(dx, dy, (size_t)(N * D) * sizeof *dx);
        assert_near(D, with, sums, 1e-6);
        thaw_free(&dy);
        thaw_free(&slope);
        thaw_free(&dx);
        thaw_free(&with);
        thaw_free(&sums);
    }
}

static void test_relu6_and_tanh(void **state)
{
    (void)state;
    float x[5] = {-1, 0, 3, 7, NAN};
    float y[5], dx[5], dy[5] = {1, 2, 3, 4, 5};
    thaw_kern_relu6(5, x, y);
    assert_true(y[0] == 0 && y[1] == 0 && y[2] == 3 && y[3] == 6 && isnan(y[4]));
    thaw_kern_relu6_backward(4, y, dy, dx, false);
    assert_true(dx[0] == 0 && dx[1] == 0 && dx[2] == 3 && dx[3] == 0);
    thaw_kern_relu6_backward(4, y, dy, dx, true);
    assert_true(dx[0] == 0 && dx[2] == 6);
    thaw_kern_tanh(5, x, y);
    assert_true(fabs(y[2] - tanh(3)) < 1e-6 && isnan(y[4]));
    thaw_kern_tanh_backward(4, y, dy, dx, false);
    assert_true(fabs(dx[0] - (1 - tanh(1) * tanh(1))) < 1e-6 && dx[1] == 2);
}

static void test_embedding(void **state)
{
    (void)state;
    enum { N = 6, D = 3, ROWS = 4 };
    float table[ROWS * D] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    float ids[N] = {3, 0, 3, 4, -1, NAN};
    float y[N * D], dtable[ROWS * D] = {0}, dy[N * D];
    thaw_kern_embedding(N, D, ROWS, ids, table, y);
    assert_memory_equal(y, table + 9, D * sizeof *y);
    assert_memory_equal(y + D, table, D * sizeof *y);
    for (int i = 3 * D; i < N * D; i++)
        assert_true(isnan(y[i]));
    for (int i = 0; i < N * D; i++)
        dy[i] = (float)i;
    thaw_kern_embedding_backward(N, D, ROWS, -1, ids, dy, dtable);
    assert_true(dtable[9] == 0 + 6 && dtable[11] == 2 + 8 && dtable[0] == 3 && dtable[3] == 0);
    thaw_kern_embedding_backward(N, D, ROWS, 3, ids, dy, dtable);
    assert_true(dtable[9] == 6 && dtable[0] == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_column_sums),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_layer_norm_backward),
        cmocka_unit_test(test_bias_gelu_backward),
        cmocka_unit_test(test_relu6_and_tanh),
        cmocka_unit_test(test_embedding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
