#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    *out = in[0];
    return THAW_OK;
}

static int64_t count(const thaw_call *call)
{
    return call->run->B * thaw_shape_count(&call->need->out);
}

/* Its slope at every element: forward has it at hand, and the input need not stay. */
static thaw_keep keep(const thaw_need *need)
{
    size_t bytes = (size_t)need->B * (size_t)thaw_shape_count(&need->out) * sizeof(float);
    return (thaw_keep){.saved_bytes = need->active ? bytes : 0};
}

static void forward(const thaw_call *call)
{
    thaw_kern_gelu(count(call), call->need->node->attr.gelu.tanh_form, call->x[0], call->y,
                   call->saved);
}

static void backward(const thaw_call *call)
{
    thaw_kern_multiply(count(call), call->dy, call->saved, call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_gelu = {
    .kind = "gelu",
    .input_count = 1,
    .in_place = true,
    .shape = shape,
    .flops = thaw_flops_elementwise,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_gelu(thaw_graph *g, thaw_value x, bool tanh_form)
{
    thaw_node node = {.attr.gelu = {.tanh_form = tanh_form}};
    return thaw_build(g, &thaw_op_gelu, "", &node, &x);
}
