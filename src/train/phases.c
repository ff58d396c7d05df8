#include "train/parts_impl.h"

#include <string.h>

#include "thaw/ckpt.h"

/* A run with phases is one set-up whose rung changes and, for each phase, a trainer of its own, which is opened where the last one stood: plans,
 * features and reducer follow from what trains now, and what stays trained takes its state along by name. A phase ends at the end of an
 * epoch, by what all ranks and a checkpoint know, so that a run that goes on from one takes the same turns. */

thaw_status thaw_phases_state(thaw_setup *s, thaw_state *out)
{
    const thaw_shape each = thaw_shape1(s->config->phases.count);
    const thaw_shape scalar = thaw_shape_make(0, NULL);
    thaw_phase_record *r = &s->phases;
    if (s->config->phases.count == 0)
        return THAW_OK;
    THAW_TRY(thaw_state_add(out, "phases/now", THAW_I64, scalar, &r->now));
    THAW_TRY(thaw_state_add(out, "phases/step", THAW_I64, each, r->step));
    THAW_TRY(thaw_state_add(out, "phases/updates", THAW_I64, each, r->updates));
    THAW_TRY(thaw_state_add(out, "phases/epoch", THAW_I64, each, r->epoch));
    THAW_TRY(thaw_state_add(out, "phases/seconds", THAW_F64, each, r->seconds));
    THAW_TRY(thaw_state_add(out, "phases/trainable", THAW_I64, each, r->trainable));
    return thaw_state_add(out, "phases/payload", THAW_I64, each, r->payload);
}

/* ---- What trains ------------------------------------------------------------------------------------------------ */

static thaw_status apply(thaw_setup *s, int64_t phase)
{
    const thaw_config *config = s->config;
    THAW_TRY(thaw_rung_parse(thaw_config_phase(config, phase)->rung, &s->rung));
    return thaw_adapt_apply(s->model, &s->rung, &config->peft, (uint64_t)config->seed);
}

thaw_status thaw_phases_hold_all(thaw_setup *s)
{
    for (int64_t phase = 0; phase < s->config->phases.count; phase++) {
        THAW_TRY(apply(s, phase));
        THAW_TRY(thaw_setup_own_trained(s, NULL));
    }
    return THAW_OK;
}

static void count_trainable(thaw_setup *s)
{
    thaw_adapt_counts counts;
    thaw_adapt_count(s->model, &counts);
    s->phases.trainable[s->phases.now] = counts.trainable;
}

/* The set-up's rung becomes that of the next phase. Local. */
static thaw_status thaw_next(thaw_setup *s)
{
    const thaw_graph *g = s->model->graph;
    const int32_t count = thaw_graph_param_count(g);
    bool *before = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&before, count, sizeof *before));
    for (int32_t i = 0; i < count; i++)
        before[i] = thaw_graph_param(g, i)->trainable;
    s->phases.now++;
    THAW_TRY_TO(apply(s, s->phases.now));
    status = thaw_setup_own_trained(s, before);
    count_trainable(s);
done:
    thaw_free(&before);
    return status;
}

/* Phase, names and shapes of what trains, in order. */
static thaw_digest digest_of_list(const thaw_setup *s)
{
    const thaw_graph *g = s->model->graph;
    thaw_str text = {0};
    thaw_str_printf(&text, "phase %lld\n", (long long)s->phases.now);
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        char shape[96];
        if (!p->trainable)
            continue;
        thaw_shape_format(&p->shape, shape, sizeof shape);
        thaw_str_printf(&text, "%s %s\n", p->name, shape);
    }
    const thaw_digest digest = thaw_hash(thaw_str_c(&text), text.length);
    thaw_str_clear(&text);
    return digest;
}

static thaw_status digest_weights(const thaw_setup *s, thaw_digest *held, thaw_digest *frozen)
{
    thaw_state state = {0};
    thaw_status status = thaw_setup_held(s, &state);
    if (status == THAW_OK)
        status = thaw_state_digest(&state, held);
    if (status == THAW_OK)
        status = thaw_adapt_digest_frozen(s->model, frozen);
    thaw_state_clear(&state);
    return status;
}

/* Ranks that train different things, or from different weights, would differ in everything after. */
static thaw_status agree_on_phase(thaw_comm *comm, const thaw_setup *s)
{
    thaw_digest held = {0};
    thaw_digest frozen = {0};
    THAW_TRY(thaw_same_digest(comm, "what a new phase trains", digest_of_list(s)));
    THAW_TRY(thaw_agree(comm, digest_weights(s, &held, &frozen)));
    THAW_TRY(thaw_same_digest(comm, "what was trained, at the beginning of a phase,", held));
    return thaw_same_digest(comm, "the frozen weights at the beginning of a phase", frozen);
}

/* ---- Beginning --------------------------------------------------------------------------------------------------- */

static bool any_moves_features(const thaw_config *config)
{
    for (int64_t phase = 0; phase < config->phases.count; phase++) {
        if (strcmp(thaw_config_phase(config, phase)->rung, "frozen") != 0)
            return true;
    }
    return false;
}

/* With a plan of its own: at that time a resumed run has neither the prefix nor the plans that a new one has. */
static thaw_status features_of(thaw_comm *comm, thaw_setup *s, float **rows)
{
    const int64_t chunk = s->config->train.eval_batch;
    const thaw_value features = thaw_graph_features(s->model->graph);
    const thaw_plan_options options = {.batch = chunk, .from = -1, .to = features, .keep = -1};
    thaw_feed feed = {0};
    thaw_plan *plan = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_feed_open(&feed, s->dataset, s->val)));
    THAW_TRY_TO(thaw_agree(comm, thaw_setup_ahead(s, 2 * chunk)));
    THAW_TRY_TO(thaw_agree(comm, thaw_buckets_open(s, feed.split, -1, &feed.buckets)));
    THAW_TRY_TO(thaw_plan_agree(comm, s, &options, &plan));
    THAW_TRY_TO(thaw_agree(comm, thaw_buckets_fit(&feed.buckets, plan)));
    const thaw_sweep_plans plans = {&plan, 1, features, s->model->D};
    status = thaw_sweep(comm, &feed, &plans, chunk, rows);
done:
    thaw_plan_free(&plan);
    thaw_feed_close(&feed);
    return status;
}

static thaw_status enter_saved_phase(thaw_setup *s)
{
    const int64_t count = s->config->phases.count;
    const int64_t now = s->phases.now;
    THAW_CHECK(now >= 0 && now < count, THAW_ERR_INPUT, "%s is of phase %lld, but there are %lld",
               s->checkpoint.path, (long long)now + 1, (long long)count);
    for (s->phases.now = 0; s->phases.now < now;)
        THAW_TRY(thaw_next(s));
    return THAW_OK;
}

/* Of the checkpoint only the record and the weights are read here: the rest has no place before the phase's trainer is open. */
static thaw_status go_on(thaw_comm *comm, thaw_setup *s)
{
    thaw_state record = {0};
    thaw_state held = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_phases_state(s, &record)));
    THAW_TRY_TO(thaw_ckpt_restore(comm, s->checkpoint.path, &record, NULL));
    status = enter_saved_phase(s);
    if (status == THAW_OK)
        status = thaw_setup_held_named(s, &held);
    THAW_TRY_TO(thaw_agree(comm, status));
    status = thaw_ckpt_restore(comm, s->checkpoint.path, &held, NULL);
done:
    thaw_state_clear(&held);
    thaw_state_clear(&record);
    return status;
}

thaw_status thaw_phases_begin(thaw_comm *comm, thaw_setup *s, const thaw_run_options *options,
                              float **features)
{
    count_trainable(s);
    if (any_moves_features(s->config)) /* uniform */
        THAW_TRY(features_of(comm, s, features));
    if (options->resume) /* uniform */
        THAW_TRY(thaw_setup_checkpoint(comm, s, options));
    if (s->checkpoint.found) /* uniform */
        THAW_TRY(go_on(comm, s));
    return agree_on_phase(comm, s);
}

/* ---- From one to the next ---------------------------------------------------------------------------------------- */

bool thaw_phases_is_over(const thaw_trainer *t)
{
    const thaw_config *config = t->config;
    const thaw_phase_record *r = &t->setup->phases;
    if (config->phases.count == 0)
        return false;
    const thaw_phase_config *phase = thaw_config_phase(config, r->now);
    const int64_t done = t->position.epoch - r->epoch[r->now];
    const int64_t stale = t->state.stale_epochs < done ? t->state.stale_epochs : done;
    if (done == 0 || t->position.step_in_epoch > 0)
        return false;
    return (phase->epochs > 0 && done >= phase->epochs) ||
           (phase->patience > 0 && stale >= phase->patience) ||
           t->position.epoch >= thaw_phases_latest_end(config, r->now);
}

/* Quanta by parameter, since the list of what is reduced changes. */
static thaw_status take_exponents(const thaw_trainer *t, int32_t **out)
{
    const int32_t count = thaw_graph_param_count(t->setup->model->graph);
    THAW_TRY(thaw_alloc(out, count, sizeof **out));
    for (int32_t i = 0; i < count; i++)
        (*out)[i] = THAW_EXPONENT_UNKNOWN;
    for (int32_t i = 0; i < t->reduced_count; i++)
        (*out)[thaw_plan_reduced(t->train_plan, i)->param] = t->exponents[i];
    return THAW_OK;
}

/* Entries of `to` whose names are in `from`. */
static void copy_known(thaw_state *to, const thaw_state *from)
{
    for (int64_t i = 0; i < to->count; i++) {
        const thaw_tensor *known = thaw_state_find(from, to->entries[i].name);
        if (known != NULL && thaw_tensor_bytes(known) > 0)
            memcpy(to->entries[i].tensor.data, known->data, thaw_tensor_bytes(known));
    }
}

/* L2-SP pulls to where the backbone started, which what trained in an earlier phase is not at any more. */
static thaw_status place_anchors(const thaw_trainer *t, const thaw_comm *comm)
{
    static const char prefix[] = "optim.anchor.";
    thaw_state now = {0};
    thaw_status status = thaw_optimizer_state(t->optimizer, &now);
    for (int64_t i = 0; i < now.count && status == THAW_OK; i++) {
        const char *name = now.entries[i].name;
        if (!thaw_starts_with(name, prefix))
            continue;
        const thaw_graph *g = t->setup->model->graph;
        const char *param = name + strlen(prefix);
        if (thaw_graph_param(g, thaw_graph_find_param(g, param))->block < 0)
            continue; /* the head's is 0 */
        const thaw_tensor *start = thaw_state_find(&t->setup->begin, param);
        THAW_ASSERT(start != NULL);
        int32_t tensor;
        int64_t begin;
        int64_t end;
        float *anchor = thaw_optimizer_kept(t->optimizer, i, &tensor);
        thaw_optimizer_range(t->optimizer, tensor, t->parts > 1 ? thaw_comm_rank(comm) : 0, &begin,
                             &end);
        if (begin < end)
            memcpy(anchor, (const float *)start->data + begin,
                   (size_t)(end - begin) * sizeof(float));
    }
    thaw_state_clear(&now);
    return status;
}

static thaw_status copy_optimizer(const thaw_trainer *t, thaw_optimizer *from)
{
    thaw_state before = {0};
    thaw_state now = {0};
    thaw_status status = thaw_optimizer_state(from, &before);
    if (status == THAW_OK)
        status = thaw_optimizer_state(t->optimizer, &now);
    if (status == THAW_OK)
        copy_known(&now, &before);
    thaw_state_clear(&now);
    thaw_state_clear(&before);
    return status;
}

/* What is of the run rather than of what trains; also after a failure, so that it is closed. */
static void keep_run(thaw_trainer *t, const thaw_trainer *old)
{
    t->position = old->position;
    t->state = old->state;
    t->features_before = old->features_before;
    t->watch = old->watch;
    t->data_seconds = old->data_seconds;
    t->lanes.seconds = old->lanes.seconds;
    t->bytes_per_step = old->bytes_per_step;
    t->gathered_bytes = old->gathered_bytes;
    t->last_loss = old->last_loss;
    t->last_norm = old->last_norm;
    t->factor = old->factor;
    t->company = old->company;
    t->sharers = old->sharers;
    t->pending = old->pending;
    t->opened = old->opened;
    t->counted = old->counted;
    t->startup_seconds = old->startup_seconds;
    t->longest = old->longest;
    t->writer = old->writer;
    t->copy_bytes = old->copy_bytes;
    t->checkpoint_seconds = old->checkpoint_seconds;
    t->checkpoints = old->checkpoints;
    t->progress = old->progress;
    t->events = old->events;
}

static thaw_status hand_over(thaw_trainer *t, thaw_comm *comm, const thaw_trainer *old,
                             const int32_t *exponents)
{
    copy_known(&t->best, &old->best);
    copy_known(&t->ema, &old->ema);
    for (int32_t i = 0; i < t->reduced_count; i++)
        t->exponents[i] = exponents[thaw_plan_reduced(t->train_plan, i)->param];
    if (t->parts > 1) /* uniform */
        THAW_TRY(thaw_parts_move(t, comm, old->optimizer));
    else
        THAW_TRY(thaw_agree(comm, copy_optimizer(t, old->optimizer)));
    thaw_status status = place_anchors(t, comm);
    if (status == THAW_OK)
        status = thaw_limit_mark(t);
    return thaw_agree(comm, status);
}

static void close_constants(thaw_setup *s)
{
    for (int i = 0; i < s->constant_count; i++)
        thaw_shared_free(&s->constants[i]);
    s->constant_count = 0;
}

/* Closes what is made of the present rung and weights, and opens it for the next phase, or again for this one. */
static thaw_status reopen(thaw_trainer *t, thaw_comm *comm, bool next)
{
    thaw_setup *s = t->setup;
    thaw_trainer old = *t;
    int32_t *exponents = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, take_exponents(t, &exponents)));
    t->best = (thaw_state){0};
    t->ema = (thaw_state){0};
    t->optimizer = NULL;
    t->features_before = NULL;
    t->watch.scores = NULL;
    t->own = (thaw_features){0};
    t->writer = NULL;
    thaw_trainer_close(t);
    close_constants(s);
    s->spare = &old.own;
    const bool had = old.own.blocks != NULL;
    status = thaw_agree(comm, next ? thaw_next(s) : THAW_OK);
    if (status == THAW_OK && next)
        thaw_ema_freeze(s, &old.ema);
    if (status == THAW_OK)
        status = agree_on_phase(comm, s);
    if (status == THAW_OK)
        status = thaw_trainer_open(comm, s, old.options, NULL, t);
    s->spare = NULL;
    keep_run(t, &old);
    if (status == THAW_OK)
        status = hand_over(t, comm, &old, exponents);
    if (had && old.own.blocks == NULL && t->features == &t->own)
        t->hits_before = old.hits_before;
    thaw_features_close(&old.own);
    thaw_state_clear(&old.ema);
    thaw_state_clear(&old.best);
    thaw_optimizer_free(&old.optimizer);
done:
    thaw_free(&exponents);
    return status;
}

thaw_status thaw_phases_next(thaw_trainer *t, thaw_comm *comm)
{
    thaw_phase_record *r = &t->setup->phases;
    const int64_t next = r->now + 1;
    const bool writes = thaw_comm_rank(comm) == 0;
    THAW_ASSERT(next < t->config->phases.count);
    r->step[next] = t->position.step;
    r->updates[next] = thaw_optimizer_steps(t->optimizer);
    r->epoch[next] = t->position.epoch;
    r->seconds[next] = t->state.seconds;
    THAW_TRY(reopen(t, comm, true));
    THAW_TRY(thaw_agree(comm, writes ? thaw_phases_record(t) : THAW_OK));
    if (!writes)
        return THAW_OK;
    if (t->options->choices_from == NULL)
        thaw_choices_keep(t->setup);
    thaw_choices_record(t->setup, t->directory);
    if (!t->options->quiet) {
        thaw_progress_hide(&t->progress);
        thaw_run_announce(t, comm);
    }
    return THAW_OK;
}

/* Something that is frozen by now is not what it was at the end of the selected epoch. */
static bool selects_other_frozen(const thaw_trainer *t, const thaw_state *selected)
{
    const thaw_graph *g = t->setup->model->graph;
    for (int64_t i = 0; i < selected->count; i++) {
        const thaw_entry *e = &selected->entries[i];
        const thaw_param *p = thaw_graph_param(g, thaw_graph_find_param(g, e->name));
        if (!p->trainable && memcmp(p->data, e->tensor.data, thaw_tensor_bytes(&e->tensor)) != 0)
            return true;
    }
    return false;
}

thaw_status thaw_phases_select(thaw_trainer *t, thaw_comm *comm)
{
    const thaw_state *selected = t->best.count > 0 ? &t->best : &t->ema;
    if (selected->count == 0) /* uniform */
        return THAW_OK;
    const bool again = selects_other_frozen(t, selected);
    THAW_TRY(thaw_agree(comm, thaw_state_copy(&t->trained, selected)));
    return again ? reopen(t, comm, false) : THAW_OK; /* uniform: weights are equal on all ranks */
}

/* ---- Records ------------------------------------------------------------------------------------------------------ */

/* Its step is the first that the phase takes: a run that goes on from the end of the phase before writes the row again. */
thaw_status thaw_phases_record(const thaw_trainer *t)
{
    const thaw_phase_record *r = &t->setup->phases;
    thaw_json *row = thaw_json_new_object();
    thaw_json_set_string(row, "kind", "phase");
    thaw_json_set_int(row, "step", t->position.step + 1);
    thaw_json_set_int(row, "epoch", t->position.epoch);
    thaw_json_set_int(row, "phase", r->now + 1);
    thaw_json_set_string(row, "rung", thaw_config_phase(t->config, r->now)->rung);
    thaw_json_set_int(row, "trainable", r->trainable[r->now]);
    thaw_json_set_int(row, "allreduce_bytes_per_step", t->payload_bytes);
    const thaw_status status = thaw_rows_append(t->rows_path.data, row);
    thaw_json_free(&row);
    return status;
}

static void add_one(const thaw_trainer *t, int64_t phase, thaw_json *out)
{
    const thaw_phase_record *r = &t->setup->phases;
    const thaw_rates rates = thaw_config_rates(t->config, phase);
    const bool last = phase == r->now;
    thaw_json_set_string(out, "rung", thaw_config_phase(t->config, phase)->rung);
    thaw_json_set_int(out, "trainable", r->trainable[phase]);
    thaw_json_set_int(out, "allreduce_bytes_per_step", r->payload[phase]);
    thaw_json_set_int(out, "steps",
                      (last ? t->position.step : r->step[phase + 1]) - r->step[phase]);
    thaw_json_set_int(out, "epochs",
                      (last ? t->position.epoch : r->epoch[phase + 1]) - r->epoch[phase]);
    thaw_json_set_double(out, "seconds",
                         (last ? t->state.seconds : r->seconds[phase + 1]) - r->seconds[phase]);
    thaw_json *its = thaw_json_set_object(out, "rates");
    thaw_json_set_double(its, "head", rates.head);
    thaw_json_set_double(its, "backbone", rates.backbone);
    thaw_json_set_double(its, "layer_decay", rates.layer_decay);
}

/* A run that stopped early has not begun them all. */
void thaw_phases_add(const thaw_trainer *t, thaw_json *summary)
{
    thaw_json *list = thaw_json_set_array(summary, "phases");
    for (int64_t phase = 0; phase <= t->setup->phases.now; phase++)
        add_one(t, phase, thaw_json_add_object(list));
}
