/* The executor: walks a plan's steps. Nothing here allocates. */
#include "graph/plan_impl.h"

#include <math.h>
#include <string.h>

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

static void check_runs(const thaw_plan *plan, const thaw_abreast *all)
{
    THAW_ASSERT(all->count >= 1 && all->count <= plan->lanes);
    for (int32_t k = 0; k < all->count; k++) {
        const thaw_run *run = &all->runs[k];
        THAW_ASSERT(run->B >= 0 && run->B <= plan->options.batch);
        THAW_ASSERT(run->B == 0 || run->input != NULL);
        THAW_ASSERT(run->training == all->runs[0].training);
    }
}

void thaw_plan_turn_to(thaw_plan *plan, const thaw_abreast *all, int32_t k)
{
    thaw_plan_use_lane(plan, k);
    plan->input = all->runs[k].input;
    thaw_plan_use_length(plan, all->runs[k].tokens);
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

/* Of the run whose turn it is; NULL in a plan where nothing meets. */
static const double *brought(const thaw_plan *plan, const thaw_step *step, bool backward)
{
    return plan->rows == NULL ? NULL : plan->rows + plan->lane * step->row[backward];
}

static void forward_step(thaw_plan *plan, int32_t p, const thaw_run *run, const double *met)
{
    const thaw_step *step = &plan->steps[p];
    thaw_call call = thaw_plan_call(plan, step, run, false);
    thaw_beat(step->need.node->op->kind);
    const double begun = thaw_watch_begin(plan);
    call.workspace = thaw_plan_span(plan, step->forward_workspace);
    call.met = met;
    call.brought = brought(plan, step, false);
    if (plan->branches != NULL && plan->branches[p] != NULL)
        step->need.node->op->forward_on(&call, plan->branches[p]);
    else
        step->need.node->op->forward(&call);
    thaw_watch_end(plan, step, run->B, false, begun);
    if (plan->ranges != NULL)
        observe(plan, step, run);
}

static thaw_call backward_call(const thaw_plan *plan, const thaw_step *step, const thaw_run *run)
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
    return call;
}

/* What all runs bring to a step, made one row; NULL: it does not meet. */
static const double *meet(thaw_plan *plan, const thaw_step *step, const thaw_abreast *all,
                          bool backward)
{
    const int64_t width = step->row[backward];
    const thaw_op *op = step->need.node->op;
    int64_t count = all->count;
    if (width == 0 || !all->runs[0].training)
        return NULL;
    for (int32_t k = 0; k < all->count; k++) {
        const thaw_run *run = &all->runs[k];
        double *row = plan->rows + k * width;
        if (run->B == 0) {
            memset(row, 0, (size_t)width * sizeof *row);
            continue;
        }
        thaw_plan_turn_to(plan, all, k);
        const thaw_call call =
            backward ? backward_call(plan, step, run) : thaw_plan_call(plan, step, run, false);
        const double begun = thaw_watch_begin(plan);
        op->bring(&call, backward, row);
        thaw_watch_end(plan, step, run->B, backward, begun);
    }
    const double *rows = plan->rows;
    double *joined = plan->rows + plan->lanes * width;
    if (all->meet != NULL) {
        thaw_beat("statistics of all shards");
        rows = all->meet(all->context, plan->rows, all->count, width, &count);
    }
    op->join(&step->need, backward, count, rows, joined);
    return joined;
}

void thaw_plan_forward_abreast(thaw_plan *plan, const thaw_abreast *all)
{
    check_runs(plan, all);
    if (!plan->constants_filled)
        thaw_fill_constants(plan);
    /* What no norm writes in this run (evaluation, no samples) contributes nothing. */
    thaw_kern_fill(all->count * plan->statistic_elements, 0.0f, plan->reduced_data);
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        if (step->need.node->op->view)
            continue;
        const double *met = meet(plan, step, all, false);
        for (int32_t k = 0; k < all->count; k++) {
            if (all->runs[k].B == 0)
                continue;
            thaw_plan_turn_to(plan, all, k);
            forward_step(plan, p, &all->runs[k], met);
        }
    }
    thaw_plan_turn_to(plan, all, 0);
}

void thaw_plan_forward(thaw_plan *plan, const thaw_run *run)
{
    thaw_plan_forward_abreast(plan, &(thaw_abreast){.runs = run, .count = 1});
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

static void backward_step(thaw_plan *plan, const thaw_step *step, const thaw_run *run,
                          const double *met)
{
    thaw_call call = backward_call(plan, step, run);
    call.met = met;
    call.brought = brought(plan, step, true);
    thaw_beat(step->need.node->op->kind);
    const double begun = thaw_watch_begin(plan);
    step->need.node->op->backward(&call);
    thaw_watch_end(plan, step, run->B, true, begun);
}

/* Gradients that step p finishes, from number `first` on; those before it are out. Returns the first that stays. */
static int32_t finished_by(const thaw_plan *plan, int32_t p, int32_t first)
{
    while (first < plan->reduced_count && plan->final_step[first] == p)
        first++;
    return first;
}

static void zero_gradients(const thaw_plan *plan, int32_t first, int32_t end)
{
    for (int32_t i = first; i < end; i++)
        thaw_kern_fill(plan->reduced[i].count, 0.0f, plan->reduced[i].data);
}

/* One step of all runs; `first`..`end` are the gradients that it finishes. */
static void backward_runs(thaw_plan *plan, int32_t p, const thaw_abreast *all, int32_t first,
                          int32_t end, thaw_ready *ready, void *context)
{
    const thaw_step *step = &plan->steps[p];
    for (int32_t k = 0; k < all->count && step->replay_from >= 0; k++) {
        thaw_plan_turn_to(plan, all, k);
        if (all->runs[k].B > 0)
            replay(plan, step->replay_from, p, &all->runs[k]);
    }
    const double *met = meet(plan, step, all, true);
    for (int32_t k = 0; k < all->count; k++) {
        thaw_plan_turn_to(plan, all, k);
        if (!plan->gathers)
            zero_gradients(plan, first, end);
        if (all->runs[k].B > 0)
            backward_step(plan, step, &all->runs[k], met);
        for (int32_t i = first; ready != NULL && i < end; i++)
            ready(context, i);
    }
}

void thaw_plan_backward_abreast(thaw_plan *plan, const thaw_abreast *all, thaw_ready *ready,
                                thaw_progress_hook *progress, void *context)
{
    int32_t next = plan->statistic_count;
    THAW_ASSERT(plan->options.training);
    check_runs(plan, all);
    for (int32_t k = 0; k < all->count; k++) {
        thaw_plan_turn_to(plan, all, k);
        for (int32_t i = 0; ready != NULL && i < next; i++)
            ready(context, i);
        if (plan->gathers)
            zero_gradients(plan, next, plan->reduced_count);
    }
    for (int32_t p = plan->step_count - 1; p >= 0; p--) {
        if (!plan->steps[p].need.active)
            continue;
        const int32_t end = finished_by(plan, p, next);
        backward_runs(plan, p, all, next, end, ready, context);
        next = end;
        if (progress != NULL)
            progress(context);
    }
    THAW_ASSERT(next == plan->reduced_count);
}

void thaw_plan_backward(thaw_plan *plan, const thaw_run *run, thaw_ready *ready,
                        thaw_progress_hook *progress, void *context)
{
    thaw_plan_backward_abreast(plan, &(thaw_abreast){.runs = run, .count = 1}, ready, progress,
                               context);
}
