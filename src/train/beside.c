#include "train/train_impl.h"

#include <math.h>
#include <string.h>

#include "thaw/ckpt.h"

/* Early signs of negative transfer. A run from scratch leaves what each val sample scored after each epoch; a run that reuses a backbone, with
 * the same data, is compared with it epoch by epoch. One seed each: the interval knows how samples vary and not how seeds do, so that several
 * evaluations running are asked for, and the ladder's verdict still comes from gate. */

static const char *const action_words[] = {"off", "warn", "stop", NULL};
static const char file_name[] = "curve-val.h5";

const thaw_field thaw_beside_fields[] = {
    {.name = "action",
     .type = THAW_FIELD_ENUM,
     .offset = THAW_FIELD(thaw_watch_config, action, int),
     .preset = "off",
     .choices = action_words,
     .doc = "when val is surely worse (95 %) than that of training from scratch at the same epoch, "
            "`evaluations` times running: warn, or stop: the run ends as with early stopping; a "
            "run of rung scratch leaves its curve for others"},
    {.name = "scratch",
     .type = THAW_FIELD_STRING,
     .offset = THAW_FIELD(thaw_watch_config, scratch, char *),
     .preset = "",
     .doc = "directory of the finished run from scratch, on the same data and splits and with "
            "watch.action; a ladder takes its own"},
    {.name = "evaluations",
     .type = THAW_FIELD_INT,
     .offset = THAW_FIELD(thaw_watch_config, evaluations, int64_t),
     .preset = "3",
     .least = 1,
     .most = 1e6,
     .doc = "epochs running"},
    {.name = NULL}};

thaw_status thaw_beside_check(const thaw_conf *conf, const thaw_config *c)
{
    const thaw_watch_config *w = &c->watch;
    if (w->action == THAW_WATCH_OFF && (w->scratch[0] != '\0' || w->evaluations != 3))
        return thaw_conf_error_at(conf,
                                  w->scratch[0] != '\0' ? "watch.scratch" : "watch.evaluations",
                                  "is read with watch.action warn or stop; choose one, or leave "
                                  "this out");
    return THAW_OK;
}

/* With phases the rung is that of the last one, which is never scratch. */
static bool is_scratch(const thaw_trainer *t)
{
    return t->setup->rung.kind == THAW_RUNG_SCRATCH;
}

static bool is_watched(const thaw_trainer *t)
{
    return t->watch.on && !is_scratch(t);
}

/* ---- The curve ----------------------------------------------------------------------------------------------------- */

static thaw_status describe(const thaw_trainer *t, thaw_state *out)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(thaw_dataset_digest(t->setup->dataset), hex);
    THAW_TRY(thaw_state_add_text(out, "dataset_digest", hex));
    THAW_TRY(thaw_state_add_text(out, "train", t->config->data.train));
    THAW_TRY(thaw_state_add_text(out, "split", t->config->data.val));
    return thaw_state_add_text(out, "metric", t->setup->metric->name);
}

static thaw_status compare_text(const thaw_state *its, const thaw_state *mine, const char *name,
                                const char *path)
{
    thaw_str a = {0};
    thaw_str b = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_state_get_text(its, name, &a));
    THAW_TRY_TO(thaw_state_get_text(mine, name, &b));
    THAW_CHECK_TO(strcmp(thaw_str_c(&a), thaw_str_c(&b)) == 0, THAW_ERR_INPUT,
                  "%s: its %s is %s, here it is %s: a run is watched beside one on the same "
                  "samples",
                  path, name, thaw_str_c(&a), thaw_str_c(&b));
done:
    thaw_str_clear(&b);
    thaw_str_clear(&a);
    return status;
}

/* Rank 0 compares for all, so that the curve is there once, however many ranks there are. */
static thaw_status take(thaw_trainer *t, bool keeps, const char *path, const thaw_state *state,
                        const thaw_state *its)
{
    thaw_state mine = {0};
    thaw_status status;
    THAW_TRY_TO(describe(t, &mine));
    THAW_TRY_TO(compare_text(its, &mine, "dataset_digest", path));
    THAW_TRY_TO(compare_text(its, &mine, "train", path));
    THAW_TRY_TO(compare_text(its, &mine, "split", path));
    THAW_TRY_TO(compare_text(its, &mine, "metric", path));
    const thaw_tensor *score = thaw_state_find(state, "score");
    THAW_CHECK_TO(score != NULL && score->dtype == THAW_F32 && score->shape.ndim == 2 &&
                      score->shape.dim[1] == t->val.N,
                  THAW_ERR_INPUT,
                  "%s: no dataset 'score' of (epochs, %lld) floats; this is no curve of such a run",
                  path, (long long)t->val.N);
    t->watch.on = true;
    t->watch.epochs = score->shape.dim[0];
    t->watch.digest = thaw_hash(score->data, thaw_tensor_bytes(score));
    t->state.watch.curve = t->watch.digest;
    if (!keeps)
        goto done;
    THAW_TRY_TO(thaw_alloc(&t->watch.scores, t->watch.epochs * t->val.N + 1, sizeof(float)));
    if (t->watch.epochs > 0)
        memcpy(t->watch.scores, score->data, thaw_tensor_bytes(score));
done:
    thaw_state_clear(&mine);
    return status;
}

static thaw_status read_curve(thaw_trainer *t, thaw_comm *comm)
{
    thaw_str path = {0};
    thaw_state state = {0};
    thaw_state its = {0};
    thaw_run_path(t->config->watch.scratch, file_name, &path);
    thaw_status status = thaw_ckpt_read(comm, thaw_str_c(&path), &state, &its);
    if (status == THAW_OK)
        status =
            thaw_agree(comm, take(t, thaw_comm_rank(comm) == 0, thaw_str_c(&path), &state, &its));
    else
        status = thaw_fail_context(status, "watch.scratch names a finished run of rung scratch "
                                           "with watch.action");
    thaw_state_clear(&its);
    thaw_state_clear(&state);
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_beside_open(thaw_trainer *t, thaw_comm *comm)
{
    t->watch.delta = t->watch.low = t->watch.high = NAN;
    if (t->config->watch.action == THAW_WATCH_OFF) /* uniform */
        return THAW_OK;
    if (is_scratch(t)) { /* uniform */
        t->watch.on = true;
        t->watch.epochs = t->config->train.epochs;
        return thaw_agree(comm, thaw_alloc(&t->watch.scores, t->watch.epochs * t->val.N,
                                           sizeof *t->watch.scores));
    }
    THAW_CHECK(t->config->watch.scratch[0] != '\0', THAW_ERR_CONFIG, /* uniform */
               "watch.scratch is empty: name the directory of a finished run of rung scratch that "
               "had watch.action too, or set watch.action to off; `thaw ladder` takes its own");
    return read_curve(t, comm);
}

thaw_status thaw_beside_write(thaw_trainer *t, thaw_comm *comm)
{
    thaw_str path = {0};
    thaw_state state = {0};
    thaw_state attributes = {0};
    if (!t->watch.on || !is_scratch(t)) /* uniform */
        return THAW_OK;
    thaw_run_path(t->directory, file_name, &path);
    thaw_status status = thaw_state_add(&state, "score", THAW_F32,
                                        thaw_shape2(t->position.epoch, t->val.N), t->watch.scores);
    if (status == THAW_OK)
        status = describe(t, &attributes);
    status = thaw_agree(comm, status);
    if (status == THAW_OK)
        status = thaw_ckpt_write(comm, thaw_str_c(&path), &state, &attributes, NULL, NULL);
    thaw_state_clear(&attributes);
    thaw_state_clear(&state);
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_beside_state(thaw_trainer *t, thaw_state *out)
{
    thaw_watch_record *r = &t->state.watch;
    const thaw_kept_number rows[] = {
        {"watch/below", THAW_I64, &r->below},
        {"watch/most", THAW_I64, &r->most},
        {"watch/epoch", THAW_I64, &r->epoch},
        {"watch/delta", THAW_F64, &r->delta},
        {"watch/low", THAW_F64, &r->low},
        {"watch/high", THAW_F64, &r->high},
        {"watch/curve_low", THAW_I64, &r->curve.low},
        {"watch/curve_high", THAW_I64, &r->curve.high},
    };
    if (!t->watch.on)
        return THAW_OK;
    if (is_scratch(t))
        return thaw_state_add(out, "watch/score", THAW_F32, thaw_shape2(t->watch.epochs, t->val.N),
                              t->watch.scores);
    return thaw_state_add_kept(out, rows, sizeof rows / sizeof *rows);
}

/* The run from scratch may have been trained again meanwhile, with the same data: half of the epochs would be compared with another run. */
thaw_status thaw_beside_resumed(const thaw_trainer *t)
{
    if (!is_watched(t) || thaw_digest_equal(t->state.watch.curve, t->watch.digest))
        return THAW_OK;
    return THAW_FAIL(
        THAW_ERR_INPUT,
        "%s/%s is another curve than this run was compared with before it stopped: put "
        "that one back, or train without --resume",
        t->config->watch.scratch, file_name);
}

/* ---- An epoch ------------------------------------------------------------------------------------------------------- */

static bool all_finite(const float *scores, int64_t N)
{
    for (int64_t i = 0; i < N; i++) {
        if (!isfinite(scores[i]))
            return false;
    }
    return true;
}

/* NAN of all samples where the metric is undefined of them, which counts neither way. */
static thaw_status take_scores(const thaw_trainer *t, const thaw_predictions *val, float *out)
{
    char why[THAW_WHY];
    double value;
    THAW_TRY(thaw_predictions_metric(val, NULL, t->setup->metric, &value, why));
    if (!isnan(value))
        return thaw_predictions_scores(val, t->setup->metric, out);
    for (int64_t i = 0; i < val->N; i++)
        out[i] = NAN;
    return THAW_OK;
}

/* NAN where the curve has ended, or a score is undefined. */
static thaw_status compare(const thaw_trainer *t, const thaw_predictions *val, thaw_paired *out)
{
    float *scores = NULL;
    const int64_t epoch = t->position.epoch;
    const float *beside = t->watch.scores + epoch * val->N;
    thaw_bootstrap how = thaw_bootstrap_default((uint64_t)t->config->seed);
    thaw_status status;
    how.resamples = 1000;
    *out = (thaw_paired){.delta = NAN, .low = NAN, .high = NAN};
    THAW_TRY_TO(thaw_alloc(&scores, val->N, sizeof *scores));
    THAW_TRY_TO(take_scores(t, val, scores));
    thaw_scores both = {
        .a = beside, .b = scores, .seeds = 1, .N = val->N, .cluster = val->cluster, .points = true};
    THAW_TRY_TO(thaw_predictions_df(val, t->setup->metric, &both.df));
    if (all_finite(scores, val->N) && all_finite(beside, val->N))
        status = thaw_paired_compare(&both, &how, out);
done:
    thaw_free(&scores);
    return status;
}

static void say(thaw_trainer *t)
{
    const thaw_watch_record *r = &t->state.watch;
    thaw_progress_hide(&t->progress);
    THAW_LOG(
        THAW_WARN,
        "%s: negative transfer, as far as val of one seed can tell: %s is surely below that of "
        "%s at the same epoch, %lld evaluations running; in epoch %lld by %.3g [%.3g, %.3g]%s",
        t->directory, t->setup->metric->title, t->config->watch.scratch, (long long)r->below,
        (long long)r->epoch, r->delta, r->low, r->high,
        t->config->watch.action == THAW_WATCH_STOP ? "; the run stops" : "");
}

static void count(thaw_trainer *t, const thaw_comm *comm, const thaw_paired *pair)
{
    thaw_watch_record *r = &t->state.watch;
    r->below = pair->high < 0 ? r->below + 1 : 0;
    r->most = r->below > r->most ? r->below : r->most;
    if (r->epoch > 0)
        return;
    r->delta = pair->delta;
    r->low = pair->low;
    r->high = pair->high;
    if (r->below < t->config->watch.evaluations)
        return;
    r->epoch = t->position.epoch + 1;
    if (thaw_comm_rank(comm) == 0)
        say(t);
}

thaw_status thaw_beside_epoch(thaw_trainer *t, thaw_comm *comm, const thaw_predictions *val)
{
    thaw_paired pair;
    t->watch.delta = t->watch.low = t->watch.high = NAN;
    if (!t->watch.on || t->position.epoch >= t->watch.epochs) /* uniform */
        return THAW_OK;
    if (is_scratch(t)) /* uniform */
        return thaw_agree(comm, take_scores(t, val, t->watch.scores + t->position.epoch * val->N));
    THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) == 0 ? compare(t, val, &pair) : THAW_OK));
    thaw_bcast(comm, 0, &pair, sizeof pair);
    t->watch.delta = pair.delta;
    t->watch.low = pair.low;
    t->watch.high = pair.high;
    if (!isnan(pair.delta))
        count(t, comm, &pair);
    return THAW_OK;
}

bool thaw_beside_stops(const thaw_trainer *t)
{
    return t->state.watch.epoch > 0 && t->config->watch.action == THAW_WATCH_STOP;
}

/* ---- Reports --------------------------------------------------------------------------------------------------------- */

void thaw_beside_add_row(const thaw_trainer *t, thaw_json *row)
{
    if (!is_watched(t))
        return;
    const double ends[] = {t->watch.low, t->watch.high};
    thaw_json_set_double(row, "scratch_delta", t->watch.delta);
    thaw_json_set_doubles(row, "scratch_interval", ends, 2);
    thaw_json_set_int(row, "scratch_below", t->state.watch.below);
}

void thaw_beside_describe(const thaw_trainer *t, thaw_json *summary)
{
    const thaw_watch_record *r = &t->state.watch;
    if (!is_watched(t))
        return;
    thaw_json *out = thaw_json_set_object(summary, "watch");
    thaw_json_set_string(out, "action", action_words[t->config->watch.action]);
    thaw_json_set_string(out, "scratch", t->config->watch.scratch);
    thaw_json_set_int(out, "evaluations", t->config->watch.evaluations);
    thaw_json_set_int(out, "below_most", r->most);
    thaw_json_set_int(out, "epoch", r->epoch);
    thaw_json_set_bool(out, "stopped", thaw_beside_stops(t));
    thaw_json_set_double(out, "delta", r->delta);
    thaw_json_set_double(out, "low", r->low);
    thaw_json_set_double(out, "high", r->high);
}
