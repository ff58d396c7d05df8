#include "thaw/graph.h"

#include "graph/graph_impl.h"
#include "graph/op_impl.h"

/* Trains, keeps statistics of its batches, or draws random numbers. */
static bool is_moving(const thaw_graph *g, const thaw_node *n)
{
    for (int32_t j = 0; j < n->param_count; j++)
        if (g->params[n->params[j]]->trainable)
            return true;
    return n->op->is_random != NULL && n->op->is_random(n);
}

/* Do features and logits depend on the input only through v? So the cut never lies beyond the features, which could not be
 * read again from what is cached there. */
static bool is_cut(const thaw_graph *g, thaw_value v, bool *reached)
{
    for (thaw_value u = 0; u < g->value_count; u++)
        reached[u] = u == g->input && u != v;
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        for (int32_t j = 0; n->output != v && j < n->input_count; j++)
            reached[n->output] = reached[n->output] || reached[n->inputs[j]];
    }
    return !reached[g->logits] && (g->features < 0 || !reached[g->features]);
}

thaw_status thaw_find_boundary(const thaw_graph *g, thaw_value *out)
{
    thaw_status status = THAW_OK;
    bool *moving = NULL;
    bool *reached = NULL;
    THAW_TRY_TO(thaw_alloc(&moving, g->value_count, sizeof *moving));
    THAW_TRY_TO(thaw_alloc(&reached, g->value_count, sizeof *reached));
    thaw_value last = g->input;
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        moving[n->output] = is_moving(g, n);
        for (int32_t j = 0; j < n->input_count; j++)
            moving[n->output] = moving[n->output] || moving[n->inputs[j]];
        if (!moving[n->output] && is_cut(g, n->output, reached))
            last = n->output;
    }
    *out = last;
done:
    thaw_free(&reached);
    thaw_free(&moving);
    return status;
}
