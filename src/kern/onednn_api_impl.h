/* onednn_api_impl.h - oneDNN's C API with the differences between its versions behind functions of our own. */
#ifndef KERN_ONEDNN_API_IMPL_H
#define KERN_ONEDNN_API_IMPL_H

#include <dnnl.h>

#include "kern/onednn_impl.h"

struct onednn_library {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t onednn_desc_ref;
#else
typedef const dnnl_memory_desc_t *onednn_desc_ref;
#endif

dnnl_status_t onednn_desc_make(dnnl_memory_desc_t *out, int n, const dnnl_dims_t dims,
                               dnnl_data_type_t type, dnnl_format_tag_t tag);
dnnl_status_t onednn_desc_copy(dnnl_memory_desc_t *out, onednn_desc_ref from);
void onednn_desc_drop(dnnl_memory_desc_t *desc); /* what desc_make and desc_copy gave, or zeros */
onednn_desc_ref onednn_desc_of(const dnnl_memory_desc_t *desc);
bool onednn_desc_equal(onednn_desc_ref a, onednn_desc_ref b);
/* Strides of the outer dimensions and inner blocks; false for a form that is not blocked. */
bool onednn_desc_blocking(onednn_desc_ref desc, dnnl_dims_t strides, int *blocks, dnnl_dims_t sizes,
                          dnnl_dims_t dimensions);

/* Everything that describes one pass for one B. */
typedef struct onednn_pass_descs {
    dnnl_memory_desc_t x, w, bias, y;
    dnnl_dims_t strides, dilations, pad_before, pad_after;
} onednn_pass_descs;

/* attr NULL: only as a hint for a backward pass. */
dnnl_status_t onednn_forward_desc(const onednn_library *library, const onednn_pass_descs *d,
                                  bool bias, dnnl_primitive_attr_t attr,
                                  dnnl_primitive_desc_t *out);
dnnl_status_t onednn_backward_desc(const onednn_library *library, const onednn_pass_descs *d,
                                   thaw_conv_pass pass, dnnl_primitive_attr_t attr,
                                   dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out);
dnnl_status_t onednn_append_act(dnnl_post_ops_t ops, thaw_act act, float six);
/* result += scale * what the array holds, as values of `type`. */
dnnl_status_t onednn_append_sum(dnnl_post_ops_t ops, float scale, dnnl_data_type_t type);

/* 8-bit convolutions: 32-bit sums are scaled per output channel (O). Version 2 wants the scales in the primitive, version 3 as the
 * argument of a run; 0: none. */
dnnl_status_t onednn_scale_sums(dnnl_primitive_attr_t attr, int64_t O, const float *scales,
                                bool groups);
int onednn_scales_argument(void);

#endif
