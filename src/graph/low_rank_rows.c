#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

/* Inputs: base (T, D), ids (T). y = base + scale A[:, ids]' B': what lora adds to the rows that a table of tokens gives. A starts at
 * zero and B does not, as in Hugging Face PEFT. */

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    char text[80];
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(node->attr.low_rank.rank > 0 && node->attr.low_rank.rows > 0, THAW_ERR_FAIL,
               "rank %lld and rows %lld must be positive", (long long)node->attr.low_rank.rank,
               (long long)node->attr.low_rank.rows);
    THAW_CHECK(in[0].ndim == 2 && in[1].ndim == 1 && in[1].dim[0] == in[0].dim[0], THAW_ERR_FAIL,
               "input %s is not (T, D) with a list of as many tokens", text);
    *out = in[0];
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    const int64_t R = node->attr.low_rank.rank;
    const int64_t rows = node->attr.low_rank.rows;
    specs[0] = (thaw_param_spec){.suffix = "lora_embedding_A",
                                 .shape = thaw_shape2(R, rows),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = THAW_INIT_ZERO,
                                 .fan_in = rows,
                                 .fan_out = R};
    specs[1] = (thaw_param_spec){.suffix = "lora_embedding_B",
                                 .shape = thaw_shape2(in[0].dim[1], R),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = THAW_INIT_STANDARD_NORMAL,
                                 .fan_in = R,
                                 .fan_out = in[0].dim[1]};
    return 2;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)out;
    return 2.0 * (double)node->attr.low_rank.rank * (double)thaw_shape_count(&in[0]);
}

static int64_t ids_below(const thaw_node *node, int32_t input)
{
    return input == 1 ? node->attr.low_rank.rows : 0;
}

static size_t middle_bytes(const thaw_need *need)
{
    return (size_t)(need->B * need->in[0].dim[0] * need->node->attr.low_rank.rank) * sizeof(float);
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.last_input = need->active, .saved_bytes = middle_bytes(need)};
}

static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    return backward ? middle_bytes(need) : 0;
}

/* z (N, R) = columns of A at ids;  y (N, D) = base + scale z B' (R, D) */
static void forward(const thaw_call *call)
{
    const thaw_kern *kern = call->kern;
    const thaw_node *node = call->need->node;
    const int64_t N = call->run->B * call->need->in[0].dim[0];
    const int64_t D = call->need->in[0].dim[1];
    const int64_t R = node->attr.low_rank.rank;
    if (call->y != call->x[0])
        memcpy(call->y, call->x[0], (size_t)(N * D) * sizeof *call->y);
    thaw_kern_columns(N, R, node->attr.low_rank.rows, call->x[1], call->param[0], call->saved);
    kern->gemm(kern, false, true, N, D, R, node->attr.low_rank.scale, call->saved, R,
               call->param[1], R, 1.0f, call->y, D);
}

/* dz (N, R) = scale dy (N, D) B (D, R);  dB (D, R) += scale dy' z;  dA += dz at ids;  dbase = dy */
static void backward(const thaw_call *call)
{
    const thaw_kern *kern = call->kern;
    const thaw_node *node = call->need->node;
    const int64_t N = call->run->B * call->need->in[0].dim[0];
    const int64_t D = call->need->in[0].dim[1];
    const int64_t R = node->attr.low_rank.rank;
    const float scale = node->attr.low_rank.scale;
    float *dz = call->workspace;
    if (call->dparam[1] != NULL)
        kern->gemm(kern, true, false, D, R, N, scale, call->dy, D, call->saved, R, 1.0f,
                   call->dparam[1], R);
    if (call->dparam[0] != NULL) {
        kern->gemm(kern, false, false, N, R, D, scale, call->dy, D, call->param[1], R, 0.0f, dz, R);
        thaw_kern_columns_backward(N, R, node->attr.low_rank.rows, node->attr.low_rank.pad_id,
                                   call->x[1], dz, call->dparam[0]);
    }
    if (call->dx[0] != NULL)
        thaw_pass_gradient(N * D, 1.0f, call->dy, call->dx[0], call->accumulate[0]);
    thaw_no_gradient(call, 1);
}

const thaw_op thaw_op_low_rank_rows = {
    .kind = "low_rank_rows",
    .input_count = 2,
    .in_place = true,
    .shape = shape,
    .params = params,
    .flops = flops,
    .keep = keep,
    .workspace = workspace,
    .ids_below = ids_below,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_low_rank_rows(thaw_graph *g, const char *name, thaw_value base,
                                    thaw_value ids, int64_t rows, int64_t pad_id, int64_t rank,
                                    float scale)
{
    thaw_node node = {
        .attr.low_rank = {.rank = rank, .scale = scale, .rows = rows, .pad_id = pad_id}};
    thaw_value inputs[2] = {base, ids};
    return thaw_build(g, &thaw_op_low_rank_rows, name, &node, inputs);
}
