#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_conv2d make(const thaw_node *node, const thaw_shape *in, int64_t B)
{
    const thaw_conv2d_attr *a = &node->attr.conv2d;
    return (thaw_conv2d){.B = B,
                         .C = in->dim[0],
                         .H = in->dim[1],
                         .W = in->dim[2],
                         .O = a->out_channels,
                         .KH = a->kernel_h,
                         .KW = a->kernel_w,
                         .stride_h = a->stride_h,
                         .stride_w = a->stride_w,
                         .pad_h = a->pad_h,
                         .pad_w = a->pad_w,
                         .dilation_h = a->dilation_h,
                         .dilation_w = a->dilation_w,
                         .groups = a->groups};
}

static thaw_conv2d sizes(const thaw_node *node, const thaw_shape *in, int64_t B)
{
    thaw_conv2d s = make(node, in, B);
    bool fits = thaw_conv2d_output(&s);
    THAW_ASSERT(fits);
    return s;
}

static thaw_status check_attributes(const thaw_conv2d_attr *a)
{
    const struct {
        const char *name;
        int64_t value, least;
    } rows[] = {
        {"out_channels", a->out_channels, 1},
        {"kernel_h", a->kernel_h, 1},
        {"kernel_w", a->kernel_w, 1},
        {"stride_h", a->stride_h, 1},
        {"stride_w", a->stride_w, 1},
        {"pad_h", a->pad_h, 0},
        {"pad_w", a->pad_w, 0},
        {"dilation_h", a->dilation_h, 1},
        {"dilation_w", a->dilation_w, 1},
        {"groups", a->groups, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        THAW_CHECK(rows[i].value >= rows[i].least && rows[i].value <= INT32_MAX, THAW_ERR_FAIL,
                   "%s %lld is outside %lld..%d", rows[i].name, (long long)rows[i].value,
                   (long long)rows[i].least, INT32_MAX);
    return THAW_OK;
}

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    const thaw_conv2d_attr *a = &node->attr.conv2d;
    char text[80];
    THAW_TRY(thaw_check_image(&in[0]));
    THAW_TRY(check_attributes(a));
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(in[0].dim[0] % a->groups == 0 && a->out_channels % a->groups == 0, THAW_ERR_FAIL,
               "groups %lld must divide the channels of input %s and out_channels %lld",
               (long long)a->groups, text, (long long)a->out_channels);
    thaw_conv2d s = make(node, &in[0], 1);
    THAW_CHECK(thaw_conv2d_output(&s), THAW_ERR_FAIL,
               "kernel %lld x %lld with dilation %lld x %lld does not fit into input %s with "
               "padding %lld x %lld; use larger images or more padding",
               (long long)a->kernel_h, (long long)a->kernel_w, (long long)a->dilation_h,
               (long long)a->dilation_w, text, (long long)a->pad_h, (long long)a->pad_w);
    *out = thaw_shape_make(3, (int64_t[]){s.O, s.OH, s.OW});
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    const thaw_conv2d_attr *a = &node->attr.conv2d;
    int64_t C = in[0].dim[0] / a->groups;
    int64_t area = a->kernel_h * a->kernel_w;
    /* Fans as PyTorch counts them: from the weight's shape (O, C / groups, KH, KW). */
    specs[0] = (thaw_param_spec){.suffix = "weight",
                                 .shape = thaw_shape4(a->out_channels, C, a->kernel_h, a->kernel_w),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = a->init,
                                 .fan_in = C * area,
                                 .fan_out = a->out_channels * area};
    specs[1] = (thaw_param_spec){.suffix = "bias",
                                 .shape = thaw_shape1(a->out_channels),
                                 .role = THAW_ROLE_BIAS,
                                 .init = THAW_INIT_BIAS_UNIFORM,
                                 .fan_in = C * area,
                                 .fan_out = a->out_channels * area};
    return a->bias ? 2 : 1;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    const thaw_conv2d_attr *a = &node->attr.conv2d;
    double per_output = (double)(in[0].dim[0] / a->groups * a->kernel_h * a->kernel_w);
    return 2.0 * per_output * (double)thaw_shape_count(out);
}

/* A frozen weight does not need the input: LoRA on a frozen convolution keeps it once, not twice. */
static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.input = need->dparam[0]};
}

static size_t workspace(const thaw_kern *kern, const thaw_need *need)
{
    thaw_conv2d s = sizes(need->node, &need->in[0], need->B);
    return kern->conv2d_workspace(kern, &s);
}

static void forward(const thaw_call *call)
{
    thaw_conv2d s = sizes(call->need->node, &call->need->in[0], call->run->B);
    const float *bias = call->need->node->attr.conv2d.bias ? call->param[1] : NULL;
    call->kern->conv2d_forward(call->kern, &s, call->x[0], call->param[0], bias, call->y,
                               call->workspace);
}

static void backward_bias(const thaw_conv2d *s, const float *dy, float *dbias)
{
    int64_t S = s->OH * s->OW;
    for (int64_t o = 0; o < s->O; o++) {
        double sum = 0;
        for (int64_t b = 0; b < s->B; b++)
            sum += thaw_kern_sum(S, dy + (b * s->O + o) * S);
        dbias[o] += (float)sum;
    }
}

static void backward(const thaw_call *call)
{
    const thaw_kern *kern = call->kern;
    thaw_conv2d s = sizes(call->need->node, &call->need->in[0], call->run->B);
    float *dw = call->dparam[0];
    float *dbias = call->need->node->attr.conv2d.bias ? call->dparam[1] : NULL;
    /* Backends compute dbias beside dw; where only the bias trains (BitFit), x was not kept. */
    if (dw != NULL)
        kern->conv2d_backward_weights(kern, &s, call->x[0], call->dy, dw, dbias, call->workspace);
    else if (dbias != NULL)
        backward_bias(&s, call->dy, dbias);
    if (call->dx[0] != NULL)
        kern->conv2d_backward_data(kern, &s, call->param[0], call->dy, call->dx[0],
                                   call->accumulate[0], call->workspace);
}

const thaw_op thaw_op_conv2d = {
    .kind = "conv2d",
    .input_count = 1,
    .shape = shape,
    .params = params,
    .flops = flops,
    .keep = keep,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_conv2d(thaw_graph *g, const char *name, thaw_value x,
                             const thaw_conv2d_attr *attr)
{
    thaw_node node = {.attr.conv2d = *attr};
    return thaw_build(g, &thaw_op_conv2d, name, &node, &x);
}
