/* conv_int8_impl.h - what a library gives for convolutions in 8 bits. */
#ifndef KERN_CONV_INT8_IMPL_H
#define KERN_CONV_INT8_IMPL_H

#include "kern/kern_impl.h"

typedef struct conv_int8_library {
    /* scales (O) turn sums into units of y, and live as long as the convolution. */
    thaw_status (*open)(const thaw_kern *k, const thaw_conv8_spec *spec, const float *scales,
                        void **out);
    void (*close)(void **conv);
    size_t (*weight_bytes)(const void *conv);
    size_t (*scratch_bytes)(const void *conv);
    bool (*bias_before_scale)(void); /* (sum + bias) * scale, not sum * scale + bias */
    void (*pack)(void *conv, const int8_t *w, void *packed);
    void (*run)(void *conv, int64_t B, const void *x, const void *weights, const float *bias,
                void *y, void *scratch);
} conv_int8_library;

#endif
