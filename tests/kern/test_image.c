/* Layouts, acts and the padded shortcut: against plain loops and one another. */
#include "image_test.h"

static const thaw_image shapes[] = {{1, 1, 1, 1, 0},   {2, 16, 4, 4, 0}, {1, 8, 5, 3, 0},
                                    {3, 33, 1, 1, 0},  {2, 5, 17, 2, 0}, {1, 50, 6, 6, 0},
                                    {1, 32, 33, 31, 0}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void check_reorder(thaw_image s, int32_t block)
{
    thaw_image blocked = s;
    s.block = 1;
    blocked.block = block;
    int64_t n = thaw_image_count(&s);
    int64_t m = thaw_image_count(&blocked);
    assert_int_equal(n, s.B * s.C * s.H * s.W);
    float *x = test_random(n, 1);
    float *truth = image_from(&blocked, x);
    float *y = test_random(m, 2);
    thaw_kern_reorder(&s, x, block, y, false);
    assert_memory_equal(y, truth, (size_t)m * sizeof *y);
    thaw_kern_reorder(&s, x, block, y, true);
    for (int64_t i = 0; i < m; i++)
        assert_true(y[i] == truth[i] + truth[i]);
    float *back = test_random(n, 3);
    thaw_kern_reorder(&blocked, truth, 1, back, false);
    assert_memory_equal(back, x, (size_t)n * sizeof *x);
    thaw_kern_reorder(&blocked, truth, 1, back, true);
    for (int64_t i = 0; i < n; i++)
        assert_true(back[i] == x[i] + x[i]);
    thaw_free(&x);
    thaw_free(&truth);
    thaw_free(&y);
    thaw_free(&back);
}

static void test_reorder(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        check_reorder(shapes[i], 8);
        check_reorder(shapes[i], 16);
    }
}

static void check_acts(int64_t n, thaw_act act)
{
    float *x = test_random(n, 1);
    float *b = test_random(n, 2);
    float *dy = test_random(n, 3);
    float *y = test_floats(n);
    float *sum = test_floats(n);
    float *dx = test_random(n, 4);
    float *more = test_copy(n, b);
    for (int64_t i = 0; i < n; i++)
        x[i] *= 5;
    if (n > 3) {
        x[0] = NAN;
        x[1] = INFINITY;
        x[2] = -INFINITY;
        x[3] = 6;
    }
    thaw_kern_act(n, act, x, y);
    thaw_kern_add_act(n, x, 0.5f, b, act, sum);
    thaw_kern_act_backward(n, act, y, dy, dx, false);
    thaw_kern_act_backward(n, act, y, dy, more, true);
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i])) {
            assert_true(isnan(y[i]) && isnan(sum[i]));
            continue;
        }
        float g = test_passes(act, y[i]) ? dy[i] : 0;
        assert_true(y[i] == (float)test_act(act, x[i]));
        assert_true(sum[i] == (float)test_act(act, x[i] + 0.5 * b[i]) ||
                    fabs(sum[i] - test_act(act, x[i] + 0.5 * b[i])) < 2e-6);
        assert_true(dx[i] == g && more[i] == b[i] + g);
    }
    float *place = test_copy(n, x); /* in place */
    thaw_kern_act(n, act, place, place);
    assert_memory_equal(place, y, (size_t)n * sizeof *y);
    memcpy(place, x, (size_t)n * sizeof *x);
    thaw_kern_add_act(n, place, 0.5f, b, act, place);
    assert_memory_equal(place, sum, (size_t)n * sizeof *y);
    thaw_kern_act_backward(n, act, y, dy, dy, false);
    assert_memory_equal(dy, dx, (size_t)n * sizeof *y);
    float *all[] = {x, b, dy, y, sum, dx, more, place};
    for (int i = 0; i < 8; i++)
        thaw_free(&all[i]);
}

static void test_acts(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 100; n += n < 20 ? 1 : 17)
        for (int act = 0; act < THAW_ACT_COUNT; act++)
            check_acts(n, (thaw_act)act);
}

static void check_shortcut(thaw_image in, int64_t out_channels, int64_t stride)
{
    thaw_image out = {in.B, out_channels, (in.H - 1) / stride + 1, (in.W - 1) / stride + 1,
                      in.block};
    int64_t n = in.B * in.C * in.H * in.W;
    int64_t m = out.B * out.C * out.H * out.W;
    int64_t first = (out_channels - in.C) / 2;
    float *p_x = test_random(n, 1);
    float *p_dy = test_random(m, 2);
    float *x = image_from(&in, p_x);
    float *dy = image_from(&out, p_dy);
    float *y = test_random(thaw_image_count(&out), 3);
    float *dx[2] = {test_random(thaw_image_count(&in), 4), image_from(&in, p_x)};
    thaw_kern_shortcut_pad(&in, out_channels, stride, x, y);
    thaw_kern_shortcut_pad_backward(&in, out_channels, stride, dy, dx[0], false);
    thaw_kern_shortcut_pad_backward(&in, out_channels, stride, dy, dx[1], true);
    float *p_y = image_plain(&out, y);
    float *p_dx = image_plain(&in, dx[0]);
    float *p_more = image_plain(&in, dx[1]);
    for (int64_t k = 0; k < m; k++) {
        int64_t w = k % out.W * stride;
        int64_t h = k / out.W % out.H * stride;
        int64_t c = k / (out.W * out.H) % out.C - first;
        int64_t b = k / (out.W * out.H * out.C);
        bool inside = c >= 0 && c < in.C;
        assert_true(p_y[k] == (inside ? p_x[((b * in.C + c) * in.H + h) * in.W + w] : 0));
    }
    assert_true(fabs(thaw_kern_dot(m, p_y, p_dy) - thaw_kern_dot(n, p_x, p_dx)) <= 1e-5);
    for (int64_t i = 0; i < n; i++)
        assert_true(p_more[i] == p_x[i] + p_dx[i]);
    float *all[] = {p_x, p_dy, x, dy, y, dx[0], dx[1], p_y, p_dx, p_more};
    for (int i = 0; i < 10; i++)
        thaw_free(&all[i]);
}

static void test_shortcut(void **state)
{
    (void)state;
    for (int i = 0; i < TEST_LAYOUTS; i++) {
        check_shortcut((thaw_image){2, 16, 8, 8, test_layouts[i]}, 32, 2);
        check_shortcut((thaw_image){1, 32, 5, 7, test_layouts[i]}, 64, 2);
        check_shortcut((thaw_image){2, 3, 4, 4, test_layouts[i]}, 3, 1);
        check_shortcut((thaw_image){2, 5, 7, 3, test_layouts[i]}, 22, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reorder),
        cmocka_unit_test(test_acts),
        cmocka_unit_test(test_shortcut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
