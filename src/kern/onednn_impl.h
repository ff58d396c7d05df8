/* onednn_impl.h - oneDNN as the rest of kern sees it: no type or name of its headers, which change between major versions. */
#ifndef KERN_ONEDNN_IMPL_H
#define KERN_ONEDNN_IMPL_H

#include "kern/conv_impl.h"
#include "kern/conv_plan_impl.h"

/* Engine and stream of one opened backend. */
typedef struct onednn_library onednn_library;

thaw_status onednn_library_open(onednn_library **out);
void onednn_library_close(onednn_library **library);
/* Of a backend opened as onednn. */
onednn_library *onednn_library_of(const thaw_kern *k);
/* "oneDNN 2.6.3 AVX-512" */
void onednn_library_title(char *out, size_t bytes);
/* Channels in a block of the layout that its kernels for this CPU like; 1: none. */
int32_t onednn_library_block(void);
/* Whether the CPU multiplies bytes much faster than floats (AVX-512 VNNI). */
bool onednn_library_has_int8(void);
/* 8-bit convolutions: the bias is added in units of the sums, before they are scaled. */
bool onednn_bias_before_scale(void);
/* Row-major, as thaw_kern.gemm; false when the library refuses. */
bool onednn_library_gemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K,
                         float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                         float beta, float *c, int64_t ldc);

/* One pass of one convolution, with primitives for a few B, all with the same algorithm and form of weights. */
typedef struct onednn_conv onednn_conv;

/* For 8-bit convolutions, forward only: images are NHWC bytes (spec's blocks do not count), weights signed bytes. */
typedef struct onednn_bytes {
    const float
        *scales; /* (O) of 32-bit sums, in units of y; borrowed as long as the convolution lives */
    bool x_signed, y_signed, y_float, add_signed;
    float add_scale; /* of what y holds, in units of y */
    float six;       /* where relu6 cuts off, in units of y */
} onednn_bytes;

/* Whether the library has an optimised kernel for this pass in these layouts. Only its direct method is asked for: its Winograd is slower
 * than ours, takes long to set up, and is gone in version 3. */
bool onednn_conv_fits(const onednn_library *library, const thaw_conv_spec *spec,
                      thaw_conv_pass pass);
thaw_status onednn_conv_new(onednn_library *library, const thaw_conv_spec *spec,
                            thaw_conv_pass pass, const onednn_bytes *bytes, onednn_conv **out);
void onednn_conv_free(onednn_conv **conv);

/* How the library wants one pass's weights. */
typedef struct onednn_form {
    size_t bytes;
    bool plain;      /* as they are */
    bool in_squares; /* as `squares` says */
    conv_squares squares;
} onednn_form;
const onednn_form *onednn_conv_form(const onednn_conv *conv);
size_t onednn_conv_scratch_bytes(const onednn_conv *conv);
/* By the library's own reorder, for any form: packed = w, or w += packed. */
void onednn_conv_pack(onednn_conv *conv, const void *w, void *packed);
void onednn_conv_unpack_add(onednn_conv *conv, const float *packed, float *w);
/* The arrays of a run: data is x or dx, result y or dy, weights are in the library's form, read or (backward weights) written. */
typedef struct onednn_arrays {
    const void *data, *weights, *bias, *result;
    void *scratch;
} onednn_arrays;
void onednn_conv_run(onednn_conv *conv, int64_t B, const onednn_arrays *arrays);

#endif
