/* Batch spectral shrinkage: its gradient against differences of the penalty and against PyTorch (tests/golden/bss.txt).
 * thaw-test: timeout=20 */
#include "thaw/kern.h"

#include "golden_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MOST 64

static double work[1000];

static void fill(int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(2 * golden_uniform("features", (uint32_t)i) - 1);
}

/* Of x' x always: where B < D the extra values are 0 and come first. */
static double penalty(int64_t B, int64_t D, const double *x, int64_t k)
{
    static double matrix[MOST * MOST];
    double squares[MOST];
    const int64_t zeros = D > B ? D - B : 0;
    double sum = 0;
    for (int64_t i = 0; i < D; i++) {
        for (int64_t j = 0; j < D; j++) {
            matrix[i * D + j] = 0;
            for (int64_t b = 0; b < B; b++)
                matrix[i * D + j] += x[b * D + i] * x[b * D + j];
        }
    }
    thaw_symmetric_eigen(matrix, D, squares, NULL);
    for (int64_t i = 0; i < k; i++)
        sum += squares[zeros + i];
    return sum;
}

static void test_differences(void **state)
{
    static const int64_t sizes[][3] = {{5, 7, 1}, {7, 4, 1}, {6, 6, 2}, {3, 16, 2}, {20, 3, 2}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t B = sizes[s][0], D = sizes[s][1], k = sizes[s][2];
        float x[MOST];
        float gradient[MOST] = {0};
        double at[MOST];
        fill(B * D, x);
        assert_true(thaw_kern_shrink_work(B, D) <= (int64_t)(sizeof work / sizeof *work));
        thaw_kern_shrink(B, D, x, k, 3, work, gradient);
        for (int64_t i = 0; i < B * D; i++) {
            const double h = 1e-5;
            for (int64_t j = 0; j < B * D; j++)
                at[j] = (double)x[j];
            at[i] += h;
            const double more = penalty(B, D, at, k);
            at[i] -= 2 * h;
            const double slope = 3 * (more - penalty(B, D, at, k)) / (2 * h);
            /* The differences' error is of the order of h^2 over the gap between squares, here above 0.01; single precision adds 1e-7. */
            if (fabs(slope - (double)gradient[i]) > 1e-5)
                fail_msg("(%d, %d), element %d: %.9g, differences give %.9g", (int)B, (int)D,
                         (int)i, (double)gradient[i], slope);
        }
    }
}

static void test_golden(void **state)
{
    (void)state;
    int records = 0;
    char line[256];
    long long B;
    long long D;
    long long k;
    double value;
    FILE *f = fopen(THAW_TESTS_DIR "/golden/bss.txt", "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    while (fscanf(f, "%lld %lld %lld %lf", &B, &D, &k, &value) == 4) {
        float x[MOST];
        float gradient[MOST] = {0};
        fill(B * D, x);
        thaw_kern_shrink(B, D, x, k, 1, work, gradient);
        for (int64_t i = 0; i < B * D; i++) {
            double theirs;
            assert_int_equal(fscanf(f, "%lf", &theirs), 1);
            if (fabs(theirs - (double)gradient[i]) > 1e-6)
                fail_msg("(%lld, %lld), element %d: %.9g, PyTorch has %.9g", B, D, (int)i,
                         (double)gradient[i], theirs);
        }
        records++;
    }
    (void)fclose(f);
    assert_int_equal(records, 4);
}

/* It adds, and without a value that is not among the smallest there is nothing to shrink. */
static void test_few_rows(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4, 5, 6};
    float gradient[6] = {7, 7, 7, 7, 7, 7};
    thaw_kern_shrink(2, 3, x, 2, 1, work, gradient);
    thaw_kern_shrink(1, 6, x, 1, 1, work, gradient);
    for (int i = 0; i < 6; i++)
        assert_float_equal(gradient[i], 7, 0);
    const float zeros[6] = {0};
    thaw_kern_shrink(2, 3, zeros, 1, 1, work, gradient);
    for (int i = 0; i < 6; i++)
        assert_float_equal(gradient[i], 7, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_few_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
