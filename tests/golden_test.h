/* golden_test.h - numbers that tools/gen-golden and tools/gen-golden-losses compute too. */
#ifndef TESTS_GOLDEN_TEST_H
#define TESTS_GOLDEN_TEST_H

#include <stdint.h>

/* Element i of the stream `name`, in [0, 1). */
static inline double golden_uniform(const char *name, uint32_t i)
{
    uint32_t h = 2166136261u;
    for (const char *c = name; *c; c++)
        h = (h ^ (uint32_t)(unsigned char)*c) * 16777619u;
    h += i * 0x9E3779B9u;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return (double)(h >> 8) / 16777216.0;
}

#endif
