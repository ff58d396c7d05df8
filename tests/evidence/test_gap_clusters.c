/* Domain gaps of features in clusters: clusters of one row change nothing, and whole clusters that are like their own rows are no gap.
 * Seeds are fixed, so the counts are the same on every run. */
#include "thaw/evidence.h"

#include "evidence_test.h"

enum { ROWS = 80, D = 3, SIZE = 8, TRIALS = 200, RESAMPLES = 99 };

static float x[ROWS * D], y[ROWS * D];
static int32_t cluster[ROWS];

/* Rows of one distribution; those of a cluster have most of their place in common. */
static void draw(thaw_rng *rng, double common, float *out)
{
    double of_cluster[D] = {0};
    for (int64_t i = 0; i < ROWS; i++) {
        cluster[i] = (int32_t)(i / SIZE);
        for (int64_t j = 0; j < D; j++) {
            of_cluster[j] = i % SIZE == 0 ? common * thaw_rng_normal(rng) : of_cluster[j];
            out[i * D + j] = (float)(of_cluster[j] + thaw_rng_normal(rng));
        }
    }
}

typedef struct found {
    thaw_proxy_a apart;
    thaw_mmd mmd;
    thaw_gap_test moments;
} found;

static found measure(const int32_t *of_x, const int32_t *of_y, const double *mean,
                     const double *var, uint64_t seed)
{
    const thaw_side source = {y, ROWS, of_y};
    const thaw_side target = {x, ROWS, of_x};
    const thaw_bootstrap how = {.resamples = RESAMPLES, .level = 0.95, .seed = seed};
    found f;
    assert_int_equal(thaw_proxy_a_features(&source, &target, D, 0.95, &f.apart), THAW_OK);
    assert_int_equal(thaw_mmd_features(&source, &target, D, &how, &f.mmd), THAW_OK);
    assert_int_equal(thaw_gap_to_moments(&target, D, mean, var, &how, &f.moments), THAW_OK);
    return f;
}

static void clusters_of_one(void **state)
{
    (void)state;
    const double mean[D] = {0};
    const double var[D] = {1, 1, 1};
    int32_t own[ROWS];
    thaw_rng rng = thaw_rng_make(3, THAW_RNG_TEST, 1, 0);
    draw(&rng, 0, x);
    draw(&rng, 0, y);
    for (int32_t i = 0; i < ROWS; i++)
        own[i] = 3 * i;
    const found a = measure(NULL, NULL, mean, var, 1);
    const found b = measure(own, own, mean, var, 1);
    assert_int_equal(a.apart.wrong, b.apart.wrong);
    assert_true(b.apart.interval.low <= a.apart.interval.low);
    assert_true(a.mmd.squared == b.mmd.squared && a.mmd.p == b.mmd.p);
    assert_true(a.moments.p == b.moments.p && a.moments.interval.low == b.moments.interval.low);
    assert_true(b.mmd.clusters1 == ROWS && b.apart.clusters == 2 * ROWS);
}

/* False alarms at 5%: of each measure, and what they are when nobody says which rows belong together. */
typedef struct alarms {
    int64_t apart, mmd, moments;
} alarms;

static alarms count(bool declared)
{
    const double mean[D] = {0};
    const double var[D] = {2, 2, 2};
    alarms n = {0, 0, 0};
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        thaw_rng rng = thaw_rng_make(3, THAW_RNG_TEST, 2, trial);
        draw(&rng, 1, x);
        draw(&rng, 1, y);
        const int32_t *ids = declared ? cluster : NULL;
        const found f = measure(ids, ids, mean, var, trial);
        n.apart += f.apart.interval.low > 0;
        n.mmd += f.mmd.p <= 0.05;
        n.moments += f.moments.p <= 0.05;
    }
    print_message("clusters %s: proxy A-distance above 0 in %.1f%%, p of MMD below 0.05 in %.1f%%, "
                  "p of moments in %.1f%% of %d trials without a gap\n",
                  declared ? "declared" : "undeclared", 100.0 * (double)n.apart / TRIALS,
                  100.0 * (double)n.mmd / TRIALS, 100.0 * (double)n.moments / TRIALS, TRIALS);
    return n;
}

static void false_alarms(void **state)
{
    (void)state;
    const int64_t most = thaw_binomial_quantile(0.999, TRIALS, 0.05);
    const alarms with = count(true);
    const alarms without = count(false);
    assert_true(with.apart <= most && with.mmd <= most);
    assert_true(without.mmd > 2 * most && without.moments > 2 * most);
    assert_true(with.moments < without.moments / 2);
}

/* What is there is still found. */
static void shifts(void **state)
{
    (void)state;
    const double mean[D] = {0};
    const double var[D] = {2, 2, 2};
    thaw_rng rng = thaw_rng_make(3, THAW_RNG_TEST, 4, 0);
    draw(&rng, 1, x);
    draw(&rng, 1, y);
    for (int64_t i = 0; i < ROWS * D; i++)
        x[i] += 3;
    const found f = measure(cluster, cluster, mean, var, 1);
    assert_true(f.apart.interval.low > 0 && f.mmd.p <= 0.05 && f.moments.p <= 0.05);
}

static void one_cluster(void **state)
{
    (void)state;
    const int32_t same[ROWS] = {0};
    const double mean[D] = {0};
    const double var[D] = {2, 2, 2};
    const thaw_side side = {x, ROWS, same};
    const thaw_side other = {y, ROWS, NULL};
    const thaw_bootstrap how = {.resamples = RESAMPLES, .level = 0.95, .seed = 1};
    thaw_proxy_a apart;
    thaw_gap_test moments;
    assert_int_equal(thaw_proxy_a_features(&side, &other, D, 0.95, &apart), THAW_ERR_INPUT);
    assert_int_equal(thaw_gap_to_moments(&side, D, mean, var, &how, &moments), THAW_OK);
    assert_true(moments.value > 0 && isnan(moments.p) && isnan(moments.interval.low));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_of_one),
        cmocka_unit_test(false_alarms),
        cmocka_unit_test(shifts),
        cmocka_unit_test(one_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
