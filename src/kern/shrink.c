#include "thaw/kern.h"

/* Batch spectral shrinkage. The smaller of the two matrices of products is the one whose eigenvectors are taken. */

static int64_t smaller(int64_t B, int64_t D)
{
    return B < D ? B : D;
}

/* Products (n, n), eigenvectors (n, n), eigenvalues (n), and a combination of rows or of columns. */
int64_t thaw_kern_shrink_work(int64_t B, int64_t D)
{
    const int64_t n = smaller(B, D);
    return 2 * n * n + n + (B > D ? B : D);
}

static double product(int64_t count, const float *a, const float *b, int64_t stride)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)a[i * stride] * (double)b[i * stride];
    return sum;
}

/* x x' (B, B), or x' x (D, D) where that is smaller. */
static void products(int64_t B, int64_t D, const float *x, double *out)
{
    const int64_t n = smaller(B, D);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            const double p =
                B <= D ? product(D, x + i * D, x + j * D, 1) : product(B, x + i, x + j, D);
            out[i * n + j] = out[j * n + i] = p;
        }
    }
}

/* dx += factor u (u' x), u column i of vectors (B, B). */
static void add_rows(int64_t B, int64_t D, const float *x, const double *u, double factor,
                     double *row, float *dx)
{
    for (int64_t d = 0; d < D; d++)
        row[d] = 0;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t d = 0; d < D; d++)
            row[d] += u[b * B] * (double)x[b * D + d];
    }
    for (int64_t b = 0; b < B; b++) {
        for (int64_t d = 0; d < D; d++)
            dx[b * D + d] += (float)(factor * u[b * B] * row[d]);
    }
}

/* dx += factor (x v) v', v column i of vectors (D, D). */
static void add_columns(int64_t B, int64_t D, const float *x, const double *v, double factor,
                        float *dx)
{
    for (int64_t b = 0; b < B; b++) {
        double along = 0;
        for (int64_t d = 0; d < D; d++)
            along += (double)x[b * D + d] * v[d * D];
        for (int64_t d = 0; d < D; d++)
            dx[b * D + d] += (float)(factor * along * v[d * D]);
    }
}

void thaw_kern_shrink(int64_t B, int64_t D, const float *x, int64_t values, double factor,
                      double *work, float *dx)
{
    const int64_t n = smaller(B, D);
    double *vectors = work + n * n;
    double *squares = vectors + n * n;
    double *row = squares + n;
    if (n <= values)
        return;
    products(B, D, x, work);
    thaw_symmetric_eigen(work, n, squares, vectors);
    for (int64_t i = 0; i < values; i++) {
        if (B <= D)
            add_rows(B, D, x, vectors + i, 2 * factor, row, dx);
        else
            add_columns(B, D, x, vectors + i, 2 * factor, dx);
    }
}
