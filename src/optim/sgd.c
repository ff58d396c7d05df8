#include "optim/optim_impl.h"

int optim_sgd_slots(const thaw_optim_config *config)
{
    return config->momentum > 0 ? 1 : 0;
}

thaw_status optim_sgd_check(const thaw_optim_config *config)
{
    THAW_CHECK(!config->nesterov || (config->momentum > 0 && config->dampening == 0),
               THAW_ERR_CONFIG,
               "nesterov needs momentum above 0 and dampening 0, but momentum is %g and dampening "
               "is %g; set nesterov to false or change them",
               config->momentum, config->dampening);
    return THAW_OK;
}

void optim_sgd_sweep(const optim_sweep *s)
{
    thaw_sgd sgd = {
        .lr = (float)s->rate,
        .momentum = (float)s->config->momentum,
        .dampening = (float)s->config->dampening,
        .weight_decay = (float)(s->trust * s->weight_decay),
        .gradient_scale = (float)(s->trust * s->gradient_scale),
        .anchor_strength = (float)(s->trust * s->anchor_strength),
        .nesterov = s->config->nesterov,
        .first_step = s->step == 1,
    };
    thaw_kern_sgd(s->n, &sgd, s->gradient, s->anchor, s->w, s->slots[0]);
}

const optim_optimizer optim_kind_sgd = {
    .name = "sgd",
    .slots = {"momentum"},
    .slot_count = optim_sgd_slots,
    .check = optim_sgd_check,
    .sweep = optim_sgd_sweep,
};
