#include "train/train_impl.h"

/* Runs side by side, mostly a single one. Those that are furthest behind are the front: a team that takes the next step, so that runs
 * which were resumed at different steps meet. One that fails leaves the others alone; one that is through leaves its files at once. */

typedef struct course {
    thaw_trainer **all;
    int32_t count;
    thaw_team front;
    bool stale;           /* the front has changed since its reducer was made */
    thaw_reducer *shared; /* the front's, unless it is a run with its own */
    double counted, stepped;
} course;

static bool is_over(const thaw_trainer *t)
{
    return t->done || t->failed != THAW_OK;
}

static bool is_behind(const course *c, const thaw_trainer *t)
{
    for (int32_t i = 0; i < c->count; i++) {
        if (!is_over(c->all[i]) && c->all[i]->position.step < t->position.step)
            return false;
    }
    return !is_over(t);
}

/* What was counted so far was spent on the old front. */
static void share_time(const course *c, const thaw_comm *comm)
{
    for (int32_t i = 0; i < c->count; i++) {
        if (!is_over(c->all[i]))
            thaw_trainer_count_time(c->all[i], comm);
        c->all[i]->sharers = 0;
    }
    for (int32_t m = 0; m < c->front.count; m++)
        c->front.members[m]->sharers = c->front.count;
}

static thaw_status open_reducer(course *c, thaw_comm *comm)
{
    thaw_reducer_free(&c->shared);
    c->front.reducer = NULL;
    if (c->front.count == 1)
        c->front.reducer = c->front.members[0]->reducer;
    if (c->front.count == 0 || c->front.reducer != NULL) /* uniform */
        return THAW_OK;
    THAW_TRY(thaw_team_open_reducer(comm, &c->front));
    c->shared = c->front.reducer;
    return THAW_OK;
}

/* The same on all ranks, since positions and failures are. */
static thaw_status take_front(course *c, thaw_comm *comm)
{
    int32_t count = 0;
    for (int32_t i = 0; i < c->count; i++) {
        if (!is_behind(c, c->all[i]))
            continue;
        c->stale = c->stale || count >= c->front.count || c->front.members[count] != c->all[i];
        c->front.members[count++] = c->all[i];
    }
    if (!c->stale && count == c->front.count) /* uniform */
        return THAW_OK;
    c->front.count = count;
    c->stale = false;
    share_time(c, comm);
    return open_reducer(c, comm);
}

static void drop_failed(course *c)
{
    int32_t count = 0;
    for (int32_t m = 0; m < c->front.count; m++) {
        if (!is_over(c->front.members[m]))
            c->front.members[count++] = c->front.members[m];
    }
    c->stale = c->stale || count < c->front.count;
    c->front.count = count;
}

static void add_seconds(const course *c, double since, bool of_steps)
{
    const double part = (thaw_seconds() - since) / c->front.count;
    for (int32_t m = 0; m < c->front.count; m++) {
        thaw_progress_state *state = &c->front.members[m]->state;
        *(of_steps ? &state->train_seconds : &state->seconds) += part;
    }
}

/* A member that cannot be saved does not keep the others from it. */
static thaw_status save(const course *c, thaw_comm *comm)
{
    thaw_error first = {0};
    for (int32_t m = 0; m < c->front.count; m++) {
        thaw_trainer *t = c->front.members[m];
        if (thaw_trainer_is_finished(t) || !(t->stop || thaw_trainer_is_due(t)))
            continue;
        if (thaw_trainer_save(t, comm) != THAW_OK && first.code == THAW_OK) /* uniform */
            first = *thaw_error_last();
    }
    if (first.code != THAW_OK) /* uniform */
        *thaw_error_last() = first;
    return (thaw_status)first.code;
}

/* Files of those that are through, wherever the others are: a later accident does not touch them. */
static thaw_status finish(course *c, thaw_comm *comm, thaw_trainer **members)
{
    thaw_team team = {.members = members};
    for (int32_t i = 0; i < c->count; i++) {
        thaw_trainer *t = c->all[i];
        if (!is_over(t) && thaw_trainer_is_finished(t))
            members[team.count++] = t;
    }
    if (team.count == 0) /* uniform */
        return THAW_OK;
    for (int32_t m = 0; m < team.count; m++)
        thaw_progress_finish(&members[m]->progress);
    thaw_beat_phase("evaluating and writing results");
    THAW_TRY(thaw_team_finish(&team, comm));
    for (int32_t m = 0; m < team.count; m++)
        members[m]->done = true;
    c->counted = c->stepped = thaw_seconds();
    return THAW_OK;
}

/* Asked in a step's sums, so that all ranks know. Those of the front were saved in it; what is ahead of it was saved before. */
static thaw_status heed_stop(const course *c)
{
    thaw_str directories = {0};
    int64_t step = -1;
    bool short_of_time = false;
    for (int32_t i = 0; i < c->count; i++) {
        const thaw_trainer *t = c->all[i];
        if (is_over(t))
            continue;
        thaw_str_printf(&directories, "%s%s", directories.length > 0 ? ", " : "", t->directory);
        step = t->stop ? t->position.step : step;
        short_of_time = short_of_time || thaw_trainer_is_short_of_time(t);
    }
    thaw_status status = THAW_OK;
    if (step >= 0)
        status = THAW_FAIL(THAW_ERR_STOPPED,
                           "stopped %s after step %lld; the state is saved in %s: "
                           "continue with --resume",
                           short_of_time ? "for want of time" : "on request", (long long)step,
                           thaw_str_c(&directories));
    thaw_str_clear(&directories);
    return status;
}

/* What the next step may take, at most. */
static void remember_longest(const course *c, double began)
{
    const double took = thaw_seconds() - began;
    for (int32_t m = 0; m < c->front.count; m++) {
        if (took > c->front.members[m]->longest)
            c->front.members[m]->longest = took;
    }
}

/* One step of the front. Where a failure was found in the sums nobody moved, and the others take the step again without it. */
static thaw_status advance(course *c, thaw_comm *comm)
{
    bool taken = false;
    thaw_beat_phase("training");
    const double began = thaw_seconds();
    THAW_TRY(thaw_team_step(&c->front, comm, &taken));
    drop_failed(c);
    if (!taken || c->front.count == 0) /* uniform */
        return THAW_OK;
    add_seconds(c, c->stepped, true);
    THAW_TRY(thaw_team_after_step(&c->front, comm));
    add_seconds(c, c->counted, false);
    c->counted = thaw_seconds();
    THAW_TRY(save(c, comm));
    remember_longest(c, began);
    c->stepped = thaw_seconds();
    return THAW_OK;
}

/* Whose phase is over, opens the next; after a stop, so that a run that is to end soon does not wait for it. */
static thaw_status turn(course *c, thaw_comm *comm)
{
    for (int32_t i = 0; i < c->count; i++) {
        if (is_over(c->all[i]) || !thaw_phases_is_over(c->all[i]))
            continue;
        THAW_TRY(thaw_phases_next(c->all[i], comm));
        c->stale = true;
        c->stepped = thaw_seconds();
    }
    return THAW_OK;
}

static thaw_status run(course *c, thaw_comm *comm, thaw_trainer **finished)
{
    while (true) {
        THAW_TRY(finish(c, comm, finished));
        THAW_TRY(heed_stop(c)); /* uniform */
        THAW_TRY(turn(c, comm));
        THAW_TRY(take_front(c, comm));
        if (c->front.count == 0)
            return THAW_OK;
        THAW_TRY(advance(c, comm));
    }
}

static void start(course *c, const thaw_comm *comm)
{
    c->counted = c->stepped = thaw_seconds();
    for (int32_t i = 0; i < c->count; i++) {
        thaw_trainer *t = c->all[i];
        t->company = c->count;
        t->startup_seconds = c->counted - t->opened;
        if (c->count == 1 && thaw_comm_rank(comm) == 0 && !t->options->quiet)
            thaw_progress_start(&t->progress, t->config->name, t->position.step,
                                thaw_trainer_total_steps(t), t->config->log_seconds);
    }
}

static thaw_status open_writers(const course *c, const thaw_comm *comm)
{
    for (int32_t i = 0; i < c->count; i++)
        THAW_TRY(thaw_trainer_open_writer(c->all[i], comm));
    return THAW_OK;
}

thaw_status thaw_trainers_run(thaw_comm *comm, thaw_trainer **trainers, int32_t count)
{
    course c = {.all = trainers, .count = count, .stale = true};
    thaw_trainer **finished = NULL;
    thaw_status status = thaw_alloc(&c.front.members, count, sizeof(thaw_trainer *));
    if (status == THAW_OK)
        status = thaw_alloc(&finished, count, sizeof(thaw_trainer *));
    THAW_TRY_TO(thaw_agree(comm, status));
    start(&c, comm);
    THAW_TRY_TO(thaw_agree(comm, open_writers(&c, comm)));
    status = run(&c, comm, finished);
    for (int32_t i = 0; i < count; i++)
        thaw_progress_finish(&trainers[i]->progress);
done:
    thaw_reducer_free(&c.shared);
    thaw_free(&finished);
    thaw_free(&c.front.members);
    return status;
}
