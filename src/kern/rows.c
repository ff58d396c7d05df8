/* rows.c - functions on rows of features: layer norm, gelu, relu6, embedding; the loops are in isa_rows_*.c. */
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

#include "kern/clones_impl.h"
#include "kern/rows_impl.h"
#include "kern/threads_impl.h"

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
    KERN_SPLIT(N * D, N, at, count,
               kern_rows_choose()->layer_norm(count, D, x + at * D, weight, bias, epsilon,
                                              y + at * D, mean + at, inv_std + at));
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
    /* As many rows as stay in the second cache between the two sweeps; dx may be dy, so it comes last. Threads do not
     * share the sums, whose order is fixed: then all of them come first. */
    enum { TOGETHER = 32 };
    const kern_rows *rows = kern_rows_choose();
    int64_t together = thaw_threads_for(N * D) > 1 ? N : TOGETHER;
    memset(sums, 0, (size_t)(2 * D) * sizeof *sums);
    for (int64_t n = 0; n < N; n += together) {
        int64_t end = n + together < N ? n + together : N;
        for (int64_t i = n; (dweight || dbias) && i < end; i += TOGETHER)
            rows->layer_norm_sums(end - i < TOGETHER ? end - i : TOGETHER, D, x + i * D, mean + i,
                                  inv_std + i, dy + i * D, sums);
        if (dx)
            KERN_SPLIT((end - n) * D, end - n, at, count,
                       rows->layer_norm_backward(count, D, x + (n + at) * D, weight, mean + n + at,
                                                 inv_std + n + at, dy + (n + at) * D,
                                                 dx + (n + at) * D, accumulate));
    }
    add_sums(D, sums, dweight);
    add_sums(D, sums + D, dbias);
}

void thaw_kern_gelu(int64_t n, bool tanh_form, const float *x, float *y, float *slope)
{
    KERN_SPLIT(n, n, at, count,
               kern_rows_choose()->gelu[tanh_form](1, count, x + at, NULL, y + at,
                                                   slope ? slope + at : NULL));
}

void thaw_kern_bias_gelu(int64_t N, int64_t D, bool tanh_form, const float *x, const float *bias,
                         float *y, float *slope)
{
    KERN_SPLIT(N * D, N, at, count,
               kern_rows_choose()->gelu[tanh_form](count, D, x + at * D, bias, y + at * D,
                                                   slope ? slope + at * D : NULL));
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

KERN_CLONES static void multiply_part(int64_t n, const float *a, const float *b, float *y,
                                      bool accumulate)
{
    if (accumulate)
        for (int64_t i = 0; i < n; i++)
            y[i] += a[i] * b[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = a[i] * b[i];
}

void thaw_kern_multiply(int64_t n, const float *a, const float *b, float *y, bool accumulate)
{
    KERN_SPLIT(n, n, at, count, multiply_part(count, a + at, b + at, y + at, accumulate));
}

void thaw_kern_tanh(int64_t n, const float *x, float *y)
{
    KERN_EACH(n, n, i, y[i] = tanhf(x[i]));
}

KERN_CLONES static void tanh_backward_part(int64_t n, const float *y, const float *dy, float *dx,
                                           bool accumulate)
{
    for (int64_t i = 0; i < n; i++) {
        float value = dy[i] * (1.0f - y[i] * y[i]);
        dx[i] = accumulate ? dx[i] + value : value;
    }
}

void thaw_kern_tanh_backward(int64_t n, const float *y, const float *dy, float *dx, bool accumulate)
{
    KERN_SPLIT(n, n, at, count, tanh_backward_part(count, y + at, dy + at, dx + at, accumulate));
}

/* -1: not a row of the table. */
static int64_t row_of(float id, int64_t rows)
{
    return id >= 0.0f && id < (float)rows ? (int64_t)id : -1;
}

void thaw_kern_embedding(int64_t N, int64_t D, int64_t rows, const float *ids, const float *table,
                         float *y)
{
    KERN_EACH(N * D, N, n, {
        int64_t row = row_of(ids[n], rows);
        if (row >= 0)
            memcpy(y + n * D, table + row * D, (size_t)D * sizeof *y);
        else
            thaw_kern_fill(D, NAN, y + n * D);
    });
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
