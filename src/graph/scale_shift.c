#include "thaw/graph.h"

#include "graph/op_impl.h"

/* y = scale x + shift, a pair for each channel of (C, H, W) or feature of (.., D): Lian et al. 2022, arXiv:2210.08823; or the
 * scale alone: Liu et al. 2022, arXiv:2205.05638. */
enum { SCALE, SHIFT };

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    THAW_CHECK(in[0].ndim >= 1, THAW_ERR_FAIL, "input () is a scalar; features are needed");
    *out = in[0];
    return THAW_OK;
}

static bool has_shift(const thaw_node *node)
{
    return node->attr.scale_shift.form == THAW_SCALE_AND_SHIFT;
}

/* As Hugging Face PEFT has them: a column scales what a layer gives, a row what it takes. */
static thaw_shape scale_shape(const thaw_node *node, const thaw_shape *in)
{
    const int64_t C = thaw_feature_count(in);
    if (has_shift(node))
        return thaw_shape1(C);
    if (in->ndim == 3)
        return thaw_shape4(1, C, 1, 1);
    return node->attr.scale_shift.form == THAW_SCALE_OUTPUT ? thaw_shape2(C, 1) : thaw_shape2(1, C);
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    specs[SCALE] = (thaw_param_spec){.suffix = has_shift(node) ? "ssf_scale" : "ia3_l",
                                     .shape = scale_shape(node, in),
                                     .role = THAW_ROLE_NORM_WEIGHT,
                                     .init = THAW_INIT_ONE};
    if (!has_shift(node))
        return 1;
    specs[SHIFT] = (thaw_param_spec){.suffix = "ssf_shift",
                                     .shape = specs[SCALE].shape,
                                     .role = THAW_ROLE_NORM_BIAS,
                                     .init = THAW_INIT_ZERO};
    return 2;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)in;
    return (has_shift(node) ? 2.0 : 1.0) * (double)thaw_shape_count(out);
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.first_input = need->dparam[SCALE],
                       .output = need->active && need->node->act != THAW_ACT_NONE};
}

static void forward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    thaw_kern_scale_shift(&s, call->x[0], call->param[SCALE],
                          has_shift(node) ? call->param[SHIFT] : NULL,
                          node->residual ? call->x[1] : NULL, node->act, call->y);
}

static void backward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    thaw_kern_scale_shift_backward(
        &s, call->need->dparam[SCALE] ? call->x[0] : NULL, call->y, node->act, call->param[SCALE],
        call->dy, call->dx[0], call->accumulate[0], node->residual ? call->dx[1] : NULL,
        call->accumulate[1], call->dparam[SCALE], has_shift(node) ? call->dparam[SHIFT] : NULL);
}

const thaw_op thaw_op_scale_shift = {
    .kind = "scale_shift",
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

thaw_value thaw_graph_scale_shift(thaw_graph *g, const char *name, thaw_value x,
                                  thaw_scale_form form)
{
    thaw_node node = {.attr.scale_shift = {.form = form}};
    return thaw_build(g, &thaw_op_scale_shift, name, &node, &x);
}
