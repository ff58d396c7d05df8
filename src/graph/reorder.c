/* One value in another layout. Only lowering makes such nodes, so that they can be counted. */
#include "graph/plan_impl.h"

static thaw_image image(const thaw_need *need, int64_t B, int32_t block)
{
    return (thaw_image){.B = B,
                        .C = need->out.dim[0],
                        .H = need->out.dim[1],
                        .W = need->out.dim[2],
                        .block = block};
}

static void forward(const thaw_call *call)
{
    const thaw_need *need = call->need;
    const thaw_image from = image(need, call->run->B, need->block_in[0]);
    thaw_kern_reorder(&from, call->x[0], need->block_out, call->y, false);
}

static void backward(const thaw_call *call)
{
    const thaw_need *need = call->need;
    const thaw_image from = image(need, call->run->B, need->block_out);
    thaw_kern_reorder(&from, call->dy, need->block_in[0], call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_reorder = {
    .kind = "reorder",
    .input_count = 1,
    .flops = thaw_flops_none,
    .forward = forward,
    .backward = backward,
};
