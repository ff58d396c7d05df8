#include "train/parts_impl.h"

#include <string.h>

/* What a config would cost: everything is set up for real, but nothing is trained. */

static thaw_status count_payload(const thaw_plan *plan, const thaw_config *config, thaw_cost *out)
{
    const int32_t count = thaw_plan_reduced_count(plan);
    int64_t *sizes = NULL;
    thaw_reducer *reducer = NULL;
    int64_t bytes = 0;
    int64_t calls = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&sizes, count, sizeof *sizes));
    for (int32_t i = 0; i < count; i++) {
        sizes[i] = thaw_plan_reduced(plan, i)->count;
        out->trains_norm = out->trains_norm || thaw_plan_reduced(plan, i)->statistic;
    }
    const thaw_reducer_options options = {.mode = (thaw_reduce_mode)config->train.reduce,
                                          .shards = config->train.shards,
                                          .counts = THAW_WORD_COUNT,
                                          .sums = THAW_SUM_COUNT};
    THAW_TRY_TO(thaw_reducer_new(sizes, count, &options, &reducer));
    thaw_reducer_plan(reducer, &bytes, &calls);
    out->allreduce_bytes = (size_t)bytes;
done:
    thaw_reducer_free(&reducer);
    thaw_free(&sizes);
    return status;
}

static int64_t trained_bytes(const thaw_graph *graph)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        const thaw_param *p = thaw_graph_param(graph, i);
        if (p->need_grad)
            bytes += thaw_shape_count(&p->shape) * (int64_t)sizeof(float);
    }
    return bytes;
}

static int64_t smallest_shard(const thaw_sampler *sampler)
{
    int64_t least = sampler->batch;
    const int64_t last = thaw_sampler_steps(sampler) - 1;
    for (int64_t shard = 0; shard < sampler->shards; shard++) {
        int64_t begin;
        int64_t end;
        thaw_sampler_shard(sampler, last, shard, &begin, &end);
        least = end - begin < least ? end - begin : least;
    }
    return least;
}

/* Activations only where it runs in every step. */
static void add_prefix(const thaw_plan *prefix, thaw_cost *out)
{
    const thaw_plan_counts counts = thaw_plan_count(prefix);
    if (!out->cacheable)
        out->arena_bytes += thaw_plan_arena_bytes(prefix);
    out->constant_bytes += thaw_plan_constant_bytes(prefix);
    out->plan.steps += counts.steps;
    out->plan.folded += counts.folded;
    out->plan.fused += counts.fused;
    out->plan.reorders += counts.reorders;
    out->plan.replayed += counts.replayed;
    out->plan.eight_bits += counts.eight_bits;
}

/* The step's plan from the boundary on, and the prefix's. */
static thaw_status plan_step(thaw_comm *comm, thaw_setup *s, const thaw_sampler *sampler,
                             thaw_cost *out)
{
    const bool split = thaw_has_prefix(s);
    const thaw_value boundary = thaw_graph_boundary(s->model->graph);
    const thaw_plan_options options = {.batch = thaw_sampler_shard_most(sampler),
                                       .training = true,
                                       .from = split ? boundary : -1,
                                       .to = -1,
                                       .keep = -1,
                                       .abreast = thaw_train_abreast(comm, s->config)};
    thaw_plan *plan = NULL;
    thaw_prefix prefix = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_train_plan_open(comm, s, &options, &plan));
    out->arena_bytes = thaw_plan_arena_bytes(plan);
    out->state_bytes = (size_t)thaw_train_copy_bytes(comm, s, plan, 1);
    out->constant_bytes = thaw_plan_constant_bytes(plan);
    out->plan = thaw_plan_count(plan);
    out->norm_meetings = thaw_plan_meetings(plan).count;
    out->norm_bytes = thaw_train_norm_bytes(s->config, plan);
    THAW_TRY_TO(thaw_agree(comm, count_payload(plan, s->config, out)));
    if (!split)
        goto done;
    thaw_prefix_init(&prefix, s);
    THAW_TRY_TO(thaw_prefix_open(comm, &prefix));
    add_prefix(prefix.plan, out);
done:
    thaw_prefix_close(&prefix);
    thaw_plan_free(&plan);
    return status;
}

static thaw_status measure_cache(const thaw_setup *s, thaw_cost *out)
{
    const char *refusal = thaw_features_refuse(s);
    thaw_features features = {0};
    thaw_str directory = {0};
    out->cacheable = refusal == NULL;
    thaw_copy(out->cache_place, sizeof out->cache_place, refusal == NULL ? "memory" : refusal);
    if (refusal != NULL)
        return THAW_OK;
    const thaw_status status = thaw_features_plan(&features, s);
    out->cache_bytes = (size_t)thaw_features_bytes(&features);
    thaw_features_directory(s->config, &directory);
    if (!thaw_features_fit(s->config, (int64_t)out->cache_bytes))
        (void)thaw_format(out->cache_place, sizeof out->cache_place, "file in %s",
                          thaw_str_c(&directory));
    thaw_str_clear(&directory);
    thaw_features_close(&features);
    return status;
}

static thaw_status measure(thaw_comm *comm, thaw_setup *s, thaw_cost *out)
{
    thaw_graph *graph = s->model->graph;
    const thaw_train_config *train = &s->config->train;
    const thaw_sampler sampler = {.count = thaw_dataset_count(s->dataset, s->train),
                                  .batch = train->batch,
                                  .shards = train->shards};
    THAW_TRY(thaw_agree(comm, measure_cache(s, out)));
    THAW_TRY(plan_step(comm, s, &sampler, out));
    out->parameters_total = thaw_graph_count_params(graph, false);
    out->parameters_trainable = thaw_graph_count_params(graph, true);
    out->forward_flops = thaw_graph_forward_flops(graph);
    out->backward_flops = thaw_graph_backward_flops(graph);
    /* Of each trained value: itself, its sum, the optimizer's moments, the selected epoch's copy, and the average; besides
     * what checkpoints are copied to. */
    const int64_t moments = thaw_optim_config_moments(&s->config->optimizer);
    const int32_t parts = thaw_parts(s->config, comm);
    const int64_t each = trained_bytes(graph);
    out->state_bytes += (size_t)(each * (3 + (train->ema > 0)) + each * moments / parts);
    out->node_bytes = (size_t)(thaw_shared_bytes(s->weights) + thaw_shared_bytes(s->samples));
    out->steps_per_epoch = thaw_sampler_steps(&sampler);
    out->smallest_shard = smallest_shard(&sampler);
    out->smallest_batch = thaw_sampler_batch_size(&sampler, out->steps_per_epoch - 1);
    thaw_boundary_name(graph, out->boundary, sizeof out->boundary);
    return THAW_OK;
}

/* What train.frozen_precision asks for, where it can be had: a ladder runs other rungs in floats. */
static thaw_status settle_precision(thaw_comm *comm, thaw_setup *s, thaw_cost *out)
{
    const thaw_status status = thaw_agree(comm, thaw_ranges_check(s));
    if (status == THAW_ERR_CONFIG) {
        thaw_copy(out->floats_why, sizeof out->floats_why, thaw_error_last()->message);
        thaw_error_clear();
        return THAW_OK;
    }
    THAW_TRY(status); /* uniform */
    THAW_TRY(thaw_ranges_open(comm, s, NULL));
    out->int8 = s->ranges != NULL;
    return THAW_OK;
}

thaw_status thaw_cost_of(thaw_comm *comm, const thaw_config *config, const char *rung,
                         thaw_cost *out)
{
    thaw_setup setup;
    memset(out, 0, sizeof *out);
    THAW_TRY(thaw_setup_open(comm, config, rung == NULL ? config->rung : rung, THAW_SETUP_TRAIN,
                             &setup));
    thaw_status status;
    THAW_TRY_TO(thaw_choices_begin(comm, &setup, NULL, NULL));
    THAW_TRY_TO(settle_precision(comm, &setup, out));
    status = measure(comm, &setup, out);
done:
    thaw_setup_close(&setup);
    return status;
}
