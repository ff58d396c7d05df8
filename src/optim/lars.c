#include "optim/optim_impl.h"

#include <math.h>

/* You et al. 2017, arXiv:1708.03888, algorithm 1. The rate stays outside the momentum, as in PyTorch's SGD, so that the buffer
 * does not keep old rates. */
static double prepare(const optim_sweep *s)
{
    if (!s->trusting)
        return 1;
    const double gradient = sqrt(thaw_kern_pulled_squares(
        s->n, (float)s->gradient_scale, (float)s->anchor_strength, s->gradient, s->anchor, s->w));
    const double weights = sqrt(thaw_kern_sum_squares(s->n, s->w));
    return optim_trust(weights, gradient + s->weight_decay * weights, s->config->trust_coefficient);
}

const optim_optimizer optim_kind_lars = {
    .name = "lars",
    .slots = {"momentum"},
    .slot_count = optim_sgd_slots,
    .check = optim_sgd_check,
    .prepare = prepare,
    .sweep = optim_sgd_sweep,
};
