#include "thaw/graph.h"

#include "graph/op_impl.h"

static int64_t last_dim(const thaw_shape *s)
{
    return s->dim[s->ndim - 1];
}

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    THAW_CHECK(node->attr.layer_norm.epsilon > 0, THAW_ERR_FAIL, "epsilon %g must be positive",
               (double)node->attr.layer_norm.epsilon);
    THAW_CHECK(in[0].ndim >= 1, THAW_ERR_FAIL, "input () is a scalar; (.., D) is needed");
    *out = in[0];
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    (void)node;
    thaw_shape features = thaw_shape1(last_dim(&in[0]));
    specs[0] = (thaw_param_spec){.suffix = "weight",
                                 .shape = features,
                                 .role = THAW_ROLE_NORM_WEIGHT,
                                 .init = THAW_INIT_ONE};
    specs[1] = (thaw_param_spec){
        .suffix = "bias", .shape = features, .role = THAW_ROLE_NORM_BIAS, .init = THAW_INIT_ZERO};
    return 2;
}

static int64_t rows_per_sample(const thaw_need *need)
{
    return thaw_shape_count(&need->out) / last_dim(&need->out);
}

/* Mean and 1 / std of every row. */
static size_t statistics_bytes(const thaw_need *need)
{
    return (size_t)(need->B * rows_per_sample(need)) * 2 * sizeof(float);
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.input = need->active, .saved_bytes = statistics_bytes(need)};
}

/* Backward sums two columns a feature in double. */
static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    return backward ? (size_t)last_dim(&need->out) * 2 * sizeof(double) : 0;
}

/* (N, D) */
static void forward(const thaw_call *call)
{
    int64_t N = call->run->B * rows_per_sample(call->need);
    float *mean = call->saved;
    thaw_kern_layer_norm(N, last_dim(&call->need->out), call->x[0], call->param[0], call->param[1],
                         call->need->node->attr.layer_norm.epsilon, call->y, mean, mean + N);
}

static void backward(const thaw_call *call)
{
    int64_t N = call->run->B * rows_per_sample(call->need);
    const float *mean = call->saved;
    thaw_kern_layer_norm_backward(N, last_dim(&call->need->out), call->x[0], call->param[0], mean,
                                  mean + N, call->dy, call->dx[0], call->accumulate[0],
                                  call->dparam[0], call->dparam[1], call->workspace);
}

const thaw_op thaw_op_layer_norm = {
    .kind = "layer_norm",
    .input_count = 1,
    .in_place = true,
    .shape = shape,
    .params = params,
    .flops = thaw_flops_elementwise,
    .keep = keep,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_layer_norm(thaw_graph *g, const char *name, thaw_value x, float epsilon)
{
    thaw_node node = {.attr.layer_norm = {.epsilon = epsilon}};
    return thaw_build(g, &thaw_op_layer_norm, name, &node, &x);
}
