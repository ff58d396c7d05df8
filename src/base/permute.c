#include "thaw/base.h"

#include <math.h>

/* Even on the smallest domains, where few rounds would favour some orders. */
#define ROUNDS 8

/* A generalised Feistel network on a x b >= n points, walked along its cycle until it lands below n
 * (Black & Rogaway 2002, methods 2 and 3). With a, b near the square root less than one extra step is expected. */
static uint64_t feistel(const thaw_rng *key, uint64_t a, uint64_t b, uint64_t x)
{
    uint64_t left = x % a;
    uint64_t right = x / a;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        thaw_rng at = *key;
        uint64_t *changed = round % 2 == 0 ? &left : &right;
        uint64_t other = round % 2 == 0 ? right : left;
        uint64_t modulus = round % 2 == 0 ? a : b;
        uint32_t word[4];
        at.counter[2] = (uint32_t)other;
        at.counter[3] = (uint32_t)(other >> 32);
        thaw_rng_block(&at, round, word);
        uint64_t mask = word[0] | (uint64_t)word[1] << 32;
        *changed = (*changed + mask % modulus) % modulus;
    }
    return left + a * right;
}

int64_t thaw_permute(uint64_t seed, uint32_t epoch, int64_t n, int64_t i)
{
    THAW_ASSERT(n > 0 && i >= 0 && i < n);
    uint64_t count = (uint64_t)n;
    uint64_t a = (uint64_t)sqrt((double)count);
    a += a * a < count;
    uint64_t b = (count + a - 1) / a;
    thaw_rng key = thaw_rng_make(seed, THAW_RNG_ORDER, epoch, 0);
    uint64_t x = (uint64_t)i;
    do
        x = feistel(&key, a, b, x);
    while (x >= count);
    return (int64_t)x;
}
