/* thaw-test: timeout=30 ranks=1,2 modules=h5
 * A predictions file: what is written comes back on all ranks, labels that are no classes do not, and calibration regards temperature. */
#include "mpi_folder_test.h"
#include "thaw/train.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { N = 4, K = 2 };

/* What is said with 0.9 is right in three of four cases. */
typedef struct fixed {
    int32_t labels[N], predicted[N];
    float outputs[N * K], loss[N], score[N];
    thaw_predictions p;
} fixed;

static void fill(fixed *f)
{
    memset(f, 0, sizeof *f);
    for (int i = 0; i < N; i++) {
        f->labels[i] = i == 3;
        f->outputs[i * K] = 0.9f;
        f->outputs[i * K + 1] = 0.1f;
        f->score[i] = i < 3;
    }
    f->p = (thaw_predictions){.task = THAW_TASK_CLASSIFICATION,
                              .N = N,
                              .K = K,
                              .labelled = true,
                              .labels = f->labels,
                              .predicted = f->predicted,
                              .outputs = f->outputs,
                              .loss = f->loss,
                              .score = f->score};
}

static void test_round_trip(void **state)
{
    (void)state;
    fixed f;
    thaw_predictions back;
    thaw_calibration c;
    fill(&f);
    assert_all(thaw_predictions_write(world, directory, "val", &f.p) == THAW_OK);
    assert_all(thaw_predictions_read(world, directory, "val", &back) == THAW_OK);
    assert_all(back.N == N && back.K == K && thaw_predictions_calibrates(&back));
    assert_all(memcmp(back.outputs, f.outputs, sizeof f.outputs) == 0);
    /* ln 9 / T = ln 3, the odds of three in four. */
    const double temperature = thaw_predictions_temperature(&back);
    assert_all(fabs(temperature - 2) < 1e-6);
    assert_all(thaw_predictions_calibrate(&back, 1, NULL, &c) == THAW_OK);
    assert_all(fabs(c.ece - 0.15) < 1e-6);
    assert_all(fabs(c.brier - 2 * (3 * 0.01 + 0.81) / 4) < 1e-6);
    assert_all(thaw_predictions_calibrate(&back, temperature, NULL, &c) == THAW_OK);
    assert_all(c.ece < 1e-6);
    assert_all(fabs(c.brier - 2 * (3 * 0.0625 + 0.5625) / 4) < 1e-6);
    thaw_predictions_clear(&back);
}

static void test_not_labels(void **state)
{
    static const int32_t wrong[] = {K, -1};
    (void)state;
    for (int i = 0; i < 4; i++) {
        fixed f;
        thaw_predictions back;
        fill(&f);
        (i < 2 ? f.labels : f.predicted)[2] = wrong[i % 2];
        assert_all(thaw_predictions_write(world, directory, "gate", &f.p) == THAW_OK);
        assert_all(thaw_predictions_read(world, directory, "gate", &back) == THAW_ERR_INPUT);
        assert_all(strstr(thaw_error_last()->message, "row 2 has label") != NULL);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_not_labels)};
    mpi_test_setup = make_directory;
    mpi_test_teardown = remove_directory;
    return mpi_test_main(argc, argv, tests);
}
