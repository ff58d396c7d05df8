/* The pass fuse: what follows an operator and touches each element once is done while the element is at hand. */
#include "graph/plan_impl.h"

static bool is_affine(const thaw_node *n)
{
    return n->op == &thaw_op_batch_norm || n->op == &thaw_op_scale_shift;
}

/* Norms and additions work element by element; a convolution's last step can. */
static bool takes_act(const thaw_node *n)
{
    return n->act == THAW_ACT_NONE &&
           (is_affine(n) || n->op == &thaw_op_add || n->op == &thaw_op_conv2d);
}

/* A norm's backward hands the sum's gradient on; a convolution's does not. */
static bool takes_residual(const thaw_node *n, const thaw_node *sum)
{
    return n->act == THAW_ACT_NONE && !n->residual && sum->op == &thaw_op_add &&
           sum->attr.add.alpha == 1.0f &&
           (is_affine(n) || (n->op == &thaw_op_conv2d && !sum->active));
}

/* In training the caller may read the gradient of `to` after backward, which an activation would cut in place. */
static bool fuse_act(thaw_lowering *l, int32_t index)
{
    thaw_graph *g = l->graph;
    int32_t user = thaw_only_user(l, g->nodes[index]->output);
    if (user < 0 || !takes_act(g->nodes[index]) || g->nodes[user]->op->act == THAW_ACT_NONE)
        return false;
    if (l->options->training && g->nodes[user]->output == l->options->to)
        return false;
    g->nodes[index]->act = g->nodes[user]->op->act;
    thaw_remove_node(g, user, index);
    return true;
}

/* The sum's other input must be there when this node runs: the later one of the two producers takes the sum. */
static bool fuse_residual(thaw_lowering *l, int32_t index)
{
    thaw_graph *g = l->graph;
    thaw_node *node = g->nodes[index];
    int32_t user = thaw_only_user(l, node->output);
    if (user < 0 || !takes_residual(node, g->nodes[user]))
        return false;
    const thaw_node *sum = g->nodes[user];
    thaw_value other = sum->inputs[sum->inputs[0] == node->output ? 1 : 0];
    if (g->values[other].producer > index)
        return false;
    node->inputs[1] = other;
    node->input_count = 2;
    node->residual = true;
    node->act = sum->act;
    thaw_remove_node(g, user, index);
    return true;
}

/* A linear layer applies gelu in the sweep that adds its bias. */
static bool fuse_gelu(thaw_lowering *l, int32_t index)
{
    thaw_graph *g = l->graph;
    thaw_node *node = g->nodes[index];
    if (node->op != &thaw_op_linear || node->attr.linear.gelu != 0)
        return false;
    int32_t user = thaw_only_user(l, node->output);
    if (user < 0 || g->nodes[user]->op != &thaw_op_gelu)
        return false;
    if (l->options->training && g->nodes[user]->output == l->options->to)
        return false;
    node->attr.linear.gelu = g->nodes[user]->attr.gelu.tanh_form ? 2 : 1;
    thaw_remove_node(g, user, index);
    return true;
}

void thaw_fuse(thaw_lowering *l)
{
    for (int32_t i = 0; i < l->graph->node_count; i++) {
        l->counts->fused += fuse_residual(l, i);
        l->counts->fused += fuse_act(l, i);
        l->counts->fused += fuse_gelu(l, i);
    }
}
