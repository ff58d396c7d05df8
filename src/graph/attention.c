#include "thaw/graph.h"

#include <math.h>

#include "graph/op_impl.h"

/* Inputs: q (Q, D) or, one query, (D); k, v (T, D); and the tokens (T) where padding is masked. Or one, joined: q, k and v of
 * (T, D) side by side. One head works on D / heads neighbouring features. */

static int64_t tokens(const thaw_node *node, const thaw_shape *in)
{
    return in[node->attr.attention.joined ? 0 : 1].dim[0];
}

static int64_t queries(const thaw_shape *in)
{
    return in[0].ndim == 1 ? 1 : in[0].dim[0];
}

static thaw_status check_joined(const thaw_shape *in, int64_t *D)
{
    char text[80];
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(in[0].ndim == 2 && in[0].dim[1] % 3 == 0, THAW_ERR_FAIL,
               "input %s is not (T, 3 D): query, key and value side by side", text);
    *D = in[0].dim[1] / 3;
    return THAW_OK;
}

static thaw_status check_apart(const thaw_shape *in, int64_t *D)
{
    char text[80], keys[80];
    thaw_shape_format(&in[0], text, sizeof text);
    thaw_shape_format(&in[1], keys, sizeof keys);
    THAW_CHECK(in[0].ndim >= 1 && in[0].ndim <= 2 && in[1].ndim == 2, THAW_ERR_FAIL,
               "query %s and key %s are not (Q, D) or (D), and (T, D)", text, keys);
    *D = in[1].dim[1];
    THAW_CHECK(
        thaw_shape_equal(&in[1], &in[2]) && in[0].dim[in[0].ndim - 1] == *D, THAW_ERR_FAIL,
        "key and value must have one shape, and the query as many features; key %s, query %s", keys,
        text);
    return THAW_OK;
}

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    const thaw_attention_attr *a = &node->attr.attention;
    int64_t D = 0;
    THAW_TRY(a->joined ? check_joined(in, &D) : check_apart(in, &D));
    THAW_CHECK(a->heads > 0 && D % a->heads == 0, THAW_ERR_FAIL,
               "%lld features cannot be shared out among %lld heads", (long long)D,
               (long long)a->heads);
    THAW_CHECK(a->dropout >= 0 && a->dropout < 1, THAW_ERR_FAIL, "dropout %g is outside 0 <= p < 1",
               (double)a->dropout);
    THAW_CHECK(queries(in) <= 16384 && tokens(node, in) <= 16384, THAW_ERR_FAIL,
               "%lld tokens; attention keeps a score for each pair and takes up to 16384",
               (long long)tokens(node, in));
    *out = in[0];
    out->dim[out->ndim - 1] = D;
    return THAW_OK;
}

static bool is_masked(const thaw_node *node)
{
    return node->input_count == 4;
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    return 4.0 * (double)tokens(node, in) * (double)thaw_shape_count(out);
}

static int64_t ids_below(const thaw_node *node, int32_t input)
{
    (void)node;
    return input == 3 ? INT64_MAX : 0;
}

static bool is_random(const thaw_node *node)
{
    return node->attr.attention.dropout > 0;
}

static thaw_attention head_of(const thaw_need *need)
{
    const thaw_attention_attr *a = &need->node->attr.attention;
    int64_t D = need->out.dim[need->out.ndim - 1];
    int64_t d = D / a->heads;
    return (thaw_attention){.Q = queries(need->in),
                            .T = tokens(need->node, need->in),
                            .d = d,
                            .stride = a->joined ? 3 * D : D,
                            .out_stride = D,
                            .scale = 1.0f / sqrtf((float)d)};
}

/* Two numbers a row of scores; they are written in evaluation too. */
static thaw_keep keep(const thaw_need *need)
{
    size_t rows = (size_t)(need->B * need->node->attr.attention.heads * queries(need->in));
    return (thaw_keep){.input = need->active, .saved_bytes = rows * 2 * sizeof(float)};
}

/* Of one thread, in this order: factors of dropout (Q, T), what kern works in, mask (T). */
typedef struct scratch {
    float *factors;
    char *kern;
    bool *masked;
    size_t bytes;
} scratch;

static scratch share_out(const thaw_need *need, void *workspace, int32_t thread)
{
    enum { LINE = 64 };
    thaw_attention s = head_of(need);
    size_t factors = is_random(need->node) ? (size_t)(s.Q * s.T) * sizeof(float) : 0;
    size_t kern = thaw_kern_attention_workspace(&s, need->active);
    size_t bytes = factors + kern + (size_t)s.T * sizeof(bool);
    bytes = (bytes + LINE - 1) / LINE * LINE;
    char *base = workspace != NULL ? (char *)workspace + (size_t)thread * bytes : NULL;
    return (scratch){.factors = (float *)(void *)base,
                     .kern = base != NULL ? base + factors : NULL,
                     .masked = base != NULL ? (bool *)(base + factors + kern) : NULL,
                     .bytes = bytes};
}

/* Heads of all samples are shared out to threads. */
static int32_t threads_for(const thaw_need *need, int64_t B)
{
    return thaw_threads_for(B * need->node->attr.attention.heads * queries(need->in) *
                            tokens(need->node, need->in));
}

static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    (void)backward;
    return (size_t)threads_for(need, need->B) * share_out(need, NULL, 0).bytes;
}

/* NULL: nothing is masked. */
static const bool *mask_of(const thaw_call *call, int64_t sample, const scratch *room)
{
    const thaw_node *node = call->need->node;
    int64_t T = tokens(node, call->need->in);
    if (!is_masked(node))
        return NULL;
    for (int64_t t = 0; t < T; t++)
        room->masked[t] = call->x[3][sample * T + t] == (float)node->attr.attention.pad_id;
    return room->masked;
}

/* NULL: no dropout in this run. Keyed by seed, step, sample and head, as in dropout.c, so that backward draws the same. */
static const float *draw_factors(const thaw_call *call, int64_t sample, int64_t head,
                                 const scratch *room)
{
    const thaw_node *node = call->need->node;
    int64_t T = tokens(node, call->need->in);
    if (!call->run->training || !is_random(node))
        return NULL;
    float p = node->attr.attention.dropout;
    uint32_t threshold = (uint32_t)((double)p * 4294967296.0);
    uint64_t seed = thaw_mix(call->run->seed, (uint64_t)node->output);
    thaw_rng rng = thaw_rng_make(thaw_mix(seed, (uint64_t)head), THAW_RNG_DROPOUT, call->run->step,
                                 (uint64_t)call->run->sample_ids[sample]);
    uint32_t bits[4] = {0};
    for (int64_t i = 0; i < queries(call->need->in) * T; i++) {
        if (i % 4 == 0)
            thaw_rng_block(&rng, (uint32_t)(i / 4), bits);
        room->factors[i] = bits[i % 4] >= threshold ? 1.0f / (1.0f - p) : 0.0f;
    }
    return room->factors;
}

/* Where head h of sample b begins in q, k and v (part 0, 1, 2), and in which input that lies. */
static int64_t part_offset(const thaw_call *call, const thaw_attention *s, int64_t b, int64_t h,
                           int part)
{
    int64_t rows = part == 0 ? s->Q : s->T;
    int64_t column = call->need->node->attr.attention.joined ? part * s->out_stride : 0;
    return b * rows * s->stride + column + h * s->d;
}

static int input_of(const thaw_call *call, int part)
{
    return call->need->node->attr.attention.joined ? 0 : part;
}

static void set_parts(const thaw_call *call, const thaw_attention *s, int64_t b, int64_t h,
                      const float *x[3])
{
    for (int part = 0; part < 3; part++)
        x[part] = call->x[input_of(call, part)] + part_offset(call, s, b, h, part);
}

/* Head i % heads of sample i / heads. */
static void forward_head(void *context, int32_t thread, int64_t i)
{
    const thaw_call *call = context;
    thaw_attention s = head_of(call->need);
    scratch room = share_out(call->need, call->workspace, thread);
    int64_t heads = call->need->node->attr.attention.heads;
    int64_t b = i / heads;
    int64_t h = i % heads;
    const float *x[3];
    set_parts(call, &s, b, h, x);
    thaw_kern_attention(&s, x[0], x[1], x[2], mask_of(call, b, &room),
                        draw_factors(call, b, h, &room), call->y + b * s.Q * s.out_stride + h * s.d,
                        (float *)call->saved + i * 2 * s.Q, room.kern);
}

static void each_head(const thaw_call *call, thaw_parallel_body *body)
{
    thaw_call copy = *call;
    thaw_parallel(threads_for(call->need, call->run->B),
                  call->run->B * call->need->node->attr.attention.heads, body, &copy);
}

static void forward(const thaw_call *call)
{
    each_head(call, forward_head);
}

static void backward_head(void *context, int32_t thread, int64_t i)
{
    const thaw_call *call = context;
    thaw_attention s = head_of(call->need);
    scratch room = share_out(call->need, call->workspace, thread);
    int64_t heads = call->need->node->attr.attention.heads;
    int64_t b = i / heads;
    int64_t h = i % heads;
    const float *x[3];
    float *dx[3];
    bool accumulate[3];
    set_parts(call, &s, b, h, x);
    for (int part = 0; part < 3; part++) {
        int input = input_of(call, part);
        dx[part] =
            call->dx[input] != NULL ? call->dx[input] + part_offset(call, &s, b, h, part) : NULL;
        accumulate[part] = call->accumulate[input];
    }
    thaw_kern_attention_backward(
        &s, x[0], x[1], x[2], mask_of(call, b, &room), draw_factors(call, b, h, &room),
        (const float *)call->saved + i * 2 * s.Q, call->dy + b * s.Q * s.out_stride + h * s.d, dx,
        accumulate, room.kern);
}

static void backward(const thaw_call *call)
{
    each_head(call, backward_head);
    if (is_masked(call->need->node))
        thaw_no_gradient(call, 3);
}

const thaw_op thaw_op_attention = {
    .kind = "attention",
    .input_count = 4,
    .optional_inputs = 3,
    .shape = shape,
    .flops = flops,
    .keep = keep,
    .workspace = workspace,
    .is_random = is_random,
    .ids_below = ids_below,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_attention(thaw_graph *g, thaw_value q, thaw_value k, thaw_value v,
                                thaw_value ids, const thaw_attention_attr *attr)
{
    thaw_node node = {.attr.attention = *attr};
    node.attr.attention.joined = false;
    thaw_value inputs[4] = {q, k, v, ids};
    return thaw_build(g, &thaw_op_attention, "", &node, inputs);
}

thaw_value thaw_graph_attention_joined(thaw_graph *g, thaw_value qkv,
                                       const thaw_attention_attr *attr)
{
    thaw_node node = {.attr.attention = *attr};
    node.attr.attention.joined = true;
    thaw_value inputs[4] = {qkv, THAW_NO_VALUE, THAW_NO_VALUE, THAW_NO_VALUE};
    return thaw_build(g, &thaw_op_attention, "", &node, inputs);
}
