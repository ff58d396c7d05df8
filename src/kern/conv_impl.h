/* conv_impl.h - shared by the convolution files: one group's problem as a gather, and scratch memory.
 *
 * A gather computes out[i] = sum over window taps k of in[source(i, k)] * weight[k]: forward, and backward data with the
 * roles of x and dy exchanged. Inside, pixels are rows of channels (channels last), because then a tile reads
 * neighbouring pixels at a fixed stride and needs no copied windows. Two arrangements:
 *   wide: scratch [image][row][column][channel]; a tile's rows are neighbouring output columns
 *   deep: scratch [row][column][image][channel]; a tile's rows are images: for outputs too narrow to fill a tile */
#ifndef KERN_CONV_IMPL_H
#define KERN_CONV_IMPL_H

#include "kern/isa_impl.h"

/* source(i, k) = (i * scale + k * step + shift) / divisor where that is whole and inside [0, size). */
typedef struct conv_axis {
    int64_t size;  /* of the input */
    int64_t count; /* of outputs */
    int64_t taps;
    int64_t scale, step, shift, divisor;
} conv_axis;

typedef struct conv_gather {
    int64_t B, in_channels, out_channels; /* of one group */
    int64_t in_image, out_image;          /* floats from one image to the next */
    conv_axis h, w;
    int64_t weight_out,
        weight_in; /* strides of the weights along output and input channels; taps are dense */
} conv_gather;

/* False when tap k of output i lies outside (or between) the input's elements; else *source. */
bool conv_source(const conv_axis *axis, int64_t i, int64_t k, int64_t *source);
/* Input range [*first, *last) that outputs [from, to) need; empty when none. */
void conv_source_range(const conv_axis *axis, int64_t from, int64_t to, int64_t *first,
                       int64_t *last);
/* Whether any output uses the tap. */
bool conv_tap_used(const conv_axis *axis, int64_t k);

int64_t conv_taps_used(const conv_gather *g);

conv_gather conv_forward_gather(const thaw_conv2d *s);
conv_gather conv_backward_gather(const thaw_conv2d *s);

/* Memory handed out from the front of a workspace; with base NULL it only counts. */
typedef struct conv_scratch {
    char *base;
    size_t used;
} conv_scratch;

void *conv_take(conv_scratch *scratch, int64_t count, size_t size);
static inline float *conv_take_floats(conv_scratch *scratch, int64_t count)
{
    return conv_take(scratch, count, sizeof(float));
}
/* The workspace starts anywhere; what is taken from it starts at a cache line. */
conv_scratch conv_scratch_on(void *workspace);
enum { CONV_LINE = 64 };

/* Splits `count` into nearly equal parts of at most `most`: the number of parts; part i is [conv_part(i), conv_part(i + 1)). */
static inline int64_t conv_parts(int64_t count, int64_t most)
{
    return (count + most - 1) / most;
}
static inline int64_t conv_part(int64_t count, int64_t parts, int64_t i)
{
    return count / parts * i + (i < count % parts ? i : count % parts);
}

/* Output channels go in blocks of two vectors, the last of one where that is enough. */
static inline int conv_block_vectors(const kern_isa *isa, int64_t channels_left)
{
    return channels_left > isa->lanes ? 2 : 1;
}
static inline int64_t conv_round(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Threads for one group's problem of up to B images. More than the images or, in workspaces, than are used is no harm. */
int conv_threads(const conv_gather *g);

/* Each returns what it needs in bytes; run with workspace NULL to only count. */
size_t conv_gather_run(const kern_isa *isa, const conv_gather *g, const float *in, const float *w,
                       const float *bias, float *out, bool accumulate, void *workspace);
size_t conv_weights_run(const kern_isa *isa, const conv_gather *g, const float *x, const float *dy,
                        float *dw, void *workspace);

/* The same by minimal filtering, for the gathers that it fits. */
bool conv_winograd_fits(const conv_gather *g);
size_t conv_winograd_gather(const kern_isa *isa, const conv_gather *g, const float *in,
                            const float *w, const float *bias, float *out, bool accumulate,
                            void *workspace);
size_t conv_winograd_weights(const kern_isa *isa, const conv_gather *g, const float *x,
                             const float *dy, float *dw, void *workspace);

/* Weights as [output block][input block][tap][in channel][out channel], with these strides in floats. */
typedef struct conv_squares {
    int64_t block; /* channels of a square's side */
    int64_t out_stride, in_stride, row_stride, column_stride;
} conv_squares;

enum { CONV_SQUARE_TAPS = 25 };
/* Whole squares as wide as a vector, one group, a window that is not too large. */
bool conv_squares_fit(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s);
void conv_squares_pack(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s,
                       const float *w, float *packed);
/* dw += packed */
void conv_squares_add(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s,
                      const float *packed, float *dw);

/* Weights of output channels [first, first + width) as [kh][slot][in channel][width], zero beyond out_channels; kw_of_slot
 * gives the order of the columns. Taps that no output uses may be left as they are. */
void conv_pack_weights(const kern_isa *isa, const conv_gather *g, const int64_t *kw_of_slot,
                       int64_t first, int64_t width, const float *w, float *packed);

#endif
