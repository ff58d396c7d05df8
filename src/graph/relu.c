#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    *out = in[0];
    return THAW_OK;
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.output = need->active};
}

static void forward(const thaw_call *call)
{
    thaw_kern_relu(call->run->B * call->need->out_count, call->x[0], call->y);
}

static void backward(const thaw_call *call)
{
    thaw_kern_relu_backward(call->run->B * call->need->out_count, call->y, call->dy, call->dx[0],
                            call->accumulate[0]);
}

static size_t branch_bytes(const thaw_need *need)
{
    return (size_t)need->B * (size_t)need->out_count * sizeof(float);
}

static void take_branches(const thaw_call *call, void *branches)
{
    size_t n = (size_t)call->run->B * (size_t)call->need->out_count;
    memcpy(branches, call->y, n * sizeof *call->y);
}

/* y = x where the old y was positive: what backward does with dy. */
static void forward_on(const thaw_call *call, const void *branches)
{
    thaw_kern_relu_backward(call->run->B * call->need->out_count, branches, call->x[0], call->y,
                            false);
}

const thaw_op thaw_op_relu = {
    .kind = "relu",
    .input_count = 1,
    .in_place = true,
    .act = THAW_ACT_RELU,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = shape,
    .flops = thaw_flops_elementwise,
    .keep = keep,
    .forward = forward,
    .backward = backward,
    .branch_bytes = branch_bytes,
    .take_branches = take_branches,
    .forward_on = forward_on,
};

thaw_value thaw_graph_relu(thaw_graph *g, thaw_value x)
{
    thaw_node node = {0};
    return thaw_build(g, &thaw_op_relu, "", &node, &x);
}
