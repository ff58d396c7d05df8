/* The loops that turn float into fixed point and back, and the rules that choose a tensor's quantum. Local, no state. */
#ifndef THAW_COMM_QUANTUM_IMPL_H
#define THAW_COMM_QUANTUM_IMPL_H

#include "thaw/comm.h"

/* No sum was seen yet. */
#define THAW_QUANTUM_UNKNOWN INT32_MIN

/* acc (+)= round(x / 2^exponent), or = when `first`. Returns the largest magnitude in x as float bits, which order like the
 * magnitudes do; at 0x7f800000 and above there is an infinity or NaN, and acc is worthless. */
uint32_t thaw_quantum_add(int64_t *acc, const float *x, int64_t n, int exponent, bool first);
/* The same without rounding, for mode float. */
uint32_t thaw_float_add(float *acc, const float *x, int64_t n, bool first);
/* out = float(sum * 2^exponent * scale). Returns the bits that occur in the sums' magnitudes, joined by "or". */
uint64_t thaw_quantum_get(const int64_t *sum, int64_t n, int exponent, double scale, float *out);
void thaw_float_get(const float *sum, int64_t n, double scale, float *out);
uint64_t thaw_quantum_bits(const int64_t *sum, int64_t n);

/* The exponent to use when the stored one may be unknown. */
int thaw_quantum_start(int32_t exponent);
/* True when a shard's largest magnitude (float bits) fits, with `shards` of them in one sum. */
bool thaw_quantum_fits(uint32_t peak, int exponent, int64_t shards);
/* The exponent that follows a good sum whose magnitudes have these bits. */
int32_t thaw_quantum_next(int32_t exponent, uint64_t bits);
/* The exponent for doing a step again, from the largest magnitude (float bits) in any of its shards. */
int32_t thaw_quantum_from_peak(uint32_t peak);
/* True when a sum has too few bits to be worth keeping; more are asked of a first one. */
bool thaw_quantum_coarse(const int64_t *sum, int64_t n, int32_t exponent);

#endif
