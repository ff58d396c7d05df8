/* The pass eight_bits: frozen convolutions and linear layers that no gradient passes work on bytes. Weights have a scale for each output
 * channel. An image has one scale, from the ranges that an observing plan saw (Jacob et al. 2018, arXiv:1712.05877), and its bytes go from
 * convolution to convolution; a linear layer finds a scale for each row as it comes (kern: thaw_linear8) and gives floats. */
#include "graph/plan_impl.h"

/* Below this many channels the input stays in floats: the first convolution, whose error all others inherit. */
enum { LEAST_CHANNELS = 8 };

static float range_of(const thaw_lowering *l, thaw_value v)
{
    return l->options->ranges[v];
}

/* Is a value never negative? Told from what made it. */
static bool has_no_sign(const thaw_graph *g, thaw_value v)
{
    const int32_t producer = g->values[v].producer;
    if (producer < 0)
        return false;
    const thaw_node *n = g->nodes[producer];
    if (n->op == &thaw_op_dequantize)
        return g->values[n->inputs[0]].form == THAW_FORM_BYTES;
    if (n->op == &thaw_op_max_pool || n->op == &thaw_op_avg_pool)
        return has_no_sign(g, n->inputs[0]);
    return n->act != THAW_ACT_NONE || n->op->act != THAW_ACT_NONE;
}

static void give_scale(thaw_activation *value, bool has_sign, float range)
{
    value->form = has_sign ? THAW_FORM_SIGNED_BYTES : THAW_FORM_BYTES;
    value->scale = range / (has_sign ? 127.0f : 255.0f);
}

static bool is_frozen(const thaw_graph *g, const thaw_node *n)
{
    for (int32_t j = 0; j < n->param_count; j++)
        if (g->params[n->params[j]]->trainable)
            return false;
    return !n->active;
}

static bool linear_fits(const thaw_lowering *l, const thaw_node *n)
{
    const thaw_shape *in = &l->graph->values[n->inputs[0]].shape;
    const int64_t D = in->dim[in->ndim - 1];
    return l->kern->has_linear_int8 && n->op == &thaw_op_linear && is_frozen(l->graph, n) &&
           range_of(l, n->output) > 0 && D >= LEAST_CHANNELS && D <= THAW_LINEAR8_MOST_INPUTS;
}

static bool conv_fits(const thaw_lowering *l, const thaw_node *n)
{
    const thaw_graph *g = l->graph;
    if (!l->kern->has_int8 || n->op != &thaw_op_conv2d || !is_frozen(g, n) ||
        range_of(l, n->output) <= 0)
        return false;
    for (int32_t j = 0; j < n->input_count; j++)
        if (range_of(l, n->inputs[j]) <= 0)
            return false;
    return g->values[n->inputs[0]].shape.dim[0] >= LEAST_CHANNELS && n->attr.conv2d.groups == 1;
}

/* The bytes of a value of floats, made before node *index, which moves on then. */
static thaw_status bytes_of(thaw_lowering *l, int32_t *index, thaw_value v, thaw_value *out)
{
    thaw_graph *g = l->graph;
    for (int32_t i = 0; i < *index; i++)
        if (g->nodes[i]->inputs[0] == v && g->nodes[i]->op == &thaw_op_quantize) {
            *out = g->nodes[i]->output;
            return THAW_OK;
        }
    THAW_TRY(thaw_graph_add_value(g, g->values[v].shape, *index, out));
    give_scale(&g->values[*out], !has_no_sign(g, v), range_of(l, v));
    THAW_TRY(thaw_insert_node(g, *index, &thaw_op_quantize, v, *out));
    ++*index;
    return THAW_OK;
}

static bool is_read(const thaw_lowering *l, thaw_value v)
{
    const thaw_graph *g = l->graph;
    if (thaw_stays_readable(l->source, l->options, v))
        return true;
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t j = 0; j < g->nodes[i]->input_count; j++)
            if (g->nodes[i]->inputs[j] == v)
                return true;
    return false;
}

/* The node writes bytes. Convolutions of bytes read them; for other readers, if there are any, floats are made again. */
static thaw_status write_bytes(thaw_lowering *l, int32_t *index)
{
    thaw_graph *g = l->graph;
    thaw_node *node = g->nodes[*index];
    const thaw_value floats = node->output;
    thaw_value bytes;
    THAW_TRY(thaw_graph_add_value(g, g->values[floats].shape, *index, &bytes));
    give_scale(&g->values[bytes], node->act == THAW_ACT_NONE, range_of(l, floats));
    node->output = bytes;
    for (int32_t i = *index + 1; i < g->node_count; i++)
        for (int32_t j = 0; g->nodes[i]->op == &thaw_op_conv8 && j < g->nodes[i]->input_count; j++)
            if (g->nodes[i]->inputs[j] == floats)
                g->nodes[i]->inputs[j] = bytes;
    if (!is_read(l, floats))
        return THAW_OK;
    ++*index;
    return thaw_insert_node(g, *index, &thaw_op_dequantize, bytes, floats);
}

thaw_status thaw_eight_bits(thaw_lowering *l)
{
    thaw_graph *g = l->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const bool is_conv = conv_fits(l, g->nodes[i]);
        if (!is_conv && !linear_fits(l, g->nodes[i]))
            continue;
        g->nodes[i]->op = is_conv ? &thaw_op_conv8 : &thaw_op_linear8;
        l->counts->eight_bits++;
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        thaw_node *node = g->nodes[i];
        if (node->op != &thaw_op_conv8)
            continue;
        for (int32_t j = 0; j < node->input_count; j++)
            if (g->values[node->inputs[j]].form == THAW_FORM_FLOATS) {
                thaw_value bytes;
                THAW_TRY(bytes_of(l, &i, node->inputs[j], &bytes));
                node->inputs[j] = bytes;
            }
        THAW_TRY(write_bytes(l, &i));
    }
    return THAW_OK;
}
