#include "comm/quantum_impl.h"

#include <math.h>
#include <string.h>

/* A sum's largest element comes to lie in [2^41, 2^42) quanta. Above it: 20 bits up to 2^62, of which the shard count takes its
 * logarithm. Below it: 41 bits, so that elements down to 2^-18 of the largest keep the 24 bits that a float has. */
#define TARGET_BITS 42
#define LIMIT_BITS  62
/* Before anything was seen: with 32 shards a shard's elements may reach 2^9, and a first sum is good from 2^-15 on. Gradients
 * of summed losses start within that in all common networks; what does not is done again. */
#define START_EXPONENT (-48)
#define START_BITS     33
/* A sum whose largest element has fewer bits than a float is not good enough. Far enough below TARGET_BITS that terms which
 * cancel by chance hardly ever get there. */
#define LEAST_BITS 24
/* How far a quantum may shrink in one step, in bits. */
#define MOST_FALL 8

/* Converting between double and int64 has vector instructions from AVX-512 on only; all variants round alike.
 * By feature, not by CPU name: a name means that exact model, and newer ones would get the default. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) &&                             \
    !defined(__SANITIZE_ADDRESS__)
#define VARIANTS __attribute__((target_clones("arch=x86-64-v4", "default")))
#else
#define VARIANTS
#endif

static uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Unsigned addition: what overflows was flagged by its magnitude and will be thrown away, but must not be undefined. */
VARIANTS static uint32_t add_more(uint64_t *restrict acc, const float *restrict x, int64_t n,
                                  double inverse)
{
    uint32_t peak = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(x[i]);
        peak = bits > peak ? bits : peak;
        acc[i] += (uint64_t)llrint((double)x[i] * inverse);
    }
    return peak;
}

VARIANTS static uint32_t add_first(uint64_t *restrict acc, const float *restrict x, int64_t n,
                                   double inverse)
{
    uint32_t peak = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(x[i]);
        peak = bits > peak ? bits : peak;
        acc[i] = (uint64_t)llrint((double)x[i] * inverse);
    }
    return peak;
}

uint32_t thaw_quantum_add(int64_t *acc, const float *x, int64_t n, int exponent, bool first)
{
    double inverse = ldexp(1, -exponent);
    return first ? add_first((uint64_t *)acc, x, n, inverse)
                 : add_more((uint64_t *)acc, x, n, inverse);
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

VARIANTS uint64_t thaw_quantum_get(const int64_t *sum, int64_t n, int exponent, double scale,
                                   float *out)
{
    double unit = ldexp(scale, exponent);
    uint64_t bits = 0;
    for (int64_t i = 0; i < n; i++) {
        bits |= (uint64_t)(sum[i] ^ (sum[i] >> 63));
        out[i] = (float)((double)sum[i] * unit);
    }
    return bits;
}

VARIANTS void thaw_float_get(const float *sum, int64_t n, double scale, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)sum[i] * scale);
}

VARIANTS uint64_t thaw_quantum_bits(const int64_t *sum, int64_t n)
{
    uint64_t bits = 0;
    for (int64_t i = 0; i < n; i++)
        bits |= (uint64_t)(sum[i] ^ (sum[i] >> 63));
    return bits;
}

int thaw_quantum_start(int32_t exponent)
{
    return exponent == THAW_QUANTUM_UNKNOWN ? START_EXPONENT : exponent;
}

bool thaw_quantum_fits(uint32_t peak, int exponent, int64_t shards)
{
    int room = LIMIT_BITS;
    for (int64_t s = 1; s < shards; s *= 2)
        room--;
    return (double)from_bits(peak) <= ldexp(1, exponent + room);
}

/* Position of the highest bit plus one; 0 for 0. */
static int width(uint64_t bits)
{
    int w = 0;
    for (; bits != 0; bits >>= 1)
        w++;
    return w;
}

int32_t thaw_quantum_next(int32_t exponent, uint64_t bits)
{
    /* All zero says nothing about size. */
    if (bits == 0)
        return exponent;
    int change = width(bits) - TARGET_BITS;
    return thaw_quantum_start(exponent) + (change < -MOST_FALL ? -MOST_FALL : change);
}

int32_t thaw_quantum_from_peak(uint32_t peak)
{
    int above = 0;
    (void)frexp((double)from_bits(peak), &above);
    return above - TARGET_BITS;
}

bool thaw_quantum_coarse(const int64_t *sum, int64_t n, int32_t exponent)
{
    int least = exponent == THAW_QUANTUM_UNKNOWN ? START_BITS : LEAST_BITS;
    /* One element that is large enough settles it, and the first block nearly always has one. */
    const int64_t block = 1024;
    for (int64_t at = 0; at < n; at += block) {
        if (width(thaw_quantum_bits(sum + at, n - at < block ? n - at : block)) >= least)
            return false;
    }
    return true;
}
