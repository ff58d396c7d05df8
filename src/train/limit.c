#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* How far the backbone may move. Each epoch is looked at when its steps are done and before val is: what it is judged by is then what it leaves.
 * An epoch that is taken back is spent all the same: a run never takes more steps than it was asked for, and rungs stay comparable. */

static const char *const action_words[] = {"warn", "cut", "rollback", NULL};

#define REAL(key, member, preset_, least_, most_, doc_)                                            \
    {                                                                                              \
        .name = key, .type = THAW_FIELD_DOUBLE,                                                    \
        .offset = THAW_FIELD(thaw_limit_config, member, double), .preset = preset_,                \
        .least = least_, .most = most_, .doc = doc_                                                \
    }

const thaw_field thaw_limit_fields[] = {
    REAL("epoch", epoch, "0", 0, 1e6,
         "most that a block's weights may change in an epoch, ||w - w0|| / ||w0|| from its start; "
         "0: no limit"),
    REAL("total", total, "0", 0, 1e6,
         "most that they may have changed since training began; 0: no limit"),
    {.name = "action",
     .type = THAW_FIELD_ENUM,
     .offset = THAW_FIELD(thaw_limit_config, action, int),
     .preset = "warn",
     .choices = action_words,
     .doc = "when an epoch ends beyond a limit: warn; cut: the backbone's rates are multiplied by "
            "`factor` from then on; rollback: that, and weights and optimizer go back to the start "
            "of the epoch, which is spent; rung scratch has no limit"},
    REAL("factor", factor, "0.5", 0, 0.999, "of cut and rollback; 0: the backbone stops"),
    {.name = NULL}};

static bool is_set(const thaw_config *config)
{
    return config->limit.epoch > 0 || config->limit.total > 0;
}

thaw_status thaw_limit_check(const thaw_conf *conf, const thaw_config *c)
{
    const thaw_limit_config *l = &c->limit;
    if (!is_set(c) && l->action != THAW_LIMIT_WARN)
        return thaw_conf_error_at(conf, "limit.action",
                                  "is read where limit.epoch or limit.total is above 0; set one, "
                                  "or leave this out");
    if (l->action == THAW_LIMIT_WARN && l->factor != 0.5)
        return thaw_conf_error_at(conf, "limit.factor",
                                  "is read with limit.action cut or rollback; choose one, or leave "
                                  "this out");
    if (l->action == THAW_LIMIT_ROLLBACK && c->train.shard_optimizer)
        return thaw_conf_error_at(conf, "limit.action",
                                  "rollback keeps a copy of the optimizer's state on every rank, "
                                  "and train.shard_optimizer has it in parts; use cut, or leave "
                                  "one of them out");
    return THAW_OK;
}

int64_t thaw_limit_copies(const thaw_config *c)
{
    if (!is_set(c))
        return 0;
    if (c->limit.action == THAW_LIMIT_ROLLBACK)
        return 1 + thaw_optim_config_moments(&c->optimizer) + (c->train.ema > 0);
    return c->limit.epoch > 0;
}

/* From scratch there is nothing to keep close to. */
static bool is_limited(const thaw_trainer *t)
{
    return is_set(t->config) && t->setup->rung.kind != THAW_RUNG_SCRATCH && t->initial.count > 0;
}

/* ---- What an epoch began with -------------------------------------------------------------------------------------- */

/* Views on the optimizer's state; anchors never change. */
static thaw_status moments_of(thaw_trainer *t, thaw_state *out)
{
    thaw_state all = {0};
    thaw_status status = thaw_optimizer_state(t->optimizer, &all);
    for (int64_t i = 0; i < all.count && status == THAW_OK; i++) {
        const thaw_entry *e = &all.entries[i];
        if (!thaw_starts_with(e->name, "optim.anchor."))
            status = thaw_state_add(out, e->name, e->tensor.dtype, e->tensor.shape, e->tensor.data);
    }
    thaw_state_clear(&all);
    return status;
}

thaw_status thaw_limit_open(thaw_trainer *t)
{
    thaw_state moments = {0};
    const thaw_limit_config *l = &t->config->limit;
    thaw_status status = THAW_OK;
    if (!is_limited(t))
        return THAW_OK;
    if (l->action != THAW_LIMIT_ROLLBACK)
        return l->epoch > 0 ? thaw_trainer_copy_state(&t->initial, &t->turn.weights) : THAW_OK;
    THAW_TRY_TO(thaw_trainer_copy_state(&t->trained, &t->turn.weights));
    THAW_TRY_TO(thaw_trainer_copy_state(&t->ema, &t->turn.average));
    THAW_TRY_TO(moments_of(t, &moments));
    status = thaw_trainer_copy_state(&moments, &t->turn.moments);
done:
    thaw_state_clear(&moments);
    return status;
}

void thaw_limit_close(thaw_trainer *t)
{
    thaw_state_clear(&t->turn.moments);
    thaw_state_clear(&t->turn.average);
    thaw_state_clear(&t->turn.weights);
}

thaw_status thaw_limit_mark(thaw_trainer *t)
{
    thaw_state moments = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_state_copy(&t->turn.weights, &t->trained));
    THAW_TRY_TO(thaw_state_copy(&t->turn.average, &t->ema));
    if (t->turn.moments.count > 0)
        THAW_TRY_TO(moments_of(t, &moments));
    status = thaw_state_copy(&t->turn.moments, &moments);
done:
    thaw_state_clear(&moments);
    return status;
}

static thaw_status go_back(thaw_trainer *t)
{
    thaw_state moments = {0};
    thaw_status status;
    THAW_TRY_TO(moments_of(t, &moments));
    THAW_TRY_TO(thaw_state_copy(&moments, &t->turn.moments));
    THAW_TRY_TO(thaw_state_copy(&t->ema, &t->turn.average));
    status = thaw_state_copy(&t->trained, &t->turn.weights);
done:
    thaw_state_clear(&moments);
    return status;
}

thaw_status thaw_limit_state(thaw_trainer *t, thaw_state *out)
{
    thaw_limit_record *r = &t->state.limit;
    const thaw_kept_number rows[] = {
        {"limit/factor", THAW_F64, &r->factor},
        {"limit/over", THAW_I64, &r->over},
        {"limit/undone", THAW_I64, &r->undone},
        {"limit/first", THAW_I64, &r->first},
        {"limit/worst_epoch", THAW_I64, &r->worst_epoch},
        {"limit/worst_block", THAW_I64, &r->worst_block},
        {"limit/of_total", THAW_I64, &r->of_total},
        {"limit/worst", THAW_F64, &r->worst},
    };
    if (!is_set(t->config))
        return THAW_OK;
    THAW_TRY(thaw_state_add_kept(out, rows, sizeof rows / sizeof *rows));
    THAW_TRY(thaw_state_add_prefixed(out, "turn/model", &t->turn.weights));
    THAW_TRY(thaw_state_add_prefixed(out, "turn/ema", &t->turn.average));
    return thaw_state_add_prefixed(out, "turn", &t->turn.moments);
}

/* ---- Looking at an epoch ------------------------------------------------------------------------------------------- */

/* The block that is furthest on its way to a limit or beyond it. */
typedef struct motion {
    double moved, limits;          /* motion; the same in units of its limit */
    int64_t block, of_total, over; /* over: blocks beyond a limit */
} motion;

static void look_at(const thaw_trainer *t, const thaw_state *before, double limit, bool of_total,
                    motion *out)
{
    const int32_t blocks = thaw_graph_block_count(t->setup->model->graph);
    for (int32_t block = 0; limit > 0 && block < blocks; block++) {
        const double moved = thaw_drift_of_block(t, before, block);
        if (!isfinite(moved)) /* nothing of it trains, or it began at zeros */
            continue;
        out->over += moved > limit;
        if (moved / limit > out->limits)
            *out = (motion){.moved = moved,
                            .limits = moved / limit,
                            .block = block,
                            .of_total = of_total,
                            .over = out->over};
    }
}

static void remember(thaw_trainer *t, const motion *most)
{
    thaw_limit_record *r = &t->state.limit;
    const thaw_limit_config *l = &t->config->limit;
    const int64_t epoch = t->position.epoch + 1;
    const double worst = r->over > 0 ? r->worst / (r->of_total ? l->total : l->epoch) : 0;
    if (r->over++ == 0)
        r->first = epoch;
    if (most->limits > worst) {
        r->worst = most->moved;
        r->worst_block = most->block;
        r->worst_epoch = epoch;
        r->of_total = most->of_total;
    }
}

static const char *block_name(const thaw_trainer *t, int64_t block)
{
    return thaw_graph_block_name(t->setup->model->graph, (int32_t)block);
}

static thaw_status record(const thaw_trainer *t, const motion *most)
{
    const thaw_limit_config *l = &t->config->limit;
    thaw_json *row = thaw_json_new_object();
    thaw_json_set_string(row, "kind", "limit");
    thaw_json_set_int(row, "step", t->position.step);
    thaw_json_set_int(row, "epoch", t->position.epoch + 1);
    thaw_json_set_string(row, "action", action_words[l->action]);
    thaw_json_set_string(row, "of", most->of_total ? "total" : "epoch");
    thaw_json_set_double(row, "limit", most->of_total ? l->total : l->epoch);
    thaw_json_set_string(row, "block", block_name(t, most->block));
    thaw_json_set_double(row, "moved", most->moved);
    thaw_json_set_int(row, "blocks_over", most->over);
    thaw_json_set_double(row, "backbone_factor", t->state.limit.factor);
    const thaw_status status = thaw_rows_append(t->rows_path.data, row);
    thaw_json_free(&row);
    return status;
}

static void say(thaw_trainer *t, const motion *most)
{
    const thaw_limit_config *l = &t->config->limit;
    char done[96] = "";
    if (l->action != THAW_LIMIT_WARN)
        thaw_format(done, sizeof done, "; %sthe backbone goes on at %.3g of its rates",
                    l->action == THAW_LIMIT_ROLLBACK ? "the epoch is taken back, and " : "",
                    t->state.limit.factor);
    thaw_progress_hide(&t->progress);
    THAW_LOG(THAW_WARN, "%s: epoch %lld moved %s by %.3g of its weights %s, limit.%s is %g%s",
             t->directory, (long long)t->position.epoch + 1, block_name(t, most->block),
             most->moved, most->of_total ? "since training began" : "from its start",
             most->of_total ? "total" : "epoch", most->of_total ? l->total : l->epoch, done);
}

/* Beyond a limit. */
static thaw_status act(thaw_trainer *t, const thaw_comm *comm, const motion *most)
{
    const thaw_limit_config *l = &t->config->limit;
    remember(t, most);
    if (l->action != THAW_LIMIT_WARN)
        t->state.limit.factor *= l->factor;
    if (l->action == THAW_LIMIT_ROLLBACK) {
        THAW_TRY(go_back(t));
        t->state.limit.undone++;
        t->undone = true;
    }
    if (thaw_comm_rank(comm) != 0)
        return THAW_OK;
    say(t, most);
    return record(t, most);
}

thaw_status thaw_limit_apply(thaw_trainer *t, thaw_comm *comm)
{
    motion most = {0};
    t->undone = false;
    if (!is_limited(t)) /* uniform */
        return THAW_OK;
    look_at(t, &t->turn.weights, t->config->limit.epoch, false, &most);
    look_at(t, &t->initial, t->config->limit.total, true, &most);
    thaw_bcast(comm, 0, &most, sizeof most); /* one rank's word, should CPUs round differently */
    t->moved = most.limits;
    return thaw_agree(comm, most.limits > 1 ? act(t, comm, &most) : THAW_OK);
}

/* ---- Reports --------------------------------------------------------------------------------------------------------- */

void thaw_limit_add_row(const thaw_trainer *t, thaw_json *row)
{
    if (!is_limited(t))
        return;
    thaw_json_set_double(row, "moved_limits", t->moved);
    thaw_json_set_double(row, "backbone_factor", t->state.limit.factor);
}

void thaw_limit_describe(const thaw_trainer *t, thaw_json *summary)
{
    const thaw_limit_record *r = &t->state.limit;
    const thaw_limit_config *l = &t->config->limit;
    if (!is_limited(t))
        return;
    thaw_json *out = thaw_json_set_object(summary, "limit");
    thaw_json_set_string(out, "action", action_words[l->action]);
    thaw_json_set_double(out, "epoch", l->epoch);
    thaw_json_set_double(out, "total", l->total);
    thaw_json_set_int(out, "epochs_over", r->over);
    thaw_json_set_int(out, "epochs_undone", r->undone);
    thaw_json_set_double(out, "backbone_factor", r->factor);
    if (r->over == 0)
        return;
    thaw_json_set_int(out, "first_epoch", r->first);
    thaw_json *worst = thaw_json_set_object(out, "worst");
    thaw_json_set_int(worst, "epoch", r->worst_epoch);
    thaw_json_set_string(worst, "block", block_name(t, r->worst_block));
    thaw_json_set_double(worst, "moved", r->worst);
    thaw_json_set_string(worst, "of", r->of_total ? "total" : "epoch");
}
