/* The pass replay: with recompute, the forward of a block runs again before its backward, so that between the two only what
 * enters blocks is kept (Chen et al. 2016, arXiv:1604.06174). Also the moments of everything. */
#include "graph/plan_impl.h"

/* Steps first..last: one block of the backbone. */
typedef struct segment {
    int32_t first, last;
} segment;

static segment segment_ending(const thaw_plan *plan, int32_t last)
{
    segment s = {last, last};
    const int32_t block = plan->steps[last].need.node->block;
    while (s.first > 0 && plan->steps[s.first - 1].need.node->block == block)
        s.first--;
    return s;
}

/* A block of which all takes part in backward; not the head, whose values are small. */
static bool can_replay(const thaw_plan *plan, segment s)
{
    for (int32_t p = s.first; p <= s.last; p++) {
        const thaw_need *need = &plan->steps[p].need;
        if (!need->active || need->node->op->view || need->node->block < 0)
            return false;
    }
    return s.first < s.last;
}

/* Read by the caller or by another block: it stays from its first forward on. */
static bool leaves(const thaw_plan *plan, thaw_value v, segment s)
{
    if (thaw_stays_readable(plan->source, &plan->options, v))
        return true;
    for (int32_t p = s.last + 1; p < plan->step_count; p++)
        for (int32_t j = 0; j < plan->steps[p].need.node->input_count; j++)
            if (plan->steps[p].need.node->inputs[j] == v)
                return true;
    return false;
}

static void mark(thaw_plan *plan, segment s)
{
    for (int32_t p = s.first; p <= s.last; p++) {
        plan->steps[p].replays = !leaves(plan, plan->steps[p].need.node->output, s);
        plan->counts.replayed += plan->steps[p].replays;
    }
    plan->steps[s.last].replay_from = s.first;
}

void thaw_replay(thaw_plan *plan)
{
    int32_t now = plan->step_count;
    segment s;
    for (int32_t last = plan->step_count - 1; last >= 0; last = s.first - 1) {
        s = segment_ending(plan, last);
        if (plan->options.training && plan->options.recompute && can_replay(plan, s)) {
            mark(plan, s);
            for (int32_t p = s.first; p <= s.last; p++)
                plan->steps[p].replay_at = ++now;
        }
        for (int32_t p = s.last; p >= s.first; p--)
            plan->steps[p].backward_at = ++now;
    }
    plan->last_moment = now + 1;
}
