#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

/* Batch spectral shrinkage of what passes: forward changes nothing, backward adds the gradient of the penalty, as if it were in the loss. The
 * matrix is that of one run, which in training is a shard. */

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    THAW_CHECK(node->attr.shrink.strength >= 0 && node->attr.shrink.values >= 1, THAW_ERR_FAIL,
               "strength %g below 0, or %lld singular values, fewer than one",
               (double)node->attr.shrink.strength, (long long)node->attr.shrink.values);
    THAW_CHECK(in[0].ndim == 1, THAW_ERR_FAIL, "an input of %d dimensions; features have one",
               (int)in[0].ndim);
    *out = in[0];
    return THAW_OK;
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.input = need->active};
}

static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    if (!backward)
        return 0;
    return (size_t)thaw_kern_shrink_work(need->B, need->out.dim[0]) * sizeof(double);
}

static void forward(const thaw_call *call)
{
    const int64_t n = call->run->B * thaw_shape_count(&call->need->out);
    if (call->y != call->x[0])
        memcpy(call->y, call->x[0], (size_t)n * sizeof *call->y);
}

/* Gradients are of the sum over samples, the penalty of a shard counts once for each of its samples: divided by the samples of a batch in one
 * shard it is that of the paper, in several their mean. */
static void backward(const thaw_call *call)
{
    const int64_t B = call->run->B;
    const int64_t D = call->need->out.dim[0];
    const double strength = (double)call->need->node->attr.shrink.strength;
    thaw_pass_gradient(B * D, 1.0f, call->dy, call->dx[0], call->accumulate[0]);
    if (strength > 0)
        thaw_kern_shrink(B, D, call->x[0], call->need->node->attr.shrink.values,
                         strength * (double)B, call->workspace, call->dx[0]);
}

const thaw_op thaw_op_shrink = {
    .kind = "shrink",
    .input_count = 1,
    .shape = shape,
    .flops = thaw_flops_none,
    .keep = keep,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_shrink(thaw_graph *g, thaw_value x, double strength, int64_t values)
{
    thaw_node node = {.attr.shrink = {.strength = (float)strength, .values = values}};
    return thaw_build(g, &thaw_op_shrink, "", &node, &x);
}
