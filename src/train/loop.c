#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* Epochs, evaluation on val, selection, early stopping, checkpoints, stops. All decisions use reduced values only. */

static bool is_writer(const thaw_comm *comm)
{
    return thaw_comm_rank(comm) == 0;
}

/* Formatted in place, since a step allocates nothing. */
static thaw_status step_row(const thaw_trainer *t, double seconds)
{
    char loss[THAW_NUMBER];
    char norm[THAW_NUMBER];
    char factor[THAW_NUMBER];
    char time[THAW_NUMBER];
    char row[512];
    if (t->position.step % t->config->train.log_every != 0)
        return THAW_OK;
    thaw_number(t->last_loss, loss);
    thaw_number(t->last_norm, norm);
    thaw_number(t->factor, factor);
    thaw_number(seconds, time);
    thaw_format(row, sizeof row,
                "{\"kind\":\"step\",\"step\":%lld,\"epoch\":%lld,\"loss\":%s,\"gradient_norm\":%s,"
                "\"lr_factor\":%s,\"seconds\":%s}\n",
                (long long)t->position.step, (long long)t->position.epoch, loss, norm, factor,
                time);
    return thaw_file_append(t->rows_path.data, row, strlen(row));
}

/* What an epoch was on val. */
typedef struct verdict {
    double loss, metric;
    double score; /* of the metric: larger is better, -INFINITY where it is undefined */
    char why[THAW_WHY];
} verdict;

static thaw_status add_scalars(thaw_trainer *t, double train_loss, const verdict *val)
{
    char name[80];
    if (t->events == NULL)
        return THAW_OK;
    const int64_t step = t->position.step;
    THAW_TRY(thaw_events_scalar(t->events, "train/loss", step, train_loss));
    THAW_TRY(thaw_events_scalar(t->events, "val/loss", step, val->loss));
    thaw_format(name, sizeof name, "val/%s", t->setup->metric->name);
    if (!isnan(val->metric))
        THAW_TRY(thaw_events_scalar(t->events, name, step, val->metric));
    return thaw_events_flush(t->events);
}

static thaw_status epoch_row(thaw_trainer *t, const verdict *val)
{
    char name[80];
    const thaw_progress_state *s = &t->state;
    thaw_json *row = thaw_json_new_object();
    thaw_json_set_string(row, "kind", "epoch");
    thaw_json_set_int(row, "step", t->position.step);
    thaw_json_set_int(row, "epoch", t->position.epoch);
    thaw_json_set_double(row, "train.loss", s->loss_sum / s->weight_sum);
    if (t->setup->task == THAW_TASK_CLASSIFICATION)
        thaw_json_set_double(row, "train.accuracy", (double)s->correct / (double)s->samples);
    thaw_json_set_double(row, "val.loss", val->loss);
    thaw_format(name, sizeof name, "val.%s", t->setup->metric->name);
    thaw_json_set_double(row, name, val->metric);
    thaw_json_set_double(row, "lr_factor", t->factor);
    thaw_limit_add_row(t, row);
    thaw_beside_add_row(t, row);
    thaw_status status = thaw_drift_motion(t, thaw_json_set_object(row, "motion"));
    if (status == THAW_OK)
        status = thaw_rows_append(t->rows_path.data, row);
    if (status == THAW_OK)
        status = add_scalars(t, s->loss_sum / s->weight_sum, val);
    thaw_json_free(&row);
    return status;
}

/* An epoch that was taken back has the weights of the one before, which was judged. Where none has been trained yet they are those before
 * training, which are no answer: they are kept until an epoch is, whatever its loss, and only for want of one. */
static bool is_better(const thaw_trainer *t, const verdict *val)
{
    const thaw_progress_state *s = &t->state;
    const int64_t trained = t->position.epoch - s->limit.undone;
    if (s->best_epoch < 0 || t->undone)
        return s->best_epoch < 0;
    if (trained == 1)
        return true;
    if (t->config->train.select == THAW_SELECT_LOSS)
        return val->loss < s->best_loss;
    return val->score > s->best_score || (val->score == s->best_score && val->loss < s->best_loss);
}

/* Keeps this epoch's weights when val says so. With select: last the record still follows the best epoch, for early stopping. */
static thaw_status select_epoch(thaw_trainer *t, const verdict *val)
{
    if (!is_better(t, val)) {
        t->state.stale_epochs += !t->undone; /* which says nothing about more epochs */
        return THAW_OK;
    }
    t->state.best_score = val->score;
    t->state.best_loss = val->loss;
    t->state.best_epoch = t->position.epoch;
    t->state.stale_epochs = 0;
    return t->best.count == 0 ? THAW_OK : thaw_state_copy(&t->best, &t->trained);
}

/* Ranks that drifted apart (other CPU kernels, broken memory) are found now and then, not in the result. */
static thaw_status compare_ranks(const thaw_trainer *t, thaw_comm *comm)
{
    char what[80];
    thaw_digest digest = {0};
    if (thaw_comm_size(comm) == 1)
        return THAW_OK;
    thaw_format(what, sizeof what, "what was trained, after step %lld,",
                (long long)t->position.step);
    THAW_TRY(thaw_agree(comm, thaw_state_digest(&t->trained, &digest)));
    return thaw_same_digest(comm, what, digest);
}

/* A checkpoint of a rank that is apart would be worth nothing. */
static bool is_compared(const thaw_trainer *t)
{
    const int64_t every = t->config->train.check_every;
    return every > 0 && (t->position.step % every == 0 || thaw_trainer_is_due(t) || t->stop);
}

static thaw_status compare_now_and_then(const thaw_team *team, thaw_comm *comm)
{
    for (int32_t m = 0; m < team->count; m++) {
        if (is_compared(team->members[m])) /* uniform */
            THAW_TRY(compare_ranks(team->members[m], comm));
    }
    return THAW_OK;
}

/* A larger score is better; it is -INFINITY where the metric is undefined. */
static thaw_status judge_val(const thaw_trainer *t, const thaw_predictions *val, verdict *out)
{
    const thaw_metric *metric = t->setup->metric;
    out->loss = thaw_predictions_loss(val, NULL);
    THAW_TRY(thaw_predictions_metric(val, NULL, metric, &out->metric, out->why));
    out->score = isnan(out->metric)        ? -INFINITY
                 : metric->lower_is_better ? -out->metric
                                           : out->metric;
    return THAW_OK;
}

static void say_epoch(thaw_trainer *t, const verdict *val)
{
    thaw_progress_hide(&t->progress);
    THAW_LOG(THAW_INFO, "%s%sepoch %lld/%lld  train loss %.4f  val loss %.4f  val %s %.4f%s",
             t->company > 1 ? t->directory : "", t->company > 1 ? ": " : "",
             (long long)t->position.epoch, (long long)t->config->train.epochs,
             t->state.loss_sum / t->state.weight_sum, val->loss, t->setup->metric->title,
             val->metric, t->state.best_epoch == t->position.epoch ? "  *" : "");
    if (isnan(val->metric) && t->config->train.select == THAW_SELECT_METRIC)
        THAW_LOG(THAW_WARN, "%s on val is undefined (%s): this epoch counts by its loss",
                 t->setup->metric->title, val->why);
}

static thaw_status judge_epoch(thaw_trainer *t, thaw_comm *comm, const thaw_predictions *all)
{
    verdict val = {0};
    THAW_TRY(thaw_agree(comm, judge_val(t, all, &val)));
    THAW_TRY(thaw_beside_epoch(t, comm, all));
    t->position.epoch++;
    t->position.step_in_epoch = 0;
    thaw_status status = t->pending;
    if (status == THAW_OK)
        status = select_epoch(t, &val);
    if (status == THAW_OK && is_writer(comm))
        status = epoch_row(t, &val);
    THAW_TRY(thaw_agree(comm, status));
    if (is_writer(comm) && !t->options->quiet)
        say_epoch(t, &val);
    t->state.loss_sum = 0;
    t->state.weight_sum = 0;
    t->state.samples = 0;
    t->state.correct = 0;
    return THAW_OK;
}

/* On val, with the averaged weights where there are some. */
static thaw_status judge_all(const thaw_team *team, thaw_comm *comm)
{
    thaw_predictions *val = NULL;
    thaw_beat_phase("evaluating on val");
    thaw_status status = thaw_team_predict(team, comm, THAW_BLOCK_VAL, &val);
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++)
        status = judge_epoch(team->members[m], comm, &val[m]);
    thaw_team_clear_predictions(team, &val);
    return status;
}

/* The epoch is over: judge it, record it, make the next one ready. */
static thaw_status end_epoch(const thaw_team *team, thaw_comm *comm)
{
    for (int32_t m = 0; m < team->count; m++)
        THAW_TRY(compare_ranks(team->members[m], comm));
    for (int32_t m = 0; m < team->count; m++)
        THAW_TRY(thaw_limit_apply(team->members[m], comm));
    thaw_ema_swap(team);
    thaw_status status = judge_all(team, comm);
    thaw_ema_swap(team);
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++)
        status = thaw_limit_mark(team->members[m]);
    return thaw_agree(comm, status);
}

/* A row or a checkpoint that cannot be written is one rank's trouble: it is carried into the next thing that ranks do together. */
static void report_step(thaw_trainer *t, const thaw_comm *comm)
{
    if (!is_writer(comm))
        return;
    t->pending = step_row(t, t->state.train_seconds);
    if (t->pending == THAW_OK)
        t->pending = thaw_ckpt_look(t->writer);
    thaw_progress_update(&t->progress, t->position.step, t->state.samples_seen, t->last_loss);
}

static bool epoch_is_full(const thaw_trainer *t)
{
    return t->position.step_in_epoch == thaw_sampler_steps(&t->sampler);
}

thaw_status thaw_team_after_step(const thaw_team *team, thaw_comm *comm)
{
    const bool epoch_ended = epoch_is_full(team->members[0]);
    for (int32_t m = 0; m < team->count; m++)
        report_step(team->members[m], comm);
    return epoch_ended ? end_epoch(team, comm) : compare_now_and_then(team, comm);
}

bool thaw_trainer_is_finished(const thaw_trainer *t)
{
    const int64_t patience = t->config->train.early_stopping;
    const bool last = t->setup->phases.now == t->config->phases.count - 1;
    return t->position.epoch >= t->config->train.epochs || thaw_beside_stops(t) ||
           (patience > 0 && t->state.stale_epochs >= patience) || (last && thaw_phases_is_over(t));
}

/* Slurm looks at limits every half minute and then still waits; the reserve is for a first checkpoint, which nobody has timed yet. */
bool thaw_trainer_is_short_of_time(const thaw_trainer *t)
{
    const double reserve = 15;
    const double deadline = t->options->deadline;
    return deadline > 0 &&
           thaw_seconds() + 2 * (t->longest + thaw_ckpt_longest(t->writer)) + reserve > deadline;
}

/* An epoch that has just ended has no steps of the next one yet. */
static bool is_between_epochs(const thaw_trainer *t)
{
    return t->position.step_in_epoch == 0;
}

bool thaw_trainer_is_best(const thaw_trainer *t)
{
    return is_between_epochs(t) && t->state.best_epoch == t->position.epoch;
}

/* The best epoch is always worth one: the newest ones alone may all be of a run that went astray. */
bool thaw_trainer_is_due(const thaw_trainer *t)
{
    const int64_t every = t->config->train.checkpoint_every;
    return every > 0 ? t->position.step % every == 0 || thaw_trainer_is_best(t)
                     : is_between_epochs(t);
}
