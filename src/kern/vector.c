/* vector.c - sums and element-wise functions on arrays. Sums run in LANES fixed partial sums, so that they vectorise and
 * still have one order. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/clones_impl.h"
#include "kern/rows_impl.h"

enum { LANES = 16 };

static double sum_lanes(const double *lane)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += lane[i];
    return sum;
}

KERN_CLONES double thaw_kern_sum(int64_t n, const float *x)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += x[i + j];
    for (; i < n; i++)
        lane[i % LANES] += x[i];
    return sum_lanes(lane);
}

KERN_CLONES double thaw_kern_dot(int64_t n, const float *x, const float *y)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j] * y[i + j];
    for (; i < n; i++)
        lane[i % LANES] += (double)x[i] * y[i];
    return sum_lanes(lane);
}

double thaw_kern_sum_squares(int64_t n, const float *x)
{
    return thaw_kern_dot(n, x, x);
}

KERN_CLONES double thaw_kern_distance_squared(int64_t n, const float *x, const float *y)
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
    return sum_lanes(lane);
}

KERN_CLONES bool thaw_kern_all_finite(int64_t n, const float *x)
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

KERN_CLONES void thaw_kern_fill(int64_t n, float value, float *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
}

KERN_CLONES void thaw_kern_scale(int64_t n, float alpha, float *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= alpha;
}

KERN_CLONES void thaw_kern_axpy(int64_t n, float alpha, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

KERN_CLONES void thaw_kern_add(int64_t n, const float *a, float alpha, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + alpha * b[i];
}

KERN_CLONES void thaw_kern_add_row(int64_t N, int64_t D, const float *bias, float *y)
{
    for (int64_t row = 0; row < N; row++)
        for (int64_t d = 0; d < D; d++)
            y[row * D + d] += bias[d];
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
    for (int64_t c = 0; c < C; c++)
        normalize_plane(S, x + c * S, mean[c], std[c], y + c * S);
}
