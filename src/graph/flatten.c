#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    *out = thaw_shape1(thaw_shape_count(&in[0]));
    return THAW_OK;
}

static void backward(const thaw_call *call)
{
    thaw_pass_gradient(call->run->B * thaw_shape_count(&call->need->out), 1.0f, call->dy,
                       call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_flatten = {
    .kind = "flatten",
    .input_count = 1,
    .in_place = true,
    .view = true,
    .shape = shape,
    .flops = thaw_flops_none,
    .backward = backward,
};

thaw_value thaw_graph_flatten(thaw_graph *g, thaw_value x)
{
    thaw_node node = {0};
    return thaw_build(g, &thaw_op_flatten, "", &node, &x);
}
