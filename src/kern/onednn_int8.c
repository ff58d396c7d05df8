/* onednn_int8.c - convolutions in 8 bits by oneDNN. */
#include "kern/onednn_impl.h"

#include "kern/conv_int8_impl.h"

static thaw_status open_conv(const thaw_kern *k, const thaw_conv8_spec *spec, const float *scales,
                             void **out)
{
    thaw_conv_spec plan = {.shape = spec->shape,
                           .block_in = 1,
                           .block_out = 1,
                           .bias = spec->bias,
                           .act = spec->act,
                           .add = spec->add};
    float unit = spec->y_float ? 1.0f : spec->y_scale;
    onednn_bytes bytes = {.scales = scales,
                          .x_signed = spec->x_signed,
                          .y_signed = spec->y_signed,
                          .y_float = spec->y_float,
                          .add_signed = spec->add_signed,
                          .add_scale = spec->add_scale / unit,
                          .six = 6 / unit};
    onednn_conv *conv = NULL;
    THAW_TRY(onednn_conv_new(onednn_library_of(k), &plan, THAW_CONV_FORWARD, &bytes, &conv));
    *out = conv;
    return THAW_OK;
}

static void close_conv(void **conv)
{
    onednn_conv *own = *conv;
    onednn_conv_free(&own);
    *conv = NULL;
}

static size_t weight_bytes(const void *conv)
{
    return onednn_conv_form(conv)->bytes;
}

static size_t scratch_bytes(const void *conv)
{
    return onednn_conv_scratch_bytes(conv);
}

static void pack(void *conv, const int8_t *w, void *packed)
{
    onednn_conv_pack(conv, w, packed);
}

static void run(void *conv, int64_t B, const void *x, const void *weights, const float *bias,
                void *y, void *scratch)
{
    onednn_arrays arrays = {
        .data = x, .weights = weights, .bias = bias, .result = y, .scratch = scratch};
    onednn_conv_run(conv, B, &arrays);
}

const conv_int8_library kern_onednn_int8 = {.open = open_conv,
                                            .close = close_conv,
                                            .weight_bytes = weight_bytes,
                                            .scratch_bytes = scratch_bytes,
                                            .bias_before_scale = onednn_bias_before_scale,
                                            .pack = pack,
                                            .run = run};
