/* rows_norm_impl.h - included by rows_body_impl.h: layer norm. A row is short enough for the first cache, so that it is
 * swept three times; its sums run in four vectors (some D / 64 floats each) and are put together in double. */
#ifndef KERN_ROWS_NORM_IMPL_H
#define KERN_ROWS_NORM_IMPL_H

enum { WAYS = 4 };

INLINE double total(const lanes sum[WAYS])
{
    return add_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* kind 0: sum of x.  kind 1: sum of (x - center)^2. */
INLINE double row_total(const int kind, int64_t D, const float *x, float center)
{
    lanes sum[WAYS] = {{0}, {0}, {0}, {0}};
    int64_t i = 0;
    for (; i + WAYS * LANES <= D; i += WAYS * LANES)
        UNROLL
    for (int v = 0; v < WAYS; v++) {
        lanes value = load(x + i + v * LANES) - center;
        sum[v] += kind ? value * value : load(x + i + v * LANES);
    }
    double rest = 0;
    for (; i < D; i++) {
        double value = (double)x[i] - center;
        rest += kind ? value * value : (double)x[i];
    }
    return total(sum) + rest;
}

INLINE void normalize_row(int64_t D, const float *x, const float *weight, const float *bias,
                          float mean, float inv_std, float *y)
{
    int64_t i = 0;
    for (; i + LANES <= D; i += LANES)
        store(y + i, (load(x + i) - mean) * inv_std * load(weight + i) + load(bias + i));
    for (; i < D; i++)
        y[i] = (x[i] - mean) * inv_std * weight[i] + bias[i];
}

static void layer_norm(int64_t N, int64_t D, const float *x, const float *weight, const float *bias,
                       float epsilon, float *y, float *mean, float *inv_std)
{
    for (int64_t n = 0; n < N; n++) {
        const float *row = x + n * D;
        mean[n] = (float)(row_total(0, D, row, 0.0f) / (double)D);
        double var = row_total(1, D, row, mean[n]) / (double)D;
        inv_std[n] = (float)(1.0 / sqrt(var + epsilon));
        normalize_row(D, row, weight, bias, mean[n], inv_std[n], y + n * D);
    }
}

/* sums[0] = sum of g, sums[1] = sum of g z; g = dy weight, z = (x - mean) inv_std */
INLINE void gradient_totals(int64_t D, const float *x, const float *weight, const float *dy,
                            float mean, float inv_std, double sums[2])
{
    lanes plain[WAYS] = {{0}, {0}, {0}, {0}};
    lanes product[WAYS] = {{0}, {0}, {0}, {0}};
    int64_t i = 0;
    for (; i + WAYS * LANES <= D; i += WAYS * LANES)
        UNROLL
    for (int v = 0; v < WAYS; v++) {
        int64_t at = i + v * LANES;
        lanes g = load(dy + at) * load(weight + at);
        plain[v] += g;
        product[v] += g * ((load(x + at) - mean) * inv_std);
    }
    sums[0] = total(plain);
    sums[1] = total(product);
    for (; i < D; i++) {
        float g = dy[i] * weight[i];
        sums[0] += g;
        sums[1] += g * ((x[i] - mean) * inv_std);
    }
}

/* dx = inv_std (g - mean of g - z mean of g z) */
static void layer_norm_backward(int64_t N, int64_t D, const float *x, const float *weight,
                                const float *mean, const float *inv_std, const float *dy, float *dx,
                                bool accumulate)
{
    for (int64_t n = 0; n < N; n++) {
        const float *row = x + n * D;
        const float *gradient = dy + n * D;
        float *out = dx + n * D;
        double sums[2];
        gradient_totals(D, row, weight, gradient, mean[n], inv_std[n], sums);
        float shift = (float)(sums[0] / (double)D);
        float slope = (float)(sums[1] / (double)D);
        int64_t i = 0;
        for (; i + LANES <= D; i += LANES) {
            lanes z = (load(row + i) - mean[n]) * inv_std[n];
            lanes value = (load(gradient + i) * load(weight + i) - shift - z * slope) * inv_std[n];
            store(out + i, accumulate ? load(out + i) + value : value);
        }
        for (; i < D; i++) {
            float z = (row[i] - mean[n]) * inv_std[n];
            float value = (gradient[i] * weight[i] - shift - z * slope) * inv_std[n];
            out[i] = accumulate ? out[i] + value : value;
        }
    }
}

INLINE void norm_sums_of_group(int64_t rows, int64_t D, const float *x, const float *mean,
                               const float *inv_std, const float *dy, double *sums)
{
    int64_t d = 0;
    for (; d + WAYS * LANES <= D; d += WAYS * LANES) {
        lanes product[WAYS] = {{0}, {0}, {0}, {0}};
        lanes plain[WAYS] = {{0}, {0}, {0}, {0}};
        for (int64_t r = 0; r < rows; r++)
            UNROLL
        for (int v = 0; v < WAYS; v++) {
            int64_t at = r * D + d + v * LANES;
            plain[v] += load(dy + at);
            product[v] += load(dy + at) * ((load(x + at) - mean[r]) * inv_std[r]);
        }
        for (int v = 0; v < WAYS; v++)
            for (int i = 0; i < LANES; i++) {
                sums[d + v * LANES + i] += product[v][i];
                sums[D + d + v * LANES + i] += plain[v][i];
            }
    }
    for (; d < D; d++)
        for (int64_t r = 0; r < rows; r++) {
            sums[d] += dy[r * D + d] * ((x[r * D + d] - mean[r]) * inv_std[r]);
            sums[D + d] += dy[r * D + d];
        }
}

static void layer_norm_sums(int64_t N, int64_t D, const float *x, const float *mean,
                            const float *inv_std, const float *dy, double *sums)
{
    for (int64_t n = 0; n < N; n += GROUP)
        norm_sums_of_group(N - n < GROUP ? N - n : GROUP, D, x + n * D, mean + n, inv_std + n,
                           dy + n * D, sums);
}

#endif
