#include "comm/quantum_impl.h"

#include <math.h>
#include <string.h>

/* These loops run over whole gradients and should take no longer than reading and writing them. Wide vectors matter, above all
 * between double and int64, which has vector instructions from AVX-512 on only; all variants round alike.
 * By feature, not by CPU name: a name means that exact model, and newer ones would get the default. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) &&                             \
    !defined(__SANITIZE_ADDRESS__)
#define VARIANTS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VARIANTS
#endif
#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

/* Sums are unsigned: what overflows is thrown away, but must not be undefined. */

/* In float: scaling by powers of two is exact, and from 2^23 on there is nothing to round. What is out of range is kept within
 * int32, where conversion is defined; its bound does not fit, so the sum is thrown away. NaN ends up there too. */
INLINE uint32_t to_narrow(float x, float half, float other_half)
{
    float quanta = rintf(x * half * other_half);
    quanta = quanta < 0x1.fffffep30F ? quanta : 0x1.fffffep30F;
    quanta = quanta > -0x1p31F ? quanta : -0x1p31F;
    return (uint32_t)(int32_t)quanta;
}

/* One factor would leave float's range for the smallest and largest gradients. */
INLINE uint32_t narrow_add(uint32_t *restrict acc, const float *restrict x, int64_t n, int exponent,
                           bool first)
{
    const float half = ldexpf(1, -exponent / 2);
    const float other_half = ldexpf(1, -exponent - -exponent / 2);
    uint32_t peak = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(x[i]);
        peak = bits > peak ? bits : peak;
        acc[i] = (first ? 0 : acc[i]) + to_narrow(x[i], half, other_half);
    }
    return peak;
}

VARIANTS static uint32_t narrow_first(uint32_t *acc, const float *x, int64_t n, int exponent)
{
    return narrow_add(acc, x, n, exponent, true);
}

VARIANTS static uint32_t narrow_more(uint32_t *acc, const float *x, int64_t n, int exponent)
{
    return narrow_add(acc, x, n, exponent, false);
}

uint32_t thaw_narrow_add(uint32_t *acc, const float *x, int64_t n, int exponent, bool first)
{
    return first ? narrow_first(acc, x, n, exponent) : narrow_more(acc, x, n, exponent);
}

INLINE uint64_t to_wide(float x, double inverse)
{
    double quanta = rint((double)x * inverse);
    quanta = quanta < 0x1p62 ? quanta : 0x1p62;
    quanta = quanta > -0x1p62 ? quanta : -0x1p62;
    return (uint64_t)(int64_t)quanta;
}

INLINE uint32_t wide_add(uint64_t *restrict acc, const float *restrict x, int64_t n, double inverse,
                         bool first)
{
    uint32_t peak = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(x[i]);
        peak = bits > peak ? bits : peak;
        acc[i] = (first ? 0 : acc[i]) + to_wide(x[i], inverse);
    }
    return peak;
}

VARIANTS static uint32_t wide_first(uint64_t *acc, const float *x, int64_t n, double inverse)
{
    return wide_add(acc, x, n, inverse, true);
}

VARIANTS static uint32_t wide_more(uint64_t *acc, const float *x, int64_t n, double inverse)
{
    return wide_add(acc, x, n, inverse, false);
}

uint32_t thaw_wide_add(int64_t *acc, const float *x, int64_t n, int exponent, bool first)
{
    double inverse = ldexp(1, -exponent);
    return first ? wide_first((uint64_t *)acc, x, n, inverse)
                 : wide_more((uint64_t *)acc, x, n, inverse);
}

VARIANTS uint32_t thaw_float_add(float *acc, const float *x, int64_t n, bool first)
{
    uint32_t peak = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(x[i]);
        peak = bits > peak ? bits : peak;
        acc[i] = first ? x[i] : acc[i] + x[i];
    }
    return peak;
}

VARIANTS void thaw_narrow_join(uint32_t *restrict acc, const uint32_t *restrict other, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        acc[i] += other[i];
}

VARIANTS void thaw_wide_join(int64_t *restrict acc, const int64_t *restrict other, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        acc[i] = (int64_t)((uint64_t)acc[i] + (uint64_t)other[i]);
}

VARIANTS void thaw_float_join(float *restrict acc, const float *restrict other, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        acc[i] += other[i];
}

INLINE float from_bf16(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Adding to the bits carries into the exponent where rounding up reaches the next power of two; a NaN could carry into infinity. */
INLINE uint16_t to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const uint32_t quiet = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > THAW_INFINITY_BITS ? quiet : rounded);
}

VARIANTS void thaw_bf16_round(const float *restrict x, int64_t n, uint16_t *restrict out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = to_bf16(x[i]);
}

VARIANTS void thaw_bf16_join(uint16_t *restrict acc, const uint16_t *restrict other, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        acc[i] = to_bf16(from_bf16(acc[i]) + from_bf16(other[i]));
}

VARIANTS void thaw_bf16_add(float *restrict acc, const uint16_t *restrict other, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        acc[i] += from_bf16(other[i]);
}

VARIANTS void thaw_bf16_get(const uint16_t *restrict sum, int64_t n, double scale,
                            float *restrict out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)from_bf16(sum[i]) * scale);
}

VARIANTS bool thaw_bf16_finite(const uint16_t *sum, int64_t n)
{
    uint16_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        const uint16_t magnitude = sum[i] & 0x7fff;
        most = magnitude > most ? magnitude : most;
    }
    return most < THAW_INFINITY_BITS >> 16;
}

VARIANTS void thaw_narrow_get(const uint32_t *sum, int64_t n, int exponent, double scale,
                              float *out)
{
    double unit = ldexp(scale, exponent);
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)(int32_t)sum[i] * unit);
}

VARIANTS void thaw_wide_get(const int64_t *sum, int64_t n, int exponent, double scale, float *out)
{
    double unit = ldexp(scale, exponent);
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)sum[i] * unit);
}

VARIANTS void thaw_float_get(const float *sum, int64_t n, double scale, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)sum[i] * scale);
}

VARIANTS uint64_t thaw_narrow_bits(const uint32_t *sum, int64_t n)
{
    uint32_t bits = 0;
    for (int64_t i = 0; i < n; i++)
        bits |= sum[i] ^ (uint32_t)((int32_t)sum[i] >> 31);
    return bits;
}

VARIANTS uint64_t thaw_wide_bits(const int64_t *sum, int64_t n)
{
    uint64_t bits = 0;
    for (int64_t i = 0; i < n; i++)
        bits |= (uint64_t)(sum[i] ^ (sum[i] >> 63));
    return bits;
}
