/* Metrics: the examples that scikit-learn's and SciPy's documentation print, brute force on random data, undefined ones, intervals, and
 * scores whose paired comparison agrees with resampling the metric itself. */
#include "thaw/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("got %.15g, wanted %.15g within %g", got, wanted, tolerance);
}

static double value(const char *name, const thaw_judged *j, char *why)
{
    double out;
    const thaw_metric *m = thaw_metric_find(name);
    assert_non_null(m);
    assert_int_equal(thaw_metric_value(m, j, &out, why), THAW_OK);
    return out;
}

static double df_of(const char *name, const thaw_judged *j, const int32_t *cluster)
{
    double out;
    assert_int_equal(thaw_metric_df(thaw_metric_find(name), j, cluster, &out), THAW_OK);
    return out;
}

/* Three samples of one class and five of another; in clusters two and three. */
static void degrees_of_freedom(void **state)
{
    (void)state;
    const int32_t labels[] = {0, 0, 0, 1, 1, 1, 1, 1};
    const int32_t predicted[] = {0, 1, 0, 1, 1, 0, 1, 1};
    const int32_t cluster[] = {7, 7, 3, 1, 1, 2, 2, 9};
    const float outputs[8 * 3] = {0};
    thaw_judged j = {.task = THAW_TASK_CLASSIFICATION,
                     .N = 8,
                     .K = 2,
                     .labels = labels,
                     .predicted = predicted,
                     .outputs = outputs};
    const double sum = 1 / 3.0 + 1 / 5.0;
    const double parts = 1 / 9.0 / 2 + 1 / 25.0 / 4;
    near(df_of("macro_f1", &j, NULL), sum * sum / parts, 1e-12);
    near(df_of("auroc", &j, NULL), 2 * sum * sum / parts, 1e-12);
    near(df_of("macro_f1", &j, cluster), (0.5 + 1 / 3.0) * (0.5 + 1 / 3.0) / (0.25 + 1 / 9.0 / 2),
         1e-12);
    assert_true(isinf(df_of("accuracy", &j, cluster)));
    /* A class that no sample has is left out, and one sample alone weighs by its share. */
    j.K = 3;
    near(df_of("macro_f1", &j, NULL), sum * sum / parts, 1e-12);
    const int32_t times[] = {1, 0, 0, 1, 1, 1, 1, 1};
    j.times = times;
    near(df_of("macro_f1", &j, NULL), 1.2 * 1.2 / (2 + 1 / 25.0 / 4), 1e-12);
}

/* ---- Printed examples ---- */

static void printed_classes(void **state)
{
    (void)state;
    /* sklearn.metrics.f1_score: macro 0.2666..., accuracy 2/6. */
    static const int32_t labels[] = {0, 1, 2, 0, 1, 2};
    static const int32_t predicted[] = {0, 2, 1, 0, 0, 1};
    static const float none[18];
    const thaw_judged j = {
        .N = 6, .K = 3, .labels = labels, .predicted = predicted, .outputs = none};
    near(value("macro_f1", &j, NULL), 4.0 / 15, 1e-15);
    near(value("accuracy", &j, NULL), 1.0 / 3, 1e-15);
}

static void printed_areas(void **state)
{
    (void)state;
    char why[THAW_WHY];
    /* sklearn.metrics.roc_auc_score: 0.75. */
    static const float targets[] = {0, 0, 1, 1};
    static const float outputs[] = {0.1f, 0.4f, 0.35f, 0.8f};
    const thaw_judged j = {
        .task = THAW_TASK_MULTI_LABEL, .N = 4, .K = 1, .targets = targets, .outputs = outputs};
    near(value("auroc", &j, why), 0.75, 1e-15);
    assert_string_equal(why, "");
    /* At 0.5: one hit, one miss, nothing wrongly named. */
    near(value("macro_f1", &j, NULL), 2.0 / 3, 1e-15);
    near(value("sample_f1", &j, NULL), 3.0 / 4, 1e-15);
}

static void printed_regression(void **state)
{
    (void)state;
    /* sklearn.metrics.root_mean_squared_error: 0.612... and, of two targets, 0.822... */
    static const float truth[] = {3, -0.5f, 2, 7};
    static const float guess[] = {2.5f, 0, 2, 8};
    thaw_judged j = {
        .task = THAW_TASK_REGRESSION, .N = 4, .K = 1, .targets = truth, .outputs = guess};
    near(value("rmse", &j, NULL), sqrt(0.375), 1e-15);
    static const float truth2[] = {0.5f, 1, -1, 1, 7, -6};
    static const float guess2[] = {0, 2, -1, 2, 8, -5};
    j = (thaw_judged){
        .task = THAW_TASK_REGRESSION, .N = 3, .K = 2, .targets = truth2, .outputs = guess2};
    near(value("rmse", &j, NULL), 0.5 * (sqrt(5.0 / 12) + 1), 1e-15);
    /* scipy.stats.spearmanr: 0.8207826816681233. */
    static const float x[] = {1, 2, 3, 4, 5};
    static const float y[] = {5, 6, 7, 8, 7};
    j = (thaw_judged){.task = THAW_TASK_REGRESSION, .N = 5, .K = 1, .targets = x, .outputs = y};
    near(value("spearman", &j, NULL), 0.8207826816681233, 1e-15);
}

/* ---- Brute force ---- */

enum { N = 60, K = 7 };
typedef struct sample_set {
    int32_t labels[N], predicted[N], times[N], cluster[N];
    float targets[N * K], outputs[N * K];
} sample_set;

/* Probabilities in steps of 1/8, so that there are ties. */
static sample_set *draw(uint32_t stream, thaw_task task, double skill)
{
    sample_set *s = NULL;
    assert_int_equal(thaw_alloc(&s, 1, sizeof *s), THAW_OK);
    thaw_rng rng = thaw_rng_make(9, THAW_RNG_BOOTSTRAP, stream, 1);
    for (int i = 0; i < N; i++) {
        s->labels[i] = (int32_t)thaw_rng_below(&rng, K);
        s->times[i] = (int32_t)thaw_rng_below(&rng, 3);
        s->cluster[i] = i / 3;
        for (int k = 0; k < K; k++) {
            const double u = (double)thaw_rng_below(&rng, 8) / 8;
            const bool holds =
                task == THAW_TASK_CLASSIFICATION ? s->labels[i] == k : thaw_rng_below(&rng, 3) == 0;
            s->targets[i * K + k] =
                task == THAW_TASK_REGRESSION ? (float)thaw_rng_below(&rng, 9) : (float)holds;
            s->outputs[i * K + k] = task == THAW_TASK_REGRESSION
                                        ? (float)(skill * (double)s->targets[i * K + k] + 3 * u)
                                        : (float)((1 - skill) * u + skill * holds);
            if (k == 0 || s->outputs[i * K + k] > s->outputs[i * K + s->predicted[i]])
                s->predicted[i] = k;
        }
    }
    return s;
}

static thaw_judged judged(const sample_set *s, thaw_task task)
{
    return (thaw_judged){.task = task,
                         .N = N,
                         .K = K,
                         .labels = s->labels,
                         .predicted = s->predicted,
                         .targets = s->targets,
                         .outputs = s->outputs};
}

static double area_by_pairs(const sample_set *s, int k)
{
    double good = 0;
    double all = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            if (!(s->targets[i * K + k] > 0.5f) || s->targets[j * K + k] > 0.5f)
                continue;
            const double both = s->times[i] * s->times[j];
            const float a = s->outputs[i * K + k];
            const float b = s->outputs[j * K + k];
            good += a > b ? both : a == b ? both / 2 : 0;
            all += both;
        }
    }
    return good / all;
}

static void areas_by_pairs(void **state)
{
    (void)state;
    sample_set *s = draw(1, THAW_TASK_CLASSIFICATION, 0.2);
    thaw_judged j = judged(s, THAW_TASK_CLASSIFICATION);
    j.times = s->times;
    double sum = 0;
    for (int k = 0; k < K; k++)
        sum += area_by_pairs(s, k);
    near(value("auroc", &j, NULL), sum / K, 1e-14);
    thaw_free(&s);
}

/* Rank of a sample among the repeated ones: those below it, and half of its equals. */
static double rank_of(const sample_set *s, const float *column, int i)
{
    double rank = 0.5;
    for (int m = 0; m < N; m++)
        rank += column[m * K] < column[i * K]    ? s->times[m]
                : column[m * K] == column[i * K] ? 0.5 * s->times[m]
                                                 : 0;
    return rank;
}

static void ranks_by_counting(void **state)
{
    (void)state;
    sample_set *s = draw(2, THAW_TASK_REGRESSION, 0.4);
    thaw_judged j = judged(s, THAW_TASK_REGRESSION);
    j.times = s->times;
    double total = 0;
    for (int k = 0; k < K; k++) {
        double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
        for (int i = 0; i < N; i++) {
            const double a = rank_of(s, s->outputs + k, i);
            const double b = rank_of(s, s->targets + k, i);
            n += s->times[i];
            x += s->times[i] * a;
            y += s->times[i] * b;
            xx += s->times[i] * a * a;
            yy += s->times[i] * b * b;
            xy += s->times[i] * a * b;
        }
        total += (xy - x * y / n) / sqrt((xx - x * x / n) * (yy - y * y / n));
    }
    near(value("spearman", &j, NULL), total / K, 1e-12);
    thaw_free(&s);
}

static void top5_by_sorting(void **state)
{
    (void)state;
    sample_set *s = draw(3, THAW_TASK_CLASSIFICATION, 0.1);
    const thaw_judged j = judged(s, THAW_TASK_CLASSIFICATION);
    int hits = 0;
    for (int i = 0; i < N; i++) {
        bool taken[K] = {false};
        for (int r = 0; r < 5; r++) {
            int best = -1;
            for (int k = 0; k < K; k++) {
                if (!taken[k] && (best < 0 || s->outputs[i * K + k] > s->outputs[i * K + best]))
                    best = k;
            }
            taken[best] = true;
        }
        hits += taken[s->labels[i]];
    }
    assert_true(hits > 0 && hits < N);
    near(value("top5", &j, NULL), (double)hits / N, 1e-15);
    assert_false(thaw_metric_fits(thaw_metric_find("top5"), THAW_TASK_CLASSIFICATION, 5));
    assert_true(thaw_metric_fits(thaw_metric_find("top5"), THAW_TASK_CLASSIFICATION, 6));
    thaw_free(&s);
}

/* ---- Undefined ---- */

static void undefined_says_why(void **state)
{
    (void)state;
    char why[THAW_WHY];
    sample_set *s = draw(4, THAW_TASK_MULTI_LABEL, 0.2);
    thaw_judged j = judged(s, THAW_TASK_MULTI_LABEL);
    const double all = value("auroc", &j, why);
    assert_true(all > 0.4 && all < 1 && why[0] == '\0');
    /* A label that nobody has leaves the mean. */
    double others = 0;
    for (int i = 0; i < N; i++)
        s->times[i] = 1;
    for (int k = 0; k < K; k++)
        others += k == 2 ? 0 : area_by_pairs(s, k) / (K - 1);
    for (int i = 0; i < N; i++)
        s->targets[i * K + 2] = 0;
    near(value("auroc", &j, why), others, 1e-14);
    assert_string_equal(why, "1 of 7 columns left out: each has samples on one side only");
    memset(s->targets, 0, sizeof s->targets);
    assert_true(isnan(value("auroc", &j, why)));
    assert_string_equal(why, "each of the 7 columns has samples on one side only");
    float scores[N];
    assert_int_equal(thaw_metric_scores(thaw_metric_find("auroc"), &j, scores), THAW_ERR_INPUT);
    memset(s->times, 0, sizeof s->times);
    j.times = s->times;
    assert_true(isnan(value("sample_f1", &j, why)));
    assert_string_equal(why, "there are no samples");
    thaw_interval interval;
    const thaw_bootstrap how = thaw_bootstrap_default(1);
    assert_int_equal(thaw_metric_interval(thaw_metric_find("sample_f1"), &j, NULL, &how, &interval),
                     THAW_OK);
    assert_true(isnan(interval.low) && isnan(interval.high));
    thaw_free(&s);
    s = draw(5, THAW_TASK_REGRESSION, 0.2);
    for (int i = 0; i < N * K; i++)
        s->outputs[i] = 4;
    j = judged(s, THAW_TASK_REGRESSION);
    assert_true(isnan(value("spearman", &j, why)));
    assert_string_equal(why, "each of the 7 columns is constant, or predicted as a constant");
    thaw_free(&s);
}

/* A prediction that is no number ends no order and no mean: the metric says so, and comes back. */
static void not_finite_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        thaw_task task;
    } cases[] = {{"spearman", THAW_TASK_REGRESSION},
                 {"rmse", THAW_TASK_REGRESSION},
                 {"auroc", THAW_TASK_MULTI_LABEL}};
    const thaw_bootstrap how = {.resamples = 20, .level = 0.95, .seed = 3};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char why[THAW_WHY];
        thaw_interval interval;
        float scores[N];
        const thaw_metric *m = thaw_metric_find(cases[c].name);
        sample_set *s = draw(50, cases[c].task, 0.3);
        thaw_judged j = judged(s, cases[c].task);
        s->outputs[3 * K + 1] = NAN;
        assert_true(isnan(value(cases[c].name, &j, why)));
        assert_string_equal(why, "a prediction or target is not finite");
        assert_int_equal(thaw_metric_interval(m, &j, NULL, &how, &interval), THAW_OK);
        assert_true(isnan(interval.low) && isnan(interval.high));
        if (m->score == NULL)
            assert_int_equal(thaw_metric_scores(m, &j, scores), THAW_ERR_INPUT);
        /* A sample that does not count spoils nothing. */
        for (int i = 0; i < N; i++)
            s->times[i] = i != 3;
        j.times = s->times;
        assert_false(isnan(value(cases[c].name, &j, why)));
        assert_int_equal(thaw_metric_interval(m, &j, NULL, &how, &interval), THAW_OK);
        assert_true(interval.low < interval.high);
        thaw_free(&s);
    }
}

/* "All of 20 right" is not certainty, which resampling alone would say. */
static void all_right_is_not_certain(void **state)
{
    (void)state;
    const thaw_bootstrap how = {.resamples = 200, .level = 0.95, .seed = 3};
    const thaw_metric *m = thaw_metric_find("accuracy");
    const thaw_interval wilson = thaw_wilson(N, N, 0.95);
    thaw_interval interval;
    sample_set *s = draw(51, THAW_TASK_CLASSIFICATION, 0.3);
    thaw_judged j = judged(s, THAW_TASK_CLASSIFICATION);
    memcpy(s->predicted, s->labels, sizeof s->labels);
    assert_int_equal(thaw_metric_interval(m, &j, NULL, &how, &interval), THAW_OK);
    near(interval.low, wilson.low, 1e-15);
    near(interval.high, 1, 0);
    assert_int_equal(thaw_metric_interval(m, &j, s->cluster, &how, &interval), THAW_OK);
    near(interval.low, thaw_wilson((N + 2) / 3, (N + 2) / 3, 0.95).low, 1e-15);
    /* Whole clusters that are wrong together widen it. */
    for (int i = 0; i < N; i++)
        s->predicted[i] = (s->labels[i] + (i / 3 % 2)) % K;
    assert_int_equal(thaw_metric_interval(m, &j, s->cluster, &how, &interval), THAW_OK);
    assert_true(interval.low < thaw_wilson(N / 2, N, 0.95).low - 0.02);
    thaw_free(&s);
}

/* ---- Scores and intervals, for every metric and each of its tasks ---- */

static double mean_of(const float *scores)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += (double)scores[i] / N;
    return sum;
}

/* Leaving out by counting, whatever closed form the metric has. */
static void compare_with_leaving_out(const thaw_metric *m, thaw_judged j, const float *scores)
{
    int32_t times[N];
    double without[N];
    double all;
    double mean = 0;
    assert_int_equal(thaw_metric_value(m, &j, &all, NULL), THAW_OK);
    for (int i = 0; i < N; i++) {
        for (int n = 0; n < N; n++)
            times[n] = n != i;
        j.times = times;
        assert_int_equal(thaw_metric_value(m, &j, &without[i], NULL), THAW_OK);
        mean += without[i] / N;
    }
    for (int i = 0; i < N; i++)
        near((double)scores[i], all + (N - 1) * (mean - without[i]), 1e-5);
}

static void check_scores(const thaw_metric *m, thaw_task task)
{
    const thaw_bootstrap how = {.resamples = 4000, .level = 0.9, .seed = 3};
    sample_set *s = draw(20 + (uint32_t)task, task, 0.3);
    thaw_judged j = judged(s, task);
    float scores[N];
    double all;
    assert_int_equal(thaw_metric_value(m, &j, &all, NULL), THAW_OK);
    assert_int_equal(thaw_metric_scores(m, &j, scores), THAW_OK);
    if (m->score == NULL)
        near(mean_of(scores), all, 1e-6); /* floats in [0, N] */
    if (m->score == NULL && m != thaw_metric_of_sample(task) && strcmp(m->name, "top5") != 0)
        compare_with_leaving_out(m, j, scores);
    /* The interval of the scores' mean and that of the metric itself, both by clusters: within a fifth of its width. */
    thaw_interval own;
    thaw_paired paired;
    const float nothing[N] = {0};
    const thaw_scores pair = {.a = nothing, .b = scores, .seeds = 1, .N = N, .cluster = s->cluster};
    assert_int_equal(thaw_metric_interval(m, &j, s->cluster, &how, &own), THAW_OK);
    assert_int_equal(thaw_paired_compare(&pair, &how, &paired), THAW_OK);
    const double width = own.high - own.low;
    assert_true(own.low < all && all < own.high);
    if (m->score == NULL)
        near((paired.boot_high - paired.boot_low) / width, 1, 0.2);
    thaw_free(&s);
}

static void scores_agree(void **state)
{
    (void)state;
    int checked = 0;
    for (const thaw_metric *const *m = thaw_metrics(); *m != NULL; m++) {
        for (int task = 0; task < THAW_TASK_COUNT; task++) {
            if (!thaw_metric_fits(*m, (thaw_task)task, K))
                continue;
            check_scores(*m, (thaw_task)task);
            checked++;
        }
    }
    assert_int_equal(checked, 9);
}

static void explained_variance(void **state)
{
    (void)state;
    const thaw_metric *m = thaw_metric_default(THAW_TASK_REGRESSION);
    static const float truth[] = {1, 10, 2, 30};
    static const float guess[] = {1.5f, 10, 2, 20};
    static const double scale[] = {0.5, 20};
    const thaw_judged j = {.task = THAW_TASK_REGRESSION,
                           .N = 2,
                           .K = 2,
                           .targets = truth,
                           .outputs = guess,
                           .scale = scale};
    float scores[2];
    assert_true(m->lower_is_better);
    assert_int_equal(thaw_metric_scores(m, &j, scores), THAW_OK);
    near((double)scores[0], 1 - 0.5 * (1 + 0), 1e-7);
    near((double)scores[1], 1 - 0.5 * (0 + 0.25), 1e-7);
}

/* Samples of a cluster come together: twins in one cluster tell no more than one of them. */
static void clusters_widen(void **state)
{
    (void)state;
    const thaw_bootstrap how = {.resamples = 2000, .level = 0.95, .seed = 3};
    const thaw_metric *m = thaw_metric_find("auroc");
    sample_set *s = draw(40, THAW_TASK_MULTI_LABEL, 0.2);
    const thaw_judged j = judged(s, THAW_TASK_MULTI_LABEL);
    for (int i = 0; i < N; i++) {
        s->cluster[i] = i / 2;
        memcpy(s->targets + i * K, s->targets + i / 2 * 2 * K, K * sizeof *s->targets);
        memcpy(s->outputs + i * K, s->outputs + i / 2 * 2 * K, K * sizeof *s->outputs);
    }
    thaw_interval alone;
    thaw_interval together;
    thaw_interval again;
    assert_int_equal(thaw_metric_interval(m, &j, NULL, &how, &alone), THAW_OK);
    assert_int_equal(thaw_metric_interval(m, &j, s->cluster, &how, &together), THAW_OK);
    assert_int_equal(thaw_metric_interval(m, &j, s->cluster, &how, &again), THAW_OK);
    /* Twins double the variance: wider by the root of two, within the noise of 2000 draws. */
    near((together.high - together.low) / (alone.high - alone.low), sqrt(2), 0.15);
    assert_memory_equal(&together, &again, sizeof again);
    thaw_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(degrees_of_freedom),  cmocka_unit_test(printed_classes),
        cmocka_unit_test(printed_areas),       cmocka_unit_test(printed_regression),
        cmocka_unit_test(areas_by_pairs),      cmocka_unit_test(ranks_by_counting),
        cmocka_unit_test(top5_by_sorting),     cmocka_unit_test(undefined_says_why),
        cmocka_unit_test(not_finite_says_why), cmocka_unit_test(all_right_is_not_certain),
        cmocka_unit_test(scores_agree),        cmocka_unit_test(explained_variance),
        cmocka_unit_test(clusters_widen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
