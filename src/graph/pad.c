#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    const thaw_border *b = &node->attr.border;
    THAW_TRY(thaw_check_image(&in[0]));
    THAW_CHECK(b->top >= 0 && b->bottom >= 0 && b->left >= 0 && b->right >= 0, THAW_ERR_FAIL,
               "a border cannot be negative");
    *out = thaw_shape_make(3, (int64_t[]){in[0].dim[0], in[0].dim[1] + b->top + b->bottom,
                                          in[0].dim[2] + b->left + b->right});
    return THAW_OK;
}

static void forward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    thaw_kern_pad(&s, &call->need->node->attr.border, call->x[0], call->y);
}

static void backward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    thaw_kern_pad_backward(&s, &call->need->node->attr.border, call->dy, call->dx[0],
                           call->accumulate[0]);
}

const thaw_op thaw_op_pad = {
    .kind = "pad",
    .input_count = 1,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = shape,
    .flops = thaw_flops_none,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_pad(thaw_graph *g, thaw_value x, const thaw_border *border)
{
    thaw_node node = {.attr.border = *border};
    return thaw_build(g, &thaw_op_pad, "", &node, &x);
}
