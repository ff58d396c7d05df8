/* isa_image_impl.h - the sweeps over images that are compiled once for each kind of CPU: batch norm, pools, layouts, acts.
 *
 * Batch norm's sweeps see rows: B of them, n floats each, `stride` apart. Place i of a row belongs to position i % 16, and
 * each position has its own coefficients and its own sums. So one sweep serves all layouts: channel blocks (a position is
 * a lane), one channel of NCHW (all positions are that channel) and 16 columns of a batch with few pixels. */
#ifndef KERN_ISA_IMAGE_IMPL_H
#define KERN_ISA_IMAGE_IMPL_H

#include "thaw/kern.h"

enum { KERN_STRIP = 16 };

typedef struct kern_sweep {
    int64_t B, stride, n;
} kern_sweep;

/* Of each position: how many values, their mean, the sum of squares about it. */
typedef struct kern_moments {
    double count[KERN_STRIP], mean[KERN_STRIP], squares[KERN_STRIP];
} kern_moments;

/* What an act does, as bounds: y = min(max(x, 0), high), flat outside 0 < y <= high_open. on false: nothing at all. */
typedef struct kern_bounds {
    bool on;
    float high, high_open;
} kern_bounds;

/* The streams of a norm's backward. */
typedef struct kern_norm_streams {
    const float *x; /* NULL: not needed */
    const float *y; /* looked at when bounds are on */
    const float *dy;
    float *dx;        /* NULL: not wanted */
    float *dresidual; /* NULL: not wanted */
    bool accumulate, accumulate_residual;
    kern_bounds bounds;
} kern_norm_streams;

typedef struct kern_isa_image {
    void (*moments)(const kern_sweep *rows, const float *x, kern_moments *out);
    void (*sums)(const kern_sweep *rows, const float *x, double sum[KERN_STRIP]);
    /* y = act(x scale + shift + residual); the last row first, because it was read last. residual NULL: none. */
    void (*affine)(const kern_sweep *rows, const float *x, const float *scale, const float *shift,
                   const float *residual, kern_bounds bounds, float *y);
    /* g = dy where y was not flat. sum = sum of g, product = sum of g (x - center), dresidual = g. dx is not looked at. */
    void (*gradient_sums)(const kern_sweep *rows, const kern_norm_streams *s, const float *center,
                          double sum[KERN_STRIP], double product[KERN_STRIP]);
    /* dx = or += g p + x q + r (coefficients p, q, r; 16 positions each), dresidual = or += g; the last row first. */
    void (*combine)(const kern_sweep *rows, const kern_norm_streams *s,
                    const float *coefficients[3]);
    /* y = or += value */
    void (*spread)(const kern_sweep *rows, const float *value, float *y, bool accumulate);

    void (*act)(int64_t n, kern_bounds bounds, const float *x, float *y);
    void (*act_backward)(int64_t n, kern_bounds bounds, const float *y, const float *dy, float *dx,
                         bool accumulate);
    void (*add_act)(int64_t n, const float *a, float alpha, const float *b, kern_bounds bounds,
                    float *y);

    /* One block of one image, `channels` of its lanes in use: y (S, block) from x (channels, S), and back. */
    void (*to_block)(int64_t channels, int64_t S, int32_t block, const float *x, float *y,
                     bool accumulate);
    void (*from_block)(int64_t channels, int64_t S, int32_t block, const float *x, float *y,
                       bool accumulate);

    /* One block of one image: x (H, W, block), y (OH, OW, block). */
    void (*max_pool)(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax);
    void (*max_pool_backward)(const thaw_pool2d *s, const int32_t *argmax, const float *dy,
                              float *dx, bool accumulate);
    void (*avg_pool)(const thaw_pool2d *s, const float *x, float *y);
    void (*avg_pool_backward)(const thaw_pool2d *s, const float *dy, float *dx, bool accumulate);
} kern_isa_image;

static inline kern_bounds kern_bounds_of(thaw_act act)
{
    static const kern_bounds table[THAW_ACT_COUNT] = {
        [THAW_ACT_RELU] = {true, __builtin_inff(), __builtin_inff()},
        [THAW_ACT_RELU6] = {true, 6.0f, 0x1.7ffffep+2f}, /* the largest float below 6 */
    };
    return table[act];
}

#endif
