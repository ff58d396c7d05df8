#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    char a[80], b[80];
    thaw_shape_format(&in[0], a, sizeof a);
    thaw_shape_format(&in[1], b, sizeof b);
    THAW_CHECK(thaw_shape_equal(&in[0], &in[1]), THAW_ERR_FAIL,
               "inputs %s and %s differ in shape; they must be equal", a, b);
    *out = in[0];
    return THAW_OK;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)in;
    return (node->attr.add.alpha == 1.0f ? 1.0 : 2.0) * (double)thaw_shape_count(out);
}

/* y = a + alpha b; y may be a */
static void forward(const thaw_call *call)
{
    thaw_kern_add(call->run->B * thaw_shape_count(&call->need->out), call->x[0],
                  call->need->node->attr.add.alpha, call->x[1], call->y);
}

/* da = dy, db = alpha dy; in this order, because db may take over the memory of dy and scale it there. */
static void backward(const thaw_call *call)
{
    int64_t n = call->run->B * thaw_shape_count(&call->need->out);
    const float factor[2] = {1.0f, call->need->node->attr.add.alpha};
    for (int32_t i = 0; i < 2; i++)
        if (call->dx[i] != NULL)
            thaw_pass_gradient(n, factor[i], call->dy, call->dx[i], call->accumulate[i]);
}

const thaw_op thaw_op_add = {
    .kind = "add",
    .input_count = 2,
    .in_place = true,
    .shape = shape,
    .flops = flops,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_add(thaw_graph *g, thaw_value a, thaw_value b, float alpha)
{
    thaw_node node = {.attr.add = {.alpha = alpha}};
    thaw_value inputs[2] = {a, b};
    return thaw_build(g, &thaw_op_add, "", &node, inputs);
}
