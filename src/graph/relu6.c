#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    *out = in[0];
    return THAW_OK;
}

static int64_t count(const thaw_call *call)
{
    return call->run->B * call->need->out_count;
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.output = need->active};
}

static void forward(const thaw_call *call)
{
    thaw_kern_relu6(count(call), call->x[0], call->y);
}

static void backward(const thaw_call *call)
{
    thaw_kern_relu6_backward(count(call), call->y, call->dy, call->dx[0], call->accumulate[0]);
}

static size_t branch_bytes(const thaw_need *need)
{
    return (size_t)need->B * (size_t)need->out_count * sizeof(float);
}

static void take_branches(const thaw_call *call, void *branches)
{
    memcpy(branches, call->y, (size_t)count(call) * sizeof *call->y);
}

/* y = x where the old y lay between the kinks, else the old y. */
static void forward_on(const thaw_call *call, const void *branches)
{
    const float *old = branches;
    for (int64_t i = 0; i < count(call); i++)
        call->y[i] = old[i] > 0.0f && old[i] < 6.0f ? call->x[0][i] : old[i];
}

const thaw_op thaw_op_relu6 = {
    .kind = "relu6",
    .input_count = 1,
    .in_place = true,
    .act = THAW_ACT_RELU6,
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

thaw_value thaw_graph_relu6(thaw_graph *g, thaw_value x)
{
    thaw_node node = {0};
    return thaw_build(g, &thaw_op_relu6, "", &node, &x);
}
