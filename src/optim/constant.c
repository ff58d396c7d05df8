#include "optim/optim_impl.h"

static double factor(const thaw_schedule *schedule, int64_t step, int64_t total, int64_t warm)
{
    (void)schedule;
    (void)step;
    (void)total;
    (void)warm;
    return 1;
}

const optim_schedule optim_kind_constant = {.name = "constant", .factor = factor};
