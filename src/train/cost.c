#include "train/train_impl.h"

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

static void name_boundary(const thaw_graph *graph, thaw_cost *out)
{
    const thaw_value boundary = thaw_graph_boundary(graph);
    thaw_copy(out->boundary, sizeof out->boundary, "input");
    for (int32_t i = 0; i < thaw_graph_node_count(graph); i++) {
        const thaw_node *node = thaw_graph_node(graph, i);
        if (node->output == boundary && boundary != 0)
            thaw_format(out->boundary, sizeof out->boundary, "%s after %s", thaw_node_kind(node),
                        node->name[0] != '\0' ? node->name
                                              : thaw_graph_block_name(graph, node->block));
    }
}

static thaw_status measure(thaw_comm *comm, thaw_setup *s, thaw_cost *out)
{
    thaw_graph *graph = s->model->graph;
    const thaw_train_config *train = &s->config->train;
    const thaw_sampler sampler = {.count = thaw_dataset_count(s->dataset, s->train),
                                  .batch = train->batch,
                                  .shards = train->shards};
    const thaw_plan_options options = {.batch = thaw_sampler_shard_most(&sampler),
                                       .training = true,
                                       .from = -1,
                                       .to = -1,
                                       .keep = -1};
    thaw_plan *plan = NULL;
    THAW_TRY(thaw_train_plan_open(comm, s, &options, &plan));
    out->constant_bytes = thaw_plan_constant_bytes(plan);
    out->plan = thaw_plan_count(plan);
    out->arena_bytes = thaw_plan_arena_bytes(plan);
    const thaw_status status = thaw_agree(comm, count_payload(plan, s->config, out));
    thaw_plan_free(&plan);
    out->parameters_total = thaw_graph_count_params(graph, false);
    out->parameters_trainable = thaw_graph_count_params(graph, true);
    out->forward_flops = thaw_graph_forward_flops(graph);
    out->backward_flops = thaw_graph_backward_flops(graph);
    /* Weights, then per trained value: its sum, the optimizer's one or two moments, and the selected epoch's copy. */
    const int64_t moments = s->config->optimizer.kind == 0 ? 1 : 2;
    out->state_bytes = (size_t)(out->parameters_total * (int64_t)sizeof(float) +
                                trained_bytes(graph) * (2 + moments));
    out->steps_per_epoch = thaw_sampler_steps(&sampler);
    out->smallest_shard = smallest_shard(&sampler);
    out->cacheable = thaw_graph_boundary(graph) != 0 && thaw_augment_none(&s->config->data.augment);
    name_boundary(graph, out);
    return status;
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
    status = measure(comm, &setup, out);
done:
    thaw_setup_close(&setup);
    return status;
}
