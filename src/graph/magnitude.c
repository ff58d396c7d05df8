#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

/* What dora adds to lora (Liu et al. 2024, arXiv:2402.09353). Input v: a layer's output with the update, W x + bias + scale B A x.
 * y = c (v - bias) + bias, c = magnitude / |W + scale B A| for each row of the weight. As there (section 4.3) and in Hugging Face
 * PEFT, backward takes the norms for constants; so W, A and B get no gradient here, only where they are used as weights. */
enum { MAGNITUDE, WEIGHT, A, B, BIAS };

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    (void)node;
    THAW_CHECK(in[0].ndim >= 1, THAW_ERR_FAIL, "input () is a scalar; features are needed");
    *out = in[0];
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    (void)node;
    const int64_t O = thaw_feature_count(in);
    specs[0] = (thaw_param_spec){.suffix = "lora_magnitude_vector",
                                 .shape = in->ndim == 3 ? thaw_shape4(1, O, 1, 1) : thaw_shape1(O),
                                 .role = THAW_ROLE_NORM_WEIGHT,
                                 .init = THAW_INIT_ONE};
    return 1;
}

/* Those of a sample; lengths of rows are computed once a run. */
static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    (void)in;
    return 2.0 * (double)thaw_shape_count(out);
}

static int64_t rows_of(const thaw_need *need)
{
    return thaw_feature_count(&need->in[0]);
}

static size_t norm_bytes(const thaw_need *need)
{
    return (size_t)rows_of(need) * sizeof(float);
}

/* Lengths of the rows. */
static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.input = need->dparam[MAGNITUDE], .saved_bytes = norm_bytes(need)};
}

/* Factor and shift; forward: the whole weight; backward: their gradients. */
static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    size_t fan_in = (size_t)need->node->attr.magnitude.fan_in;
    return norm_bytes(need) * (backward ? 4 : 2 + fan_in);
}

static const float *bias_of(const thaw_call *call)
{
    return call->need->node->param_count > BIAS ? call->param[BIAS] : NULL;
}

static void measure(const thaw_call *call)
{
    const thaw_kern *kern = call->kern;
    const thaw_node *node = call->need->node;
    const int64_t O = rows_of(call->need);
    const int64_t I = node->attr.magnitude.fan_in;
    const int64_t R = node->attr.magnitude.rank;
    float *weight = (float *)call->workspace + 2 * O;
    memcpy(weight, call->param[WEIGHT], (size_t)(O * I) * sizeof *weight);
    kern->gemm(kern, false, false, O, I, R, node->attr.magnitude.scale, call->param[B], R,
               call->param[A], I, 1.0f, weight, I);
    thaw_kern_row_norms(O, I, weight, call->saved);
}

static void apply(const thaw_call *call, const float *norms)
{
    const thaw_image s = thaw_feature_image(call);
    float *factor = call->workspace;
    thaw_kern_magnitude(s.C, call->param[MAGNITUDE], norms, bias_of(call), factor, factor + s.C);
    thaw_kern_scale_shift(&s, call->x[0], factor, bias_of(call) ? factor + s.C : NULL, NULL,
                          THAW_ACT_NONE, call->y);
}

static void forward(const thaw_call *call)
{
    measure(call);
    apply(call, call->saved);
}

static void backward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const float *norms = call->saved;
    const bool wanted = call->dparam[MAGNITUDE] != NULL;
    float *dbias = bias_of(call) ? call->dparam[BIAS] : NULL;
    float *factor = call->workspace;
    float *dfactor = factor + 2 * s.C;
    float *dshift = factor + 3 * s.C;
    thaw_kern_magnitude(s.C, call->param[MAGNITUDE], norms, bias_of(call), factor, factor + s.C);
    thaw_kern_fill(2 * s.C, 0.0f, dfactor);
    thaw_kern_scale_shift_backward(&s, wanted ? call->x[0] : NULL, NULL, THAW_ACT_NONE, factor,
                                   call->dy, call->dx[0], call->accumulate[0], NULL, false,
                                   wanted ? dfactor : NULL, wanted || dbias ? dshift : NULL);
    thaw_kern_magnitude_backward(s.C, norms, bias_of(call), factor, dfactor, dshift,
                                 call->dparam[MAGNITUDE], dbias);
}

/* Gradient checks hold the norms where backward holds them. */
static void take_branches(const thaw_call *call, void *branches)
{
    memcpy(branches, call->saved, norm_bytes(call->need));
}

static void forward_on(const thaw_call *call, const void *branches)
{
    apply(call, branches);
}

const thaw_op thaw_op_magnitude = {
    .kind = "magnitude",
    .input_count = 1,
    .in_place = true,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = shape,
    .params = params,
    .flops = flops,
    .keep = keep,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
    .branch_bytes = norm_bytes,
    .take_branches = take_branches,
    .forward_on = forward_on,
};

static thaw_value refuse(thaw_graph *g, const char *name)
{
    return thaw_graph_broken(
        g, THAW_FAIL(THAW_ERR_FAIL, "magnitude \"%s\" needs the weight, lora_A and lora_B there",
                     name));
}

thaw_value thaw_graph_magnitude(thaw_graph *g, const char *name, thaw_value v, float scale)
{
    static const char *const suffixes[] = {"weight", "lora_A.weight", "lora_B.weight", "bias"};
    int32_t shared[4];
    for (int i = 0; i < 4; i++) {
        char full[256];
        shared[i] = thaw_format(full, sizeof full, "%s.%s", name, suffixes[i])
                        ? thaw_graph_find_param(g, full)
                        : -1;
    }
    if (g->status != THAW_OK)
        return -1;
    if (shared[0] < 0 || shared[1] < 0 || shared[2] < 0)
        return refuse(g, name);
    const thaw_shape *w = &g->params[shared[0]]->shape;
    thaw_node attributes = {.attr.magnitude = {.fan_in = thaw_shape_count(w) / w->dim[0],
                                               .rank = g->params[shared[1]]->shape.dim[0],
                                               .scale = scale}};
    thaw_value out = thaw_build(g, &thaw_op_magnitude, name, &attributes, &v);
    if (out < 0)
        return out;
    thaw_node *node = g->nodes[g->node_count - 1];
    for (int i = 0; i < 4; i++)
        if (shared[i] >= 0)
            node->params[node->param_count++] = shared[i];
    return out;
}
