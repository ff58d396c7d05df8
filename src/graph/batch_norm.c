#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

enum { WEIGHT, BIAS, MEAN, VAR };

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    THAW_CHECK(node->attr.batch_norm.epsilon > 0, THAW_ERR_FAIL, "epsilon %g must be positive",
               (double)node->attr.batch_norm.epsilon);
    THAW_CHECK(node->attr.batch_norm.momentum >= 0 && node->attr.batch_norm.momentum <= 1,
               THAW_ERR_FAIL, "momentum %g is outside 0..1",
               (double)node->attr.batch_norm.momentum);
    THAW_CHECK(in[0].ndim == 3 || in[0].ndim == 1, THAW_ERR_FAIL,
               "input has %d dimensions beside the batch; (C, H, W) or (C) is needed", in[0].ndim);
    *out = in[0];
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    (void)node;
    static const struct {
        const char *suffix;
        thaw_role role;
        thaw_init init;
    } rows[] = {
        [WEIGHT] = {"weight", THAW_ROLE_NORM_WEIGHT, THAW_INIT_ONE},
        [BIAS] = {"bias", THAW_ROLE_NORM_BIAS, THAW_INIT_ZERO},
        [MEAN] = {"running_mean", THAW_ROLE_BUFFER_MEAN, THAW_INIT_ZERO},
        [VAR] = {"running_var", THAW_ROLE_BUFFER_VAR, THAW_INIT_ONE},
    };
    for (int32_t i = 0; i <= VAR; i++)
        specs[i] = (thaw_param_spec){.suffix = rows[i].suffix,
                                     .shape = thaw_shape1(in[0].dim[0]),
                                     .role = rows[i].role,
                                     .init = rows[i].init};
    return VAR + 1;
}

/* Subtract, square, add; scale, shift: a rough count, and small beside convolutions. */
static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)in;
    return (node->frozen_stats ? 2.0 : 5.0) * (double)thaw_shape_count(out);
}

/* With stored statistics the weight is frozen, and neither dx nor dbias looks at x. */
static thaw_keep keep(const thaw_need *need)
{
    size_t channels = (size_t)need->in[0].dim[0];
    return (thaw_keep){.first_input = need->active && need->batch_statistics,
                       .output = need->active && need->node->act != THAW_ACT_NONE,
                       .saved_bytes = need->batch_statistics ? 2 * channels * sizeof(float) : 0};
}

static bool uses_batch(const thaw_call *call)
{
    return call->need->batch_statistics && call->run->training;
}

static void forward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    const float *residual = node->residual ? call->x[1] : NULL;
    float epsilon = node->attr.batch_norm.epsilon;
    const float *const *param = call->param;
    if (!uses_batch(call)) {
        thaw_kern_batch_norm_eval(&s, call->x[0], param[WEIGHT], param[BIAS], param[MEAN],
                                  param[VAR], epsilon, residual, node->act, call->y);
        return;
    }
    float *mean = call->saved;
    float *inv_std = mean + s.C;
    float *var = call->dparam[VAR];
    thaw_kern_batch_norm_train(&s, call->x[0], param[WEIGHT], param[BIAS], epsilon, residual,
                               node->act, call->y, mean, inv_std, var);
    /* One value has no unbiased variance; its biased one, 0, stands in. */
    if (s.B * s.H * s.W == 1)
        thaw_kern_fill(s.C, 0.0f, var);
    memcpy(call->dparam[MEAN], mean, (size_t)s.C * sizeof *mean);
    thaw_kern_scale(s.C, (float)s.B, call->dparam[MEAN]);
    thaw_kern_scale(s.C, (float)s.B, var);
}

static void backward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    float epsilon = node->attr.batch_norm.epsilon;
    const float *const *param = call->param;
    float *dresidual = node->residual ? call->dx[1] : NULL;
    if (uses_batch(call)) {
        const float *mean = call->saved;
        thaw_kern_batch_norm_train_backward(&s, call->x[0], call->y, node->act, param[WEIGHT], mean,
                                            mean + s.C, call->dy, call->dx[0], call->accumulate[0],
                                            dresidual, call->accumulate[1], call->dparam[WEIGHT],
                                            call->dparam[BIAS]);
        return;
    }
    /* Only dweight depends on x. Where x was not kept, dy stands in: finite, of the right size, and multiplied by 0. */
    const float *x = call->need->batch_statistics ? call->x[0] : call->dy;
    thaw_kern_batch_norm_eval_backward(&s, x, call->y, node->act, param[WEIGHT], param[MEAN],
                                       param[VAR], epsilon, call->dy, call->dx[0],
                                       call->accumulate[0], dresidual, call->accumulate[1],
                                       call->dparam[WEIGHT], call->dparam[BIAS]);
}

const thaw_op thaw_op_batch_norm = {
    .kind = "batch_norm",
    .input_count = 1,
    .in_place = true,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = shape,
    .params = params,
    .flops = flops,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_batch_norm(thaw_graph *g, const char *name, thaw_value x, float epsilon,
                                 float momentum)
{
    thaw_node node = {.attr.batch_norm = {.epsilon = epsilon, .momentum = momentum}};
    return thaw_build(g, &thaw_op_batch_norm, name, &node, &x);
}
