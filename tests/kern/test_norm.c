/* Batch norm: against the definition in double, in all layouts, with every act and with or without a residual. */
#include "image_test.h"

static const thaw_image shapes[] = {
    {1, 1, 2, 1, 0},  {2, 3, 5, 1, 0},   {5, 4, 1, 1, 0},    {64, 40, 1, 1, 0}, {3, 17, 2, 2, 0},
    {4, 7, 7, 7, 0},  {6, 16, 8, 8, 0},  {2, 3, 20, 20, 0},  {9, 33, 4, 4, 0},  {1, 5, 20, 15, 0},
    {2, 24, 3, 5, 0}, {1, 2, 66, 66, 0}, {1, 20, 17, 17, 0}, {300, 8, 1, 1, 0}, {5, 150, 3, 1, 0},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };
static const float epsilon = 1e-5f;

/* All arrays of one case: plain values, and what the functions are given, in s's layout. */
typedef struct sample {
    thaw_image s;
    int64_t n, S;
    thaw_act act;
    bool fixed; /* the eval form */
    double mean[256], inv[256], var[256];
    float *x, *residual, *weight, *bias, *y, *dy; /* plain */
    float *stats; /* mean, inv_std, var (C) as the functions have them */
} sample;

static int64_t at(const sample *z, int64_t b, int64_t c, int64_t i)
{
    return (b * z->s.C + c) * z->S + i;
}

/* Mean and biased variance of one channel. */
static void moments(sample *z, int64_t c)
{
    double sum = 0;
    double squares = 0;
    double count = (double)(z->s.B * z->S);
    for (int64_t b = 0; b < z->s.B; b++)
        for (int64_t i = 0; i < z->S; i++)
            sum += z->x[at(z, b, c, i)];
    z->mean[c] = sum / count;
    for (int64_t b = 0; b < z->s.B; b++)
        for (int64_t i = 0; i < z->S; i++)
            squares += pow(z->x[at(z, b, c, i)] - z->mean[c], 2);
    z->var[c] = squares / count;
    z->inv[c] = 1 / sqrt(z->var[c] + epsilon);
}

static double value_of(const sample *z, bool add, int64_t b, int64_t c, int64_t i)
{
    double v = z->weight[c] * z->inv[c] * (z->x[at(z, b, c, i)] - z->mean[c]) + z->bias[c];
    return test_act(z->act, add ? v + z->residual[at(z, b, c, i)] : v);
}

/* y is rounded, and moved off the act's corners, where a rounding would decide. */
static sample make(thaw_image s, float offset, thaw_act act, bool add, bool fixed)
{
    sample z = {.s = s, .S = s.H * s.W, .act = act, .fixed = fixed};
    z.n = s.B * s.C * z.S;
    z.x = test_random(z.n, 1);
    for (int64_t i = 0; i < z.n; i++)
        z.x[i] += offset;
    z.residual = test_random(z.n, 2);
    z.weight = test_random(s.C, 3);
    z.bias = test_random(s.C, 4);
    z.dy = test_random(z.n, 5);
    z.y = test_floats(z.n);
    z.stats = test_random(3 * s.C, 6);
    for (int64_t c = 0; c < s.C; c++) {
        z.weight[c] *= 3;
        moments(&z, c);
        z.stats[2 * s.C + c] = fabsf(z.stats[2 * s.C + c]) + 0.1f;
        if (fixed) {
            z.mean[c] = z.stats[c] = z.stats[c] + offset;
            z.inv[c] = 1 / sqrt((double)z.stats[2 * s.C + c] + epsilon);
        }
        z.stats[c] = (float)z.mean[c];
        z.stats[s.C + c] = (float)z.inv[c];
        for (int64_t b = 0; b < s.B; b++)
            for (int64_t i = 0; i < z.S; i++)
                z.y[at(&z, b, c, i)] = (float)value_of(&z, add, b, c, i);
    }
    return z;
}

static void drop(sample *z)
{
    thaw_free(&z->x);
    thaw_free(&z->residual);
    thaw_free(&z->weight);
    thaw_free(&z->bias);
    thaw_free(&z->dy);
    thaw_free(&z->y);
    thaw_free(&z->stats);
}

static void check_statistics(const sample *z, const float *mean, const float *inv, const float *var)
{
    double count = (double)(z->s.B * z->S);
    for (int64_t c = 0; c < z->s.C; c++) {
        double unbiased = z->var[c] * count / (count > 1 ? count - 1 : 1);
        assert_true(fabs(mean[c] - z->mean[c]) <= 1e-6 * (1 + fabs(z->mean[c])));
        assert_true(fabs(inv[c] - z->inv[c]) <= 1e-5 * z->inv[c]);
        assert_true(fabs(var[c] - unbiased) <= 1e-5 * (unbiased + 1e-6));
    }
}

/* in_place: y is x (eval form), or y is the residual. */
static void check_forward(const sample *z, bool add, int in_place, double limit)
{
    const thaw_image *s = &z->s;
    int64_t C = s->C;
    float *x = image_from(s, z->x);
    float *residual = image_from(s, z->residual);
    float *stats = test_copy(3 * C, z->stats);
    float *own = test_random(thaw_image_count(s), 9);
    float *y = in_place == 0 ? own : in_place == 1 ? x : residual;
    if (z->fixed) {
        thaw_kern_batch_norm_eval(s, x, z->weight, z->bias, stats, stats + 2 * C, epsilon,
                                  add ? residual : NULL, z->act, y);
    } else {
        thaw_kern_batch_norm_train(s, x, z->weight, z->bias, epsilon, add ? residual : NULL, z->act,
                                   y, stats, stats + C, stats + 2 * C);
        check_statistics(z, stats, stats + C, stats + 2 * C);
    }
    float *plain = image_plain(s, y);
    assert_near(z->n, plain, z->y, limit);
    thaw_free(&x);
    thaw_free(&residual);
    thaw_free(&stats);
    thaw_free(&own);
    thaw_free(&plain);
}

static void each_layout(void (*check)(sample *z, bool add), float offset)
{
    for (int i = 0; i < SHAPES * TEST_LAYOUTS; i++)
        for (int j = 0; j < 4 * THAW_ACT_COUNT; j++) {
            thaw_image s = shapes[i / TEST_LAYOUTS];
            s.block = test_layouts[i % TEST_LAYOUTS];
            sample z = make(s, offset, (thaw_act)(j / 4), j & 1, j & 2);
            check(&z, j & 1);
            drop(&z);
        }
}

static void forward(sample *z, bool add)
{
    /* y = scale x + shift in float: an offset of many deviations costs its own rounding. */
    double limit = 4e-6 * (1 + fabs(z->mean[0]));
    check_forward(z, add, 0, limit);
    if (z->fixed)
        check_forward(z, add, 1, limit);
    if (add)
        check_forward(z, add, 2, limit);
}

static void test_forward(void **state)
{
    (void)state;
    each_layout(forward, 0);
    each_layout(forward, 10);
}

/* The gradient of sum(dy * act(bn(x) + residual)) from the textbook form, in double. */
static void true_gradient(const sample *z, double *dx, double *dresidual, double *dweight,
                          double *dbias)
{
    double count = (double)(z->s.B * z->S);
    for (int64_t c = 0; c < z->s.C; c++) {
        double sum = 0;
        double dot = 0;
        for (int64_t b = 0; b < z->s.B; b++)
            for (int64_t i = 0; i < z->S; i++) {
                int64_t k = at(z, b, c, i);
                double g = test_passes(z->act, z->y[k]) ? z->dy[k] : 0;
                sum += g;
                dot += g * (z->x[k] - z->mean[c]) * z->inv[c];
            }
        dbias[c] += sum;
        dweight[c] += dot;
        for (int64_t b = 0; b < z->s.B; b++)
            for (int64_t i = 0; i < z->S; i++) {
                int64_t k = at(z, b, c, i);
                double g = test_passes(z->act, z->y[k]) ? z->dy[k] : 0;
                double hat = (z->x[k] - z->mean[c]) * z->inv[c];
                double inner = z->fixed ? g : g - sum / count - hat * dot / count;
                dx[k] += z->weight[c] * z->inv[c] * inner;
                dresidual[k] += g;
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

/* Which streams are one and the same, and which are added to. */
typedef struct wish {
    bool accumulate, accumulate_residual, dx_is_dy, residual_is_dy;
} wish;

static void run_backward(const sample *z, const float *x, const float *y, const float *dy,
                         float *dx, float *dresidual, wish w, float *dw, float *db)
{
    int64_t C = z->s.C;
    if (z->fixed)
        thaw_kern_batch_norm_eval_backward(&z->s, x, y, z->act, z->weight, z->stats,
                                           z->stats + 2 * C, epsilon, dy, dx, w.accumulate,
                                           dresidual, w.accumulate_residual, dw, db);
    else
        thaw_kern_batch_norm_train_backward(&z->s, x, y, z->act, z->weight, z->stats, z->stats + C,
                                            dy, dx, w.accumulate, dresidual, w.accumulate_residual,
                                            dw, db);
}

static void check_backward(const sample *z, bool add, wish w)
{
    int64_t C = z->s.C;
    float *before[4] = {test_random(z->n, 11), test_random(z->n, 12), test_random(C, 13),
                        test_random(C, 14)};
    double *truth = NULL;
    assert_int_equal(thaw_alloc(&truth, 2 * z->n + 2 * C, sizeof *truth), THAW_OK);
    for (int64_t i = 0; i < z->n; i++) {
        truth[i] = w.accumulate ? before[0][i] : 0;
        truth[z->n + i] = w.accumulate_residual ? before[1][i] : 0;
    }
    double *sums = truth + 2 * z->n;
    for (int64_t c = 0; c < C; c++) {
        sums[c] = before[2][c];
        sums[C + c] = before[3][c];
    }
    true_gradient(z, truth, truth + z->n, sums, sums + C);
    float *x = image_from(&z->s, z->x);
    float *y = image_from(&z->s, z->y);
    float *dy = image_from(&z->s, z->dy);
    float *own[2] = {image_from(&z->s, before[0]), image_from(&z->s, before[1])};
    float *dx = w.dx_is_dy ? dy : own[0];
    float *dresidual = !add ? NULL : w.residual_is_dy ? dy : own[1];
    run_backward(z, x, z->act ? y : NULL, dy, dx, dresidual, w, before[2], before[3]);
    float *plain = image_plain(&z->s, dx);
    float *plain_residual = add ? image_plain(&z->s, dresidual) : NULL;
    /* Of two samples a channel the true gradient is nearly zero, the difference of terms of unit size. */
    double limit = z->s.B * z->S == 2 ? 1e-2 : 2e-5;
    if (z->s.B * z->S > 1)
        assert_close(z->n, plain, truth, z->fixed ? 1e-6 : limit);
    if (add)
        assert_close(z->n, plain_residual, truth + z->n, 1e-6);
    assert_close(C, before[2], sums, 2e-5);
    assert_close(C, before[3], sums + C, 1e-5);
    for (int i = 0; i < 4; i++)
        thaw_free(&before[i]);
    thaw_free(&truth);
    thaw_free(&x);
    thaw_free(&y);
    thaw_free(&dy);
    thaw_free(&own[0]);
    thaw_free(&own[1]);
    thaw_free(&plain);
    thaw_free(&plain_residual);
}

static void backward(sample *z, bool add)
{
    static const wish wishes[] = {{false, false, false, false},
                                  {true, true, false, false},
                                  {true, false, false, true},
                                  {false, true, true, false}};
    for (int i = 0; i < 4; i++)
        check_backward(z, add, wishes[i]);
}

static void test_backward(void **state)
{
    (void)state;
    each_layout(backward, 0);
}

/* NULL outputs are left out, the others are as before. */
static void optional_outputs(sample *z, bool add)
{
    int64_t count = thaw_image_count(&z->s);
    int64_t C = z->s.C;
    float *x = image_from(&z->s, z->x);
    float *y = image_from(&z->s, z->y);
    float *dy = image_from(&z->s, z->dy);
    float *dx[2] = {test_floats(count), test_floats(count)};
    float *dr[2] = {test_floats(count), test_floats(count)};
    float *sums[2] = {test_floats(2 * C), test_floats(2 * C)};
    wish none = {false, false, false, false};
    run_backward(z, x, y, dy, dx[0], add ? dr[0] : NULL, none, sums[0], sums[0] + C);
    run_backward(z, z->fixed ? NULL : x, y, dy, dx[1], NULL, none, NULL, NULL);
    run_backward(z, x, y, dy, NULL, NULL, none, sums[1], sums[1] + C);
    if (add)
        run_backward(z, z->fixed ? NULL : x, y, dy, NULL, dr[1], none, NULL, NULL);
    assert_memory_equal(dx[0], dx[1], (size_t)count * sizeof(float));
    assert_memory_equal(dr[0], dr[1], (size_t)count * sizeof(float));
    assert_memory_equal(sums[0], sums[1], 2 * (size_t)C * sizeof(float));
    thaw_free(&x);
    thaw_free(&y);
    thaw_free(&dy);
    for (int i = 0; i < 2; i++) {
        thaw_free(&dx[i]);
        thaw_free(&dr[i]);
        thaw_free(&sums[i]);
    }
}

static void test_optional_outputs(void **state)
{
    (void)state;
    each_layout(optional_outputs, 0);
}

/* The first pixel far from all others, and a large common offset: what a careless one-pass variance fails on. */
static void test_hard_variances(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * TEST_LAYOUTS; i++) {
        thaw_image s = {4, 20, 50, 50, test_layouts[i / 2]};
        sample z = make(s, i % 2 ? 300.0f : 0.0f, THAW_ACT_NONE, false, false);
        for (int64_t c = 0; c < s.C; c++) {
            z.x[at(&z, 0, c, 0)] += 1000;
            moments(&z, c);
        }
        float *x = image_from(&s, z.x);
        float *y = test_floats(thaw_image_count(&s));
        float *stats = test_floats(3 * s.C);
        thaw_kern_batch_norm_train(&s, x, z.weight, z.bias, epsilon, NULL, THAW_ACT_NONE, y, stats,
                                   stats + s.C, stats + 2 * s.C);
        check_statistics(&z, stats, stats + s.C, stats + 2 * s.C);
        thaw_free(&x);
        thaw_free(&y);
        thaw_free(&stats);
        drop(&z);
    }
}

/* A value that is not finite reaches every output of its channel and no other channel. */
static void test_not_finite(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * TEST_LAYOUTS; i++)
        for (int act = 0; act < THAW_ACT_COUNT; act++) {
            thaw_image s = {3, 18, 7, 6, test_layouts[i / 2]};
            sample z = make(s, 0, (thaw_act)act, false, false);
            z.x[at(&z, 1, 16, 40)] = i % 2 ? INFINITY : NAN;
            float *x = image_from(&s, z.x);
            float *y = test_floats(thaw_image_count(&s));
            float *stats = test_floats(3 * s.C);
            thaw_kern_batch_norm_train(&s, x, z.weight, z.bias, epsilon, NULL, z.act, y, stats,
                                       stats + s.C, stats + 2 * s.C);
            float *plain = image_plain(&s, y);
            for (int64_t k = 0; k < z.n; k++)
                assert_true(isfinite(plain[k]) == (k / z.S % s.C != 16));
            for (int64_t c = 0; c < s.C; c++)
                assert_true(isfinite(stats[c]) == (c != 16));
            thaw_free(&x);
            thaw_free(&y);
            thaw_free(&stats);
            thaw_free(&plain);
            drop(&z);
        }
}

static void test_channel_sums(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES * TEST_LAYOUTS; i++) {
        thaw_image s = shapes[i / TEST_LAYOUTS];
        s.block = test_layouts[i % TEST_LAYOUTS];
        sample z = make(s, 0, THAW_ACT_NONE, false, false);
        float *x = image_from(&s, z.x);
        float *out = test_copy(s.C, z.bias);
        thaw_kern_channel_sums(&s, x, out);
        for (int64_t c = 0; c < s.C; c++) {
            double truth = z.bias[c] + z.mean[c] * (double)(s.B * z.S);
            assert_true(fabs(out[c] - truth) <= 1e-5 * sqrt((double)(s.B * z.S)) + 1e-6);
        }
        thaw_free(&x);
        thaw_free(&out);
        drop(&z);
    }
}

/* The two halves, for statistics over more than one array: of one alone they give the bits of the whole, whatever is in place. */
static void check_halves(sample *z, bool add)
{
    const thaw_image *s = &z->s;
    const int64_t C = s->C;
    const int64_t n = thaw_image_count(s);
    double *joint = NULL;
    if (z->fixed)
        return;
    assert_int_equal(thaw_alloc(&joint, 2 * C, sizeof *joint), THAW_OK);
    float *x = image_from(s, z->x);
    float *y[2] = {image_from(s, z->residual), image_from(s, z->residual)};
    float *dy[2] = {image_from(s, z->dy), image_from(s, z->dy)};
    float *dx[2] = {test_random(n, 21), test_random(n, 21)};
    float *stats = test_floats(3 * C);
    float *sums = test_floats(2 * C);
    thaw_kern_batch_norm_train(s, x, z->weight, z->bias, epsilon, add ? y[0] : NULL, z->act, y[0],
                               stats, stats + C, stats + 2 * C);
    thaw_kern_batch_norm_moments(s, x, joint, joint + C);
    for (int64_t c = 0; c < C; c++) {
        const thaw_norm_moments m =
            thaw_kern_norm_moments((double)(s->B * z->S), joint[C + c], epsilon);
        assert_true((float)joint[c] == stats[c] && (float)m.inv_std == stats[C + c] &&
                    (float)m.unbiased_var == stats[2 * C + c]);
        joint[C + c] = m.inv_std;
    }
    thaw_kern_batch_norm_given(s, x, z->weight, z->bias, joint, joint + C, add ? y[1] : NULL,
                               z->act, y[1]);
    assert_memory_equal(y[0], y[1], (size_t)n * sizeof(float));
    thaw_kern_batch_norm_train_backward(s, x, y[0], z->act, z->weight, stats, stats + C, dy[0],
                                        dx[0], true, add ? dy[0] : NULL, false, sums, sums + C);
    thaw_kern_batch_norm_backward_sums(s, x, y[0], z->act, stats, stats + C, dy[1],
                                       add ? dy[1] : NULL, false, joint, joint + C);
    for (int64_t c = 0; c < C; c++)
        assert_true(sums[c] == (float)(joint[C + c] * stats[C + c]) &&
                    sums[C + c] == (float)joint[c]);
    thaw_kern_batch_norm_backward_given(s, x, y[0], z->act, z->weight, stats, stats + C,
                                        (double)(s->B * z->S), joint, joint + C, dy[1], dx[1], true,
                                        add ? dy[1] : NULL, false);
    assert_memory_equal(dx[0], dx[1], (size_t)n * sizeof(float));
    assert_memory_equal(dy[0], dy[1], (size_t)n * sizeof(float));
    for (int i = 0; i < 2; i++) {
        thaw_free(&y[i]);
        thaw_free(&dy[i]);
        thaw_free(&dx[i]);
    }
    thaw_free(&x);
    thaw_free(&stats);
    thaw_free(&sums);
    thaw_free(&joint);
}

static void test_halves(void **state)
{
    (void)state;
    each_layout(check_halves, 0.5f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),          cmocka_unit_test(test_backward),
        cmocka_unit_test(test_optional_outputs), cmocka_unit_test(test_hard_variances),
        cmocka_unit_test(test_not_finite),       cmocka_unit_test(test_channel_sums),
        cmocka_unit_test(test_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
