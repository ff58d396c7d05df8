/* Batch norm: against the definition in double, and its gradients against central differences. */
#include "kern_test.h"

static const int64_t shapes[][3] = {{1, 1, 2},   {2, 3, 5},  {5, 4, 1},   {64, 40, 1},
                                    {3, 17, 4},  {4, 7, 49}, {6, 16, 64}, {2, 3, 1024},
                                    {9, 33, 16}, {1, 5, 300}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };
static const float epsilon = 1e-5f;

static int64_t at(const int64_t z[3], int64_t b, int64_t c, int64_t i)
{
    return (b * z[1] + c) * z[2] + i;
}

/* Mean and biased variance of one channel. */
static void moments(const int64_t z[3], const float *x, int64_t c, double *mean, double *var)
{
    double sum = 0;
    double squares = 0;
    for (int64_t b = 0; b < z[0]; b++)
        for (int64_t i = 0; i < z[2]; i++)
            sum += x[at(z, b, c, i)];
    *mean = sum / (double)(z[0] * z[2]);
    for (int64_t b = 0; b < z[0]; b++)
        for (int64_t i = 0; i < z[2]; i++)
            squares += pow(x[at(z, b, c, i)] - *mean, 2);
    *var = squares / (double)(z[0] * z[2]);
}

static void check_train(const int64_t z[3], float offset)
{
    int64_t n = z[0] * z[1] * z[2];
    float *x = test_random(n, 1);
    for (int64_t i = 0; i < n; i++)
        x[i] += offset;
    float *weight = test_random(z[1], 2);
    float *bias = test_random(z[1], 3);
    float *y = test_floats(n);
    float *truth = test_floats(n);
    float *stats = test_floats(3 * z[1]);
    thaw_kern_batch_norm_train(z[0], z[1], z[2], x, weight, bias, epsilon, y, stats, stats + z[1],
                               stats + 2 * z[1]);
    double count = (double)(z[0] * z[2]);
    for (int64_t c = 0; c < z[1]; c++) {
        double mean, var;
        moments(z, x, c, &mean, &var);
        double scale = 1 / sqrt(var + epsilon);
        assert_true(fabs(stats[c] - mean) <= 1e-6 * (1 + fabs(mean)));
        assert_true(fabs(stats[z[1] + c] - scale) <= 1e-5 * scale);
        assert_true(fabs(stats[2 * z[1] + c] - var * count / (count - 1)) <= 1e-5 * (var + 1e-6));
        for (int64_t b = 0; b < z[0]; b++)
            for (int64_t i = 0; i < z[2]; i++)
                truth[at(z, b, c, i)] =
                    (float)(weight[c] * scale * (x[at(z, b, c, i)] - mean) + bias[c]);
    }
    /* y = scale x + shift in float: an offset of many deviations costs its own rounding. */
    assert_near(n, y, truth, 2e-6 * (1 + fabs((double)offset)));
    thaw_kern_batch_norm_eval(z[0], z[1], z[2], x, weight, bias, stats, stats + 2 * z[1], epsilon,
                              y);
    for (int64_t c = 0; c < z[1]; c++)
        for (int64_t b = 0; b < z[0]; b++)
            for (int64_t i = 0; i < z[2]; i++)
                truth[at(z, b, c, i)] =
                    (float)((double)weight[c] * (x[at(z, b, c, i)] - (double)stats[c]) /
                                sqrt((double)stats[2 * z[1] + c] + epsilon) +
                            bias[c]);
    assert_near(n, y, truth, 2e-6 * (1 + fabs((double)offset)));
    thaw_free(&x);
    thaw_free(&weight);
    thaw_free(&bias);
    thaw_free(&y);
    thaw_free(&truth);
    thaw_free(&stats);
}

static void test_forward(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        check_train(shapes[i], 0);
        check_train(shapes[i], 10);
    }
}

/* The gradient of sum(g * bn(x)) from the textbook form, in double. stats: mean and inv_std; fixed: they are constants. */
static void true_gradient(const int64_t z[3], const float *x, const float *weight,
                          const double *mean, const double *inv, const float *dy, bool fixed,
                          double *dx, double *dweight, double *dbias)
{
    double count = (double)(z[0] * z[2]);
    for (int64_t c = 0; c < z[1]; c++) {
        double sum = 0;
        double dot = 0;
        for (int64_t b = 0; b < z[0]; b++)
            for (int64_t i = 0; i < z[2]; i++) {
                sum += dy[at(z, b, c, i)];
                dot += dy[at(z, b, c, i)] * (x[at(z, b, c, i)] - mean[c]) * inv[c];
            }
        dbias[c] += sum;
        dweight[c] += dot;
        for (int64_t b = 0; b < z[0]; b++)
            for (int64_t i = 0; i < z[2]; i++) {
                double hat = (x[at(z, b, c, i)] - mean[c]) * inv[c];
                double inner = fixed ? dy[at(z, b, c, i)]
                                     : dy[at(z, b, c, i)] - sum / count - hat * dot / count;
                dx[at(z, b, c, i)] += weight[c] * inv[c] * inner;
            }
    }
}

static void assert_close(int64_t n, const float *a, const double *b, double limit)
{
    float *narrow = test_floats(n);
    for (int64_t i = 0; i < n; i++)
        narrow[i] = (float)b[i];
    assert_near(n, a, narrow, limit);
    thaw_free(&narrow);
}

static void check_backward(const int64_t z[3], bool fixed, bool accumulate)
{
    int64_t n = z[0] * z[1] * z[2];
    int64_t C = z[1];
    float *x = test_random(n, 1);
    float *weight = test_random(C, 2);
    float *dy = test_random(n, 3);
    float *dx = test_random(n, 4);
    float *dw = test_random(C, 5);
    float *db = test_random(C, 6);
    float *stats = test_random(2 * C, 7);
    double *truth = NULL;
    assert_int_equal(thaw_alloc(&truth, n + 4 * C, sizeof *truth), THAW_OK);
    double *mean = truth + n;
    double *inv = mean + C;
    for (int64_t c = 0; c < C; c++) {
        double var;
        moments(z, x, c, &mean[c], &var);
        if (fixed) {
            mean[c] = stats[c];
            stats[C + c] = fabsf(stats[C + c]) + 0.1f;
            var = stats[C + c];
        }
        inv[c] = 1 / sqrt(var + epsilon);
        if (!fixed) {
            stats[c] = (float)mean[c];
            stats[C + c] = (float)inv[c];
        }
        inv[C + c] = dw[c];
        inv[2 * C + c] = db[c];
    }
    for (int64_t i = 0; i < n; i++)
        truth[i] = accumulate ? dx[i] : 0;
    true_gradient(z, x, weight, mean, inv, dy, fixed, truth, inv + C, inv + 2 * C);
    if (fixed)
        thaw_kern_batch_norm_eval_backward(z[0], C, z[2], x, weight, stats, stats + C, epsilon, dy,
                                           dx, accumulate, dw, db);
    else
        thaw_kern_batch_norm_train_backward(z[0], C, z[2], x, weight, stats, stats + C, dy, dx,
                                            accumulate, dw, db);
    /* Of two samples a channel the true gradient is nearly zero, the difference of terms of unit size. */
    double limit = n == 2 ? 1e-2 : 1e-5;
    assert_close(n, dx, truth, fixed ? 1e-6 : limit);
    assert_close(C, dw, inv + C, 1e-5);
    assert_close(C, db, inv + 2 * C, 1e-5);
    thaw_free(&x);
    thaw_free(&weight);
    thaw_free(&dy);
    thaw_free(&dx);
    thaw_free(&dw);
    thaw_free(&db);
    thaw_free(&stats);
    thaw_free(&truth);
}

static void test_backward(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < 4; j++)
            check_backward(shapes[i], j & 1, j & 2);
}

/* NULL outputs are left out, the others are as before. */
static void test_optional_outputs(void **state)
{
    (void)state;
    int64_t n = 4 * 3 * 10;
    float *x = test_random(n, 1);
    float *dy = test_random(n, 2);
    float weight[3] = {1, 2, 3};
    float mean[3] = {0, 0.1f, 0.2f};
    float inv[3] = {1, 0.5f, 2};
    float dw[2][3] = {{0}, {0}};
    float db[2][3] = {{0}, {0}};
    float *dx = test_floats(n);
    float *dx_only = test_floats(n);
    thaw_kern_batch_norm_train_backward(4, 3, 10, x, weight, mean, inv, dy, dx, false, dw[0],
                                        db[0]);
    thaw_kern_batch_norm_train_backward(4, 3, 10, x, weight, mean, inv, dy, dx_only, false, NULL,
                                        NULL);
    thaw_kern_batch_norm_train_backward(4, 3, 10, x, weight, mean, inv, dy, NULL, false, dw[1],
                                        db[1]);
    assert_memory_equal(dx, dx_only, (size_t)n * sizeof *dx);
    assert_memory_equal(dw[0], dw[1], sizeof dw[0]);
    assert_memory_equal(db[0], db[1], sizeof db[0]);
    thaw_free(&x);
    thaw_free(&dy);
    thaw_free(&dx);
    thaw_free(&dx_only);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_optional_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
