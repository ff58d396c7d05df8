/* The executor: walks a plan's steps. Nothing here allocates. */
#include "graph/plan_impl.h"

#include <math.h>

static float *activation(const thaw_plan *plan, thaw_value v, bool late)
{
    const bool second = late && plan->replayed[v] != THAW_NO_SPAN;
    return thaw_plan_span(plan, second ? plan->replayed[v] : plan->storage[v]);
}

static const float *input_activation(const thaw_plan *plan, thaw_value v, bool late)
{
    return plan->storage[v] == THAW_GIVEN ? plan->input : activation(plan, v, late);
}

thaw_call thaw_plan_call(const thaw_plan *plan, const thaw_step *step, const thaw_run *run,
                         bool late)
{
    const thaw_node *node = step->need.node;
    thaw_call call = {.need = thaw_need_of(plan, step), .kern = plan->kern, .run = run};
    for (int32_t j = 0; j < node->input_count; j++)
        call.x[j] = input_activation(plan, node->inputs[j], late);
    call.y = activation(plan, node->output, late);
    for (int32_t j = 0; j < node->param_count; j++) {
        call.param[j] = plan->graph->params[node->params[j]]->data;
        if (step->reduced[j] >= 0)
            call.dparam[j] = plan->reduced[step->reduced[j]].data;
    }
    call.saved = thaw_plan_span(plan, step->saved);
    call.object = step->object;
    call.constants = plan->constants != NULL && step->constant_bytes > 0
                         ? plan->constants + step->constant_offset
                         : NULL;
    return call;
}

static void check_run(const thaw_plan *plan, const thaw_run *run)
{
    THAW_ASSERT(run->B >= 0 && run->B <= plan->options.batch);
    THAW_ASSERT(run->B == 0 || run->input != NULL);
}

/* Largest magnitude of what a step has just written. */
static void observe(thaw_plan *plan, const thaw_step *step, const thaw_run *run)
{
    const thaw_value v = step->need.node->output;
    const float *y = activation(plan, v, false);
    for (int64_t i = 0; i < run->B * thaw_need_of(plan, step)->out_count; i++) {
        float size = fabsf(y[i]);
        plan->ranges[v] = size > plan->ranges[v] ? size : plan->ranges[v];
    }
}

void thaw_plan_forward(thaw_plan *plan, const thaw_run *run)
{
    check_run(plan, run);
    if (!plan->constants_filled)
        thaw_fill_constants(plan);
    plan->input = run->input;
    thaw_plan_use_length(plan, run->tokens);
    /* What no norm writes in this run (evaluation, no samples) contributes nothing. */
    thaw_kern_fill(plan->statistic_elements, 0.0f, plan->reduced_data);
    for (int32_t p = 0; run->B > 0 && p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        if (step->need.node->op->view)
            continue;
        thaw_call call = thaw_plan_call(plan, step, run, false);
        thaw_beat(step->need.node->op->kind);
        const double begun = thaw_watch_begin(plan);
        call.workspace = thaw_plan_span(plan, step->forward_workspace);
        if (plan->branches != NULL && plan->branches[p] != NULL)
            step->need.node->op->forward_on(&call, plan->branches[p]);
        else
            step->need.node->op->forward(&call);
        thaw_watch_end(plan, step, run->B, false, begun);
        if (plan->ranges != NULL)
            observe(plan, step, run);
    }
}

thaw_status thaw_plan_hold(thaw_plan *plan, const thaw_run *run)
{
    THAW_ASSERT(plan->branches == NULL);
    THAW_TRY(thaw_alloc(&plan->branches, plan->step_count, sizeof *plan->branches));
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        const thaw_op *op = step->need.node->op;
        if (op->branch_bytes == NULL)
            continue;
        /* Only what backward keeps is still there now. */
        THAW_ASSERT(step->need.active);
        THAW_TRY(thaw_alloc(&plan->branches[p], (int64_t)op->branch_bytes(&step->need), 1));
        thaw_call call = thaw_plan_call(plan, step, run, true);
        op->take_branches(&call, plan->branches[p]);
    }
    return THAW_OK;
}

static void replay(thaw_plan *plan, int32_t first, int32_t last, const thaw_run *run)
{
    for (int32_t p = first; p <= last; p++) {
        const thaw_step *step = &plan->steps[p];
        if (!step->replays)
            continue;
        thaw_call call = thaw_plan_call(plan, step, run, true);
        const double begun = thaw_watch_begin(plan);
        call.workspace = thaw_plan_span(plan, step->replay_workspace);
        step->need.node->op->forward(&call);
        thaw_watch_end(plan, step, run->B, false, begun);
    }
}

static void backward_step(thaw_plan *plan, const thaw_step *step, const thaw_run *run)
{
    const thaw_node *node = step->need.node;
    thaw_call call = thaw_plan_call(plan, step, run, true);
    call.workspace = thaw_plan_span(plan, step->backward_workspace);
    call.dy = thaw_plan_span(plan, plan->gradient[node->output]);
    for (int32_t j = 0; j < node->input_count; j++) {
        if (step->need.dx[j])
            call.dx[j] = thaw_plan_span(plan, plan->gradient[node->inputs[j]]);
        call.accumulate[j] = step->accumulate[j];
    }
    thaw_beat(node->op->kind);
    const double begun = thaw_watch_begin(plan);
    node->op->backward(&call);
    thaw_watch_end(plan, step, run->B, true, begun);
}

void thaw_plan_backward(thaw_plan *plan, const thaw_run *run, thaw_ready *ready,
                        thaw_progress_hook *progress, void *context)
{
    int32_t next = 0;
    THAW_ASSERT(plan->options.training);
    check_run(plan, run);
    if (plan->reduced_elements > 0)
        thaw_kern_fill(plan->reduced_elements - plan->statistic_elements, 0.0f,
                       plan->reduced_data + plan->statistic_elements);
    for (; next < plan->statistic_count; next++)
        if (ready != NULL)
            ready(context, next);
    for (int32_t p = plan->step_count - 1; p >= 0; p--) {
        const thaw_step *step = &plan->steps[p];
        if (!step->need.active)
            continue;
        if (run->B > 0 && step->replay_from >= 0)
            replay(plan, step->replay_from, p, run);
        if (run->B > 0)
            backward_step(plan, step, run);
        for (; next < plan->reduced_count && plan->final_step[next] == p; next++)
            if (ready != NULL)
                ready(context, next);
        if (progress != NULL)
            progress(context);
    }
    THAW_ASSERT(next == plan->reduced_count);
}
