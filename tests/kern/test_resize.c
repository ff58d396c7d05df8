/* Matrices turned over, and grids of vectors in another size: properties that need no other program. */
#include "kern_test.h"

static void test_transpose(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {3, 5}, {16, 16}, {17, 31}, {40, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t rows = sizes[i][0];
        int64_t columns = sizes[i][1];
        float *x = test_random(rows * columns, 1);
        float *y = test_random(rows * columns, 2);
        float *sum = test_copy(rows * columns, y);
        float *out = test_floats(rows * columns);
        thaw_kern_transpose(rows, columns, x, sum, true);
        thaw_kern_transpose(rows, columns, x, out, false);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) {
                assert_true(out[c * rows + r] == x[r * columns + c]);
                assert_true(sum[c * rows + r] == y[c * rows + r] + x[r * columns + c]);
            }
        thaw_free(&x);
        thaw_free(&y);
        thaw_free(&sum);
        thaw_free(&out);
    }
}

/* The same size: the same bits. A grid of one vector stays it. The filter keeps straight lines where its whole width lies inside. */
static void test_resize(void **state)
{
    (void)state;
    enum { D = 3, H = 9, W = 8 };
    const int64_t size[2] = {H, W};
    const int64_t other[2] = {5, 17};
    float *x = test_random(H * W * D, 1);
    float *y = test_floats(5 * 17 * D);
    float *same = test_floats(H * W * D);
    thaw_kern_resize_bicubic(D, size, size, x, same);
    assert_memory_equal(x, same, H * W * D * sizeof *x);
    for (int64_t i = 0; i < H * W * D; i++)
        x[i] = (float)(i % D + 1);
    thaw_kern_resize_bicubic(D, size, other, x, y);
    for (int64_t i = 0; i < 5 * 17 * D; i++)
        assert_true(fabs(y[i] - (double)(i % D + 1)) < 1e-6);
    for (int64_t i = 0; i < H * W; i++)
        for (int d = 0; d < D; d++)
            x[i * D + d] = (float)(i % W);
    const int64_t doubled[2] = {H, 2 * W};
    float *line = test_floats(2 * H * W * D);
    thaw_kern_resize_bicubic(D, size, doubled, x, line);
    for (int64_t j = 4; j < 2 * W - 4; j++)
        assert_true(fabs(line[j * D] - ((double)j + 0.5) / 2 + 0.5) < 1e-5);
    thaw_free(&x);
    thaw_free(&y);
    thaw_free(&same);
    thaw_free(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transpose),
                                       cmocka_unit_test(test_resize)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
