/* The arithmetic of a scaling study, on made-up figures with known answers.
 * thaw-test: cores=1 modules=tensor,kern,h5,data,graph,model,adapt,store,optim,ckpt,evidence */
#include "thaw/scale.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* after the standard headers that it needs */
#include <cmocka.h>

#define assert_near(a, b)                                                                          \
    assert_true(fabs((double)(a) - (double)(b)) <= 1e-9 * (fabs((double)(b)) + 1e-6))

/* By Amdahl's law 4 ranks with a serial part of one tenth are 1 / (0.1 + 0.9 / 4) times as fast. */
static void test_karp_flatt(void **state)
{
    (void)state;
    assert_near(thaw_karp_flatt(1 / (0.1 + 0.9 / 4), 4), 0.1);
    assert_near(thaw_karp_flatt(8, 8), 0);
    assert_near(thaw_karp_flatt(1, 8), 1);
    assert_true(isnan(thaw_karp_flatt(1, 1)));
}

static void test_quantile(void **state)
{
    (void)state;
    double values[] = {4, 1, 3, 2, 5};
    assert_near(thaw_scale_quantile(values, 5, 0.5), 3);
    assert_near(thaw_scale_quantile(values, 5, 0.25), 2);
    double pair[] = {2, 1};
    assert_near(thaw_scale_quantile(pair, 2, 0.5), 1.5);
    assert_near(thaw_scale_quantile(pair, 1, 0.75), 1);
}

/* The constrained minimum beats every point of a grid, also where the free one is outside. */
static void test_least_squares(void **state)
{
    (void)state;
    static const double a[] = {1, 1, 1, 1};
    static const double b[] = {1, 2, 4, 8};
    static const double targets[][4] = {{5, 7, 11, 19},    /* 3 + 2 b */
                                        {1, 2.5, 5, 9.5},  /* the line's start would be negative */
                                        {10, 9, 7, 3},     /* falls: the slope would be negative */
                                        {-1, -1, -1, -1}}; /* nothing helps */
    for (int k = 0; k < 4; k++) {
        const double *t = targets[k];
        double x;
        double y;
        double least = INFINITY;
        thaw_scale_rows rows = {0};
        for (int i = 0; i < 4; i++)
            thaw_scale_add_row(&rows, a[i], b[i], t[i]);
        thaw_scale_solve(&rows, &x, &y);
        assert_true(x >= 0 && y >= 0);
        double mine = 0;
        for (int i = 0; i < 4; i++)
            mine += pow(x * a[i] + y * b[i] - t[i], 2);
        for (int g = 0; g < 120 * 60; g++) {
            double sum = 0;
            for (int i = 0; i < 4; i++)
                sum += pow(g % 120 * 0.1 * a[i] + g / 120 * 0.05 * b[i] - t[i], 2);
            least = fmin(least, sum);
        }
        assert_true(mine <= least + 1e-9);
        if (k == 0) {
            assert_near(x, 3);
            assert_near(y, 2);
        }
    }
    double x;
    double y;
    thaw_scale_rows same = {0};
    for (int i = 0; i < 4; i++)
        thaw_scale_add_row(&same, a[i], a[i], targets[0][i]);
    thaw_scale_solve(&same, &x, &y);
    assert_near(x + y, 10.5);
}

enum { RUNGS = 3, SIZES = 4, POINTS = RUNGS * (2 * SIZES - 1) };

/* 24 shards on 1, 2, 4, 8 ranks, strong and weak, by a model that is known. */
static void make_points(const thaw_scale_model *truth, thaw_scale_point *points)
{
    static const int64_t bytes[RUNGS] = {2000, 500000, 40000000};
    static const int64_t calls[RUNGS] = {1, 1, 39};
    int n = 0;
    for (int rung = 0; rung < RUNGS; rung++) {
        for (int s = 0; s < 2 * SIZES - 1; s++) {
            const int64_t ranks = (int64_t)1 << s % SIZES;
            const bool weak = s >= SIZES;
            const double network = (double)ranks;
            const int64_t shards = weak ? 3 * ranks : 24;
            const double transfer =
                network > 1 ? truth->alpha * (double)calls[rung] * log2(network) +
                                  truth->beta * (double)bytes[rung] * 2 * (network - 1) / network
                            : 0;
            points[n] = (thaw_scale_point){.rung = rung,
                                           .ranks = ranks,
                                           .nodes = 1,
                                           .shards = shards,
                                           .batch = 2 * shards,
                                           .bytes = bytes[rung],
                                           .calls = calls[rung],
                                           .transfer = transfer};
            points[n].seconds =
                truth->serial[rung] + truth->shard[rung] * (double)shards / network + transfer;
            n++;
        }
    }
    assert_int_equal(n, POINTS);
}

static const thaw_scale_model known = {
    .serial = {0.0002, 0.001, 0}, .shard = {0.0001, 0.02, 0.05}, .alpha = 3e-5, .beta = 2e-10};

/* What was put in comes out, whatever a point on too many ranks says. */
static void test_fit(void **state)
{
    (void)state;
    thaw_scale_point points[POINTS + 1];
    thaw_scale_model model;
    make_points(&known, points);
    points[POINTS] = points[3];
    points[POINTS].ranks = 24;
    points[POINTS].seconds = points[POINTS].transfer = 7;
    points[POINTS].oversubscribed = true;
    thaw_scale_fit(points, POINTS + 1, RUNGS, &model);
    assert_near(model.alpha, known.alpha);
    assert_near(model.beta, known.beta);
    for (int rung = 0; rung < RUNGS; rung++) {
        assert_near(model.serial[rung], known.serial[rung]);
        assert_near(model.shard[rung], known.shard[rung]);
        assert_int_equal(model.fitted[rung], 2 * SIZES - 1);
    }
    assert_int_equal(model.transfers, RUNGS * (2 * SIZES - 3));
    assert_true(model.residual < 1e-9);
    for (int i = 0; i < POINTS; i++)
        assert_near(points[i].predicted, points[i].seconds);
}

/* One point cannot tell a start from a slope, and nothing is made up. */
static void test_fit_of_one(void **state)
{
    (void)state;
    thaw_scale_point points[POINTS];
    thaw_scale_model model;
    make_points(&known, points);
    thaw_scale_fit(points, 1, 1, &model);
    assert_near(model.serial[0], 0);
    assert_near(model.shard[0], points[0].seconds / 24);
    assert_true(model.alpha == 0 && model.beta == 0 && model.transfers == 0);
    assert_near(points[0].predicted, points[0].seconds);
}

static void test_compare(void **state)
{
    (void)state;
    thaw_scale_point points[POINTS];
    make_points(&known, points);
    for (int i = 0; i < 4; i++)
        points[i].seconds = 0.1 + 0.9 / (double)points[i].ranks; /* Amdahl */
    points[4].seconds = 0.2;                                     /* weak, 1 rank */
    points[5].seconds = 0.25;
    thaw_scale_compare(points, SIZES * 2 - 1);
    assert_near(points[0].strong_efficiency, 1);
    assert_near(points[1].strong_efficiency, 1 / 0.55 / 2);
    for (int i = 1; i < 4; i++)
        assert_near(points[i].serial_fraction, 0.1);
    assert_true(isnan(points[0].serial_fraction));
    assert_near(points[4].weak_efficiency, 1);
    assert_near(points[5].weak_efficiency, 0.8);
    assert_near(points[3].weak_efficiency, 0.2 / points[3].seconds); /* where both kinds meet */
    assert_true(isnan(points[5].strong_efficiency) && isnan(points[1].weak_efficiency));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_karp_flatt),    cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_least_squares), cmocka_unit_test(test_fit),
        cmocka_unit_test(test_fit_of_one),    cmocka_unit_test(test_compare)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
