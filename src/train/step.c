#include "train/train_impl.h"

#include <math.h>
#include <signal.h>

/* One training step: every shard of this rank runs forward and backward, its gradient goes into the reducer as soon as it is there,
 * and in the last shard a full bucket leaves while backward goes on. The reducer's outcome is the same on every rank. */

typedef struct step_context {
    thaw_trainer *trainer;
    thaw_comm *comm;
    bool last_shard;
} step_context;

static void on_ready(void *context, int32_t index)
{
    step_context *c = context;
    thaw_trainer *t = c->trainer;
    thaw_reducer_add(t->reducer, index, thaw_plan_reduced(t->train_plan, index)->data);
    if (c->last_shard)
        thaw_reducer_ready(t->reducer, c->comm, index);
}

static void on_progress(void *context)
{
    step_context *c = context;
    thaw_reducer_progress(c->trainer->reducer, c->comm);
}

/* The class of the largest logit, the first one when several are equal, is the label. */
static bool is_right(int64_t K, const float *logits, int32_t label)
{
    for (int32_t k = 0; k < K; k++) {
        if (logits[k] > logits[label] || (logits[k] == logits[label] && k < label))
            return false;
    }
    return true;
}

/* Loss of the shard and the gradient of its *sum*; division by the global weight comes after the reduction, once. */
static void shard_loss(thaw_trainer *t, int64_t B)
{
    const int64_t K = thaw_dataset_classes(t->setup->dataset);
    const float smoothing = (float)t->config->train.label_smoothing;
    const float *logits = thaw_plan_value(t->train_plan, thaw_graph_logits(t->setup->model->graph));
    double ignored = 0;
    thaw_kern_softmax_cross_entropy(B, K, logits, t->labels, smoothing, t->class_weights, t->loss,
                                    t->probs, &ignored);
    thaw_kern_softmax_cross_entropy_backward(B, K, t->probs, t->labels, smoothing, t->class_weights,
                                             thaw_plan_output_gradient(t->train_plan));
    int64_t correct = 0;
    for (int64_t i = 0; i < B; i++) {
        const double weight =
            t->class_weights == NULL ? 1.0 : (double)t->class_weights[t->labels[i]];
        thaw_reducer_add_sum(t->reducer, THAW_SUM_LOSS, (double)t->loss[i]);
        thaw_reducer_add_sum(t->reducer, THAW_SUM_WEIGHT, weight);
        correct += is_right(K, logits + i * K, t->labels[i]);
    }
    thaw_reducer_add_count(t->reducer, THAW_WORD_SAMPLES, B);
    thaw_reducer_add_count(t->reducer, THAW_WORD_CORRECT, correct);
}

static thaw_status run_shard(thaw_trainer *t, thaw_run *run, int64_t shard, step_context *context)
{
    int64_t begin;
    int64_t end;
    const uint32_t epoch = (uint32_t)t->position.epoch;
    thaw_sampler_shard(&t->sampler, t->position.step_in_epoch, shard, &begin, &end);
    thaw_sampler_fill(&t->sampler, epoch, t->position.step_in_epoch, begin, end, t->indices);
    run->B = end - begin;
    THAW_TRY(thaw_feed_read(&t->train, epoch, run->B, t->indices, t->input));
    const int32_t *labels = thaw_dataset_labels(t->setup->dataset, t->setup->train);
    for (int64_t i = 0; i < run->B; i++)
        t->labels[i] = labels[t->indices[i]];
    thaw_plan_forward(t->train_plan, run);
    shard_loss(t, run->B);
    thaw_plan_backward(t->train_plan, run, on_ready, on_progress, context);
    return THAW_OK;
}

static bool stop_wanted(const thaw_trainer *t)
{
    const thaw_run_options *o = t->options;
    return thaw_stop_requested() || (o->stop != NULL && o->stop(o->stop_context));
}

/* Everything up to the sums. A rank that fails stays present: it stops adding and goes on to the common end. */
static thaw_status run_shards(thaw_trainer *t, thaw_comm *comm, thaw_reduce_outcome *outcome)
{
    const int64_t size = thaw_comm_size(comm);
    const int64_t first = t->sampler.shards * thaw_comm_rank(comm) / size;
    const int64_t last = t->sampler.shards * (thaw_comm_rank(comm) + 1) / size;
    step_context context = {.trainer = t, .comm = comm};
    thaw_run run = {.input = t->input,
                    .sample_ids = t->indices,
                    .seed = (uint64_t)t->config->seed,
                    .step = (uint32_t)t->position.step,
                    .training = true};
    thaw_reducer_begin(t->reducer);
    if (stop_wanted(t))
        thaw_reducer_add_count(t->reducer, THAW_WORD_STOP, 1);
    thaw_status status = t->pending;
    if (status == THAW_OK && thaw_fault("step"))
        status = THAW_FAIL(THAW_ERR_FAIL, "training step %lld failed (injected fault)",
                           (long long)t->position.step);
    for (int64_t shard = first; shard < last && status == THAW_OK; shard++) {
        context.last_shard = shard == last - 1;
        status = run_shard(t, &run, shard, &context);
    }
    thaw_reducer_fail(t->reducer, status);
    return thaw_reducer_finish(t->reducer, comm, outcome);
}

static thaw_status not_finite(const thaw_trainer *t)
{
    const int32_t culprit = thaw_reducer_culprit(t->reducer);
    const char *what = "the loss";
    if (culprit >= 0)
        what = thaw_graph_param(t->setup->model->graph,
                                thaw_plan_reduced(t->train_plan, culprit)->param)
                   ->name;
    return THAW_FAIL(THAW_ERR_NUMERIC,
                     "step %lld (epoch %lld): %s%s is not finite; lower the learning rates "
                     "(rates.head %g, rates.backbone "
                     "%g) or set optimizer.clip_norm",
                     (long long)t->position.step, (long long)t->position.epoch,
                     culprit >= 0 ? "the gradient of " : "", what, t->config->rates.head,
                     t->config->rates.backbone);
}

/* running = (1 - m) * running + m * sum(B * statistic) / N, once for the whole batch. */
static void update_statistics(thaw_trainer *t, int64_t samples)
{
    const thaw_graph *graph = t->setup->model->graph;
    for (int32_t i = 0; i < t->reduced_count; i++) {
        const thaw_reduced *r = thaw_plan_reduced(t->train_plan, i);
        if (!r->statistic)
            continue;
        const thaw_param *p = thaw_graph_param(graph, r->param);
        const float m = thaw_graph_node(graph, p->node)->attr.batch_norm.momentum;
        thaw_kern_scale(r->count, 1.0f - m, p->data);
        thaw_kern_axpy(r->count, m / (float)samples, t->sums[i], p->data);
    }
}

static void move_on(thaw_trainer *t, double loss, double weight, int64_t samples)
{
    t->state.loss_sum += loss;
    t->state.weight_sum += weight;
    t->state.samples += samples;
    t->state.samples_seen += samples;
    t->state.correct += thaw_reducer_count(t->reducer, THAW_WORD_CORRECT);
    t->last_loss = loss / weight;
    t->stop = thaw_reducer_count(t->reducer, THAW_WORD_STOP) > 0;
    t->position.step++;
    t->position.step_in_epoch++;
}

static thaw_status apply(thaw_trainer *t)
{
    const int64_t samples = thaw_reducer_count(t->reducer, THAW_WORD_SAMPLES);
    const double weight = thaw_reducer_sum(t->reducer, THAW_SUM_WEIGHT);
    const double loss = thaw_reducer_sum(t->reducer, THAW_SUM_LOSS);
    for (int32_t i = 0; i < t->reduced_count; i++)
        thaw_reducer_get(t->reducer, i, 1.0, t->sums[i]);
    t->factor =
        thaw_schedule_factor(&t->config->schedule, t->position.step, thaw_trainer_total_steps(t));
    thaw_step_report report = {0};
    THAW_TRY(thaw_optimizer_step(t->optimizer, t->gradients, 1.0 / weight, t->factor, &report));
    t->last_norm = report.gradient_norm;
    update_statistics(t, samples);
    move_on(t, loss, weight, samples);
    return THAW_OK;
}

thaw_status thaw_trainer_step(thaw_trainer *trainer, thaw_comm *comm)
{
    if (thaw_fault("kill_step"))
        (void)raise(SIGKILL);
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    for (int tries = 0; outcome == THAW_REDUCE_REDO; tries++) {
        THAW_ASSERT(tries <
                    8); /* quanta fit after one redo; more would mean that they never will */
        const int64_t before = thaw_comm_count(comm).gradient_bytes;
        THAW_TRY(run_shards(trainer, comm, &outcome));
        trainer->bytes_per_step = thaw_comm_count(comm).gradient_bytes - before;
    }
    if (outcome == THAW_REDUCE_NOT_FINITE)
        return not_finite(trainer);
    return apply(trainer); /* every rank has the same sums, so the same status */
}
