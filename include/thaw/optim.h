/* thaw/optim.h - optimizers, learning-rate schedules, parameter groups, clipping. Formulas are PyTorch's.
 *
 * An optimizer knows tensors, not models: the caller lists what trains (thaw_optim_tensor), for a graph g with `top` blocks as
 *   for every parameter p with p->need_grad:
 *       { p->name, p->data, p->shape, p->adapter ? THAW_PART_ADAPTER : p->block < 0 ? THAW_PART_HEAD : THAW_PART_BACKBONE,
 *         p->block < 0 ? 0 : top - p->block, p->role == THAW_ROLE_WEIGHT }
 * State exists for these tensors only. Nothing here communicates; given equal reduced gradients, all ranks stay equal bit for bit. */
#ifndef THAW_OPTIM_H
#define THAW_OPTIM_H

#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Settings ----------------------------------------------------------------------------------------------- */

typedef struct thaw_optim_config {
    int kind;            /* index in thaw_optimizer_names(): sgd, adamw, lars, lamb */
    double momentum;     /* sgd, lars */
    double dampening;    /* sgd, lars */
    bool nesterov;       /* sgd, lars; needs momentum > 0 and dampening 0 */
    double beta1, beta2; /* adamw, lamb */
    double epsilon;      /* adamw, lamb */
    double
        weight_decay; /* sgd, lars: added to the gradient; adamw: decoupled; lamb: part of the update */
    bool decay_all; /* also decay biases and norms; PyTorch does, the default here does not */
    double trust_coefficient; /* lars */
    bool trust_all;           /* lars, lamb: trust ratios also for biases and norms */
    double clip_norm;         /* largest global gradient norm; 0: no clipping */
    double l2sp;      /* strength a of a/2 |w - w0|^2 on trainable backbone tensors; 0: none */
    double l2sp_head; /* strength b of b/2 |w|^2 on the head's; 0: none */
} thaw_optim_config;

/* Learning rates of the groups, at schedule factor 1. */
typedef struct thaw_rates {
    double head;
    double
        backbone; /* the deepest trainable-or-not block; ignored when nothing of the backbone trains */
    double adapter; /* negative: as head */
    double
        layer_decay; /* in (0, 1]: a backbone tensor's rate is backbone * layer_decay ^ (blocks above it) */
    int scale_with_batch;    /* thaw_batch_scaling */
    int64_t reference_batch; /* that these rates are for, where they scale */
    char *reason; /* why these rates, for the transfer note; owned; "": no reason given */
} thaw_rates;

typedef enum thaw_batch_scaling {
    THAW_SCALE_NONE,
    THAW_SCALE_LINEAR,
    THAW_SCALE_SQRT
} thaw_batch_scaling;

typedef struct thaw_schedule {
    int kind; /* index in thaw_schedule_names(): cosine, constant, onecycle, slanted, step */
    double
        warmup; /* below 1: share of all steps; from 1 on: steps. onecycle: 0 means its usual 0.3 */
    double final_factor;     /* cosine: factor reached after the last step */
    thaw_doubles milestones; /* step: shares of all steps, ascending; none: 0.5, 0.75 */
    double gamma;            /* step: factor at each milestone */
    double cut;              /* slanted: share of all steps for which it rises */
    double ratio;            /* slanted: of the highest rate to the lowest */
} thaw_schedule;

extern const thaw_field thaw_optim_fields[];
extern const thaw_field thaw_rates_fields[];
extern const thaw_field thaw_schedule_fields[];
/* The presets of the tables, for callers without a config. */
void thaw_optim_defaults(thaw_optim_config *out);
void thaw_rates_defaults(thaw_rates *out);
void thaw_schedule_defaults(thaw_schedule *out);
/* What a batch of so many samples multiplies all rates by: 1, batch / reference (Goyal et al. 2017, arXiv:1706.02677), or its root
 * (Krizhevsky 2014, arXiv:1404.5997). */
double thaw_rates_factor(const thaw_rates *rates, int64_t batch);
/* The rates that such a batch trains with, which scale no further; borrows the reason. */
thaw_rates thaw_rates_at(const thaw_rates *rates, int64_t batch);
/* Arrays as large as a tensor that the optimizer keeps beside it, l2sp's anchors aside. */
int thaw_optim_config_moments(const thaw_optim_config *config);
const char *const *thaw_batch_scaling_names(void);
const char *const *thaw_optimizer_names(void); /* NULL-ended, in the order of `kind` */
const char *const *thaw_schedule_names(void);

/* Its first rates are low, by a warm-up or by its kind. */
bool thaw_schedule_rises(const thaw_schedule *schedule);

/* What ranges of single fields cannot say. THAW_ERR_CONFIG. */
THAW_NODISCARD thaw_status thaw_optim_config_check(const thaw_optim_config *config);
THAW_NODISCARD thaw_status thaw_schedule_check(const thaw_schedule *schedule);

/* Factor in [0, 1] for step 0..total_steps-1. A pure function of its arguments: resuming needs no state.
 * Warm-up of w steps: factor * (step + 1) / w, and the schedule proper runs over the steps after it. onecycle: Smith &
 * Topin 2019 as PyTorch's OneCycleLR with cosine annealing, warm-up being its rise. slanted: Howard & Ruder 2018 (arXiv:1801.06146),
 * equation 3. */
double thaw_schedule_factor(const thaw_schedule *schedule, int64_t step, int64_t total_steps);

/* ---- Optimizer ---------------------------------------------------------------------------------------------- */

typedef enum thaw_optim_part {
    THAW_PART_HEAD,
    THAW_PART_BACKBONE,
    THAW_PART_ADAPTER
} thaw_optim_part;

typedef struct thaw_optim_tensor {
    const char *name; /* borrowed, must outlive the optimizer; unique */
    float *data;      /* borrowed; the step writes here */
    thaw_shape shape;
    thaw_optim_part part;
    int32_t blocks_above; /* backbone: 0 for the last block */
    bool
        is_weight; /* of a convolution or linear layer: decayed also without decay_all, trusted without trust_all */
    double rate_factor; /* multiplies the part's rate; 0: 1 */
    int64_t
        joined; /* steps of the optimizer before it began to train: its moments count from there; 0: from the start */
} thaw_optim_tensor;

typedef struct thaw_optimizer thaw_optimizer;

/* Copies the list and, with l2sp, the backbone tensors' present values as anchors: call it when the tensors hold the weights
 * that training starts from (anchors are part of the state, so a checkpoint loaded later puts them right too). */
THAW_NODISCARD thaw_status thaw_optimizer_new(const thaw_optim_config *config,
                                              const thaw_rates *rates,
                                              const thaw_optim_tensor *tensors, int32_t count,
                                              thaw_optimizer **out);
/* The same for one of `parts` that share the work (Rajbhandari et al. 2020, arXiv:1910.02054, stage 1): state is kept, and tensors are
 * updated, for this part's elements only; who updates the rest, gives it to the others. Parts take about equal runs of the list, cut inside
 * tensors; where an update needs a tensor's norms (lars, lamb), between them. All parts together do what one alone does, bit for bit. */
THAW_NODISCARD thaw_status thaw_optimizer_new_part(const thaw_optim_config *config,
                                                   const thaw_rates *rates,
                                                   const thaw_optim_tensor *tensors, int32_t count,
                                                   int32_t part, int32_t parts,
                                                   thaw_optimizer **out);
void thaw_optimizer_free(thaw_optimizer **optimizer);
/* Elements [*begin, *end) of tensor i that `part` keeps. */
void thaw_optimizer_range(const thaw_optimizer *optimizer, int32_t i, int32_t part, int64_t *begin,
                          int64_t *end);

typedef struct thaw_step_report {
    double gradient_norm; /* of gradient_scale * gradient over all tensors, before clipping */
    double clip_factor;   /* 1 when not clipped */
    double *
        update_ratio; /* in: NULL or room for one value a tensor; out: |update| / |weights before| (0 for zero weights), of the elements kept here */
} thaw_step_report;

/* One update. Allocates nothing. Norms of trust ratios are over whole tensors, double in fixed order.
 *   gradients        one pointer a tensor, in the order of the list, each with that tensor's element count
 *   gradient_scale   multiplies all gradients first: 1 / (sum of sample weights)
 *   schedule_factor  multiplies all rates
 *   report           may be NULL
 * Norm: double, tensors in list order. Clipping as torch.nn.utils.clip_grad_norm_: min(1, clip / (norm + 1e-6)).
 * THAW_ERR_NUMERIC when the norm is not finite: nothing was changed, the message names the first bad tensor. */
THAW_NODISCARD thaw_status thaw_optimizer_step(thaw_optimizer *optimizer,
                                               const float *const *gradients, double gradient_scale,
                                               double schedule_factor, thaw_step_report *report);

/* From now on the rates of backbone tensors are `factor` times as large; 1 as it begins. No part of the state: the caller remembers it. */
void thaw_optimizer_slow(thaw_optimizer *optimizer, double factor);
/* Other rates from the next step on; all else stays. */
void thaw_optimizer_set_rates(thaw_optimizer *optimizer, const thaw_rates *rates);
int32_t thaw_optimizer_count(const thaw_optimizer *optimizer);
float *thaw_optimizer_tensor(const thaw_optimizer *optimizer, int32_t i); /* its data */
/* Learning rate of tensor i at schedule factor 1. */
double thaw_optimizer_rate(const thaw_optimizer *optimizer, int32_t i);
int64_t thaw_optimizer_steps(const thaw_optimizer *optimizer); /* done so far */
size_t thaw_optimizer_state_bytes(const thaw_optimizer *optimizer);
/* Adds views: "optim.step", "optim.momentum.<tensor>" or "optim.adam_m.<tensor>" and "optim.adam_v.<tensor>", and with l2sp
 * "optim.anchor.<tensor>". thaw_state_copy into them restores the optimizer. They live as long as the optimizer. */
THAW_NODISCARD thaw_status thaw_optimizer_state(thaw_optimizer *optimizer, thaw_state *out);
/* Of entry `entry` of that state, which is not the step: the tensor it belongs to, and where this part's elements of it are. With several
 * parts thaw_optimizer_state gives such entries in their whole shape without data. */
float *thaw_optimizer_kept(const thaw_optimizer *optimizer, int64_t entry, int32_t *tensor);

/* ---- Average of weights --------------------------------------------------------------------------------------- */

/* average (n) after one more step: the weights themselves where `updates` made before are 0, else average += (1 - decay)
 * (w - average). PyTorch's AveragedModel with get_ema_multi_avg_fn. */
void thaw_optim_average(int64_t n, double decay, int64_t updates, const float *w, float *average);

#ifdef __cplusplus
}
#endif
#endif
