#include "optim/optim_impl.h"

#include <math.h>

/* PyTorch's CosineAnnealingLR with T_max = steps after the warm-up. */
static double factor(const thaw_schedule *schedule, int64_t step, int64_t total, int64_t warm)
{
    if (step <= warm || total <= warm)
        return 1;
    double done = (double)(step - warm) / (double)(total - warm);
    double least = schedule->final_factor;
    return least + (1 - least) * (1 + cos(OPTIM_PI * done)) / 2;
}

const optim_schedule optim_kind_cosine = {.name = "cosine", .factor = factor};
