/* rows.c - functions on rows of features: layer norm, gelu, relu6, embedding; the loops are in isa_rows_*.c. */
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

#include "kern/clones_impl.h"
#include "kern/rows_impl.h"

const kern_rows *kern_rows_choose(void)
{
#if defined(__x86_64__)
    const kern_isa *isa = kern_isa_choose();
    if (isa == &kern_isa_avx512)
        return &kern_rows_avx512;
    if (isa == &kern_isa_avx2)
        return &kern_rows_avx2;
#endif
    return &kern_rows_portable;
}

void thaw_kern_layer_norm(int64_t N, int64_t D, const float *x, const float *weight,
                          const float *bias, float epsilon, float *y, float *mean, float *inv_std)
{
    kern_rows_choose()->layer_norm(N, D, x, weight, bias, epsilon, y, mean, inv_std);
}

static void add_sums(int64_t D, const double *sums, float *out)
{
    for (int64_t d = 0; out && d < D; d++)
        out[d] = (float)(out[d] + sums[d]);
}

void thaw_kern_layer_norm_backward(int64_t N, int64_t D, const float *x, const float *weight,
                                   const float *mean, const float *inv_std, const float *dy,
                                   float *dx, bool accumulate, float *dweight, float *dbias,
                                   double *sums)
{
    /* As many rows as stay in the second cache between the two sweeps; dx may be dy, so it comes last. */
    enum { TOGETHER = 32 };
    const kern_rows *rows = kern_rows_choose();
    memset(sums, 0, (size_t)(2 * D) * sizeof *sums);
    for (int64_t n = 0; n < N; n += TOGETHER) {
        int64_t count = N - n < TOGETHER ? N - n : TOGETHER;
        if (dweight || dbias)
            rows->layer_norm_sums(count, D, x + n * D, mean + n, inv_std + n, dy + n * D, sums);
        if (dx)
            rows->layer_norm_backward(count, D, x + n * D, weight, mean + n, inv_std + n,
                                      dy + n * D, dx + n * D, accumulate);
    }
    add_sums(D, sums, dweight);
    add_sums(D, sums + D, dbias);
}

void thaw_kern_gelu(int64_t n, bool tanh_form, const float *x, float *y, float *slope)
{
    kern_rows_choose()->gelu[tanh_form](1, n, x, NULL, y, slope);
}

void thaw_kern_bias_gelu(int64_t N, int64_t D, bool tanh_form, const float *x, const float *bias,
                         float *y, float *slope)
{
    kern_rows_choose()->gelu[tanh_form](N, D, x, bias, y, slope);
}

void thaw_kern_bias_gelu_backward(int64_t N, int64_t D, const float *dy, const float *slope,
                                  float *dx, float *dbias)
{
    enum { COLUMNS = 2048 };
    double sums[COLUMNS];
    const kern_rows *rows = kern_rows_choose();
    if (!dbias || D > COLUMNS) {
        thaw_kern_multiply(N * D, dy, slope, dx, false);
        if (dbias)
            thaw_kern_sum_rows(N, D, dx, dbias);
        return;
    }
    memset(sums, 0, (size_t)D * sizeof *sums);
    rows->slope_backward(N, D, dy, slope, dx, sums);
    add_sums(D, sums, dbias);
}

KERN_CLONES void thaw_kern_multiply(int64_t n, const float *a, const float *b, float *y,
                                    bool accumulate)
{
    if (accumulate)
        for (int64_t i = 0; i < n; i++)
            y[i] += a[i] * b[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = a[i] * b[i];
}

void thaw_kern_tanh(int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = tanhf(x[i]);
}

KERN_CLONES void thaw_kern_tanh_backward(int64_t n, const float *y, const float *dy, float *dx,
                                         bool accumulate)
{
    for (int64_t i = 0; i < n; i++) {
        float value = dy[i] * (1.0f - y[i] * y[i]);
        dx[i] = accumulate ? dx[i] + value : value;
    }
}

/* -1: not a row of the table. */
static int64_t row_of(float id, int64_t rows)
{
    return id >= 0.0f && id < (float)rows ? (int64_t)id : -1;
}

void thaw_kern_embedding(int64_t N, int64_t D, int64_t rows, const float *ids, const float *table,
                         float *y)
{
    for (int64_t n = 0; n < N; n++) {
        int64_t row = row_of(ids[n], rows);
        if (row >= 0)
            memcpy(y + n * D, table + row * D, (size_t)D * sizeof *y);
        else
            thaw_kern_fill(D, NAN, y + n * D);
    }
}

void thaw_kern_embedding_backward(int64_t N, int64_t D, int64_t rows, int64_t skip,
                                  const float *ids, const float *dy, float *dtable)
{
    for (int64_t n = 0; n < N; n++) {
        int64_t row = row_of(ids[n], rows);
        if (row >= 0 && row != skip)
            thaw_kern_axpy(D, 1.0f, dy + n * D, dtable + row * D);
    }
}
