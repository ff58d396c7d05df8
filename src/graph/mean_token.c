#include "thaw/graph.h"

#include "graph/op_impl.h"

/* Inputs: x (T, D), tokens (T). Padding is left out; a sample of padding alone gives zeros. */

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    char text[80];
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(in[0].ndim == 2, THAW_ERR_FAIL, "input %s is not (T, D)", text);
    THAW_CHECK(in[1].ndim == 1 && in[1].dim[0] == in[0].dim[0], THAW_ERR_FAIL,
               "input %s needs a list of as many tokens", text);
    *out = thaw_shape1(in[0].dim[1]);
    return THAW_OK;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    (void)out;
    return (double)thaw_shape_count(&in[0]);
}

static int64_t ids_below(const thaw_node *node, int32_t input)
{
    (void)node;
    return input == 1 ? INT64_MAX : 0;
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.input = need->active};
}

/* Of a token of sample b: 1 / number of valid ones, or 0. */
static float weight(const thaw_call *call, int64_t b, int64_t t)
{
    int64_t T = call->need->in[0].dim[0];
    const float *ids = call->x[1] + b * T;
    float pad = (float)call->need->node->attr.mean_token.pad_id;
    int64_t valid = 0;
    for (int64_t i = 0; i < T; i++)
        valid += ids[i] != pad;
    return ids[t] != pad ? 1.0f / (float)valid : 0.0f;
}

static void forward(const thaw_call *call)
{
    int64_t T = call->need->in[0].dim[0];
    int64_t D = call->need->in[0].dim[1];
    thaw_kern_fill(call->run->B * D, 0.0f, call->y);
    for (int64_t i = 0; i < call->run->B * T; i++)
        thaw_kern_axpy(D, weight(call, i / T, i % T), call->x[0] + i * D, call->y + i / T * D);
}

static void backward(const thaw_call *call)
{
    int64_t T = call->need->in[0].dim[0];
    int64_t D = call->need->in[0].dim[1];
    for (int64_t i = 0; call->dx[0] != NULL && i < call->run->B * T; i++)
        thaw_pass_gradient(D, weight(call, i / T, i % T), call->dy + i / T * D, call->dx[0] + i * D,
                           call->accumulate[0]);
    thaw_no_gradient(call, 1);
}

const thaw_op thaw_op_mean_token = {
    .kind = "mean_token",
    .input_count = 2,
    .shape = shape,
    .flops = flops,
    .keep = keep,
    .ids_below = ids_below,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_mean_token(thaw_graph *g, thaw_value x, thaw_value ids, int64_t pad_id)
{
    thaw_node node = {.attr.mean_token = {.pad_id = pad_id}};
    thaw_value inputs[2] = {x, ids};
    return thaw_build(g, &thaw_op_mean_token, "", &node, inputs);
}
