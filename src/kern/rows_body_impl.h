/* rows_body_impl.h - included by isa_rows_*.c: the loops of rows_impl.h for one kind of CPU. What does not fill a vector goes
 * through a padded copy, so that an element gets the same bits wherever it lies. */
#include "kern/rows_impl.h"

#include <math.h>

#include "kern/lanes_impl.h"

typedef uint32_t bits __attribute__((vector_size(LANES * 4)));

INLINE lanes all(float value)
{
    return (lanes){0} + value;
}

INLINE lanes select(bits mask, lanes a, lanes b)
{
    return (lanes)((mask & (bits)a) | (~mask & (bits)b));
}

INLINE lanes load_some(const float *from, int64_t count)
{
    float padded[LANES] = {0};
    for (int64_t i = 0; i < count; i++)
        padded[i] = from[i];
    return load(padded);
}

INLINE void store_some(float *to, lanes value, int64_t count)
{
    float padded[LANES];
    store(padded, value);
    for (int64_t i = 0; i < count; i++)
        to[i] = padded[i];
}

/* Lane i of the result is lane i ^ d of the value. */
#if LANES == 16
#define PARTNER_8(v)                                                                               \
    __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define PARTNER_4(v)                                                                               \
    __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define PARTNER_2(v)                                                                               \
    __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define PARTNER_1(v)                                                                               \
    __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#elif LANES == 8
#define PARTNER_4(v) __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3)
#define PARTNER_2(v) __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5)
#define PARTNER_1(v) __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6)
#else
#define PARTNER_2(v) __builtin_shufflevector(v, v, 2, 3, 0, 1)
#define PARTNER_1(v) __builtin_shufflevector(v, v, 1, 0, 3, 2)
#endif

/* As a tree: serial additions would take longer than the row. */
INLINE double add_lanes(lanes value)
{
#if LANES >= 16
    value += PARTNER_8(value);
#endif
#if LANES >= 8
    value += PARTNER_4(value);
#endif
    value += PARTNER_2(value);
    value += PARTNER_1(value);
    return value[0];
}

INLINE lanes larger(lanes a, lanes b)
{
    return select((bits)(a > b), a, b);
}

INLINE float most_of(lanes value)
{
#if LANES >= 16
    value = larger(PARTNER_8(value), value);
#endif
#if LANES >= 8
    value = larger(PARTNER_4(value), value);
#endif
    value = larger(PARTNER_2(value), value);
    value = larger(PARTNER_1(value), value);
    return value[0];
}

/* e^x = 2^k e^r with |r| <= ln 2 / 2. The polynomial is a minimax fit of (e^r - 1 - r) / r^2, error 3e-9 of e^r; the rest of
 * the error is rounding. ln 2 is split so that k times its first part is exact (Cody & Waite 1980). */
INLINE lanes exp_below_88(lanes x)
{
    const lanes low = all(-87.33654f);
    const lanes whole = all(0x1.8p23f); /* adding it rounds to an integer, in the lowest bits */
    lanes y = select((bits)(x < low), low, x);
    lanes shifted = y * 1.44269504f + whole;
    lanes k = shifted - whole;
    lanes r = y - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    lanes p = all(0.00138145361f);
    p = p * r + 0.00836874552f;
    p = p * r + 0.0416683909f;
    p = p * r + 0.166665204f;
    p = p * r + 0.499999934f;
    p = p * (r * r) + r + 1.0f;
    /* y - y: 0, but NaN of NaN */
    return select((bits)(x >= low), (lanes)((bits)p + ((bits)shifted << 23)), y - y);
}

INLINE lanes exp_lanes(lanes x)
{
    const lanes high = all(88.0f);
    return exp_below_88(select((bits)(x > high), high, x));
}

static void exp_rows(int64_t n, const float *x, float *y)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y + i, exp_lanes(load(x + i)));
    if (i < n)
        store_some(y + i, exp_lanes(load_some(x + i, n - i)), n - i);
}

/* ---- gelu: y = x F(x), slope = F(x) + x F'(x); F is the normal distribution function, or near it ---- */

/* F(-|x|) = e^(-x^2 / 2) t P(t), t = 1 / (1 + 0.3 |x|): the shape is Hastings' (Abramowitz & Stegun 26.2.17), the eight
 * coefficients are a minimax fit of our own, relative error 1.3e-7 up to |x| = 13.5, where F is below what a float holds. */
INLINE lanes gelu_exact(lanes x, lanes *slope)
{
    lanes size = (lanes)((bits)x & 0x7fffffffu);
    lanes t = 1.0f / (1.0f + 0.3f * size);
    lanes bell = exp_below_88(x * x * -0.5f);
    lanes p = all(0.0359317929f);
    p = p * t - 0.15827622f;
    p = p * t + 0.208206951f;
    p = p * t - 0.0553941343f;
    p = p * t + 0.129469337f;
    p = p * t + 0.0996374558f;
    p = p * t + 0.120798364f;
    p = p * t + 0.119626389f;
    lanes tail = p * t * bell;
    lanes area = select((bits)(x < 0.0f), tail, 1.0f - tail);
    *slope = area + x * bell * 0.398942280f;
    return x * area;
}

/* 0.5 (1 + tanh u) = 1 / (1 + e^(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3).  Hendrycks & Gimpel 2016. */
INLINE lanes gelu_tanh(lanes x, lanes *slope)
{
    lanes square = x * x;
    lanes u = x * (square * 0.0356774081f + 0.797884561f);
    lanes rest = exp_lanes(u * -2.0f);
    lanes area = 1.0f / (1.0f + rest);
    lanes du = square * (3.0f * 0.0356774081f) + 0.797884561f;
    *slope = area + x * area * (rest * area) * 2.0f * du;
    return x * area;
}

INLINE void gelu_row(const int form, int64_t n, const float *x, const float *bias, float *y,
                     float *slope)
{
    lanes change;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes v = bias ? load(x + i) + load(bias + i) : load(x + i);
        store(y + i, form ? gelu_tanh(v, &change) : gelu_exact(v, &change));
        if (slope)
            store(slope + i, change);
    }
    if (i == n)
        return;
    lanes v = load_some(x + i, n - i);
    v = bias ? v + load_some(bias + i, n - i) : v;
    store_some(y + i, form ? gelu_tanh(v, &change) : gelu_exact(v, &change), n - i);
    if (slope)
        store_some(slope + i, change, n - i);
}

#define GELU(name, form)                                                                           \
    static void name(int64_t N, int64_t D, const float *x, const float *bias, float *y,            \
                     float *slope)                                                                 \
    {                                                                                              \
        for (int64_t n = 0; n < N; n++)                                                            \
            gelu_row(form, D, x + n * D, bias, y + n * D, slope ? slope + n * D : NULL);           \
    }
GELU(gelu_rows_exact, 0)
GELU(gelu_rows_tanh, 1)

/* ---- Sums over rows ---- */

/* GROUP rows are added up as floats, then their sum goes on in double: the error is that of a sum of 32 floats. A block of
 * columns is as wide as registers allow, so that each row is read in long pieces. */
#if LANES == 16
enum { GROUP = 32, BLOCK = 8 };
#else
enum { GROUP = 32, BLOCK = 4 };
#endif

INLINE void flush(const lanes *sum, double *sums)
{
    for (int v = 0; v < BLOCK; v++)
        for (int i = 0; i < LANES; i++)
            sums[v * LANES + i] += sum[v][i];
}

/* kind 0: x.  kind 1: dx = dy slope, with x as dy. */
INLINE void sums_of_group(const int kind, int64_t rows, int64_t D, const float *x,
                          const float *slope, float *dx, double *sums)
{
    int64_t d = 0;
    for (; d + BLOCK * LANES <= D; d += BLOCK * LANES) {
        lanes sum[BLOCK];
        UNROLL
        for (int v = 0; v < BLOCK; v++)
            sum[v] = (lanes){0};
        for (int64_t r = 0; r < rows; r++) {
            UNROLL
            for (int v = 0; v < BLOCK; v++) {
                int64_t at = r * D + d + v * LANES;
                lanes value = kind ? load(x + at) * load(slope + at) : load(x + at);
                if (kind)
                    store(dx + at, value);
                sum[v] += value;
            }
        }
        flush(sum, sums + d);
    }
    for (; d < D; d++)
        for (int64_t r = 0; r < rows; r++) {
            float value = kind ? x[r * D + d] * slope[r * D + d] : x[r * D + d];
            if (kind)
                dx[r * D + d] = value;
            sums[d] += value;
        }
}

static void slope_backward(int64_t N, int64_t D, const float *dy, const float *slope, float *dx,
                           double *sums)
{
    for (int64_t n = 0; n < N; n += GROUP)
        sums_of_group(1, N - n < GROUP ? N - n : GROUP, D, dy + n * D, slope + n * D, dx + n * D,
                      sums);
}

static void column_sums(int64_t N, int64_t D, const float *x, double *sums)
{
    for (int64_t n = 0; n < N; n += GROUP)
        sums_of_group(0, N - n < GROUP ? N - n : GROUP, D, x + n * D, NULL, NULL, sums);
}

#include "kern/rows_norm_impl.h"
#include "kern/rows_softmax_impl.h"

#define ROWS_TABLE(title)                                                                          \
    {                                                                                              \
        .name = title, .lanes = LANES, .exp = exp_rows, .gelu = {gelu_rows_exact, gelu_rows_tanh}, \
        .slope_backward = slope_backward, .column_sums = column_sums, .layer_norm = layer_norm,    \
        .layer_norm_backward = layer_norm_backward, .layer_norm_sums = layer_norm_sums,            \
        .softmax = softmax, .softmax_again = softmax_again, .softmax_backward = softmax_backward   \
    }
