/* step_bench.c - samples per second of one training step, or of inference, on random data, for tools/bench/step.
 *
 *   bench_step ARCH SIDE RUNG MODE SECONDS BATCH [BACKEND [REDUCE]]
 *
 * ARCH: resnet20, resnet18, ...; SIDE: of the square image, or tokens; RUNG: frozen, lora, partial:1, full, ...; MODE:
 *   train   every step runs the whole network, as where features cannot be cached
 *   first   a step of an epoch that fills the feature cache: the frozen prefix as inference, then the rest from its features
 *   later   a step of an epoch that reads the cache: the rest alone
 *   infer   the frozen prefix alone
 *   infer8  the same in 8 bits, with ranges observed on one batch
 * A step is what training does once data are there: forward, loss, backward with the gradient sum over ranks (each rank is
 * one shard of BATCH samples), optimizer (SGD with momentum). Prints on rank 0: samples/s (all ranks, median step),
 * milliseconds of the median and the best step, allocations in the timed steps, bytes of the plans. THAW_BENCH_CLOCK=cpu:
 * seconds of this process's own work, which other load disturbs less. THAW_BENCH_PROFILE=yes: afterwards, on rank 0, lines for
 * tools/bench/profile: what each operator of a step took (step_profile.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "thaw/adapt.h"
#include "thaw/comm.h"
#include "thaw/model.h"
#include "thaw/optim.h"

#include "step_profile.h"

enum { MOST_STEPS = 4096, LEAST_STEPS = 3, CLASSES = 10, TOKENS = 30522, CHANNELS = 3 };

typedef enum bench_mode { MODE_TRAIN, MODE_FIRST, MODE_LATER, MODE_INFER, MODE_INFER8 } bench_mode;
static const char *const mode_names[] = {"train", "first", "later", "infer", "infer8", NULL};

typedef struct bench {
    const char *arch, *rung, *backend;
    bench_mode mode;
    bool plain;
    double budget;
    int64_t side, batch;
    bool is_text;
    thaw_kern *kern;
    thaw_model *model;
    thaw_plan *prefix; /* input to boundary; modes first and infer */
    thaw_plan *plan;   /* input or boundary to logits */
    thaw_value boundary;
    thaw_reducer *reducer;
    thaw_optimizer *optimizer;
    thaw_comm *comm;
    float *input, *features, *loss, *probs;
    int32_t *labels;
    int64_t *ids;
    float **sums;
    const float **gradients;
    double seconds[MOST_STEPS];
    step_profile profile;
} bench;

static double clock_seconds(void)
{
    const char *which = getenv("THAW_BENCH_CLOCK");
    struct timespec t;
    if (which == NULL || strcmp(which, "cpu") != 0)
        return thaw_seconds();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static thaw_status open_model(bench *b)
{
    thaw_rung rung;
    thaw_peft peft;
    char name[64];
    bool lora = strcmp(b->rung, "lora") == 0;
    (void)thaw_copy(name, sizeof name, b->arch);
    thaw_model_spec image = {.arch = name, .C = CHANNELS, .H = b->side, .W = b->side, .K = CLASSES};
    thaw_model_spec text = {.arch = name, .T = b->side, .K = CLASSES};
    const thaw_model_arch *row = NULL;
    thaw_peft_defaults(&peft);
    THAW_TRY(thaw_kern_open(b->backend, &b->kern));
    THAW_TRY(thaw_rung_parse(lora ? "peft" : b->rung, &rung));
    THAW_TRY(thaw_model_arch_find(name, &row));
    b->is_text = row->T > 0;
    THAW_TRY(thaw_model_new(b->is_text ? &text : &image, &b->model));
    thaw_model_initialize(b->model, 1);
    THAW_TRY(thaw_adapt_apply(b->model, &rung, &peft, 1));
    b->boundary = thaw_graph_boundary(b->model->graph);
    return THAW_OK;
}

/* Rank 0 measures algorithms or knows them from earlier runs, as training does; the others take its choices. */
static thaw_status share_choices(bench *b)
{
    thaw_str text = {0};
    thaw_str path = {0};
    bool first = thaw_comm_rank(b->comm) == 0;
    thaw_kern_choices_path(b->kern, &path);
    thaw_status status = THAW_OK;
    if (first) {
        thaw_kern_choices_save(b->kern, thaw_str_c(&path));
        status = thaw_kern_choices_write(b->kern, &text);
    }
    int64_t bytes = (int64_t)text.length;
    thaw_bcast(b->comm, 0, &bytes, sizeof bytes);
    while (!first && (int64_t)text.length < bytes)
        thaw_str_add(&text, " ");
    thaw_bcast(b->comm, 0, text.data, bytes);
    if (!first)
        status = thaw_kern_choices_read(b->kern, "the choices of rank 0", thaw_str_c(&text));
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}

static void begin_choices(bench *b)
{
    thaw_str path = {0};
    thaw_kern_choices_path(b->kern, &path);
    thaw_kern_choices_load(b->kern, thaw_str_c(&path));
    thaw_kern_choices_measure(b->kern, true);
    thaw_str_clear(&path);
}

static thaw_status random_values(bench *b, thaw_value v, thaw_rng *rng, float **out)
{
    thaw_shape shape = thaw_graph_value_shape(b->model->graph, v);
    int64_t count = b->batch * thaw_shape_count(&shape);
    THAW_TRY(thaw_alloc(out, count, sizeof **out));
    for (int64_t i = 0; i < count; i++)
        (*out)[i] =
            b->is_text && v == 0 ? (float)thaw_rng_below(rng, TOKENS) : (float)thaw_rng_normal(rng);
    return THAW_OK;
}

/* The ranges belong to the observing plan, which stays. */
static thaw_status observe(bench *b, thaw_plan_options *prefix)
{
    thaw_rng rng = thaw_rng_make(2, THAW_RNG_TEST, 0, 0);
    thaw_run run = {.B = b->batch, .seed = 1};
    float *input = NULL;
    thaw_plan *plan = NULL;
    thaw_status status;
    prefix->observe = true;
    THAW_TRY_TO(random_values(b, 0, &rng, &input));
    THAW_TRY_TO(thaw_plan_new(b->model->graph, b->kern, prefix, &plan));
    run.input = input;
    thaw_plan_forward(plan, &run);
    prefix->observe = false;
    prefix->ranges = thaw_plan_ranges(plan);
    status = THAW_OK;
done:
    thaw_free(&input);
    return status;
}

static thaw_status open_plans(bench *b)
{
    bool cut = b->mode != MODE_TRAIN;
    thaw_plan_options prefix = {.batch = b->batch, .from = -1, .to = b->boundary, .keep = -1};
    thaw_plan_options rest = {
        .batch = b->batch, .training = true, .from = cut ? b->boundary : -1, .to = -1, .keep = -1};
    THAW_CHECK(!cut || b->boundary != 0, THAW_ERR_USAGE, "rung %s has no frozen prefix for mode %s",
               b->rung, mode_names[b->mode]);
    THAW_CHECK(b->mode != MODE_INFER8 || b->kern->has_int8 || b->kern->has_linear_int8,
               THAW_ERR_FAIL, "backend %s has nothing that is fast in 8 bits on this CPU",
               b->kern->name);
    if (b->mode == MODE_INFER8)
        THAW_TRY(observe(b, &prefix));
    if (cut)
        THAW_TRY(thaw_plan_new(b->model->graph, b->kern, &prefix, &b->prefix));
    if (b->mode >= MODE_INFER)
        return THAW_OK;
    return thaw_plan_new(b->model->graph, b->kern, &rest, &b->plan);
}

static thaw_status open_reducer(bench *b)
{
    int32_t count = thaw_plan_reduced_count(b->plan);
    int64_t *sizes = NULL;
    THAW_TRY(thaw_alloc(&sizes, count, sizeof *sizes));
    THAW_TRY(thaw_alloc(&b->sums, count, sizeof *b->sums));
    for (int32_t i = 0; i < count; i++) {
        sizes[i] = thaw_plan_reduced(b->plan, i)->count;
        THAW_TRY(thaw_alloc(&b->sums[i], sizes[i], sizeof **b->sums));
    }
    thaw_reducer_options options = {.mode = b->plain ? THAW_REDUCE_FLOAT : THAW_REDUCE_EXACT,
                                    .shards = thaw_comm_size(b->comm),
                                    .counts = 1,
                                    .sums = 1};
    thaw_status status = thaw_reducer_new(sizes, count, &options, &b->reducer);
    thaw_free(&sizes);
    THAW_TRY(thaw_agree(b->comm, status));
    return thaw_reducer_share(b->reducer, b->comm);
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
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, (uint64_t)thaw_comm_rank(b->comm));
    THAW_TRY(random_values(b, 0, &rng, &b->input));
    if (b->mode == MODE_FIRST || b->mode == MODE_LATER)
        THAW_TRY(random_values(b, b->boundary, &rng, &b->features));
    THAW_TRY(thaw_alloc(&b->loss, b->batch, sizeof *b->loss));
    THAW_TRY(thaw_alloc(&b->probs, b->batch * CLASSES, sizeof *b->probs));
    THAW_TRY(thaw_alloc(&b->labels, b->batch, sizeof *b->labels));
    THAW_TRY(thaw_alloc(&b->ids, b->batch, sizeof *b->ids));
    for (int64_t i = 0; i < b->batch; i++) {
        b->labels[i] = (int32_t)thaw_rng_below(&rng, CLASSES);
        b->ids[i] = i;
    }
    return THAW_OK;
}

static void on_ready(void *context, int32_t index)
{
    bench *b = context;
    double begun = clock_seconds();
    thaw_reducer_add(b->reducer, index, thaw_plan_reduced(b->plan, index)->data);
    thaw_reducer_ready(b->reducer, b->comm, index);
    step_profile_part(&b->profile, "reduce/add", clock_seconds() - begun);
}

static void on_progress(void *context)
{
    bench *b = context;
    thaw_reducer_progress(b->reducer, b->comm);
}

static thaw_status one_try(bench *b, uint32_t step, thaw_reduce_outcome *outcome)
{
    double begun = clock_seconds();
    thaw_run run = {.B = b->batch,
                    .input = b->features != NULL ? b->features : b->input,
                    .sample_ids = b->ids,
                    .seed = 1,
                    .step = step,
                    .training = true};
    double weight = 0;
    thaw_reducer_begin(b->reducer);
    step_profile_part(&b->profile, "reduce/begin", clock_seconds() - begun);
    thaw_plan_forward(b->plan, &run);
    begun = clock_seconds();
    const float *logits = thaw_plan_value(b->plan, thaw_graph_logits(b->model->graph));
    thaw_kern_softmax_cross_entropy(b->batch, CLASSES, logits, b->labels, 0, NULL, b->loss,
                                    b->probs, &weight);
    thaw_kern_softmax_cross_entropy_backward(b->batch, CLASSES, b->probs, b->labels, 0, NULL,
                                             thaw_plan_output_gradient(b->plan));
    thaw_reducer_add_sum(b->reducer, 0, thaw_kern_sum(b->batch, b->loss));
    thaw_reducer_add_count(b->reducer, 0, b->batch);
    step_profile_part(&b->profile, "loss", clock_seconds() - begun);
    thaw_plan_backward(b->plan, &run, on_ready, on_progress, b);
    begun = clock_seconds();
    thaw_status status = thaw_reducer_finish(b->reducer, b->comm, outcome);
    step_profile_part(&b->profile, "reduce/finish", clock_seconds() - begun);
    return status;
}

static thaw_status train_step(bench *b, uint32_t step)
{
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    while (outcome == THAW_REDUCE_REDO)
        THAW_TRY(one_try(b, step, &outcome)); /* uniform */
    THAW_CHECK(outcome == THAW_REDUCE_OK, THAW_ERR_NUMERIC,
               "a gradient is not finite"); /* uniform */
    double begun = clock_seconds();
    for (int32_t i = 0; i < thaw_plan_reduced_count(b->plan); i++)
        thaw_reducer_get(b->reducer, i, 1.0, b->sums[i]);
    double summed = clock_seconds();
    thaw_status status = thaw_optimizer_step(
        b->optimizer, b->gradients, 1.0 / (double)thaw_reducer_count(b->reducer, 0), 1.0, NULL);
    step_profile_part(&b->profile, "reduce/get", summed - begun);
    step_profile_part(&b->profile, "optimizer", clock_seconds() - summed);
    return status;
}

/* In mode first the rest starts from random features: of the prefix only its time matters. */
static thaw_status one_step(bench *b, uint32_t step)
{
    thaw_run run = {.B = b->batch, .input = b->input, .sample_ids = b->ids, .seed = 1};
    if (b->mode == MODE_FIRST || b->mode >= MODE_INFER)
        thaw_plan_forward(b->prefix, &run);
    return b->mode >= MODE_INFER ? THAW_OK : train_step(b, step);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Steps until the time is over on some rank; their durations. */
static thaw_status repeat(bench *b, double seconds, int64_t least, int64_t *steps)
{
    int64_t more = 1;
    double start = thaw_seconds();
    for (*steps = 0; more; (*steps)++) {
        double at = clock_seconds();
        THAW_TRY(one_step(b, (uint32_t)*steps)); /* uniform */
        b->seconds[*steps] = clock_seconds() - at;
        more = *steps + 1 < MOST_STEPS && (thaw_seconds() - start < seconds || *steps + 1 < least);
        thaw_allreduce_min_int64(b->comm, &more, 1);
    }
    return THAW_OK;
}

static thaw_status profile(bench *b)
{
    int64_t steps = 0;
    step_profile_begin(&b->profile, clock_seconds);
    if (b->prefix != NULL)
        thaw_plan_watch(b->prefix, &b->profile.watch);
    if (b->plan != NULL)
        thaw_plan_watch(b->plan, &b->profile.watch);
    THAW_TRY(repeat(b, b->budget, LEAST_STEPS, &steps)); /* uniform */
    double all = 0;
    for (int64_t i = 0; i < steps; i++)
        all += b->seconds[i];
    if (thaw_comm_rank(b->comm) == 0)
        step_profile_print(&b->profile, steps, all);
    return THAW_OK;
}

static thaw_status measure(bench *b)
{
    int64_t steps = 0;
    THAW_TRY(repeat(b, b->budget / 5, 2, &steps));
    int64_t before = thaw_alloc_count();
    THAW_TRY(repeat(b, b->budget, LEAST_STEPS, &steps));
    int64_t allocations = thaw_alloc_count() - before;
    qsort(b->seconds, (size_t)steps, sizeof b->seconds[0], by_size);
    double median = b->seconds[steps / 2];
    double samples = (double)(b->batch * thaw_comm_size(b->comm));
    size_t bytes = (b->prefix ? thaw_plan_arena_bytes(b->prefix) : 0) +
                   (b->plan ? thaw_plan_arena_bytes(b->plan) : 0);
    if (thaw_comm_rank(b->comm) == 0)
        printf("samples/s %.2f median_ms %.3f best_ms %.3f steps %d allocations %d plan_mib %.1f "
               "trainable %lld "
               "kernels %s %s\n",
               samples / median, median * 1e3, b->seconds[0] * 1e3, (int)steps, (int)allocations,
               (double)bytes / 1048576, (long long)thaw_graph_count_params(b->model->graph, true),
               b->kern->name, b->kern->cpu_kernels);
    return getenv("THAW_BENCH_PROFILE") == NULL ? THAW_OK : profile(b);
}

static thaw_status read_arguments(bench *b, int argc, char **argv)
{
    int mode = 0;
    while (mode_names[mode] != NULL && strcmp(mode_names[mode], argv[4]) != 0)
        mode++;
    THAW_CHECK(mode_names[mode] != NULL, THAW_ERR_USAGE, "MODE \"%s\" is unknown", argv[4]);
    THAW_CHECK(thaw_parse_int(argv[2], &b->side) && b->side > 0, THAW_ERR_USAGE,
               "SIDE \"%s\" is no number", argv[2]);
    THAW_CHECK(thaw_parse_double(argv[5], &b->budget), THAW_ERR_USAGE,
               "SECONDS \"%s\" is no number", argv[5]);
    THAW_CHECK(thaw_parse_int(argv[6], &b->batch) && b->batch > 0, THAW_ERR_USAGE,
               "BATCH \"%s\" is no number", argv[6]);
    b->arch = argv[1];
    b->rung = argv[3];
    b->mode = (bench_mode)mode;
    b->backend = argc > 7 ? argv[7] : "auto";
    b->plain = argc > 8 && strcmp(argv[8], "float") == 0;
    return THAW_OK;
}

static thaw_status run(bench *b, int argc, char **argv)
{
    THAW_TRY(read_arguments(b, argc, argv)); /* uniform */
    THAW_TRY(open_model(b));                 /* uniform */
    bool first = thaw_comm_rank(b->comm) == 0;
    if (first)
        begin_choices(b);
    thaw_status status = first ? open_plans(b) : THAW_OK;
    THAW_TRY(thaw_agree(b->comm, status));
    THAW_TRY(thaw_agree(b->comm, share_choices(b)));
    status = first ? THAW_OK : open_plans(b);
    THAW_TRY(thaw_agree(b->comm, status));
    if (b->plan != NULL) {
        THAW_TRY(open_reducer(b));   /* uniform */
        THAW_TRY(open_optimizer(b)); /* uniform */
    }
    THAW_TRY(open_data(b)); /* uniform */
    return measure(b);
}

/* Memory is left to the end of the process. */
int main(int argc, char **argv)
{
    static bench b;
    if (argc < 7) {
        printf("usage: bench_step ARCH SIDE RUNG MODE SECONDS BATCH [BACKEND [exact|float]]\n");
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
