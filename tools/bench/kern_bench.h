/* kern_bench.h - what the files of bench_kern share. */
#ifndef KERN_BENCH_H
#define KERN_BENCH_H

#include "thaw/kern.h"

typedef struct bench_context {
    const thaw_kern *kern, *ref;
    double seconds; /* of one measurement */
    double peak;    /* FLOP/s of one core */
    bool residuals; /* compare with ref, which takes long */
} bench_context;

typedef void bench_call(void *context);

/* Seconds of the median call, after one that is not counted. */
double bench_time(bench_call *call, void *context, double seconds);
/* FLOP/s of fused multiply-adds with the widest registers of this CPU; of separate ones where it has none. */
double bench_peak(void);
/* Bytes/s of a[i] = b[i] + s c[i] over so many bytes in all. */
double bench_triad(int64_t bytes);

float *bench_floats(int64_t count, uint64_t stream);
/* Largest difference over the largest value of b. */
double bench_residual(int64_t count, const float *a, const double *b);

/* One line: ROW milliseconds, rate, its unit, share of what the machine can do (peak or triad), residual ("-": not compared). */
void bench_print(const char *row, double seconds, double flops, double bytes, double limit,
                 double residual, const char *words);

/* All convolutions and products of a network, in the order of first use; each shape once. */
thaw_status bench_network(const bench_context *c, const char *arch, int64_t side, int64_t batch,
                          bool shapes_only);
/* All other functions whose name has `part`, with the shapes that networks have. */
void bench_functions(const bench_context *c, const char *part);

#endif
