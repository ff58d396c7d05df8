/* isa.c - which inner loops fit the CPU we run on. */
#include "kern/isa_impl.h"

const kern_isa *kern_isa_choose(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma"))
        return &kern_isa_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &kern_isa_avx2;
#endif
    return &kern_isa_portable;
}
