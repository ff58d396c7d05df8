#include "comm/quantum_impl.h"

#include <math.h>
#include <string.h>

/* 31 bits and a sign, 4 of them above the last bound: replayed on recorded training to zero loss, that makes no step of 840 overflow
 * with 24 shards, and 3 with 2 shards (docs/adr/0015). A quantum comes down bit by bit, so that a calm step does not make the next one
 * overflow. */
const thaw_quantum_rule thaw_quantum_narrow = {.limit_bits = 31,
                                               .unit_bits = 0,
                                               .aim_bits = 27,
                                               .least_bits = 16,
                                               .start_exponent = -18,
                                               .most_fall = 1};

/* 62 bits and a sign, with room in both directions. */
const thaw_quantum_rule thaw_quantum_wide = {.limit_bits = 62,
                                             .unit_bits = 20,
                                             .aim_bits = 46,
                                             .least_bits = 30,
                                             .start_exponent = -48,
                                             .most_fall = 8};

static double from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* Position of the highest bit plus one; 0 for 0. */
static int width(int64_t value)
{
    return value == 0 ? 0 : 64 - __builtin_clzll((unsigned long long)value);
}

int thaw_quantum_start(const thaw_quantum_rule *rule, int32_t exponent)
{
    return exponent == THAW_QUANTUM_UNKNOWN ? rule->start_exponent : exponent;
}

int64_t thaw_quantum_bound(const thaw_quantum_rule *rule, uint32_t peak, int exponent)
{
    /* Rounding up to whole quanta also covers the rounding of the elements. */
    double units = ceil(ldexp(from_bits(peak), -exponent - rule->unit_bits));
    double most = ldexp(1, rule->limit_bits - rule->unit_bits);
    return (int64_t)(units < most ? units : most); /* NaN is not below: most */
}

bool thaw_quantum_fits(const thaw_quantum_rule *rule, int64_t bound)
{
    return bound < (int64_t)1 << (rule->limit_bits - rule->unit_bits);
}

bool thaw_quantum_coarse(const thaw_quantum_rule *rule, int64_t bound)
{
    return bound > 0 && width(bound) + rule->unit_bits < rule->least_bits;
}

int32_t thaw_quantum_next(const thaw_quantum_rule *rule, int32_t exponent, int64_t bound)
{
    /* All zero says nothing about size. */
    if (bound == 0)
        return exponent;
    int change = width(bound) + rule->unit_bits - rule->aim_bits;
    return thaw_quantum_start(rule, exponent) +
           (change < -rule->most_fall ? -rule->most_fall : change);
}

int32_t thaw_quantum_from_peak(const thaw_quantum_rule *rule, uint32_t peak, int64_t shards)
{
    int above = 0;
    (void)frexp(from_bits(peak), &above);
    return above + width(shards - 1) + 1 - rule->limit_bits;
}
