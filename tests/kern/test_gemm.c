/* Matrix product of every backend against naive loops: all transpositions, odd sizes, leading dimensions, alpha, beta. */
#include "kern_test.h"

#include <stdio.h>

typedef struct size_row {
    int64_t M, N, K;
} size_row;

static const size_row sizes[] = {
    {1, 1, 1},   {3, 5, 7},     {16, 16, 16}, {33, 17, 65},
    {1, 100, 9}, {64, 10, 512}, {100, 1, 31}, {47, 130, 300},
};
enum { SIZES = sizeof sizes / sizeof sizes[0] };
static const float scalars[][2] = {{1, 0}, {1, 1}, {-0.5f, 2}, {0, 0.5f}};

static void check_product(const thaw_kern *k, size_row z, bool ta, bool tb, float alpha, float beta)
{
    int64_t lda = (ta ? z.M : z.K) + 3;
    int64_t ldb = (tb ? z.K : z.N) + 1;
    int64_t ldc = z.N + 2;
    float *a = test_random((ta ? z.K : z.M) * lda, 1);
    float *b = test_random((tb ? z.N : z.K) * ldb, 2);
    float *c = test_random(z.M * ldc, 3);
    float *truth = test_copy(z.M * ldc, c);
    for (int64_t m = 0; m < z.M; m++)
        for (int64_t n = 0; n < z.N; n++) {
            double sum = 0;
            for (int64_t i = 0; i < z.K; i++)
                sum += (double)(ta ? a[i * lda + m] : a[m * lda + i]) *
                       (tb ? b[n * ldb + i] : b[i * ldb + n]);
            truth[m * ldc + n] =
                (float)(alpha * sum + (beta == 0 ? 0 : (double)beta * truth[m * ldc + n]));
            if (beta == 0)
                c[m * ldc + n] = NAN; /* must not be read */
        }
    k->gemm(k, ta, tb, z.M, z.N, z.K, alpha, a, lda, b, ldb, beta, c, ldc);
    /* A float sum of at most 512 unit-sized products; the columns beyond N must be as they were. */
    assert_near(z.M * ldc, c, truth, 1e-5);
    thaw_free(&a);
    thaw_free(&b);
    thaw_free(&c);
    thaw_free(&truth);
}

/* Memory of no file that may be run: where a library keeps kernels that it made. */
static int64_t made_bytes(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    char line[512];
    int64_t sum = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long begin;
        unsigned long long end;
        unsigned long long inode;
        char rights[8];
        if (sscanf(line, "%llx-%llx %7s %*s %*s %llu", &begin, &end, rights, &inode) == 4 &&
            rights[2] == 'x' && inode == 0)
            sum += (int64_t)(end - begin);
    }
    (void)fclose(file);
    return sum;
}

/* First in this process: all passes of a small head leave the library's kernels unmade, and those of a large layer make them. */
static void test_small_head_makes_no_kernels(void **state)
{
    (void)state;
    thaw_kern *k;
    if (thaw_kern_open("onednn", &k) != THAW_OK) {
        print_message("skipped: no usable oneDNN: %s\n", thaw_error_last()->message);
        skip();
    }
    float *x = test_random(64 * 128, 1);
    float *w = test_random(64 * 128, 2);
    float *y = test_random(64 * 64, 3);
    const int64_t before = made_bytes();
    k->gemm(k, false, true, 64, 10, 64, 1, x, 64, w, 64, 0, y, 10);
    k->gemm(k, false, false, 64, 64, 10, 1, x, 10, w, 64, 0, y, 64);
    k->gemm(k, true, false, 10, 64, 64, 1, x, 10, w, 64, 0, y, 64);
    assert_int_equal(made_bytes(), before);
    k->gemm(k, false, true, 64, 64, 128, 1, x, 128, w, 128, 0, y, 64);
    assert_true(made_bytes() > before);
    thaw_free(&x);
    thaw_free(&w);
    thaw_free(&y);
    thaw_kern_close(&k);
}

static void test_products(void **state)
{
    (void)state;
    thaw_kern *k;
    for (int i = 0; test_open(i, &k); i++) {
        for (int j = 0; k && j < SIZES * 16; j++)
            check_product(k, sizes[j / 16], j & 1, j & 2, scalars[j / 4 % 4][0],
                          scalars[j / 4 % 4][1]);
        thaw_kern_close(&k);
    }
}

static void test_empty(void **state)
{
    (void)state;
    thaw_kern *k;
    for (int i = 0; test_open(i, &k); i++) {
        float one = 1;
        if (k) {
            k->gemm(k, false, false, 0, 1, 1, 1, &one, 1, &one, 1, 0, &one, 1);
            assert_true(one == 1);
            k->gemm(k, false, false, 1, 1, 0, 1, &one, 1, &one, 1, 0, &one, 1);
            assert_true(one == 0);
        }
        thaw_kern_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small_head_makes_no_kernels),
                                       cmocka_unit_test(test_products),
                                       cmocka_unit_test(test_empty)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
