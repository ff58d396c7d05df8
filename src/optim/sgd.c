#include "optim/optim_impl.h"

#include "thaw/kern.h"

static int slot_count(const thaw_optim_config *config)
{
    return config->momentum > 0 ? 1 : 0;
}

static thaw_status check(const thaw_optim_config *config)
{
    THAW_CHECK(!config->nesterov || (config->momentum > 0 && config->dampening == 0),
               THAW_ERR_CONFIG,
               "nesterov needs momentum above 0 and dampening 0, but momentum is %g and dampening "
               "is %g; set nesterov to false or change them",
               config->momentum, config->dampening);
    return THAW_OK;
}

static void sweep(const optim_sweep *s)
{
    thaw_sgd sgd = {
        .lr = (float)s->rate,
        .momentum = (float)s->config->momentum,
        .dampening = (float)s->config->dampening,
        .weight_decay = (float)s->weight_decay,
        .gradient_scale = (float)s->gradient_scale,
        .anchor_strength = (float)s->anchor_strength,
        .nesterov = s->config->nesterov,
        .first_step = s->step == 1,
    };
    thaw_kern_sgd(s->n, &sgd, s->gradient, s->anchor, s->w, s->slots[0]);
}

const optim_optimizer optim_kind_sgd = {
    .name = "sgd",
    .slots = {"momentum"},
    .slot_count = slot_count,
    .check = check,
    .sweep = sweep,
};
