#include "scale/scale_impl.h"

#include <string.h>

/* Runs the sizes of a study on the first ranks. Rank 0 has the rows and the word on what is left to do. */

typedef struct measurement {
    const scale_plan *plan;
    const thaw_scale_options *options;
    const char *rows_path;
    const thaw_json *rows; /* of an earlier start; NULL on other ranks */
    thaw_pool *pool;
} measurement;

/* ---- One measurement --------------------------------------------------------------------------------------------- */

static thaw_status write_row(const measurement *m, const thaw_config *config,
                             const thaw_comm *group, int64_t repeat, bool oversubscribed,
                             const thaw_timing *timing)
{
    thaw_json *row = thaw_json_new_object();
    thaw_json_set_string(row, "rung", config->rung);
    thaw_json_set_int(row, "ranks", thaw_comm_size(group));
    thaw_json_set_int(row, "nodes", thaw_comm_node_count(group));
    thaw_json_set_int(row, "threads", thaw_threads());
    thaw_json_set_bool(row, "oversubscribed", oversubscribed);
    thaw_json_set_int(row, "shards", config->train.shards);
    thaw_json_set_int(row, "batch", config->train.batch);
    thaw_json_set_int(row, "repeat", repeat);
    thaw_json_set_int(row, "bytes", timing->bytes);
    thaw_json_set_int(row, "calls", timing->calls);
    thaw_json_set_int(row, "plan_calls", timing->plan_calls);
    thaw_json_set_int(row, "steps", timing->steps);
    thaw_json_set_doubles(row, "seconds", timing->seconds, timing->steps);
    thaw_json_set_doubles(row, "transfer", timing->transfer, timing->steps);
    thaw_json_set_doubles(row, "waited", timing->waited, timing->steps);
    const thaw_status status = thaw_rows_append(m->rows_path, row);
    thaw_json_free(&row);
    return status;
}

/* Collective over the group. */
static thaw_status time_group(const measurement *m, thaw_comm *group, const thaw_config *config,
                              int64_t repeat)
{
    const thaw_run_options options = {
        .quiet = true, .choices_from = config->output, .pool = m->pool};
    thaw_timing timing = {.steps = config->scale.steps};
    bool oversubscribed = false;
    thaw_status status;
    THAW_TRY_TO(thaw_train_time(group, config, config->scale.warmup, &options, &timing));
    THAW_TRY_TO(scale_find_oversubscribed(group, &oversubscribed));
    if (thaw_comm_rank(group) == 0)
        status = write_row(m, config, group, repeat, oversubscribed, &timing);
    status = thaw_agree(group, status);
done:
    thaw_timing_clear(&timing);
    return status;
}

/* A stop that any rank was asked for is everybody's. */
static thaw_status settle(thaw_comm *world, const thaw_config *config, thaw_status status)
{
    const bool stopped = status == THAW_ERR_STOPPED;
    int64_t stop = stopped || thaw_stop_requested();
    THAW_TRY(thaw_agree(world, stopped ? THAW_OK : status));
    thaw_allreduce_max_int64(world, &stop, 1);
    THAW_CHECK(stop == 0, THAW_ERR_STOPPED, /* uniform */
               "stopped on request; what was measured so far is in %s: continue with --resume",
               config->output);
    return THAW_OK;
}

static thaw_status measure_size(const measurement *m, thaw_comm *world, const thaw_config *common,
                                const scale_size *size, int64_t repeat)
{
    thaw_comm *group = NULL;
    thaw_config config = *common; /* borrows */
    bool done = m->rows != NULL && scale_rows_have(m->rows, common->rung, size, repeat);
    thaw_bcast(world, 0, &done, sizeof done);
    if (done)
        return THAW_OK;
    config.train.shards = size->shards;
    config.train.batch = size->batch;
    const bool takes_part = thaw_comm_rank(world) < size->ranks;
    THAW_TRY(thaw_comm_split(world, takes_part ? 0 : -1, 0, &group));
    thaw_status status = THAW_OK;
    if (takes_part)
        status = time_group(m, group, &config, repeat);
    thaw_comm_free(&group);
    /* Those that take no part wait as long as the others need. */
    thaw_beat_patience(true);
    thaw_barrier_asleep(world);
    thaw_beat_patience(false);
    return settle(world, &config, status);
}

/* ---- All of them --------------------------------------------------------------------------------------------------- */

static bool is_wanted(const measurement *m, const thaw_comm *world, const scale_size *size)
{
    return size->ranks <= thaw_comm_size(world) &&
           (m->options->only == 0 || m->options->only == size->ranks);
}

/* As in a ladder: frozen parts that cannot run in 8 bits run in floats. */
static thaw_status settle_precision(const measurement *m, thaw_comm *world, thaw_config *config)
{
    thaw_str why = {0};
    bool can = false;
    if (config->train.frozen_precision != THAW_PRECISION_INT8) /* uniform */
        return THAW_OK;
    const thaw_status status = thaw_train_eight_bits(world, config, config->rung, &can, &why);
    if (status == THAW_OK && !can && !m->options->quiet)
        THAW_LOG(THAW_INFO, "rung %s is timed in floats: %s", config->rung, thaw_str_c(&why));
    if (!can)
        config->train.frozen_precision = THAW_PRECISION_F32;
    thaw_str_clear(&why);
    return status;
}

static thaw_status measure_rung(const measurement *m, thaw_comm *world, char *rung)
{
    const scale_plan *plan = m->plan;
    thaw_config config = *plan->config; /* borrows */
    config.rung = rung;
    config.train.save_backbone = (char *)"";
    if (!m->options->quiet)
        THAW_LOG(THAW_INFO, "timing rung %s", rung);
    THAW_TRY(settle_precision(m, world, &config));
    THAW_TRY(thaw_train_prepare(world, &config, rung, config.output, m->pool, m->options->quiet));
    for (int64_t repeat = 0; repeat < config.scale.repeats; repeat++) {
        for (int64_t i = 0; i < plan->size_count; i++) {
            if (is_wanted(m, world, &plan->sizes[i]))
                THAW_TRY(measure_size(m, world, &config, &plan->sizes[i], repeat));
        }
    }
    return THAW_OK;
}

/* The same on every rank, without talking: sizes are settings. */
static thaw_status check_enough(const measurement *m, const thaw_comm *world)
{
    const thaw_ints *ranks = &m->plan->config->scale.ranks;
    const int size = thaw_comm_size(world);
    bool known = m->options->only == 0;
    for (int64_t i = 0; i < ranks->count; i++)
        known = known || ranks->items[i] == m->options->only;
    THAW_CHECK(known, THAW_ERR_USAGE, "--only %lld is none of the rank counts of scale.ranks",
               (long long)m->options->only);
    THAW_CHECK(m->options->only <= size && ranks->items[0] <= size, THAW_ERR_USAGE,
               "%lld ranks are to be measured, but this job has %d; start it on more ranks",
               (long long)(m->options->only > 0 ? m->options->only : ranks->items[0]), size);
    if (m->options->only == 0 && m->plan->most > size && !m->options->quiet)
        THAW_LOG(
            THAW_INFO,
            "this job has %d rank%s: larger counts of scale.ranks (up to %lld) are left out; "
            "start it on more, or measure them in jobs of their own and join them by --collect",
            size, size == 1 ? "" : "s", (long long)m->plan->most);
    return THAW_OK;
}

static thaw_status measure_all(const measurement *m, thaw_comm *world)
{
    for (int64_t i = 0; i < m->plan->rungs->count; i++)
        THAW_TRY(measure_rung(m, world, m->plan->rungs->items[i]));
    return THAW_OK;
}

static thaw_status begin(const thaw_comm *world, const measurement *m, thaw_json **rows)
{
    if (thaw_comm_rank(world) != 0)
        return THAW_OK;
    const thaw_config *config = m->plan->config;
    THAW_TRY(scale_directory_prepare(config, m->options));
    return scale_rows_read(config->output, rows);
}

static thaw_status finish(const thaw_comm *world, const scale_plan *plan)
{
    return thaw_comm_rank(world) == 0 ? scale_write(plan) : THAW_OK;
}

thaw_status thaw_scale_run(thaw_comm *comm, const thaw_config *config,
                           const thaw_scale_options *options)
{
    scale_plan plan = {0};
    thaw_json *rows = NULL;
    thaw_str path = {0};
    thaw_watchdog *watchdog = NULL;
    measurement m = {.plan = &plan, .options = options};
    THAW_TRY(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    thaw_path_join(&path, config->output, "points.jsonl");
    m.rows_path = thaw_str_c(&path);
    const char *phase = thaw_beat_phase("timing steps");
    thaw_status status = scale_plan_make(config, &plan);
    if (status == THAW_OK)
        status = check_enough(&m, comm);
    if (status == THAW_OK)
        status = thaw_pool_new(&m.pool);
    if (status == THAW_OK)
        status = begin(comm, &m, &rows);
    THAW_TRY_TO(thaw_agree(comm, status));
    m.rows = rows;
    THAW_TRY_TO(measure_all(&m, comm));
    status = thaw_agree(comm, finish(comm, &plan));
done:
    thaw_beat_phase(phase);
    thaw_watchdog_stop(&watchdog);
    thaw_pool_free(&m.pool);
    thaw_json_free(&rows);
    thaw_str_clear(&path);
    scale_plan_clear(&plan);
    return status;
}
