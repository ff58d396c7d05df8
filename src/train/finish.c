#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* What a finished run leaves: the selected weights, predictions, drift, and summary.json as the very last file. */

static void add_metrics(const thaw_predictions *p, const thaw_dataset *dataset, int64_t split,
                        thaw_json *out, const char *name, thaw_json *slices)
{
    thaw_json *metrics = thaw_json_set_object(out, name);
    thaw_json_set_double(metrics, "loss", thaw_predictions_loss(p, NULL));
    thaw_json_set_double(metrics, "accuracy", thaw_predictions_accuracy(p, NULL));
    thaw_json_set_int(metrics, "samples", p->N);
    for (int64_t s = 0; s < thaw_dataset_slice_count(dataset); s++) {
        const uint8_t *mask = thaw_dataset_slice_mask(dataset, split, s);
        thaw_json *slice = thaw_json_set_object(
            thaw_json_child(slices, thaw_dataset_slice_name(dataset, s)), name);
        thaw_json_set_double(slice, "accuracy", thaw_predictions_accuracy(p, mask));
        thaw_json_set_double(slice, "loss", thaw_predictions_loss(p, mask));
        thaw_json_set_int(slice, "samples", thaw_dataset_slice_members(dataset, split, s));
    }
}

/* Predicts one feed, records its metrics, writes its predictions. */
static thaw_status judge(thaw_trainer *t, thaw_comm *comm, const thaw_feed *feed, const char *name,
                         thaw_json *out, thaw_json *slices)
{
    thaw_predictions p;
    thaw_status status;
    THAW_TRY_TO(thaw_trainer_predict(t, comm, feed, &p));
    add_metrics(&p, t->setup->dataset, feed->split, out, name, slices);
    status = thaw_predictions_write(comm, t->directory, name, &p);
done:
    thaw_predictions_clear(&p);
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
    const thaw_rates *r = &t->config->rates;
    thaw_json *rates = thaw_json_set_object(out, "rates");
    thaw_json_set_double(rates, "head", r->head);
    thaw_json_set_double(rates, "backbone", r->backbone);
    thaw_json_set_double(rates, "adapter", r->adapter < 0 ? r->head : r->adapter);
    thaw_json_set_double(rates, "layer_decay", r->layer_decay);
    thaw_json_set_string(rates, "reason", r->reason);
}

static int64_t state_bytes(const thaw_state *state)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < state->count; i++)
        bytes += (int64_t)thaw_tensor_bytes(&state->entries[i].tensor);
    return bytes;
}

/* What this rung needs on a rank beside the program and what its node shares: trained weights, activations and workspace, gradients and
 * their sums, optimizer, the copy of the selected epoch. The process's own peak is that of all it ever ran. */
static int64_t planned_bytes(const thaw_trainer *t)
{
    const int64_t weights = state_bytes(&t->trained);
    int64_t sums = 0;
    int64_t payload = 0;
    int64_t calls = 0;
    for (int32_t i = 0; i < t->reduced_count; i++)
        sums += thaw_plan_reduced(t->train_plan, i)->count * (int64_t)sizeof(float);
    thaw_reducer_plan(t->reducer, &payload, &calls);
    return weights + (int64_t)thaw_plan_arena_bytes(t->train_plan) + 2 * sums + payload +
           (int64_t)thaw_optimizer_state_bytes(t->optimizer) + state_bytes(&t->best);
}

/* What keeping features took and gave, over all ranks. Saved: what computing each row that was read would have taken, less what filling took
 * this run. Collective. */
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
    thaw_json_set_double(
        cache, "saved_core_seconds",
        f->core_seconds * (double)sums[0] / (double)(f->samples > 0 ? f->samples : 1) - spent);
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
    thaw_json_set_double(out, "core_seconds", s->core_seconds);
    thaw_json_set_double(out, "samples_per_second",
                         s->train_seconds > 0 ? (double)s->samples_seen / s->train_seconds : NAN);
    thaw_json_set_int(out, "allreduce_bytes_per_step", t->bytes_per_step);
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
    thaw_json_set_string(out, "backend", t->setup->kern->name);
    thaw_json_set_string(out, "cpu_kernels", t->setup->kern->cpu_kernels);
    thaw_json_set_bool(out, "cached_features", t->features != NULL);
    thaw_json_set_string(out, "backbone", t->config->model.backbone);
    thaw_json_set_digest(out, "backbone_digest", t->setup->backbone_digest);
    thaw_json_set_digest(out, "dataset_digest", thaw_dataset_digest(t->setup->dataset));
    thaw_str_clear(&what);
    const thaw_status status = thaw_state_digest(&t->trained, &digest);
    if (status == THAW_OK)
        thaw_json_set_digest(out, "state_digest", digest);
    return status;
}

/* Trained on train, so this is where the gap to val shows over-fitting. Without augmentation, as val is judged. */
static thaw_status judge_train(thaw_trainer *t, thaw_comm *comm, thaw_json *out)
{
    const thaw_augment *augment = t->train.augment;
    thaw_predictions p;
    t->train.augment = NULL;
    const thaw_status status = thaw_trainer_predict(t, comm, &t->train, &p);
    t->train.augment = augment;
    if (status == THAW_OK) {
        thaw_json *train = thaw_json_set_object(out, "train");
        thaw_json_set_double(train, "loss", thaw_predictions_loss(&p, NULL));
        thaw_json_set_double(train, "accuracy", thaw_predictions_accuracy(&p, NULL));
        thaw_json_set_int(train, "samples", p.N);
        thaw_predictions_clear(&p);
    }
    return status;
}

static thaw_status judge_all(thaw_trainer *t, thaw_comm *comm, thaw_json *out)
{
    thaw_json *slices = thaw_json_set_object(out, "slices");
    THAW_TRY(judge_train(t, comm, out));
    THAW_TRY(judge(t, comm, &t->val, "val", out, slices));
    if (t->gate.dataset != NULL && t->options->predict_gate)
        THAW_TRY(judge(t, comm, &t->gate, "gate", out, slices));
    return thaw_drift_after(t, comm, thaw_json_set_object(out, "drift"));
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

thaw_status thaw_trainer_finish(thaw_trainer *trainer, thaw_comm *comm)
{
    thaw_json *summary = thaw_json_new_object();
    thaw_status status = trainer->pending;
    if (status == THAW_OK && trainer->best.count > 0)
        status = thaw_state_copy(&trainer->trained, &trainer->best);
    if (status == THAW_OK)
        status = add_identity(trainer, comm, summary);
    THAW_TRY_TO(thaw_agree(comm, status));
    add_parameters(trainer, summary);
    add_rates(trainer, summary);
    thaw_json_set_int(summary, "selected_epoch",
                      trainer->best.count > 0 ? trainer->state.best_epoch
                                              : trainer->position.epoch);
    THAW_TRY_TO(judge_all(trainer, comm, summary));
    memory used;
    measure_memory(comm, &used);
    thaw_trainer_count_time(trainer, comm);
    add_cost(trainer, &used, summary);
    add_cache(trainer, comm, summary);
    THAW_TRY_TO(thaw_trainer_write_adaptation(trainer, comm));
    if (trainer->config->train.save_backbone[0] != '\0')
        THAW_TRY_TO(thaw_trainer_save_backbone(trainer, comm));
    thaw_json_set_bool(summary, "complete", true);
    status = thaw_agree(comm, write_summary(trainer, comm, summary));
done:
    thaw_json_free(&summary);
    return status;
}
