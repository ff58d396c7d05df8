#include "data_test.h"

#include <math.h>

#define C      2
#define H      6
#define W      8 /* wide enough that no reflected shift is its own mirror image */
#define PLANE  (H * W)
#define VALUES (C * PLANE)
#define N      400

static const float black[C] = {-1.5F, -2.5F};
static float scratch[PLANE];

static thaw_shape shape(void)
{
    return thaw_shape_make(3, (int64_t[]){C, H, W});
}

/* Every value is unlike all others of its sample and unlike black and 0. */
static void fill(int64_t n, float *x)
{
    for (int64_t i = 0; i < n * VALUES; i++)
        x[i] = 1 + 0.01F * (float)(i % VALUES);
}

static void run(const thaw_augment *a, uint32_t epoch, int64_t n, const int64_t *indices, float *x)
{
    thaw_shape sample = shape();
    fill(n, x);
    thaw_augment_batch(a, 11, epoch, n, indices, &sample, black, x, scratch);
}

static const thaw_augment everything = {.crop_padding = 2,
                                        .flip = true,
                                        .brightness = 0.3,
                                        .contrast = 0.4,
                                        .erase_probability = 0.5,
                                        .erase_area_least = 0.05,
                                        .erase_area_most = 0.3};

static void none_changes_nothing(void **state)
{
    (void)state;
    thaw_augment none = {
        .erase_area_least = 0.02, .erase_area_most = 0.33, .crop_fill = THAW_CROP_REFLECT};
    float x[VALUES], expected[VALUES];
    fill(1, expected);
    run(&none, 0, 1, (int64_t[]){3}, x);
    assert_memory_equal(x, expected, sizeof x);
    assert_true(thaw_augment_none(&none));
    assert_false(thaw_augment_none(&everything));
}

static void a_sample_does_not_depend_on_its_batch(void **state)
{
    (void)state;
    static float batch[5 * VALUES], alone[VALUES], again[VALUES];
    int64_t indices[5] = {8, 3, 100, 3, 0};
    run(&everything, 4, 5, indices, batch);
    bool epoch_matters = false;
    for (int i = 0; i < 5; i++) {
        run(&everything, 4, 1, &indices[i], alone);
        assert_memory_equal(alone, batch + i * VALUES, sizeof alone);
        run(&everything, 5, 1, &indices[i], again);
        epoch_matters = epoch_matters || memcmp(alone, again, sizeof alone) != 0;
    }
    assert_true(epoch_matters);
}

/* The shift of a cropped sample, found by trying all of them. */
static bool explain(const float *x, int fill_kind, bool flip, int dy, int dx)
{
    float plain[VALUES];
    fill(1, plain);
    for (int c = 0; c < C; c++) {
        for (int y = 0; y < H; y++) {
            for (int i = 0; i < W; i++) {
                int from_y = y + dy, from_x = (flip ? W - 1 - i : i) + dx;
                bool outside = from_y < 0 || from_y >= H || from_x < 0 || from_x >= W;
                if (fill_kind == THAW_CROP_REFLECT) {
                    from_y = from_y < 0 ? -from_y : from_y >= H ? 2 * H - 2 - from_y : from_y;
                    from_x = from_x < 0 ? -from_x : from_x >= W ? 2 * W - 2 - from_x : from_x;
                    outside = false;
                }
                float expected = outside ? black[c] : plain[c * PLANE + from_y * W + from_x];
                if (x[c * PLANE + y * W + i] != expected)
                    return false;
            }
        }
    }
    return true;
}

static void crops_and_flips_are_shifts_and_mirrors_all_of_them_happen(void **state)
{
    (void)state;
    for (int kind = THAW_CROP_BLACK; kind <= THAW_CROP_REFLECT; kind++) {
        thaw_augment a = {.crop_padding = 2, .crop_fill = kind, .flip = true};
        int seen[2][5][5] = {0}, flips = 0;
        for (int64_t n = 0; n < N; n++) {
            float x[VALUES];
            int found = 0;
            run(&a, 1, 1, &n, x);
            for (int flip = 0; flip < 2; flip++)
                for (int dy = -2; dy <= 2; dy++)
                    for (int dx = -2; dx <= 2; dx++)
                        if (explain(x, kind, flip, dy, dx)) {
                            found++;
                            flips += flip;
                            seen[flip][dy + 2][dx + 2]++;
                        }
            assert_int_equal(found, 1);
        }
        /* 400 fair coins: 200 +- 5 standard deviations of 10. */
        assert_in_range(flips, 150, 250);
        for (int i = 0; i < 25; i++)
            assert_true(seen[0][i / 5][i % 5] + seen[1][i / 5][i % 5] > 0);
    }
}

static void erasing_leaves_one_rectangle_of_zeros(void **state)
{
    (void)state;
    thaw_augment a = {.erase_probability = 0.5, .erase_area_least = 0.1, .erase_area_most = 0.4};
    int erased = 0;
    for (int64_t n = 0; n < N; n++) {
        float x[VALUES], plain[VALUES];
        fill(1, plain);
        run(&a, 0, 1, &n, x);
        int zeros = 0, top = H, bottom = -1, left = W, right = -1;
        for (int i = 0; i < VALUES; i++) {
            if (x[i] != 0) {
                assert_true(x[i] == plain[i]);
                continue;
            }
            int y = i % PLANE / W, at = i % W;
            zeros++;
            top = y < top ? y : top;
            bottom = y > bottom ? y : bottom;
            left = at < left ? at : left;
            right = at > right ? at : right;
        }
        assert_true(zeros == 0 || zeros == C * (bottom - top + 1) * (right - left + 1));
        erased += zeros > 0;
    }
    assert_in_range(erased, 150, 250);
}

static void brightness_scales_from_black_and_contrast_keeps_the_mean(void **state)
{
    (void)state;
    thaw_augment bright = {.brightness = 0.5}, contrast = {.contrast = 0.5};
    float plain[VALUES];
    fill(1, plain);
    for (int64_t n = 0; n < 20; n++) {
        float x[VALUES];
        run(&bright, 0, 1, &n, x);
        float factor = (x[0] - black[0]) / (plain[0] - black[0]);
        assert_true(factor >= 0.5F && factor <= 1.5F);
        /* Two roundings of numbers below 10: 2 * 10 * 6e-8. */
        for (int i = 0; i < VALUES; i++)
            assert_true(fabsf(x[i] - (black[i / PLANE] + factor * (plain[i] - black[i / PLANE]))) <
                        2e-6F);
        run(&contrast, 0, 1, &n, x);
        for (int c = 0; c < C; c++) {
            double before = 0, after = 0;
            for (int i = c * PLANE; i < (c + 1) * PLANE; i++) {
                before += (double)plain[i] / PLANE;
                after += (double)x[i] / PLANE;
            }
            assert_true(fabs(before - after) < 1e-6);
        }
    }
}

static void switching_one_off_leaves_the_others(void **state)
{
    (void)state;
    thaw_augment both = {.crop_padding = 2, .flip = true};
    thaw_augment crop = {.crop_padding = 2};
    int same = 0;
    for (int64_t n = 0; n < 50; n++) {
        float x[VALUES], y[VALUES];
        run(&both, 0, 1, &n, x);
        run(&crop, 0, 1, &n, y);
        for (int i = 0; i < VALUES; i += W)
            for (int j = 0; j < W; j++)
                same += x[i + j] == y[i + j] || x[i + j] == y[i + W - 1 - j];
    }
    assert_int_equal(same, 50 * VALUES);
}

static void bad_settings_are_named(void **state)
{
    (void)state;
    thaw_shape sample = shape(), flat = thaw_shape_make(3, (int64_t[]){10, 1, 1});
    thaw_augment a = {.crop_padding = 6};
    assert_fails(thaw_augment_check(&a, &sample), THAW_ERR_CONFIG,
                 "crop_padding 6 does not fit pictures of 6 x 8");
    a.crop_padding = 5;
    assert_ok(thaw_augment_check(&a, &sample));
    assert_fails(thaw_augment_check(&a, &flat), THAW_ERR_CONFIG, "need pictures");
    a = (thaw_augment){.erase_probability = 0.1, .erase_area_least = 0.4, .erase_area_most = 0.3};
    assert_fails(thaw_augment_check(&a, &sample), THAW_ERR_CONFIG, "erase_area_least 0.4");
    a.erase_probability = 0;
    assert_ok(thaw_augment_check(&a, &flat));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_changes_nothing),
        cmocka_unit_test(a_sample_does_not_depend_on_its_batch),
        cmocka_unit_test(crops_and_flips_are_shifts_and_mirrors_all_of_them_happen),
        cmocka_unit_test(erasing_leaves_one_rectangle_of_zeros),
        cmocka_unit_test(brightness_scales_from_black_and_contrast_keeps_the_mean),
        cmocka_unit_test(switching_one_off_leaves_the_others),
        cmocka_unit_test(bad_settings_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
