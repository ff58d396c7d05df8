#include "thaw/graph.h"

#include "graph/graph_impl.h"

/* The weight decides, not the bias: a norm whose shift alone trains (BitFit) keeps the statistics that its weight was
 * trained with. */
void thaw_freeze(thaw_graph *g)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        thaw_node *n = g->nodes[i];
        bool norm = false;
        bool trains = false;
        for (int32_t j = 0; j < n->param_count; j++) {
            const thaw_param *p = g->params[n->params[j]];
            norm = norm || thaw_is_buffer(p);
            trains = trains || (p->role == THAW_ROLE_NORM_WEIGHT && p->trainable);
        }
        n->frozen_stats = norm && !trains;
        for (int32_t j = 0; j < n->param_count; j++)
            if (thaw_is_buffer(g->params[n->params[j]]))
                g->params[n->params[j]]->trainable = trains;
    }
}
