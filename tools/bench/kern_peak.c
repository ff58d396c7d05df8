#include "kern_bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* What one core can do at most: multiply-adds in registers, and a triad over memory (McCalpin's STREAM). */

enum { ROUNDS = 20000, CHAINS = 12 };

static volatile float sink;

/* As many independent chains as hide the latency of the unit. */
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double fma_512(void)
{
    __m512 a[CHAINS];
    __m512 x = _mm512_set1_ps(0.999f);
    __m512 y = _mm512_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++)
        a[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            a[i] = _mm512_fmadd_ps(a[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    sink = _mm512_reduce_add_ps(a[0]);
    return 2.0 * 16 * CHAINS * ROUNDS;
}

__attribute__((target("avx2,fma"))) static double fma_256(void)
{
    __m256 a[CHAINS];
    __m256 x = _mm256_set1_ps(0.999f);
    __m256 y = _mm256_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++)
        a[i] = _mm256_set1_ps((float)i);
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            a[i] = _mm256_fmadd_ps(a[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        a[0] = _mm256_add_ps(a[0], a[i]);
    sink = _mm256_cvtss_f32(a[0]);
    return 2.0 * 8 * CHAINS * ROUNDS;
}
#endif

/* The compiler's vectors of a CPU without a case above. */
static double fma_plain(void)
{
    enum { LANES = 64 };
    float a[LANES];
    for (int i = 0; i < LANES; i++)
        a[i] = (float)i;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < LANES; i++)
            a[i] = a[i] * 0.999f + 0.001f;
    sink = a[LANES - 1];
    return 2.0 * LANES * ROUNDS;
}

typedef struct fma_loop {
    double (*loop)(void);
    double flops;
} fma_loop;

static void call_fma(void *context)
{
    fma_loop *f = context;
    f->flops = f->loop();
}

double bench_peak(void)
{
    fma_loop f = {fma_plain, 0};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        f.loop = fma_512;
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        f.loop = fma_256;
#endif
    /* The best of several: a peak that other load has pushed down is none. */
    double best = 0;
    for (int i = 0; i < 10; i++) {
        double seconds = bench_time(call_fma, &f, 0.01);
        best = f.flops / seconds > best ? f.flops / seconds : best;
    }
    return best;
}

typedef struct triad {
    int64_t n;
    float *a, *b, *c;
} triad;

static void call_triad(void *context)
{
    triad *t = context;
    thaw_kern_add(t->n, t->b, 0.5f, t->c, t->a);
}

double bench_triad(int64_t bytes)
{
    static double known[64];
    int power = 0;
    while ((int64_t)1 << power < bytes)
        power++;
    if (known[power] > 0)
        return known[power];
    int64_t n = bytes / 12 + 1;
    triad t = {n, bench_floats(n, 1), bench_floats(n, 2), bench_floats(n, 3)};
    double best = 0;
    for (int i = 0; i < 5; i++) {
        double rate = (double)bytes / bench_time(call_triad, &t, 0.02);
        best = rate > best ? rate : best;
    }
    thaw_free(&t.a);
    thaw_free(&t.b);
    thaw_free(&t.c);
    return known[power] = best;
}
