/* The rules that choose a tensor's quantum, and the loops that turn float into multiples of it and back. Local, no state. */
#ifndef THAW_COMM_QUANTUM_IMPL_H
#define THAW_COMM_QUANTUM_IMPL_H

#include "thaw/comm.h"

/* No sum was seen yet. */
#define THAW_QUANTUM_UNKNOWN THAW_EXPONENT_UNKNOWN
/* Float bits of a magnitude order like the magnitudes do; from here on there is an infinity or NaN. */
#define THAW_INFINITY_BITS 0x7f800000u

/* The bound of a sum is the sum over its shards of the largest magnitude in each, in units of 2^unit_bits quanta, rounded up. No
 * element of the sum is beyond it, it depends on shards only, and being an integer it is summed in any order. */
typedef struct thaw_quantum_rule {
    int limit_bits; /* a bound below 2^limit quanta fits */
    int unit_bits;
    int aim_bits;   /* a bound in [2^(aim-1), 2^aim) quanta keeps its quantum */
    int least_bits; /* a bound below 2^(least-1) quanta is too coarse to be worth keeping */
    int start_exponent;
    int most_fall; /* how far a quantum may shrink in one step, in bits */
} thaw_quantum_rule;

extern const thaw_quantum_rule thaw_quantum_narrow, thaw_quantum_wide;

/* The exponent to use when the stored one may be unknown. */
int thaw_quantum_start(const thaw_quantum_rule *rule, int32_t exponent);
/* What a shard adds to the bound; 2^(limit - unit) when it does not fit even alone. */
int64_t thaw_quantum_bound(const thaw_quantum_rule *rule, uint32_t peak, int exponent);
bool thaw_quantum_fits(const thaw_quantum_rule *rule, int64_t bound);
bool thaw_quantum_coarse(const thaw_quantum_rule *rule, int64_t bound);
/* The exponent that follows a good sum with this bound. */
int32_t thaw_quantum_next(const thaw_quantum_rule *rule, int32_t exponent, int64_t bound);
/* The exponent for doing a step again, from the largest magnitude (float bits) in any of its shards. */
int32_t thaw_quantum_from_peak(const thaw_quantum_rule *rule, uint32_t peak, int64_t shards);

/* acc (+)= round(x / 2^exponent), or = when `first`, modulo 2^32 or 2^64. Returns the largest magnitude in x as float bits. Where
 * the bound does not fit, acc is worthless. */
uint32_t thaw_narrow_add(uint32_t *acc, const float *x, int64_t n, int exponent, bool first);
uint32_t thaw_wide_add(int64_t *acc, const float *x, int64_t n, int exponent, bool first);
/* The same without rounding, for modes float and bf16. */
uint32_t thaw_float_add(float *acc, const float *x, int64_t n, bool first);

/* acc += other, modulo 2^32 or 2^64. */
void thaw_narrow_join(uint32_t *acc, const uint32_t *other, int64_t n);
void thaw_wide_join(int64_t *acc, const int64_t *other, int64_t n);
void thaw_float_join(float *acc, const float *other, int64_t n);

/* bfloat16: the upper half of a float, rounded to nearest even; NaN stays NaN, what is beyond becomes infinite. */
void thaw_bf16_round(const float *x, int64_t n, uint16_t *out);
/* acc += other in float, rounded; the same without rounding, into float. */
void thaw_bf16_join(uint16_t *acc, const uint16_t *other, int64_t n);
void thaw_bf16_add(float *acc, const uint16_t *other, int64_t n);
void thaw_bf16_get(const uint16_t *sum, int64_t n, double scale, float *out);
bool thaw_bf16_finite(const uint16_t *sum, int64_t n);

/* out = float(sum * 2^exponent * scale). */
void thaw_narrow_get(const uint32_t *sum, int64_t n, int exponent, double scale, float *out);
void thaw_wide_get(const int64_t *sum, int64_t n, int exponent, double scale, float *out);
void thaw_float_get(const float *sum, int64_t n, double scale, float *out);

/* The bits that occur in the sums' magnitudes, joined by "or". */
uint64_t thaw_narrow_bits(const uint32_t *sum, int64_t n);
uint64_t thaw_wide_bits(const int64_t *sum, int64_t n);

#endif
