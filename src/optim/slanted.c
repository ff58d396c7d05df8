#include "optim/optim_impl.h"

#include <math.h>

/* Howard & Ruder 2018, equation 3. Their fall has the slope of cut * (1 / cut_share - 1) steps, which is too short by up to 1 / cut_share where
 * the cut is rounded down, so that rates end below zero; ours takes the steps there are, the same number where nothing is rounded. */
static double factor(const thaw_schedule *schedule, int64_t step, int64_t total, int64_t warm)
{
    (void)warm;
    const double cut = floor((double)total * schedule->cut);
    const double t = (double)step;
    const double share = t < cut ? t / cut : 1 - (t - cut) / ((double)total - cut);
    return (1 + share * (schedule->ratio - 1)) / schedule->ratio;
}

static thaw_status check(const thaw_schedule *schedule)
{
    THAW_CHECK(schedule->warmup == 0, THAW_ERR_CONFIG,
               "schedule.warmup is %g, but slanted rises by itself, for the share schedule.cut of "
               "all steps; leave warmup out",
               schedule->warmup);
    return THAW_OK;
}

const optim_schedule optim_kind_slanted = {
    .name = "slanted", .own_warmup = true, .factor = factor, .check = check};
