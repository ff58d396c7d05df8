#include "train/train_impl.h"

#include <string.h>

/* One run, or several that share a frozen prefix which is computed in every step. The first of them, the lead, is set up as if it were
 * alone; when it turns out that its features are not kept, others join it, as many as memory allows. */

typedef struct entrant {
    const thaw_config *config;
    bool over; /* complete, failed by itself, or trained */
    thaw_setup setup;
    thaw_trainer trainer;
} entrant;

/* ---- Who may go together --------------------------------------------------------------------------------------- */

/* What a run learns with may differ, what it learns from may not. */
static thaw_status check_alike(const thaw_config *first, const thaw_config *other)
{
    thaw_config same = *other;
    same.name = first->name;
    same.output = first->output;
    same.rates = first->rates;
    same.optimizer = first->optimizer;
    same.schedule = first->schedule;
    same.train.save_backbone = first->train.save_backbone;
    THAW_CHECK(thaw_fields_equal(thaw_config_fields, first, &same), THAW_ERR_CONFIG,
               "runs that are trained together may differ in rates, optimizer and schedule only; "
               "%s and %s differ in more",
               first->output, other->output);
    THAW_CHECK(strcmp(first->output, other->output) != 0, THAW_ERR_CONFIG,
               "two runs that are trained together have the output %s", first->output);
    return THAW_OK;
}

static thaw_status check_all(const thaw_config *configs, int64_t count)
{
    for (int64_t i = 1; i < count; i++) {
        for (int64_t k = 0; k < i; k++)
            THAW_TRY(check_alike(&configs[k], &configs[i]));
    }
    return THAW_OK;
}

/* Float sums depend on what they travel with; phases move the prefix. */
static bool takes_company(const entrant *lead)
{
    return lead->config->phases.count == 0 && thaw_has_prefix(&lead->setup) &&
           lead->trainer.features == NULL &&
           thaw_reduce_is_exact((thaw_reduce_mode)lead->config->train.reduce);
}

/* ---- One group ------------------------------------------------------------------------------------------------- */

static thaw_status open_lead(thaw_comm *comm, entrant *e, const thaw_run_options *options)
{
    const thaw_config *config = e->config;
    const double opened = thaw_seconds();
    const bool phases = config->phases.count > 0;
    const char *rung = phases ? thaw_config_phase(config, 0)->rung : config->rung;
    float *features = NULL;
    THAW_TRY(thaw_setup_open(comm, config, rung, THAW_SETUP_TRAIN, &e->setup));
    THAW_TRY(thaw_agree(comm, thaw_run_check(&e->setup)));
    THAW_TRY(thaw_choices_begin(comm, &e->setup, options->choices_from,
                                options->resume ? config->output : NULL));
    THAW_TRY(thaw_ranges_open(comm, &e->setup, options->pool));
    if (phases) /* uniform */
        THAW_TRY(thaw_phases_begin(comm, &e->setup, options, &features));
    const thaw_status status = thaw_trainer_open(comm, &e->setup, options, NULL, &e->trainer);
    e->trainer.features_before = features;
    THAW_TRY(status); /* uniform */
    e->trainer.opened = e->trainer.counted = opened;
    return THAW_OK;
}

static thaw_status open_other(thaw_comm *comm, entrant *e, entrant *lead)
{
    THAW_TRY(thaw_setup_join(comm, &lead->setup, e->config, &e->setup));
    THAW_TRY(thaw_agree(comm, thaw_run_check(&e->setup)));
    THAW_TRY(
        thaw_trainer_open(comm, &e->setup, lead->trainer.options, &lead->trainer, &e->trainer));
    e->trainer.opened = e->trainer.counted = lead->trainer.opened;
    return THAW_OK;
}

/* The lead closes last: the others live in its memory. */
static void close_group(entrant **group, int32_t count)
{
    for (int32_t i = count; i-- > 0;) {
        thaw_trainer *t = &group[i]->trainer;
        if (t->events != NULL && thaw_events_close(&t->events) != THAW_OK) {
            THAW_LOG(THAW_WARN, "%s", thaw_error_last()->message);
            thaw_error_clear();
        }
        thaw_trainer_close(t);
        thaw_setup_close(&group[i]->setup);
        group[i]->over = true;
    }
}

static thaw_status begin(thaw_comm *comm, entrant *e, bool keep_choices)
{
    if (!e->trainer.options->quiet)
        thaw_run_announce(&e->trainer, comm);
    THAW_TRY(thaw_run_begin(&e->trainer, comm));
    if (thaw_comm_rank(comm) != 0)
        return THAW_OK;
    if (keep_choices)
        thaw_choices_keep(&e->setup);
    thaw_choices_record(&e->setup, e->config->output);
    return THAW_OK;
}

static thaw_status run_group(thaw_comm *comm, entrant **group, int32_t count,
                             const thaw_run_options *options)
{
    thaw_trainer **trainers = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_alloc(&trainers, count, sizeof(thaw_trainer *))));
    for (int32_t i = 0; i < count; i++) {
        trainers[i] = &group[i]->trainer;
        trainers[i]->sharers = trainers[i]->company = count;
    }
    for (int32_t i = 0; i < count; i++)
        THAW_TRY_TO(begin(comm, group[i], i == 0 && options->choices_from == NULL));
    if (count > 1 && !options->quiet)
        THAW_LOG(THAW_INFO, "%d runs are trained together on one frozen prefix", (int)count);
    status = thaw_trainers_run(comm, trainers, count);
done:
    thaw_free(&trainers);
    return status;
}

/* The next one that is not over and those that join it: group[0 .. *count), to be closed whatever the status. */
static thaw_status open_group(thaw_comm *comm, entrant *all, int64_t total,
                              const thaw_run_options *options, entrant **group, int32_t *count)
{
    int32_t most = 1;
    for (int64_t i = 0; i < total && *count < most; i++) {
        if (all[i].over)
            continue;
        group[(*count)++] = &all[i];
        if (*count > 1) {
            THAW_TRY(open_other(comm, &all[i], group[0]));
            continue;
        }
        THAW_TRY(open_lead(comm, &all[i], options));
        if (total > 1 && takes_company(&all[i])) /* uniform */
            most = thaw_train_room(comm, &all[i].setup, all[i].trainer.train_plan);
    }
    return THAW_OK;
}

static thaw_status train_group(thaw_comm *comm, entrant *all, int64_t total,
                               const thaw_run_options *options, thaw_error *outcomes)
{
    entrant **group = NULL;
    int32_t count = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_alloc(&group, total, sizeof(entrant *))));
    THAW_TRY_TO(open_group(comm, all, total, options, group, &count));
    status = run_group(comm, group, count, options);
done:
    for (int32_t i = 0; i < count; i++) {
        if (group[i]->trainer.failed != THAW_OK)
            outcomes[group[i] - all] = group[i]->trainer.error;
    }
    close_group(group, count);
    thaw_free(&group);
    return status;
}

/* ---- The public functions -------------------------------------------------------------------------------------- */

static bool any_left(const entrant *all, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!all[i].over)
            return true;
    }
    return false;
}

static thaw_status run_all(thaw_comm *comm, const thaw_config *configs, int64_t count,
                           const thaw_run_options *options, entrant *all, thaw_error *outcomes)
{
    for (int64_t i = 0; i < count; i++) {
        all[i].config = &configs[i];
        THAW_TRY(thaw_run_look(comm, &configs[i], options, &all[i].over));
    }
    while (any_left(all, count))
        THAW_TRY(train_group(comm, all, count, options, outcomes));
    return THAW_OK;
}

thaw_status thaw_train_together(thaw_comm *comm, const thaw_config *configs, int64_t count,
                                const thaw_run_options *options, thaw_error *outcomes)
{
    entrant *all = NULL;
    thaw_watchdog *watchdog = NULL;
    for (int64_t i = 0; i < count; i++)
        outcomes[i] = (thaw_error){0};
    THAW_TRY(thaw_watchdog_start(comm, configs[0].train.watchdog, &watchdog));
    const char *phase = thaw_beat_phase("setting up");
    thaw_status status = check_all(configs, count);
    if (status == THAW_OK && count > 1 && options->checkpoint != NULL)
        status = THAW_FAIL(THAW_ERR_USAGE, "%s is the checkpoint of one run, not of %lld",
                           options->checkpoint, (long long)count);
    if (status == THAW_OK)
        status = thaw_alloc(&all, count, sizeof *all);
    THAW_TRY_TO(thaw_agree(comm, status));
    status = run_all(comm, configs, count, options, all, outcomes);
done:
    thaw_beat_phase(phase);
    thaw_watchdog_stop(&watchdog);
    thaw_free(&all);
    return status;
}

thaw_status thaw_train_run(thaw_comm *comm, const thaw_config *config,
                           const thaw_run_options *options)
{
    thaw_error outcome;
    THAW_TRY(thaw_train_together(comm, config, 1, options, &outcome));
    if (outcome.code == THAW_OK)
        return THAW_OK;
    *thaw_error_last() = outcome;
    return (thaw_status)outcome.code;
}
