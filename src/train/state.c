#include "train/parts_impl.h"

#include <string.h>

#include "thaw/ckpt.h"

/* What a run needs to go on: trained tensors, their average, the selected epoch's tensors, optimizer, quanta, position, running sums. The entries
 * are views, so that saving copies nothing and restoring is thaw_state_copy into them. Nothing frozen is in it. */

thaw_status thaw_state_add_prefixed(thaw_state *out, const char *prefix, const thaw_state *from)
{
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < from->count && status == THAW_OK; i++) {
        const thaw_entry *e = &from->entries[i];
        thaw_str_reset(&name);
        thaw_str_printf(&name, "%s/%s", prefix, e->name);
        status = thaw_state_add(out, thaw_str_c(&name), e->tensor.dtype, e->tensor.shape,
                                e->tensor.data);
    }
    thaw_str_clear(&name);
    return status;
}

thaw_status thaw_state_add_kept(thaw_state *out, const thaw_kept_number *rows, size_t count)
{
    const thaw_shape scalar = thaw_shape_make(0, NULL);
    for (size_t i = 0; i < count; i++)
        THAW_TRY(thaw_state_add(out, rows[i].name, rows[i].dtype, scalar, rows[i].data));
    return THAW_OK;
}

static thaw_status add_numbers(thaw_trainer *t, thaw_state *out)
{
    thaw_progress_state *s = &t->state;
    const thaw_kept_number rows[] = {
        {"position/step", THAW_I64, &t->position.step},
        {"position/epoch", THAW_I64, &t->position.epoch},
        {"position/step_in_epoch", THAW_I64, &t->position.step_in_epoch},
        {"epoch/loss_sum", THAW_F64, &s->loss_sum},
        {"epoch/weight_sum", THAW_F64, &s->weight_sum},
        {"epoch/samples", THAW_I64, &s->samples},
        {"epoch/correct", THAW_I64, &s->correct},
        {"selected/score", THAW_F64, &s->best_score},
        {"selected/loss", THAW_F64, &s->best_loss},
        {"selected/epoch", THAW_I64, &s->best_epoch},
        {"selected/stale_epochs", THAW_I64, &s->stale_epochs},
        {"time/seconds", THAW_F64, &s->seconds},
        {"time/train_seconds", THAW_F64, &s->train_seconds},
        {"time/core_seconds", THAW_F64, &s->core_seconds},
        {"time/samples_seen", THAW_I64, &s->samples_seen},
    };
    THAW_TRY(thaw_phases_state(t->setup, out));
    THAW_TRY(thaw_state_add_kept(out, rows, sizeof rows / sizeof *rows));
    return thaw_state_add(out, "reduce/exponents", THAW_I32, thaw_shape1(t->reduced_count),
                          t->exponents);
}

/* All but the optimizer, which may be in parts. */
static thaw_status own_state(thaw_trainer *t, thaw_state *out)
{
    THAW_TRY(thaw_state_add_prefixed(out, "model", &t->trained));
    THAW_TRY(thaw_state_add_prefixed(out, "best", &t->best));
    THAW_TRY(thaw_state_add_prefixed(out, "ema", &t->ema));
    return add_numbers(t, out);
}

static thaw_status describe(const thaw_setup *s, thaw_state *out)
{
    char hex[THAW_DIGEST_HEX];
    char rung[THAW_RUNG_TEXT];
    thaw_str config = {0};
    thaw_status status;
    thaw_conf_write(thaw_config_fields, s->config, &config);
    thaw_rung_format(&s->rung, rung);
    THAW_TRY_TO(thaw_state_add_text(out, "format", "thaw-adaptation"));
    THAW_TRY_TO(thaw_state_add_int(out, "version", 1));
    THAW_TRY_TO(thaw_state_add_text(out, "rung", rung));
    THAW_TRY_TO(thaw_state_add_text(out, "task", thaw_task_name(s->task)));
    THAW_TRY_TO(thaw_state_add_text(out, "config", thaw_str_c(&config)));
    thaw_digest_hex(s->backbone_digest, hex);
    THAW_TRY_TO(thaw_state_add_text(out, "backbone_digest", hex));
    thaw_digest_hex(thaw_dataset_digest(s->dataset), hex);
    THAW_TRY_TO(thaw_state_add_text(out, "dataset_digest", hex));
    status = thaw_state_add_text(out, "written_by", thaw_version());
done:
    thaw_str_clear(&config);
    return status;
}

/* A dataset, since attributes are short: what the outputs mean must not depend on a data file that may be gone. */
static thaw_status add_classes(const thaw_trainer *t, thaw_state *out)
{
    thaw_str names = {0};
    thaw_class_names(t->setup->dataset, &names);
    const thaw_status status = thaw_state_add_text(out, "classes", thaw_str_c(&names));
    thaw_str_clear(&names);
    return status;
}

/* Builds both states on every rank, so that a failure is common. */
static thaw_status prepare(thaw_trainer *t, thaw_state *state, thaw_state *attributes,
                           thaw_parts_view *view)
{
    THAW_TRY(own_state(t, state));
    THAW_TRY(add_classes(t, state));
    THAW_TRY(thaw_setup_add_moments(t->setup, state));
    THAW_TRY(thaw_parts_add(t, state, view));
    return describe(t->setup, attributes);
}

thaw_status thaw_trainer_open_writer(thaw_trainer *t, const thaw_comm *comm)
{
    if (thaw_comm_rank(comm) != 0)
        return THAW_OK;
    t->copy_bytes = thaw_train_copy_bytes(comm, t->setup, t->train_plan, t->company);
    if (t->copy_bytes > 0)
        return thaw_ckpt_writer_new(&t->writer);
    if (t->config->train.checkpoint_async == 0 && t->parts == 1 && !t->options->quiet)
        THAW_LOG(THAW_INFO, "%s: no room for a copy of the state: steps wait for checkpoints",
                 t->directory);
    return THAW_OK;
}

thaw_status thaw_trainer_save(thaw_trainer *trainer, thaw_comm *comm)
{
    thaw_state state = {0};
    thaw_state attributes = {0};
    thaw_str directory = {0};
    thaw_parts_view view;
    thaw_ckpt_options options = {.keep = trainer->config->train.checkpoint_keep,
                                 .best = thaw_trainer_is_best(trainer)};
    thaw_run_path(trainer->directory, "checkpoints", &directory);
    thaw_trainer_count_time(trainer, comm);
    const char *phase = thaw_beat_phase("saving a checkpoint");
    const double began = thaw_seconds();
    thaw_status status;
    status = prepare(trainer, &state, &attributes, &view);
    if (status == THAW_OK)
        status = thaw_limit_state(trainer, &state);
    if (status == THAW_OK)
        status = thaw_beside_state(trainer, &state);
    THAW_TRY_TO(thaw_agree(comm, status));
    options.parts = thaw_parts_in(&view);
    THAW_TRY_TO(thaw_ckpt_save_later(trainer->writer, comm, thaw_str_c(&directory),
                                     trainer->position.step, &state, &attributes, &options));
    if (trainer->stop) /* uniform */
        status = thaw_trainer_settle(trainer, comm);
    trainer->checkpoint_seconds += thaw_seconds() - began;
    trainer->checkpoints++;
done:
    thaw_beat_phase(phase);
    thaw_str_clear(&directory);
    thaw_state_clear(&attributes);
    thaw_state_clear(&state);
    return status;
}

thaw_status thaw_trainer_settle(thaw_trainer *trainer, thaw_comm *comm)
{
    return thaw_ckpt_settle(trainer->writer, comm);
}

thaw_status thaw_trainer_write_adaptation(thaw_trainer *trainer, thaw_comm *comm)
{
    thaw_state state = {0};
    thaw_state attributes = {0};
    thaw_parts_view view;
    thaw_str path = {0};
    thaw_run_path(trainer->directory, "adaptation.h5", &path);
    thaw_status status;
    status = prepare(trainer, &state, &attributes, &view);
    if (status == THAW_OK)
        status = thaw_ranges_add(trainer->setup, &state);
    THAW_TRY_TO(thaw_agree(comm, status));
    status =
        thaw_ckpt_write(comm, thaw_str_c(&path), &state, &attributes, thaw_parts_in(&view), NULL);
done:
    thaw_str_clear(&path);
    thaw_state_clear(&attributes);
    thaw_state_clear(&state);
    return status;
}

/* ---- Resuming ---------------------------------------------------------------------------------------------- */

static thaw_status compare_text(const thaw_state *attributes, const thaw_state *mine,
                                const char *name, const char *what)
{
    thaw_str before = {0};
    thaw_str now = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_state_get_text(attributes, name, &before));
    THAW_TRY_TO(thaw_state_get_text(mine, name, &now));
    THAW_CHECK_TO(strcmp(thaw_str_c(&before), thaw_str_c(&now)) == 0, THAW_ERR_INPUT,
                  "%s differs: the checkpoint was made with %s, now it is %s", what,
                  thaw_str_c(&before), thaw_str_c(&now));
done:
    thaw_str_clear(&now);
    thaw_str_clear(&before);
    return status;
}

static thaw_status compare_config(const thaw_state *attributes, const thaw_config *now, bool named)
{
    thaw_str before = {0};
    thaw_status status = thaw_state_get_text(attributes, "config", &before);
    if (status == THAW_OK)
        status = thaw_config_compare("the config kept in it", thaw_str_c(&before), now);
    /* That of the run was compared before: this file came from somewhere else. */
    if (status != THAW_OK)
        status =
            thaw_fail_context(status == THAW_ERR_CONFIG ? THAW_ERR_INPUT : status,
                              "this checkpoint is of another run%s", named ? "" : "; move it away");
    thaw_str_clear(&before);
    return status;
}

/* Is the checkpoint one of this run? Its rung is in the config, or follows from the phase that it is of. */
static thaw_status compare(const thaw_setup *s, const thaw_state *attributes, bool named)
{
    thaw_state mine = {0};
    thaw_status status;
    THAW_TRY_TO(describe(s, &mine));
    THAW_TRY_TO(compare_text(attributes, &mine, "format", "the kind of file"));
    THAW_TRY_TO(compare_config(attributes, s->config, named));
    THAW_TRY_TO(compare_text(attributes, &mine, "dataset_digest", "the dataset (digest)"));
    status = compare_text(attributes, &mine, "backbone_digest", "the backbone (digest)");
done:
    thaw_state_clear(&mine);
    return status;
}

static thaw_status find(thaw_comm *comm, const thaw_config *config, thaw_ckpt_found *out)
{
    thaw_str directory = {0};
    thaw_run_path(config->output, "checkpoints", &directory);
    thaw_status status;
    THAW_TRY_TO(thaw_ckpt_latest(comm, thaw_str_c(&directory), out));
    /* Starting over in silence could cost days. */
    THAW_CHECK_TO(
        out->found || out->damaged == 0, THAW_ERR_INPUT, /* uniform */
        "%s: none of its %lld checkpoints is whole (see the warnings); remove the directory "
        "to start this run over",
        thaw_str_c(&directory), (long long)out->damaged);
done:
    thaw_str_clear(&directory);
    return status;
}

thaw_status thaw_setup_checkpoint(thaw_comm *comm, thaw_setup *s, const thaw_run_options *options)
{
    thaw_state attributes = {0};
    thaw_status status;
    if (options->checkpoint != NULL) /* uniform */
        THAW_TRY_TO(thaw_ckpt_at(comm, options->checkpoint, &s->checkpoint));
    else
        THAW_TRY_TO(find(comm, s->config, &s->checkpoint));
    if (!s->checkpoint.found)
        goto done;
    THAW_TRY_TO(thaw_ckpt_read(comm, s->checkpoint.path, NULL, &attributes));
    status = compare(s, &attributes, options->checkpoint != NULL);
    if (status != THAW_OK)
        status = thaw_fail_context(status, "%s", s->checkpoint.path);
    status = thaw_agree(comm, status);
done:
    thaw_state_clear(&attributes);
    return status;
}

thaw_status thaw_trainer_resume(thaw_trainer *trainer, thaw_comm *comm)
{
    thaw_state into = {0};
    thaw_parts_view view;
    thaw_status status = own_state(trainer, &into);
    if (status == THAW_OK)
        status = thaw_limit_state(trainer, &into);
    if (status == THAW_OK)
        status = thaw_beside_state(trainer, &into);
    if (status == THAW_OK)
        status = thaw_parts_add(trainer, &into, &view);
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(
        thaw_ckpt_restore(comm, trainer->setup->checkpoint.path, &into, thaw_parts_in(&view)));
    status = thaw_agree(comm, thaw_beside_resumed(trainer));
done:
    thaw_state_clear(&into);
    return status;
}
