#include "thaw/graph.h"

#include "graph/graph_impl.h"

thaw_status thaw_needed_nodes(const thaw_graph *g, thaw_value from, thaw_value to, bool *needed)
{
    thaw_status status = THAW_OK;
    bool *wanted = NULL;
    THAW_TRY_TO(thaw_alloc(&wanted, g->value_count, sizeof *wanted));
    wanted[to] = true;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const thaw_node *n = g->nodes[i];
        needed[i] = wanted[n->output] && n->output != from;
        for (int32_t j = 0; needed[i] && j < n->input_count; j++)
            wanted[n->inputs[j]] = true;
    }
    if (wanted[g->input] && from != g->input) {
        char a[200], b[200];
        thaw_value_label(g, from, a, sizeof a);
        thaw_value_label(g, to, b, sizeof b);
        status = THAW_FAIL(THAW_ERR_FAIL,
                           "%s cannot be computed from %s alone: a path leads around it", b, a);
    }
done:
    thaw_free(&wanted);
    return status;
}

static bool trains(const thaw_graph *g, const thaw_node *n)
{
    for (int32_t j = 0; j < n->param_count; j++) {
        const thaw_param *p = g->params[n->params[j]];
        if (p->trainable && !thaw_is_buffer(p))
            return true;
    }
    return false;
}

void thaw_need_grad(const thaw_graph *g, const bool *needed, thaw_value from, bool input_gradient,
                    bool *active, bool *wanted)
{
    for (thaw_value v = 0; v < g->value_count; v++)
        wanted[v] = v == from && input_gradient;
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        active[i] = needed[i] && trains(g, n);
        for (int32_t j = 0; needed[i] && j < n->input_count; j++)
            active[i] = active[i] || wanted[n->inputs[j]];
        if (needed[i])
            wanted[n->output] = active[i];
    }
}
