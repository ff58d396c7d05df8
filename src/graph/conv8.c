/* A frozen convolution on bytes, with what was folded and fused into it. Only lowering makes such nodes. */
#include "thaw/graph.h"

#include <string.h>

#include "graph/plan_impl.h"

static thaw_conv2d sizes(const thaw_need *need)
{
    const thaw_conv2d_attr *a = &need->node->attr.conv2d;
    thaw_conv2d s = {.B = need->B,
                     .C = need->in[0].dim[0],
                     .H = need->in[0].dim[1],
                     .W = need->in[0].dim[2],
                     .O = a->out_channels,
                     .KH = a->kernel_h,
                     .KW = a->kernel_w,
                     .stride_h = a->stride_h,
                     .stride_w = a->stride_w,
                     .pad_h = a->pad_h,
                     .pad_w = a->pad_w,
                     .dilation_h = a->dilation_h,
                     .dilation_w = a->dilation_w,
                     .groups = a->groups};
    bool fits = thaw_conv2d_output(&s);
    THAW_ASSERT(fits);
    return s;
}

static bool has_bias(const thaw_node *node)
{
    return node->attr.conv2d.bias || node->folded;
}

static thaw_conv8_spec spec_of(const thaw_need *need)
{
    const thaw_node *node = need->node;
    return (thaw_conv8_spec){.shape = sizes(need),
                             .x_signed = need->form_in[0] == THAW_FORM_SIGNED_BYTES,
                             .y_signed = need->form_out == THAW_FORM_SIGNED_BYTES,
                             .bias = has_bias(node),
                             .act = node->act,
                             .add = node->residual,
                             .add_signed =
                                 node->residual && need->form_in[1] == THAW_FORM_SIGNED_BYTES,
                             .x_scale = need->scale_in[0],
                             .y_scale = need->scale_out,
                             .add_scale = node->residual ? need->scale_in[1] : 1.0f};
}

/* The scales of the weights are part of what the library settles beforehand. */
static thaw_status prepare(const thaw_call *call, void **object)
{
    const thaw_conv8_spec spec = spec_of(call->need);
    const thaw_conv2d *s = &spec.shape;
    thaw_conv8 *conv = NULL;
    float *weights = NULL;
    float *bias = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&weights, s->O * s->C / s->groups * s->KH * s->KW, sizeof *weights));
    THAW_TRY_TO(thaw_alloc(&bias, s->O, sizeof *bias));
    if (call->need->node->folded)
        thaw_fold_weights(call, weights, bias);
    status = thaw_conv8_new(call->kern, &spec, call->need->node->folded ? weights : call->param[0],
                            &conv);
    *object = conv;
done:
    thaw_free(&bias);
    thaw_free(&weights);
    return status;
}

static void release(void **object)
{
    thaw_conv8 *conv = *object;
    thaw_conv8_free(&conv);
    *object = NULL;
}

static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)need;
    return backward ? 0 : thaw_conv8_workspace_bytes(object);
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* [folded bias (O)] [packed weights] */
static size_t bias_bytes(const thaw_need *need)
{
    return rounded((size_t)need->out.dim[0] * sizeof(float));
}

static size_t constant_bytes(const thaw_need *need, const void *object)
{
    return bias_bytes(need) + thaw_conv8_packed_bytes(object);
}

static thaw_status fill(const thaw_call *call, void *constants, float *scratch)
{
    const thaw_node *node = call->need->node;
    const float *weights = call->param[0];
    const float *bias = node->attr.conv2d.bias ? call->param[1] : NULL;
    if (node->folded) {
        thaw_fold_weights(call, scratch, constants);
        weights = scratch;
        bias = constants;
    }
    return thaw_conv8_pack(call->object, weights, bias, (char *)constants + bias_bytes(call->need));
}

static void forward(const thaw_call *call)
{
    const thaw_need *need = call->need;
    if (need->node->residual && call->y != call->x[1])
        memcpy(call->y, call->x[1], (size_t)(call->run->B * need->out_count));
    thaw_conv8_run(call->object, call->run->B, call->x[0],
                   (const char *)call->constants + bias_bytes(need), call->y, call->workspace);
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    return thaw_op_conv2d.flops(node, in, out);
}

const thaw_op thaw_op_conv8 = {
    .kind = "conv8",
    .input_count = 1,
    .flops = flops,
    .prepare = prepare,
    .release = release,
    .workspace = workspace,
    .constant_bytes = constant_bytes,
    .fill = fill,
    .forward = forward,
};
