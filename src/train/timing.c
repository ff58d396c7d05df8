#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* What a step takes, measured on a trainer as thaw_train_run has it, so that kept features, shared sums and read-ahead are what they are
 * there. */

thaw_status thaw_trainer_try_step(thaw_trainer *t, thaw_comm *comm)
{
    THAW_TRY(thaw_trainer_step(t, comm));
    if (t->position.step_in_epoch == thaw_sampler_steps(&t->sampler)) {
        t->position.epoch++;
        t->position.step_in_epoch = 0;
    }
    THAW_CHECK(!t->stop, THAW_ERR_STOPPED, /* uniform */
               "stopped on request while steps of rung %s were tried", t->config->rung);
    return THAW_OK;
}

/* mine (2, steps): seconds of each step, and of them in sums. */
static thaw_status time_steps(thaw_trainer *t, thaw_comm *comm, int64_t steps, double *mine)
{
    double ended = thaw_seconds();
    for (int64_t i = 0; i < steps; i++) {
        const double waited = thaw_comm_count(comm).gradient_seconds;
        THAW_TRY(thaw_trainer_try_step(t, comm));
        const double now = thaw_seconds();
        mine[i] = now - ended;
        mine[steps + i] = thaw_comm_count(comm).gradient_seconds - waited;
        ended = now;
    }
    return THAW_OK;
}

/* all (ranks, 2, steps). */
static void summarize(const double *all, int ranks, thaw_timing *timing)
{
    const int64_t steps = timing->steps;
    for (int64_t i = 0; i < steps; i++) {
        double seconds = 0;
        double waited = 0;
        double least = INFINITY;
        for (int r = 0; r < ranks; r++) {
            const double *its = all + 2 * steps * r;
            seconds += its[i];
            waited += its[steps + i];
            least = fmin(least, its[steps + i]);
        }
        timing->seconds[i] = seconds / ranks;
        timing->waited[i] = waited / ranks;
        timing->transfer[i] = least;
    }
}

static thaw_status allocate(thaw_timing *timing, int ranks, double **mine, double **all)
{
    const int64_t n = timing->steps;
    THAW_TRY(thaw_alloc(&timing->seconds, n, sizeof *timing->seconds));
    THAW_TRY(thaw_alloc(&timing->transfer, n, sizeof *timing->transfer));
    THAW_TRY(thaw_alloc(&timing->waited, n, sizeof *timing->waited));
    THAW_TRY(thaw_alloc(mine, 2 * n, sizeof **mine));
    return thaw_alloc(all, 2 * n * ranks, sizeof **all);
}

static thaw_status measure(thaw_trainer *t, thaw_comm *comm, int64_t warmup, thaw_timing *timing)
{
    double *mine = NULL;
    double *all = NULL;
    int64_t bytes;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, allocate(timing, thaw_comm_size(comm), &mine, &all)));
    for (int64_t i = 0; i < warmup; i++)
        THAW_TRY_TO(thaw_trainer_try_step(t, comm));
    thaw_barrier(comm);
    const thaw_comm_counters before = thaw_comm_count(comm);
    THAW_TRY_TO(time_steps(t, comm, timing->steps, mine));
    const thaw_comm_counters after = thaw_comm_count(comm);
    timing->bytes = t->bytes_per_step;
    timing->calls = (after.gradient_calls - before.gradient_calls) / timing->steps;
    thaw_reducer_plan(t->reducer, &bytes, &timing->plan_calls);
    thaw_allgather(comm, mine, 2 * timing->steps * (int64_t)sizeof *mine, all);
    summarize(all, thaw_comm_size(comm), timing);
done:
    thaw_free(&all);
    thaw_free(&mine);
    return status;
}

static thaw_status open_and_measure(thaw_comm *comm, const thaw_config *config, int64_t warmup,
                                    const thaw_run_options *options, thaw_timing *timing)
{
    thaw_setup setup;
    thaw_trainer trainer = {0};
    THAW_TRY(thaw_setup_open(comm, config, config->rung, THAW_SETUP_TRAIN, &setup));
    thaw_status status;
    THAW_TRY_TO(thaw_choices_begin(comm, &setup, options->choices_from, NULL));
    THAW_TRY_TO(thaw_ranges_open(comm, &setup, options->pool));
    THAW_TRY_TO(thaw_trainer_open(comm, &setup, options, NULL, &trainer));
    status = measure(&trainer, comm, warmup, timing);
    thaw_trainer_close(&trainer);
done:
    thaw_setup_close(&setup);
    return status;
}

thaw_status thaw_train_time(thaw_comm *comm, const thaw_config *config, int64_t warmup,
                            const thaw_run_options *options, thaw_timing *timing)
{
    /* Enough epochs for the schedule and for read-ahead, however few samples there are. */
    thaw_config longer = *config; /* borrows */
    longer.train.epochs += warmup + timing->steps;
    *timing = (thaw_timing){.steps = timing->steps};
    return open_and_measure(comm, &longer, warmup, options, timing);
}

void thaw_timing_clear(thaw_timing *timing)
{
    thaw_free(&timing->seconds);
    thaw_free(&timing->transfer);
    thaw_free(&timing->waited);
    *timing = (thaw_timing){0};
}
