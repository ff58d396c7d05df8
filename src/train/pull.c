#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* How hard the loss pulls at each block of a frozen backbone: steps of the whole network with all rates 0, whose gradients are looked at. */

typedef struct pulling {
    thaw_setup setup;
    thaw_trainer trainer;
    double *weight; /* (blocks) squared norm of the block's parameters; they do not move */
    int32_t blocks;
} pulling;

/* What is left of the run is the network, the data and the loss: nothing moves, and sums are exact for any number of ranks. */
static void still(const thaw_config *from, const char *head, thaw_config *out)
{
    *out = *from; /* borrows */
    out->rung = (char *)"full";
    out->phases = (thaw_tables){0};
    out->rates = (thaw_rates){.layer_decay = 1, .reason = from->rates.reason};
    thaw_optim_defaults(&out->optimizer);
    out->optimizer.kind = 0;
    out->optimizer.momentum = 0;
    out->optimizer.nesterov = false;
    out->optimizer.weight_decay = 0;
    out->train.reduce = THAW_REDUCE_EXACT;
    out->train.shard_optimizer = false;
    out->train.ema = 0;
    out->train.bss = 0;
    out->train.frozen_precision = THAW_PRECISION_F32;
    out->train.head_from = (char *)head;
    out->train.adapter_from = (char *)"";
}

/* Batch norms stay as the frozen run has them: with the statistics of a shard it would be another network. */
static thaw_status hold_batch_norms(thaw_graph *g)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        if (strcmp(thaw_node_kind(thaw_graph_node(g, p->node)), "batch_norm") == 0)
            p->trainable = false;
    }
    return thaw_graph_analyze(g);
}

/* The reduced tensors of a block's own parameters; -1: it is of the head, or a statistic. */
static int32_t block_of(const thaw_trainer *t, int32_t reduced)
{
    const thaw_reduced *r = thaw_plan_reduced(t->train_plan, reduced);
    return r->statistic ? -1 : thaw_graph_param(t->setup->model->graph, r->param)->block;
}

static double squares(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

/* One batch's ratio of each row. */
static void look(const pulling *p, double weight, const thaw_pulls *out, double *ratios)
{
    const thaw_trainer *t = &p->trainer;
    for (int64_t row = 0; row < out->count; row++)
        ratios[row] = 0;
    for (int32_t i = 0; i < t->reduced_count; i++) {
        const int32_t block = block_of(t, i);
        if (block < 0)
            continue;
        const double sum = squares(t->sums[i], thaw_plan_reduced(t->train_plan, i)->count);
        for (int64_t row = 0; row < out->count; row++)
            if (out->rows[row].block == block)
                ratios[row] += sum;
    }
    for (int64_t row = 0; row < out->count; row++)
        ratios[row] = sqrt(ratios[row]) / weight / out->rows[row].weight;
}

/* Blocks with parameters that have a gradient and are not all 0. */
static thaw_status list_blocks(pulling *p, thaw_pulls *out)
{
    const thaw_graph *g = p->setup.model->graph;
    const thaw_trainer *t = &p->trainer;
    int64_t *parameters = NULL;
    thaw_status status;
    p->blocks = thaw_graph_block_count(g);
    THAW_TRY_TO(thaw_alloc(&p->weight, p->blocks, sizeof *p->weight));
    THAW_TRY_TO(thaw_alloc(&parameters, p->blocks, sizeof *parameters));
    THAW_TRY_TO(thaw_alloc(&out->rows, p->blocks, sizeof *out->rows));
    for (int32_t i = 0; i < t->reduced_count; i++) {
        const thaw_reduced *r = thaw_plan_reduced(t->train_plan, i);
        const int32_t block = block_of(t, i);
        if (block < 0)
            continue;
        p->weight[block] += squares(thaw_graph_param(g, r->param)->data, r->count);
        parameters[block] += r->count;
    }
    for (int32_t block = 0; block < p->blocks; block++) {
        if (!(p->weight[block] > 0))
            continue;
        thaw_block_pull *row = &out->rows[out->count++];
        row->block = block;
        row->parameters = parameters[block];
        row->weight = sqrt(p->weight[block]);
        (void)thaw_copy(row->name, sizeof row->name, thaw_graph_block_name(g, block));
    }
    status = THAW_OK;
done:
    thaw_free(&parameters);
    return status;
}

static void summarize(thaw_pulls *out, double level)
{
    for (int64_t row = 0; row < out->count; row++) {
        thaw_block_pull *r = &out->rows[row];
        r->interval =
            thaw_student_interval(out->ratios + row, out->batches, out->count, level, &r->ratio);
    }
}

static thaw_status step_through(pulling *p, thaw_comm *comm, double level, thaw_pulls *out)
{
    thaw_trainer *t = &p->trainer;
    const int64_t steps = thaw_sampler_steps(&t->sampler);
    out->batches = out->batches < steps ? out->batches : steps;
    out->batch = t->config->train.batch;
    thaw_status status = list_blocks(p, out);
    if (status == THAW_OK)
        status = thaw_alloc(&out->ratios, out->batches * out->count, sizeof *out->ratios);
    THAW_TRY(thaw_agree(comm, status));
    for (int64_t i = 0; i < out->batches; i++) {
        const double before = t->state.weight_sum;
        THAW_TRY(thaw_trainer_step(t, comm));
        THAW_CHECK(!t->stop, THAW_ERR_STOPPED, /* uniform */
                   "stopped on request while gradients were looked at");
        look(p, t->state.weight_sum - before, out, out->ratios + i * out->count);
    }
    summarize(out, level);
    return THAW_OK;
}

thaw_status thaw_pull_blocks(thaw_comm *comm, const thaw_config *config, const char *head,
                             int64_t batches, thaw_pulls *out)
{
    const double begun = thaw_seconds();
    const thaw_run_options options = {.quiet = true};
    thaw_config as_is;
    thaw_watchdog *watchdog = NULL;
    pulling p = {0};
    *out = (thaw_pulls){.batches = batches};
    still(config, head, &as_is);
    THAW_TRY(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    const char *phase = thaw_beat_phase("looking at gradients");
    thaw_status status;
    THAW_TRY_TO(thaw_setup_open(comm, &as_is, "full", THAW_SETUP_TRAIN, &p.setup));
    THAW_TRY_TO(thaw_agree(comm, hold_batch_norms(p.setup.model->graph)));
    THAW_TRY_TO(thaw_choices_begin(comm, &p.setup, NULL, NULL));
    THAW_TRY_TO(thaw_trainer_open(comm, &p.setup, &options, NULL, &p.trainer));
    status = step_through(&p, comm, config->ladder.confidence, out);
    thaw_trainer_close(&p.trainer);
done:
    thaw_beat_phase(phase);
    thaw_watchdog_stop(&watchdog);
    thaw_free(&p.weight);
    thaw_setup_close(&p.setup);
    if (status != THAW_OK)
        thaw_pulls_clear(out);
    out->seconds = thaw_seconds() - begun;
    return status;
}

void thaw_pulls_clear(thaw_pulls *pulls)
{
    thaw_free(&pulls->ratios);
    thaw_free(&pulls->rows);
    *pulls = (thaw_pulls){0};
}
