#include "optim/optim_impl.h"

#include <math.h>

/* PyTorch's OneCycleLR: its defaults for pct_start, div_factor and final_div_factor. */
#define USUAL_RISE 0.3
#define FIRST_RATE (1 / 25.0)
#define FINAL_RATE (FIRST_RATE / 1e4)

static double between(double from, double to, double done)
{
    return to + (from - to) / 2 * (1 + cos(OPTIM_PI * done));
}

static double factor(const thaw_schedule *schedule, int64_t step, int64_t total, int64_t warm)
{
    double rise = schedule->warmup > 0 ? (double)warm : USUAL_RISE * (double)total;
    double top = rise - 1;
    double last = (double)(total - 1);
    /* A rise of one step or less has no first half. */
    if (top > 0 && (double)step <= top)
        return between(FIRST_RATE, 1, (double)step / top);
    if (top < 0)
        top = 0;
    if (last <= top)
        return 1;
    return between(1, FINAL_RATE, ((double)step - top) / (last - top));
}

const optim_schedule optim_kind_onecycle = {
    .name = "onecycle", .own_warmup = true, .factor = factor};
