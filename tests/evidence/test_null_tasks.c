/* Ladders on every kind of task in which no rung is better than another: how often a rung gets a clear gain all the same, and how often an
 * interval leaves out the truth, which is no difference.
 * thaw-test: timeout=180
 * Seeds are fixed, so the counts are the same on every run; docs/evidence.md has them in a table. */
#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

#include "evidence_test.h"

enum { N = 200, MOST_K = 4, MOST_SEEDS = 3, LADDERS = 300, RUNGS = 3, RESAMPLES = 200 };

/* A task and how its metric is asked for. */
typedef struct question {
    const char *metric;
    thaw_task task;
    int64_t K;
    double share[MOST_K]; /* of classes or labels */
} question;

/* Errors of a rung on a sample have a part that all seeds share and one of the seed's own, in each a part that all samples of a cluster
 * share. What all rungs have in common cancels in a pair, but for what a metric makes of it. */
typedef struct world {
    const char *name;
    int64_t seeds, cluster_size;
    double common, of_rung, of_seed, of_cluster; /* standard deviations */
    bool undeclared;                             /* clusters, to the comparison */
} world;

static int32_t labels[N];
static float targets[N * MOST_K];
static float common[N * MOST_K];
static int32_t cluster[N];
static float score_a[MOST_SEEDS * N];
static float score_b[MOST_SEEDS * N];
static double df; /* of the metric */

static int32_t draw_class(const question *q, double u)
{
    int32_t k = 0;
    while (k + 1 < q->K && u >= q->share[k])
        u -= q->share[k++];
    return k;
}

/* What is true, and what all rungs find hard. Samples of a cluster have one class or set of labels, as pictures of one patient have. */
static void draw_truth(const question *q, const world *w, thaw_rng *rng)
{
    float of_cluster[MOST_K] = {0};
    int32_t class = 0;
    for (int64_t i = 0; i < N; i++) {
        const bool begins = i % w->cluster_size == 0;
        cluster[i] = (int32_t)(i / w->cluster_size);
        class = begins ? draw_class(q, thaw_rng_uniform(rng)) : class;
        labels[i] = class;
        for (int64_t k = 0; k < q->K; k++) {
            const int64_t at = i * q->K + k;
            if (begins && q->task == THAW_TASK_REGRESSION)
                of_cluster[k] = (float)thaw_rng_normal(rng);
            else if (begins)
                of_cluster[k] = thaw_rng_uniform(rng) < q->share[k];
            targets[at] = of_cluster[k];
            if (q->task == THAW_TASK_REGRESSION && w->cluster_size > 1)
                targets[at] += 0.5f * (float)thaw_rng_normal(rng);
            common[at] = (float)(w->common * thaw_rng_normal(rng));
        }
    }
}

static void add_errors(const question *q, const world *w, thaw_rng *rng, double sd, float *out)
{
    double of_cluster[MOST_K] = {0};
    for (int64_t i = 0; i < N; i++) {
        for (int64_t k = 0; k < q->K; k++) {
            if (i % w->cluster_size == 0)
                of_cluster[k] = w->of_cluster * thaw_rng_normal(rng);
            out[i * q->K + k] += (float)(sd * (of_cluster[k] + thaw_rng_normal(rng)));
        }
    }
}

/* Probabilities and predicted classes of evidence: twice what is true, with errors. */
static void answer(const question *q, float *outputs, int32_t *predicted)
{
    for (int64_t i = 0; i < N; i++) {
        float *row = outputs + i * q->K;
        double sum = 0;
        int32_t best = 0;
        for (int64_t k = 0; k < q->K; k++) {
            const bool is =
                q->task == THAW_TASK_MULTI_LABEL ? targets[i * q->K + k] > 0.5f : labels[i] == k;
            const double prior = log(q->share[k] / (1 - q->share[k]));
            const double logit = (double)row[k] + 2 * is - 1 + 0.5 * prior;
            row[k] = (float)(q->task == THAW_TASK_MULTI_LABEL ? 1 / (1 + exp(-logit)) : exp(logit));
            sum += (double)row[k];
            best = row[k] > row[best] ? (int32_t)k : best;
        }
        for (int64_t k = 0; q->task == THAW_TASK_CLASSIFICATION && k < q->K; k++)
            row[k] = (float)((double)row[k] / sum);
        predicted[i] = best;
    }
}

static const int32_t *declared(const world *w)
{
    return w->cluster_size > 1 && !w->undeclared ? cluster : NULL;
}

/* A rung's scores of all seeds, (seeds, N). */
static void draw_rung(const question *q, const world *w, thaw_rng *rng, float *scores)
{
    static float of_rung[N * MOST_K];
    static float outputs[N * MOST_K];
    static int32_t predicted[N];
    const thaw_judged judged = {.task = q->task,
                                .N = N,
                                .K = q->K,
                                .labels = labels,
                                .predicted = predicted,
                                .targets = targets,
                                .outputs = outputs};
    assert_int_equal(thaw_metric_df(thaw_metric_find(q->metric), &judged, declared(w), &df),
                     THAW_OK);
    memcpy(of_rung, common, sizeof of_rung);
    add_errors(q, w, rng, w->of_rung, of_rung);
    for (int64_t s = 0; s < w->seeds; s++) {
        memcpy(outputs, of_rung, sizeof outputs);
        add_errors(q, w, rng, w->of_seed, outputs);
        if (q->task == THAW_TASK_REGRESSION) {
            for (int64_t at = 0; at < N * q->K; at++)
                outputs[at] = 0.7f * targets[at] + 0.5f * outputs[at];
        } else {
            answer(q, outputs, predicted);
        }
        assert_int_equal(thaw_metric_scores(thaw_metric_find(q->metric), &judged, scores + s * N),
                         THAW_OK);
    }
}

typedef struct counts {
    int64_t gains, missed; /* ladders with a clear gain; intervals without 0 */
} counts;

static thaw_paired compare(const world *w, uint64_t seed)
{
    const thaw_scores scores = {.a = score_a,
                                .b = score_b,
                                .seeds = w->seeds,
                                .N = N,
                                .cluster = declared(w),
                                .df = df,
                                .points = true};
    const thaw_bootstrap how = {.resamples = RESAMPLES, .level = 0.95, .seed = seed};
    thaw_paired paired;
    assert_int_equal(thaw_paired_compare(&scores, &how, &paired), THAW_OK);
    return paired;
}

static counts climb(const question *q, const world *w, uint32_t stream)
{
    counts found = {0, 0};
    thaw_rule rule = thaw_rule_default();
    rule.min_effect = 0; /* nothing but the statistics guards against a false gain here */
    for (uint64_t ladder = 0; ladder < LADDERS; ladder++) {
        thaw_rng rng = thaw_rng_make(2025, THAW_RNG_TEST, stream, ladder);
        thaw_paired pairs[RUNGS];
        double p[RUNGS];
        bool any = false;
        draw_truth(q, w, &rng);
        draw_rung(q, w, &rng, score_a);
        for (int rung = 0; rung < RUNGS; rung++) {
            draw_rung(q, w, &rng, score_b);
            pairs[rung] = compare(w, ladder);
            p[rung] = pairs[rung].p_greater;
            found.missed += pairs[rung].low > 0 || pairs[rung].high < 0;
        }
        assert_int_equal(thaw_holm(p, RUNGS, p), THAW_OK);
        for (int rung = 0; rung < RUNGS; rung++)
            any = any || thaw_decide_depth(&pairs[rung], p[rung], NULL, 0, &rule).verdict ==
                             THAW_DEPTH_CLEAR_GAIN;
        found.gains += any;
    }
    return found;
}

static const world worlds[] = {{"one seed", 1, 1, 0.8, 0.7, 0, 0, false},
                               {"three seeds", 3, 1, 0.8, 0.5, 0.6, 0, false},
                               {"three seeds, clusters of 5", 3, 5, 0.8, 0.4, 0.4, 1, false},
                               {"one seed, clusters of 5", 1, 5, 0.8, 0.5, 0, 1, false}};

/* At most alpha; the bound is the binomial's 99.9% point. Intervals of one ladder share the rung that they are against, so that theirs is of as
 * many as there are ladders. */
static void null_is_kept(const question *q, uint32_t stream)
{
    const int64_t most = thaw_binomial_quantile(0.999, LADDERS, 0.05);
    for (uint32_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        const counts found = climb(q, &worlds[i], stream + i);
        print_message("| %s of %s | %s | %.1f %% | %.1f %% |\n", q->metric, thaw_task_name(q->task),
                      worlds[i].name, 100.0 * (double)found.gains / LADDERS,
                      100.0 * (double)found.missed / (LADDERS * RUNGS));
        assert_true(found.gains <= most);
        assert_true(found.missed <= most * RUNGS);
    }
}

static void rare_classes(void **state)
{
    (void)state;
    question q = {"macro_f1", THAW_TASK_CLASSIFICATION, 4, {0.6, 0.25, 0.1, 0.05}};
    null_is_kept(&q, 100);
    q.metric = "auroc";
    null_is_kept(&q, 110);
}

static void several_labels(void **state)
{
    (void)state;
    question q = {"auroc", THAW_TASK_MULTI_LABEL, 3, {0.1, 0.3, 0.5}};
    null_is_kept(&q, 120);
    q.metric = "macro_f1";
    null_is_kept(&q, 130);
    q.metric = "sample_f1";
    null_is_kept(&q, 140);
}

static void numbers(void **state)
{
    (void)state;
    question q = {"rmse", THAW_TASK_REGRESSION, 2, {0}};
    null_is_kept(&q, 150);
    q.metric = "spearman";
    null_is_kept(&q, 160);
}

/* Clusters that nobody declares give false alarms: the worlds above are able to show them. */
static void undeclared_clusters(void **state)
{
    (void)state;
    static const question questions[] = {
        {"macro_f1", THAW_TASK_CLASSIFICATION, 4, {0.6, 0.25, 0.1, 0.05}},
        {"auroc", THAW_TASK_MULTI_LABEL, 3, {0.1, 0.3, 0.5}},
        {"rmse", THAW_TASK_REGRESSION, 2, {0}}};
    world blind = worlds[3];
    blind.undeclared = true;
    for (uint32_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        const counts found = climb(&questions[i], &blind, 170 + i);
        print_message("undeclared: %s: %.1f %%, %.1f %%\n", questions[i].metric,
                      100.0 * (double)found.gains / LADDERS,
                      100.0 * (double)found.missed / (LADDERS * RUNGS));
        assert_true(found.missed > thaw_binomial_quantile(0.999, LADDERS, 0.05) * RUNGS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rare_classes),
        cmocka_unit_test(several_labels),
        cmocka_unit_test(numbers),
        cmocka_unit_test(undeclared_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
