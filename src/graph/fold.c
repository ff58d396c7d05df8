/* The pass fold: a norm that keeps its stored statistics is an affine map of each channel, so that it goes into the weights
 * and the bias of the convolution before it, where all of them are frozen (Jacob et al. 2018, section 3.2). */
#include "graph/plan_impl.h"

static bool all_frozen(const thaw_graph *g, const thaw_node *n)
{
    for (int32_t j = 0; j < n->param_count; j++)
        if (g->params[n->params[j]]->trainable)
            return false;
    return true;
}

/* With stored statistics in every run of the plan. */
static bool is_affine_norm(const thaw_graph *g, const thaw_node *n)
{
    return n->op == &thaw_op_batch_norm && n->frozen_stats && all_frozen(g, n);
}

static void fold_into(thaw_graph *g, int32_t conv, int32_t norm)
{
    thaw_node *c = g->nodes[conv];
    const thaw_node *n = g->nodes[norm];
    for (int32_t j = 0; j < n->param_count; j++)
        c->params[c->param_count++] = n->params[j];
    c->folded = true;
    c->frozen_stats = true;
    c->fold_epsilon = n->attr.batch_norm.epsilon;
    thaw_remove_node(g, norm, conv);
}

void thaw_fold(thaw_lowering *l)
{
    thaw_graph *g = l->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *conv = g->nodes[i];
        if (conv->op != &thaw_op_conv2d || !all_frozen(g, conv))
            continue;
        int32_t user = thaw_only_user(l, conv->output);
        if (user < 0 || !is_affine_norm(g, g->nodes[user]))
            continue;
        fold_into(g, i, user);
        l->counts->folded++;
    }
}
