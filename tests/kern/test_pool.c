/* Pooling in all layouts: against naive loops, adjoint identities, ties and padding. */
#include "image_test.h"

static const thaw_pool2d shapes[] = {
    {2, 3, 8, 8, 2, 2, 0, 0, 2, 2, 0, 0, false, 0},
    {2, 3, 7, 9, 3, 3, 0, 0, 2, 2, 1, 1, false, 0},
    {1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, false, 0},
    {2, 5, 16, 16, 3, 3, 0, 0, 2, 2, 1, 1, true, 0},
    {3, 2, 5, 11, 2, 3, 0, 0, 1, 2, 1, 0, true, 0},
    {1, 4, 33, 40, 3, 3, 0, 0, 1, 1, 1, 1, false, 0},
    {2, 35, 9, 8, 2, 2, 0, 0, 3, 3, 0, 0, false, 0},
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

/* Everything about one shape in one layout; arrays are in that layout, p_ are plain. */
static void check_shape(thaw_pool2d s, bool largest)
{
    assert_true(thaw_pool2d_output(&s));
    thaw_image in = {s.B, s.C, s.H, s.W, s.block};
    thaw_image out = {s.B, s.C, s.OH, s.OW, s.block};
    int64_t n_in = s.B * s.C * s.H * s.W;
    int64_t n_out = s.B * s.C * s.OH * s.OW;
    float *p_x = test_random(n_in, 1);
    float *p_g = test_random(n_out, 2);
    float *start = test_random(n_in, 3);
    float *x = image_from(&in, p_x);
    float *g = image_from(&out, p_g);
    float *y = test_random(thaw_image_count(&out), 4);
    float *dx = test_random(thaw_image_count(&in), 5);
    float *more = image_from(&in, start);
    float *again = test_floats(thaw_image_count(&out));
    int32_t *argmax = NULL;
    assert_int_equal(thaw_alloc(&argmax, thaw_image_count(&out), sizeof *argmax), THAW_OK);
    if (largest) {
        thaw_kern_max_pool(&s, x, y, argmax);
        thaw_kern_max_pool_backward(&s, argmax, g, dx, false);
        thaw_kern_max_pool_backward(&s, argmax, g, more, true);
        thaw_kern_max_pool_gather(&s, argmax, x, again);
        assert_memory_equal(again, y, (size_t)thaw_image_count(&out) * sizeof *y);
    } else {
        thaw_kern_avg_pool(&s, x, y);
        thaw_kern_avg_pool_backward(&s, g, dx, false);
        thaw_kern_avg_pool_backward(&s, g, more, true);
    }
    float *p_y = image_plain(&out, y);
    float *p_dx = image_plain(&in, dx);
    float *p_more = image_plain(&in, more);
    for (int64_t i = 0; i < n_out; i++) {
        const float *plane = p_x + i / (s.OH * s.OW) * s.H * s.W;
        assert_true(fabs(p_y[i] - naive(&s, plane, i / s.OW % s.OH, i % s.OW, largest)) <= 1e-6);
    }
    /* Both are linear given argmax, so the adjoint identity is exact up to rounding. */
    double dot = thaw_kern_dot(n_out, p_y, p_g);
    assert_true(fabs(dot - thaw_kern_dot(n_in, p_x, p_dx)) <= 1e-5 * (1 + fabs(dot)));
    for (int64_t i = 0; i < n_in; i++)
        assert_true(fabsf(p_more[i] - start[i] - p_dx[i]) <= 1e-5f);
    float *all[] = {p_x, p_g, start, x, g, y, dx, more, again, p_y, p_dx, p_more};
    for (int i = 0; i < 12; i++)
        thaw_free(&all[i]);
    thaw_free(&argmax);
}

static void test_shapes(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES * TEST_LAYOUTS; i++) {
        thaw_pool2d s = shapes[i / TEST_LAYOUTS];
        s.block = test_layouts[i % TEST_LAYOUTS];
        check_shape(s, true);
        check_shape(s, false);
    }
}

/* Of equal values the first is chosen (as PyTorch does): after a relu, windows of zeros are common. NaN is passed on. */
static void test_ties_and_nan(void **state)
{
    (void)state;
    for (int i = 0; i < TEST_LAYOUTS; i++) {
        int32_t lanes = test_layouts[i];
        thaw_pool2d s = {1, lanes, 4, 4, 2, 2, 0, 0, 2, 2, 0, 0, false, lanes};
        assert_true(thaw_pool2d_output(&s));
        float x[16 * 16] = {0};
        float y[4 * 16];
        int32_t argmax[4 * 16];
        int32_t lane = lanes - 1;
        thaw_kern_max_pool(&s, x, y, argmax);
        assert_int_equal(argmax[lane], 0);
        assert_int_equal(argmax[3 * lanes + lane], 10);
        x[5 * lanes + lane] = NAN;
        x[4 * lanes + lane] = 9;
        thaw_kern_max_pool(&s, x, y, argmax);
        assert_true(isnan(y[lane]));
        assert_int_equal(argmax[lane], 5);
        x[0 * lanes + lane] = NAN; /* the first of several */
        thaw_kern_max_pool(&s, x, y, argmax);
        assert_true(isnan(y[lane]));
    }
    thaw_pool2d bad = {1, 1, 4, 4, 2, 2, 0, 0, 2, 2, 2, 2, false, 0};
    assert_false(thaw_pool2d_output(&bad));
}

static void check_global(const thaw_image *s)
{
    int64_t S = s->H * s->W;
    float *p_x = test_random(s->B * s->C * S, 1);
    float *g = test_random(s->B * s->C, 2);
    float *start = test_random(s->B * s->C * S, 3);
    float *x = image_from(s, p_x);
    float *y = test_floats(s->B * s->C);
    float *dx = test_random(thaw_image_count(s), 4);
    float *more = image_from(s, start);
    thaw_kern_global_avg_pool(s, x, y);
    thaw_kern_global_avg_pool_backward(s, g, dx, false);
    thaw_kern_global_avg_pool_backward(s, g, more, true);
    float *p_dx = image_plain(s, dx);
    float *p_more = image_plain(s, more);
    for (int64_t i = 0; i < s->B * s->C; i++) {
        double sum = 0;
        for (int64_t j = 0; j < S; j++) {
            sum += p_x[i * S + j];
            assert_true(fabsf(p_dx[i * S + j] - g[i] / (float)S) < 1e-6f);
            assert_true(fabsf(p_more[i * S + j] - start[i * S + j] - g[i] / (float)S) < 1e-6f);
        }
        assert_true(fabs(y[i] - sum / (double)S) < 1e-6);
    }
    float *all[] = {p_x, g, start, x, y, dx, more, p_dx, p_more};
    for (int i = 0; i < 9; i++)
        thaw_free(&all[i]);
}

static void test_global(void **state)
{
    (void)state;
    for (int i = 0; i < TEST_LAYOUTS; i++)
        for (int64_t H = 1; H < 80; H += 7) {
            check_global(&(thaw_image){3, 5, H, 1, test_layouts[i]});
            check_global(&(thaw_image){2, 37, H, 3, test_layouts[i]});
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
