/* graph/plan_impl.h - a plan: the nodes it runs, where every buffer lies, what it hands out.
 *
 * Time: the forward of step p of n is moment p, the caller computes the loss at moment n, the backward of step p is
 * moment 2n - p. */
#ifndef THAW_GRAPH_PLAN_IMPL_H
#define THAW_GRAPH_PLAN_IMPL_H

#include "graph/graph_impl.h"
#include "graph/memory_impl.h"
#include "graph/op_impl.h"

#define THAW_NO_SPAN (-1)
#define THAW_GIVEN   (-2) /* the run's input, or a view of it */

/* For gradient checks and tests. */
typedef struct thaw_plan_extra {
    bool input_gradient; /* also with respect to `from` */
    bool no_reuse;       /* every buffer has memory of its own; nothing in place */
} thaw_plan_extra;

typedef struct thaw_step {
    int32_t node; /* in the graph */
    thaw_need need;
    thaw_keep keep;
    int32_t saved, forward_workspace, backward_workspace; /* spans */
    bool accumulate[THAW_MAX_INPUTS];
    int32_t reduced[THAW_MAX_PARAMS]; /* -1: none */
} thaw_step;

struct thaw_plan {
    thaw_graph *graph;
    const thaw_kern *kern;
    thaw_plan_options options; /* with -1 replaced, but for keep */
    thaw_plan_extra extra;
    thaw_step *steps;
    int32_t step_count;
    int32_t *storage;  /* per value: span, THAW_NO_SPAN or THAW_GIVEN */
    int32_t *gradient; /* per value: span or THAW_NO_SPAN */
    bool *wanted;      /* per value: its gradient is needed */
    thaw_span *spans;
    int32_t span_count, span_capacity;
    char *arena;
    size_t arena_bytes;
    thaw_reduced *reduced;
    int32_t *final_step; /* per reduced tensor: the last step in backward that adds to it */
    int32_t reduced_count, statistic_count;
    float *reduced_data; /* of all reduced tensors, statistics first */
    int64_t reduced_elements, statistic_elements;
    const float *input; /* of the latest run */
    void **branches;    /* per step: kinks held by thaw_plan_hold; NULL: none */
};

static inline int32_t thaw_forward_moment(int32_t step)
{
    return step;
}

static inline int32_t thaw_backward_moment(const thaw_plan *plan, int32_t step)
{
    return 2 * plan->step_count - step;
}

static inline int32_t thaw_last_moment(const thaw_plan *plan)
{
    return 2 * plan->step_count + 1;
}

/* The pass memory: fills storage, gradient, spans (without offsets), and each step's saved, workspaces, keep, accumulate.
 * Steps and their needs are there. */
THAW_NODISCARD thaw_status thaw_liveness(thaw_plan *plan);
/* NULL for THAW_NO_SPAN. */
float *thaw_plan_span(const thaw_plan *plan, int32_t span);

THAW_NODISCARD thaw_status thaw_plan_new_with(thaw_graph *g, const thaw_kern *kern,
                                              const thaw_plan_options *options,
                                              const thaw_plan_extra *extra, thaw_plan **out);
/* After a forward of a plan for training in which everything is active: from now on forward keeps to the sides of all kinks
 * that this run took. */
THAW_NODISCARD thaw_status thaw_plan_hold(thaw_plan *plan, const thaw_run *run);
/* With extra.input_gradient: the gradient of `from` after backward. */
const float *thaw_plan_input_gradient(const thaw_plan *plan);

#endif
