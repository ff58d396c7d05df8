/* step_bench.c - samples per second of one training step on random data, for tools/bench/step.
 *
 *   bench_step ARCH RUNG SECONDS [BATCH [BACKEND [REDUCE]]]    ARCH: resnet20, resnet18, ...; RUNG: frozen, partial:1, full, ...
 *
 * A step is what training does once data are there: forward, loss, backward with the gradient sum over ranks (each rank is
 * one shard of BATCH samples), optimizer (SGD with momentum). Frozen features are not cached: every step runs the whole
 * network. Prints on rank 0: samples/s (all ranks, median step), milliseconds of the median and the best step, and
 * allocations in the timed steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thaw/adapt.h"
#include "thaw/comm.h"
#include "thaw/model.h"
#include "thaw/optim.h"

enum { MOST_STEPS = 4096, WARM_UP = 5, CLASSES = 10, SIDE = 32, CHANNELS = 3 };

typedef struct bench {
    thaw_kern *kern;
    thaw_model *model;
    thaw_plan *plan;
    thaw_reducer *reducer;
    thaw_optimizer *optimizer;
    thaw_comm *comm;
    int64_t batch;
    float *input, *loss, *probs;
    int32_t *labels;
    int64_t *ids;
    float **sums;
    const float **gradients;
    double seconds[MOST_STEPS];
} bench;

static thaw_status open_model(bench *b, const char *arch, const char *rung_text,
                              const char *backend)
{
    thaw_rung rung;
    char name[64];
    (void)thaw_copy(name, sizeof name, arch);
    thaw_model_spec spec = {.arch = name, .C = CHANNELS, .H = SIDE, .W = SIDE, .K = CLASSES};
    THAW_TRY(thaw_kern_open(backend, &b->kern));
    THAW_TRY(thaw_rung_parse(rung_text, &rung));
    THAW_TRY(thaw_model_new(&spec, &b->model));
    thaw_model_initialize(b->model, 1);
    THAW_TRY(thaw_adapt_apply(b->model, &rung, NULL, 1));
    thaw_plan_options options = {
        .batch = b->batch, .training = true, .from = -1, .to = -1, .keep = -1};
    return thaw_plan_new(b->model->graph, b->kern, &options, &b->plan);
}

static thaw_status open_reducer(bench *b, thaw_reduce_mode mode)
{
    int32_t count = thaw_plan_reduced_count(b->plan);
    int64_t *sizes = NULL;
    THAW_TRY(thaw_alloc(&sizes, count, sizeof *sizes));
    THAW_TRY(thaw_alloc(&b->sums, count, sizeof *b->sums));
    for (int32_t i = 0; i < count; i++) {
        sizes[i] = thaw_plan_reduced(b->plan, i)->count;
        THAW_TRY(thaw_alloc(&b->sums[i], sizes[i], sizeof **b->sums));
    }
    thaw_reducer_options options = {
        .mode = mode, .shards = thaw_comm_size(b->comm), .counts = 1, .sums = 1};
    thaw_status status = thaw_reducer_new(sizes, count, &options, &b->reducer);
    thaw_free(&sizes);
    return status;
}

static thaw_status open_optimizer(bench *b)
{
    const thaw_graph *g = b->model->graph;
    int32_t params = thaw_graph_param_count(g);
    thaw_optim_tensor *tensors = NULL;
    int32_t count = 0;
    THAW_TRY(thaw_alloc(&tensors, params, sizeof *tensors));
    THAW_TRY(thaw_alloc(&b->gradients, params, sizeof *b->gradients));
    for (int32_t i = 0; i < params; i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        if (!p->need_grad)
            continue;
        for (int32_t r = 0; r < thaw_plan_reduced_count(b->plan); r++)
            if (thaw_plan_reduced(b->plan, r)->param == i &&
                !thaw_plan_reduced(b->plan, r)->statistic)
                b->gradients[count] = b->sums[r];
        tensors[count++] =
            (thaw_optim_tensor){.name = p->name,
                                .data = p->data,
                                .shape = p->shape,
                                .part = p->block < 0 ? THAW_PART_HEAD : THAW_PART_BACKBONE,
                                .blocks_above = p->block < 0 ? 0 : b->model->blocks - p->block,
                                .is_weight = p->role == THAW_ROLE_WEIGHT};
    }
    thaw_optim_config config;
    thaw_rates rates;
    thaw_optim_defaults(&config);
    thaw_rates_defaults(&rates);
    config.momentum = 0.9;
    rates.head = rates.backbone = 0.001;
    thaw_status status = thaw_optimizer_new(&config, &rates, tensors, count, &b->optimizer);
    thaw_free(&tensors);
    return status;
}

static thaw_status open_data(bench *b)
{
    int64_t count = b->batch * CHANNELS * SIDE * SIDE;
    THAW_TRY(thaw_alloc(&b->input, count, sizeof *b->input));
    THAW_TRY(thaw_alloc(&b->loss, b->batch, sizeof *b->loss));
    THAW_TRY(thaw_alloc(&b->probs, b->batch * CLASSES, sizeof *b->probs));
    THAW_TRY(thaw_alloc(&b->labels, b->batch, sizeof *b->labels));
    THAW_TRY(thaw_alloc(&b->ids, b->batch, sizeof *b->ids));
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, (uint64_t)thaw_comm_rank(b->comm));
    for (int64_t i = 0; i < count; i++)
        b->input[i] = (float)thaw_rng_normal(&rng);
    for (int64_t i = 0; i < b->batch; i++) {
        b->labels[i] = (int32_t)thaw_rng_below(&rng, CLASSES);
        b->ids[i] = i;
    }
    return THAW_OK;
}

static void on_ready(void *context, int32_t index)
{
    bench *b = context;
    thaw_reducer_add(b->reducer, index, thaw_plan_reduced(b->plan, index)->data);
    thaw_reducer_ready(b->reducer, b->comm, index);
}

static void on_progress(void *context)
{
    bench *b = context;
    thaw_reducer_progress(b->reducer, b->comm);
}

static thaw_status one_try(bench *b, uint32_t step, thaw_reduce_outcome *outcome)
{
    thaw_run run = {.B = b->batch,
                    .input = b->input,
                    .sample_ids = b->ids,
                    .seed = 1,
                    .step = step,
                    .training = true};
    double weight = 0;
    thaw_reducer_begin(b->reducer);
    thaw_plan_forward(b->plan, &run);
    const float *logits = thaw_plan_value(b->plan, thaw_graph_logits(b->model->graph));
    thaw_kern_softmax_cross_entropy(b->batch, CLASSES, logits, b->labels, 0, NULL, b->loss,
                                    b->probs, &weight);
    thaw_kern_softmax_cross_entropy_backward(b->batch, CLASSES, b->probs, b->labels, 0, NULL,
                                             thaw_plan_output_gradient(b->plan));
    thaw_reducer_add_sum(b->reducer, 0, thaw_kern_sum(b->batch, b->loss));
    thaw_reducer_add_count(b->reducer, 0, b->batch);
    thaw_plan_backward(b->plan, &run, on_ready, on_progress, b);
    return thaw_reducer_finish(b->reducer, b->comm, outcome);
}

static thaw_status one_step(bench *b, uint32_t step)
{
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    while (outcome == THAW_REDUCE_REDO)
        THAW_TRY(one_try(b, step, &outcome)); /* uniform */
    THAW_CHECK(outcome == THAW_REDUCE_OK, THAW_ERR_NUMERIC,
               "a gradient is not finite"); /* uniform */
    for (int32_t i = 0; i < thaw_plan_reduced_count(b->plan); i++)
        thaw_reducer_get(b->reducer, i, 1.0, b->sums[i]);
    return thaw_optimizer_step(b->optimizer, b->gradients,
                               1.0 / (double)thaw_reducer_count(b->reducer, 0), 1.0, NULL);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static thaw_status measure(bench *b, double seconds, const char *arch, const char *rung)
{
    for (uint32_t i = 0; i < WARM_UP; i++)
        THAW_TRY(one_step(b, i));
    int64_t before = thaw_alloc_count();
    int64_t steps = 0;
    int64_t more = 1;
    double start = thaw_seconds();
    for (; more; steps++) {
        double at = thaw_seconds();
        THAW_TRY(one_step(b, (uint32_t)(WARM_UP + steps)));
        b->seconds[steps] = thaw_seconds() - at;
        more = steps + 1 < MOST_STEPS && (thaw_seconds() - start < seconds || steps < 4);
        thaw_allreduce_min_int64(b->comm, &more, 1);
    }
    int64_t allocations = thaw_alloc_count() - before;
    qsort(b->seconds, (size_t)steps, sizeof b->seconds[0], by_size);
    double median = b->seconds[steps / 2];
    double samples = (double)(b->batch * thaw_comm_size(b->comm));
    if (thaw_comm_rank(b->comm) == 0)
        printf(
            "%s %s ranks %d samples/s %.1f median_ms %.3f best_ms %.3f allocations %d kernels %s\n",
            arch, rung, thaw_comm_size(b->comm), samples / median, median * 1e3,
            b->seconds[0] * 1e3, (int)allocations, b->kern->cpu_kernels);
    return THAW_OK;
}

static thaw_status run(bench *b, int argc, char **argv)
{
    double seconds = 2;
    b->batch = 64;
    if (argc > 3)
        THAW_CHECK(thaw_parse_double(argv[3], &seconds), THAW_ERR_USAGE,
                   "SECONDS \"%s\" is no number", argv[3]);
    if (argc > 4)
        THAW_CHECK(thaw_parse_int(argv[4], &b->batch) && b->batch > 0, THAW_ERR_USAGE,
                   "BATCH \"%s\" is no number", argv[4]);
    bool plain = argc > 6 && strcmp(argv[6], "float") == 0;
    THAW_TRY(open_model(b, argv[1], argv[2], argc > 5 ? argv[5] : "auto"));
    THAW_TRY(open_reducer(b, plain ? THAW_REDUCE_FLOAT : THAW_REDUCE_EXACT));
    THAW_TRY(open_optimizer(b));
    THAW_TRY(open_data(b));
    return measure(b, seconds, argv[1], argv[2]);
}

/* Memory is left to the end of the process. */
int main(int argc, char **argv)
{
    static bench b;
    if (argc < 3) {
        printf("usage: bench_step ARCH RUNG SECONDS [BATCH [BACKEND [exact|float]]]\n");
        return 2;
    }
    thaw_status status = thaw_comm_start(&argc, &argv, &b.comm);
    if (status == THAW_OK)
        status = thaw_agree(b.comm, run(&b, argc, argv));
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    thaw_comm_stop(&b.comm);
    return thaw_status_exit_code(status);
}
