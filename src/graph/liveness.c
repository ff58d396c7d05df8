/* The pass `memory`, first half: which buffers there are and from when to when each must be there. */
#include "graph/plan_impl.h"

#include <string.h>

static size_t value_bytes(const thaw_plan *plan, thaw_value v)
{
    return (size_t)plan->options.batch * (size_t)thaw_shape_count(&plan->graph->values[v].shape) *
           sizeof(float);
}

static thaw_status add_span(thaw_plan *plan, size_t bytes, int32_t first, int32_t last,
                            int32_t *out)
{
    *out = THAW_NO_SPAN;
    if (bytes == 0)
        return THAW_OK;
    THAW_TRY(
        thaw_graph_grow(&plan->spans, plan->span_count, &plan->span_capacity, sizeof *plan->spans));
    plan->spans[plan->span_count] = (thaw_span){.bytes = bytes, .first = first, .last = last};
    *out = plan->span_count++;
    return THAW_OK;
}

static void extend(thaw_plan *plan, int32_t span, int32_t last)
{
    if (span >= 0 && plan->spans[span].last < last)
        plan->spans[span].last = last;
}

/* Last moment at which each value's contents are read: by a node's forward, by a backward that keeps them, or by the
 * caller. */
static void find_last_reads(const thaw_plan *plan, int32_t *last_read)
{
    for (thaw_value v = 0; v < plan->graph->value_count; v++)
        last_read[v] = -1;
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        const thaw_node *node = step->need.node;
        for (int32_t j = 0; j < node->input_count; j++)
            last_read[node->inputs[j]] = thaw_forward_moment(p);
    }
    /* Backward runs from the last step to the first, so that the lowest step reads last. */
    for (int32_t p = plan->step_count - 1; p >= 0; p--) {
        const thaw_step *step = &plan->steps[p];
        const thaw_node *node = step->need.node;
        for (int32_t j = 0; step->keep.input && j < node->input_count; j++)
            last_read[node->inputs[j]] = thaw_backward_moment(plan, p);
        if (step->keep.output)
            last_read[node->output] = thaw_backward_moment(plan, p);
    }
    last_read[plan->options.to] = thaw_last_moment(plan);
    if (plan->options.keep >= 0)
        last_read[plan->options.keep] = thaw_last_moment(plan);
}

/* May the node of step p write over the buffer of its input j? Nobody may read any value in that buffer afterwards. */
static bool can_overwrite(const thaw_plan *plan, int32_t p, int32_t j, const int32_t *last_read)
{
    const thaw_need *need = &plan->steps[p].need;
    const thaw_node *node = need->node;
    int32_t span = plan->storage[node->inputs[j]];
    if (plan->extra.no_reuse || !node->op->in_place || need->batch_statistics || span < 0)
        return false;
    for (int32_t i = 0; i < node->input_count; i++)
        if (i != j && plan->storage[node->inputs[i]] == span)
            return false;
    for (thaw_value v = 0; v < plan->graph->value_count; v++)
        if (plan->storage[v] == span && last_read[v] > thaw_forward_moment(p))
            return false;
    return true;
}

static thaw_status place_output(thaw_plan *plan, int32_t p, const int32_t *last_read)
{
    const thaw_node *node = plan->steps[p].need.node;
    int32_t *span = &plan->storage[node->output];
    /* kern's y = a + alpha b may overwrite a; the other kinds have one input. */
    if (node->op->view || can_overwrite(plan, p, 0, last_read))
        *span = plan->storage[node->inputs[0]];
    else
        THAW_TRY(add_span(plan, value_bytes(plan, node->output), thaw_forward_moment(p),
                          thaw_forward_moment(p), span));
    extend(plan, *span, last_read[node->output]);
    return THAW_OK;
}

static thaw_status place_scratch(thaw_plan *plan, int32_t p)
{
    thaw_step *step = &plan->steps[p];
    const thaw_op *op = step->need.node->op;
    int32_t forward = thaw_forward_moment(p);
    int32_t backward = thaw_backward_moment(plan, p);
    size_t bytes = op->workspace != NULL ? op->workspace(plan->kern, &step->need) : 0;
    THAW_TRY(add_span(plan, step->keep.saved_bytes, forward, step->need.active ? backward : forward,
                      &step->saved));
    THAW_TRY(add_span(plan, bytes, forward, forward, &step->forward_workspace));
    return add_span(plan, step->need.active ? bytes : 0, backward, backward,
                    &step->backward_workspace);
}

/* May input j's gradient take over the buffer of the output's? It must be the first contribution and the only one of this
 * node; the output's gradient is not read again, but for the caller's. */
static bool can_take_over(const thaw_plan *plan, const thaw_step *step, int32_t j)
{
    const thaw_node *node = step->need.node;
    if (plan->extra.no_reuse || !node->op->in_place || step->need.batch_statistics)
        return false;
    if (node->output == plan->options.to)
        return false;
    for (int32_t i = 0; i < node->input_count; i++)
        if (i != j && node->inputs[i] == node->inputs[j])
            return false;
    return true;
}

static int32_t last_gradient_moment(const thaw_plan *plan, thaw_value v, const int32_t *step_of)
{
    return step_of[v] >= 0 ? thaw_backward_moment(plan, step_of[v]) : thaw_last_moment(plan);
}

static thaw_status place_input_gradients(thaw_plan *plan, int32_t p, const int32_t *step_of)
{
    thaw_step *step = &plan->steps[p];
    const thaw_node *node = step->need.node;
    bool taken = false;
    for (int32_t j = 0; j < node->input_count; j++) {
        thaw_value x = node->inputs[j];
        if (!step->need.dx[j])
            continue;
        step->accumulate[j] = plan->gradient[x] != THAW_NO_SPAN;
        if (step->accumulate[j])
            continue;
        int32_t last = last_gradient_moment(plan, x, step_of);
        if (!taken && can_take_over(plan, step, j)) {
            taken = true;
            plan->gradient[x] = plan->gradient[node->output];
            extend(plan, plan->gradient[x], last);
        } else {
            THAW_TRY(add_span(plan, value_bytes(plan, x), thaw_backward_moment(plan, p), last,
                              &plan->gradient[x]));
        }
    }
    return THAW_OK;
}

static thaw_status place_gradients(thaw_plan *plan, const int32_t *step_of)
{
    /* The caller may write it at any time before backward, and read it afterwards. */
    THAW_TRY(add_span(plan, value_bytes(plan, plan->options.to), 0, thaw_last_moment(plan),
                      &plan->gradient[plan->options.to]));
    for (int32_t p = plan->step_count - 1; p >= 0; p--)
        if (plan->steps[p].need.active)
            THAW_TRY(place_input_gradients(plan, p, step_of));
    return THAW_OK;
}

thaw_status thaw_liveness(thaw_plan *plan)
{
    thaw_status status = THAW_OK;
    int32_t *last_read = NULL;
    int32_t *step_of = NULL;
    int32_t value_count = plan->graph->value_count;

    THAW_TRY_TO(thaw_alloc(&last_read, value_count, sizeof *last_read));
    THAW_TRY_TO(thaw_alloc(&step_of, value_count, sizeof *step_of));
    for (thaw_value v = 0; v < value_count; v++)
        plan->storage[v] = plan->gradient[v] = step_of[v] = THAW_NO_SPAN;
    plan->storage[plan->options.from] = THAW_GIVEN;
    for (int32_t p = 0; p < plan->step_count; p++) {
        thaw_step *step = &plan->steps[p];
        step_of[step->need.node->output] = p;
        if (step->need.node->op->keep != NULL)
            step->keep = step->need.node->op->keep(&step->need);
    }
    find_last_reads(plan, last_read);
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_node *node = plan->steps[p].need.node;
        for (int32_t j = 0; j < node->input_count; j++)
            extend(plan, plan->storage[node->inputs[j]], thaw_forward_moment(p));
        THAW_TRY_TO(place_output(plan, p, last_read));
        THAW_TRY_TO(place_scratch(plan, p));
    }
    if (plan->options.training)
        THAW_TRY_TO(place_gradients(plan, step_of));
done:
    thaw_free(&step_of);
    thaw_free(&last_read);
    return status;
}
