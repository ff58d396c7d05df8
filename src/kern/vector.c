/* vector.c - sums and element-wise functions on arrays. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/clones_impl.h"
#include "kern/pieces_impl.h"
#include "kern/rows_impl.h"
#include "kern/threads_impl.h"

KERN_CLONES static double sum_piece(int64_t n, const float *x)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += x[i + j];
    for (; i < n; i++)
        lane[i % LANES] += x[i];
    return kern_sum_lanes(lane);
}

KERN_CLONES static double dot_piece(int64_t n, const float *x, const float *y)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j] * y[i + j];
    for (; i < n; i++)
        lane[i % LANES] += (double)x[i] * y[i];
    return kern_sum_lanes(lane);
}

KERN_CLONES static double distance_squared_piece(int64_t n, const float *x, const float *y)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            double difference = (double)x[i + j] - y[i + j];
            lane[j] += difference * difference;
        }
    for (; i < n; i++) {
        double difference = (double)x[i] - y[i];
        lane[i % LANES] += difference * difference;
    }
    return kern_sum_lanes(lane);
}

double thaw_kern_sum(int64_t n, const float *x)
{
    EACH_PIECE(n, at, count, sum_piece(count, x + at));
    return kern_sum_pieces(n, piece, part);
}

double thaw_kern_dot(int64_t n, const float *x, const float *y)
{
    EACH_PIECE(n, at, count, dot_piece(count, x + at, y + at));
    return kern_sum_pieces(n, piece, part);
}

double thaw_kern_sum_squares(int64_t n, const float *x)
{
    return thaw_kern_dot(n, x, x);
}

double thaw_kern_distance_squared(int64_t n, const float *x, const float *y)
{
    EACH_PIECE(n, at, count, distance_squared_piece(count, x + at, y + at));
    return kern_sum_pieces(n, piece, part);
}

KERN_CLONES static bool finite_piece(int64_t n, const float *x)
{
    /* 0 * x is NaN for infinity and NaN, else 0: a loop without branches. */
    float bad[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            bad[j] += 0.0f * x[i + j];
    for (; i < n; i++)
        bad[i % LANES] += 0.0f * x[i];
    for (int j = 0; j < LANES; j++)
        if (isnan(bad[j]))
            return false;
    return true;
}

bool thaw_kern_all_finite(int64_t n, const float *x)
{
    EACH_PIECE(n, at, count, finite_piece(count, x + at) ? 0.0 : 1.0);
    return kern_sum_pieces(n, piece, part) == 0.0;
}

KERN_CLONES static void fill_part(int64_t n, float value, float *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
}

void thaw_kern_fill(int64_t n, float value, float *x)
{
    KERN_SPLIT(n, n, at, count, fill_part(count, value, x + at));
}

KERN_CLONES static void scale_part(int64_t n, float alpha, float *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= alpha;
}

void thaw_kern_scale(int64_t n, float alpha, float *x)
{
    KERN_SPLIT(n, n, at, count, scale_part(count, alpha, x + at));
}

KERN_CLONES static void axpy_part(int64_t n, float alpha, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

void thaw_kern_axpy(int64_t n, float alpha, const float *x, float *y)
{
    KERN_SPLIT(n, n, at, count, axpy_part(count, alpha, x + at, y + at));
}

KERN_CLONES static void lerp_part(int64_t n, float share, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += share * (x[i] - y[i]);
}

void thaw_kern_lerp(int64_t n, float share, const float *x, float *y)
{
    KERN_SPLIT(n, n, at, count, lerp_part(count, share, x + at, y + at));
}

static void swap_part(int64_t n, float *x, float *y)
{
    for (int64_t i = 0; i < n; i++) {
        const float was = x[i];
        x[i] = y[i];
        y[i] = was;
    }
}

void thaw_kern_swap(int64_t n, float *x, float *y)
{
    KERN_SPLIT(n, n, at, count, swap_part(count, x + at, y + at));
}

KERN_CLONES static void add_part(int64_t n, const float *a, float alpha, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + alpha * b[i];
}

void thaw_kern_add(int64_t n, const float *a, float alpha, const float *b, float *y)
{
    KERN_SPLIT(n, n, at, count, add_part(count, a + at, alpha, b + at, y + at));
}

KERN_CLONES static void add_row_part(int64_t N, int64_t D, const float *bias, float *y)
{
    for (int64_t row = 0; row < N; row++)
        for (int64_t d = 0; d < D; d++)
            y[row * D + d] += bias[d];
}

void thaw_kern_add_row(int64_t N, int64_t D, const float *bias, float *y)
{
    KERN_SPLIT(N * D, N, at, count, add_row_part(count, D, bias, y + at * D));
}

enum { COLUMNS = 2048, NARROW = 64 };

/* Up to NARROW column sums at once, in double. */
KERN_CLONES static void sum_columns(int64_t N, int64_t D, int64_t count, const float *x, float *out)
{
    double sum[NARROW] = {0};
    for (int64_t row = 0; row < N; row++)
        for (int64_t d = 0; d < count; d++)
            sum[d] += x[row * D + d];
    for (int64_t d = 0; d < count; d++)
        out[d] = (float)(out[d] + sum[d]);
}

void thaw_kern_sum_rows(int64_t N, int64_t D, const float *x, float *out)
{
    if (D <= COLUMNS) {
        double sums[COLUMNS] = {0};
        kern_rows_choose()->column_sums(N, D, x, sums);
        for (int64_t d = 0; d < D; d++)
            out[d] = (float)(out[d] + sums[d]);
        return;
    }
    for (int64_t d = 0; d < D; d += NARROW)
        sum_columns(N, D, D - d < NARROW ? D - d : NARROW, x + d, out + d);
}

KERN_CLONES static void normalize_plane(int64_t S, const uint8_t *x, float mean, float std,
                                        float *y)
{
    for (int64_t i = 0; i < S; i++)
        y[i] = ((float)x[i] / 255.0f - mean) / std;
}

void thaw_kern_normalize_u8(int64_t C, int64_t S, const uint8_t *x, const float *mean,
                            const float *std, float *y)
{
    KERN_EACH(C * S, C, c, normalize_plane(S, x + c * S, mean[c], std[c], y + c * S));
}
