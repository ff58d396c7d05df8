/* Metrics, tests and intervals against scikit-learn and SciPy (tests/golden/evidence.txt, by tools/gen-golden-evidence). */
#include "thaw/evidence.h"

#include <stdio.h>
#include <string.h>

#include "evidence_test.h"
#include "golden_test.h"

enum { N = 240, K = 4, CLUSTER = 6, TARGETS = 2, MOST = 4 };

/* One data set, whose task says what of it is in use. */
typedef struct made {
    int32_t labels[N], predicted[N], cluster[N];
    float targets[N * K], outputs[N * K];
    thaw_judged judged;
} made;

static made set;

static double of_cluster(const char *name, int i)
{
    return golden_uniform(name, (uint32_t)(i / CLUSTER));
}

static void make_classes(void)
{
    for (int i = 0; i < N; i++) {
        const double u = of_cluster("cluster class", i);
        const double right = of_cluster("cluster wrong", i) < 0.3 ? 0 : 0.6;
        double score[K];
        double sum = 0;
        set.labels[i] = u < 0.7 ? 0 : u < 0.85 ? 1 : u < 0.95 ? 2 : 3;
        set.predicted[i] = 0;
        for (int k = 0; k < K; k++) {
            score[k] = golden_uniform("probability", (uint32_t)(i * K + k)) +
                       (k == set.labels[i] ? right : 0);
            sum += score[k];
        }
        for (int k = 0; k < K; k++) {
            set.outputs[i * K + k] = (float)(score[k] / sum);
            if (set.outputs[i * K + k] > set.outputs[i * K + set.predicted[i]])
                set.predicted[i] = k;
        }
    }
    set.judged = (thaw_judged){.task = THAW_TASK_CLASSIFICATION,
                               .N = N,
                               .K = K,
                               .labels = set.labels,
                               .predicted = set.predicted,
                               .outputs = set.outputs};
}

static void make_labels(void)
{
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < K; k++) {
            const uint32_t at = (uint32_t)(i * K + k);
            const bool holds = golden_uniform("label", at) < 1.0 / (k + 2);
            set.targets[at] = holds ? 1 : 0;
            set.outputs[at] = (float)(0.5 * golden_uniform("says", at) + (holds ? 0.3 : 0) +
                                      0.2 * of_cluster("cluster shift", i));
        }
    }
    set.judged = (thaw_judged){.task = THAW_TASK_MULTI_LABEL,
                               .N = N,
                               .K = K,
                               .targets = set.targets,
                               .outputs = set.outputs};
}

static void make_numbers(void)
{
    for (uint32_t at = 0; at < N * TARGETS; at++) {
        set.targets[at] = (float)(4 * golden_uniform("number", at) - 2);
        set.outputs[at] =
            (float)((double)set.targets[at] + 1.5 * golden_uniform("guess", at) - 0.75);
    }
    set.judged = (thaw_judged){.task = THAW_TASK_REGRESSION,
                               .N = N,
                               .K = TARGETS,
                               .targets = set.targets,
                               .outputs = set.outputs};
}

/* The numbers of the line that begins so. */
static void golden(const char *name, double *values, int count)
{
    char line[200];
    char key[60];
    FILE *f = fopen(THAW_TESTS_DIR "/golden/evidence.txt", "r");
    assert_non_null(f);
    thaw_format(key, sizeof key, "%s ", name);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        char *at = line + strlen(key);
        char *end = at;
        const double first = strtod(at, &end);
        if (end == at) /* another name that begins so */
            continue;
        values[0] = first;
        for (int i = 1; i < count; i++)
            values[i] = strtod(end, &end);
        fclose(f);
        return;
    }
    fclose(f);
    fail_msg("tests/golden/evidence.txt has no line %s", name);
}

static void check_value(const char *set_name, const char *metric_name)
{
    char name[60];
    double wanted;
    double got;
    const thaw_metric *metric = thaw_metric_find(metric_name);
    assert_non_null(metric);
    thaw_format(name, sizeof name, "%s %s", set_name, metric_name);
    golden(name, &wanted, 1);
    assert_int_equal(thaw_metric_value(metric, &set.judged, &got, NULL), THAW_OK);
    near(got, wanted, 1e-6); /* outputs are floats; sums are not */
}

/* Both sides draw, 1000 and 10000 resamples: of a 97.5% percentile of a normal that is a standard error of 2.3% of the interval. */
static void check_ends(const char *set_name, const char *metric_name)
{
    char name[60];
    double wanted[2];
    thaw_interval got;
    const thaw_bootstrap how = thaw_bootstrap_default(9);
    const thaw_metric *metric = thaw_metric_find(metric_name);
    thaw_format(name, sizeof name, "%s %s ends", set_name, metric_name);
    golden(name, wanted, 2);
    assert_int_equal(thaw_metric_interval(metric, &set.judged, set.cluster, &how, &got), THAW_OK);
    near(got.low, wanted[0], 0.08 * (wanted[1] - wanted[0]));
    near(got.high, wanted[1], 0.08 * (wanted[1] - wanted[0]));
}

static void classes(void **state)
{
    (void)state;
    double brier;
    thaw_calibration c;
    make_classes();
    check_value("classes", "accuracy");
    check_value("classes", "macro_f1");
    check_value("classes", "auroc");
    check_ends("classes", "macro_f1");
    check_ends("classes", "auroc");
    golden("classes brier", &brier, 1);
    assert_int_equal(thaw_calibrate(&set.judged, NULL, THAW_CALIBRATION_BINS, NULL, &c), THAW_OK);
    near(c.brier, brier, 1e-9);
}

static void several_labels(void **state)
{
    (void)state;
    make_labels();
    check_value("labels", "macro_f1");
    check_value("labels", "sample_f1");
    check_value("labels", "auroc");
    check_ends("labels", "auroc");
}

static void regression(void **state)
{
    (void)state;
    make_numbers();
    check_value("numbers", "rmse");
    check_value("numbers", "spearman");
    check_ends("numbers", "rmse");
}

static void tests_and_intervals(void **state)
{
    (void)state;
    double wanted[MOST];
    golden("wilson", wanted, 2);
    const thaw_interval wilson = thaw_wilson(37, 50, 0.95);
    near(wilson.low, wanted[0], 1e-9);
    near(wilson.high, wanted[1], 1e-9);
    golden("student quantile", wanted, 3);
    near(thaw_student_quantile(0.975, 2), wanted[0], 1e-8);
    near(thaw_student_quantile(0.9, 7.5), wanted[1], 1e-8);
    near(thaw_student_quantile(0.999, 40), wanted[2], 1e-8);
    golden("mcnemar exact", wanted, 3);
    near(thaw_mcnemar_test(3, 11).p_exact, wanted[0], 1e-10);
    near(thaw_mcnemar_test(0, 4).p_exact, wanted[1], 1e-10);
    near(thaw_mcnemar_test(40, 61).p_exact, wanted[2], 1e-10);
}

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        set.cluster[i] = i / CLUSTER;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(several_labels),
        cmocka_unit_test(regression),
        cmocka_unit_test(tests_and_intervals),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
