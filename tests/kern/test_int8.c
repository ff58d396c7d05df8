/* Convolutions in 8 bits: against the same arithmetic in whole numbers, against floats, and where there are none. */
#include "kern_test.h"

typedef struct int8_row {
    thaw_conv8_spec spec; /* OH, OW filled by the test */
} int8_row;

#define SHAPE(B, C, H, W, O, K, s, p, g)                                                           \
    {                                                                                              \
        B, C, H, W, O, K, K, 0, 0, s, s, p, p, 1, 1, g                                             \
    }

static const int8_row rows[] = {
    {{.shape = SHAPE(2, 16, 9, 9, 32, 3, 1, 1, 1), .bias = true, .act = THAW_ACT_RELU}},
    {{.shape = SHAPE(3, 64, 7, 7, 64, 3, 1, 1, 1), .bias = true, .y_signed = true}},
    {{.shape = SHAPE(2, 64, 14, 14, 32, 1, 1, 0, 1), .bias = true, .y_float = true}},
    {{.shape = SHAPE(2, 32, 14, 14, 64, 1, 2, 0, 1), .act = THAW_ACT_RELU}},
    {{.shape = SHAPE(2, 24, 10, 12, 40, 3, 2, 1, 1), .bias = true, .act = THAW_ACT_RELU6}},
    {{.shape = SHAPE(2, 32, 8, 8, 64, 1, 1, 0, 1),
      .bias = true,
      .add = true,
      .act = THAW_ACT_RELU}},
    {{.shape = SHAPE(2, 32, 8, 8, 64, 1, 1, 0, 1),
      .bias = true,
      .add = true,
      .add_signed = true,
      .act = THAW_ACT_RELU}},
    {{.shape = SHAPE(2, 32, 8, 8, 32, 3, 1, 1, 1),
      .add = true,
      .add_signed = true,
      .y_signed = true}},
    {{.shape = SHAPE(2, 32, 8, 8, 32, 3, 1, 1, 1), .bias = true, .add = true, .y_float = true}},
    {{.shape = SHAPE(2, 32, 9, 9, 32, 3, 1, 1, 32), .bias = true, .act = THAW_ACT_RELU6}},
    {{.shape = SHAPE(2, 32, 9, 9, 32, 5, 2, 2, 32), .bias = true, .act = THAW_ACT_RELU6}},
    {{.shape = SHAPE(2, 24, 9, 9, 96, 1, 1, 0, 1),
      .bias = true,
      .x_signed = true,
      .act = THAW_ACT_RELU6}},
    {{.shape = SHAPE(1, 32, 6, 6, 32, 3, 1, 1, 2), .bias = true, .act = THAW_ACT_RELU}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int least_byte(bool is_signed)
{
    return is_signed ? -128 : 0;
}
static int most_byte(bool is_signed)
{
    return is_signed ? 127 : 255;
}
static int byte_at(const uint8_t *bytes, int64_t i, bool is_signed)
{
    return is_signed ? (int8_t)bytes[i] : bytes[i];
}

static double round_to(double value, int least, int most)
{
    value = nearbyint(value);
    return value < least ? least : value > most ? most : value;
}

static uint8_t *random_bytes(int64_t count, bool is_signed, uint64_t stream)
{
    uint8_t *bytes = NULL;
    assert_int_equal(thaw_alloc(&bytes, count, 1), THAW_OK);
    thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, 1, stream);
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(int)(least_byte(is_signed) + (int)thaw_rng_below(&rng, 256));
    return bytes;
}

/* Sum over the window in whole numbers, at output (b, o, oh, ow); weights as the contract says. */
static double window_sum(const thaw_conv8_spec *spec, const uint8_t *x, const float *w, float scale,
                         int64_t b, int64_t o, int64_t oh, int64_t ow)
{
    const thaw_conv2d *s = &spec->shape;
    int64_t in = s->C / s->groups;
    int64_t first = o / (s->O / s->groups) * in;
    double sum = 0;
    for (int64_t c = 0; c < in; c++)
        for (int64_t kh = 0; kh < s->KH; kh++)
            for (int64_t kw = 0; kw < s->KW; kw++) {
                int64_t ih = oh * s->stride_h + kh - s->pad_h;
                int64_t iw = ow * s->stride_w + kw - s->pad_w;
                if (ih < 0 || ih >= s->H || iw < 0 || iw >= s->W)
                    continue;
                float weight = w[((o * in + c) * s->KH + kh) * s->KW + kw];
                sum += round_to(weight / scale, -127, 127) *
                       byte_at(x, ((b * s->H + ih) * s->W + iw) * s->C + first + c, spec->x_signed);
            }
    return sum;
}

static float weight_scale(const thaw_conv2d *s, const float *w, int64_t o)
{
    int64_t each = s->C / s->groups * s->KH * s->KW;
    float most = 0;
    for (int64_t i = 0; i < each; i++)
        most = fmaxf(most, fabsf(w[o * each + i]));
    return most / 127;
}

typedef struct arrays {
    float *w, *bias;
    uint8_t *x, *start; /* start: what y holds before */
    uint8_t *y;         /* bytes or floats */
    int64_t y_count, y_bytes;
} arrays;

static arrays make_arrays(const thaw_conv8_spec *spec)
{
    const thaw_conv2d *s = &spec->shape;
    arrays a = {.y_count = s->B * s->O * s->OH * s->OW};
    a.y_bytes = a.y_count * (spec->y_float ? 4 : 1);
    a.w = test_random(s->O * (s->C / s->groups) * s->KH * s->KW, 1);
    a.bias = test_random(s->O, 2);
    a.x = random_bytes(s->B * s->H * s->W * s->C, spec->x_signed, 3);
    if (spec->y_float)
        a.start = (uint8_t *)test_random(a.y_count, 4);
    else
        a.start = random_bytes(a.y_count, spec->add_signed, 4);
    assert_int_equal(thaw_alloc(&a.y, a.y_bytes, 1), THAW_OK);
    memcpy(a.y, a.start, (size_t)a.y_bytes);
    return a;
}

static void free_arrays(arrays *a)
{
    thaw_free(&a->w);
    thaw_free(&a->bias);
    thaw_free(&a->x);
    thaw_free(&a->start);
    thaw_free(&a->y);
}

/* The value that y should have, not rounded. */
static double wanted(const thaw_conv8_spec *spec, const arrays *a, int64_t b, int64_t o, int64_t oh,
                     int64_t ow, int64_t place)
{
    float scale = weight_scale(&spec->shape, a->w, o);
    double value = window_sum(spec, a->x, a->w, scale, b, o, oh, ow) * scale * spec->x_scale;
    value += spec->bias ? a->bias[o] : 0;
    if (spec->add)
        value += spec->y_float ? ((const float *)(const void *)a->start)[place]
                               : spec->add_scale * byte_at(a->start, place, spec->add_signed);
    if (spec->act != THAW_ACT_NONE)
        value = value > 0 ? value : 0;
    return spec->act == THAW_ACT_RELU6 && value > 6 ? 6 : value;
}

/* Bytes may differ by one where the exact value lies between two; that is rare. Floats carry 24 bits. */
static void check(const thaw_conv8_spec *spec, const arrays *a, int index)
{
    const thaw_conv2d *s = &spec->shape;
    int64_t off = 0;
    int64_t inside = 0;
    for (int64_t i = 0; i < a->y_count; i++) {
        int64_t o = i % s->O;
        int64_t pixel = i / s->O;
        int64_t ow = pixel % s->OW;
        int64_t oh = pixel / s->OW % s->OH;
        double value = wanted(spec, a, pixel / (s->OW * s->OH), o, oh, ow, i);
        if (spec->y_float) {
            double got = ((const float *)(const void *)a->y)[i];
            if (!(fabs(got - value) <= 1e-5 * (1 + fabs(value))))
                fail_msg("row %d: y[%d] is %g, not %g", index, (int)i, got, value);
            continue;
        }
        int least = least_byte(spec->y_signed);
        int most = most_byte(spec->y_signed);
        double byte = round_to(value / spec->y_scale, least, most);
        double difference = fabs(byte_at(a->y, i, spec->y_signed) - byte);
        if (difference > 1)
            fail_msg("row %d: y[%d] is %d, not %g", index, (int)i, byte_at(a->y, i, spec->y_signed),
                     byte);
        off += difference > 0;
        inside += byte > least && byte < most;
    }
    if (!spec->y_float)
        assert_true(inside > a->y_count / 8); /* or the test sees only what was cut off */
    assert_true(off <= 2 + a->y_count / 200);
}

static void run(const thaw_kern *k, const thaw_conv8_spec *spec, arrays *a, int64_t B)
{
    thaw_conv8 *conv = NULL;
    thaw_status status = thaw_conv8_new(k, spec, a->w, &conv);
    if (status != THAW_OK)
        print_message("%s\n", thaw_error_last()->message);
    assert_int_equal(status, THAW_OK);
    char *packed = NULL;
    char *workspace = NULL;
    assert_int_equal(thaw_alloc(&packed, (int64_t)thaw_conv8_packed_bytes(conv), 1), THAW_OK);
    assert_int_equal(thaw_alloc(&workspace, (int64_t)thaw_conv8_workspace_bytes(conv) + 1, 1),
                     THAW_OK);
    assert_int_equal(thaw_conv8_pack(conv, a->w, a->bias, packed), THAW_OK);
    thaw_conv8_run(conv, B, a->x, packed, a->y, workspace + 1);
    thaw_free(&packed);
    thaw_free(&workspace);
    thaw_conv8_free(&conv);
    assert_null(conv);
}

/* Scales that fill the range of bytes: sums of n terms of size 74 times 40 are sqrt(n) as large. */
static thaw_conv8_spec scaled(const int8_row *row)
{
    thaw_conv8_spec spec = row->spec;
    thaw_conv2d *s = &spec.shape;
    assert_true(thaw_conv2d_output(s));
    double terms = (double)(s->C / s->groups * s->KH * s->KW);
    spec.x_scale = (float)(2 / (147 * sqrt(terms)));
    spec.y_scale = 5.0f / (float)most_byte(spec.y_signed);
    spec.add_scale = 1.5f / (float)most_byte(spec.add_signed);
    return spec;
}

static void test_rows(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_kern *k = NULL;
    for (int i = 0; test_open(i, &k); i++) {
        if (k == NULL)
            continue;
        for (int j = 0; j < ROWS && k->has_int8; j++) {
            thaw_conv8_spec spec = scaled(&rows[j]);
            arrays a = make_arrays(&spec);
            run(k, &spec, &a, spec.shape.B);
            check(&spec, &a, j);
            /* One image alone: the same bits. */
            uint8_t *all = a.y;
            a.y = NULL;
            assert_int_equal(thaw_alloc(&a.y, a.y_bytes, 1), THAW_OK);
            memcpy(a.y, a.start, (size_t)a.y_bytes);
            run(k, &spec, &a, 1);
            assert_memory_equal(a.y, all, (size_t)(a.y_bytes / spec.shape.B));
            thaw_free(&all);
            free_arrays(&a);
        }
        if (!k->has_int8) {
            thaw_conv8_spec spec = scaled(&rows[0]);
            thaw_conv8 *conv = NULL;
            assert_int_equal(thaw_conv8_new(k, &spec, NULL, &conv), THAW_ERR_FAIL);
            assert_non_null(strstr(thaw_error_last()->message, "VNNI"));
            assert_null(conv);
            thaw_error_clear();
        }
        thaw_kern_close(&k);
    }
    assert_int_equal(thaw_alloc_live(), live);
}

/* The whole way, calibrated by the largest value as a prefix is: floats to bytes, through, and back. Rounding a value of unit
 * size to a byte of largest / 255 errs by about 0.01 rms for largest 4; over a sum of independent terms it stays that. */
static void test_against_floats(void **state)
{
    (void)state;
    thaw_kern *k = NULL;
    assert_int_equal(thaw_kern_open("auto", &k), THAW_OK);
    if (!k->has_int8) {
        print_message("skipped: %s has no 8-bit convolutions here\n", k->name);
        thaw_kern_close(&k);
        skip();
    }
    thaw_conv2d s = SHAPE(2, 64, 12, 12, 64, 3, 1, 1, 1);
    assert_true(thaw_conv2d_output(&s));
    thaw_image x_image = {s.B, s.C, s.H, s.W, 1};
    thaw_image y_image = {s.B, s.O, s.OH, s.OW, 1};
    int64_t n = s.B * s.C * s.H * s.W;
    int64_t m = s.B * s.O * s.OH * s.OW;
    float *x = test_random(n, 1);
    float *truth = test_floats(m);
    float *y = test_floats(m);
    thaw_kern_relu(n, x, x);
    float largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmaxf(largest, x[i]);
    thaw_conv8_spec spec = {
        .shape = s, .act = THAW_ACT_RELU, .bias = true, .x_scale = largest / 255, .add_scale = 1};
    arrays a = {.w = test_random(s.O * s.C * 9, 2), .bias = test_random(s.O, 3)};
    assert_int_equal(thaw_alloc(&a.x, n, 1), THAW_OK);
    assert_int_equal(thaw_alloc(&a.y, m, 1), THAW_OK);
    float *workspace = test_floats((int64_t)k->conv2d_workspace(k, &s) / 4 + 16);
    k->conv2d_forward(k, &s, x, a.w, a.bias, truth, workspace);
    thaw_kern_relu(m, truth, truth);
    for (int64_t i = 0; i < m; i++)
        spec.y_scale = fmaxf(spec.y_scale, truth[i] / 255);
    thaw_kern_quantize(&x_image, x, spec.x_scale, false, a.x);
    run(k, &spec, &a, s.B);
    thaw_kern_dequantize(&y_image, a.y, spec.y_scale, false, y);
    double error = sqrt(thaw_kern_distance_squared(m, y, truth) / thaw_kern_sum_squares(m, truth));
    print_message("relative rms error of one convolution in 8 bits: %.4f\n", error);
    assert_true(error < 0.02);
    assert_true(error > 1e-4); /* or it was not done in bytes */
    thaw_free(&x);
    thaw_free(&truth);
    thaw_free(&y);
    thaw_free(&workspace);
    free_arrays(&a);
    thaw_kern_close(&k);
}

/* Bytes and back, in every layout: off by half a step at most, cut off at the ends, NaN the least. */
static void test_bytes(void **state)
{
    (void)state;
    static const int32_t layouts[] = {1, 4, 8, 16};
    for (int i = 0; i < 8; i++) {
        thaw_image image = {2, 20, 3, 5, layouts[i / 2]};
        bool is_signed = i % 2;
        int64_t count = thaw_image_count(&image);
        float *x = test_random(count, 1);
        float *back = test_random(count, 2);
        uint8_t *bytes = NULL;
        assert_int_equal(thaw_alloc(&bytes, 2 * 20 * 15, 1), THAW_OK);
        x[0] = NAN;
        thaw_kern_quantize(&image, x, 0.01f, is_signed, bytes);
        thaw_kern_dequantize(&image, bytes, 0.01f, is_signed, back);
        assert_int_equal(byte_at(bytes, 0, is_signed), least_byte(is_signed));
        float low = 0.01f * (float)least_byte(is_signed);
        float high = 0.01f * (float)most_byte(is_signed);
        for (int64_t j = 1; j < count; j++) {
            /* Channel of element j: its block's first, and its lane. */
            int64_t blocks = (image.C + image.block - 1) / image.block;
            int64_t channel = j / (15 * image.block) % blocks * image.block + j % image.block;
            bool beyond = channel >= image.C;
            float cut = fminf(fmaxf(x[j], low), high);
            if (beyond)
                assert_true(back[j] == 0);
            else
                assert_true(fabsf(back[j] - cut) <= 0.00501f);
        }
        thaw_free(&x);
        thaw_free(&back);
        thaw_free(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_against_floats),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
