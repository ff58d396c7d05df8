#include "optim/optim_impl.h"

int optim_adamw_slots(const thaw_optim_config *config)
{
    (void)config;
    return 2;
}

thaw_status optim_adamw_check(const thaw_optim_config *config)
{
    THAW_CHECK(config->beta1 < 1 && config->beta2 < 1, THAW_ERR_CONFIG,
               "beta1 %g and beta2 %g must be below 1; the usual values are 0.9 and 0.999",
               config->beta1, config->beta2);
    return THAW_OK;
}

thaw_adamw optim_adamw_of(const optim_sweep *s)
{
    return (thaw_adamw){
        .lr = (float)s->rate,
        .beta1 = (float)s->config->beta1,
        .beta2 = (float)s->config->beta2,
        .epsilon = (float)s->config->epsilon,
        .weight_decay = (float)s->weight_decay,
        .gradient_scale = (float)s->gradient_scale,
        .anchor_strength = (float)s->anchor_strength,
        .step = s->step,
    };
}

static void sweep(const optim_sweep *s)
{
    const thaw_adamw adamw = optim_adamw_of(s);
    thaw_kern_adamw(s->n, &adamw, s->gradient, s->anchor, s->w, s->slots[0], s->slots[1]);
}

const optim_optimizer optim_kind_adamw = {
    .name = "adamw",
    .slots = {"adam_m", "adam_v"},
    .slot_count = optim_adamw_slots,
    .check = optim_adamw_check,
    .sweep = sweep,
};
