/* isa_conv_impl.h - inner loops of convolutions in channel blocks: one block of channels (lanes floats a pixel) of all images. */
#ifndef KERN_ISA_CONV_IMPL_H
#define KERN_ISA_CONV_IMPL_H

#include "thaw/kern.h"

/* Tiles [first, first + count) of 4x4 outputs, in the order image, row, column; tile t's floats at point p are
 * points + p * plane + (t - first) * pitch. */
typedef struct kern_winograd_tiles {
    int64_t H, W;             /* of the image that is read or written */
    int64_t image;            /* floats from one image to the next */
    int64_t shift_h, shift_w; /* input pixel of the first tile's first pixel; 0 for outputs */
    int64_t tiles_h, tiles_w; /* of an image */
    int64_t first, count;     /* tiles */
    int64_t plane, pitch;     /* of points */
} kern_winograd_tiles;

/* What happens to a result on its way to memory: out = act(result + bias [+ out]). */
typedef struct kern_finish {
    const float *bias; /* of the block; NULL: none */
    bool add;
    thaw_act act;
} kern_finish;

/* One row of outputs of a depthwise convolution, every `step` pixels of `count`; all that the taps read is inside. */
typedef struct kern_depthwise_row {
    int64_t count, in_step, out_step; /* steps in floats */
    int64_t taps;
    const int64_t *in_offset;     /* (taps) from the row's start */
    const int64_t *weight_offset; /* (taps) */
} kern_depthwise_row;

typedef struct kern_depthwise_gradient {
    int64_t rows, columns; /* of dy */
    int64_t kernel_h, kernel_w;
    int64_t x_row, dy_row; /* floats from one row to the next */
    int64_t step_h, step_w, dilation_h, dilation_w;
} kern_depthwise_gradient;

typedef struct kern_isa_conv {
    /* Rows of one block each, finished. */
    void (*finish_rows)(int64_t rows, const float *in, int64_t in_stride, const kern_finish *finish,
                        float *out, int64_t out_stride);
    void (*depthwise_row)(const kern_depthwise_row *row, const float *in, const float *weights,
                          const kern_finish *finish, float *out);
    /* sums (side * side vectors) += over output pixels (rows, columns) of dy times what the window sees of x: x's pixel of output (i, j),
     * tap (kh, kw) is (i * step_h + kh * dilation_h, j * step_w + kw * dilation_w). */
    void (*depthwise_gradient)(const kern_depthwise_gradient *g, const float *x, const float *dy,
                               float *sums);
    /* Pixels outside the image count as zeros. */
    void (*winograd_input)(const kern_winograd_tiles *t, const float *in, float *points);
    void (*winograd_gradient)(const kern_winograd_tiles *t, const float *dy, float *points);
    void (*winograd_output)(const kern_winograd_tiles *t, const float *points,
                            const kern_finish *finish, float *out);
} kern_isa_conv;

#endif
