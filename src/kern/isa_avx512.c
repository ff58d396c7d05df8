/* isa_avx512.c - the inner loops for CPUs with AVX-512 (F, BW, DQ, VL): 32 registers of 16 floats. */
#if defined(__x86_64__)
#if !defined(__AVX512VL__)
#error "isa_avx512.c needs -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma"
#endif
#define LANES          16
#define MANY_REGISTERS 1
#include "kern/isa_body_impl.h"

const kern_isa kern_isa_avx512 = ISA_TABLE("AVX-512");
#else
#include "kern/isa_impl.h"
#endif
