/* isa_rows_avx2.c - sweeps over rows for CPUs with AVX2 and FMA. */
#if defined(__x86_64__)
#if !defined(__FMA__)
#error "isa_rows_avx2.c needs -mavx2 -mfma"
#endif
#define LANES 8
#include "kern/rows_body_impl.h"

const kern_rows kern_rows_avx2 = ROWS_TABLE("AVX2");
#else
#include "kern/rows_impl.h"
#endif
