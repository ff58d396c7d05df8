#include "thaw/optim.h"

#include "optim/optim_impl.h"

#include <math.h>

#define ENTRY_OPTIMIZER(name)
#define ENTRY_SCHEDULE(name)         &optim_kind_##name,
#define THAW_KIND(name, family, doc) ENTRY_##family(name)
static const optim_schedule *const schedules[] = {
#include "optim/kinds.def"
};
#undef THAW_KIND

static int64_t warm_steps(const thaw_schedule *schedule, int64_t total)
{
    double steps =
        schedule->warmup < 1 ? ceil(schedule->warmup * (double)total) : floor(schedule->warmup);
    if (steps >= (double)total)
        return total;
    return steps > 0 ? (int64_t)steps : 0;
}

double thaw_schedule_factor(const thaw_schedule *schedule, int64_t step, int64_t total_steps)
{
    THAW_ASSERT(step >= 0 && step < total_steps);
    const optim_schedule *kind = schedules[schedule->kind];
    int64_t warm = warm_steps(schedule, total_steps);
    double factor = kind->factor(schedule, step, total_steps, warm);
    if (!kind->own_warmup && step < warm)
        factor *= (double)(step + 1) / (double)warm;
    return factor;
}

bool thaw_schedule_rises(const thaw_schedule *schedule)
{
    return schedules[schedule->kind]->own_warmup || schedule->warmup > 0;
}

thaw_status thaw_schedule_check(const thaw_schedule *schedule)
{
    const thaw_doubles *milestones = &schedule->milestones;
    if (schedules[schedule->kind]->check != NULL)
        THAW_TRY(schedules[schedule->kind]->check(schedule));
    for (int64_t i = 1; i < milestones->count; i++)
        THAW_CHECK(milestones->items[i] > milestones->items[i - 1], THAW_ERR_CONFIG,
                   "schedule.milestones must ascend, but %g follows %g", milestones->items[i],
                   milestones->items[i - 1]);
    return THAW_OK;
}
