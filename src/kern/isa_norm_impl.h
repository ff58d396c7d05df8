/* isa_norm_impl.h - included by isa_*.c: sweeps of batch norm and relu. Batch norm: one channel of all images: B rows of S floats, `stride`
 * apart. Sums run in four vectors of floats for at most CHUNK elements, then go on in double: the error is that of a sum
 * of some ten floats, at the speed of memory. */
#ifndef KERN_ISA_NORM_IMPL_H
#define KERN_ISA_NORM_IMPL_H

enum { WAYS = 4, CHUNK = 64 * WAYS * LANES };

INLINE double add_up(lanes sum[WAYS])
{
    lanes all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    double total = 0;
    for (int i = 0; i < LANES; i++)
        total += all[i];
    return total;
}

/* kind 0: sum x.  kind 1: sum (x - center)^2.  kind 2: sum dy (x - center). */
INLINE lanes term(const int kind, const float *x, const float *dy, lanes center)
{
    lanes difference = load(x) - center;
    return kind == 0 ? load(x) : kind == 1 ? difference * difference : load(dy) * difference;
}

/* Adds n terms to the vectors in `sum`; returns what does not fill a vector. */
INLINE double row_sum(const int kind, int64_t n, const float *x, const float *dy, float center,
                      lanes sum[WAYS])
{
    lanes middle = (lanes){0} + center;
    int64_t i = 0;
    for (; i + WAYS * LANES <= n; i += WAYS * LANES)
        UNROLL
    for (int v = 0; v < WAYS; v++)
        sum[v] += term(kind, x + i + v * LANES, dy + i + v * LANES, middle);
    for (; i + LANES <= n; i += LANES)
        sum[0] += term(kind, x + i, dy + i, middle);
    double rest = 0;
    for (; i < n; i++) {
        double difference = (double)x[i] - center;
        rest += kind == 0 ? x[i] : kind == 1 ? difference * difference : dy[i] * difference;
    }
    return rest;
}

/* Short rows share one flush to double, long rows have several. */
INLINE double channel_total(const int kind, int64_t B, int64_t stride, int64_t S, const float *x,
                            const float *dy, float center)
{
    double total = 0;
    int64_t together = S < CHUNK ? CHUNK / S : 1;
    for (int64_t b = 0; b < B; b += together) {
        int64_t end = b + together < B ? b + together : B;
        for (int64_t i = 0; i < S; i += CHUNK) {
            lanes sum[WAYS] = {{0}, {0}, {0}, {0}};
            for (int64_t row = b; row < end; row++)
                total += row_sum(kind, S - i < CHUNK ? S - i : CHUNK, x + row * stride + i,
                                 dy + row * stride + i, center, sum);
            total += add_up(sum);
        }
    }
    return total;
}

static double channel_sum(int64_t B, int64_t stride, int64_t S, const float *x)
{
    return channel_total(0, B, stride, S, x, x, 0);
}

static double channel_squares(int64_t B, int64_t stride, int64_t S, const float *x, float center)
{
    return channel_total(1, B, stride, S, x, x, center);
}

static void channel_gradient_sums(int64_t B, int64_t stride, int64_t S, const float *x,
                                  const float *dy, float center, double sums[2])
{
    sums[0] = sums[1] = 0;
    int64_t together = S < CHUNK ? CHUNK / S : 1;
    for (int64_t b = 0; b < B; b += together) {
        int64_t end = b + together < B ? b + together : B;
        for (int64_t i = 0; i < S; i += CHUNK) {
            lanes plain[WAYS] = {{0}, {0}, {0}, {0}};
            lanes product[WAYS] = {{0}, {0}, {0}, {0}};
            for (int64_t row = b; row < end; row++) {
                int64_t n = S - i < CHUNK ? S - i : CHUNK;
                const float *gradient = dy + row * stride + i;
                sums[0] += row_sum(0, n, gradient, gradient, 0, plain);
                sums[1] += row_sum(2, n, x + row * stride + i, gradient, center, product);
            }
            sums[0] += add_up(plain);
            sums[1] += add_up(product);
        }
    }
}

/* y = scale x + shift */
static void channel_affine(int64_t B, int64_t stride, int64_t S, const float *x, float scale,
                           float shift, float *y)
{
    for (int64_t b = 0; b < B; b++) {
        const float *from = x + b * stride;
        float *to = y + b * stride;
        int64_t i = 0;
        for (; i + LANES <= S; i += LANES)
            store(to + i, load(from + i) * scale + shift);
        for (; i < S; i++)
            to[i] = from[i] * scale + shift;
    }
}

/* dx = or += p dy + q x + r */
static void channel_combine(int64_t B, int64_t stride, int64_t S, const float *dy, const float *x,
                            const float coefficients[3], float *dx, bool accumulate)
{
    float p = coefficients[0];
    float q = coefficients[1];
    float r = coefficients[2];
    for (int64_t b = 0; b < B; b++) {
        int64_t i = b * stride;
        int64_t end = i + S;
        for (; i + LANES <= end; i += LANES) {
            lanes value = load(dy + i) * p + (load(x + i) * q + r);
            store(dx + i, accumulate ? load(dx + i) + value : value);
        }
        for (; i < end; i++) {
            float value = dy[i] * p + (x[i] * q + r);
            dx[i] = accumulate ? dx[i] + value : value;
        }
    }
}

static void relu_backward(int64_t n, const float *y, const float *dy, float *dx, bool accumulate)
{
    typedef int32_t mask __attribute__((vector_size(LANES * 4)));
    const lanes zero = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes value = (lanes)((mask)load(dy + i) & (mask)(load(y + i) > zero));
        store(dx + i, accumulate ? load(dx + i) + value : value);
    }
    for (; i < n; i++) {
        float value = y[i] > 0.0f ? dy[i] : 0.0f;
        dx[i] = accumulate ? dx[i] + value : value;
    }
}

#endif
