#include "thaw/base.h"

#include <math.h>
#include <string.h>

#include <Random123/philox.h>

static uint64_t splitmix64(uint64_t x)
{
    /* Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t thaw_mix(uint64_t a, uint64_t b)
{
    return splitmix64(splitmix64(a) + b);
}

thaw_rng thaw_rng_make(uint64_t seed, thaw_purpose purpose, uint32_t major, uint64_t minor)
{
    uint64_t key = thaw_mix(seed, (uint64_t)purpose);
    thaw_rng rng = {
        .key = {(uint32_t)key, (uint32_t)(key >> 32)},
        .counter = {0, major, (uint32_t)minor, (uint32_t)(minor >> 32)},
        .used = 4,
    };
    return rng;
}

void thaw_rng_block(const thaw_rng *rng, uint32_t block, uint32_t out[4])
{
    philox4x32_ctr_t counter = {{block, rng->counter[1], rng->counter[2], rng->counter[3]}};
    philox4x32_key_t key = {{rng->key[0], rng->key[1]}};
    philox4x32_ctr_t value = philox4x32(counter, key);
    memcpy(out, value.v, sizeof value.v);
}

uint32_t thaw_rng_u32(thaw_rng *rng)
{
    if (rng->used == 4) {
        thaw_rng_block(rng, rng->counter[0]++, rng->buffer);
        rng->used = 0;
    }
    return rng->buffer[rng->used++];
}

uint64_t thaw_rng_u64(thaw_rng *rng)
{
    uint64_t low = thaw_rng_u32(rng);
    return low | (uint64_t)thaw_rng_u32(rng) << 32;
}

double thaw_rng_uniform(thaw_rng *rng)
{
    return (double)(thaw_rng_u64(rng) >> 11) * 0x1p-53;
}

double thaw_rng_normal(thaw_rng *rng)
{
    const double two_pi = 6.283185307179586476925286766559;
    double radius = sqrt(-2.0 * log(1.0 - thaw_rng_uniform(rng))); /* 1 - u is never 0 */
    return radius * cos(two_pi * thaw_rng_uniform(rng));
}

uint64_t thaw_rng_below(thaw_rng *rng, uint64_t n)
{
    THAW_ASSERT(n > 0);
    /* 2^64 mod n values are thrown away, so that n divides the rest. */
    uint64_t unfair = (UINT64_MAX - n + 1) % n;
    uint64_t value;
    do
        value = thaw_rng_u64(rng);
    while (value < unfair);
    return value % n;
}
