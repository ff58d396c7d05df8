#include "thaw/graph.h"

#include "graph/op_impl.h"

/* The first token is the class's and no patch, and so are those of a prompt behind it. */
static int64_t others(const thaw_node *node)
{
    return 1 + node->attr.mean_patch.front;
}

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    char text[80];
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(in[0].ndim == 2 && in[0].dim[0] > others(node), THAW_ERR_FAIL,
               "input %s is not (T, D) with a class token and at least one patch", text);
    *out = thaw_shape1(in[0].dim[1]);
    return THAW_OK;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    (void)out;
    return (double)thaw_shape_count(&in[0]);
}

/* y (B, D) = sum over the N patches of x (B, T, D) / N */
static void forward(const thaw_call *call)
{
    const int64_t T = call->need->in[0].dim[0];
    const int64_t D = call->need->in[0].dim[1];
    const int64_t first = others(call->need->node);
    thaw_kern_fill(call->run->B * D, 0.0f, call->y);
    for (int64_t b = 0; b < call->run->B; b++)
        for (int64_t t = first; t < T; t++)
            thaw_kern_axpy(D, 1.0f / (float)(T - first), call->x[0] + (b * T + t) * D,
                           call->y + b * D);
}

static void backward(const thaw_call *call)
{
    const int64_t T = call->need->in[0].dim[0];
    const int64_t D = call->need->in[0].dim[1];
    const int64_t first = others(call->need->node);
    for (int64_t i = 0; i < call->run->B * T; i++)
        thaw_pass_gradient(D, i % T < first ? 0.0f : 1.0f / (float)(T - first),
                           call->dy + i / T * D, call->dx[0] + i * D, call->accumulate[0]);
}

const thaw_op thaw_op_mean_patch = {
    .kind = "mean_patch",
    .input_count = 1,
    .shape = shape,
    .flops = flops,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_mean_patch(thaw_graph *g, thaw_value x)
{
    thaw_node node = {0};
    return thaw_build(g, &thaw_op_mean_patch, "", &node, &x);
}
