#include "thaw/graph.h"

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
    thaw_kern_tanh(call->run->B * thaw_shape_count(&call->need->out), call->x[0], call->y);
}

static void backward(const thaw_call *call)
{
    thaw_kern_tanh_backward(call->run->B * thaw_shape_count(&call->need->out), call->y, call->dy,
                            call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_tanh = {
    .kind = "tanh",
    .input_count = 1,
    .in_place = true,
    .shape = shape,
    .flops = thaw_flops_elementwise,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_tanh(thaw_graph *g, thaw_value x)
{
    thaw_node node = {0};
    return thaw_build(g, &thaw_op_tanh, "", &node, &x);
}
