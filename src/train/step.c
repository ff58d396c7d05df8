#include "train/parts_impl.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One training step of a team, mostly a team of one: every shard of this rank is read once and runs forward and backward in each member,
 * whose gradient goes into the reducer as soon as it is there. Shards run one after another; where batch norms take their statistics over the whole
 * batch all of a rank's go abreast, and meet those of the other ranks in each norm. In the last shard a full bucket leaves while backward goes on. The reducer's
 * outcome is the same on every rank. Member m's tensors and words follow those of the members before it. */

typedef struct step_context {
    const thaw_team *team;
    thaw_comm *comm;
    int32_t member;
    bool last_shards; /* of this rank in this step */
} step_context;

static thaw_trainer *member_of(const step_context *c)
{
    return c->team->members[c->member];
}

static int32_t count_word(const step_context *c, int32_t word)
{
    return c->member * THAW_WORD_COUNT + word;
}

static int32_t sum_word(const step_context *c, int32_t word)
{
    return c->member * THAW_SUM_COUNT + word;
}

static void on_ready(void *context, int32_t index)
{
    step_context *c = context;
    const thaw_trainer *t = member_of(c);
    const int32_t tensor = c->member * t->reduced_count + index;
    thaw_reducer_add(c->team->reducer, tensor, thaw_plan_reduced(t->train_plan, index)->data);
    if (c->last_shards && thaw_plan_turn(t->train_plan) == t->lanes.count - 1)
        thaw_reducer_ready(c->team->reducer, c->comm, tensor);
}

static void on_progress(void *context)
{
    step_context *c = context;
    thaw_reducer_progress(c->team->reducer, c->comm);
}

/* A rank's shards follow those of the rank before it, so rows come in the order of shards. */
static const double *meet_all(void *context, const double *rows, int64_t count, int64_t width,
                              int64_t *all)
{
    const step_context *c = context;
    thaw_trainer *t = member_of(c);
    const double begun = thaw_seconds();
    thaw_allgather(c->comm, rows, count * width * (int64_t)sizeof *rows, t->lanes.met);
    t->lanes.seconds += thaw_seconds() - begun;
    *all = count * thaw_comm_size(c->comm);
    return t->lanes.met;
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

/* Where samples are blended, so are loss and gradient; `batch` is of their own labels, whose are in place already. */
static void blend_loss(thaw_trainer *t, const thaw_trainer *read, const thaw_loss_batch *batch)
{
    const thaw_loss *loss = t->setup->loss;
    float *gradient = thaw_plan_output_gradient(t->train_plan);
    thaw_loss_batch other = *batch;
    other.labels = read->other_labels;
    loss->forward(&other, t->other_loss, t->outputs);
    loss->backward(&other, t->outputs, t->other_gradient);
    for (int64_t i = 0; i < batch->B; i++) {
        const float own = read->shares[i], rest = 1 - own;
        t->loss[i] = own * t->loss[i] + rest * t->other_loss[i];
        for (int64_t k = i * batch->K; k < (i + 1) * batch->K; k++)
            gradient[k] = own * gradient[k] + rest * t->other_gradient[k];
    }
}

/* Of sample i in the loss: class weights, blended as the labels are. */
static double weight_of(const thaw_trainer *t, const thaw_trainer *read, int64_t i)
{
    if (t->class_weights == NULL)
        return 1.0;
    const double own = (double)t->class_weights[read->labels[i]];
    if (read->other_labels == NULL)
        return own;
    const double share = (double)read->shares[i];
    return share * own + (1 - share) * (double)t->class_weights[read->other_labels[i]];
}

/* The label that most of sample i is of. */
static int32_t main_label(const thaw_trainer *read, int64_t i)
{
    const bool other = read->other_labels != NULL && read->shares[i] < 0.5f;
    return other ? read->other_labels[i] : read->labels[i];
}

/* Loss of the shard that `read` has read, and the gradient of its *sum*; division by the global weight comes after the reduction, once. */
static void shard_loss(const step_context *c, const thaw_trainer *read, int64_t B)
{
    thaw_trainer *t = member_of(c);
    thaw_reducer *reducer = c->team->reducer;
    const thaw_loss *loss = t->setup->loss;
    const int64_t K = thaw_dataset_classes(t->setup->dataset);
    const float *logits = thaw_plan_value(t->train_plan, thaw_graph_logits(t->setup->model->graph));
    const thaw_loss_batch batch = {.B = B,
                                   .K = K,
                                   .logits = logits,
                                   .labels = read->labels,
                                   .targets = read->targets,
                                   .smoothing = (float)t->config->train.label_smoothing,
                                   .class_weights = t->class_weights};
    loss->forward(&batch, t->loss, t->outputs);
    loss->backward(&batch, t->outputs, thaw_plan_output_gradient(t->train_plan));
    if (read->other_labels != NULL)
        blend_loss(t, read, &batch);
    if (thaw_fault("nan_step"))
        t->loss[0] = NAN;
    int64_t correct = 0;
    for (int64_t i = 0; i < B; i++) {
        thaw_reducer_add_sum(reducer, sum_word(c, THAW_SUM_LOSS), (double)t->loss[i]);
        thaw_reducer_add_sum(reducer, sum_word(c, THAW_SUM_WEIGHT), weight_of(t, read, i));
        correct += read->labels != NULL && is_right(K, logits + i * K, main_label(read, i));
    }
    thaw_reducer_add_count(reducer, count_word(c, THAW_WORD_SAMPLES), B);
    thaw_reducer_add_count(reducer, count_word(c, THAW_WORD_CORRECT), correct);
}

/* Labels or targets of what these samples are blended with. */
static void blend_labels(thaw_trainer *t, int64_t B, const int64_t *indices)
{
    const thaw_setup *s = t->setup;
    const int32_t *labels = thaw_dataset_labels(s->dataset, s->train);
    const int64_t K = thaw_dataset_classes(s->dataset);
    thaw_blend blend;
    for (int64_t i = 0; i < B; i++) {
        if (!thaw_feed_blend(&t->train, (uint32_t)t->position.epoch, indices[i], &blend))
            return;
        if (t->labels != NULL) {
            t->other_labels[i] = labels[blend.partner];
            t->shares[i] = (float)blend.share;
            continue;
        }
        thaw_setup_targets(s, thaw_dataset_targets(s->dataset, s->train), 1, &blend.partner,
                           t->other_gradient);
        for (int64_t k = 0; k < K; k++) {
            const double own = (double)t->targets[i * K + k];
            t->targets[i * K + k] =
                (float)(blend.share * own + (1 - blend.share) * (double)t->other_gradient[k]);
        }
    }
}

static void take_labels(thaw_trainer *t, int64_t B, const int64_t *indices)
{
    const thaw_setup *s = t->setup;
    const int32_t *labels = thaw_dataset_labels(s->dataset, s->train);
    for (int64_t i = 0; t->labels != NULL && i < B; i++)
        t->labels[i] = labels[indices[i]];
    if (t->targets != NULL)
        thaw_setup_targets(s, thaw_dataset_targets(s->dataset, s->train), B, indices, t->targets);
    blend_labels(t, B, indices);
}

/* Which samples a shard has depends on the batch alone. Returns how many. */
static int64_t choose_samples(thaw_trainer *t, const thaw_position *at, int64_t shard, int64_t *out)
{
    const thaw_sampler *s = &t->sampler;
    const uint32_t epoch = (uint32_t)at->epoch;
    const int64_t step = at->step_in_epoch;
    int64_t begin;
    int64_t end;
    thaw_sampler_shard(s, step, shard, &begin, &end);
    if (t->train.buckets.crops == NULL) {
        thaw_sampler_fill(s, epoch, step, begin, end, out);
        return end - begin;
    }
    const int64_t n = thaw_sampler_batch_size(s, step);
    thaw_sampler_fill(s, epoch, step, 0, n, t->batch);
    thaw_buckets_sort(&t->train.buckets, n, t->batch, t->sorted);
    memcpy(out, t->sorted + begin, (size_t)(end - begin) * sizeof *out);
    return end - begin;
}

/* The k-th shard of a rank. Where shards go from short to long they are dealt to and fro, or one rank would wait for the next: sums
 * have no order. */
static int64_t shard_of(const thaw_trainer *t, const thaw_comm *comm, int64_t k)
{
    const int64_t size = thaw_comm_size(comm);
    const int64_t rank = thaw_comm_rank(comm);
    if (t->train.buckets.crops == NULL)
        return t->sampler.shards / size * rank + k;
    return k * size + (k % 2 == 0 ? rank : size - 1 - rank);
}

/* The samples of this rank's shard that is `ahead` further on, in this step or the next: so many, and not those of a step, which a large
 * batch has no memory for. */
static void ask_ahead(thaw_trainer *t, const thaw_comm *comm, int64_t k)
{
    const int64_t mine = t->sampler.shards / thaw_comm_size(comm);
    const bool this_step = k + t->ahead < mine;
    thaw_position at = {.epoch = t->position.epoch,
                        .step_in_epoch = t->position.step_in_epoch + (this_step ? 0 : 1)};
    if (at.step_in_epoch == thaw_sampler_steps(&t->sampler))
        at = (thaw_position){.epoch = at.epoch + 1};
    if (at.epoch == t->config->train.epochs ||
        !thaw_dataset_reads_ahead(t->train.dataset, t->train.split))
        return;
    const int64_t n = choose_samples(t, &at, shard_of(t, comm, (k + t->ahead) % mine), t->coming);
    thaw_feed_ask(&t->train, (uint32_t)at.epoch, n, t->coming);
}

/* Samples and what the frozen prefix makes of them, for all members: shards first..first + lanes - 1 of this rank. */
static thaw_status read_shards(thaw_trainer *t, const thaw_comm *comm, int64_t first)
{
    const int64_t most = thaw_sampler_shard_most(&t->sampler);
    thaw_beat("reading samples");
    for (int32_t lane = 0; lane < t->lanes.count; lane++) {
        const int64_t k = first + lane;
        int64_t *indices = t->indices + lane * most;
        float *input = t->input + lane * most * t->train.width;
        ask_ahead(t, comm, k);
        const int64_t B = choose_samples(t, &t->position, shard_of(t, comm, k), indices);
        THAW_TRY(thaw_feed_read(&t->train, (uint32_t)t->position.epoch, B, indices, input));
        t->lanes.runs[lane] =
            (thaw_run){.B = B,
                       .tokens = thaw_buckets_crop(&t->train.buckets, B, indices, input),
                       .input = input,
                       .sample_ids = indices};
    }
    return THAW_OK;
}

/* The shards that `first` has read, in one member. */
static void run_member(step_context *c, thaw_trainer *first)
{
    thaw_trainer *t = member_of(c);
    const thaw_abreast all = {
        .runs = t->lanes.runs, .count = t->lanes.count, .meet = meet_all, .context = c};
    for (int32_t lane = 0; lane < t->lanes.count; lane++) {
        t->lanes.runs[lane] = first->lanes.runs[lane];
        t->lanes.runs[lane].seed = (uint64_t)t->config->seed;
        t->lanes.runs[lane].step = (uint32_t)t->position.step;
        t->lanes.runs[lane].training = true;
    }
    thaw_plan_forward_abreast(t->train_plan, &all);
    for (int32_t lane = 0; lane < t->lanes.count; lane++) {
        const thaw_run *run = &t->lanes.runs[lane];
        thaw_plan_turn_to(t->train_plan, &all, lane);
        take_labels(first, run->B, run->sample_ids);
        shard_loss(c, first, run->B);
    }
    thaw_plan_backward_abreast(t->train_plan, &all, on_ready, on_progress, c);
}

static bool stop_wanted(const thaw_trainer *t)
{
    const thaw_run_options *o = t->options;
    return thaw_stop_requested() || thaw_trainer_is_short_of_time(t) ||
           (o->stop != NULL && o->stop(o->stop_context));
}

/* The first failure of this rank that the others have yet to hear of. */
static thaw_status pending_of(const thaw_team *team)
{
    thaw_status status = THAW_OK;
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++)
        status = team->members[m]->pending;
    if (status == THAW_OK && thaw_fault("step"))
        status = THAW_FAIL(THAW_ERR_FAIL, "training step %lld failed (injected fault)",
                           (long long)team->members[0]->position.step);
    return status;
}

/* Everything up to the sums. A rank that fails stays present: it stops adding and goes on to the common end. */
static thaw_status run_shards(const thaw_team *team, thaw_comm *comm, thaw_reduce_outcome *outcome)
{
    thaw_trainer *first = team->members[0];
    const int64_t count = first->sampler.shards / thaw_comm_size(comm);
    const bool meets = first->lanes.met != NULL;
    const double waited = first->train_waited;
    const bool stop = stop_wanted(first);
    step_context context = {.team = team, .comm = comm};
    thaw_reducer_begin(team->reducer);
    for (; context.member < team->count; context.member++)
        thaw_reducer_add_count(team->reducer, count_word(&context, THAW_WORD_STOP), stop);
    thaw_status status = pending_of(team);
    for (int64_t k = 0; k < count && (status == THAW_OK || meets); k += first->lanes.count) {
        if (status == THAW_OK)
            status = read_shards(first, comm, k);
        if (meets) /* nobody may wait in a norm for a rank that failed: all lanes at once, so once a step */
            status = thaw_agree(comm, status);
        context.last_shards = k + first->lanes.count == count;
        for (context.member = 0; status == THAW_OK && context.member < team->count;
             context.member++)
            run_member(&context, first);
    }
    for (int32_t m = 0; m < team->count; m++)
        team->members[m]->data_seconds += (first->train_waited - waited) / team->count;
    thaw_reducer_fail(team->reducer, status);
    const thaw_status finished = thaw_reducer_finish(team->reducer, comm, outcome);
    thaw_dataset_pause(first->setup->dataset); /* what follows may use HDF5 */
    return finished;
}

/* Whose numbers are not finite: the culprit's owner, or the first member with a bad sum. */
static int32_t bad_member(const thaw_team *team)
{
    const int32_t culprit = thaw_reducer_culprit(team->reducer);
    if (culprit >= 0)
        return culprit / team->members[0]->reduced_count;
    int32_t word = 0;
    while (word < team->count * THAW_SUM_COUNT && !isnan(thaw_reducer_sum(team->reducer, word)))
        word++;
    THAW_ASSERT(word < team->count * THAW_SUM_COUNT);
    return word / THAW_SUM_COUNT;
}

static void not_finite(const thaw_team *team)
{
    thaw_trainer *t = team->members[bad_member(team)];
    const thaw_rates rates = thaw_config_rates(t->config, t->setup->phases.now);
    const int32_t culprit = thaw_reducer_culprit(team->reducer);
    const char *what = "the loss";
    if (culprit >= 0)
        what = thaw_graph_param(t->setup->model->graph,
                                thaw_plan_reduced(t->train_plan, culprit % t->reduced_count)->param)
                   ->name;
    const char *of = culprit >= 0 ? "the gradient of " : "";
    if (t->position.step == 0)
        t->failed = THAW_FAIL(THAW_ERR_NUMERIC,
                              "step 0: %s%s is not finite although nothing was learned yet, so "
                              "learning rates are not why: samples of %s, or the weights that "
                              "training starts from, are too large",
                              of, what, t->config->data.file);
    else
        t->failed =
            THAW_FAIL(THAW_ERR_NUMERIC,
                      "step %lld (epoch %lld): %s%s is not finite; lower the learning rates "
                      "(rates.head %g, rates.backbone %g) or set optimizer.clip_norm",
                      (long long)t->position.step, (long long)t->position.epoch + 1, of, what,
                      rates.head, rates.backbone);
    t->error = *thaw_error_last();
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
        const float m = thaw_trainer_momentum(t, p);
        thaw_kern_scale(r->count, 1.0f - m, p->data);
        thaw_kern_axpy(r->count, m / (float)samples, t->sums[i], p->data);
    }
}

static void move_on(thaw_trainer *t, const step_context *c, double loss, double weight,
                    int64_t samples)
{
    const thaw_reducer *reducer = c->team->reducer;
    t->state.loss_sum += loss;
    t->state.weight_sum += weight;
    t->state.samples += samples;
    t->state.samples_seen += samples;
    t->state.correct += thaw_reducer_count(reducer, count_word(c, THAW_WORD_CORRECT));
    t->last_loss = loss / weight;
    t->stop = thaw_reducer_count(reducer, count_word(c, THAW_WORD_STOP)) > 0;
    t->position.step++;
    t->position.step_in_epoch++;
}

/* The sign of the first value, or of zero the lowest bit of its exponent: no later update rounds that away. */
static void flip_a_bit(const thaw_trainer *t)
{
    uint32_t bits;
    float *first = t->trained.entries[0].tensor.data;
    memcpy(&bits, first, sizeof bits);
    bits ^= *first == 0.0f ? UINT32_C(1) << 29 : UINT32_C(1) << 31;
    memcpy(first, &bits, sizeof bits);
}

static thaw_status apply(step_context *c)
{
    thaw_trainer *t = member_of(c);
    const thaw_reducer *reducer = c->team->reducer;
    const int64_t samples = thaw_reducer_count(reducer, count_word(c, THAW_WORD_SAMPLES));
    const double weight = thaw_reducer_sum(reducer, sum_word(c, THAW_SUM_WEIGHT));
    const double loss = thaw_reducer_sum(reducer, sum_word(c, THAW_SUM_LOSS));
    for (int32_t i = 0; i < t->reduced_count; i++)
        thaw_reducer_get(reducer, c->member * t->reduced_count + i, 1.0, t->sums[i]);
    t->factor =
        thaw_schedule_factor(&t->config->schedule, t->position.step, thaw_trainer_total_steps(t));
    thaw_step_report report = {0};
    thaw_optimizer_slow(t->optimizer, t->state.limit.factor);
    THAW_TRY(thaw_optimizer_step(t->optimizer, t->gradients, 1.0 / weight, t->factor, &report));
    t->last_norm = report.gradient_norm;
    thaw_parts_exchange(t, c->comm);
    update_statistics(t, samples);
    if (thaw_fault("desync"))
        flip_a_bit(t);
    move_on(t, c, loss, weight, samples);
    thaw_ema_update(t);
    return THAW_OK;
}

/* Every rank has the same sums, so the same statuses. */
static void apply_all(const thaw_team *team, thaw_comm *comm, int64_t bytes)
{
    thaw_beat("optimizer");
    step_context c = {.team = team, .comm = comm};
    for (; c.member < team->count; c.member++) {
        thaw_trainer *t = member_of(&c);
        t->bytes_per_step = thaw_team_share_bytes(team, bytes);
        t->setup->phases.payload[t->setup->phases.now] = t->bytes_per_step;
        t->failed = apply(&c);
        if (t->failed != THAW_OK)
            t->error = *thaw_error_last();
    }
}

/* Quanta are the members', so that a team can change; the reducer works on those of this step. */
static void take_exponents(const thaw_team *team, bool back)
{
    int32_t *exponents = thaw_reducer_exponents(team->reducer);
    for (int32_t m = 0; m < team->count; m++) {
        const thaw_trainer *t = team->members[m];
        int32_t *its = exponents + m * (int64_t)t->reduced_count;
        const size_t bytes = (size_t)t->reduced_count * sizeof *its;
        memcpy(back ? t->exponents : its, back ? its : t->exponents, bytes);
    }
}

/* What befalls a process, for tests of what becomes of the others. */
static void suffer(void)
{
    if (thaw_fault("kill_step"))
        (void)raise(SIGKILL);
    if (thaw_fault("stop_step"))
        (void)raise(SIGSTOP);
    if (thaw_fault("exit_step"))
        thaw_fault_leave();
    if (thaw_fault("hang_step")) {
        thaw_beat("an injected hang");
        while (true)
            (void)pause();
    }
}

thaw_status thaw_team_step(const thaw_team *team, thaw_comm *comm, bool *taken)
{
    *taken = false;
    thaw_beat_position(team->members[0]->position.epoch, team->members[0]->position.step);
    suffer();
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    int64_t bytes = 0;
    take_exponents(team, false);
    for (int tries = 0; outcome == THAW_REDUCE_REDO; tries++) {
        THAW_ASSERT(tries <
                    8); /* quanta fit after one redo; more would mean that they never will */
        const int64_t before = thaw_comm_count(comm).gradient_bytes;
        THAW_TRY(run_shards(team, comm, &outcome));
        bytes = thaw_comm_count(comm).gradient_bytes - before;
    }
    if (outcome == THAW_REDUCE_NOT_FINITE) {
        not_finite(team);
        return THAW_OK;
    }
    take_exponents(team, true);
    apply_all(team, comm, bytes);
    *taken = true;
    return THAW_OK;
}

thaw_status thaw_trainer_step(thaw_trainer *trainer, thaw_comm *comm)
{
    const thaw_team alone = {.members = &trainer, .count = 1, .reducer = trainer->reducer};
    bool taken;
    THAW_TRY(thaw_team_step(&alone, comm, &taken));
    return trainer->failed; /* its error is the last one */
}
