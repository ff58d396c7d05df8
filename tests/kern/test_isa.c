/* The sweeps over images that are compiled for other kinds of CPU: the same results as those chosen here, up to the order
 * of sums. The other tests hold the chosen ones to plain loops. */
#include "image_test.h"

enum { ROWS = 5, STRIDE = 5000, ALL = ROWS * STRIDE };

/* n: whole strips, parts of one, less than one, and more than are summed in float at once. */
static const int64_t widths[] = {16, 49, 64, 7, 1, 1030, 4999};
enum { WIDTHS = sizeof widths / sizeof widths[0] };

static void compare_moments(const kern_isa_image *a, const kern_isa_image *b, const float *x)
{
    for (int i = 0; i < WIDTHS; i++) {
        kern_sweep rows = {ROWS, STRIDE, widths[i]};
        kern_moments m, n;
        double s[KERN_STRIP], t[KERN_STRIP];
        a->moments(&rows, x, &m);
        b->moments(&rows, x, &n);
        a->sums(&rows, x, s);
        b->sums(&rows, x, t);
        for (int j = 0; j < KERN_STRIP; j++) {
            assert_true(m.count[j] == n.count[j]);
            assert_true(fabs(m.mean[j] - n.mean[j]) < 1e-6);
            assert_true(fabs(m.squares[j] - n.squares[j]) <= 1e-5 * n.squares[j] + 1e-12);
            assert_true(fabs(s[j] - t[j]) < 1e-3);
        }
    }
}

static void compare_norm(const kern_isa_image *a, const kern_isa_image *b, const float *x,
                         const float *other)
{
    float *y[2] = {test_random(ALL, 3), test_random(ALL, 3)};
    float *dx[2] = {test_random(ALL, 4), test_random(ALL, 4)};
    float *dr[2] = {test_random(ALL, 5), test_random(ALL, 5)};
    const float *coefficients[3] = {x, x + 100, x + 200};
    const kern_isa_image *isa[2] = {a, b};
    for (int i = 0; i < WIDTHS * 12; i++) {
        kern_sweep rows = {ROWS, STRIDE, widths[i % WIDTHS]};
        kern_bounds bounds = kern_bounds_of((thaw_act)(i / WIDTHS % 3));
        double sum[2][KERN_STRIP], product[2][KERN_STRIP];
        for (int k = 0; k < 2; k++) {
            isa[k]->affine(&rows, x, x + 300, x + 400, i & 1 ? other : NULL, bounds, y[k]);
            kern_norm_streams s = {i & 2 ? x : NULL,     y[0],  other, dx[k],
                                   i & 1 ? dr[k] : NULL, i & 4, i & 8, bounds};
            isa[k]->combine(&rows, &s, coefficients);
            s.x = x;
            isa[k]->gradient_sums(&rows, &s, x + 500, sum[k], product[k]);
            isa[k]->spread(&rows, x + 600, dx[k], i & 4);
        }
        assert_near(ALL, y[0], y[1], 1e-6);
        assert_near(ALL, dx[0], dx[1], 1e-6);
        assert_near(ALL, dr[0], dr[1], 1e-6);
        for (int j = 0; j < KERN_STRIP; j++) {
            assert_true(fabs(sum[0][j] - sum[1][j]) < 1e-3);
            assert_true(fabs(product[0][j] - product[1][j]) < 2e-3);
        }
    }
    for (int k = 0; k < 2; k++) {
        thaw_free(&y[k]);
        thaw_free(&dx[k]);
        thaw_free(&dr[k]);
    }
}

static void compare_blocks(const kern_isa_image *a, const kern_isa_image *b, const float *x)
{
    float y[2][16 * 150];
    int32_t argmax[2][16 * 150];
    for (int i = 0; i < 16; i++) {
        int32_t block = i & 1 ? 16 : 8;
        bool add = i & 2;
        int64_t channels = i & 4 ? block : block - 5;
        thaw_pool2d s = {1, block, 9, 10, 3, 3, 0, 0, 2, 1, 1, 1, i & 8, block};
        const kern_isa_image *isa[2] = {a, b};
        assert_true(thaw_pool2d_output(&s));
        memset(y, 0, sizeof y);
        memset(argmax, 0, sizeof argmax);
        for (int k = 0; k < 2; k++) {
            float *to = y[k];
            isa[k]->to_block(channels, 37, block, x, to, add);
            isa[k]->from_block(channels, 37, block, x, to + 37 * block, add);
            isa[k]->act(37, kern_bounds_of(THAW_ACT_RELU6), x, to + 74 * block);
            isa[k]->act_backward(37, kern_bounds_of(THAW_ACT_RELU), x, x + 50, to + 78 * block,
                                 add);
            isa[k]->add_act(35, x, 1, x + 50, kern_bounds_of(THAW_ACT_NONE), to + 90 * block);
        }
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        for (int k = 0; k < 2; k++)
            isa[k]->max_pool(&s, x, y[k], argmax[k]);
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        assert_memory_equal(argmax[0], argmax[1], sizeof argmax[0]);
        for (int k = 0; k < 2; k++)
            isa[k]->max_pool_backward(&s, argmax[k], x, y[k], add);
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        for (int k = 0; k < 2; k++)
            isa[k]->avg_pool(&s, x, y[k]);
        assert_near(16 * 150, y[0], y[1], 1e-6);
        for (int k = 0; k < 2; k++)
            isa[k]->avg_pool_backward(&s, x, y[k], add);
        assert_near(16 * 150, y[0], y[1], 1e-6);
    }
}

static void test_others(void **state)
{
    (void)state;
    const kern_isa *chosen = kern_isa_choose();
    float *x = test_random(ALL, 1);
    float *other = test_random(ALL, 2);
    for (int i = 0; test_isa(i) != NULL; i++) {
        if (test_isa(i)->lanes > chosen->lanes) {
            print_message("%s loops: not on this CPU\n", test_isa(i)->name);
            continue;
        }
        compare_moments(&test_isa(i)->image, &chosen->image, x);
        compare_norm(&test_isa(i)->image, &chosen->image, x, other);
        compare_blocks(&test_isa(i)->image, &chosen->image, x);
    }
    thaw_free(&x);
    thaw_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
