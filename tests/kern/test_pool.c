/* Pooling: against naive loops, adjoint identities, ties and padding. */
#include "kern_test.h"

static const thaw_pool2d shapes[] = {
    {2, 3, 8, 8, 2, 2, 0, 0, 2, 2, 0, 0, false}, {2, 3, 7, 9, 3, 3, 0, 0, 2, 2, 1, 1, false},
    {1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, false}, {2, 5, 16, 16, 3, 3, 0, 0, 2, 2, 1, 1, true},
    {3, 2, 5, 11, 2, 3, 0, 0, 1, 2, 1, 0, true}, {1, 4, 33, 40, 3, 3, 0, 0, 1, 1, 1, 1, false},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* One output element by definition. */
static double naive(const thaw_pool2d *s, const float *plane, int64_t oh, int64_t ow, bool largest)
{
    double sum = 0;
    double most = -INFINITY;
    int64_t count = 0;
    for (int64_t kh = 0; kh < s->KH; kh++)
        for (int64_t kw = 0; kw < s->KW; kw++) {
            int64_t ih = oh * s->stride_h + kh - s->pad_h;
            int64_t iw = ow * s->stride_w + kw - s->pad_w;
            if (ih < 0 || iw < 0 || ih >= s->H || iw >= s->W)
                continue;
            count++;
            sum += plane[ih * s->W + iw];
            most = fmax(most, plane[ih * s->W + iw]);
        }
    return largest ? most : sum / (double)(s->count_padding ? s->KH * s->KW : count);
}

static void check_shape(thaw_pool2d s)
{
    assert_true(thaw_pool2d_output(&s));
    int64_t in = s.B * s.C * s.H * s.W;
    int64_t out = s.B * s.C * s.OH * s.OW;
    float *x = test_random(in, 1);
    float *y = test_floats(out);
    float *g = test_random(out, 2);
    float *dx = test_floats(in);
    float *more = test_random(in, 3);
    float *start = test_copy(in, more);
    int32_t *argmax = NULL;
    assert_int_equal(thaw_alloc(&argmax, out, sizeof *argmax), THAW_OK);
    for (int largest = 0; largest < 2; largest++) {
        if (largest)
            thaw_kern_max_pool(&s, x, y, argmax);
        else
            thaw_kern_avg_pool(&s, x, y);
        for (int64_t i = 0; i < out; i++) {
            const float *plane = x + i / (s.OH * s.OW) * s.H * s.W;
            double truth = naive(&s, plane, i / s.OW % s.OH, i % s.OW, largest);
            assert_true(fabs(y[i] - truth) <= 1e-6);
            if (largest)
                assert_true(plane[argmax[i]] == y[i]);
        }
        memcpy(more, start, (size_t)in * sizeof *more);
        if (largest) {
            thaw_kern_max_pool_backward(&s, argmax, g, dx, false);
            thaw_kern_max_pool_backward(&s, argmax, g, more, true);
        } else {
            thaw_kern_avg_pool_backward(&s, g, dx, false);
            thaw_kern_avg_pool_backward(&s, g, more, true);
        }
        /* Both are linear given argmax, so the adjoint identity is exact up to rounding. */
        double scale = 1 + fabs(thaw_kern_dot(out, y, g));
        assert_true(fabs(thaw_kern_dot(out, y, g) - thaw_kern_dot(in, x, dx)) <= 1e-5 * scale);
        for (int64_t i = 0; i < in; i++)
            assert_true(fabsf(more[i] - start[i] - dx[i]) <= 1e-5f);
    }
    thaw_free(&x);
    thaw_free(&y);
    thaw_free(&g);
    thaw_free(&dx);
    thaw_free(&more);
    thaw_free(&start);
    thaw_free(&argmax);
}

static void test_shapes(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        check_shape(shapes[i]);
}

/* Of equal values the first is chosen (as PyTorch does): after a relu, windows of zeros are common. NaN is passed on. */
static void test_ties_and_nan(void **state)
{
    (void)state;
    thaw_pool2d s = {1, 1, 4, 4, 2, 2, 0, 0, 2, 2, 0, 0, false};
    assert_true(thaw_pool2d_output(&s));
    float x[16] = {0};
    float y[4];
    int32_t argmax[4];
    thaw_kern_max_pool(&s, x, y, argmax);
    assert_int_equal(argmax[0], 0);
    assert_int_equal(argmax[3], 10);
    x[5] = NAN;
    x[4] = 9;
    thaw_kern_max_pool(&s, x, y, argmax);
    assert_true(isnan(y[0]));
    thaw_pool2d bad = {1, 1, 4, 4, 2, 2, 0, 0, 2, 2, 2, 2, false};
    assert_false(thaw_pool2d_output(&bad));
}

static void test_global(void **state)
{
    (void)state;
    for (int64_t S = 1; S < 70; S += 7) {
        int64_t B = 3;
        int64_t C = 5;
        float *x = test_random(B * C * S, 1);
        float *y = test_floats(B * C);
        float *g = test_random(B * C, 2);
        float *dx = test_floats(B * C * S);
        thaw_kern_global_avg_pool(B, C, S, x, y);
        thaw_kern_global_avg_pool_backward(B, C, S, g, dx, false);
        for (int64_t i = 0; i < B * C; i++) {
            double sum = 0;
            for (int64_t j = 0; j < S; j++)
                sum += x[i * S + j];
            assert_true(fabs(y[i] - sum / (double)S) < 1e-6);
            assert_true(fabsf(dx[i * S] - g[i] / (float)S) < 1e-6f);
            assert_true(dx[i * S] == dx[i * S + S - 1]);
        }
        thaw_kern_global_avg_pool_backward(B, C, S, g, dx, true);
        assert_true(fabsf(dx[0] - 2 * g[0] / (float)S) < 1e-6f);
        thaw_free(&x);
        thaw_free(&y);
        thaw_free(&g);
        thaw_free(&dx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_ties_and_nan),
        cmocka_unit_test(test_global),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
