#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    float p = node->attr.dropout.probability;
    THAW_CHECK(p >= 0 && p < 1, THAW_ERR_FAIL, "probability %g is outside 0 <= p < 1", (double)p);
    *out = in[0];
    return THAW_OK;
}

static thaw_keep keep(const thaw_need *need)
{
    size_t elements = (size_t)need->B * (size_t)thaw_shape_count(&need->out);
    return (thaw_keep){.saved_bytes = need->active ? elements : 0};
}

static bool is_random(const thaw_node *node)
{
    return node->attr.dropout.probability > 0;
}

static bool is_on(const thaw_call *call)
{
    return call->run->training && is_random(call->need->node);
}

/* One sample of n elements; mask NULL: not wanted. The loop stands here and not in kern because drawing is its cost. */
static void drop(const thaw_rng *rng, float probability, int64_t n, const float *x, float *y,
                 uint8_t *mask)
{
    /* 2^32 p rounded: an element is dropped with probability p to within 2^-32. */
    uint32_t threshold = (uint32_t)((double)probability * 4294967296.0);
    float scale = 1.0f / (1.0f - probability);
    uint32_t bits[4] = {0};
    for (int64_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            thaw_rng_block(rng, (uint32_t)(i / 4), bits);
        bool kept = bits[i % 4] >= threshold;
        y[i] = kept ? x[i] * scale : 0.0f;
        if (mask != NULL)
            mask[i] = kept;
    }
}

static void forward_sample(void *context, int32_t thread, int64_t b)
{
    const thaw_call *call = context;
    const thaw_node *node = call->need->node;
    int64_t n = thaw_shape_count(&call->need->out);
    (void)thread;
    /* A value keeps its number when a graph is rewritten, so that an adapter elsewhere leaves the masks alone. */
    uint64_t seed = thaw_mix(call->run->seed, (uint64_t)node->output);
    thaw_rng rng =
        thaw_rng_make(seed, THAW_RNG_DROPOUT, call->run->step, (uint64_t)call->run->sample_ids[b]);
    uint8_t *mask = call->saved != NULL ? (uint8_t *)call->saved + b * n : NULL;
    drop(&rng, node->attr.dropout.probability, n, call->x[0] + b * n, call->y + b * n, mask);
}

/* Samples are shared out to threads. */
static void each_sample(const thaw_call *call, thaw_parallel_body *body)
{
    thaw_call copy = *call;
    int64_t B = call->run->B;
    thaw_parallel(thaw_threads_for(B * thaw_shape_count(&call->need->out)), B, body, &copy);
}

static void forward(const thaw_call *call)
{
    int64_t n = thaw_shape_count(&call->need->out);
    if (is_on(call))
        each_sample(call, forward_sample);
    else if (call->y != call->x[0])
        memcpy(call->y, call->x[0], (size_t)(call->run->B * n) * sizeof *call->y);
}

static void backward_sample(void *context, int32_t thread, int64_t b)
{
    const thaw_call *call = context;
    int64_t n = thaw_shape_count(&call->need->out);
    const uint8_t *mask = (const uint8_t *)call->saved + b * n;
    const float *dy = call->dy + b * n;
    float *dx = call->dx[0] + b * n;
    float scale = 1.0f / (1.0f - call->need->node->attr.dropout.probability);
    (void)thread;
    for (int64_t i = 0; i < n; i++) {
        float value = mask[i] ? dy[i] * scale : 0.0f;
        dx[i] = call->accumulate[0] ? dx[i] + value : value;
    }
}

static void backward(const thaw_call *call)
{
    int64_t n = call->run->B * thaw_shape_count(&call->need->out);
    if (is_on(call))
        each_sample(call, backward_sample);
    else
        thaw_pass_gradient(n, 1.0f, call->dy, call->dx[0], call->accumulate[0]);
}

const thaw_op thaw_op_dropout = {
    .kind = "dropout",
    .input_count = 1,
    .in_place = true,
    .shape = shape,
    .flops = thaw_flops_elementwise,
    .keep = keep,
    .is_random = is_random,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_dropout(thaw_graph *g, thaw_value x, float probability)
{
    thaw_node node = {.attr.dropout = {.probability = probability}};
    return thaw_build(g, &thaw_op_dropout, "", &node, &x);
}
