#include "thaw/graph.h"

#include "graph/graph_impl.h"
#include "graph/op_impl.h"

/* Writes what need_grad found for input -> logits into nodes and parameters. */
static void mark_nodes(thaw_graph *g, const bool *active, const bool *wanted)
{
    for (int32_t i = 0; i < g->param_count; i++)
        g->params[i]->need_grad = false;
    for (int32_t i = 0; i < g->node_count; i++) {
        thaw_node *n = g->nodes[i];
        n->active = active[i];
        n->need_input_grad = false;
        for (int32_t j = 0; j < n->input_count; j++)
            n->need_input_grad = n->need_input_grad || (active[i] && wanted[n->inputs[j]]);
        for (int32_t j = 0; j < n->param_count; j++) {
            thaw_param *p = g->params[n->params[j]];
            p->need_grad = p->need_grad || (active[i] && p->trainable && !thaw_is_buffer(p));
        }
    }
}

thaw_status thaw_graph_analyze(thaw_graph *g)
{
    thaw_status status = THAW_OK;
    bool *needed = NULL;
    bool *active = NULL;
    bool *wanted = NULL;
    THAW_CHECK_TO(g->status == THAW_OK, g->status, "%s", g->message);
    THAW_CHECK_TO(thaw_graph_valid(g), THAW_ERR_FAIL,
                  "the graph is not finished; call thaw_graph_finish after the last change");
    THAW_TRY_TO(thaw_alloc(&needed, g->node_count, sizeof *needed));
    THAW_TRY_TO(thaw_alloc(&active, g->node_count, sizeof *active));
    THAW_TRY_TO(thaw_alloc(&wanted, g->value_count, sizeof *wanted));
    thaw_freeze(g);
    THAW_TRY_TO(thaw_needed_nodes(g, g->input, g->logits, needed));
    thaw_need_grad(g, needed, g->input, false, active, wanted);
    mark_nodes(g, active, wanted);
    THAW_TRY_TO(thaw_find_boundary(g, &g->boundary));
done:
    thaw_free(&wanted);
    thaw_free(&active);
    thaw_free(&needed);
    return status;
}

thaw_value thaw_graph_boundary(const thaw_graph *g)
{
    return g->boundary >= 0 ? g->boundary : g->input;
}

static double node_flops(const thaw_graph *g, const thaw_node *n)
{
    thaw_shape in[THAW_MAX_INPUTS];
    for (int32_t j = 0; j < n->input_count; j++)
        in[j] = g->values[n->inputs[j]].shape;
    return n->op->flops(n, in, &g->values[n->output].shape);
}

double thaw_graph_forward_flops(const thaw_graph *g)
{
    double flops = 0;
    for (int32_t i = 0; i < g->node_count; i++)
        flops += node_flops(g, g->nodes[i]);
    return flops;
}

/* A product costs as much again for each of its two gradients; what has no product passes through once. */
double thaw_graph_backward_flops(const thaw_graph *g)
{
    double flops = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        bool weight = false;
        for (int32_t j = 0; j < n->param_count; j++) {
            const thaw_param *p = g->params[n->params[j]];
            weight = weight || (p->need_grad && p->role == THAW_ROLE_WEIGHT);
        }
        flops += (double)(n->need_input_grad + weight) * node_flops(g, n);
    }
    return flops;
}
