#include "evidence/paired_impl.h"

thaw_words thaw_words_make(uint64_t seed, uint32_t resample)
{
    thaw_words words = {.stream = thaw_rng_make(seed, THAW_RNG_BOOTSTRAP, resample, 0), .used = 4};
    return words;
}

/* Ones in 64 bits (Warren, Hacker's Delight, 5-1): the compiler's own is a call where the CPU
 * kind is not named. */
static inline int64_t count_ones(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (int64_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

static inline uint64_t next_pair(thaw_words *words)
{
    uint64_t low = thaw_words_next(words);
    return low | (uint64_t)thaw_words_next(words) << 32;
}

/* Heads among n fair coins. What is left of 64 bits serves the next few, small, requests. */
static inline int64_t heads(thaw_words *words, int64_t n)
{
    int64_t total = 0;
    for (; n >= 64; n -= 64)
        total += count_ones(next_pair(words));
    if (n == 0)
        return total;
    if (words->spare_count < n) {
        words->spare = next_pair(words);
        words->spare_count = 64;
    }
    total += count_ones(words->spare << (64 - n));
    words->spare >>= n;
    words->spare_count -= n;
    return total;
}

int64_t thaw_words_binomial(thaw_words *words, int64_t n, int64_t numerator, int64_t denominator)
{
    if (numerator >= denominator)
        return n;
    /* Each of n trials compares a uniform number with p = numerator / denominator, bit by bit,
     * all trials at once: where the two bits differ the trial is settled, on average half of
     * those left. Expected cost 2 n bits. */
    int64_t successes = 0;
    int64_t rest = numerator;
    while (n > 0 && rest > 0) {
        int64_t settled = heads(words, n);
        rest *= 2;
        if (rest >= denominator) {
            rest -= denominator;
            successes += settled;
        }
        n -= settled;
    }
    return successes;
}
