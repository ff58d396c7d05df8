#include "thaw/ladder.h"

#include <stdlib.h>
#include <string.h>

#include "ladder/ladder_impl.h"

/* The climb: which rungs, in which order, when to stop, and what is written. */

static int by_depth(const void *a, const void *b)
{
    return thaw_rung_compare(&((const ladder_rung *)a)->rung, &((const ladder_rung *)b)->rung);
}

/* Rungs of the config from simple to deep; scratch and frozen are added when they are not named. */
static thaw_status plan_rungs(ladder *l)
{
    const thaw_strings *names = &l->config->ladder.rungs;
    static const thaw_rung_kind always[] = {THAW_RUNG_SCRATCH, THAW_RUNG_FROZEN};
    THAW_TRY(thaw_alloc(&l->rungs, names->count + 2, sizeof *l->rungs));
    for (int64_t i = 0; i < names->count; i++)
        THAW_TRY(thaw_rung_parse(names->items[i], &l->rungs[l->count++].rung));
    for (size_t k = 0; k < sizeof always / sizeof *always; k++) {
        bool there = false;
        for (int64_t i = 0; i < l->count; i++)
            there = there || l->rungs[i].rung.kind == always[k];
        if (!there)
            l->rungs[l->count++].rung = (thaw_rung){.kind = always[k]};
    }
    qsort(l->rungs, (size_t)l->count, sizeof *l->rungs, by_depth);
    THAW_TRY(thaw_alloc(&l->p, l->count, sizeof *l->p));
    for (int64_t i = 0; i < l->count; i++) {
        const thaw_rung_kind kind = l->rungs[i].rung.kind;
        thaw_rung_format(&l->rungs[i].rung, l->rungs[i].name);
        l->p[i] = 1;
        l->planned += kind != THAW_RUNG_SCRATCH && kind != THAW_RUNG_FROZEN;
    }
    return THAW_OK;
}

thaw_status ladder_check_rungs(const thaw_config *config, const char *what)
{
    THAW_CHECK(config->model.backbone[0] != '\0', THAW_ERR_CONFIG,
               "model.backbone is empty; %s compares ways to reuse one", what);
    THAW_CHECK(config->train.adapter_from[0] == '\0', THAW_ERR_CONFIG,
               "train.adapter_from is for a run with rung peft; the rungs of %s all start from the "
               "backbone alone, so leave it out",
               what);
    THAW_CHECK(config->phases.count == 0, THAW_ERR_CONFIG,
               "phases are for `thaw train`; %s compares rungs that train all the time, so leave "
               "them out (--set phases=[])",
               what);
    return THAW_OK;
}

static thaw_status open_ladder(ladder *l)
{
    const thaw_data_config *d = &l->config->data;
    const thaw_dataset_options options = {.memory_limit_bytes = -1,
                                          .no_class_slices = !d->class_slices};
    l->S = l->config->ladder.seeds;
    THAW_CHECK(d->gate[0] != '\0', THAW_ERR_CONFIG,
               "data.gate is empty, but a ladder needs a split for its decisions; name one that no "
               "choice is made on");
    THAW_TRY(thaw_config_check_splits(d, true));
    THAW_TRY(ladder_check_rungs(l->config, "a ladder"));
    THAW_TRY(thaw_dataset_open(d->file, &options, &l->dataset));
    THAW_TRY(thaw_config_metric(l->config, l->dataset, &l->metric));
    THAW_TRY(thaw_dataset_keep_slices(l->dataset, &d->slices));
    THAW_TRY(thaw_dataset_split_need(l->dataset, d->gate, &l->gate));
    THAW_TRY(ladder_check_defined(l));
    l->N = thaw_dataset_count(l->dataset, l->gate);
    l->K = thaw_dataset_classes(l->dataset);
    THAW_TRY(plan_rungs(l));
    THAW_TRY(thaw_pool_new(&l->pool));
    l->summary = thaw_json_new_object();
    return ladder_describe_task(l);
}

static void close_rung(const ladder *l, ladder_rung *r)
{
    for (int64_t i = 0; r->search != NULL && i < r->candidates; i++)
        thaw_json_free(&r->search[i].summary);
    for (int64_t s = 0; r->seeds != NULL && s < l->S; s++)
        thaw_json_free(&r->seeds[s].summary);
    thaw_free(&r->search);
    thaw_free(&r->seeds);
    thaw_free(&r->score);
    thaw_free(&r->each);
    thaw_free(&r->confusion);
}

static void close_ladder(ladder *l)
{
    for (int64_t i = 0; i < l->count; i++)
        close_rung(l, &l->rungs[i]);
    thaw_pool_free(&l->pool);
    thaw_free(&l->rungs);
    thaw_free(&l->p);
    thaw_free(&l->cluster);
    thaw_json_free(&l->summary);
    thaw_dataset_free(&l->dataset);
}

static void say(const ladder *l, const ladder_rung *r, const char *verdict)
{
    if (l->options->quiet)
        return;
    THAW_LOG(THAW_INFO, "%-12s gate %s %.1f%% [%.1f, %.1f]  %s", r->name, ladder_score_title(l),
             100 * r->gate_score, 100 * r->gate_low, 100 * r->gate_high, verdict);
}

/* What is inspected before a deeper rung is tried is printed here, so that the reader can stop the climb with reason. */
static void inspect(const ladder *l)
{
    const ladder_rung *frozen = &l->rungs[l->best];
    const double gap = ladder_train_val_gap(l, frozen);
    char words[80];
    if (l->options->quiet)
        return;
    if (l->metric->share)
        thaw_format(words, sizeof words, "%+.1f points", 100 * gap);
    else
        thaw_format(words, sizeof words, "in %s %+.4g", l->metric->title, gap);
    for (int64_t i = 0; i < l->count; i++) {
        if (l->rungs[i].rung.kind == THAW_RUNG_SCRATCH && l->rungs[i].done)
            THAW_LOG(THAW_INFO,
                     "  frozen against scratch: %+.1f points on gate; train-val gap of frozen %s",
                     100 * (frozen->gate_score - l->rungs[i].gate_score), words);
    }
}

static thaw_status climb_one(ladder *l, thaw_comm *world, thaw_comm *group, int64_t index,
                             bool *stop)
{
    ladder_rung *r = &l->rungs[index];
    int64_t decided[2];
    const bool baseline = r->rung.kind == THAW_RUNG_SCRATCH || r->rung.kind == THAW_RUNG_FROZEN;
    thaw_depth_verdict verdict = THAW_DEPTH_INCONCLUSIVE;
    thaw_beat_phase("training trials of a ladder");
    THAW_TRY(ladder_run_rung(l, world, group, index));
    thaw_beat_phase("comparing rungs");
    thaw_status status = ladder_describe_rung(l, index);
    if (status == THAW_OK && !baseline)
        status = ladder_judge_step(l, index, &verdict);
    THAW_TRY(thaw_agree(world, status));
    /* Where to go next is rank 0's word: nodes with other CPUs may round a p-value differently. */
    decided[0] = verdict;
    thaw_bcast(world, 0, decided, sizeof decided[0]);
    verdict = (thaw_depth_verdict)decided[0];
    say(l, r, baseline ? "baseline" : thaw_depth_verdict_name(verdict));
    if (r->rung.kind == THAW_RUNG_FROZEN) {
        l->best = index;
        inspect(l);
        if (l->config->train.frozen_precision == THAW_PRECISION_INT8)
            THAW_TRY(ladder_judge_precision(l, world, group, index)); /* uniform */
    }
    if (verdict == THAW_DEPTH_CLEAR_GAIN)
        l->best = index;
    bool failing = false;
    THAW_TRY(thaw_agree(world, ladder_has_failing_slice(l, l->best, &failing)));
    decided[1] =
        !baseline && verdict != THAW_DEPTH_CLEAR_GAIN && l->config->ladder.mode == 0 && !failing;
    thaw_bcast(world, 0, decided + 1, sizeof decided[1]);
    *stop = decided[1] != 0;
    return THAW_OK;
}

static thaw_status climb(ladder *l, thaw_comm *world, thaw_comm *group)
{
    bool stop = false;
    for (int64_t i = 0; i < l->count && !stop; i++)
        THAW_TRY(climb_one(l, world, group, i, &stop));
    thaw_status status = ladder_judge_transfer(l);
    if (status == THAW_OK)
        status = ladder_describe_choice(l);
    THAW_TRY(thaw_agree(world, status));
    return ladder_open_test(l, world);
}

static thaw_status write_files(ladder *l)
{
    thaw_str path = {0};
    thaw_json_set_bool(l->summary, "complete", true);
    thaw_path_join(&path, l->config->output, "summary.json");
    thaw_status status = thaw_json_write(thaw_str_c(&path), l->summary);
    if (status == THAW_OK)
        status = thaw_ladder_render(l->config->output);
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_ladder_render(const char *directory)
{
    thaw_str path = {0};
    thaw_str note = {0};
    thaw_json *summary = NULL;
    thaw_json *facts = NULL;
    thaw_status status;
    thaw_path_join(&path, directory, "summary.json");
    THAW_TRY_TO(thaw_json_read(thaw_str_c(&path), &summary));
    THAW_CHECK_TO(strcmp(thaw_json_string_or(summary, "kind", ""), "ladder") == 0, THAW_ERR_INPUT,
                  "%s is not of a ladder; notes are written for ladders", thaw_str_c(&path));
    THAW_TRY_TO(ladder_note_page(summary, &note));
    thaw_path_join(&path, directory, "note.md");
    THAW_TRY_TO(thaw_file_write(thaw_str_c(&path), note.data, note.length));
    thaw_str_reset(&note);
    THAW_TRY_TO(ladder_note_markdown(summary, &note));
    thaw_path_join(&path, directory, "note-full.md");
    THAW_TRY_TO(thaw_file_write(thaw_str_c(&path), note.data, note.length));
    THAW_TRY_TO(ladder_note_json(summary, &facts));
    thaw_path_join(&path, directory, "note.json");
    THAW_TRY_TO(thaw_json_write(thaw_str_c(&path), facts));
    thaw_path_join(&path, directory, "report.html");
    status = ladder_write_html(summary, directory, thaw_str_c(&path));
done:
    thaw_json_free(&facts);
    thaw_json_free(&summary);
    thaw_str_clear(&note);
    thaw_str_clear(&path);
    return status;
}

/* ---- The run directory of a ladder ---------------------------------------------------------------------------------- */

bool ladder_holds(const char *directory, const char *name)
{
    thaw_str path = {0};
    thaw_path_join(&path, directory, name);
    const bool there = thaw_path_exists(thaw_str_c(&path));
    thaw_str_clear(&path);
    return there;
}

/* True when `now` asks for what was answered: the settings that may change between starts and matter to verdicts or test are equal. */
static bool asks_the_same(const thaw_config *was, const thaw_config *now)
{
    thaw_config before = *was;
    before.name = now->name;
    before.output = now->output;
    before.log_seconds = now->log_seconds;
    before.rung = now->rung;
    before.data.file = now->data.file; /* by digest */
    before.data.memory_limit_gib = now->data.memory_limit_gib;
    before.data.prefetch = now->data.prefetch;
    before.model.backbone = now->model.backbone;
    before.train.cache = now->train.cache;
    before.train.cache_limit_gib = now->train.cache_limit_gib;
    before.train.cache_dir = now->train.cache_dir;
    before.train.cache_keep = now->train.cache_keep;
    before.train.log_every = now->train.log_every;
    before.train.checkpoint_every = now->train.checkpoint_every;
    before.train.checkpoint_keep = now->train.checkpoint_keep;
    before.train.watchdog = now->train.watchdog;
    before.train.save_backbone = now->train.save_backbone;
    before.ladder.ranks_per_trial = now->ladder.ranks_per_trial;
    before.ladder.together = now->ladder.together;
    return thaw_fields_equal(thaw_config_fields, &before, now);
}

/* What an earlier start left, seen by rank 0. *complete: nothing is left to do. A test split that was opened is not opened again for
 * another choice. */
static thaw_status look(const ladder *l, bool *complete)
{
    const thaw_config *config = l->config;
    thaw_str path = {0};
    thaw_json *summary = NULL;
    thaw_config was = {0};
    thaw_status status = THAW_OK;
    char data[THAW_DIGEST_HEX];
    *complete = false;
    if (!l->options->resume || !ladder_holds(config->output, "config.yaml"))
        goto done;
    thaw_path_join(&path, config->output, "config.yaml");
    THAW_TRY_TO(thaw_config_compare_file(thaw_str_c(&path), config));
    if (!ladder_holds(config->output, "summary.json"))
        goto done;
    THAW_TRY_TO(thaw_config_load(thaw_str_c(&path), NULL, &was));
    thaw_path_join(&path, config->output, "summary.json");
    THAW_TRY_TO(thaw_json_read(thaw_str_c(&path), &summary));
    thaw_digest_hex(thaw_dataset_digest(l->dataset), data);
    *complete = asks_the_same(&was, config) &&
                strcmp(thaw_json_string_or(summary, "dataset_digest", ""), data) == 0;
    THAW_CHECK_TO(*complete || thaw_json_find(summary, "test") == NULL ||
                      config->data.test[0] == '\0',
                  THAW_ERR_INPUT,
                  "%s is complete and its test split was opened, which happens once; with the "
                  "settings as they are now, set data.test to '' to judge its trials again without "
                  "it, or choose another output",
                  config->output);
done:
    thaw_config_clear(&was);
    thaw_json_free(&summary);
    thaw_str_clear(&path);
    return status;
}

static thaw_status prepare(const thaw_config *config, const thaw_ladder_options *options)
{
    static const char *const leftovers[] = {
        "summary.json", "note.md", "note-full.md", "note.json", "report.html", "trials", NULL};
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_status status;
    THAW_CHECK_TO(options->resume || options->overwrite ||
                      !ladder_holds(config->output, "config.yaml"),
                  THAW_ERR_USAGE,
                  "%s already holds a run; continue it with --resume, replace it with --overwrite, "
                  "or choose another output",
                  config->output);
    THAW_TRY_TO(thaw_mkdirs(config->output));
    for (const char *const *name = leftovers; *name != NULL; name++) {
        if (options->resume && strcmp(*name, "trials") == 0)
            continue; /* they are kept; what was said of them is said anew */
        thaw_path_join(&path, config->output, *name);
        if (thaw_path_exists(thaw_str_c(&path)))
            THAW_TRY_TO(thaw_remove_tree(thaw_str_c(&path)));
    }
    thaw_conf_write(thaw_config_fields, config, &text);
    thaw_path_join(&path, config->output, "config.yaml");
    status = thaw_file_write(thaw_str_c(&path), text.data, text.length);
done:
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}

static thaw_status check_output(const char *directory)
{
    thaw_str path = {0};
    thaw_path_join(&path, directory, "config.yaml");
    const thaw_status status = thaw_output_check(thaw_str_c(&path), true);
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_ladder_run(thaw_comm *comm, const thaw_config *config,
                            const thaw_ladder_options *options)
{
    const int64_t width = config->ladder.ranks_per_trial;
    thaw_comm *group = NULL;
    thaw_watchdog *watchdog = NULL;
    ladder l = {.config = config, .options = options};
    THAW_CHECK(thaw_comm_size(comm) % width == 0, THAW_ERR_CONFIG, /* uniform */
               "ladder.ranks_per_trial %lld does not divide the %d ranks", (long long)width,
               thaw_comm_size(comm));
    THAW_CHECK(config->train.shards % width == 0, THAW_ERR_CONFIG, /* uniform */
               "train.shards %lld is not divisible by ladder.ranks_per_trial %lld",
               (long long)config->train.shards, (long long)width);
    bool complete = false;
    thaw_status status;
    THAW_TRY_TO(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    if (!options->resume) /* uniform: a resumed one may be complete, and is only read then */
        THAW_TRY_TO(
            thaw_agree(comm, thaw_comm_rank(comm) == 0 ? check_output(config->output) : THAW_OK));
    THAW_TRY_TO(thaw_agree(comm, open_ladder(&l)));
    status = thaw_comm_rank(comm) == 0 ? look(&l, &complete) : THAW_OK;
    if (status == THAW_OK && complete)
        status = thaw_ladder_render(config->output);
    THAW_TRY_TO(thaw_agree(comm, status));
    thaw_bcast(comm, 0, &complete, sizeof complete);
    if (complete) {
        if (!options->quiet)
            THAW_LOG(THAW_INFO, "%s is complete already", config->output);
        goto done;
    }
    THAW_TRY_TO(ladder_settle_precision(&l, comm));
    status = thaw_comm_rank(comm) == 0 ? prepare(config, options) : THAW_OK;
    if (thaw_comm_rank(comm) == 0 && status == THAW_OK)
        status =
            thaw_config_find_leaks(config, l.dataset, thaw_json_set_object(l.summary, "leaks"));
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(thaw_comm_split(comm, (int)(thaw_comm_rank(comm) / width), 0, &group));
    THAW_TRY_TO(climb(&l, comm, group));
    status = thaw_comm_rank(comm) == 0 ? write_files(&l) : THAW_OK;
    status = thaw_agree(comm, status);
done:
    thaw_comm_free(&group);
    close_ladder(&l);
    thaw_watchdog_stop(&watchdog);
    return status;
}
