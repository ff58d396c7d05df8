#include "model/model_impl.h"

#define NAME 64

static void join(char out[NAME], const char *prefix, const char *name)
{
    bool fits = thaw_format(out, NAME, "%s%s%s", prefix, *prefix ? "." : "", name);
    THAW_ASSERT(fits);
}

static thaw_value conv(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                       int64_t channels, int64_t kernel, int64_t stride, int64_t pad,
                       int64_t groups)
{
    char full[NAME];
    join(full, prefix, name);
    thaw_conv2d_attr attr = {
        .out_channels = channels,
        .kernel_h = kernel,
        .kernel_w = kernel,
        .stride_h = stride,
        .stride_w = stride,
        .pad_h = pad,
        .pad_w = pad,
        .dilation_h = 1,
        .dilation_w = 1,
        .groups = groups,
        .init = THAW_INIT_KAIMING_NORMAL_FAN_OUT,
    };
    return thaw_graph_conv2d(g, full, x, &attr);
}

thaw_value model_conv(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                      int64_t channels, int64_t kernel, int64_t stride)
{
    return conv(g, prefix, name, x, channels, kernel, stride, (kernel - 1) / 2, 1);
}

thaw_value model_conv_with(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                           int64_t channels, int64_t kernel, int64_t stride, int64_t pad)
{
    return conv(g, prefix, name, x, channels, kernel, stride, pad, 1);
}

thaw_value model_depthwise(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                           int64_t kernel, int64_t stride)
{
    return model_depthwise_with(g, prefix, name, x, kernel, stride, (kernel - 1) / 2);
}

thaw_value model_depthwise_with(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                                int64_t kernel, int64_t stride, int64_t pad)
{
    int64_t channels = x >= 0 ? thaw_graph_value_shape(g, x).dim[0] : 1;
    return conv(g, prefix, name, x, channels, kernel, stride, pad, channels);
}

thaw_value model_norm(thaw_graph *g, const char *prefix, const char *name, thaw_value x)
{
    return model_norm_with(g, prefix, name, x, 1e-5f, 0.1f);
}

thaw_value model_norm_with(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                           float epsilon, float momentum)
{
    char full[NAME];
    join(full, prefix, name);
    return thaw_graph_batch_norm(g, full, x, epsilon, momentum);
}

thaw_value model_conv_norm(thaw_graph *g, const char *prefix, int i, thaw_value x, int64_t channels,
                           int64_t kernel, int64_t stride)
{
    char conv[16];
    char norm[16];
    bool fits =
        thaw_format(conv, sizeof conv, "conv%d", i) && thaw_format(norm, sizeof norm, "bn%d", i);
    THAW_ASSERT(fits);
    x = model_conv(g, prefix, conv, x, channels, kernel, stride);
    return model_norm(g, prefix, norm, x);
}
