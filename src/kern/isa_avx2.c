/* isa_avx2.c - the inner loops for CPUs with AVX2 and FMA: 16 registers of 8 floats. */
#if defined(__x86_64__)
#if !defined(__FMA__)
#error "isa_avx2.c needs -mavx2 -mfma"
#endif
#define LANES          8
#define MANY_REGISTERS 0
#include "kern/isa_body_impl.h"

const kern_isa kern_isa_avx2 = ISA_TABLE("AVX2");
#else
#include "kern/isa_impl.h"
#endif
