#include "optim/optim_impl.h"

#include <math.h>

static const double usual[] = {0.5, 0.75};

/* PyTorch's MultiStepLR with milestones given as shares, so that they hold for any length of training. */
static double factor(const thaw_schedule *schedule, int64_t step, int64_t total, int64_t warm)
{
    (void)warm;
    const double *share = schedule->milestones.count > 0 ? schedule->milestones.items : usual;
    int64_t count = schedule->milestones.count > 0 ? schedule->milestones.count : 2;
    double result = 1;
    for (int64_t i = 0; i < count; i++) {
        if (step >= (int64_t)ceil(share[i] * (double)total))
            result *= schedule->gamma;
    }
    return result;
}

const optim_schedule optim_kind_step = {.name = "step", .factor = factor};
