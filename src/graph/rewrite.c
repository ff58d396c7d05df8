#include "thaw/graph.h"

#include "graph/graph_impl.h"
#include "graph/op_impl.h"

void thaw_node_label(const thaw_graph *g, int32_t node, char *out, size_t bytes)
{
    const thaw_node *n = g->nodes[node];
    if (n->name[0] != '\0')
        (void)thaw_format(out, bytes, "%s \"%s\"", n->op->kind, n->name);
    else
        (void)thaw_format(out, bytes, "%s (node %d)", n->op->kind, node);
}

void thaw_value_label(const thaw_graph *g, thaw_value v, char *out, size_t bytes)
{
    char node[160];
    if (!thaw_graph_has_value(g, v)) {
        (void)thaw_format(out, bytes, "value %d, which is not in the graph", v);
    } else if (g->values[v].producer < 0) {
        (void)thaw_copy(out, bytes, "the input");
    } else {
        thaw_node_label(g, g->values[v].producer, node, sizeof node);
        (void)thaw_format(out, bytes, "the output of %s", node);
    }
}

void thaw_graph_replace_uses(thaw_graph *g, thaw_value old, thaw_value new_value,
                             int32_t except_node)
{
    if (g->status != THAW_OK)
        return;
    THAW_ASSERT(thaw_graph_has_value(g, old) && thaw_graph_has_value(g, new_value));
    if (!thaw_shape_equal(&g->values[old].shape, &g->values[new_value].shape)) {
        char a[80], b[80], label[200];
        thaw_shape_format(&g->values[old].shape, a, sizeof a);
        thaw_shape_format(&g->values[new_value].shape, b, sizeof b);
        thaw_value_label(g, old, label, sizeof label);
        (void)thaw_graph_broken(
            g, THAW_FAIL(THAW_ERR_FAIL, "%s has shape %s; it cannot be replaced by one of shape %s",
                         label, a, b));
        return;
    }
    thaw_graph_redirect_uses(g, old, new_value, except_node);
}

void thaw_graph_redirect_uses(thaw_graph *g, thaw_value old, thaw_value new_value,
                              int32_t except_node)
{
    if (g->status != THAW_OK)
        return;
    THAW_ASSERT(thaw_graph_has_value(g, old) && thaw_graph_has_value(g, new_value));
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t j = 0; i != except_node && j < g->nodes[i]->input_count; j++)
            if (g->nodes[i]->inputs[j] == old)
                g->nodes[i]->inputs[j] = new_value;
    if (g->features == old)
        g->features = new_value;
    if (g->logits == old)
        g->logits = new_value;
}

/* Producers and param.node follow the list. */
static void relink(thaw_graph *g)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        g->values[n->output].producer = i;
        for (int32_t j = 0; j < n->param_count; j++)
            g->params[n->params[j]]->node = i;
    }
}

static bool is_ready(const thaw_node *n, const bool *computed)
{
    for (int32_t i = 0; i < n->input_count; i++)
        if (!computed[n->inputs[i]])
            return false;
    return true;
}

/* Always the first node of the old list that is ready: an ordered list stays as it is. Quadratic, and made once. */
thaw_status thaw_graph_sort(thaw_graph *g)
{
    thaw_status status = THAW_OK;
    thaw_node **sorted = NULL;
    bool *computed = NULL;
    bool *placed = NULL;
    char label[160];

    THAW_CHECK_TO(g->status == THAW_OK, g->status, "%s", g->message);
    THAW_CHECK_TO(g->input >= 0, THAW_ERR_FAIL, "the graph has no input (thaw_graph_input)");
    THAW_TRY_TO(thaw_alloc(&sorted, g->node_capacity, sizeof *sorted));
    THAW_TRY_TO(thaw_alloc(&computed, g->value_count, sizeof *computed));
    THAW_TRY_TO(thaw_alloc(&placed, g->node_count, sizeof *placed));
    computed[g->input] = true;
    for (int32_t count = 0; count < g->node_count; count++) {
        int32_t i = 0;
        while (i < g->node_count && (placed[i] || !is_ready(g->nodes[i], computed)))
            i++;
        if (i == g->node_count) {
            for (i = 0; placed[i]; i++)
                ;
            thaw_node_label(g, i, label, sizeof label);
            status = THAW_FAIL(THAW_ERR_FAIL, "the graph has a cycle: %s waits for itself", label);
            goto done;
        }
        placed[i] = true;
        computed[g->nodes[i]->output] = true;
        sorted[count] = g->nodes[i];
    }
    for (int32_t i = 0; i < g->node_count; i++)
        g->nodes[i] = sorted[i];
    relink(g);
done:
    thaw_free(&placed);
    thaw_free(&computed);
    thaw_free(&sorted);
    return status;
}

thaw_status thaw_node_shape(const thaw_graph *g, const thaw_node *n, const thaw_shape *in,
                            thaw_shape *out)
{
    thaw_param_spec specs[THAW_MAX_PARAMS];
    THAW_TRY(n->op->shape(n, in, out));
    const int32_t count = n->op->params != NULL ? n->op->params(n, in, specs) : 0;
    THAW_ASSERT(count == n->param_count);
    for (int32_t i = 0; i < count; i++) {
        const thaw_param *p = g->params[n->params[i]];
        char has[80], needs[80];
        thaw_shape_format(&p->shape, has, sizeof has);
        thaw_shape_format(&specs[i].shape, needs, sizeof needs);
        THAW_CHECK(thaw_shape_equal(&p->shape, &specs[i].shape), THAW_ERR_FAIL,
                   "\"%s\" is %s, but its inputs need %s now", p->name, has, needs);
    }
    return THAW_OK;
}

static thaw_status reshape_node(thaw_graph *g, const thaw_node *n)
{
    thaw_shape in[THAW_MAX_INPUTS] = {0};
    for (int32_t i = 0; i < n->input_count; i++)
        in[i] = g->values[n->inputs[i]].shape;
    return thaw_node_shape(g, n, in, &g->values[n->output].shape);
}

thaw_status thaw_graph_reshape(thaw_graph *g)
{
    THAW_TRY(thaw_graph_sort(g));
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_status status = reshape_node(g, g->nodes[i]);
        char label[160];
        if (status == THAW_OK)
            continue;
        thaw_node_label(g, i, label, sizeof label);
        return thaw_fail_context(status, "%s", label);
    }
    return THAW_OK;
}

bool thaw_graph_valid(const thaw_graph *g)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        if (!thaw_graph_has_value(g, n->output) || g->values[n->output].producer != i)
            return false;
        for (int32_t j = 0; j < n->input_count; j++)
            if (!thaw_graph_has_value(g, n->inputs[j]) || g->values[n->inputs[j]].producer >= i)
                return false;
        for (int32_t j = 0; j < n->param_count; j++)
            if (n->params[j] < 0 || n->params[j] >= g->param_count)
                return false;
    }
    for (int32_t i = 0; i < g->param_count; i++)
        if (g->params[i]->data == NULL)
            return false;
    return thaw_graph_has_value(g, g->input) && thaw_graph_has_value(g, g->logits);
}
