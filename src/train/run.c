#include "train/train_impl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "thaw/ckpt.h"

const char *thaw_run_path(const char *directory, const char *name, thaw_str *out)
{
    thaw_path_join(out, directory, name);
    return thaw_str_c(out);
}

/* What stands in the directory already. */
typedef enum run_found { RUN_NEW, RUN_PARTIAL, RUN_COMPLETE } run_found;

static run_found look(const char *directory)
{
    thaw_str path = {0};
    run_found found = RUN_NEW;
    thaw_json *summary = NULL;
    if (thaw_path_exists(thaw_run_path(directory, "config.yaml", &path)))
        found = RUN_PARTIAL;
    if (thaw_path_exists(thaw_run_path(directory, "summary.json", &path)) &&
        thaw_json_read(thaw_str_c(&path), &summary) == THAW_OK &&
        thaw_json_bool_or(summary, "complete", false))
        found = RUN_COMPLETE;
    thaw_json_free(&summary);
    thaw_str_clear(&path);
    thaw_error_clear();
    return found;
}

static thaw_status write_config(const thaw_config *config)
{
    thaw_str text = {0};
    thaw_str path = {0};
    thaw_conf_write(thaw_config_fields, config, &text);
    const thaw_status status = thaw_file_write(thaw_run_path(config->output, "config.yaml", &path),
                                               text.data, text.length);
    thaw_str_clear(&path);
    thaw_str_clear(&text);
    return status;
}

/* What is written at the very end must not fail then for a reason that is known now. */
static thaw_status check_save_backbone(const char *file)
{
    thaw_str directory = {0};
    const char *slash = strrchr(file, '/');
    thaw_status status = THAW_OK;
    if (file[0] == '\0')
        return THAW_OK;
    thaw_str_add_bytes(&directory, slash == NULL ? "." : file,
                       slash == NULL || slash == file ? 1 : (size_t)(slash - file));
    THAW_TRY_TO(thaw_mkdirs(thaw_str_c(&directory)));
    THAW_CHECK_TO(access(thaw_str_c(&directory), W_OK) == 0, THAW_ERR_RESOURCE,
                  "train.save_backbone: cannot write into %s: %s", thaw_str_c(&directory),
                  strerror(errno));
done:
    thaw_str_clear(&directory);
    return status;
}

/* Rank 0 makes the directory ready: a fresh run starts with none of the old one's files, a resumed one has the old settings. */
static thaw_status prepare(const thaw_config *config, const thaw_run_options *options)
{
    /* The summary first: its presence says that the rest is there. */
    static const char *const leftovers[] = {
        "summary.json",       "metrics.jsonl",       "adaptation.h5",       "checkpoints",  "tb",
        "predictions-val.h5", "predictions-gate.h5", "predictions-test.h5", "curve-val.h5", NULL};
    thaw_str path = {0};
    thaw_status status;
    THAW_TRY_TO(check_save_backbone(config->train.save_backbone));
    THAW_TRY_TO(thaw_mkdirs(config->output));
    for (const char *const *name = leftovers; !options->resume && *name != NULL; name++) {
        if (thaw_path_exists(thaw_run_path(config->output, *name, &path)))
            THAW_TRY_TO(thaw_remove_tree(thaw_str_c(&path)));
    }
    status = write_config(config);
done:
    thaw_str_clear(&path);
    return status;
}

static thaw_status open_records(thaw_trainer *t, bool resumed)
{
    thaw_str path = {0};
    thaw_status status;
    THAW_TRY_TO(
        thaw_rows_truncate(t->rows_path.data, "step", resumed ? t->position.step : -1, NULL));
    status = thaw_events_open(thaw_run_path(t->directory, "tb", &path),
                              resumed ? t->position.step + 1 : 0, &t->events);
done:
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_run_begin(thaw_trainer *t, thaw_comm *comm)
{
    const thaw_ckpt_found *checkpoint = &t->setup->checkpoint;
    thaw_str directory = {0};
    thaw_run_path(t->directory, "checkpoints", &directory);
    thaw_status status;
    THAW_TRY_TO(thaw_beside_open(t, comm));       /* before anything is replaced */
    if (t->options->resume && !checkpoint->found) /* uniform: phases have looked before */
        THAW_TRY_TO(thaw_setup_checkpoint(comm, t->setup, t->options));
    status = thaw_comm_rank(comm) == 0 ? prepare(t->config, t->options) : THAW_OK;
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(thaw_ckpt_prepare(comm, thaw_str_c(&directory)));
    THAW_TRY_TO(thaw_drift_before(t, comm)); /* before a checkpoint's weights are loaded */
    if (checkpoint->found)                   /* uniform */
        THAW_TRY_TO(thaw_trainer_resume(t, comm));
    status = thaw_comm_rank(comm) == 0 ? open_records(t, checkpoint->found) : THAW_OK;
    if (status == THAW_OK && !checkpoint->found && t->config->phases.count > 0 &&
        thaw_comm_rank(comm) == 0)
        status = thaw_phases_record(t);
    THAW_TRY_TO(thaw_agree(comm, status));
    if (checkpoint->found && !t->options->quiet)
        THAW_LOG(THAW_INFO, "resumed after step %lld (epoch %lld)", (long long)t->position.step,
                 (long long)t->position.epoch);
done:
    thaw_str_clear(&directory);
    return status;
}

static void say_scaling(const thaw_config *config, int64_t phase)
{
    const thaw_rates *given = &config->rates;
    const thaw_rates used = thaw_config_rates(config, phase);
    if (given->scale_with_batch == THAW_SCALE_NONE)
        return;
    THAW_LOG(THAW_INFO,
             "rates times %g, %s scaling from a batch of %lld to %lld: head %g, backbone %g%s",
             thaw_rates_factor(given, config->train.batch),
             thaw_batch_scaling_names()[given->scale_with_batch], (long long)given->reference_batch,
             (long long)config->train.batch, used.head, used.backbone,
             thaw_schedule_rises(&config->schedule)
                 ? ""
                 : "; schedule.warmup is 0, large rates want some");
}

void thaw_run_announce(const thaw_trainer *t, const thaw_comm *comm)
{
    char rung[THAW_RUNG_TEXT];
    char rss[32];
    char phase[64] = "";
    thaw_adapt_counts counts;
    thaw_rung_format(&t->setup->rung, rung);
    thaw_adapt_count(t->setup->model, &counts);
    thaw_format_bytes((double)t->payload_bytes, rss, sizeof rss);
    if (t->config->phases.count > 0)
        thaw_format(phase, sizeof phase, "phase %lld of %lld, ",
                    (long long)t->setup->phases.now + 1, (long long)t->config->phases.count);
    THAW_LOG(THAW_INFO,
             "%s: %srung %s, %lld of %lld parameters train, %s all-reduced a step, %d rank%s of %d "
             "thread%s, %lld shards, %s (%s)%s",
             t->config->name, phase, rung, (long long)counts.trainable, (long long)counts.total,
             rss, thaw_comm_size(comm), thaw_comm_size(comm) == 1 ? "" : "s", (int)thaw_threads(),
             thaw_threads() == 1 ? "" : "s", (long long)t->config->train.shards,
             t->setup->kern->name, t->setup->kern->cpu_kernels,
             t->features == NULL ? "" : ", frozen features kept");
    say_scaling(t->config, t->setup->phases.now);
    thaw_lanes_announce(&t->lanes, t->config, t->train_plan);
    if (!thaw_reduce_is_exact((thaw_reduce_mode)t->config->train.reduce))
        THAW_LOG(THAW_INFO,
                 "train.reduce: %s: gradients are rounded on their way, so another number of ranks "
                 "gives other results",
                 thaw_reduce_name(t->config));
}

/* A backbone file has no place for adapters: without them it would be the old backbone under a new name. */
thaw_status thaw_run_check(const thaw_setup *setup)
{
    thaw_adapt_counts counts;
    thaw_adapt_count(setup->model, &counts);
    THAW_CHECK(setup->config->train.save_backbone[0] == '\0' || counts.adapter == 0,
               THAW_ERR_CONFIG,
               "train.save_backbone: rung %s trains an adapter, which a backbone file cannot hold; "
               "leave save_backbone out, or use a rung that trains the backbone itself",
               setup->config->rung);
    return THAW_OK;
}

/* A run goes on, or is complete, as what the config asks for, or it is an error: never a result of other settings under this name. */
static thaw_status compare_run(thaw_comm *comm, const thaw_config *config)
{
    thaw_str path = {0};
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0)
        status =
            thaw_config_compare_file(thaw_run_path(config->output, "config.yaml", &path), config);
    thaw_str_clear(&path);
    return thaw_agree(comm, status);
}

/* Found out before anything is read or computed. */
static thaw_status check_outputs(const thaw_config *config)
{
    thaw_str path = {0};
    thaw_status status =
        thaw_output_check(thaw_run_path(config->output, "config.yaml", &path), true);
    if (status == THAW_OK && config->train.save_backbone[0] != '\0' &&
        thaw_output_check(config->train.save_backbone, true) != THAW_OK)
        status = thaw_fail_context(THAW_ERR_RESOURCE, "train.save_backbone");
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_run_look(thaw_comm *comm, const thaw_config *config,
                          const thaw_run_options *options, bool *complete)
{
    int64_t seen = thaw_comm_rank(comm) == 0 ? look(config->output) : RUN_NEW;
    thaw_bcast(comm, 0, &seen, sizeof seen);
    *complete = seen == RUN_COMPLETE && options->resume;
    if (seen != RUN_NEW && options->resume)
        THAW_TRY(compare_run(comm, config));
    if (*complete && !options->quiet)
        THAW_LOG(THAW_INFO, "%s is complete already", config->output);
    if (*complete)
        return THAW_OK;
    THAW_CHECK(seen == RUN_NEW || options->resume || options->overwrite,
               THAW_ERR_USAGE, /* uniform */
               "%s already holds a run; continue it with --resume, replace it with --overwrite, or "
               "choose another output",
               config->output);
    return thaw_agree(comm, thaw_comm_rank(comm) == 0 ? check_outputs(config) : THAW_OK);
}
