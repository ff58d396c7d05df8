#include "data_test.h"

#include <math.h>

#define C      2
#define H      6
#define W      8 /* wide enough that no reflected shift is its own mirror image */
#define PLANE  (H * W)
#define VALUES (C * PLANE)
#define N      400

static const double black[C] = {-1.5, -2.5};
static const thaw_levels levels = {.zero = black};
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
    thaw_augment_batch(a, 11, epoch, n, indices, &sample, &levels, x, scratch);
}

static const thaw_augment everything = {.crop_area_least = 0.3,
                                        .crop_padding = 2,
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
                float expected = outside ? (float)black[c] : plain[c * PLANE + from_y * W + from_x];
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
        const float dark[C] = {(float)black[0], (float)black[1]};
        float factor = (x[0] - dark[0]) / (plain[0] - dark[0]);
        assert_true(factor >= 0.5F && factor <= 1.5F);
        /* Two roundings of numbers below 10: 2 * 10 * 6e-8. */
        for (int i = 0; i < VALUES; i++)
            assert_true(fabsf(x[i] - (dark[i / PLANE] + factor * (plain[i] - dark[i / PLANE]))) <
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

/* On channels that are x and y themselves an enlarged crop is linear again; its slopes are the sides of the crop. */
static void resized_crops_keep_area_and_aspect(void **state)
{
    (void)state;
    enum { S = 40 };
    static float x[2 * S * S], room[S * S];
    const thaw_augment a = {.crop_area_least = 0.25, .crop_aspect_most = 1.5};
    const thaw_shape sample = thaw_shape_make(3, (int64_t[]){2, S, S});
    double area_least = 1, area_most = 0, aspect_most = 0;
    for (int64_t n = 0; n < 300; n++) {
        for (int i = 0; i < S * S; i++) {
            x[i] = (float)(i % S);
            x[S * S + i] = (float)(i / S);
        }
        thaw_augment_batch(&a, 5, 2, 1, &n, &sample, &levels, x, room);
        /* Two pixels in the middle, away from repeated edges. */
        const double width = S * (double)(x[S * S / 2 + 30] - x[S * S / 2 + 10]) / 20;
        const double height = S * (double)(x[S * S + 30 * S] - x[S * S + 10 * S]) / 20;
        assert_true(fabs(width - round(width)) < 1e-3 && fabs(height - round(height)) < 1e-3);
        for (int i = 1; i < S; i++)
            assert_true(x[i] >= x[i - 1] && x[i] <= S - 1 && x[i] == x[i + S]);
        const double area = width * height / (S * S);
        area_least = fmin(area_least, area);
        area_most = fmax(area_most, area);
        aspect_most = fmax(aspect_most, fmax(width / height, height / width));
    }
    /* Sides are rounded to pixels: half of one in 20 of them. */
    assert_true(area_least > 0.25 * 0.95 && area_least < 0.3 && area_most > 0.9);
    assert_true(aspect_most < 1.5 * 1.06 && aspect_most > 1.35);
}

/* Where output i comes from in a crop of `part` pixels that begins at `first`. */
static double place(int64_t i, int64_t size, int64_t first, int64_t part)
{
    const double at = ((double)i + 0.5) * (double)part / (double)size - 0.5;
    return (double)first + fmin(fmax(at, 0), (double)(part - 1));
}

/* The first two channels tell the box; the third must be what the formula makes of it, also where pictures are wider than a strip. */
static void resized_crops_are_bilinear(void **state)
{
    (void)state;
    enum { S = 300, AREA = S * S };
    static float x[3 * AREA], from[AREA], room[AREA];
    const thaw_augment a = {.crop_area_least = 0.1, .crop_aspect_most = 1.5};
    const thaw_shape sample = thaw_shape_make(3, (int64_t[]){3, S, S});
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, 0);
    for (int64_t n = 0; n < 20; n++) {
        for (int i = 0; i < AREA; i++) {
            x[i] = (float)(i % S);
            x[AREA + i] = (float)(i / S);
            x[2 * AREA + i] = from[i] = (float)thaw_rng_uniform(&rng);
        }
        thaw_augment_batch(&a, 5, 2, 1, &n, &sample, &(thaw_levels){.zero = (const double[3]){0}},
                           x, room);
        const int64_t left = (int64_t)x[0], top = (int64_t)x[AREA];
        const int64_t width = (int64_t)x[S - 1] - left + 1;
        const int64_t height = (int64_t)x[2 * AREA - 1] - top + 1;
        assert_true(width > 60 && height > 60 && left + width <= S && top + height <= S);
        for (int i = 0; i < AREA; i++) {
            const double h = place(i % S, S, left, width), v = place(i / S, S, top, height);
            const int64_t l = (int64_t)h, u = (int64_t)v;
            const double p = h - (double)l;
            const int64_t r = l + 1 < left + width ? l + 1 : l,
                          d = u + 1 < top + height ? u + 1 : u;
            const double above = (double)from[u * S + l] * (1 - p) + (double)from[u * S + r] * p;
            const double below = (double)from[d * S + l] * (1 - p) + (double)from[d * S + r] * p;
            const double expected = above + (v - (double)u) * (below - above);
            /* Values below 1 in float, after three products. */
            assert_true(fabs((double)x[2 * AREA + i] - expected) < 1e-5);
        }
    }
}

/* A picture that no allowed box fits is cut in its middle. */
static void long_pictures_are_cut_in_the_middle(void **state)
{
    (void)state;
    enum { LONG = 64 };
    const thaw_augment a = {.crop_area_least = 0.99, .crop_aspect_most = 1};
    const thaw_shape sample = thaw_shape_make(3, (int64_t[]){1, 4, LONG});
    float x[4 * LONG], room[4 * LONG];
    for (int i = 0; i < 4 * LONG; i++)
        x[i] = (float)(i % LONG);
    thaw_augment_batch(&a, 5, 2, 1, (int64_t[]){7}, &sample, &levels, x, room);
    assert_true(x[0] == 30 && x[LONG - 1] == 33);
}

static void blends_have_the_shares_they_say(void **state)
{
    (void)state;
    enum { DRAWS = 4000 };
    const thaw_shape sample = shape();
    static const double alphas[] = {0.2, 1};
    for (int kind = 0; kind < 4; kind++) {
        const double alpha = alphas[kind % 2];
        const thaw_augment a = {.mixup = kind < 2 ? alpha : 0, .cutmix = kind < 2 ? 0 : alpha};
        double sum = 0, square = 0;
        int64_t partners[10] = {0};
        assert_true(thaw_augment_mixes(&a) && !thaw_augment_none(&a));
        for (int64_t n = 0; n < DRAWS; n++) {
            const thaw_blend b = thaw_augment_blend(&a, 3, 1, 10, n, &sample);
            float own[VALUES], other[VALUES];
            fill(1, own);
            for (int i = 0; i < VALUES; i++)
                other[i] = -own[i];
            assert_true(b.share >= 0 && b.share <= 1 && b.rectangle == (kind >= 2));
            thaw_augment_apply_blend(&b, &sample, other, own);
            double left = 0, all = 0;
            for (int i = 0; i < VALUES; i++) {
                left += b.rectangle ? own[i] > 0 : (double)(own[i] - other[i]) / 2;
                all += b.rectangle ? 1 : -(double)other[i];
            }
            assert_true(fabs(left / all - b.share) < 1e-6);
            partners[b.partner]++;
            sum += b.share;
            square += b.share * b.share;
        }
        for (int i = 0; i < 10; i++) /* 400 of 4000, six standard deviations of 19 */
            assert_in_range(partners[i], 286, 514);
        const double mean = sum / DRAWS, variance = square / DRAWS - mean * mean;
        if (kind < 2) { /* of Beta(a, a) */
            assert_true(fabs(mean - 0.5) < 0.045);
            assert_true(fabs(variance - 1 / (4 * (2 * alpha + 1))) < 0.01);
        }
    }
    /* With both, half of the samples get either. */
    const thaw_augment both = {.mixup = 0.2, .cutmix = 1};
    int rectangles = 0;
    for (int64_t n = 0; n < 1000; n++)
        rectangles += thaw_augment_blend(&both, 3, 1, 10, n, &sample).rectangle;
    assert_in_range(rectangles, 400, 600);
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
        cmocka_unit_test(resized_crops_keep_area_and_aspect),
        cmocka_unit_test(resized_crops_are_bilinear),
        cmocka_unit_test(long_pictures_are_cut_in_the_middle),
        cmocka_unit_test(blends_have_the_shares_they_say),
        cmocka_unit_test(bad_settings_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
