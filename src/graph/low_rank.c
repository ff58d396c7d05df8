#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

/* Inputs: base (.., O), x (.., D). y = base + scale (x A') B': what lora adds to a linear layer (Hu et al. 2021), in the
 * layer's own output, without a sweep over it. */

static int64_t last_dim(const thaw_shape *s)
{
    return s->dim[s->ndim - 1];
}

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    int64_t rank = node->attr.low_rank.rank;
    char a[80], b[80];
    thaw_shape_format(&in[0], a, sizeof a);
    thaw_shape_format(&in[1], b, sizeof b);
    THAW_CHECK(rank > 0, THAW_ERR_FAIL, "rank %lld must be positive", (long long)rank);
    THAW_CHECK(in[0].ndim >= 1 && in[0].ndim == in[1].ndim &&
                   thaw_shape_count(&in[0]) / last_dim(&in[0]) ==
                       thaw_shape_count(&in[1]) / last_dim(&in[1]),
               THAW_ERR_FAIL, "inputs %s and %s differ in more than their features", a, b);
    *out = in[0];
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    int64_t O = last_dim(&in[0]);
    int64_t D = last_dim(&in[1]);
    int64_t R = node->attr.low_rank.rank;
    specs[0] = (thaw_param_spec){.suffix = "lora_A.weight",
                                 .shape = thaw_shape2(R, D),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = THAW_INIT_KAIMING_UNIFORM,
                                 .fan_in = D,
                                 .fan_out = R};
    specs[1] = (thaw_param_spec){.suffix = "lora_B.weight",
                                 .shape = thaw_shape2(O, R),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = THAW_INIT_ZERO,
                                 .fan_in = R,
                                 .fan_out = O};
    return 2;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)out;
    double rank = (double)node->attr.low_rank.rank;
    return 2.0 * rank * (double)(thaw_shape_count(&in[0]) + thaw_shape_count(&in[1]));
}

/* N = rows, D = features of x, O = of base, R = rank. */
typedef struct sizes {
    int64_t N, D, O, R;
} sizes;

static sizes sizes_of(const thaw_need *need, int64_t B)
{
    int64_t O = last_dim(&need->in[0]);
    return (sizes){.N = B * (thaw_shape_count(&need->in[0]) / O),
                   .D = last_dim(&need->in[1]),
                   .O = O,
                   .R = need->node->attr.low_rank.rank};
}

static size_t middle_bytes(const thaw_need *need)
{
    sizes s = sizes_of(need, need->B);
    return (size_t)(s.N * s.R) * sizeof(float);
}

/* x A' */
static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.last_input = need->dparam[0], .saved_bytes = middle_bytes(need)};
}

static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    return backward ? middle_bytes(need) : 0;
}

/* z (N, R) = x (N, D) A' (D, R);  y (N, O) = base + scale z B' (R, O) */
static void forward(const thaw_call *call)
{
    const thaw_kern *kern = call->kern;
    sizes s = sizes_of(call->need, call->run->B);
    float *z = call->saved;
    if (call->y != call->x[0])
        memcpy(call->y, call->x[0], (size_t)(s.N * s.O) * sizeof *call->y);
    kern->gemm(kern, false, true, s.N, s.R, s.D, 1.0f, call->x[1], s.D, call->param[0], s.D, 0.0f,
               z, s.R);
    kern->gemm(kern, false, true, s.N, s.O, s.R, call->need->node->attr.low_rank.scale, z, s.R,
               call->param[1], s.R, 1.0f, call->y, s.O);
}

/* dz (N, R) = scale dy (N, O) B (O, R);  dB (O, R) += scale dy' z;  dA (R, D) += dz' x;  dx (N, D) = dz A;  dbase = dy */
static void backward(const thaw_call *call)
{
    const thaw_kern *kern = call->kern;
    sizes s = sizes_of(call->need, call->run->B);
    float scale = call->need->node->attr.low_rank.scale;
    float *dz = call->workspace;
    kern->gemm(kern, false, false, s.N, s.R, s.O, scale, call->dy, s.O, call->param[1], s.R, 0.0f,
               dz, s.R);
    if (call->dparam[1] != NULL)
        kern->gemm(kern, true, false, s.O, s.R, s.N, scale, call->dy, s.O, call->saved, s.R, 1.0f,
                   call->dparam[1], s.R);
    if (call->dparam[0] != NULL)
        kern->gemm(kern, true, false, s.R, s.D, s.N, 1.0f, dz, s.R, call->x[1], s.D, 1.0f,
                   call->dparam[0], s.D);
    if (call->dx[0] != NULL)
        thaw_pass_gradient(s.N * s.O, 1.0f, call->dy, call->dx[0], call->accumulate[0]);
    if (call->dx[1] != NULL)
        kern->gemm(kern, false, false, s.N, s.D, s.R, 1.0f, dz, s.R, call->param[0], s.D,
                   call->accumulate[1] ? 1.0f : 0.0f, call->dx[1], s.D);
}

const thaw_op thaw_op_low_rank = {
    .kind = "low_rank",
    .input_count = 2,
    .in_place = true,
    .shape = shape,
    .params = params,
    .flops = flops,
    .keep = keep,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_low_rank(thaw_graph *g, const char *name, thaw_value base, thaw_value x,
                               int64_t rank, float scale)
{
    thaw_node node = {.attr.low_rank = {.rank = rank, .scale = scale}};
    thaw_value inputs[2] = {base, x};
    return thaw_build(g, &thaw_op_low_rank, name, &node, inputs);
}
