#include "thaw/graph.h"

#include "graph/op_impl.h"
#include "graph/pool_impl.h"

static void forward(const thaw_call *call)
{
    thaw_pool2d s = thaw_pool_sizes(call->need, call->run->B);
    thaw_kern_avg_pool(&s, call->x[0], call->y);
}

static void backward(const thaw_call *call)
{
    thaw_pool2d s = thaw_pool_sizes(call->need, call->run->B);
    thaw_kern_avg_pool_backward(&s, call->dy, call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_avg_pool = {
    .kind = "avg_pool",
    .input_count = 1,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = thaw_pool_shape,
    .flops = thaw_pool_flops,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_avg_pool(thaw_graph *g, thaw_value x, int64_t kernel, int64_t stride,
                               int64_t pad)
{
    thaw_node node = {.attr.pool = {.kernel = kernel, .stride = stride, .pad = pad}};
    return thaw_build(g, &thaw_op_avg_pool, "", &node, &x);
}
