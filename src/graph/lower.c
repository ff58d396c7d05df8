/* A plan's own copy of a range of the graph, which the passes of lowering may change. */
#include "thaw/graph.h"

#include <string.h>

#include "graph/plan_impl.h"

static thaw_status copy_node(const thaw_node *from, thaw_graph *to)
{
    thaw_node *node = NULL;
    THAW_TRY(thaw_graph_grow(&to->nodes, to->node_count, &to->node_capacity, sizeof(void *)));
    THAW_TRY(thaw_alloc(&node, 1, sizeof *node));
    *node = *from;
    node->name = NULL;
    to->nodes[to->node_count] = node;
    to->values[node->output].producer = to->node_count++;
    return thaw_strdup(&node->name, from->name);
}

static thaw_status copy_values_and_params(const thaw_graph *source, thaw_graph *g)
{
    THAW_TRY(thaw_alloc(&g->values, source->value_count, sizeof *g->values));
    g->value_count = g->value_capacity = source->value_count;
    for (thaw_value v = 0; v < source->value_count; v++)
        g->values[v] = (thaw_activation){.shape = source->values[v].shape, .producer = -1};
    THAW_TRY(thaw_alloc(&g->params, source->param_count, sizeof(void *)));
    g->param_count = g->param_capacity = source->param_count;
    if (source->param_count > 0)
        memcpy(g->params, source->params, (size_t)source->param_count * sizeof *g->params);
    g->input = source->input;
    g->features = source->features;
    g->logits = source->logits;
    g->boundary = source->boundary;
    return THAW_OK;
}

/* The nodes between from and {to, keep}, and which of them backward from `to` reaches. */
static thaw_status copy_range(const thaw_graph *source, const thaw_plan_options *o,
                              bool input_gradient, thaw_graph *g)
{
    thaw_status status = THAW_OK;
    bool *needed = NULL;
    bool *kept = NULL;
    bool *active = NULL;
    bool *wanted = NULL;
    THAW_TRY_TO(thaw_alloc(&needed, source->node_count, sizeof *needed));
    THAW_TRY_TO(thaw_alloc(&kept, source->node_count, sizeof *kept));
    THAW_TRY_TO(thaw_alloc(&active, source->node_count, sizeof *active));
    THAW_TRY_TO(thaw_alloc(&wanted, source->value_count, sizeof *wanted));
    THAW_TRY_TO(thaw_needed_nodes(source, o->from, o->to, needed));
    thaw_need_grad(source, needed, o->from, input_gradient, active, wanted);
    if (o->keep >= 0)
        THAW_TRY_TO(thaw_needed_nodes(source, o->from, o->keep, kept));
    for (int32_t i = 0; i < source->node_count; i++) {
        if (!needed[i] && !kept[i])
            continue;
        THAW_TRY_TO(copy_node(source->nodes[i], g));
        g->nodes[g->node_count - 1]->active = o->training && active[i];
    }
done:
    thaw_free(&wanted);
    thaw_free(&active);
    thaw_free(&kept);
    thaw_free(&needed);
    return status;
}

void thaw_lowered_free(thaw_graph **graph)
{
    thaw_graph *g = *graph;
    if (g == NULL)
        return;
    for (int32_t i = 0; i < g->node_count; i++) {
        thaw_free(&g->nodes[i]->name);
        thaw_free(&g->nodes[i]);
    }
    thaw_free(&g->nodes);
    thaw_free(&g->values);
    thaw_free(&g->params);
    thaw_free(graph);
}

int32_t thaw_only_user(const thaw_lowering *l, thaw_value v)
{
    const thaw_graph *g = l->graph;
    int32_t user = -1;
    if (l->pinned[v])
        return -1;
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t j = 0; j < g->nodes[i]->input_count; j++) {
            if (g->nodes[i]->inputs[j] != v)
                continue;
            if (user >= 0)
                return -1;
            user = i;
        }
    return user;
}

void thaw_remove_node(thaw_graph *g, int32_t index, int32_t heir)
{
    thaw_node *node = g->nodes[index];
    g->nodes[heir]->output = node->output;
    thaw_free(&node->name);
    thaw_free(&node);
    g->node_count--;
    memmove(&g->nodes[index], &g->nodes[index + 1],
            (size_t)(g->node_count - index) * sizeof *g->nodes);
    for (int32_t i = 0; i < g->node_count; i++)
        g->values[g->nodes[i]->output].producer = i;
}

thaw_status thaw_insert_node(thaw_graph *g, int32_t at, const thaw_op *op, thaw_value in,
                             thaw_value out)
{
    thaw_node *node = NULL;
    THAW_TRY(thaw_graph_grow(&g->nodes, g->node_count, &g->node_capacity, sizeof(void *)));
    THAW_TRY(thaw_alloc(&node, 1, sizeof *node));
    node->op = op;
    node->input_count = 1;
    node->inputs[0] = in;
    node->output = out;
    thaw_status status = thaw_strdup(&node->name, "");
    if (status != THAW_OK) {
        thaw_free(&node);
        return status;
    }
    for (int32_t i = g->node_count; i > at; i--)
        g->nodes[i] = g->nodes[i - 1];
    g->nodes[at] = node;
    g->node_count++;
    for (int32_t i = at; i < g->node_count; i++)
        g->values[g->nodes[i]->output].producer = i;
    return THAW_OK;
}

/* What callers read or give, and the boundary: a run that starts there from cached features must compute what a run from the
 * input computes, so nothing may be fused across it. */
static void pin(const thaw_lowering *l)
{
    const thaw_graph *g = l->graph;
    const thaw_plan_options *o = l->options;
    bool *pinned = l->pinned;
    pinned[o->from] = true;
    for (thaw_value v = 0; v < g->value_count; v++)
        pinned[v] = pinned[v] || thaw_stays_readable(l->source, o, v);
    if (g->features >= 0)
        pinned[g->features] = true;
    if (g->boundary >= 0)
        pinned[g->boundary] = true;
}

static thaw_status run_passes(const thaw_graph *source, thaw_graph *g, const thaw_kern *kern,
                              const thaw_plan_options *o, thaw_plan_counts *counts)
{
    thaw_lowering l = {.graph = g, .source = source, .kern = kern, .options = o, .counts = counts};
    THAW_TRY(thaw_alloc(&l.pinned, g->value_count, sizeof *l.pinned));
    pin(&l);
    thaw_fold(&l);
    thaw_fuse(&l);
    thaw_status status = THAW_OK;
    if (o->ranges != NULL)
        status = thaw_eight_bits(&l);
    if (status == THAW_OK)
        status = thaw_layout(&l);
    thaw_free(&l.pinned);
    return status;
}

thaw_status thaw_lower(const thaw_graph *source, const thaw_kern *kern,
                       const thaw_plan_options *options, const thaw_plan_extra *extra,
                       thaw_graph **out, thaw_plan_counts *counts)
{
    thaw_graph *g = NULL;
    thaw_status status = THAW_OK;
    *out = NULL;
    THAW_TRY(thaw_alloc(&g, 1, sizeof *g));
    THAW_TRY_TO(copy_values_and_params(source, g));
    THAW_TRY_TO(copy_range(source, options, extra->input_gradient, g));
    if (!extra->plain)
        THAW_TRY_TO(run_passes(source, g, kern, options, counts));
    counts->steps = g->node_count;
done:
    if (status == THAW_OK)
        *out = g;
    else
        thaw_lowered_free(&g);
    return status;
}
