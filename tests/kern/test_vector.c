/* Element-wise functions, sums, and the optimizers' sweeps against their formulas in double. */
#include "kern_test.h"

static void test_sums(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 100; n += n < 20 ? 1 : 13) {
        float *x = test_random(n, 1);
        float *y = test_random(n, 2);
        double sum = 0;
        double squares = 0;
        double dot = 0;
        double distance = 0;
        for (int64_t i = 0; i < n; i++) {
            sum += x[i];
            squares += (double)x[i] * x[i];
            dot += (double)x[i] * y[i];
            distance += pow((double)x[i] - y[i], 2);
        }
        assert_true(fabs(thaw_kern_sum(n, x) - sum) < 1e-12);
        assert_true(fabs(thaw_kern_sum_squares(n, x) - squares) < 1e-12);
        assert_true(fabs(thaw_kern_dot(n, x, y) - dot) < 1e-12);
        assert_true(fabs(thaw_kern_distance_squared(n, x, y) - distance) < 1e-12);
        assert_true(thaw_kern_all_finite(n, x));
        for (int64_t i = 0; i < n; i++) {
            float old = x[i];
            x[i] = i % 2 ? INFINITY : NAN;
            assert_false(thaw_kern_all_finite(n, x));
            x[i] = old;
        }
        thaw_free(&x);
        thaw_free(&y);
    }
}

static void test_elementwise(void **state)
{
    (void)state;
    int64_t n = 77;
    float *a = test_random(n, 1);
    float *b = test_random(n, 2);
    float *y = test_floats(n);
    float *z = test_copy(n, a);
    thaw_kern_add(n, a, 0.5f, b, y);
    thaw_kern_axpy(n, 0.5f, b, z);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabsf(y[i] - (a[i] + 0.5f * b[i])) < 1e-6f);
    assert_near(n, z, y, 1e-6);
    thaw_kern_add(n, a, 1, b, a); /* in place */
    thaw_kern_scale(n, 2, z);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabsf(z[i] - 2 * y[i]) < 1e-5f);
    thaw_kern_relu(n, b, y);
    float *dx = test_copy(n, z);
    thaw_kern_relu_backward(n, y, a, z, false);
    thaw_kern_relu_backward(n, y, a, dx, true);
    for (int64_t i = 0; i < n; i++) {
        assert_true(y[i] == (b[i] > 0 ? b[i] : 0));
        assert_true(z[i] == (b[i] > 0 ? a[i] : 0));
    }
    b[3] = NAN;
    thaw_kern_relu(n, b, y);
    assert_true(isnan(y[3]));
    thaw_kern_fill(n, 4, y);
    assert_true(y[0] == 4 && y[n - 1] == 4);
    thaw_free(&a);
    thaw_free(&b);
    thaw_free(&y);
    thaw_free(&z);
    thaw_free(&dx);
}

static void test_rows(void **state)
{
    (void)state;
    for (int64_t D = 1; D < 150; D += 49) {
        int64_t N = 9;
        float *x = test_random(N * D, 1);
        float *bias = test_random(D, 2);
        float *sum = test_copy(D, bias);
        float *y = test_copy(N * D, x);
        thaw_kern_sum_rows(N, D, x, sum);
        thaw_kern_add_row(N, D, bias, y);
        for (int64_t d = 0; d < D; d++) {
            double truth = bias[d];
            for (int64_t i = 0; i < N; i++) {
                truth += x[i * D + d];
                assert_true(y[i * D + d] == x[i * D + d] + bias[d]);
            }
            assert_true(fabs(sum[d] - truth) < 1e-5);
        }
        thaw_free(&x);
        thaw_free(&bias);
        thaw_free(&sum);
        thaw_free(&y);
    }
}

static void test_normalize(void **state)
{
    (void)state;
    uint8_t x[2 * 5] = {0, 255, 128, 1, 2, 3, 4, 5, 6, 7};
    float mean[2] = {0.5f, 0.1f};
    float std[2] = {0.25f, 2};
    float y[10];
    thaw_kern_normalize_u8(2, 5, x, mean, std, y);
    for (int i = 0; i < 10; i++)
        assert_true(fabs(y[i] - (x[i] / 255.0 - mean[i / 5]) / std[i / 5]) < 1e-6);
}

enum { COUNT = 83, STEPS = 4 };

/* torch.optim.SGD in double. */
static void sgd_truth(const thaw_sgd *s, bool first, double g, double anchor, double *w,
                      double *buffer)
{
    g = g * s->gradient_scale + s->anchor_strength * (*w - anchor) + s->weight_decay * *w;
    *buffer = first ? g : s->momentum * *buffer + (1 - s->dampening) * g;
    double step = s->momentum == 0 ? g : s->nesterov ? g + s->momentum * *buffer : *buffer;
    *w -= s->lr * step;
}

static void check_sgd(thaw_sgd s, bool anchored)
{
    float *w = test_random(COUNT, 1);
    float *anchor = test_random(COUNT, 2);
    float *buffer = test_floats(COUNT);
    thaw_kern_fill(COUNT, NAN, buffer); /* the first step must not read it */
    double true_w[COUNT];
    double true_buffer[COUNT] = {0};
    for (int i = 0; i < COUNT; i++)
        true_w[i] = w[i];
    thaw_sgd for_truth = s;
    if (!anchored)
        for_truth.anchor_strength = 0;
    for (int step = 0; step < STEPS; step++) {
        float *g = test_random(COUNT, (uint64_t)(10 + step));
        s.first_step = step == 0;
        for (int i = 0; i < COUNT; i++)
            sgd_truth(&for_truth, s.first_step, g[i], anchor[i], &true_w[i], &true_buffer[i]);
        thaw_kern_sgd(COUNT, &s, g, anchored ? anchor : NULL, w, s.momentum == 0 ? NULL : buffer);
        thaw_free(&g);
    }
    for (int i = 0; i < COUNT; i++)
        assert_true(fabs(w[i] - true_w[i]) < 2e-6);
    thaw_free(&w);
    thaw_free(&anchor);
    thaw_free(&buffer);
}

static void test_sgd(void **state)
{
    (void)state;
    thaw_sgd s = {
        .lr = 0.1f, .gradient_scale = 0.5f, .weight_decay = 0.01f, .anchor_strength = 0.3f};
    check_sgd(s, false);
    check_sgd(s, true);
    s.momentum = 0.9f;
    check_sgd(s, false);
    s.dampening = 0.2f;
    check_sgd(s, true);
    s.dampening = 0;
    s.nesterov = true;
    check_sgd(s, true);
}

static void test_adamw(void **state)
{
    (void)state;
    thaw_adamw s = {.lr = 0.01f,
                    .beta1 = 0.9f,
                    .beta2 = 0.999f,
                    .epsilon = 1e-8f,
                    .weight_decay = 0.05f,
                    .gradient_scale = 2,
                    .anchor_strength = 0.1f};
    float *w = test_random(COUNT, 1);
    float *anchor = test_random(COUNT, 2);
    float *m = test_floats(COUNT);
    float *v = test_floats(COUNT);
    double true_w[COUNT];
    double true_m[COUNT] = {0};
    double true_v[COUNT] = {0};
    for (int i = 0; i < COUNT; i++)
        true_w[i] = w[i];
    for (s.step = 1; s.step <= STEPS; s.step++) {
        float *g = test_random(COUNT, (uint64_t)(10 + s.step));
        for (int i = 0; i < COUNT; i++) {
            double full =
                (double)g[i] * s.gradient_scale + s.anchor_strength * (true_w[i] - anchor[i]);
            true_m[i] = s.beta1 * true_m[i] + (1 - (double)s.beta1) * full;
            true_v[i] = s.beta2 * true_v[i] + (1 - (double)s.beta2) * full * full;
            double m_hat = true_m[i] / (1 - pow(s.beta1, (double)s.step));
            double v_hat = true_v[i] / (1 - pow(s.beta2, (double)s.step));
            true_w[i] = true_w[i] * (1 - (double)s.lr * s.weight_decay) -
                        s.lr * m_hat / (sqrt(v_hat) + s.epsilon);
        }
        thaw_kern_adamw(COUNT, &s, g, anchor, w, m, v);
        thaw_free(&g);
    }
    for (int i = 0; i < COUNT; i++)
        assert_true(fabs(w[i] - true_w[i]) < 2e-6);
    thaw_free(&w);
    thaw_free(&anchor);
    thaw_free(&m);
    thaw_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums), cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_rows), cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_sgd),  cmocka_unit_test(test_adamw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
