#include "train/train_impl.h"

#include <math.h>

/* A moving average of what trains. It is what runs are judged by and what they leave, while training itself never sees it. */

void thaw_ema_update(thaw_trainer *t)
{
    for (int64_t i = 0; i < t->ema.count; i++) {
        const thaw_tensor *now = &t->trained.entries[i].tensor;
        thaw_optim_average(thaw_tensor_count(now), t->config->train.ema, t->position.step - 1,
                           now->data, t->ema.entries[i].tensor.data);
    }
}

void thaw_ema_swap(const thaw_team *team)
{
    for (int32_t m = 0; m < team->count; m++) {
        thaw_trainer *t = team->members[m];
        for (int64_t i = 0; i < t->ema.count; i++)
            thaw_kern_swap(thaw_tensor_count(&t->trained.entries[i].tensor),
                           t->trained.entries[i].tensor.data, t->ema.entries[i].tensor.data);
    }
}

void thaw_ema_describe(const thaw_trainer *t, thaw_json *out)
{
    const double decay = t->config->train.ema;
    if (t->ema.count == 0)
        return;
    /* Of the first step's weights, which the average began with. */
    const double share = pow(decay, (double)(t->position.step - 1));
    thaw_json_set_double(out, "ema", decay);
    thaw_json_set_double(out, "ema_unsettled", share);
    if (share > 0.05)
        THAW_LOG(THAW_WARN,
                 "train.ema %g is slow for %lld steps: %.0f %% of the average is still the weights "
                 "after the first one; choose about 1 - 10 / steps, or train longer",
                 decay, (long long)t->position.step, 100 * share);
}
