/* A plan's constants: forms of frozen weights (packed, folded) that operators write once, so that a step only reads them. They
 * lie in one block, so that the ranks of a node can share it. */
#include "graph/plan_impl.h"

static int64_t largest_parameter(const thaw_plan *plan)
{
    int64_t most = 0;
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        if (step->constant_bytes == 0)
            continue;
        int64_t count = thaw_shape_count(&plan->graph->params[step->need.node->params[0]]->shape);
        most = count > most ? count : most;
    }
    return most;
}

thaw_status thaw_make_constants(thaw_plan *plan)
{
    if (plan->constant_bytes == 0) {
        plan->constants_filled = true;
        return THAW_OK;
    }
    THAW_TRY(thaw_alloc(&plan->own_constants, (int64_t)plan->constant_bytes, 1));
    THAW_TRY(thaw_alloc(&plan->scratch, largest_parameter(plan), sizeof *plan->scratch));
    plan->constants = plan->own_constants;
    return THAW_OK;
}

void thaw_fill_constants(thaw_plan *plan)
{
    const thaw_run no_run = {0};
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_step *step = &plan->steps[p];
        if (step->constant_bytes == 0)
            continue;
        const thaw_call call = thaw_plan_call(plan, step, &no_run, false);
        const thaw_status status = step->need.node->op->fill(
            &call, plan->constants + step->constant_offset, plan->scratch);
        /* Only a library that has run out of memory in the first step. */
        THAW_ASSERT(status == THAW_OK);
    }
    plan->constants_filled = true;
    thaw_free(&plan->scratch);
}

size_t thaw_plan_constant_bytes(const thaw_plan *plan)
{
    return plan->constant_bytes;
}

void thaw_plan_set_constants(thaw_plan *plan, void *memory, bool fill)
{
    if (plan->constant_bytes == 0)
        return;
    THAW_ASSERT(memory != NULL && !plan->constants_filled);
    thaw_free(&plan->own_constants);
    plan->constants = memory;
    if (fill) {
        thaw_fill_constants(plan);
    } else {
        plan->constants_filled = true;
        thaw_free(&plan->scratch);
    }
}
