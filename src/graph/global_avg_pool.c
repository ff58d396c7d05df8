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

static thaw_image image_of(const thaw_call *call)
{
    const int64_t *in = call->need->in[0].dim;
    return (thaw_image){
        .B = call->run->B, .C = in[0], .H = in[1], .W = in[2], .block = call->need->block_in[0]};
}

static void forward(const thaw_call *call)
{
    const thaw_image s = image_of(call);
    thaw_kern_global_avg_pool(&s, call->x[0], call->y);
}

static void backward(const thaw_call *call)
{
    const thaw_image s = image_of(call);
    thaw_kern_global_avg_pool_backward(&s, call->dy, call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_global_avg_pool = {
    .kind = "global_avg_pool",
    .input_count = 1,
    .layouts = THAW_LAYOUTS_INPUT,
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
