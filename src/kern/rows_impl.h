/* rows_impl.h - sweeps over rows of features (layer norm, gelu, softmax), compiled once for each kind of CPU. */
#ifndef KERN_ROWS_IMPL_H
#define KERN_ROWS_IMPL_H

#include "kern/isa_impl.h"

typedef struct kern_rows {
    const char *name;
    int lanes;
    /* Relative error below 3e-7 from -87.3 to 88, 0 below, exp(88) above; NaN stays NaN. */
    void (*exp)(int64_t n, const float *x, float *y);
    /* See thaw_kern_bias_gelu; [0] the exact form, [1] the form with tanh. bias and slope may be NULL. */
    void (*gelu[2])(int64_t N, int64_t D, const float *x, const float *bias, float *y,
                    float *slope);
    /* dx = dy slope; sums (D) += sum over rows of dx. */
    void (*slope_backward)(int64_t N, int64_t D, const float *dy, const float *slope, float *dx,
                           double *sums);
    /* sums (D) += sum over rows of x. */
    void (*column_sums)(int64_t N, int64_t D, const float *x, double *sums);
    /* See thaw_kern_layer_norm. */
    void (*layer_norm)(int64_t N, int64_t D, const float *x, const float *weight, const float *bias,
                       float epsilon, float *y, float *mean, float *inv_std);
    void (*layer_norm_backward)(int64_t N, int64_t D, const float *x, const float *weight,
                                const float *mean, const float *inv_std, const float *dy, float *dx,
                                bool accumulate);
    /* sums[0..D) += sum over rows of dy (x - mean) inv_std, sums[D..2D) += sum over rows of dy. */
    void (*layer_norm_sums)(int64_t N, int64_t D, const float *x, const float *mean,
                            const float *inv_std, const float *dy, double *sums);
    /* Rows of `width` floats, a multiple of lanes; bias (width) is added to scale * s, -INFINITY takes a column out.
     * s becomes exp(scale s + bias - largest); largest and 1 / sum of each row go to stats (N, 2). */
    void (*softmax)(int64_t N, int64_t width, float scale, const float *bias, float *s,
                    float *stats);
    /* From the same s and stats: the probabilities. */
    void (*softmax_again)(int64_t N, int64_t width, float scale, const float *bias, float *s,
                          const float *stats);
    /* dp becomes scale p (dp - sum of p dp): the gradient of s. */
    void (*softmax_backward)(int64_t N, int64_t width, float scale, const float *p, float *dp);
} kern_rows;

extern const kern_rows kern_rows_portable;
#if defined(__x86_64__)
extern const kern_rows kern_rows_avx2;
extern const kern_rows kern_rows_avx512;
#endif

/* The best for the CPU we run on. */
const kern_rows *kern_rows_choose(void);

#endif
