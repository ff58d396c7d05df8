/* onednn_api.c - what differs between oneDNN's major versions 2 and 3, and the library as a whole.
 *
 * Version 3 made memory descriptors opaque, dropped operation descriptors, and gave some functions other arguments. */
#include "kern/onednn_api_impl.h"

#include <stdlib.h>
#include <string.h>

/* Where the library runs on OpenMP it gets as many threads as our own loops. */
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
extern void omp_set_num_threads(int);
static void settle_threads(void)
{
    omp_set_num_threads(thaw_threads());
}
#else
static void settle_threads(void)
{
}
#endif

/* ---- differences of the versions ---- */

#if DNNL_VERSION_MAJOR >= 3
dnnl_status_t onednn_desc_make(dnnl_memory_desc_t *out, int n, const dnnl_dims_t dims,
                               dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(out, n, dims, type, tag);
}
onednn_desc_ref onednn_desc_of(const dnnl_memory_desc_t *desc)
{
    return *desc;
}
dnnl_status_t onednn_desc_copy(dnnl_memory_desc_t *out, onednn_desc_ref from)
{
    return dnnl_memory_desc_clone(out, from);
}
void onednn_desc_drop(dnnl_memory_desc_t *desc)
{
    if (*desc)
        (void)dnnl_memory_desc_destroy(*desc);
    *desc = NULL;
}
bool onednn_desc_equal(onednn_desc_ref a, onednn_desc_ref b)
{
    return dnnl_memory_desc_equal(a, b) != 0;
}
#else
dnnl_status_t onednn_desc_make(dnnl_memory_desc_t *out, int n, const dnnl_dims_t dims,
                               dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(out, n, dims, type, tag);
}
onednn_desc_ref onednn_desc_of(const dnnl_memory_desc_t *desc)
{
    return desc;
}
dnnl_status_t onednn_desc_copy(dnnl_memory_desc_t *out, onednn_desc_ref from)
{
    *out = *from;
    return dnnl_success;
}
void onednn_desc_drop(dnnl_memory_desc_t *desc)
{
    memset(desc, 0, sizeof *desc);
}
bool onednn_desc_equal(onednn_desc_ref a, onednn_desc_ref b)
{
    return dnnl_memory_desc_equal(a, b) != 0;
}
#endif

#if DNNL_VERSION_MAJOR >= 3
dnnl_status_t onednn_forward_desc(const onednn_library *library, const onednn_pass_descs *d,
                                  bool bias, dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    return dnnl_convolution_forward_primitive_desc_create(
        out, library->engine, attr ? dnnl_forward_inference : dnnl_forward_training,
        dnnl_convolution_direct, d->x, d->w, bias ? d->bias : NULL, d->y, d->strides, d->dilations,
        d->pad_before, d->pad_after, attr);
}
dnnl_status_t onednn_backward_desc(const onednn_library *library, const onednn_pass_descs *d,
                                   thaw_conv_pass pass, dnnl_primitive_attr_t attr,
                                   dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out)
{
    if (pass == THAW_CONV_BACKWARD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(
            out, library->engine, dnnl_convolution_direct, d->x, d->w, d->y, d->strides,
            d->dilations, d->pad_before, d->pad_after, hint, attr);
    return dnnl_convolution_backward_weights_primitive_desc_create(
        out, library->engine, dnnl_convolution_direct, d->x, d->w, NULL, d->y, d->strides,
        d->dilations, d->pad_before, d->pad_after, hint, attr);
}
dnnl_status_t onednn_append_act(dnnl_post_ops_t ops, thaw_act act, float six)
{
    return act == THAW_ACT_RELU ? dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0, 0)
                                : dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_clip, 0, six);
}
dnnl_status_t onednn_append_sum(dnnl_post_ops_t ops, float scale, dnnl_data_type_t type)
{
    return dnnl_post_ops_append_sum(ops, scale, 0, type == dnnl_f32 ? dnnl_data_type_undef : type);
}
dnnl_status_t onednn_scale_sums(dnnl_primitive_attr_t attr, int64_t O, const float *scales,
                                bool groups)
{
    (void)O;
    (void)scales;
    return dnnl_primitive_attr_set_scales_mask(attr, DNNL_ARG_WEIGHTS, groups ? 3 : 1);
}
int onednn_scales_argument(void)
{
    return DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS;
}
bool onednn_bias_before_scale(void)
{
    return false;
}
#else
dnnl_status_t onednn_forward_desc(const onednn_library *library, const onednn_pass_descs *d,
                                  bool bias, dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &desc, attr ? dnnl_forward_inference : dnnl_forward_training, dnnl_convolution_direct,
        &d->x, &d->w, bias ? &d->bias : NULL, &d->y, d->strides, d->dilations, d->pad_before,
        d->pad_after);
    return status == dnnl_success
               ? dnnl_primitive_desc_create(out, &desc, attr, library->engine, NULL)
               : status;
}
dnnl_status_t onednn_backward_desc(const onednn_library *library, const onednn_pass_descs *d,
                                   thaw_conv_pass pass, dnnl_primitive_attr_t attr,
                                   dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = pass == THAW_CONV_BACKWARD_DATA
                               ? dnnl_dilated_convolution_backward_data_desc_init(
                                     &desc, dnnl_convolution_direct, &d->x, &d->w, &d->y,
                                     d->strides, d->dilations, d->pad_before, d->pad_after)
                               : dnnl_dilated_convolution_backward_weights_desc_init(
                                     &desc, dnnl_convolution_direct, &d->x, &d->w, NULL, &d->y,
                                     d->strides, d->dilations, d->pad_before, d->pad_after);
    return status == dnnl_success
               ? dnnl_primitive_desc_create(out, &desc, attr, library->engine, hint)
               : status;
}
dnnl_status_t onednn_append_act(dnnl_post_ops_t ops, thaw_act act, float six)
{
    return act == THAW_ACT_RELU ? dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0)
                                : dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_clip, 0, six);
}
dnnl_status_t onednn_append_sum(dnnl_post_ops_t ops, float scale, dnnl_data_type_t type)
{
    return type == dnnl_f32 ? dnnl_post_ops_append_sum(ops, scale)
                            : dnnl_post_ops_append_sum_v2(ops, scale, type);
}
dnnl_status_t onednn_scale_sums(dnnl_primitive_attr_t attr, int64_t O, const float *scales,
                                bool groups)
{
    (void)groups;
    return dnnl_primitive_attr_set_output_scales(attr, O, 2, scales);
}
int onednn_scales_argument(void)
{
    return 0;
}
bool onednn_bias_before_scale(void)
{
    return true;
}
#endif

/* Strides of the outer dimensions and inner blocks; false for a form that is not blocked. */
bool onednn_desc_blocking(onednn_desc_ref desc, dnnl_dims_t strides, int *blocks, dnnl_dims_t sizes,
                          dnnl_dims_t dimensions)
{
#if DNNL_VERSION_MAJOR >= 3
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    const dnnl_dims_t *found[3] = {NULL, NULL, NULL};
    if (dnnl_memory_desc_query(desc, dnnl_query_format_kind, &kind) != dnnl_success ||
        kind != dnnl_blocked ||
        dnnl_memory_desc_query(desc, dnnl_query_inner_nblks_s32, blocks) != dnnl_success ||
        dnnl_memory_desc_query(desc, dnnl_query_strides, &found[0]) != dnnl_success ||
        dnnl_memory_desc_query(desc, dnnl_query_inner_blks, &found[1]) != dnnl_success ||
        dnnl_memory_desc_query(desc, dnnl_query_inner_idxs, &found[2]) != dnnl_success)
        return false;
    memcpy(strides, *found[0], sizeof *found[0]);
    memcpy(sizes, *found[1], sizeof *found[1]);
    memcpy(dimensions, *found[2], sizeof *found[2]);
#else
    if (desc->format_kind != dnnl_blocked || desc->extra.flags != 0)
        return false;
    const dnnl_blocking_desc_t *blocking = &desc->format_desc.blocking;
    *blocks = blocking->inner_nblks;
    memcpy(strides, blocking->strides, sizeof blocking->strides);
    memcpy(sizes, blocking->inner_blks, sizeof blocking->inner_blks);
    memcpy(dimensions, blocking->inner_idxs, sizeof blocking->inner_idxs);
#endif
    return true;
}

/* ---- library ---- */

thaw_status onednn_library_open(onednn_library **out)
{
    onednn_library *library = NULL;
    THAW_TRY(thaw_alloc(&library, 1, sizeof *library));
    settle_threads();
    dnnl_status_t status = dnnl_engine_create(&library->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = dnnl_stream_create(&library->stream, library->engine, dnnl_stream_default_flags);
    if (status != dnnl_success) {
        onednn_library_close(&library);
        return THAW_FAIL(THAW_ERR_FAIL, "oneDNN gives no CPU engine (its status %d)", (int)status);
    }
    *out = library;
    return THAW_OK;
}

void onednn_library_close(onednn_library **library)
{
    if (*library == NULL)
        return;
    if ((*library)->stream)
        (void)dnnl_stream_destroy((*library)->stream);
    if ((*library)->engine)
        (void)dnnl_engine_destroy((*library)->engine);
    thaw_free(library);
}

void onednn_library_title(char *out, size_t bytes)
{
    static const struct {
        unsigned bits;
        const char *name;
    } known[] = {{0x3e7, "AVX-512 AMX"}, {0xe7, "AVX-512 BF16"}, {0x67, "AVX-512 VNNI"},
                 {0x27, "AVX-512"},      {0x407, "AVX2 VNNI"},   {0x7, "AVX2"},
                 {0x3, "AVX"},           {0x1, "SSE4.1"},        {0, "plain"}};
    const dnnl_version_t *version = dnnl_version();
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    size_t i = 0;
    while ((isa & known[i].bits) != known[i].bits)
        i++;
    (void)thaw_format(out, bytes, "oneDNN %d.%d.%d %s", version->major, version->minor,
                      version->patch, known[i].name);
}

bool onednn_library_has_int8(void)
{
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    return (isa & 0x67) == 0x67;
}

int32_t onednn_library_block(void)
{
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    if ((isa & 0x27) == 0x27)
        return 16;
    return (isa & 0x7) == 0x7 ? 8 : 1;
}

bool onednn_library_gemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K,
                         float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                         float beta, float *c, int64_t ldc)
{
    return dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', M, N, K, alpha, a, lda, b,
                      ldb, beta, c, ldc) == dnnl_success;
}
