#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    int64_t features = node->attr.linear.out_features;
    THAW_CHECK(features > 0, THAW_ERR_FAIL, "out_features %lld must be positive",
               (long long)features);
    THAW_CHECK(in[0].ndim >= 1, THAW_ERR_FAIL, "input () is a scalar; (.., D) is needed");
    *out = in[0];
    out->dim[out->ndim - 1] = features;
    return THAW_OK;
}

static int64_t last_dim(const thaw_shape *s)
{
    return s->dim[s->ndim - 1];
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    int64_t D = last_dim(&in[0]);
    int64_t O = node->attr.linear.out_features;
    specs[0] = (thaw_param_spec){.suffix = "weight",
                                 .shape = thaw_shape2(O, D),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = THAW_INIT_KAIMING_UNIFORM,
                                 .fan_in = D,
                                 .fan_out = O};
    specs[1] = (thaw_param_spec){.suffix = "bias",
                                 .shape = thaw_shape1(O),
                                 .role = THAW_ROLE_BIAS,
                                 .init = THAW_INIT_BIAS_UNIFORM,
                                 .fan_in = D,
                                 .fan_out = O};
    return node->attr.linear.bias ? 2 : 1;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    return 2.0 * (double)last_dim(&in[0]) * (double)thaw_shape_count(out);
}

/* gelu's slope is kept: forward has it at hand. */
static thaw_keep keep(const thaw_need *need)
{
    size_t bytes = (size_t)need->B * (size_t)thaw_shape_count(&need->out) * sizeof(float);
    bool slope = need->active && need->node->attr.linear.gelu != 0;
    return (thaw_keep){.input = need->dparam[0], .saved_bytes = slope ? bytes : 0};
}

/* N = rows, D = features in, O = features out. */
typedef struct sizes {
    int64_t N, D, O;
} sizes;

static sizes sizes_of(const thaw_call *call)
{
    int64_t D = last_dim(&call->need->in[0]);
    int64_t rows = thaw_shape_count(&call->need->in[0]) / D;
    return (sizes){.N = call->run->B * rows, .D = D, .O = last_dim(&call->need->out)};
}

/* y (N, O) = gelu(x (N, D) w' (D, O) + bias), or without gelu */
static void forward(const thaw_call *call)
{
    sizes s = sizes_of(call);
    const thaw_node *node = call->need->node;
    const float *bias = node->attr.linear.bias ? call->param[1] : NULL;
    call->kern->gemm(call->kern, false, true, s.N, s.O, s.D, 1.0f, call->x[0], s.D, call->param[0],
                     s.D, 0.0f, call->y, s.O);
    if (node->attr.linear.gelu != 0)
        thaw_kern_bias_gelu(s.N, s.O, node->attr.linear.gelu == 2, call->y, bias, call->y,
                            call->saved);
    else if (bias != NULL)
        thaw_kern_add_row(s.N, s.O, bias, call->y);
}

/* dw (O, D) += dh' (O, N) x (N, D);  dx (N, D) = dh (N, O) w (O, D);  dh = dy, or before gelu */
static void backward(const thaw_call *call)
{
    const thaw_kern *kern = call->kern;
    sizes s = sizes_of(call);
    const float *dh = call->dy; /* gelu's part is taken out where it lies */
    float *dbias = call->need->node->attr.linear.bias ? call->dparam[1] : NULL;
    if (call->need->node->attr.linear.gelu != 0) {
        thaw_kern_bias_gelu_backward(s.N, s.O, call->dy, call->saved, call->dy, dbias);
    } else if (dbias != NULL) {
        thaw_kern_sum_rows(s.N, s.O, call->dy, dbias);
    }
    if (call->dparam[0] != NULL)
        kern->gemm(kern, true, false, s.O, s.D, s.N, 1.0f, dh, s.O, call->x[0], s.D, 1.0f,
                   call->dparam[0], s.D);
    if (call->dx[0] != NULL)
        kern->gemm(kern, false, false, s.N, s.D, s.O, 1.0f, dh, s.O, call->param[0], s.D,
                   call->accumulate[0] ? 1.0f : 0.0f, call->dx[0], s.D);
}

const thaw_op thaw_op_linear = {
    .kind = "linear",
    .input_count = 1,
    .shape = shape,
    .params = params,
    .flops = flops,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_linear(thaw_graph *g, const char *name, thaw_value x, int64_t out_features,
                             bool bias)
{
    thaw_node node = {.attr.linear = {.out_features = out_features, .bias = bias}};
    return thaw_build(g, &thaw_op_linear, name, &node, &x);
}

thaw_value thaw_graph_linear_gelu(thaw_graph *g, const char *name, thaw_value x,
                                  int64_t out_features, bool bias, bool tanh_form)
{
    thaw_node node = {
        .attr.linear = {.out_features = out_features, .bias = bias, .gelu = tanh_form ? 2 : 1}};
    return thaw_build(g, &thaw_op_linear, name, &node, &x);
}
