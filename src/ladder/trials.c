#include "ladder/ladder_impl.h"

#include <math.h>
#include <string.h>

/* Trials: their configs, their directories, where they run, what came out. */

const thaw_doubles *ladder_candidates(const thaw_config *config, thaw_rung_kind kind)
{
    const thaw_ladder_config *l = &config->ladder;
    switch (kind) {
    case THAW_RUNG_SCRATCH:
        return &l->search_scratch;
    case THAW_RUNG_FROZEN:
        return &l->search_head;
    case THAW_RUNG_PEFT:
        return &l->search_adapter;
    case THAW_RUNG_PARTIAL:
    case THAW_RUNG_FULL:
        break;
    }
    return &l->search_backbone;
}

/* Named by rate, so that a resumed ladder may search other rates beside those it has tried. A rung's text may hold what a path
 * should not. */
static void name_directory(const ladder *l, const ladder_rung *r, int64_t candidate, int64_t seed,
                           const char *variant, char *out)
{
    char name[THAW_RUNG_TEXT];
    thaw_copy(name, sizeof name, r->name);
    for (char *c = name; *c != '\0'; c++) {
        if (strchr(":/*,?", *c) != NULL)
            *c = '_';
    }
    thaw_format(out, LADDER_PATH, "%s/trials/%s%s-lr%g-seed%lld", l->config->output, name, variant,
                ladder_candidates(l->config, r->rung.kind)->items[candidate],
                (long long)(l->config->seed + seed));
}

/* The rung whose head rate and head others build on. */
static const ladder_rung *frozen_rung(const ladder *l)
{
    for (int64_t i = 0; i < l->count; i++) {
        if (l->rungs[i].rung.kind == THAW_RUNG_FROZEN && l->rungs[i].done)
            return &l->rungs[i];
    }
    return NULL;
}

/* The run from scratch that this trial is watched beside: of the same seed. NULL: none yet, or it is one itself. */
static const char *scratch_beside(const ladder *l, const ladder_rung *r, const ladder_trial *trial)
{
    for (int64_t i = 0; i < l->count && r->rung.kind != THAW_RUNG_SCRATCH; i++) {
        if (l->rungs[i].rung.kind == THAW_RUNG_SCRATCH && l->rungs[i].done)
            return l->rungs[i].seeds[trial->seed].directory;
    }
    return NULL;
}

/* What was searched is for the reference batch; the rates beside this reason are those that were used. */
static void say_scaling(const thaw_config *config, ladder_rung *r)
{
    const thaw_rates *rates = &config->rates;
    const size_t length = strlen(r->reason_text);
    if (rates->scale_with_batch == THAW_SCALE_NONE)
        return;
    thaw_format(r->reason_text + length, sizeof r->reason_text - length,
                "; all rates of the search times %g, %s scaling from a batch of %lld to %lld",
                thaw_rates_factor(rates, config->train.batch),
                thaw_batch_scaling_names()[rates->scale_with_batch],
                (long long)rates->reference_batch, (long long)config->train.batch);
}

static thaw_rates rates_of(const ladder *l, ladder_rung *r, int64_t candidate)
{
    const double rate = ladder_candidates(l->config, r->rung.kind)->items[candidate];
    const ladder_rung *frozen = frozen_rung(l);
    thaw_rates rates = l->config->rates;
    const char *what = "head";
    if (frozen != NULL)
        rates.head = frozen->rates.head;
    if (r->rung.kind == THAW_RUNG_SCRATCH) {
        rates.head = rates.backbone = rate;
        rates.layer_decay = 1;
        what = "one rate for the whole network";
    } else if (r->rung.kind == THAW_RUNG_FROZEN) {
        rates.head = rate;
    } else if (r->rung.kind == THAW_RUNG_PEFT) {
        rates.adapter = rate;
        what = "adapter";
    } else {
        rates.backbone = rate;
        what = "backbone";
    }
    const char *given = l->config->rates.reason;
    thaw_format(r->reason_text, sizeof r->reason_text,
                "%s%s%s: searched over %lld candidates on val with the first seed%s", given,
                given[0] != '\0' ? "; " : "", what, (long long)r->candidates,
                frozen == NULL || r->rung.kind == THAW_RUNG_SCRATCH
                    ? ""
                    : "; head: the frozen rung's choice");
    say_scaling(l->config, r);
    rates.reason = r->reason_text;
    return rates;
}

/* The ladder's config with what this trial changes; everything else is the same for all rungs. */
static thaw_status trial_config(const ladder *l, ladder_rung *r, const ladder_trial *trial,
                                thaw_config *out)
{
    const ladder_rung *frozen = frozen_rung(l);
    const bool warm_head = l->config->ladder.head_from_frozen && frozen != NULL &&
                           (r->rung.kind == THAW_RUNG_PARTIAL || r->rung.kind == THAW_RUNG_FULL);
    thaw_str head = {0};
    thaw_config changed = *l->config;
    if (warm_head)
        thaw_path_join(&head, frozen->seeds[trial->seed].directory, "adaptation.h5");
    changed.output = (char *)trial->directory;
    changed.rung = r->name;
    changed.seed = l->config->seed + trial->seed;
    changed.rates = rates_of(l, r, trial->candidate);
    changed.train.head_from = warm_head ? head.data : l->config->train.head_from;
    changed.train.save_backbone = (char *)"";
    if (changed.watch.action != THAW_WATCH_OFF && scratch_beside(l, r, trial) != NULL)
        changed.watch.scratch = (char *)(uintptr_t)scratch_beside(l, r, trial);
    if (trial->floats || r->floats_why[0] != '\0')
        changed.train.frozen_precision = THAW_PRECISION_F32;
    const thaw_status status = thaw_config_copy(&changed, out);
    thaw_str_clear(&head);
    return status;
}

/* The marker keeps --resume from trying it again. */
thaw_status ladder_mark_diverged(const thaw_comm *comm, const char *directory,
                                 const thaw_error *error)
{
    if (thaw_comm_rank(comm) != 0)
        return THAW_OK;
    thaw_json *row = thaw_json_new_object();
    thaw_str path = {0};
    thaw_json_set_bool(row, "complete", true);
    thaw_json_set_bool(row, "diverged", true);
    thaw_json_set_string(row, "message", error->message);
    thaw_path_join(&path, directory, "summary.json");
    const thaw_status status = thaw_json_write(thaw_str_c(&path), row);
    thaw_str_clear(&path);
    thaw_json_free(&row);
    return status;
}

static bool heard(void *bell)
{
    return thaw_bell_heard(bell);
}

/* ---- Candidates side by side ------------------------------------------------------------------------------------ */

/* Some of the trials: first, first + stride, ... */
typedef struct share {
    const ladder_trial *trials;
    int64_t first, stride, count;
} share;

static const ladder_trial *trial_of(const share *s, int64_t i)
{
    return &s->trials[s->first + i * s->stride];
}

/* Trials of one seed see the same samples in the same order. */
static bool go_together(const ladder *l, const ladder_trial *trials, int64_t count)
{
    bool alike = count > 1;
    for (int64_t i = 1; i < count; i++)
        alike = alike && trials[i].seed == trials[0].seed;
    return alike && l->config->ladder.together == 0 && thaw_pool_missed(l->pool) &&
           thaw_reduce_is_exact((thaw_reduce_mode)l->config->train.reduce);
}

/* All candidates on all ranks, which the shards must allow, or each group's share on that group: what is less work. Rank 0's word. */
static bool take_all_ranks(const ladder *l, thaw_comm *world, int64_t count)
{
    const int64_t width = l->config->ladder.ranks_per_trial;
    const int64_t size = thaw_comm_size(world);
    const int64_t groups = size / width;
    const int64_t each = (count + groups - 1) / groups;
    bool all =
        l->config->train.shards % size == 0 &&
        thaw_pool_epoch_work(l->pool, count, size) <= thaw_pool_epoch_work(l->pool, each, width);
    thaw_bcast(world, 0, &all, sizeof all);
    return all;
}

/* What is known of each trial is kept, also when a stop or another one's failure (`status`) ended the rest. */
static thaw_status settle_outcomes(thaw_comm *comm, const share *s, const thaw_error *outcomes,
                                   thaw_status status)
{
    const thaw_error cause = *thaw_error_last();
    thaw_status marked = THAW_OK;
    for (int64_t i = 0; i < s->count && marked == THAW_OK; i++) {
        if (outcomes[i].code == THAW_ERR_NUMERIC)
            marked = ladder_mark_diverged(comm, trial_of(s, i)->directory, &outcomes[i]);
    }
    marked = thaw_agree(comm, marked);
    if (status == THAW_OK) /* uniform */
        return marked;
    *thaw_error_last() = cause;
    return status;
}

static thaw_status make_configs(const ladder *l, ladder_rung *r, const share *s,
                                thaw_config **configs, thaw_error **outcomes)
{
    THAW_TRY(thaw_alloc(configs, s->count, sizeof **configs));
    THAW_TRY(thaw_alloc(outcomes, s->count, sizeof **outcomes));
    for (int64_t i = 0; i < s->count; i++)
        THAW_TRY(trial_config(l, r, trial_of(s, i), &(*configs)[i]));
    return THAW_OK;
}

/* One, or several that go together. bell: NULL when nobody works elsewhere. */
static thaw_status run_some(const ladder *l, thaw_comm *comm, thaw_bell *bell, ladder_rung *r,
                            const share *s)
{
    const thaw_run_options options = {.resume = true,
                                      .quiet = true,
                                      .predict_gate = true,
                                      .choices_from = l->config->output,
                                      .stop = bell == NULL ? NULL : heard,
                                      .stop_context = bell,
                                      .deadline = l->options->deadline,
                                      .pool = l->pool};
    thaw_config *configs = NULL;
    thaw_error *outcomes = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, make_configs(l, r, s, &configs, &outcomes)));
    status = thaw_train_together(comm, configs, s->count, &options, outcomes);
    status = settle_outcomes(comm, s, outcomes, status);
done:
    for (int64_t i = 0; i < s->count && configs != NULL; i++)
        thaw_config_clear(&configs[i]);
    thaw_free(&outcomes);
    thaw_free(&configs);
    return status;
}

static void say_together(const ladder *l, const ladder_rung *r, int64_t count, bool all_ranks)
{
    if (!l->options->quiet)
        THAW_LOG(THAW_INFO,
                 "rung %s: its %lld candidate rates share each run of the frozen prefix%s", r->name,
                 (long long)count,
                 all_ranks ? ", on all ranks" : ", as far as a group of ranks has several");
}

/* ---- Trials on groups of ranks ----------------------------------------------------------------------------------- */

/* A group's share of the trials; it ends when the group fails, is stopped, or hears of another one's trouble. */
static thaw_status run_share(const ladder *l, int64_t mine, int64_t groups, thaw_comm *group,
                             thaw_bell *bell, ladder_rung *r, const ladder_trial *trials,
                             int64_t count, bool together)
{
    if (together) {
        const share s = {trials, mine, groups, mine < count ? (count - 1 - mine) / groups + 1 : 0};
        return s.count == 0 ? THAW_OK : run_some(l, group, bell, r, &s);
    }
    for (int64_t i = mine; i < count; i += groups) {
        int64_t trouble = thaw_bell_heard(bell);
        thaw_bcast(group, 0, &trouble, sizeof trouble);
        if (trouble != 0)
            break;
        const share one = {trials, i, 1, 1};
        THAW_TRY(run_some(l, group, bell, r, &one));
    }
    return THAW_OK;
}

/* A failure counts more than the stops it caused; a stop that any rank was asked for is everybody's. */
static thaw_status settle(const ladder *l, thaw_comm *world, thaw_status status)
{
    const bool stopped = status == THAW_ERR_STOPPED;
    int64_t stop = stopped || thaw_stop_requested();
    THAW_TRY(thaw_agree(world, stopped ? THAW_OK : status));
    thaw_allreduce_max_int64(world, &stop, 1);
    THAW_CHECK(stop == 0, THAW_ERR_STOPPED, /* uniform */
               "stopped on request%s; what was trained so far is saved in %s: continue with "
               "--resume",
               l->options->deadline > 0 ? ", or for want of time" : "", l->config->output);
    return THAW_OK;
}

/* An earlier start left nothing to do: rank 0's word. */
static bool all_complete(thaw_comm *world, const ladder_trial *trials, int64_t count)
{
    thaw_str path = {0};
    bool complete = true;
    for (int64_t i = 0; i < count && thaw_comm_rank(world) == 0; i++) {
        thaw_path_join(&path, trials[i].directory, "summary.json");
        complete = complete && thaw_path_exists(thaw_str_c(&path));
    }
    thaw_str_clear(&path);
    thaw_bcast(world, 0, &complete, sizeof complete);
    return complete;
}

/* All ranks compute what the trials have in common. Trials go to the groups in turn; every group works through its share, then all
 * agree. */
static thaw_status run_trials(const ladder *l, thaw_comm *world, thaw_comm *group, ladder_rung *r,
                              const ladder_trial *trials, int64_t count)
{
    const int64_t width = l->config->ladder.ranks_per_trial;
    const int64_t groups = thaw_comm_size(world) / width;
    const int64_t mine = thaw_comm_rank(world) / width;
    const bool speaks = thaw_comm_rank(group) == 0;
    thaw_bell *bell = NULL;
    const bool complete = all_complete(world, trials, count);
    thaw_config common = *l->config; /* borrows */
    if ((count > 0 && trials[0].floats) || r->floats_why[0] != '\0')
        common.train.frozen_precision = THAW_PRECISION_F32;
    if (!complete)
        THAW_TRY(thaw_train_prepare(world, &common, r->name, l->config->output, l->pool,
                                    l->options->quiet));
    const bool together = !complete && go_together(l, trials, count);
    const bool all_ranks = together && take_all_ranks(l, world, count);
    const share all = {trials, 0, 1, count};
    if (together)
        say_together(l, r, count, all_ranks);
    if (all_ranks) /* uniform */
        return settle(l, world, run_some(l, world, NULL, r, &all));
    THAW_TRY(thaw_bell_new(world, speaks, &bell));
    const thaw_status status = run_share(l, mine, groups, group, bell, r, trials, count, together);
    if (speaks)
        thaw_bell_ring(bell, world, status != THAW_OK);
    /* The other groups may have hours to go. */
    thaw_beat_patience(true);
    thaw_bell_end(&bell, world);
    thaw_barrier(world);
    thaw_beat_patience(false);
    return settle(l, world, status);
}

/* Trials may have been left by an earlier start, and paths do not say what was in the files then. */
static thaw_status check_origin(ladder *l, const ladder_rung *r, const ladder_trial *trial)
{
    char data[THAW_DIGEST_HEX];
    const char *trained_on = thaw_json_string_or(trial->summary, "dataset_digest", "");
    const char *backbone = thaw_json_string_or(trial->summary, "backbone_digest", "");
    thaw_digest_hex(thaw_dataset_digest(l->dataset), data);
    THAW_CHECK(strcmp(trained_on, data) == 0, THAW_ERR_INPUT,
               "%s was trained on the dataset %s, but %s is now %s; use the old file, or start in "
               "another output directory",
               trial->directory, trained_on, l->config->data.file, data);
    if (r->rung.kind == THAW_RUNG_SCRATCH)
        return THAW_OK;
    if (l->backbone_digest[0] == '\0')
        thaw_copy(l->backbone_digest, sizeof l->backbone_digest, backbone);
    THAW_CHECK(strcmp(backbone, l->backbone_digest) == 0, THAW_ERR_INPUT,
               "%s started from the backbone %s, but trials before it from %s: %s was replaced "
               "in between; use the old file, or start in another output directory",
               trial->directory, backbone, l->backbone_digest, l->config->model.backbone);
    return THAW_OK;
}

static thaw_status load_summary(ladder *l, const ladder_rung *r, ladder_trial *trial)
{
    thaw_str path = {0};
    thaw_path_join(&path, trial->directory, "summary.json");
    thaw_json_free(&trial->summary);
    thaw_status status = thaw_json_read(thaw_str_c(&path), &trial->summary);
    if (status == THAW_OK && thaw_json_bool_or(trial->summary, "diverged", false)) {
        trial->diverged = true;
        thaw_json_free(&trial->summary);
    } else if (status == THAW_OK) {
        status = check_origin(l, r, trial);
    }
    thaw_str_clear(&path);
    return status;
}

/* Small files, read by every rank after all have written theirs. */
static thaw_status load_summaries(ladder *l, thaw_comm *world, const ladder_rung *r,
                                  ladder_trial *trials, int64_t count)
{
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < count && status == THAW_OK; i++)
        status = load_summary(l, r, &trials[i]);
    return thaw_agree(world, status);
}

/* Best metric on val; then lower val loss; then the smaller rate, which comes first in a sensible list. -1: all diverged. */
static int64_t choose(const thaw_metric *metric, const ladder_trial *trials, int64_t count)
{
    char path[80];
    const double sign = metric->lower_is_better ? -1 : 1;
    thaw_format(path, sizeof path, "val.%s", metric->name);
    int64_t best = -1;
    double best_score = 0;
    double best_loss = 0;
    for (int64_t i = 0; i < count; i++) {
        if (trials[i].diverged)
            continue;
        const double metric_value = thaw_json_double_or(trials[i].summary, path, NAN);
        const double score = isnan(metric_value) ? -INFINITY : sign * metric_value;
        const double loss = thaw_json_double_or(trials[i].summary, "val.loss", NAN);
        if (best < 0 || score > best_score || (score == best_score && loss < best_loss)) {
            best = i;
            best_score = score;
            best_loss = loss;
        }
    }
    return best;
}

static thaw_status allocate(ladder *l, ladder_rung *r)
{
    r->candidates = ladder_candidates(l->config, r->rung.kind)->count;
    THAW_TRY(thaw_alloc(&r->search, r->candidates, sizeof *r->search));
    THAW_TRY(thaw_alloc(&r->seeds, l->S, sizeof *r->seeds));
    for (int64_t i = 0; i < r->candidates; i++) {
        r->search[i].candidate = i;
        name_directory(l, r, i, 0, "", r->search[i].directory);
    }
    return THAW_OK;
}

static thaw_status plan_seeds(ladder *l, ladder_rung *r)
{
    r->chosen = choose(l->metric, r->search, r->candidates);
    THAW_CHECK(r->chosen >= 0, THAW_ERR_NUMERIC,
               "rung %s: training diverged at every candidate rate; lower the rates of the search",
               r->name);
    for (int64_t s = 0; s < l->S; s++) {
        r->seeds[s].candidate = r->chosen;
        r->seeds[s].seed = s;
        name_directory(l, r, r->chosen, s, "", r->seeds[s].directory);
    }
    r->rates = rates_of(l, r, r->chosen);
    return THAW_OK;
}

static thaw_status check_seeds(const ladder *l, const ladder_rung *r)
{
    for (int64_t s = 0; s < l->S; s++)
        THAW_CHECK(!r->seeds[s].diverged, THAW_ERR_NUMERIC,
                   "rung %s: seed %lld diverged at the rate chosen with the first seed (%s); lower "
                   "the rates of the search",
                   r->name, (long long)(l->config->seed + s), r->seeds[s].directory);
    return THAW_OK;
}

thaw_status ladder_run_rung(ladder *l, thaw_comm *world, thaw_comm *group, int64_t index)
{
    ladder_rung *r = &l->rungs[index];
    THAW_TRY(thaw_agree(world, allocate(l, r)));
    THAW_TRY(run_trials(l, world, group, r, r->search, r->candidates));
    THAW_TRY(load_summaries(l, world, r, r->search, r->candidates));
    THAW_TRY(thaw_agree(world, plan_seeds(l, r)));
    THAW_TRY(run_trials(l, world, group, r, r->seeds + 1, l->S - 1));
    THAW_TRY(load_summaries(l, world, r, r->seeds, l->S));
    THAW_TRY(thaw_agree(world, check_seeds(l, r)));
    r->done = true;
    return ladder_load_gate(l, world, index);
}

thaw_status ladder_run_floats(ladder *l, thaw_comm *world, thaw_comm *group, int64_t index,
                              ladder_trial *trials)
{
    ladder_rung *r = &l->rungs[index];
    for (int64_t s = 0; s < l->S; s++) {
        trials[s] = (ladder_trial){.candidate = r->chosen, .seed = s, .floats = true};
        name_directory(l, r, r->chosen, s, "-f32", trials[s].directory);
    }
    THAW_TRY(run_trials(l, world, group, r, trials, l->S));
    return load_summaries(l, world, r, trials, l->S);
}
