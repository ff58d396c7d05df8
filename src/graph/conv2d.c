#include "thaw/graph.h"

#include <math.h>
#include <string.h>

#include "graph/plan_impl.h"

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
    return (thaw_keep){.first_input = need->dparam[0],
                       .output = need->active && need->node->act != THAW_ACT_NONE};
}

/* ---- The planned convolution ---- */

static thaw_conv_spec spec_of(const thaw_need *need)
{
    const thaw_node *node = need->node;
    thaw_conv_spec spec = {.shape = sizes(node, &need->in[0], need->B),
                           .block_in = need->block_in[0],
                           .block_out = need->block_out,
                           .bias = node->attr.conv2d.bias || node->folded,
                           .act = node->act,
                           .add = node->residual};
    spec.wanted[THAW_CONV_FORWARD] = true;
    spec.wanted[THAW_CONV_BACKWARD_DATA] = need->dx[0];
    spec.wanted[THAW_CONV_BACKWARD_WEIGHTS] = need->dparam[0];
    return spec;
}

static bool fits(const thaw_kern *kern, const thaw_need *need)
{
    const thaw_conv_spec spec = spec_of(need);
    return (need->block_out == 1 || !spec.add || need->block_in[1] == need->block_out) &&
           thaw_conv_fits(kern, &spec);
}

static thaw_status prepare(const thaw_call *call, void **object)
{
    const thaw_conv_spec spec = spec_of(call->need);
    thaw_conv *conv = NULL;
    THAW_TRY(thaw_conv_new(call->kern, &spec, &conv));
    *object = conv;
    return THAW_OK;
}

static void release(void **object)
{
    thaw_conv *conv = *object;
    thaw_conv_free(&conv);
    *object = NULL;
}

static const char *algorithm(const void *object)
{
    return thaw_conv_algorithm(object, THAW_CONV_FORWARD);
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Weights that train are packed at every use, in front of the scratch memory. */
static size_t packed_per_use(const thaw_need *need, const thaw_conv *conv, thaw_conv_pass pass)
{
    return need->frozen[0] ? 0 : rounded(thaw_conv_packed_bytes(conv, pass));
}

static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    const thaw_conv *conv = object;
    if (!backward)
        return packed_per_use(need, conv, THAW_CONV_FORWARD) +
               thaw_conv_workspace_bytes(conv, THAW_CONV_FORWARD);
    size_t data = 0;
    size_t weights = 0;
    if (need->dx[0])
        data = packed_per_use(need, conv, THAW_CONV_BACKWARD_DATA) +
               thaw_conv_workspace_bytes(conv, THAW_CONV_BACKWARD_DATA);
    if (need->dparam[0])
        weights = thaw_conv_workspace_bytes(conv, THAW_CONV_BACKWARD_WEIGHTS);
    return data > weights ? data : weights;
}

/* ---- Constants: [folded bias (O)] [forward's weights] [backward's weights], each on a cache line ---- */

static size_t weight_bytes(const thaw_need *need)
{
    const thaw_conv2d s = sizes(need->node, &need->in[0], 1);
    return (size_t)(s.O * s.C / s.groups * s.KH * s.KW) * sizeof(float);
}

/* Bytes of frozen weights for one pass; 0: the parameter itself serves. */
static size_t frozen_bytes(const thaw_need *need, const thaw_conv *conv, thaw_conv_pass pass)
{
    size_t packed = thaw_conv_packed_bytes(conv, pass);
    if (!need->frozen[0] || (pass == THAW_CONV_BACKWARD_DATA && !need->dx[0]))
        return 0;
    return rounded(packed > 0 ? packed : need->node->folded ? weight_bytes(need) : 0);
}

static size_t bias_bytes(const thaw_need *need)
{
    return need->node->folded ? rounded((size_t)need->out.dim[0] * sizeof(float)) : 0;
}

static size_t constant_bytes(const thaw_need *need, const void *object)
{
    return bias_bytes(need) + frozen_bytes(need, object, THAW_CONV_FORWARD) +
           frozen_bytes(need, object, THAW_CONV_BACKWARD_DATA);
}

/* w'[o] = w[o] scale[o], bias'[o] = (bias[o] - mean[o]) scale[o] + shift[o], scale = weight / sqrt(var + epsilon); the last
 * four parameters are the norm's weight, bias, mean and variance. */
void thaw_fold_weights(const thaw_call *call, float *weights, float *bias)
{
    const thaw_node *node = call->need->node;
    const thaw_conv2d s = sizes(node, &call->need->in[0], 1);
    const int64_t per_output = s.C / s.groups * s.KH * s.KW;
    const float *const *norm = call->param + node->param_count - 4;
    for (int64_t o = 0; o < s.O; o++) {
        double scale = norm[0][o] / sqrt((double)norm[3][o] + node->fold_epsilon);
        double start = node->attr.conv2d.bias ? call->param[1][o] : 0.0;
        bias[o] = (float)((start - norm[2][o]) * scale + norm[1][o]);
        for (int64_t i = 0; i < per_output; i++)
            weights[o * per_output + i] = (float)(call->param[0][o * per_output + i] * scale);
    }
}

static void fill_pass(const thaw_call *call, thaw_conv_pass pass, const float *weights, char *to)
{
    size_t bytes = frozen_bytes(call->need, call->object, pass);
    if (bytes == 0)
        return;
    if (thaw_conv_packed_bytes(call->object, pass) > 0)
        thaw_conv_pack(call->object, pass, weights, (float *)(void *)to);
    else
        memcpy(to, weights, weight_bytes(call->need));
}

static thaw_status fill(const thaw_call *call, void *constants, float *scratch)
{
    char *at = constants;
    const float *weights = call->param[0];
    if (call->need->node->folded) {
        thaw_fold_weights(call, scratch, constants);
        weights = scratch;
    }
    at += bias_bytes(call->need);
    fill_pass(call, THAW_CONV_FORWARD, weights, at);
    at += frozen_bytes(call->need, call->object, THAW_CONV_FORWARD);
    fill_pass(call, THAW_CONV_BACKWARD_DATA, weights, at);
    return THAW_OK;
}

/* The weights in the form that a pass wants; *workspace moves behind what is packed into it. */
static const float *packed_weights(const thaw_call *call, thaw_conv_pass pass, char **workspace)
{
    const thaw_need *need = call->need;
    thaw_conv *conv = call->object;
    if (frozen_bytes(need, conv, pass) > 0) {
        const char *at = (const char *)call->constants + bias_bytes(need);
        if (pass == THAW_CONV_BACKWARD_DATA)
            at += frozen_bytes(need, conv, THAW_CONV_FORWARD);
        return (const float *)(const void *)at;
    }
    size_t bytes = packed_per_use(need, conv, pass);
    if (bytes == 0)
        return call->param[0];
    float *packed = (float *)(void *)*workspace;
    thaw_conv_pack(conv, pass, call->param[0], packed);
    *workspace += bytes;
    return packed;
}

/* ---- Forward and backward ---- */

static void forward(const thaw_call *call)
{
    const thaw_node *node = call->need->node;
    char *workspace = call->workspace;
    const float *bias = node->folded             ? call->constants
                        : node->attr.conv2d.bias ? call->param[1]
                                                 : NULL;
    const float *weights = packed_weights(call, THAW_CONV_FORWARD, &workspace);
    size_t n = (size_t)call->run->B * (size_t)call->need->out_count;
    if (node->residual && call->y != call->x[1])
        memcpy(call->y, call->x[1], n * sizeof *call->y);
    thaw_conv_forward(call->object, call->run->B, call->x[0], weights, bias, call->y, workspace);
}

static thaw_image output_image(const thaw_need *need, int64_t B)
{
    return (thaw_image){.B = B,
                        .C = need->out.dim[0],
                        .H = need->out.dim[1],
                        .W = need->out.dim[2],
                        .block = need->block_out};
}

static void backward(const thaw_call *call)
{
    const thaw_need *need = call->need;
    const int64_t B = call->run->B;
    char *workspace = call->workspace;
    float *dbias = need->node->attr.conv2d.bias ? call->dparam[1] : NULL;
    if (need->node->act != THAW_ACT_NONE)
        thaw_kern_act_backward(B * need->out_count, need->node->act, call->y, call->dy, call->dy,
                               false);
    /* Backends compute dbias beside dw; where only the bias trains (BitFit), x was not kept. */
    if (call->dparam[0] != NULL) {
        thaw_conv_backward_weights(call->object, B, call->x[0], call->dy, call->dparam[0], dbias,
                                   workspace);
    } else if (dbias != NULL) {
        const thaw_image image = output_image(need, B);
        thaw_kern_channel_sums(&image, call->dy, dbias);
    }
    if (call->dx[0] == NULL)
        return;
    const float *weights = packed_weights(call, THAW_CONV_BACKWARD_DATA, &workspace);
    thaw_conv_backward_data(call->object, B, weights, call->dy, call->dx[0], call->accumulate[0],
                            workspace);
}

const thaw_op thaw_op_conv2d = {
    .kind = "conv2d",
    .input_count = 1,
    .shape = shape,
    .params = params,
    .flops = flops,
    .layouts = THAW_LAYOUTS_ASK,
    .fits = fits,
    .keep = keep,
    .prepare = prepare,
    .release = release,
    .algorithm = algorithm,
    .workspace = workspace,
    .constant_bytes = constant_bytes,
    .fill = fill,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_conv2d(thaw_graph *g, const char *name, thaw_value x,
                             const thaw_conv2d_attr *attr)
{
    thaw_node node = {.attr.conv2d = *attr};
    return thaw_build(g, &thaw_op_conv2d, name, &node, &x);
}
