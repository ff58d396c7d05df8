#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

/* Dosovitskiy et al. 2021, arXiv:2010.11929, equation 1: the N = H W patches of an image (D, H, W), row by row, as tokens behind
 * the class token; every one gets the vector of its place. */

static int64_t patches(const thaw_shape *in)
{
    return in[0].dim[1] * in[0].dim[2];
}

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    THAW_TRY(thaw_check_image(&in[0]));
    *out = thaw_shape2(1 + patches(in), in[0].dim[0]);
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    const int64_t D = in[0].dim[0];
    const thaw_param_spec table = {
        .role = THAW_ROLE_WEIGHT, .init = THAW_INIT_NORMAL, .fan_in = D, .fan_out = D};
    specs[0] = specs[1] = table;
    specs[0].suffix = "cls_token";
    specs[0].shape = thaw_shape_make(3, (int64_t[]){1, 1, D});
    specs[1].suffix = node->attr.class_token.positions;
    specs[1].shape = thaw_shape_make(3, (int64_t[]){1, 1 + patches(in), D});
    return 2;
}

/* y (B, 1 + N, D) = places + [class token; x'], x (B, D, N) */
static void forward(const thaw_call *call)
{
    const int64_t D = call->need->in[0].dim[0];
    const int64_t N = patches(call->need->in);
    const size_t bytes = (size_t)((1 + N) * D) * sizeof(float);
    for (int64_t b = 0; b < call->run->B; b++) {
        float *y = call->y + b * (1 + N) * D;
        memcpy(y, call->param[1], bytes);
        thaw_kern_axpy(D, 1.0f, call->param[0], y);
        thaw_kern_transpose(D, N, call->x[0] + b * D * N, y + D, true);
    }
}

/* In the order of samples: dclass (D) += dy's first rows, dplaces (1 + N, D) += dy, dx (B, D, N) = or += the other rows. */
static void backward(const thaw_call *call)
{
    const int64_t D = call->need->in[0].dim[0];
    const int64_t N = patches(call->need->in);
    for (int64_t b = 0; b < call->run->B; b++) {
        const float *dy = call->dy + b * (1 + N) * D;
        if (call->dparam[0] != NULL)
            thaw_kern_axpy(D, 1.0f, dy, call->dparam[0]);
        if (call->dparam[1] != NULL)
            thaw_kern_axpy((1 + N) * D, 1.0f, dy, call->dparam[1]);
        if (call->dx[0] != NULL)
            thaw_kern_transpose(N, D, dy + D, call->dx[0] + b * D * N, call->accumulate[0]);
    }
}

const thaw_op thaw_op_class_token = {
    .kind = "class_token",
    .input_count = 1,
    .shape = shape,
    .params = params,
    .flops = thaw_flops_elementwise,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_class_token(thaw_graph *g, const char *name, thaw_value x,
                                  const char *positions)
{
    thaw_node node = {.attr.class_token = {.positions = positions}};
    return thaw_build(g, &thaw_op_class_token, name, &node, &x);
}
