/* lanes_impl.h - included by files compiled for one kind of CPU, with LANES defined: vectors of floats in plain C with the
 * compilers' vector types. */
#ifndef KERN_LANES_IMPL_H
#define KERN_LANES_IMPL_H

#include <stdint.h>

typedef float lanes __attribute__((vector_size(LANES * 4)));
typedef float lanes_in_memory __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL      _Pragma("clang loop unroll(full)")
#define UNROLL_SOME _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL      _Pragma("GCC unroll 32")
#define UNROLL_SOME _Pragma("GCC unroll 4")
#endif

INLINE lanes load(const float *from)
{
    return *(const lanes_in_memory *)from;
}

INLINE void store(float *to, lanes value)
{
    *(lanes_in_memory *)to = value;
}

#endif
