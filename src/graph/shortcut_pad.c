#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    int64_t O = node->attr.shortcut.out_channels;
    int64_t stride = node->attr.shortcut.stride;
    char text[80];
    THAW_TRY(thaw_check_image(&in[0]));
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(stride > 0, THAW_ERR_FAIL, "stride %lld must be positive", (long long)stride);
    THAW_CHECK(O >= in[0].dim[0], THAW_ERR_FAIL,
               "out_channels %lld is less than the channels of input %s", (long long)O, text);
    *out = thaw_shape_make(
        3, (int64_t[]){O, (in[0].dim[1] - 1) / stride + 1, (in[0].dim[2] - 1) / stride + 1});
    return THAW_OK;
}

static void forward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    thaw_kern_shortcut_pad(&s, node->attr.shortcut.out_channels, node->attr.shortcut.stride,
                           call->x[0], call->y);
}

static void backward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    thaw_kern_shortcut_pad_backward(&s, node->attr.shortcut.out_channels,
                                    node->attr.shortcut.stride, call->dy, call->dx[0],
                                    call->accumulate[0]);
}

const thaw_op thaw_op_shortcut_pad = {
    .kind = "shortcut_pad",
    .input_count = 1,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = shape,
    .flops = thaw_flops_none,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_shortcut_pad(thaw_graph *g, thaw_value x, int64_t out_channels,
                                   int64_t stride)
{
    thaw_node node = {.attr.shortcut = {.out_channels = out_channels, .stride = stride}};
    return thaw_build(g, &thaw_op_shortcut_pad, "", &node, &x);
}
