#include "train/parts_impl.h"

#include <math.h>
#include <string.h>

void thaw_trainer_count_time(thaw_trainer *trainer, const thaw_comm *comm)
{
    const double now = thaw_seconds();
    if (trainer->sharers > 0)
        trainer->state.core_seconds +=
            (now - trainer->counted) / trainer->sharers * thaw_comm_size(comm) * thaw_threads();
    trainer->counted = now;
}

int64_t thaw_trainer_total_steps(const thaw_trainer *trainer)
{
    return thaw_sampler_steps(&trainer->sampler) * trainer->config->train.epochs;
}

float thaw_trainer_momentum(const thaw_trainer *t, const thaw_param *statistic)
{
    const double asked = t->config->train.batch_norm_momentum;
    return asked > 0
               ? (float)asked
               : thaw_graph_node(t->setup->model->graph, statistic->node)->attr.batch_norm.momentum;
}

double thaw_trainer_unsettled(const thaw_trainer *t)
{
    double most = 0;
    for (int32_t i = 0; i < t->reduced_count; i++) {
        const thaw_reduced *r = thaw_plan_reduced(t->train_plan, i);
        if (!r->statistic)
            continue;
        const float m =
            thaw_trainer_momentum(t, thaw_graph_param(t->setup->model->graph, r->param));
        const int64_t seen = thaw_optimizer_steps(t->optimizer) - t->setup->joined[r->param];
        most = fmax(most, pow(1 - (double)m, (double)seen));
    }
    return most;
}

static thaw_status open_feeds(thaw_trainer *t)
{
    const thaw_setup *s = t->setup;
    THAW_TRY(thaw_feed_open(&t->train, s->dataset, s->train));
    THAW_TRY(thaw_feed_open(&t->val, s->dataset, s->val));
    if (s->gate >= 0)
        THAW_TRY(thaw_feed_open(&t->gate, s->dataset, s->gate));
    if (!thaw_augment_none(&t->config->data.augment))
        t->train.augment = &t->config->data.augment;
    t->train.seed = (uint64_t)t->config->seed;
    t->train.views = t->config->train.views;
    t->train.waited = &t->train_waited;
    return THAW_OK;
}

static thaw_status open_sampler(thaw_trainer *t)
{
    t->sampler = (thaw_sampler){.count = t->train.N,
                                .batch = t->config->train.batch,
                                .shards = t->config->train.shards,
                                .seed = (uint64_t)t->config->seed};
    return THAW_OK;
}

/* So many rows a rank asks for before it needs them, at least: enough for a disk to have work while a shard is computed. */
#define ROWS_AHEAD 256

/* Room for the shards that are asked for ahead, for one more, and for what their samples are blended with; and for two parts of an
 * evaluation. A step's samples may be more than that. */
static thaw_status open_ahead(thaw_trainer *t, int32_t ranks)
{
    const thaw_train_config *c = &t->config->train;
    const int64_t most = thaw_sampler_shard_most(&t->sampler);
    const int64_t mine = c->shards / ranks;
    const bool mixes = t->train.augment != NULL && thaw_augment_mixes(t->train.augment);
    t->ahead = ROWS_AHEAD / most + 1 < mine ? ROWS_AHEAD / most + 1 : mine;
    const int64_t rows = (t->ahead + 1) * most * (mixes ? 2 : 1);
    return thaw_setup_ahead(t->setup, rows + 2 * c->eval_batch);
}

/* Those of the pool when they are of this key, else the run's own. */
static thaw_status open_features(thaw_trainer *t, thaw_comm *comm)
{
    const char *refusal = thaw_features_refuse(t->setup);
    bool kept = false;
    if (refusal == NULL && t->options->pool != NULL)
        THAW_TRY(thaw_pool_find(comm, t->options->pool, t->setup, &t->features));
    if (refusal == NULL && t->features == NULL) {
        THAW_TRY(thaw_features_open(comm, &t->own, t->setup, &kept));
        t->features = kept ? &t->own : NULL;
    }
    if (refusal != NULL && thaw_has_prefix(t->setup) && !t->options->quiet)
        THAW_LOG(THAW_INFO, "feature cache off: %s", refusal);
    if (t->features != NULL)
        t->hits_before = t->features->hits;
    return THAW_OK;
}

/* All feeds go through it; plans start where it ends. */
static void connect(thaw_trainer *t, thaw_prefix *prefix)
{
    for (thaw_block_kind kind = THAW_BLOCK_TRAIN; kind <= THAW_BLOCK_GATE; kind++) {
        thaw_feed *feed = thaw_trainer_feed(t, kind);
        if (feed->dataset == NULL)
            continue;
        feed->prefix = prefix;
        feed->width = prefix->width;
        feed->features = t->features;
        feed->block = t->features == NULL ? 0 : thaw_features_block(t->features, kind);
    }
    t->from = prefix->boundary;
}

/* The frozen prefix runs once over all samples where that can be, else in every step; in company it is the lead's. */
static thaw_status open_prefix(thaw_trainer *t, thaw_comm *comm)
{
    t->from = -1;
    if (!thaw_has_prefix(t->setup))
        return THAW_OK;
    if (t->lead != NULL) { /* uniform */
        connect(t, &t->lead->prefix);
        return THAW_OK;
    }
    thaw_prefix_init(&t->prefix, t->setup);
    THAW_TRY(open_features(t, comm));
    if (t->features == NULL)
        THAW_TRY(thaw_prefix_open(comm, &t->prefix));
    connect(t, &t->prefix);
    return THAW_OK;
}

static thaw_status open_buckets(thaw_trainer *t)
{
    for (thaw_block_kind kind = THAW_BLOCK_TRAIN; kind <= THAW_BLOCK_GATE; kind++) {
        thaw_feed *feed = thaw_trainer_feed(t, kind);
        if (feed->dataset != NULL)
            THAW_TRY(thaw_buckets_open(t->setup, feed->split, t->from, &feed->buckets));
    }
    return THAW_OK;
}

static thaw_status open_plans(thaw_trainer *t, thaw_comm *comm)
{
    const thaw_graph *graph = t->setup->model->graph;
    const thaw_plan_options train = {.batch = thaw_sampler_shard_most(&t->sampler),
                                     .training = true,
                                     .from = t->from,
                                     .to = -1,
                                     .keep = -1,
                                     .abreast = thaw_train_abreast(comm, t->config)};
    const thaw_plan_options eval = {.batch = t->config->train.eval_batch,
                                    .from = t->from,
                                    .to = -1,
                                    .keep = thaw_graph_features(graph)};
    THAW_TRY(thaw_agree(comm, open_buckets(t)));
    THAW_TRY(thaw_train_plan_open(comm, t->setup, &train, &t->train_plan));
    THAW_TRY(thaw_agree(comm, thaw_lanes_open(&t->lanes, t->config, t->train_plan)));
    THAW_TRY(thaw_agree(comm, thaw_buckets_fit(&t->train.buckets, t->train_plan)));
    THAW_TRY(thaw_plan_open(comm, t->setup, &eval, &t->eval_plan));
    return thaw_agree(comm, thaw_buckets_fit(&t->train.buckets, t->eval_plan));
}

static thaw_status open_sums(thaw_trainer *t)
{
    t->reduced_count = thaw_plan_reduced_count(t->train_plan);
    THAW_TRY(thaw_alloc(&t->sums, t->reduced_count, sizeof *t->sums));
    THAW_TRY(thaw_alloc(&t->exponents, t->reduced_count, sizeof *t->exponents));
    for (int32_t i = 0; i < t->reduced_count; i++) {
        const int64_t count = thaw_plan_reduced(t->train_plan, i)->count;
        THAW_TRY(thaw_alloc(&t->sums[i], count, sizeof **t->sums));
        t->exponents[i] = THAW_EXPONENT_UNKNOWN;
    }
    return THAW_OK;
}

/* In company the team has one for all. */
static thaw_status open_reducer(thaw_trainer *t, thaw_comm *comm)
{
    thaw_team alone = {.members = &t, .count = 1};
    int64_t calls = 0;
    if (t->lead != NULL) { /* uniform */
        t->payload_bytes = t->lead->payload_bytes;
        return THAW_OK;
    }
    THAW_TRY(thaw_team_open_reducer(comm, &alone));
    t->reducer = alone.reducer;
    thaw_reducer_plan(t->reducer, &t->payload_bytes, &calls);
    return THAW_OK;
}

static thaw_optim_tensor describe(const thaw_trainer *t, int32_t index)
{
    const thaw_model *model = t->setup->model;
    const thaw_param *p = thaw_graph_param(model->graph, index);
    return (thaw_optim_tensor){
        .name = p->name,
        .data = p->data,
        .shape = p->shape,
        .part = p->adapter     ? THAW_PART_ADAPTER
                : p->block < 0 ? THAW_PART_HEAD
                               : THAW_PART_BACKBONE,
        .blocks_above = p->block < 0 ? 0 : model->blocks - p->block,
        .rate_factor = thaw_adapt_rate_factor(&t->config->peft, p),
        .is_weight = p->role == THAW_ROLE_WEIGHT,
        .joined = t->setup->joined[index],
    };
}

/* The optimizer's list is in the graph's order; `gradients` follows it into the sums of the reduced tensors. */
static thaw_status open_optimizer(thaw_trainer *t, const thaw_comm *comm)
{
    const thaw_model *model = t->setup->model;
    const int32_t params = thaw_graph_param_count(model->graph);
    const int32_t part = t->parts > 1 ? thaw_comm_rank(comm) : 0;
    thaw_optim_tensor *tensors = NULL;
    int32_t count = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&tensors, params, sizeof *tensors));
    THAW_TRY_TO(thaw_alloc(&t->gradients, params, sizeof *t->gradients));
    for (int32_t i = 0; i < params; i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (!p->need_grad)
            continue;
        for (int32_t r = 0; r < t->reduced_count; r++) {
            const thaw_reduced *reduced = thaw_plan_reduced(t->train_plan, r);
            if (reduced->param == i && !reduced->statistic)
                t->gradients[count] = t->sums[r];
        }
        THAW_ASSERT(t->gradients[count] != NULL);
        tensors[count++] = describe(t, i);
    }
    const thaw_rates rates = thaw_config_rates(t->config, t->setup->phases.now);
    status = thaw_optimizer_new_part(&t->config->optimizer, &rates, tensors, count, part, t->parts,
                                     &t->optimizer);
done:
    thaw_free(&tensors);
    return status;
}

thaw_status thaw_trainer_copy_state(const thaw_state *from, thaw_state *to)
{
    for (int64_t i = 0; i < from->count; i++) {
        const thaw_entry *e = &from->entries[i];
        void *data = NULL;
        THAW_TRY(thaw_state_add_new(to, e->name, e->tensor.dtype, e->tensor.shape, &data));
        memcpy(data, e->tensor.data, thaw_tensor_bytes(&e->tensor));
    }
    return THAW_OK;
}

static bool is_statistic(const thaw_param *p)
{
    return p->role == THAW_ROLE_BUFFER_MEAN || p->role == THAW_ROLE_BUFFER_VAR;
}

/* What trains or did so, the places for the selected epoch's copy and the average, and where the backbone started. */
static thaw_status open_states(thaw_trainer *t)
{
    const thaw_graph *graph = t->setup->model->graph;
    THAW_TRY(thaw_setup_held(t->setup, &t->trained));
    if (t->config->train.select != THAW_SELECT_LAST)
        THAW_TRY(thaw_trainer_copy_state(&t->trained, &t->best));
    if (t->config->train.ema > 0)
        THAW_TRY(thaw_trainer_copy_state(&t->trained, &t->ema));
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        thaw_param *p = thaw_graph_param(graph, i);
        const bool frozen_again = t->setup->held[i] && !p->trainable && !is_statistic(p);
        if (!(p->need_grad || frozen_again) || p->adapter || p->block < 0)
            continue;
        const thaw_tensor *begin = thaw_state_find(&t->setup->begin, p->name);
        THAW_ASSERT(begin != NULL);
        THAW_TRY(thaw_state_add(&t->initial, p->name, THAW_F32, p->shape, begin->data));
    }
    return THAW_OK;
}

/* Balanced weights: N / (K * count of the class) over the K classes that occur, so that their mean over samples is 1 (scikit-learn's
 * rule). A class without a sample weighs nothing: an infinite weight would make each loss NaN, since it meets a target of 0. */
static thaw_status open_class_weights(thaw_trainer *t)
{
    if (t->config->train.class_weights == 0)
        return THAW_OK;
    const int64_t K = thaw_dataset_classes(t->setup->dataset);
    const int32_t *labels = thaw_dataset_labels(t->setup->dataset, t->setup->train);
    int64_t present = 0;
    int64_t *count = NULL;
    THAW_TRY(thaw_alloc(&t->class_weights, K, sizeof *t->class_weights));
    THAW_TRY(thaw_alloc(&count, K, sizeof *count));
    for (int64_t i = 0; i < t->train.N; i++)
        present += count[labels[i]]++ == 0;
    for (int64_t k = 0; k < K; k++) {
        if (count[k] > 0)
            t->class_weights[k] =
                (float)((double)t->train.N / ((double)present * (double)count[k]));
    }
    thaw_free(&count);
    return THAW_OK;
}

static thaw_status open_buffers(thaw_trainer *t)
{
    const int64_t most = thaw_sampler_shard_most(&t->sampler);
    const int64_t K = thaw_dataset_classes(t->setup->dataset);
    if (t->setup->task == THAW_TASK_CLASSIFICATION)
        THAW_TRY(thaw_alloc(&t->labels, most, sizeof *t->labels));
    else
        THAW_TRY(thaw_alloc(&t->targets, most * K, sizeof *t->targets));
    THAW_TRY(thaw_alloc(&t->input, t->lanes.count * most * t->train.width, sizeof *t->input));
    THAW_TRY(thaw_alloc(&t->indices, t->lanes.count * most, sizeof *t->indices));
    if (t->train.buckets.crops != NULL) {
        THAW_TRY(thaw_alloc(&t->batch, t->sampler.batch, sizeof *t->batch));
        THAW_TRY(thaw_alloc(&t->sorted, t->sampler.batch, sizeof *t->sorted));
    }
    THAW_TRY(thaw_alloc(&t->coming, most, sizeof *t->coming));
    if (thaw_augment_mixes(&t->config->data.augment)) {
        if (t->labels != NULL)
            THAW_TRY(thaw_alloc(&t->other_labels, most, sizeof *t->other_labels));
        THAW_TRY(thaw_alloc(&t->shares, most, sizeof *t->shares));
        THAW_TRY(thaw_alloc(&t->other_loss, most, sizeof *t->other_loss));
        THAW_TRY(thaw_alloc(&t->other_gradient, most * K, sizeof *t->other_gradient));
    }
    THAW_TRY(thaw_alloc(&t->loss, most, sizeof *t->loss));
    return thaw_alloc(&t->outputs, most * K, sizeof *t->outputs);
}

static thaw_status open_local(thaw_trainer *t, const thaw_comm *comm)
{
    THAW_TRY(open_sums(t));
    t->parts = thaw_parts(t->config, comm);
    THAW_TRY(open_optimizer(t, comm));
    THAW_TRY(thaw_parts_open(t));
    THAW_TRY(open_states(t));
    THAW_TRY(thaw_limit_open(t));
    THAW_TRY(open_class_weights(t));
    return open_buffers(t);
}

static thaw_status check_ranks(const thaw_trainer *t, int size)
{
    THAW_CHECK(t->config->train.shards % size == 0, THAW_ERR_CONFIG,
               "train.shards %lld is not divisible by the %d ranks; start a number of ranks that "
               "divides it, or change "
               "train.shards (which changes the result)",
               (long long)t->config->train.shards, size);
    return THAW_OK;
}

thaw_feed *thaw_trainer_feed(thaw_trainer *trainer, thaw_block_kind kind)
{
    thaw_feed *feeds[] = {&trainer->train, &trainer->val, &trainer->gate};
    return feeds[kind];
}

thaw_status thaw_trainer_open(thaw_comm *comm, thaw_setup *setup, const thaw_run_options *options,
                              thaw_trainer *lead, thaw_trainer *out)
{
    memset(out, 0, sizeof *out);
    out->opened = out->counted = thaw_seconds();
    out->sharers = 1;
    out->lead = lead;
    out->setup = setup;
    out->config = setup->config;
    out->options = options;
    out->directory = setup->config->output;
    thaw_path_join(&out->rows_path, out->directory, "metrics.jsonl");
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, check_ranks(out, thaw_comm_size(comm))));
    THAW_TRY_TO(thaw_agree(comm, open_feeds(out)));
    THAW_TRY_TO(thaw_agree(comm, open_sampler(out)));
    THAW_TRY_TO(thaw_agree(comm, open_ahead(out, thaw_comm_size(comm))));
    THAW_TRY_TO(open_prefix(out, comm));
    THAW_TRY_TO(open_plans(out, comm));
    THAW_TRY_TO(thaw_agree(comm, open_local(out, comm)));
    THAW_TRY_TO(open_reducer(out, comm));
    out->state.best_score = -INFINITY;
    out->state.best_loss = 1e300;
    out->state.best_epoch = -1;
    out->state.limit.factor = 1;
done:
    if (status != THAW_OK)
        thaw_trainer_close(out);
    return status;
}

void thaw_trainer_close(thaw_trainer *t)
{
    thaw_ckpt_writer_free(&t->writer);
    thaw_str_clear(&t->rows_path);
    thaw_free(&t->features_before);
    thaw_free(&t->outputs);
    thaw_free(&t->loss);
    thaw_free(&t->other_gradient);
    thaw_free(&t->other_loss);
    thaw_free(&t->shares);
    thaw_free(&t->other_labels);
    thaw_free(&t->targets);
    thaw_free(&t->labels);
    thaw_free(&t->sorted);
    thaw_free(&t->batch);
    thaw_free(&t->coming);
    thaw_free(&t->indices);
    thaw_lanes_close(&t->lanes);
    thaw_free(&t->input);
    thaw_free(&t->class_weights);
    thaw_limit_close(t);
    thaw_free(&t->watch.scores);
    thaw_state_clear(&t->initial);
    thaw_state_clear(&t->ema);
    thaw_state_clear(&t->best);
    thaw_state_clear(&t->trained);
    thaw_free(&t->part_all);
    thaw_free(&t->part_own);
    thaw_optimizer_free(&t->optimizer);
    thaw_reducer_free(&t->reducer);
    thaw_free(&t->exponents);
    thaw_free(&t->gradients);
    for (int32_t i = 0; t->sums != NULL && i < t->reduced_count; i++)
        thaw_free(&t->sums[i]);
    thaw_free(&t->sums);
    thaw_plan_free(&t->eval_plan);
    thaw_plan_free(&t->train_plan);
    thaw_feed_close(&t->gate);
    thaw_feed_close(&t->val);
    thaw_feed_close(&t->train);
    thaw_prefix_close(&t->prefix);
    thaw_features_close(&t->own);
}
