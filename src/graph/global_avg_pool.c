#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    THAW_TRY(thaw_check_image(&in[0]));
    *out = thaw_shape1(in[0].dim[0]);
    return THAW_OK;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    (void)out;
    return (double)thaw_shape_count(&in[0]);
}

static void forward(const thaw_call *call)
{
    const thaw_shape *in = &call->need->in[0];
    thaw_kern_global_avg_pool(call->run->B, in->dim[0], in->dim[1] * in->dim[2], call->x[0],
                              call->y);
}

static void backward(const thaw_call *call)
{
    const thaw_shape *in = &call->need->in[0];
    thaw_kern_global_avg_pool_backward(call->run->B, in->dim[0], in->dim[1] * in->dim[2], call->dy,
                                       call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_global_avg_pool = {
    .kind = "global_avg_pool",
    .input_count = 1,
    .shape = shape,
    .flops = flops,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_global_avg_pool(thaw_graph *g, thaw_value x)
{
    thaw_node node = {0};
    return thaw_build(g, &thaw_op_global_avg_pool, "", &node, &x);
}
