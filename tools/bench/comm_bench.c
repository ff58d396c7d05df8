/* comm_bench.c - what gradient sums cost, for tools/bench/comm. Every round runs all sides one after another.
 *
 *   bench_comm sizes SECONDS                       reducer modes and plain MPI_Allreduce, 1 KB to 100 MB of float
 *   bench_comm step ARCH SIDE BATCH SECONDS [RUNG] share of a step of one network (full), modes alternating step by step
 *
 *   bench_comm error ARCH SIDE BATCH               errors of sums over 24 shards of BATCH samples, on one rank
 *
 * A size is timed from begin to the last get with one shard a rank: rounding, collective, and back. The slowest rank counts.
 * Of a step: what ranks wait in collectives on average (waiting), and what the last of them to come still waits (moving), which
 * is the network's part. Rounding (adding, getting) and cpu are seconds of the process's own work, busy waiting included in cpu. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mpi.h>

#include "thaw/adapt.h"
#include "thaw/comm.h"
#include "thaw/model.h"
#include "thaw/optim.h"

enum { MOST_ROUNDS = 4096, CLASSES = 10, CHANNELS = 3, MODES = 3, SIDES = 4 };
typedef enum part { STEP, ADDING, WAITING, MOVING, GETTING, CPU, PARTS } part;
static const char *const mode_names[SIDES] = {"exact", "exact64", "float", "mpi"};

typedef struct samples {
    double of[MOST_ROUNDS];
    int64_t count;
} samples;

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(samples *s, double share)
{
    qsort(s->of, (size_t)s->count, sizeof s->of[0], by_size);
    return s->of[(int64_t)((double)(s->count - 1) * share)];
}

static void keep(samples *s, double value)
{
    if (s->count < MOST_ROUNDS)
        s->of[s->count++] = value;
}

/* ---- Sizes ------------------------------------------------------------------------------------------------- */

static thaw_status sum_once(thaw_reducer *r, thaw_comm *comm, int32_t tensors, float **data)
{
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    while (outcome == THAW_REDUCE_REDO) {
        thaw_reducer_begin(r);
        for (int32_t t = 0; t < tensors; t++) {
            thaw_reducer_add(r, t, data[t]);
            thaw_reducer_ready(r, comm, t);
        }
        THAW_TRY(thaw_reducer_finish(r, comm, &outcome)); /* uniform */
    }
    for (int32_t t = 0; t < tensors; t++)
        thaw_reducer_get(r, t, 0.5, data[t]);
    return THAW_OK;
}

static bool all_want_more(thaw_comm *comm, bool mine)
{
    int64_t more = mine;
    thaw_allreduce_min_int64(comm, &more, 1);
    return more != 0;
}

static thaw_status time_size(thaw_comm *comm, int64_t bytes, double seconds, float *data)
{
    static samples times[SIDES];
    thaw_reducer *r[MODES] = {NULL};
    const int64_t n = bytes / 4;
    for (int m = 0; m < MODES; m++) {
        const thaw_reducer_options options = {.mode = (thaw_reduce_mode)m,
                                              .shards = thaw_comm_size(comm)};
        THAW_TRY(thaw_agree(comm, thaw_reducer_new(&n, 1, &options, &r[m])));
        THAW_TRY(thaw_reducer_share(r[m], comm)); /* uniform */
    }
    memset(times, 0, sizeof times);
    const double start = thaw_seconds();
    bool more = true;
    for (int64_t round = 0; more; round++) {
        for (int side = 0; side < SIDES; side++) {
            for (int64_t i = 0; i < n; i++)
                data[i] = (float)(i % 101 - 50) * 0.01F;
            thaw_barrier(comm);
            const double at = thaw_seconds();
            if (side < MODES)
                THAW_TRY(sum_once(r[side], comm, 1, &data)); /* uniform */
            else
                MPI_Allreduce(MPI_IN_PLACE, data, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
            double took = thaw_seconds() - at;
            thaw_allreduce_max_double(comm, &took, 1);
            if (round > 1)
                keep(&times[side], took);
        }
        more = all_want_more(comm, round < 6 ||
                                       (round < MOST_ROUNDS && thaw_seconds() - start < seconds));
    }
    for (int side = 0; side < SIDES && thaw_comm_rank(comm) == 0; side++)
        printf("size %lld %s %.2f\n", (long long)bytes, mode_names[side],
               quantile(&times[side], 0.5) * 1e6);
    for (int m = 0; m < MODES; m++)
        thaw_reducer_free(&r[m]);
    return THAW_OK;
}

static thaw_status time_sizes(thaw_comm *comm, double seconds)
{
    static const int64_t sizes[] = {1 << 10,           16 << 10,          256 << 10,
                                    1 << 20,           (int64_t)4 << 20,  (int64_t)16 << 20,
                                    (int64_t)44700000, (int64_t)100 << 20};
    float *data = NULL;
    THAW_TRY(thaw_agree(comm, thaw_alloc(&data, (100 << 20) / 4, sizeof *data)));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        THAW_TRY(time_size(comm, sizes[i], seconds, data)); /* uniform */
    thaw_free(&data);
    return THAW_OK;
}

/* ---- A step ------------------------------------------------------------------------------------------------ */

typedef struct bench {
    thaw_kern *kern;
    thaw_model *model;
    thaw_plan *plan;
    thaw_reducer *reducers[MODES];
    thaw_reducer *reducer; /* of this step */
    thaw_optimizer *optimizer;
    thaw_comm *comm;
    int64_t batch, side;
    float *input, *loss, *probs;
    int32_t *labels;
    int64_t *ids;
    float **sums;
    const float **gradients;
    double parts[PARTS]; /* seconds of this step; MOVING is taken from WAITING */
    int64_t redone;
} bench;

static thaw_status open_model(bench *b, const char *arch, const char *rung_name)
{
    thaw_rung rung;
    thaw_peft peft;
    char name[64];
    const bool lora = strcmp(rung_name, "lora") == 0;
    thaw_peft_defaults(&peft);
    (void)thaw_copy(name, sizeof name, arch);
    thaw_model_spec spec = {.arch = name, .C = CHANNELS, .H = b->side, .W = b->side, .K = CLASSES};
    THAW_TRY(thaw_kern_open("auto", &b->kern));
    THAW_TRY(thaw_rung_parse(lora ? "peft" : rung_name, &rung));
    THAW_TRY(thaw_model_new(&spec, &b->model));
    thaw_model_initialize(b->model, 1);
    THAW_TRY(thaw_adapt_apply(b->model, &rung, &peft, 1));
    thaw_plan_options options = {
        .batch = b->batch, .training = true, .from = -1, .to = -1, .keep = -1};
    return thaw_plan_new(b->model->graph, b->kern, &options, &b->plan);
}

static thaw_status open_reducers(bench *b, int64_t shards)
{
    const int32_t count = thaw_plan_reduced_count(b->plan);
    int64_t *sizes = NULL;
    THAW_TRY(thaw_alloc(&sizes, count, sizeof *sizes));
    THAW_TRY(thaw_alloc(&b->sums, count, sizeof *b->sums));
    for (int32_t i = 0; i < count; i++) {
        sizes[i] = thaw_plan_reduced(b->plan, i)->count;
        THAW_TRY(thaw_alloc(&b->sums[i], sizes[i], sizeof **b->sums));
    }
    for (int m = 0; m < MODES; m++) {
        const thaw_reducer_options options = {
            .mode = (thaw_reduce_mode)m, .shards = shards, .counts = 1, .sums = 1};
        THAW_TRY(thaw_agree(b->comm, thaw_reducer_new(sizes, count, &options, &b->reducers[m])));
        THAW_TRY(thaw_reducer_share(b->reducers[m], b->comm)); /* uniform */
    }
    thaw_free(&sizes);
    return THAW_OK;
}

static thaw_status open_optimizer(bench *b)
{
    const thaw_graph *g = b->model->graph;
    const int32_t params = thaw_graph_param_count(g);
    thaw_optim_tensor *tensors = NULL;
    int32_t count = 0;
    THAW_TRY(thaw_alloc(&tensors, params, sizeof *tensors));
    THAW_TRY(thaw_alloc(&b->gradients, params, sizeof *b->gradients));
    for (int32_t r = 0; r < thaw_plan_reduced_count(b->plan); r++) {
        const thaw_reduced *reduced = thaw_plan_reduced(b->plan, r);
        const thaw_param *p = thaw_graph_param(g, reduced->param);
        if (reduced->statistic)
            continue;
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
    /* Labels are random: there is nothing to learn, and a network of random weights soon overflows. */
    rates.head = rates.backbone = 1e-6;
    const thaw_status status = thaw_optimizer_new(&config, &rates, tensors, count, &b->optimizer);
    thaw_free(&tensors);
    return status;
}

static thaw_status open_data(bench *b, int64_t batches)
{
    const int64_t count = batches * b->batch * CHANNELS * b->side * b->side;
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

/* Rounding waits for nobody: seconds of the process's own work, which other load does not stretch. */
static double own_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void on_ready(void *context, int32_t index)
{
    bench *b = context;
    const double own = own_seconds();
    thaw_reducer_add(b->reducer, index, thaw_plan_reduced(b->plan, index)->data);
    b->parts[ADDING] += own_seconds() - own;
    const double at = thaw_seconds();
    thaw_reducer_ready(b->reducer, b->comm, index);
    b->parts[WAITING] += thaw_seconds() - at;
}

static void on_progress(void *context)
{
    bench *b = context;
    const double at = thaw_seconds();
    thaw_reducer_progress(b->reducer, b->comm);
    b->parts[WAITING] += thaw_seconds() - at;
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
    const double at = thaw_seconds();
    const thaw_status status = thaw_reducer_finish(b->reducer, b->comm, outcome);
    b->parts[WAITING] += thaw_seconds() - at;
    return status;
}

static thaw_status one_step(bench *b, uint32_t step)
{
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    memset(b->parts, 0, sizeof b->parts);
    for (int tries = 0; outcome == THAW_REDUCE_REDO; tries++) {
        THAW_TRY(one_try(b, step, &outcome)); /* uniform */
        b->redone += tries > 0;
    }
    THAW_CHECK(outcome == THAW_REDUCE_OK, THAW_ERR_NUMERIC,
               "a gradient is not finite"); /* uniform */
    const double own = own_seconds();
    for (int32_t i = 0; i < thaw_plan_reduced_count(b->plan); i++)
        thaw_reducer_get(b->reducer, i, 1.0, b->sums[i]);
    b->parts[GETTING] = own_seconds() - own;
    return thaw_optimizer_step(b->optimizer, b->gradients,
                               1.0 / (double)thaw_reducer_count(b->reducer, 0), 1.0, NULL);
}

/* The slowest rank counts, but for waits: of them the mean, and the least. Nothing is received before the last rank has come, so that
 * what it waits is what moving takes. */
static void keep_parts(bench *b, samples *parts)
{
    thaw_fixed wait = {0};
    double least = -b->parts[WAITING];
    thaw_fixed_add(&wait, b->parts[WAITING]);
    thaw_allreduce_sum_fixed(b->comm, &wait, 1);
    thaw_allreduce_max_double(b->comm, &least, 1);
    thaw_allreduce_max_double(b->comm, b->parts, PARTS);
    b->parts[WAITING] = thaw_fixed_value(&wait) / thaw_comm_size(b->comm);
    b->parts[MOVING] = -least;
    for (int p = 0; p < PARTS; p++)
        keep(&parts[p], b->parts[p]);
}

static thaw_status timed_step(bench *b, uint32_t step)
{
    thaw_barrier(b->comm);
    const double at = thaw_seconds();
    const double own = own_seconds();
    THAW_TRY(one_step(b, step)); /* uniform */
    b->parts[STEP] = thaw_seconds() - at;
    b->parts[CPU] = own_seconds() - own;
    return THAW_OK;
}

static void print_step(const bench *b, const char *arch, const char *mode, samples *parts,
                       samples *over)
{
    printf("step %s@%lld %s step_ms %.3f adding_ms %.3f waiting_ms %.3f getting_ms %.3f "
           "over_float %.4f steps %lld least_step_ms %.3f least_waiting_ms %.3f moving_ms %.3f "
           "cpu_ms %.3f\n",
           arch, (long long)b->side, mode, quantile(&parts[STEP], 0.5) * 1e3,
           quantile(&parts[ADDING], 0.5) * 1e3, quantile(&parts[WAITING], 0.5) * 1e3,
           quantile(&parts[GETTING], 0.5) * 1e3, quantile(over, 0.5), (long long)parts[STEP].count,
           quantile(&parts[STEP], 0) * 1e3, quantile(&parts[WAITING], 0) * 1e3,
           quantile(&parts[MOVING], 0.5) * 1e3, quantile(&parts[CPU], 0.5) * 1e3);
}

static thaw_status time_step(bench *b, const char *arch, double seconds)
{
    static samples parts[MODES][PARTS], over[MODES];
    const double start = thaw_seconds();
    bool more = true;
    uint32_t step = 0;
    for (int64_t round = 0; more; round++) {
        double took[MODES];
        /* Each mode first in turn: what follows a barrier is not like what follows a step. */
        for (int i = 0; i < MODES; i++) {
            const int m = (int)((round + i) % MODES);
            b->reducer = b->reducers[m];
            THAW_TRY(timed_step(b, step++)); /* uniform */
            took[m] = b->parts[STEP];
            thaw_allreduce_max_double(b->comm, &took[m], 1);
            if (round > 1)
                keep_parts(b, parts[m]);
        }
        for (int m = 0; m < MODES && round > 1; m++)
            keep(&over[m], took[m] / took[THAW_REDUCE_FLOAT] - 1);
        more = all_want_more(
            b->comm, round < 4 || (round < MOST_ROUNDS && thaw_seconds() - start < seconds));
    }
    for (int m = 0; m < MODES && thaw_comm_rank(b->comm) == 0; m++)
        print_step(b, arch, mode_names[m], parts[m], &over[m]);
    return THAW_OK;
}

/* ---- Errors ------------------------------------------------------------------------------------------------ */

/* Beside the modes: how far the sum in double moves when the plain kernels compute the shards. */
enum { SHARDS = 24, PLAIN = MODES, SUMS };
static const char *const sum_names[SUMS] = {"exact", "exact64", "float", "kernels"};

/* One shard forward and backward; its inputs are the run's input from sample shard * batch on. */
static void run_shard(bench *b, thaw_plan *plan, int shard)
{
    double weight = 0;
    const thaw_run run = {.B = b->batch,
                          .input = b->input + shard * b->batch * CHANNELS * b->side * b->side,
                          .sample_ids = b->ids,
                          .training = true};
    thaw_plan_forward(plan, &run);
    thaw_kern_softmax_cross_entropy(b->batch, CLASSES,
                                    thaw_plan_value(plan, thaw_graph_logits(b->model->graph)),
                                    b->labels, 0, NULL, b->loss, b->probs, &weight);
    thaw_kern_softmax_cross_entropy_backward(b->batch, CLASSES, b->probs, b->labels, 0, NULL,
                                             thaw_plan_output_gradient(plan));
    thaw_plan_backward(plan, &run, NULL, NULL, NULL);
}

/* Adds every reduced tensor of the plan to double sums, one after another. */
static void add_plainly(const thaw_plan *plan, double *sums)
{
    for (int32_t t = 0; t < thaw_plan_reduced_count(plan); t++) {
        const thaw_reduced *from = thaw_plan_reduced(plan, t);
        for (int64_t i = 0; i < from->count; i++)
            sums[i] += (double)from->data[i];
        sums += from->count;
    }
}

static thaw_status sum_in_all_modes(bench *b, double *truth)
{
    /* The same shards again and again, so that quanta have come down to the bounds. */
    for (int step = 0; step < 16; step++) {
        thaw_reduce_outcome outcome = THAW_REDUCE_OK;
        for (int m = 0; m < MODES; m++)
            thaw_reducer_begin(b->reducers[m]);
        for (int s = 0; s < SHARDS; s++) {
            run_shard(b, b->plan, s);
            for (int32_t t = 0; t < thaw_plan_reduced_count(b->plan); t++)
                for (int m = 0; m < MODES; m++)
                    thaw_reducer_add(b->reducers[m], t, thaw_plan_reduced(b->plan, t)->data);
            if (step == 0)
                add_plainly(b->plan, truth);
        }
        for (int m = 0; m < MODES; m++)
            THAW_TRY(thaw_reducer_finish(b->reducers[m], b->comm, &outcome)); /* uniform */
    }
    return THAW_OK;
}

/* Relative error of one tensor: root of the mean square, or the largest over the largest. */
static double error_of(int64_t n, const float *sum, const double *other, const double *truth,
                       bool largest)
{
    double off = 0;
    double all = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = (sum != NULL ? (double)sum[i] : other[i]) - truth[i];
        off = largest ? fmax(off, fabs(e)) : off + e * e;
        all = largest ? fmax(all, fabs(truth[i])) : all + truth[i] * truth[i];
    }
    return all == 0 ? 0 : largest ? off / all : sqrt(off / all);
}

/* Over the tensors that mode exact sums in 32 bits. */
static void print_errors(bench *b, const double *truth, const double *plain)
{
    static samples rms[SUMS], most[SUMS];
    for (int32_t t = 0; t < thaw_plan_reduced_count(b->plan); t++) {
        const int64_t n = thaw_plan_reduced(b->plan, t)->count;
        for (int m = 0; m < SUMS && n > 16384; m++) {
            const float *sum = m == PLAIN ? NULL : b->sums[t];
            if (m != PLAIN)
                thaw_reducer_get(b->reducers[m], t, 1.0, b->sums[t]);
            keep(&rms[m], error_of(n, sum, plain, truth, false));
            keep(&most[m], error_of(n, sum, plain, truth, true));
        }
        truth += n;
        plain += n;
    }
    for (int m = 0; m < SUMS; m++)
        printf("error %s %d tensors: rms median %.1e worst %.1e; largest median %.1e worst %.1e\n",
               sum_names[m], (int)rms[m].count, quantile(&rms[m], 0.5), quantile(&rms[m], 1),
               quantile(&most[m], 0.5), quantile(&most[m], 1));
}

static thaw_status measure_errors(bench *b)
{
    thaw_plan *plan = NULL;
    thaw_kern *ref = NULL;
    double *truth = NULL;
    double *plain = NULL;
    int64_t total = 0;
    for (int32_t t = 0; t < thaw_plan_reduced_count(b->plan); t++)
        total += thaw_plan_reduced(b->plan, t)->count;
    THAW_TRY(thaw_alloc(&truth, total, sizeof *truth));
    THAW_TRY(thaw_alloc(&plain, total, sizeof *plain));
    THAW_TRY(thaw_kern_open("ref", &ref));
    thaw_plan_options options = {
        .batch = b->batch, .training = true, .from = -1, .to = -1, .keep = -1};
    THAW_TRY(thaw_plan_new(b->model->graph, ref, &options, &plan));
    THAW_TRY(sum_in_all_modes(b, truth)); /* uniform */
    for (int s = 0; s < SHARDS; s++) {
        run_shard(b, plan, s);
        add_plainly(plan, plain);
    }
    print_errors(b, truth, plain);
    return THAW_OK;
}

typedef struct request {
    bool sizes, error;
    const char *arch, *rung;
    double seconds;
    int64_t side, batch;
} request;

static thaw_status run_network(thaw_comm *comm, const request *q)
{
    static bench b;
    b.comm = comm;
    b.side = q->side;
    b.batch = q->batch;
    thaw_status status = open_model(&b, q->arch, q->rung);
    if (status == THAW_OK)
        status = open_reducers(&b, q->error ? SHARDS : thaw_comm_size(comm));
    if (status == THAW_OK)
        status = open_optimizer(&b);
    if (status == THAW_OK)
        status = open_data(&b, q->error ? SHARDS : 1);
    THAW_TRY(thaw_agree(comm, status));
    return q->error ? measure_errors(&b) : time_step(&b, q->arch, q->seconds);
}

static bool understood(int argc, char **argv, request *q)
{
    const char *what = argc > 1 ? argv[1] : "";
    q->sizes = argc == 3 && strcmp(what, "sizes") == 0;
    q->error = argc == 5 && strcmp(what, "error") == 0;
    const bool step = (argc == 6 || argc == 7) && strcmp(what, "step") == 0;
    if (!q->sizes && !q->error && !step)
        return false;
    q->arch = argv[2];
    q->rung = argc == 7 ? argv[6] : "full";
    if (!q->error && !thaw_parse_double(argv[q->sizes ? 2 : 5], &q->seconds))
        return false;
    return q->sizes || (thaw_parse_int(argv[3], &q->side) && thaw_parse_int(argv[4], &q->batch));
}

/* Memory is left to the end of the process. */
int main(int argc, char **argv)
{
    thaw_comm *comm = NULL;
    request q = {0};
    if (!understood(argc, argv, &q)) {
        printf("usage: bench_comm sizes SECONDS | step ARCH SIDE BATCH SECONDS [RUNG] | "
               "error ARCH SIDE BATCH\n");
        return 2;
    }
    thaw_status status = thaw_comm_start(&argc, &argv, &comm);
    if (status == THAW_OK && q.sizes)
        status = time_sizes(comm, q.seconds);
    else if (status == THAW_OK)
        status = run_network(comm, &q);
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    thaw_comm_stop(&comm);
    return thaw_status_exit_code(status);
}
