/* The pass `memory`, first half: which buffers there are and from when to when each must be there. */
#include "graph/plan_impl.h"

#include <string.h>

static size_t value_bytes(const thaw_plan *plan, thaw_value v)
{
    return (size_t)plan->options.batch * thaw_memory_bytes(&plan->graph->values[v]);
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

/* When each value is read last: in its first place, and in the one that a replay writes. */
typedef struct reads {
    int32_t *first, *late;
} reads;

static void note_read(const thaw_plan *plan, const reads *r, thaw_value v, int32_t moment)
{
    const int32_t producer = plan->graph->values[v].producer;
    const bool late = moment > plan->step_count && producer >= 0 && plan->steps[producer].replays;
    int32_t *last = late ? &r->late[v] : &r->first[v];
    *last = moment > *last ? moment : *last;
}

/* By a node's forward, by its replay, by a backward that keeps them, or by the caller. */
static void find_last_reads(const thaw_plan *plan, const reads *r)
{
    for (thaw_value v = 0; v < plan->graph->value_count; v++)
        r->first[v] = r->late[v] = -1;
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        const thaw_node *node = step->need.node;
        for (int32_t j = 0; j < node->input_count; j++) {
            note_read(plan, r, node->inputs[j], thaw_forward_moment(p));
            if (step->replays)
                note_read(plan, r, node->inputs[j], step->replay_at);
            if (step->keep.input || (step->keep.first_input && j == 0) ||
                (step->keep.last_input && j + 1 == node->input_count))
                note_read(plan, r, node->inputs[j], thaw_backward_moment(plan, p));
        }
        if (step->keep.output)
            note_read(plan, r, node->output, thaw_backward_moment(plan, p));
    }
    for (thaw_value v = 0; v < plan->source->value_count; v++)
        if (thaw_stays_readable(plan->source, &plan->options, v))
            r->first[v] = thaw_last_moment(plan);
}

/* May the node of step p write over the buffer of its input j? Nobody may read any value in that buffer afterwards. */
static bool can_overwrite(const thaw_plan *plan, int32_t p, int32_t j, const int32_t *last_read)
{
    const thaw_need *need = &plan->steps[p].need;
    const thaw_node *node = need->node;
    int32_t span = plan->storage[node->inputs[j]];
    const bool allowed =
        node->residual ? j == 1 : j == 0 && node->op->in_place && !need->batch_statistics;
    if (plan->extra.no_reuse || !allowed || span < 0)
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
    /* kern's y = a + alpha b may overwrite a; a residual is added to what the output held. */
    const int32_t j = node->residual ? 1 : 0;
    if (node->op->view || can_overwrite(plan, p, j, last_read))
        *span = plan->storage[node->inputs[j]];
    else
        THAW_TRY(add_span(plan, value_bytes(plan, node->output), thaw_forward_moment(p),
                          thaw_forward_moment(p), span));
    extend(plan, *span, last_read[node->output]);
    return THAW_OK;
}

/* What a replay writes has memory of its own from then on. */
static thaw_status place_replay(thaw_plan *plan, int32_t p, const int32_t *last_late)
{
    thaw_step *step = &plan->steps[p];
    const thaw_op *op = step->need.node->op;
    const thaw_value y = step->need.node->output;
    if (!step->replays)
        return THAW_OK;
    const int32_t last = last_late[y] > step->replay_at ? last_late[y] : step->replay_at;
    THAW_TRY(add_span(plan, value_bytes(plan, y), step->replay_at, last, &plan->replayed[y]));
    if (op->workspace == NULL)
        return THAW_OK;
    return add_span(plan, op->workspace(&step->need, step->object, false), step->replay_at,
                    step->replay_at, &step->replay_workspace);
}

static thaw_status place_scratch(thaw_plan *plan, int32_t p)
{
    thaw_step *step = &plan->steps[p];
    const thaw_op *op = step->need.node->op;
    int32_t forward = thaw_forward_moment(p);
    int32_t backward = thaw_backward_moment(plan, p);
    THAW_TRY(add_span(plan, step->keep.saved_bytes, forward, step->need.active ? backward : forward,
                      &step->saved));
    if (op->workspace == NULL)
        return THAW_OK;
    THAW_TRY(add_span(plan, op->workspace(&step->need, step->object, false), forward, forward,
                      &step->forward_workspace));
    if (!step->need.active)
        return THAW_OK;
    return add_span(plan, op->workspace(&step->need, step->object, true), backward, backward,
                    &step->backward_workspace);
}

/* May input j's gradient take over the buffer of the output's? It must be the first contribution and the only one of this
 * node; the output's gradient is not read again, but for the caller's. */
static bool can_take_over(const thaw_plan *plan, const thaw_step *step, int32_t j)
{
    const thaw_node *node = step->need.node;
    /* A norm reads the gradient twice, and writes its own only in the second sweep. */
    if (plan->extra.no_reuse || !node->op->in_place)
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
    for (int32_t i = 0; i < node->input_count; i++) {
        /* A residual's gradient is the output's, cut: it comes first and has the better claim to its memory. */
        const int32_t j = node->residual ? node->input_count - 1 - i : i;
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
    reads r = {0};
    int32_t *step_of = NULL;
    int32_t value_count = plan->graph->value_count;

    THAW_TRY_TO(thaw_alloc(&r.first, value_count, sizeof *r.first));
    THAW_TRY_TO(thaw_alloc(&r.late, value_count, sizeof *r.late));
    THAW_TRY_TO(thaw_alloc(&step_of, value_count, sizeof *step_of));
    for (thaw_value v = 0; v < value_count; v++)
        plan->storage[v] = plan->replayed[v] = plan->gradient[v] = step_of[v] = THAW_NO_SPAN;
    plan->storage[plan->options.from] = THAW_GIVEN;
    for (int32_t p = 0; p < plan->step_count; p++) {
        thaw_step *step = &plan->steps[p];
        step_of[step->need.node->output] = p;
        if (step->need.node->op->keep != NULL)
            step->keep = step->need.node->op->keep(&step->need);
    }
    find_last_reads(plan, &r);
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_node *node = plan->steps[p].need.node;
        for (int32_t j = 0; j < node->input_count; j++)
            extend(plan, plan->storage[node->inputs[j]], thaw_forward_moment(p));
        THAW_TRY_TO(place_output(plan, p, r.first));
        THAW_TRY_TO(place_scratch(plan, p));
        THAW_TRY_TO(place_replay(plan, p, r.late));
    }
    if (plan->options.training)
        THAW_TRY_TO(place_gradients(plan, step_of));
done:
    thaw_free(&step_of);
    thaw_free(&r.late);
    thaw_free(&r.first);
    return status;
}
