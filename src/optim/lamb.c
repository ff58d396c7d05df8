#include "optim/optim_impl.h"

#include <math.h>

static double prepare(const optim_sweep *s)
{
    const thaw_adamw adamw = optim_adamw_of(s);
    const double update = sqrt(thaw_kern_lamb_moments(s->n, &adamw, s->gradient, s->anchor, s->w,
                                                      s->slots[0], s->slots[1]));
    if (!s->trusting)
        return 1;
    return optim_trust(sqrt(thaw_kern_sum_squares(s->n, s->w)), update, 1);
}

static void sweep(const optim_sweep *s)
{
    thaw_adamw adamw = optim_adamw_of(s);
    adamw.lr = (float)(s->trust * s->rate);
    thaw_kern_lamb_apply(s->n, &adamw, s->w, s->slots[0], s->slots[1]);
}

const optim_optimizer optim_kind_lamb = {
    .name = "lamb",
    .slots = {"adam_m", "adam_v"},
    .slot_count = optim_adamw_slots,
    .check = optim_adamw_check,
    .prepare = prepare,
    .sweep = sweep,
};
