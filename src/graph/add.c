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

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.output = need->active && need->node->act != THAW_ACT_NONE};
}

/* y = act(a + alpha b); y may be a */
static void forward(const thaw_call *call)
{
    const thaw_node *node = call->need->node;
    thaw_kern_add_act(call->run->B * call->need->out_count, call->x[0], node->attr.add.alpha,
                      call->x[1], node->act, call->y);
}

/* da = dy, db = alpha dy; an input that takes over the memory of dy, and may scale it there, comes last. */
static void backward(const thaw_call *call)
{
    const thaw_node *node = call->need->node;
    int64_t n = call->run->B * call->need->out_count;
    const float factor[2] = {1.0f, node->attr.add.alpha};
    const int32_t last = call->dx[0] == call->dy ? 0 : 1;
    const int32_t order[2] = {1 - last, last};
    if (node->act != THAW_ACT_NONE)
        thaw_kern_act_backward(n, node->act, call->y, call->dy, call->dy, false);
    for (int32_t i = 0; i < 2; i++)
        if (call->dx[order[i]] != NULL)
            thaw_pass_gradient(n, factor[order[i]], call->dy, call->dx[order[i]],
                               call->accumulate[order[i]]);
}

const thaw_op thaw_op_add = {
    .kind = "add",
    .input_count = 2,
    .in_place = true,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = shape,
    .flops = flops,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_add(thaw_graph *g, thaw_value a, thaw_value b, float alpha)
{
    thaw_node node = {.attr.add = {.alpha = alpha}};
    thaw_value inputs[2] = {a, b};
    return thaw_build(g, &thaw_op_add, "", &node, inputs);
}
