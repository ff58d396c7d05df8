#include "train/parts_impl.h"

#include <math.h>
#include <string.h>

/* What a finished run leaves: the selected weights, predictions, drift, and summary.json as the very last file. */

static thaw_status add_metrics(const thaw_predictions *p, const thaw_dataset *dataset,
                               int64_t split, thaw_json *out, const char *name, thaw_json *slices)
{
    const thaw_metric *own = thaw_metric_of_sample(p->task);
    thaw_json *metrics = thaw_json_set_object(out, name);
    THAW_TRY(thaw_predictions_describe(p, metrics));
    thaw_json_set_int(metrics, "samples", p->N);
    for (int64_t s = 0; s < thaw_dataset_slice_count(dataset); s++) {
        double value;
        const uint8_t *mask = thaw_dataset_slice_mask(dataset, split, s);
        thaw_json *slice = thaw_json_set_object(
            thaw_json_child(slices, thaw_dataset_slice_name(dataset, s)), name);
        THAW_TRY(thaw_predictions_metric(p, mask, own, &value, NULL));
        thaw_json_set_double(slice, own->name, value);
        thaw_json_set_double(slice, "loss", thaw_predictions_loss(p, mask));
        thaw_json_set_int(slice, "samples", thaw_dataset_slice_members(dataset, split, s));
    }
    return THAW_OK;
}

/* Predicts one feed, records its metrics, writes its predictions. */
static thaw_status judge(const thaw_team *team, thaw_comm *comm, thaw_block_kind kind,
                         const char *name, thaw_json *const *out)
{
    thaw_predictions *all = NULL;
    THAW_TRY(thaw_team_predict(team, comm, kind, &all));
    thaw_status status = THAW_OK;
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++) {
        thaw_trainer *t = team->members[m];
        status = thaw_agree(comm, add_metrics(&all[m], t->setup->dataset,
                                              thaw_trainer_feed(t, kind)->split, out[m], name,
                                              thaw_json_child(out[m], "slices")));
        if (status == THAW_OK)
            status = thaw_predictions_write(comm, t->directory, name, &all[m]);
    }
    thaw_team_clear_predictions(team, &all);
    return status;
}

static void add_parameters(const thaw_trainer *t, thaw_json *out)
{
    thaw_adapt_counts counts;
    thaw_adapt_count(t->setup->model, &counts);
    thaw_json *p = thaw_json_set_object(out, "parameters");
    thaw_json_set_int(p, "total", counts.total);
    thaw_json_set_int(p, "trainable", counts.trainable);
    thaw_json_set_int(p, "head", counts.head);
    thaw_json_set_int(p, "backbone", counts.backbone);
    thaw_json_set_int(p, "adapter", counts.adapter);
}

static void add_rates(const thaw_trainer *t, thaw_json *out)
{
    const thaw_rates r = thaw_config_rates(t->config, t->setup->phases.now);
    thaw_json *rates = thaw_json_set_object(out, "rates");
    thaw_json_set_double(rates, "head", r.head);
    thaw_json_set_double(rates, "backbone", r.backbone);
    thaw_json_set_double(rates, "adapter", r.adapter < 0 ? r.head : r.adapter);
    thaw_json_set_double(rates, "layer_decay", r.layer_decay);
    thaw_json_set_double(rates, "batch_factor",
                         thaw_rates_factor(&t->config->rates, t->config->train.batch));
    thaw_json_set_string(rates, "reason", r.reason);
}

static void add_statistics(const thaw_trainer *t, thaw_json *out)
{
    const double unsettled = thaw_trainer_unsettled(t);
    thaw_json_set_double(out, "statistics_unsettled", unsettled);
    if (unsettled > 0.05)
        THAW_LOG(THAW_WARN,
                 "%s: running statistics are still %.0f%% what they were before the first step, so "
                 "evaluation runs another network than training did; raise "
                 "train.batch_norm_momentum (PyTorch's is 0.1) or train.epochs",
                 t->directory, 100 * unsettled);
}

static int64_t state_bytes(const thaw_state *state)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < state->count; i++)
        bytes += (int64_t)thaw_tensor_bytes(&state->entries[i].tensor);
    return bytes;
}

/* What this rung needs on a rank beside the program and what its node shares: trained weights, activations and workspace, gradients and
 * their sums, optimizer, the copies of the selected epoch and of an epoch's start, and the average. The process's own peak is that of all it ever ran. */
static int64_t planned_bytes(const thaw_trainer *t)
{
    const int64_t weights = state_bytes(&t->trained);
    int64_t sums = 0;
    for (int32_t i = 0; i < t->reduced_count; i++)
        sums += thaw_plan_reduced(t->train_plan, i)->count * (int64_t)sizeof(float);
    return weights + (int64_t)thaw_plan_arena_bytes(t->train_plan) + 2 * sums + t->payload_bytes +
           (int64_t)thaw_optimizer_state_bytes(t->optimizer) + thaw_parts_bytes(t) +
           state_bytes(&t->best) + state_bytes(&t->ema) + state_bytes(&t->turn.weights) +
           state_bytes(&t->turn.average) + state_bytes(&t->turn.moments);
}

/* What keeping features took and gave, over all ranks. Saved: what computing each row that was read would have taken, less what filling took
 * this run; nothing where it took more. Collective. */
static void add_cache(const thaw_trainer *t, thaw_comm *comm, thaw_json *out)
{
    const thaw_features *f = t->features;
    const char *refusal = thaw_features_refuse(t->setup);
    int64_t sums[2] = {f == NULL ? 0 : f->hits - t->hits_before, f != NULL && f->lost};
    thaw_json *cache = thaw_json_set_object(out, "cache");
    if (f == NULL) {
        thaw_json_set_string(cache, "place", "none");
        thaw_json_set_string(cache, "reason", refusal != NULL ? refusal : "there was no room");
        return;
    }
    thaw_allreduce_sum_int64(comm, sums, 2);
    const bool filled = f == &t->own && !f->loaded;
    const double spent = filled ? f->core_seconds : 0;
    thaw_json_set_string(cache, "place", f->memory != NULL ? "memory" : "file");
    thaw_json_set_string(cache, "source", filled ? "computed" : f->loaded ? "file" : "shared");
    thaw_json_set_digest(cache, "key", f->file_key);
    thaw_json_set_int(cache, "samples", f->samples);
    thaw_json_set_int(cache, "bytes", thaw_features_bytes(f));
    thaw_json_set_int(cache, "hits", sums[0]);
    thaw_json_set_int(cache, "ranks_lost", sums[1]);
    thaw_json_set_double(cache, "filled_core_seconds", spent);
    const double saved =
        f->core_seconds * (double)sums[0] / (double)(f->samples > 0 ? f->samples : 1) - spent;
    thaw_json_set_double(cache, "saved_core_seconds", fmax(saved, 0));
}

/* What it is now, of the rank that has most. */
typedef struct memory {
    int64_t peak_rss, pss;
} memory;

static void measure_memory(thaw_comm *comm, memory *out)
{
    int64_t most[3] = {(int64_t)thaw_peak_rss_bytes(), (int64_t)thaw_pss_bytes(), 0};
    most[2] = most[1] == 0;
    thaw_allreduce_max_int64(comm, most, 3);
    *out = (memory){.peak_rss = most[0], .pss = most[2] ? -1 : most[1]};
}

static void add_cost(const thaw_trainer *t, const memory *used, thaw_json *out)
{
    const thaw_progress_state *s = &t->state;
    thaw_json_set_int(out, "steps", t->position.step);
    thaw_json_set_int(out, "epochs", t->position.epoch);
    thaw_json_set_double(out, "startup_seconds", t->startup_seconds);
    thaw_json_set_double(out, "seconds", s->seconds);
    thaw_json_set_double(out, "train_seconds", s->train_seconds);
    thaw_json_set_double(out, "data_seconds", t->data_seconds);
    thaw_json_set_double(out, "core_seconds", s->core_seconds);
    thaw_json_set_int(out, "checkpoints", t->checkpoints);
    thaw_json_set_int(out, "checkpoint_copy_bytes", t->copy_bytes);
    thaw_json_set_double(out, "checkpoint_seconds", t->checkpoint_seconds);
    thaw_json_set_double(out, "checkpoint_longest_write_seconds", thaw_ckpt_longest(t->writer));
    if (t->company > 1)
        thaw_json_set_int(out, "trained_together", t->company);
    thaw_json_set_double(out, "samples_per_second",
                         s->train_seconds > 0 ? (double)s->samples_seen / s->train_seconds : NAN);
    thaw_json_set_int(out, "allreduce_bytes_per_step", t->bytes_per_step);
    if (t->parts > 1)
        thaw_json_set_int(out, "gathered_bytes_per_step", t->gathered_bytes);
    thaw_lanes_describe(&t->lanes, t->config, t->train_plan, out);
    thaw_json_set_int(out, "peak_rss_bytes_per_rank", used->peak_rss);
    thaw_json_set_double(out, "pss_bytes_per_rank", used->pss < 0 ? NAN : (double)used->pss);
    thaw_json_set_int(out, "arena_bytes", (int64_t)thaw_plan_arena_bytes(t->train_plan));
    thaw_json_set_int(out, "optimizer_bytes", (int64_t)thaw_optimizer_state_bytes(t->optimizer));
    thaw_json_set_int(out, "planned_bytes_per_rank", planned_bytes(t));
}

static thaw_status add_identity(const thaw_trainer *t, const thaw_comm *comm, thaw_json *out)
{
    char rung[THAW_RUNG_TEXT];
    thaw_digest digest;
    thaw_str what = {0};
    thaw_rung_format(&t->setup->rung, rung);
    thaw_adapt_describe(t->setup->model, &what);
    thaw_json_set_string(out, "name", t->config->name);
    thaw_json_set_string(out, "rung", rung);
    thaw_json_set_string(out, "trains", thaw_str_c(&what));
    thaw_json_set_string(out, "arch", t->setup->model->spec.arch);
    thaw_json_set_int(out, "ranks", thaw_comm_size(comm));
    thaw_json_set_int(out, "threads", thaw_threads());
    thaw_json_set_int(out, "seed", t->config->seed);
    thaw_json_set_int(out, "shards", t->config->train.shards);
    thaw_json_set_string(out, "reduce", thaw_reduce_name(t->config));
    thaw_json_set_bool(out, "any_ranks",
                       thaw_reduce_is_exact((thaw_reduce_mode)t->config->train.reduce));
    thaw_json_set_string(out, "version", thaw_version());
    thaw_json_set_string(out, "commit", thaw_commit());
    thaw_json_set_string(out, "backend", t->setup->kern->name);
    thaw_json_set_string(out, "cpu_kernels", t->setup->kern->cpu_kernels);
    thaw_json_set_bool(out, "cached_features", t->features != NULL);
    thaw_json_set_string(out, "backbone", t->config->model.backbone);
    thaw_json_set_digest(out, "backbone_digest", t->setup->backbone_digest);
    thaw_json_set_string(out, "task", thaw_task_name(t->setup->task));
    thaw_json_set_string(out, "loss_kind", t->setup->loss->name);
    thaw_metric_to_json(t->setup->metric, thaw_json_set_object(out, "metric"));
    thaw_json_set_digest(out, "dataset_digest", thaw_dataset_digest(t->setup->dataset));
    thaw_str_clear(&what);
    const thaw_status status = thaw_state_digest(&t->trained, &digest);
    if (status == THAW_OK)
        thaw_json_set_digest(out, "state_digest", digest);
    return status;
}

/* Trained on train, so this is where the gap to val shows over-fitting. Without augmentation, as val is judged. */
static thaw_status judge_train(const thaw_team *team, thaw_comm *comm, thaw_json *const *out)
{
    thaw_predictions *all = NULL;
    THAW_TRY(thaw_team_predict(team, comm, THAW_BLOCK_TRAIN, &all));
    thaw_status status = THAW_OK;
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++) {
        thaw_json *train = thaw_json_set_object(out[m], "train");
        status = thaw_predictions_describe(&all[m], train);
        thaw_json_set_int(train, "samples", all[m].N);
    }
    thaw_team_clear_predictions(team, &all);
    return thaw_agree(comm, status);
}

static thaw_status judge_all(const thaw_team *team, thaw_comm *comm, thaw_json *const *out,
                             thaw_json **drift)
{
    for (int32_t m = 0; m < team->count; m++)
        (void)thaw_json_set_object(out[m], "slices");
    THAW_TRY(judge_train(team, comm, out));
    THAW_TRY(judge(team, comm, THAW_BLOCK_VAL, "val", out));
    if (team->members[0]->gate.dataset != NULL && team->members[0]->options->predict_gate)
        THAW_TRY(judge(team, comm, THAW_BLOCK_GATE, "gate", out));
    for (int32_t m = 0; m < team->count; m++)
        drift[m] = thaw_json_set_object(out[m], "drift");
    return thaw_drift_after(team, comm, drift);
}

static thaw_status write_summary(const thaw_trainer *t, const thaw_comm *comm,
                                 const thaw_json *summary)
{
    if (thaw_comm_rank(comm) != 0)
        return THAW_OK;
    thaw_str path = {0};
    const thaw_status status =
        thaw_json_write(thaw_run_path(t->directory, "summary.json", &path), summary);
    thaw_str_clear(&path);
    return status;
}

/* What is known without looking at data. Local. */
static thaw_status begin_summary(thaw_trainer *t, const thaw_comm *comm, thaw_json *summary)
{
    THAW_TRY(t->pending);
    if (t->config->phases.count > 0)
        thaw_phases_add(t, summary);
    THAW_TRY(add_identity(t, comm, summary));
    add_parameters(t, summary);
    add_rates(t, summary);
    add_statistics(t, summary);
    thaw_ema_describe(t, summary);
    thaw_limit_describe(t, summary);
    thaw_beside_describe(t, summary);
    thaw_json_set_int(summary, "selected_epoch",
                      t->best.count > 0 ? t->state.best_epoch : t->position.epoch);
    return THAW_OK;
}

/* The summary last: it says that the rest is there. */
static thaw_status write_files(thaw_trainer *t, thaw_comm *comm, const memory *used,
                               thaw_json *summary)
{
    thaw_json_set_string(summary, "frozen_precision", t->setup->ranges == NULL ? "f32" : "int8");
    if (t->setup->ranges != NULL) /* uniform */
        THAW_TRY(thaw_trainer_judge_precision(t, comm, thaw_json_set_object(summary, "int8")));
    thaw_trainer_count_time(t, comm);
    add_cost(t, used, summary);
    add_cache(t, comm, summary);
    THAW_TRY(thaw_trainer_write_adaptation(t, comm));
    THAW_TRY(thaw_beside_write(t, comm));
    if (t->config->train.save_backbone[0] != '\0')
        THAW_TRY(thaw_trainer_save_backbone(t, comm));
    thaw_json_set_bool(summary, "complete", true);
    return thaw_agree(comm, write_summary(t, comm, summary));
}

static thaw_status finish(const thaw_team *team, thaw_comm *comm, thaw_json **summaries,
                          thaw_json **drift)
{
    memory used;
    thaw_status status = THAW_OK;
    for (int32_t m = 0; m < team->count; m++)
        THAW_TRY(thaw_trainer_settle(team->members[m], comm));
    for (int32_t m = 0; m < team->count; m++)
        THAW_TRY(thaw_phases_select(team->members[m], comm));
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++) {
        summaries[m] = thaw_json_new_object();
        status = begin_summary(team->members[m], comm, summaries[m]);
    }
    THAW_TRY(thaw_agree(comm, status));
    THAW_TRY(judge_all(team, comm, summaries, drift));
    measure_memory(comm, &used);
    for (int32_t m = 0; m < team->count; m++)
        THAW_TRY(write_files(team->members[m], comm, &used, summaries[m]));
    return THAW_OK;
}

thaw_status thaw_team_finish(const thaw_team *team, thaw_comm *comm)
{
    thaw_json **documents = NULL; /* summaries, then borrowed parts of them */
    THAW_TRY(thaw_agree(comm, thaw_alloc(&documents, 2 * team->count, sizeof *documents)));
    const thaw_status status = finish(team, comm, documents, documents + team->count);
    for (int32_t m = 0; m < team->count; m++)
        thaw_json_free(&documents[m]);
    thaw_free(&documents);
    return status;
}
