#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    char text[80];
    int64_t index = node->attr.select_token.index;
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(in[0].ndim == 2, THAW_ERR_FAIL, "input %s is not (T, D)", text);
    THAW_CHECK(index >= 0 && index < in[0].dim[0], THAW_ERR_FAIL, "input %s has no token %lld",
               text, (long long)index);
    *out = thaw_shape1(in[0].dim[1]);
    return THAW_OK;
}

/* y (B, D) = x (B, T, D) at one t */
static void forward(const thaw_call *call)
{
    int64_t T = call->need->in[0].dim[0];
    int64_t D = call->need->in[0].dim[1];
    int64_t t = call->need->node->attr.select_token.index;
    for (int64_t b = 0; b < call->run->B; b++)
        memcpy(call->y + b * D, call->x[0] + (b * T + t) * D, (size_t)D * sizeof(float));
}

static void backward(const thaw_call *call)
{
    int64_t T = call->need->in[0].dim[0];
    int64_t D = call->need->in[0].dim[1];
    int64_t t = call->need->node->attr.select_token.index;
    if (!call->accumulate[0])
        thaw_kern_fill(call->run->B * T * D, 0.0f, call->dx[0]);
    for (int64_t b = 0; b < call->run->B; b++)
        thaw_kern_axpy(D, 1.0f, call->dy + b * D, call->dx[0] + (b * T + t) * D);
}

const thaw_op thaw_op_select_token = {
    .kind = "select_token",
    .input_count = 1,
    .shape = shape,
    .flops = thaw_flops_none,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_select_token(thaw_graph *g, thaw_value x, int64_t index)
{
    thaw_node node = {.attr.select_token = {.index = index}};
    return thaw_build(g, &thaw_op_select_token, "", &node, &x);
}
