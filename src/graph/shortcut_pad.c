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

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    (void)in;
    (void)out;
    return 0;
}

/* Half of the new channels in front, the rest behind: F.pad of He et al. 2016's CIFAR networks as PyTorch users write it. */
static int64_t first_channel(const thaw_need *need)
{
    return (need->out.dim[0] - need->in[0].dim[0]) / 2;
}

static void forward(const thaw_call *call)
{
    const int64_t *in = call->need->in[0].dim;
    const int64_t *out = call->need->out.dim;
    int64_t stride = call->need->node->attr.shortcut.stride;
    int64_t first = first_channel(call->need);
    thaw_kern_fill(call->run->B * thaw_shape_count(&call->need->out), 0.0f, call->y);
    for (int64_t b = 0; b < call->run->B; b++)
        for (int64_t c = 0; c < in[0]; c++) {
            const float *x = call->x[0] + (b * in[0] + c) * in[1] * in[2];
            float *y = call->y + (b * out[0] + first + c) * out[1] * out[2];
            for (int64_t h = 0; h < out[1]; h++)
                for (int64_t w = 0; w < out[2]; w++)
                    y[h * out[2] + w] = x[h * stride * in[2] + w * stride];
        }
}

static void backward(const thaw_call *call)
{
    const int64_t *in = call->need->in[0].dim;
    const int64_t *out = call->need->out.dim;
    int64_t stride = call->need->node->attr.shortcut.stride;
    int64_t first = first_channel(call->need);
    if (!call->accumulate[0])
        thaw_kern_fill(call->run->B * thaw_shape_count(&call->need->in[0]), 0.0f, call->dx[0]);
    for (int64_t b = 0; b < call->run->B; b++)
        for (int64_t c = 0; c < in[0]; c++) {
            float *dx = call->dx[0] + (b * in[0] + c) * in[1] * in[2];
            const float *dy = call->dy + (b * out[0] + first + c) * out[1] * out[2];
            for (int64_t h = 0; h < out[1]; h++)
                for (int64_t w = 0; w < out[2]; w++)
                    dx[h * stride * in[2] + w * stride] += dy[h * out[2] + w];
        }
}

const thaw_op thaw_op_shortcut_pad = {
    .kind = "shortcut_pad",
    .input_count = 1,
    .shape = shape,
    .flops = flops,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_shortcut_pad(thaw_graph *g, thaw_value x, int64_t out_channels,
                                   int64_t stride)
{
    thaw_node node = {.attr.shortcut = {.out_channels = out_channels, .stride = stride}};
    return thaw_build(g, &thaw_op_shortcut_pad, "", &node, &x);
}
