/* Runs of fewer tokens than a plan was made for: the same steps in the same memory, with needs of smaller shapes. */
#include "graph/plan_impl.h"

/* shapes[value] of the whole graph, whose nodes are in topological order. */
static thaw_status shapes_of(const thaw_graph *g, int64_t tokens, thaw_shape *shapes)
{
    thaw_shape *input = &shapes[g->input];
    for (thaw_value v = 0; v < g->value_count; v++)
        shapes[v] = g->values[v].shape;
    THAW_CHECK(input->ndim >= 1 && input->ndim <= 2 && tokens > 0 &&
                   tokens <= input->dim[input->ndim - 1],
               THAW_ERR_FAIL, "the input has not %lld tokens", (long long)tokens);
    input->dim[input->ndim - 1] = tokens;
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        thaw_shape in[THAW_MAX_INPUTS] = {0};
        char label[160];
        for (int32_t j = 0; j < n->input_count; j++)
            in[j] = shapes[n->inputs[j]];
        const thaw_status status = thaw_node_shape(g, n, in, &shapes[n->output]);
        if (status == THAW_OK)
            continue;
        thaw_node_label(g, i, label, sizeof label);
        return thaw_fail_context(status, "%s", label);
    }
    return THAW_OK;
}

thaw_status thaw_graph_shape_of(const thaw_graph *g, thaw_value v, int64_t tokens, thaw_shape *out)
{
    thaw_shape *shapes = NULL;
    THAW_ASSERT(thaw_graph_has_value(g, v));
    *out = g->values[v].shape;
    if (tokens == 0)
        return THAW_OK;
    THAW_TRY(thaw_alloc(&shapes, g->value_count, sizeof *shapes));
    const thaw_status status = shapes_of(g, tokens, shapes);
    *out = shapes[v];
    thaw_free(&shapes);
    return status;
}

/* The memory of the plan must do for it. */
static thaw_status check_room(const thaw_step *step, const thaw_need *need)
{
    const thaw_op *op = need->node->op;
    bool fits = step->object == NULL && need->out_count <= step->need.out_count;
    for (int backward = 0; op->workspace != NULL && backward < 2; backward++)
        fits = fits &&
               op->workspace(need, NULL, backward) <= op->workspace(&step->need, NULL, backward);
    if (op->keep != NULL)
        fits = fits && op->keep(need).saved_bytes <= op->keep(&step->need).saved_bytes;
    THAW_CHECK(fits, THAW_ERR_FAIL, "%s \"%s\" is made for texts of one length", op->kind,
               need->node->name);
    return THAW_OK;
}

/* Lowering keeps the numbers of values; those it adds are of pictures. */
static thaw_status shorten(const thaw_plan *plan, thaw_value v, const thaw_shape *shapes,
                           thaw_shape *shape, int64_t *count)
{
    const thaw_activation *value = &plan->graph->values[v];
    THAW_CHECK(v < plan->source->value_count && value->form == THAW_FORM_FLOATS &&
                   value->block <= 1,
               THAW_ERR_FAIL, "value %d has a layout of its own, which is made for one shape", v);
    *shape = shapes[v];
    *count = thaw_shape_count(shape);
    return THAW_OK;
}

static thaw_status make_needs(const thaw_plan *plan, const thaw_shape *shapes, thaw_need *needs)
{
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        const thaw_node *node = step->need.node;
        thaw_need *need = &needs[p];
        *need = step->need;
        THAW_TRY(shorten(plan, node->output, shapes, &need->out, &need->out_count));
        for (int32_t j = 0; j < node->input_count; j++)
            THAW_TRY(shorten(plan, node->inputs[j], shapes, &need->in[j], &need->in_count[j]));
        THAW_TRY(check_room(step, need));
    }
    return THAW_OK;
}

thaw_status thaw_plan_add_length(thaw_plan *plan, int64_t tokens)
{
    thaw_length length = {.tokens = tokens};
    thaw_shape *shapes = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_graph_grow(&plan->lengths, plan->length_count, &plan->length_capacity,
                                sizeof *plan->lengths));
    THAW_TRY_TO(thaw_alloc(&shapes, plan->source->value_count, sizeof *shapes));
    THAW_TRY_TO(thaw_alloc(&length.needs, plan->step_count, sizeof *length.needs));
    THAW_TRY_TO(shapes_of(plan->source, tokens, shapes));
    status = make_needs(plan, shapes, length.needs);
done:
    thaw_free(&shapes);
    if (status == THAW_OK)
        plan->lengths[plan->length_count++] = length;
    else
        thaw_free(&length.needs);
    return status;
}

void thaw_plan_use_length(thaw_plan *plan, int64_t tokens)
{
    int32_t i = 0;
    plan->shorter = NULL;
    if (tokens == 0)
        return;
    while (i < plan->length_count && plan->lengths[i].tokens != tokens)
        i++;
    THAW_ASSERT(i < plan->length_count);
    plan->shorter = plan->lengths[i].needs;
}

void thaw_lengths_free(thaw_plan *plan)
{
    for (int32_t i = 0; i < plan->length_count; i++)
        thaw_free(&plan->lengths[i].needs);
    thaw_free(&plan->lengths);
}
