/* Floats into bytes and back. Only lowering makes such nodes. */
#include "thaw/graph.h"

#include "graph/plan_impl.h"

static thaw_image image(const thaw_need *need, int64_t B, int32_t block)
{
    return (thaw_image){.B = B,
                        .C = need->out.dim[0],
                        .H = need->out.dim[1],
                        .W = need->out.dim[2],
                        .block = block};
}

static void to_bytes(const thaw_call *call)
{
    const thaw_need *need = call->need;
    const thaw_image s = image(need, call->run->B, need->block_in[0]);
    thaw_kern_quantize(&s, call->x[0], need->scale_out, need->form_out == THAW_FORM_SIGNED_BYTES,
                       call->y);
}

static void to_floats(const thaw_call *call)
{
    const thaw_need *need = call->need;
    const thaw_image s = image(need, call->run->B, need->block_out);
    thaw_kern_dequantize(&s, call->x[0], need->scale_in[0],
                         need->form_in[0] == THAW_FORM_SIGNED_BYTES, call->y);
}

const thaw_op thaw_op_quantize = {
    .kind = "quantize",
    .input_count = 1,
    .layouts = THAW_LAYOUTS_INPUT,
    .flops = thaw_flops_none,
    .forward = to_bytes,
};

const thaw_op thaw_op_dequantize = {
    .kind = "dequantize",
    .input_count = 1,
    .flops = thaw_flops_none,
    .forward = to_floats,
};
