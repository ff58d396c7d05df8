#include "thaw/optim.h"

#include "optim/optim_impl.h"

#include <math.h>

#define NAME_OPTIMIZER(name) #name,
#define NAME_SCHEDULE(name)
#define THAW_KIND(name, family, doc) NAME_##family(name)
static const char *const optimizer_names[] = {
#include "optim/kinds.def"
    NULL};
#undef NAME_OPTIMIZER
#undef NAME_SCHEDULE
#define NAME_OPTIMIZER(name)
#define NAME_SCHEDULE(name) #name,
static const char *const schedule_names[] = {
#include "optim/kinds.def"
    NULL};
#undef THAW_KIND

#define ENTRY_OPTIMIZER(name) &optim_kind_##name,
#define ENTRY_SCHEDULE(name)
#define THAW_KIND(name, family, doc) ENTRY_##family(name)
static const optim_optimizer *const optimizers[] = {
#include "optim/kinds.def"
};
#undef THAW_KIND

static const char *const scaling_names[] = {"none", "linear", "sqrt", NULL};

const char *const *thaw_batch_scaling_names(void)
{
    return scaling_names;
}

const char *const *thaw_optimizer_names(void)
{
    return optimizer_names;
}

const char *const *thaw_schedule_names(void)
{
    return schedule_names;
}

const optim_optimizer *optim_optimizer_at(int kind)
{
    THAW_ASSERT(kind >= 0 && (size_t)kind < sizeof optimizers / sizeof *optimizers);
    return optimizers[kind];
}

#define FIELD(member, ctype) THAW_FIELD(thaw_optim_config, member, ctype)
const thaw_field thaw_optim_fields[] = {
    {.name = "kind",
     .type = THAW_FIELD_ENUM,
     .offset = FIELD(kind, int),
     .preset = "sgd",
     .choices = optimizer_names,
     .doc = "Optimizer."},
    {.name = "momentum",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(momentum, double),
     .preset = "0.9",
     .least = 0,
     .most = 0.9999,
     .doc = "Momentum of sgd and lars."},
    {.name = "dampening",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(dampening, double),
     .preset = "0",
     .least = 0,
     .most = 1,
     .doc = "Dampening of the momentum of sgd and lars."},
    {.name = "nesterov",
     .type = THAW_FIELD_BOOL,
     .offset = FIELD(nesterov, bool),
     .preset = "false",
     .doc = "Nesterov momentum in sgd and lars."},
    {.name = "beta1",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(beta1, double),
     .preset = "0.9",
     .least = 0,
     .most = 0.99999,
     .doc = "Decay of the first moment of adamw and lamb."},
    {.name = "beta2",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(beta2, double),
     .preset = "0.999",
     .least = 0,
     .most = 0.9999999,
     .doc = "Decay of the second moment of adamw and lamb."},
    {.name = "epsilon",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(epsilon, double),
     .preset = "1e-8",
     .least = 1e-30,
     .most = 1,
     .doc = "Term in the denominator of adamw and lamb; lamb's authors use 1e-6."},
    {.name = "weight_decay",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(weight_decay, double),
     .preset = "0",
     .least = 0,
     .most = 10,
     .doc = "Weight decay: added to the gradient in sgd and lars, decoupled in adamw, part of the "
            "update in lamb."},
    {.name = "decay_all",
     .type = THAW_FIELD_BOOL,
     .offset = FIELD(decay_all, bool),
     .preset = "false",
     .doc = "Also decay biases and norm parameters, as PyTorch does."},
    {.name = "trust_coefficient",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(trust_coefficient, double),
     .preset = "0.001",
     .least = 1e-9,
     .most = 1e3,
     .doc = "Factor of lars on its trust ratios |w| / (|g| + weight_decay |w|)."},
    {.name = "trust_all",
     .type = THAW_FIELD_BOOL,
     .offset = FIELD(trust_all, bool),
     .preset = "false",
     .doc = "Trust ratios of lars and lamb also for biases and norm parameters."},
    {.name = "clip_norm",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(clip_norm, double),
     .preset = "0",
     .least = 0,
     .most = 1e30,
     .doc = "Largest global norm of the gradient; 0 does not clip."},
    {.name = "l2sp",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(l2sp, double),
     .preset = "0",
     .least = 0,
     .most = 1e6,
     .doc = "Pull of trained backbone weights to their start: a of a/2 |w - w0|^2; 0 for none."},
    {.name = "l2sp_head",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(l2sp_head, double),
     .preset = "0",
     .least = 0,
     .most = 1e6,
     .doc =
         "Pull of the head's weights and biases to 0: b of b/2 |w|^2, the other half of L2-SP; 0 "
         "for none."},
    {.name = NULL}};
#undef FIELD

#define FIELD(member, ctype) THAW_FIELD(thaw_rates, member, ctype)
const thaw_field thaw_rates_fields[] = {
    {.name = "head",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(head, double),
     .preset = "0.05",
     .least = 0,
     .most = 1e3,
     .doc = "Learning rate of the head."},
    {.name = "backbone",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(backbone, double),
     .preset = "0.005",
     .least = 0,
     .most = 1e3,
     .doc = "Learning rate of the backbone's last block."},
    {.name = "adapter",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(adapter, double),
     .preset = "-1",
     .least = -1,
     .most = 1e3,
     .doc = "Learning rate of adapters; -1 takes the head's."},
    {.name = "layer_decay",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(layer_decay, double),
     .preset = "1",
     .least = 1e-3,
     .most = 1,
     .doc = "Factor on the backbone's rate for each block further down."},
    {.name = "scale_with_batch",
     .type = THAW_FIELD_ENUM,
     .offset = FIELD(scale_with_batch, int),
     .preset = "none",
     .choices = scaling_names,
     .doc = "linear: all rates, also those that a ladder tries, are multiplied by train.batch / "
            "reference_batch; sqrt: by its root. Large batches want schedule.warmup too."},
    {.name = "reference_batch",
     .type = THAW_FIELD_INT,
     .offset = FIELD(reference_batch, int64_t),
     .preset = "256",
     .least = 1,
     .most = 1e7,
     .doc = "Batch that the rates are given for, where they scale."},
    {.name = "reason",
     .type = THAW_FIELD_STRING,
     .offset = FIELD(reason, char *),
     .preset = "",
     .doc = "Why these rates: the transfer note quotes it, or says that none was given."},
    {.name = NULL}};
#undef FIELD

#define FIELD(member, ctype) THAW_FIELD(thaw_schedule, member, ctype)
const thaw_field thaw_schedule_fields[] = {
    {.name = "kind",
     .type = THAW_FIELD_ENUM,
     .offset = FIELD(kind, int),
     .preset = "cosine",
     .choices = schedule_names,
     .doc = "Course of the learning rate."},
    {.name = "warmup",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(warmup, double),
     .preset = "0",
     .least = 0,
     .most = 1e9,
     .doc = "Linear warm-up: below 1 a share of all steps, from 1 on a number of steps."},
    {.name = "final_factor",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(final_factor, double),
     .preset = "0",
     .least = 0,
     .most = 1,
     .doc = "Share of the rate that cosine ends with."},
    {.name = "milestones",
     .type = THAW_FIELD_DOUBLES,
     .offset = FIELD(milestones, thaw_doubles),
     .preset = "[0.5, 0.75]",
     .least = 0,
     .most = 1,
     .doc = "Shares of all steps at which kind step lowers the rate."},
    {.name = "gamma",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(gamma, double),
     .preset = "0.1",
     .least = 0,
     .most = 1,
     .doc = "Factor on the rate at each milestone."},
    {.name = "cut",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(cut, double),
     .preset = "0.1",
     .least = 0,
     .most = 1,
     .doc = "Share of all steps for which slanted rises."},
    {.name = "ratio",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(ratio, double),
     .preset = "32",
     .least = 1,
     .most = 1e9,
     .doc = "What slanted begins and ends with is the rate divided by this."},
    {.name = NULL}};
#undef FIELD

void thaw_optim_defaults(thaw_optim_config *out)
{
    *out = (thaw_optim_config){
        .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .trust_coefficient = 1e-3};
}

void thaw_rates_defaults(thaw_rates *out)
{
    *out = (thaw_rates){
        .head = 0.05, .backbone = 0.005, .adapter = -1, .layer_decay = 1, .reference_batch = 256};
}

double thaw_rates_factor(const thaw_rates *rates, int64_t batch)
{
    if (rates->scale_with_batch == THAW_SCALE_NONE)
        return 1;
    const double times = (double)batch / (double)rates->reference_batch;
    return rates->scale_with_batch == THAW_SCALE_LINEAR ? times : sqrt(times);
}

thaw_rates thaw_rates_at(const thaw_rates *rates, int64_t batch)
{
    const double factor = thaw_rates_factor(rates, batch);
    thaw_rates used = *rates;
    used.head *= factor;
    used.backbone *= factor;
    used.adapter *= factor; /* what says "as the head" stays negative */
    used.scale_with_batch = THAW_SCALE_NONE;
    return used;
}

int thaw_optim_config_moments(const thaw_optim_config *config)
{
    return optim_optimizer_at(config->kind)->slot_count(config);
}

void thaw_schedule_defaults(thaw_schedule *out)
{
    *out = (thaw_schedule){.gamma = 0.1, .cut = 0.1, .ratio = 32};
}

thaw_status thaw_optim_config_check(const thaw_optim_config *config)
{
    return optim_optimizer_at(config->kind)->check(config);
}
