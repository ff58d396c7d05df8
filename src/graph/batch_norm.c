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

/* What forward leaves to backward: mean and inv_std (C). Of runs that met also the same in double, for a replay, and how many
 * values a channel had. */
typedef struct statistics {
    double *count, *center, *spread; /* NULL: this run alone */
    float *mean, *inv_std;
} statistics;

static size_t saved_bytes(const thaw_need *need)
{
    const size_t C = (size_t)thaw_feature_count(&need->in[0]);
    if (!need->batch_statistics)
        return 0;
    return 2 * C * sizeof(float) + (need->meets ? (1 + 2 * C) * sizeof(double) : 0);
}

static statistics saved_of(const thaw_call *call, int64_t C)
{
    statistics z = {0};
    z.mean = call->saved;
    if (call->need->meets) {
        z.count = call->saved;
        z.center = z.count + 1;
        z.spread = z.center + C;
        z.mean = (float *)(void *)(z.spread + C);
    }
    z.inv_std = z.mean + C;
    return z;
}

/* With stored statistics the weight is frozen, and neither dx nor dbias looks at x. */
static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.first_input = need->active && need->batch_statistics,
                       .output = need->active && need->node->act != THAW_ACT_NONE,
                       .saved_bytes = saved_bytes(need)};
}

static bool uses_batch(const thaw_call *call)
{
    return call->need->batch_statistics && call->run->training;
}

/* Forward: count, mean (C), squares (C). Backward, where something below wants a gradient: both sums (C) that it needs. */
static int64_t row(const thaw_need *need, bool backward)
{
    const int64_t C = thaw_feature_count(&need->in[0]);
    if (!backward)
        return 1 + 2 * C;
    return need->dx[0] ? 2 * C : 0;
}

static void bring(const thaw_call *call, bool backward, double *out)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    const statistics z = saved_of(call, s.C);
    if (!backward) {
        out[0] = (double)(s.B * s.H * s.W);
        thaw_kern_batch_norm_moments(&s, call->x[0], out + 1, out + 1 + s.C);
        return;
    }
    thaw_kern_batch_norm_backward_sums(&s, call->x[0], call->y, node->act, z.mean, z.inv_std,
                                       call->dy, node->residual ? call->dx[1] : NULL,
                                       call->accumulate[1], out, out + s.C);
}

/* Chan, Golub & LeVeque 1979, as inside a run. */
static void join_moments(int64_t C, double *sum, const double *more)
{
    const double all = sum[0] + more[0];
    for (int64_t c = 0; c < C; c++) {
        double *mean = sum + 1 + c;
        double *squares = mean + C;
        const double change = more[1 + c] - *mean;
        *squares += more[1 + C + c] + change * change * (sum[0] * more[0] / all);
        *mean += change * (more[0] / all);
    }
    sum[0] = all;
}

static void join(const thaw_need *need, bool backward, int64_t count, const double *rows,
                 double *out)
{
    const int64_t n = row(need, backward);
    memcpy(out, rows, (size_t)n * sizeof *out);
    for (int64_t i = 1; i < count; i++) {
        const double *more = rows + i * n;
        if (!backward && more[0] > 0)
            join_moments(thaw_feature_count(&need->in[0]), out, more);
        for (int64_t c = 0; backward && c < n; c++)
            out[c] += more[c];
    }
}

/* The statistics that go into the running ones, times the samples of this run. */
static void give_statistics(const thaw_call *call, int64_t C, int64_t values, const float *mean)
{
    const float samples = (float)call->run->B;
    float *var = call->dparam[VAR];
    /* One value has no unbiased variance; its biased one, 0, stands in. */
    if (values == 1)
        thaw_kern_fill(C, 0.0f, var);
    memcpy(call->dparam[MEAN], mean, (size_t)C * sizeof *mean);
    thaw_kern_scale(C, samples, call->dparam[MEAN]);
    thaw_kern_scale(C, samples, var);
}

static void take_met(const thaw_call *call, int64_t C, const statistics *z)
{
    const double *mean = call->met + 1;
    const double *squares = mean + C;
    z->count[0] = call->met[0];
    for (int64_t c = 0; c < C; c++) {
        const thaw_norm_moments m = thaw_kern_norm_moments(
            call->met[0], squares[c], call->need->node->attr.batch_norm.epsilon);
        z->center[c] = mean[c];
        z->spread[c] = m.inv_std;
        z->mean[c] = (float)mean[c];
        z->inv_std[c] = (float)m.inv_std;
        call->dparam[VAR][c] = (float)m.unbiased_var;
    }
    give_statistics(call, C, (int64_t)call->met[0], z->mean);
}

static void forward_met(const thaw_call *call, const thaw_image *s, const float *residual)
{
    const statistics z = saved_of(call, s->C);
    if (call->met != NULL)
        take_met(call, s->C, &z);
    thaw_kern_batch_norm_given(s, call->x[0], call->param[WEIGHT], call->param[BIAS], z.center,
                               z.spread, residual, call->need->node->act, call->y);
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
    if (call->need->meets) {
        forward_met(call, &s, residual);
        return;
    }
    const statistics z = saved_of(call, s.C);
    thaw_kern_batch_norm_train(&s, call->x[0], param[WEIGHT], param[BIAS], epsilon, residual,
                               node->act, call->y, z.mean, z.inv_std, call->dparam[VAR]);
    give_statistics(call, s.C, s.B * s.H * s.W, z.mean);
}

/* This run's part of them, as the kernel for a run alone adds it. */
static void add_gradients(const thaw_call *call, int64_t C, const float *inv_std)
{
    float *dweight = call->dparam[WEIGHT];
    float *dbias = call->dparam[BIAS];
    for (int64_t c = 0; c < C; c++) {
        if (dweight)
            dweight[c] = (float)(dweight[c] + call->brought[C + c] * inv_std[c]);
        if (dbias)
            dbias[c] = (float)(dbias[c] + call->brought[c]);
    }
}

static void backward_batch(const thaw_call *call, const thaw_image *s, float *dresidual)
{
    const thaw_act act = call->need->node->act;
    const float *weight = call->param[WEIGHT];
    const statistics z = saved_of(call, s->C);
    if (call->met != NULL) {
        add_gradients(call, s->C, z.inv_std);
        thaw_kern_batch_norm_backward_given(s, call->x[0], call->y, act, weight, z.mean, z.inv_std,
                                            z.count[0], call->met, call->met + s->C, call->dy,
                                            call->dx[0], call->accumulate[0], dresidual,
                                            call->accumulate[1]);
        return;
    }
    thaw_kern_batch_norm_train_backward(s, call->x[0], call->y, act, weight, z.mean, z.inv_std,
                                        call->dy, call->dx[0], call->accumulate[0], dresidual,
                                        call->accumulate[1], call->dparam[WEIGHT],
                                        call->dparam[BIAS]);
}

static void backward(const thaw_call *call)
{
    const thaw_image s = thaw_feature_image(call);
    const thaw_node *node = call->need->node;
    float epsilon = node->attr.batch_norm.epsilon;
    const float *const *param = call->param;
    float *dresidual = node->residual ? call->dx[1] : NULL;
    if (uses_batch(call)) {
        backward_batch(call, &s, dresidual);
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
    .row = row,
    .bring = bring,
    .join = join,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_batch_norm(thaw_graph *g, const char *name, thaw_value x, float epsilon,
                                 float momentum)
{
    thaw_node node = {.attr.batch_norm = {.epsilon = epsilon, .momentum = momentum}};
    return thaw_build(g, &thaw_op_batch_norm, name, &node, &x);
}
