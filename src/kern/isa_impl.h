/* isa_impl.h - the inner loops of convolution and matrix product that are compiled once for each kind of CPU.
 *
 * A tile is a small block of a matrix product kept in registers: `rows` rows by `vectors` vectors of `lanes` floats.
 *   c[r][j] = sum over segments s, steps k of  a[a_offset[s] + ...r, k] * b[b_offset[s] + k * step_b + j]
 * Segments let a convolution be a product without copying windows: one segment for each tap of the window (or for each
 * image row, when the sum runs over pixels). */
#ifndef KERN_ISA_IMPL_H
#define KERN_ISA_IMPL_H

#include "kern/isa_conv_impl.h"
#include "kern/isa_image_impl.h"

typedef struct kern_tile_run {
    int64_t row_stride; /* of a, in floats; "strided" tiles: a[r * row_stride + k] */
    int64_t step_a;     /* "unit" tiles: a[k * step_a + r] */
    int64_t step_b;
    int64_t steps; /* in every segment */
    int64_t segments;
    const int64_t *a_offset; /* (segments) */
    const int64_t *b_offset;
    int64_t c_stride;
    bool add; /* c += instead of c = */
} kern_tile_run;

typedef void kern_tile(const kern_tile_run *run, const float *a, const float *b, float *c);

typedef void kern_transform(int64_t channels, const float *in, int64_t in_row, int64_t in_column,
                            float *out, int64_t out_row, int64_t out_column);

enum { KERN_MOST_LANES = 16, KERN_MOST_ROWS = 16 };

typedef struct kern_isa {
    const char *name;
    int lanes;
    int most_rows[2];                          /* with 1 and 2 vectors */
    kern_tile *strided[2][KERN_MOST_ROWS + 1]; /* [vectors - 1][rows] */
    kern_tile *unit[2][KERN_MOST_ROWS + 1];
    /* out[j][i] = in[i][j], rows by columns of in. Output row j starts at out + (j + gap * (j / run)) * out_stride. */
    void (*transpose)(int64_t rows, int64_t columns, const float *in, int64_t in_stride, float *out,
                      int64_t out_stride, int64_t run, int64_t gap);
    /* out[j][i] = or += (add) in[i][j] + bias[j] (NULL: none). */
    void (*transpose_out)(int64_t rows, int64_t columns, const float *in, int64_t in_stride,
                          float *out, int64_t out_stride, const float *bias, bool add);
    /* Winograd's transforms: squares of pixels (or taps, or points) to squares, `channels` (a multiple of lanes) floats each. */
    kern_transform *winograd_input, *winograd_output, *winograd_gradient, *winograd_weight,
        *winograd_weight_gradient;
    kern_isa_image image;
    kern_isa_conv conv;
} kern_isa;

extern const kern_isa kern_isa_portable;
#if defined(__x86_64__)
extern const kern_isa kern_isa_avx2;
extern const kern_isa kern_isa_avx512;
#endif

/* The best for the CPU we run on. */
const kern_isa *kern_isa_choose(void);

#endif
