/* isa_rows_avx512.c - sweeps over rows for CPUs with AVX-512 (F, BW, DQ, VL). */
#if defined(__x86_64__)
#if !defined(__AVX512VL__)
#error "isa_rows_avx512.c needs -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma"
#endif
#define LANES 16
#include "kern/rows_body_impl.h"

const kern_rows kern_rows_avx512 = ROWS_TABLE("AVX-512");
#else
#include "kern/rows_impl.h"
#endif
