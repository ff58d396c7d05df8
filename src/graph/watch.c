/* What a profile is told of each operator. */
#include "graph/plan_impl.h"

void thaw_plan_watch(thaw_plan *plan, const thaw_watch *watch)
{
    plan->watch = watch;
}

double thaw_watch_begin(const thaw_plan *plan)
{
    return plan->watch == NULL ? 0 : plan->watch->clock();
}

/* Forward reads its inputs and writes its output; backward reads what forward read and the output's gradient, and writes a
 * gradient for each input that wants one. Parameters and their gradients count once. */
static double least_bytes(const thaw_plan *plan, const thaw_step *step, int64_t B, bool backward)
{
    const thaw_need *need = thaw_need_of(plan, step);
    int64_t elements = B * need->out_count;
    for (int32_t j = 0; j < need->node->input_count; j++)
        elements += B * need->in_count[j] * (backward && need->dx[j] ? 2 : 1);
    for (int32_t j = 0; j < need->node->param_count; j++) {
        const thaw_param *p = plan->graph->params[need->node->params[j]];
        elements += thaw_shape_count(&p->shape) * (backward && need->dparam[j] ? 2 : 1);
    }
    return (double)elements * sizeof(float);
}

/* A product's backward is one product more for each of its gradients. */
static double work(const thaw_need *need, int64_t B, bool backward)
{
    int32_t times = backward ? (need->dx[0] ? 1 : 0) : 1;
    for (int32_t j = 0; backward && j < need->node->param_count; j++)
        times += j == 0 && need->dparam[j];
    return (double)B * times * need->node->op->flops(need->node, need->in, &need->out);
}

void thaw_watch_end(const thaw_plan *plan, const thaw_step *step, int64_t B, bool backward,
                    double begun)
{
    if (plan->watch == NULL)
        return;
    const thaw_need *need = thaw_need_of(plan, step);
    const thaw_op *op = need->node->op;
    const thaw_watched what = {
        .kind = op->kind,
        .name = need->node->name,
        .algorithm = op->algorithm == NULL ? "" : op->algorithm(step->object),
        .in = need->in[0],
        .out = need->out,
        .backward = backward,
        .seconds = plan->watch->clock() - begun,
        .flops = work(need, B, backward),
        .bytes = least_bytes(plan, step, B, backward),
    };
    plan->watch->after(plan->watch->context, &what);
}
