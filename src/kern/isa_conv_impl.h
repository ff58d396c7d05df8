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

typedef struct kern_isa_conv {
    /* Pixels outside the image count as zeros. */
    void (*winograd_input)(const kern_winograd_tiles *t, const float *in, float *points);
    void (*winograd_gradient)(const kern_winograd_tiles *t, const float *dy, float *points);
    void (*winograd_output)(const kern_winograd_tiles *t, const float *points,
                            const kern_finish *finish, float *out);
} kern_isa_conv;

#endif
