#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"
#include "graph/pool_impl.h"

static size_t index_bytes(const thaw_need *need)
{
    return (size_t)need->B * (size_t)need->out_count * sizeof(int32_t);
}

static thaw_keep keep(const thaw_need *need)
{
    return (thaw_keep){.saved_bytes = need->active ? index_bytes(need) : 0};
}

/* Without backward the places of the maxima are written and forgotten. */
static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    return need->active || backward ? 0 : index_bytes(need);
}

static void forward(const thaw_call *call)
{
    thaw_pool2d s = thaw_pool_sizes(call->need, call->run->B);
    thaw_kern_max_pool(&s, call->x[0], call->y, call->need->active ? call->saved : call->workspace);
}

static void backward(const thaw_call *call)
{
    thaw_pool2d s = thaw_pool_sizes(call->need, call->run->B);
    thaw_kern_max_pool_backward(&s, call->saved, call->dy, call->dx[0], call->accumulate[0]);
}

static void take_branches(const thaw_call *call, void *branches)
{
    size_t n = (size_t)call->run->B * (size_t)call->need->out_count;
    memcpy(branches, call->saved, n * sizeof(int32_t));
}

static void forward_on(const thaw_call *call, const void *branches)
{
    thaw_pool2d s = thaw_pool_sizes(call->need, call->run->B);
    const int32_t *argmax = branches;
    int64_t out = s.OH * s.OW;
    for (int64_t plane = 0; plane < s.B * s.C; plane++)
        for (int64_t i = plane * out; i < (plane + 1) * out; i++)
            call->y[i] = call->x[0][plane * s.H * s.W + argmax[i]];
}

const thaw_op thaw_op_max_pool = {
    .kind = "max_pool",
    .input_count = 1,
    .layouts = THAW_LAYOUTS_SAME,
    .shape = thaw_pool_shape,
    .flops = thaw_pool_flops,
    .keep = keep,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
    .branch_bytes = index_bytes,
    .take_branches = take_branches,
    .forward_on = forward_on,
};

thaw_value thaw_graph_max_pool(thaw_graph *g, thaw_value x, int64_t kernel, int64_t stride,
                               int64_t pad)
{
    thaw_node node = {.attr.pool = {.kernel = kernel, .stride = stride, .pad = pad}};
    return thaw_build(g, &thaw_op_max_pool, "", &node, &x);
}
