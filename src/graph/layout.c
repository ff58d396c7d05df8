/* The pass layout: convolutions of some backends want channels in blocks. Values take that layout where their producer can
 * write it; a reorder stands wherever a reader wants another one. */
#include "graph/plan_impl.h"

static int32_t block_of(const thaw_graph *g, thaw_value v)
{
    return g->values[v].block > 1 ? g->values[v].block : 1;
}

/* Can this node run with one block for all its inputs (plain: 1) and another for its output? */
static bool fits(const thaw_lowering *l, int32_t index, int32_t block_in, int32_t block_out)
{
    const thaw_node *node = l->graph->nodes[index];
    thaw_need need;
    thaw_fill_need(l->graph, index, l->options, &need);
    for (int32_t j = 0; j < node->input_count; j++)
        need.block_in[j] = block_in;
    if (node->residual)
        need.block_in[1] = block_out;
    need.block_out = block_out;
    return node->op->fits(l->kern, &need);
}

typedef struct wish {
    int32_t in, residual, out;
} wish;

static bool any_in_blocks(const thaw_graph *g, const thaw_node *node)
{
    for (int32_t j = 0; j < node->input_count; j++)
        if (block_of(g, node->inputs[j]) > 1)
            return true;
    return false;
}

/* Inputs come in the layout that earlier nodes have given them. Few channels of a plain input stay plain: most of a block
 * would be nothing. */
static wish ask(const thaw_lowering *l, int32_t index)
{
    const thaw_graph *g = l->graph;
    const thaw_node *node = g->nodes[index];
    const int32_t block = l->kern->block;
    /* Blocks of mostly nothing cost more than they gain. */
    if (2 * g->values[node->output].shape.dim[0] <= block)
        return (wish){1, 1, 1};
    const bool few =
        block_of(g, node->inputs[0]) == 1 && g->values[node->inputs[0]].shape.dim[0] < block;
    if (few && fits(l, index, 1, block))
        return (wish){1, block, block};
    if (fits(l, index, block, block))
        return (wish){block, block, block};
    return (wish){1, 1, 1};
}

static wish choose(const thaw_lowering *l, int32_t index)
{
    const thaw_node *node = l->graph->nodes[index];
    const int32_t block = l->kern->block;
    switch (node->op->layouts) {
    case THAW_LAYOUTS_ASK:
        return ask(l, index);
    case THAW_LAYOUTS_SAME:
        return any_in_blocks(l->graph, node) ? (wish){block, block, block} : (wish){1, 1, 1};
    case THAW_LAYOUTS_INPUT: {
        int32_t in = block_of(l->graph, node->inputs[0]);
        return (wish){in, in, 1};
    }
    case THAW_LAYOUTS_PLAIN:
        break;
    }
    return (wish){1, 1, 1};
}

static thaw_status insert_reorder(thaw_lowering *l, int32_t at, thaw_value in, thaw_value out)
{
    l->counts->reorders++;
    return thaw_insert_node(l->graph, at, &thaw_op_reorder, in, out);
}

/* The value that holds v in this layout; made before node *index, which moves on then. */
static thaw_status in_layout(thaw_lowering *l, int32_t *index, thaw_value v, int32_t block,
                             thaw_value *out)
{
    thaw_graph *g = l->graph;
    *out = v;
    if (block_of(g, v) == block || g->values[v].form != THAW_FORM_FLOATS)
        return THAW_OK;
    for (int32_t i = 0; i < *index; i++)
        if (g->nodes[i]->op == &thaw_op_reorder && g->nodes[i]->inputs[0] == v) {
            *out = g->nodes[i]->output;
            return THAW_OK;
        }
    THAW_TRY(thaw_graph_add_value(g, g->values[v].shape, *index, out));
    g->values[*out].block = block;
    THAW_TRY(insert_reorder(l, *index, v, *out));
    ++*index;
    return THAW_OK;
}

static bool is_given_plain(const thaw_lowering *l, thaw_value v)
{
    return v == l->options->from || thaw_stays_readable(l->source, l->options, v);
}

/* What callers read is plain: the node writes a value of its own, a reorder makes the caller's from it. */
static thaw_status write_in(thaw_lowering *l, int32_t *index, int32_t block)
{
    thaw_graph *g = l->graph;
    thaw_node *node = g->nodes[*index];
    const thaw_value plain = node->output;
    thaw_value inner = plain;
    if (block > 1 && is_given_plain(l, plain)) {
        THAW_TRY(thaw_graph_add_value(g, g->values[plain].shape, *index, &inner));
        node->output = inner;
        for (int32_t i = *index + 1; i < g->node_count; i++)
            for (int32_t j = 0; j < g->nodes[i]->input_count; j++)
                if (g->nodes[i]->inputs[j] == plain)
                    g->nodes[i]->inputs[j] = inner;
        THAW_TRY(insert_reorder(l, *index + 1, inner, plain));
        ++*index;
    }
    g->values[inner].block = block;
    return THAW_OK;
}

thaw_status thaw_layout(thaw_lowering *l)
{
    thaw_graph *g = l->graph;
    if (l->kern->block <= 1)
        return THAW_OK;
    for (int32_t i = 0; i < g->node_count; i++) {
        const wish w = choose(l, i);
        thaw_node *node = g->nodes[i];
        for (int32_t j = 0; j < node->input_count; j++) {
            thaw_value v;
            THAW_TRY(in_layout(l, &i, node->inputs[j], node->residual && j == 1 ? w.residual : w.in,
                               &v));
            node->inputs[j] = v;
        }
        THAW_TRY(write_in(l, &i, w.out));
    }
    return THAW_OK;
}
