/* graph/plan_impl.h - a plan: the nodes it runs, where every buffer lies, what it hands out.
 *
 * Time runs in moments: the forward of step p of n is moment p, the caller computes the loss at moment n, then steps run
 * backward. Where a block is recomputed, its forward runs once more (its replay) just before its backward. */
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
    bool plain;          /* as built: nothing folded or fused, no layouts */
} thaw_plan_extra;

typedef struct thaw_step {
    int32_t node; /* in the graph */
    thaw_need need;
    thaw_keep keep;
    void *object;
    size_t constant_bytes, constant_offset;
    int32_t saved, forward_workspace, backward_workspace, replay_workspace; /* spans */
    bool replays;        /* its forward runs again before the backward of its block */
    int32_t replay_from; /* before this step's backward the replay starts at this step; -1: none */
    int32_t replay_at, backward_at; /* moments */
    bool accumulate[THAW_MAX_INPUTS];
    int32_t reduced[THAW_MAX_PARAMS]; /* -1: none */
    int64_t row[2]; /* doubles that a run brings to forward and to backward; 0: it does not meet */
} thaw_step;

/* What the steps need in runs of fewer tokens. */
typedef struct thaw_length {
    int64_t tokens;
    thaw_need *needs; /* per step */
} thaw_length;

struct thaw_plan {
    thaw_graph *graph; /* the plan's own, lowered; its parameters are the source's */
    const thaw_graph *source;
    thaw_plan_counts counts;
    const thaw_kern *kern;
    thaw_plan_options options; /* with -1 replaced, but for keep; kept is the plan's copy */
    bool *kept;
    thaw_plan_extra extra;
    thaw_step *steps;
    int32_t step_count;
    int32_t *storage;  /* per value: span, THAW_NO_SPAN or THAW_GIVEN */
    int32_t *replayed; /* per value: span of what its replay writes, or THAW_NO_SPAN */
    int32_t last_moment;
    int32_t *gradient; /* per value: span or THAW_NO_SPAN */
    bool *wanted;      /* per value: its gradient is needed */
    thaw_span *spans;
    int32_t span_count, span_capacity;
    char *arena;
    size_t arena_bytes; /* of one run */
    int32_t
        lanes; /* runs that go abreast, each with an arena and statistics of its own; 1: no step meets */
    int32_t lane; /* whose turn it is */
    thaw_meetings meetings;
    double *rows; /* (lanes + 1, widest): what each brings, and what is made of all */
    thaw_reduced *reduced;
    int32_t *final_step; /* per reduced tensor: the last step in backward that adds to it */
    int32_t reduced_count, statistic_count;
    float *
        reduced_data; /* of all reduced tensors, statistics first: those of each lane, then gradients */
    bool gathers;     /* a gradient comes from several steps, so that each lane needs its own */
    int64_t reduced_elements, statistic_elements;
    size_t constant_bytes;
    char *constants, *own_constants; /* in use; where they are if nobody gives memory */
    bool constants_filled;
    float *scratch; /* for filling, freed afterwards */
    float *ranges;  /* per value, for a plan that observes */
    thaw_length *lengths;
    int32_t length_count, length_capacity;
    const thaw_need *shorter; /* per step, of the latest run; NULL: it had all tokens */
    const float *input;       /* of the latest run */
    void **branches;          /* per step: kinks held by thaw_plan_hold; NULL: none */
    const thaw_watch *watch;  /* NULL: nobody watches */
};

static inline const thaw_need *thaw_need_of(const thaw_plan *plan, const thaw_step *step)
{
    return plan->shorter != NULL ? &plan->shorter[step - plan->steps] : &step->need;
}

/* Chooses the needs of runs of so many tokens, which must be among the plan's lengths; 0: all. */
void thaw_plan_use_length(thaw_plan *plan, int64_t tokens);
void thaw_lengths_free(thaw_plan *plan);

/* The time now and, of a step that began then, a word to who watches the plan. */
double thaw_watch_begin(const thaw_plan *plan);
void thaw_watch_end(const thaw_plan *plan, const thaw_step *step, int64_t B, bool backward,
                    double begun);

/* The caller may read it after forward. `kept` has the values of the source; lowering adds others behind them. */
static inline bool thaw_stays_readable(const thaw_graph *source, const thaw_plan_options *o,
                                       thaw_value v)
{
    return v == o->to || v == o->keep || (o->kept != NULL && v < source->value_count && o->kept[v]);
}

static inline int32_t thaw_forward_moment(int32_t step)
{
    return step;
}

static inline int32_t thaw_backward_moment(const thaw_plan *plan, int32_t step)
{
    return plan->steps[step].backward_at;
}

static inline int32_t thaw_last_moment(const thaw_plan *plan)
{
    return plan->last_moment;
}

/* The pass replay: which steps run again, and the moments of all. Steps and their needs are there. */
void thaw_replay(thaw_plan *plan);

/* A copy of the nodes between from and {to, keep}: values and parameters keep their numbers, parameters are shared. Passes, unless
 * extra.plain: fold, fuse, layout. `active` of each node is filled. */
THAW_NODISCARD thaw_status thaw_lower(const thaw_graph *source, const thaw_kern *kern,
                                      const thaw_plan_options *options,
                                      const thaw_plan_extra *extra, thaw_graph **out,
                                      thaw_plan_counts *counts);
void thaw_lowered_free(thaw_graph **graph);
/* Filled for node `index` of a lowered graph. need->dx is left out. */
void thaw_fill_need(const thaw_graph *g, int32_t index, const thaw_plan_options *options,
                    thaw_need *need);

/* ---- Passes of lowering, on a lowered graph ---- */

typedef struct thaw_lowering {
    thaw_graph *graph;
    const thaw_graph *source;
    const thaw_kern *kern;
    const thaw_plan_options *options;
    bool *pinned; /* per value of the source: stays a value of its own */
    thaw_plan_counts *counts;
} thaw_lowering;

/* Frozen norms into the frozen convolutions before them. */
void thaw_fold(thaw_lowering *l);
/* Additions and activations into the operator before them. */
void thaw_fuse(thaw_lowering *l);
/* Frozen convolutions and linear layers that no gradient passes into 8 bits, where the kernels have them; beside convolutions what
 * turns floats into bytes and back. */
THAW_NODISCARD thaw_status thaw_eight_bits(thaw_lowering *l);
/* Chooses a layout for every value and puts reorders where they differ. from, to and keep stay plain. */
THAW_NODISCARD thaw_status thaw_layout(thaw_lowering *l);

/* The only node that reads v; -1: none or several, or v is pinned. */
int32_t thaw_only_user(const thaw_lowering *l, thaw_value v);
/* Takes node `index` off the list; its output's producer becomes `heir`. */
void thaw_remove_node(thaw_graph *g, int32_t index, int32_t heir);

/* Puts a node with one input at place `at` of the list. */
THAW_NODISCARD thaw_status thaw_insert_node(thaw_graph *g, int32_t at, const thaw_op *op,
                                            thaw_value in, thaw_value out);

/* Kinds that lowering alone makes: between layouts, between floats and bytes, convolution and linear layer of bytes. */
extern const thaw_op thaw_op_reorder, thaw_op_quantize, thaw_op_dequantize, thaw_op_conv8,
    thaw_op_linear8;

/* conv2d's weights and bias with the norm that was folded into it. */
void thaw_fold_weights(const thaw_call *call, float *weights, float *bias);

/* Memory for constants that is the plan's own; thaw_plan_forward fills it. */
THAW_NODISCARD thaw_status thaw_make_constants(thaw_plan *plan);
void thaw_fill_constants(thaw_plan *plan);
/* late: in replay and backward, which find the values of replayed steps in their second place. */
thaw_call thaw_plan_call(const thaw_plan *plan, const thaw_step *step, const thaw_run *run,
                         bool late);

/* The pass memory: fills storage, gradient, spans (without offsets), and each step's saved, workspaces, keep, accumulate.
 * Steps and their needs are there. */
THAW_NODISCARD thaw_status thaw_liveness(thaw_plan *plan);
/* NULL for THAW_NO_SPAN. */
float *thaw_plan_span(const thaw_plan *plan, int32_t span);
/* The buffers of that run are in use from now on. */
void thaw_plan_use_lane(thaw_plan *plan, int32_t lane);

THAW_NODISCARD thaw_status thaw_plan_new_with(thaw_graph *g, const thaw_kern *kern,
                                              const thaw_plan_options *options,
                                              const thaw_plan_extra *extra, thaw_plan **out);
/* After a forward of a plan for training in which everything is active: from now on forward keeps to the sides of all kinks
 * that this run took. */
THAW_NODISCARD thaw_status thaw_plan_hold(thaw_plan *plan, const thaw_run *run);
/* With extra.input_gradient: the gradient of `from` after backward. */
const float *thaw_plan_input_gradient(const thaw_plan *plan);

#endif
