/* optim_impl.h - what one kind of optimizer or schedule gives to the common code. */
#ifndef OPTIM_OPTIM_IMPL_H
#define OPTIM_OPTIM_IMPL_H

#include "thaw/kern.h"
#include "thaw/optim.h"

#define OPTIM_MAX_SLOTS 2 /* state arrays a tensor may have */

/* One sweep over (a piece of) one tensor. Element by element, so that a piece gives the same bits as the whole. */
typedef struct optim_sweep {
    const thaw_optim_config *config;
    double rate, weight_decay, gradient_scale, anchor_strength;
    double trust;  /* ratio of norms that `prepare` found; 1 where there is none */
    bool trusting; /* this tensor takes part in trust ratios */
    int64_t step;  /* counts from 1 */
    int64_t n;
    const float *gradient;
    const float *anchor; /* NULL: none */
    float *w;
    float *slots[OPTIM_MAX_SLOTS];
} optim_sweep;

typedef struct optim_optimizer {
    const char *name;
    const char *slots[OPTIM_MAX_SLOTS];                 /* names in the state: "momentum" */
    int (*slot_count)(const thaw_optim_config *config); /* how many of them this config needs */
    thaw_status (*check)(const thaw_optim_config *config);
    /* Sees a whole tensor before its sweeps and returns its trust ratio; NULL: the kind has none. */
    double (*prepare)(const optim_sweep *whole);
    void (*sweep)(const optim_sweep *sweep);
} optim_optimizer;

/* coefficient * weights / update, and 1 where one of the norms is 0: a tensor of zeros has to move somehow. */
double optim_trust(double weights, double update, double coefficient);
/* A pass of sgd as sweeps ask for it. All that acts on the weight is multiplied by the trust ratio. */
void optim_sgd_sweep(const optim_sweep *s);
thaw_status optim_sgd_check(const thaw_optim_config *config);
int optim_sgd_slots(const thaw_optim_config *config);
/* Settings of adamw and lamb. */
thaw_adamw optim_adamw_of(const optim_sweep *s);
thaw_status optim_adamw_check(const thaw_optim_config *config);
int optim_adamw_slots(const thaw_optim_config *config);

/* Factor without warm-up. warm: steps of warm-up, 0 or more, at most total. own_warmup: the kind does the rise itself. */
typedef struct optim_schedule {
    const char *name;
    bool own_warmup;
    double (*factor)(const thaw_schedule *schedule, int64_t step, int64_t total, int64_t warm);
    thaw_status (*check)(const thaw_schedule *schedule); /* NULL: nothing to say */
} optim_schedule;

#define OPTIM_DECLARE_OPTIMIZER(name) extern const optim_optimizer optim_kind_##name;
#define OPTIM_DECLARE_SCHEDULE(name)  extern const optim_schedule optim_kind_##name;
#define THAW_KIND(name, family, doc)  OPTIM_DECLARE_##family(name)
#include "optim/kinds.def"
#undef THAW_KIND

#define OPTIM_PI 3.14159265358979323846

const optim_optimizer *optim_optimizer_at(int kind);

#endif
