#include "ladder/search_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Successive halving: rounds of fresh runs, each with fewer candidates and more epochs. A run is trained afresh in every round, since its schedule runs over
 * its own epochs: one that went on would have had the rates of another. */

/* ---- One round ---- */

static void name_directory(const search *s, int64_t round, const search_candidate *c, char *out)
{
    char name[THAW_RUNG_TEXT];
    char second[40] = "";
    thaw_copy(name, sizeof name, c->name);
    for (char *p = name; *p != '\0'; p++) {
        if (strchr(":/*,?", *p) != NULL)
            *p = '_';
    }
    if (!isnan(c->rate))
        thaw_format(second, sizeof second, "-%s%g",
                    c->rung.kind == THAW_RUNG_PEFT ? "adapter" : "backbone", c->rate);
    thaw_format(out, LADDER_PATH, "%s/trials/round%lld-%s-head%g%s", s->config->output,
                (long long)round, name, c->rates.head, second);
}

/* Gate and test are not there for it. */
static thaw_status trial_config(const search *s, const search_candidate *c, int64_t epochs,
                                thaw_config *out)
{
    thaw_config changed = *s->config; /* borrows */
    changed.output = (char *)c->directory;
    changed.rung = (char *)c->name;
    changed.rates = c->rates;
    changed.train.epochs = epochs;
    changed.train.save_backbone = (char *)"";
    changed.data.gate = (char *)"";
    changed.data.test = (char *)"";
    /* Beside scratch a candidate would be stopped that halving has not judged. */
    changed.watch = (thaw_watch_config){.scratch = (char *)"", .evaluations = 3};
    return thaw_config_copy(&changed, out);
}

static thaw_status make_configs(const search *s, const search_candidate *c, int64_t count,
                                int64_t epochs, thaw_config **configs, thaw_error **outcomes)
{
    THAW_TRY(thaw_alloc(configs, count, sizeof **configs));
    THAW_TRY(thaw_alloc(outcomes, count, sizeof **outcomes));
    for (int64_t i = 0; i < count; i++)
        THAW_TRY(trial_config(s, &c[i], epochs, &(*configs)[i]));
    return THAW_OK;
}

/* What ended by itself is marked also when a stop ended the rest. */
static thaw_status settle(thaw_comm *comm, const search_candidate *c, int64_t count,
                          const thaw_error *outcomes, thaw_status status)
{
    const thaw_error cause = *thaw_error_last();
    thaw_status marked = THAW_OK;
    for (int64_t i = 0; i < count && marked == THAW_OK; i++) {
        if (outcomes[i].code == THAW_ERR_NUMERIC)
            marked = ladder_mark_diverged(comm, c[i].directory, &outcomes[i]);
    }
    marked = thaw_agree(comm, marked);
    if (status == THAW_OK) /* uniform */
        return marked;
    *thaw_error_last() = cause;
    return status;
}

/* Candidates of one rung, on all ranks: they see the same samples in the same order, and share features or each run of the frozen prefix. */
static thaw_status run_rung(const search *s, thaw_comm *comm, const search_candidate *c,
                            int64_t count, int64_t epochs)
{
    const thaw_run_options options = {.resume = true,
                                      .quiet = true,
                                      .choices_from = s->config->output,
                                      .deadline = s->options->deadline,
                                      .pool = s->pool};
    thaw_config *configs = NULL;
    thaw_error *outcomes = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, make_configs(s, c, count, epochs, &configs, &outcomes)));
    THAW_TRY_TO(thaw_train_prepare(comm, &configs[0], c->name, s->config->output, s->pool,
                                   s->options->quiet));
    status = thaw_train_together(comm, configs, count, &options, outcomes);
    status = settle(comm, c, count, outcomes, status);
done:
    for (int64_t i = 0; i < count && configs != NULL; i++)
        thaw_config_clear(&configs[i]);
    thaw_free(&outcomes);
    thaw_free(&configs);
    return status;
}

/* Paths do not say what was in the files when an earlier start trained this. */
static thaw_status check_origin(search *s, const search_candidate *c, const thaw_json *summary)
{
    const char *data = thaw_json_string_or(summary, "dataset_digest", "");
    const char *backbone = thaw_json_string_or(summary, "backbone_digest", "");
    if (s->backbone_digest[0] == '\0')
        thaw_copy(s->backbone_digest, sizeof s->backbone_digest, backbone);
    THAW_CHECK(strcmp(data, s->data_digest) == 0, THAW_ERR_INPUT,
               "%s was trained on the dataset %s, but %s is now %s; use the old file, or start in "
               "another output directory",
               c->directory, data, s->config->data.file, s->data_digest);
    THAW_CHECK(strcmp(backbone, s->backbone_digest) == 0, THAW_ERR_INPUT,
               "%s started from the backbone %s, but runs before it from %s: %s was replaced in "
               "between; use the old file, or start in another output directory",
               c->directory, backbone, s->backbone_digest, s->config->model.backbone);
    return THAW_OK;
}

static thaw_status load(search *s, search_candidate *c)
{
    char key[80];
    thaw_str path = {0};
    thaw_json *summary = NULL;
    thaw_status status;
    thaw_format(key, sizeof key, "val.%s", s->metric->name);
    thaw_path_join(&path, c->directory, "summary.json");
    THAW_TRY_TO(thaw_json_read(thaw_str_c(&path), &summary));
    c->diverged = thaw_json_bool_or(summary, "diverged", false);
    c->value = thaw_json_double_or(summary, key, NAN);
    c->loss = thaw_json_double_or(summary, "val.loss", NAN);
    status = c->diverged ? THAW_OK : check_origin(s, c, summary);
done:
    thaw_json_free(&summary);
    thaw_str_clear(&path);
    return status;
}

/* Higher is better; what has no value comes after all that have one. */
static double worth(const thaw_metric *metric, const search_candidate *c)
{
    if (c->diverged || isnan(c->value))
        return -INFINITY;
    return metric->lower_is_better ? -c->value : c->value;
}

/* Val's metric; then its loss; then the simpler rung and the rate that is named first. */
static bool goes_before(const thaw_metric *metric, const search_candidate *a,
                        const search_candidate *b)
{
    const double x = worth(metric, a);
    const double y = worth(metric, b);
    if (a->diverged != b->diverged)
        return b->diverged;
    if (x != y)
        return x > y;
    if (!a->diverged && a->loss != b->loss)
        return a->loss < b->loss || (isnan(b->loss) && !isnan(a->loss));
    return a->index < b->index;
}

/* By insertion: there are dozens. The best of `count` first. */
static void rank_them(const thaw_metric *metric, search_candidate *all, int64_t count)
{
    for (int64_t i = 1; i < count; i++) {
        const search_candidate one = all[i];
        int64_t at = i;
        for (; at > 0 && goes_before(metric, &one, &all[at - 1]); at--)
            all[at] = all[at - 1];
        all[at] = one;
    }
}

static void add_rows(search *s, int64_t round, int64_t epochs, int64_t kept)
{
    thaw_json *row = thaw_json_add_object(s->round_rows);
    thaw_json_set_int(row, "round", round);
    thaw_json_set_int(row, "candidates", s->left);
    thaw_json_set_int(row, "epochs", epochs);
    thaw_json *list = thaw_json_set_array(row, "trials");
    for (int64_t i = 0; i < s->left; i++) {
        const search_candidate *c = &s->all[i];
        thaw_json *trial = thaw_json_add_object(list);
        thaw_json_set_string(trial, "rung", c->name);
        thaw_json_set_double(trial, "head", c->rates.head);
        thaw_json_set_double(trial, "adapter", c->rung.kind == THAW_RUNG_PEFT ? c->rate : NAN);
        thaw_json_set_double(trial, "backbone", c->rung.kind == THAW_RUNG_PEFT ? NAN : c->rate);
        thaw_json_set_double(trial, "val", c->diverged ? NAN : c->value);
        thaw_json_set_double(trial, "val_loss", c->diverged ? NAN : c->loss);
        thaw_json_set_bool(trial, "diverged", c->diverged);
        thaw_json_set_bool(trial, "kept", i < kept);
        thaw_json_set_string(trial, "directory", c->directory);
    }
}

/* Candidates stand by their index, and so rung by rung. */
static thaw_status run_candidates(search *s, thaw_comm *comm, int64_t round, int64_t epochs)
{
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < s->left; i++)
        name_directory(s, round, &s->all[i], s->all[i].directory);
    for (int64_t i = 0, n; i < s->left; i += n) {
        for (n = 1; i + n < s->left && thaw_rung_equal(&s->all[i].rung, &s->all[i + n].rung);)
            n++;
        THAW_TRY(run_rung(s, comm, &s->all[i], n, epochs));
    }
    for (int64_t i = 0; i < s->left && status == THAW_OK; i++)
        status = load(s, &s->all[i]);
    return thaw_agree(comm, status);
}

static int by_index(const void *a, const void *b)
{
    const search_candidate *x = a;
    const search_candidate *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

static thaw_status run_round(search *s, thaw_comm *comm, int64_t round)
{
    const int64_t fair = s->options->budget / (s->left * s->rounds);
    const int64_t epochs = fair < s->config->train.epochs ? fair : s->config->train.epochs;
    int64_t kept = (s->left + s->options->keep - 1) / s->options->keep;
    int64_t finite = 0;
    if (!s->options->quiet)
        THAW_LOG(THAW_INFO, "round %lld of %lld: %lld candidates, %lld epochs each",
                 (long long)round, (long long)s->rounds, (long long)s->left, (long long)epochs);
    qsort(s->all, (size_t)s->left, sizeof *s->all, by_index);
    THAW_TRY(run_candidates(s, comm, round, epochs));
    s->spent += s->left * epochs;
    s->epochs = epochs;
    rank_them(s->metric, s->all, s->left);
    for (int64_t i = 0; i < s->left; i++)
        finite += !s->all[i].diverged;
    kept = kept < finite ? kept : finite;
    /* Another round of as many epochs would only repeat this one. What is left after the last is ranked, and the two best are told of. */
    s->over = round == s->rounds || epochs == s->config->train.epochs;
    add_rows(s, round, epochs, s->over ? 0 : kept);
    THAW_CHECK(finite > 0, THAW_ERR_NUMERIC, /* uniform */
               "training diverged with every candidate; lower the rates in ladder.search_head, "
               "search_adapter and search_backbone (thaw search CONFIG --range shows how far they "
               "may go)");
    if (!s->over)
        s->left = kept;
    return THAW_OK;
}

/* ---- The directory ---- */

static thaw_status prepare(const thaw_config *config, const thaw_search_options *options)
{
    static const char *const leftovers[] = {"search.json", "search.md", "search.csv", "trials",
                                            NULL};
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_status status;
    const bool there = ladder_holds(config->output, "config.yaml");
    THAW_CHECK_TO(options->resume || options->overwrite || !there, THAW_ERR_USAGE,
                  "%s already holds a run; continue it with --resume, replace it with --overwrite, "
                  "or choose another output",
                  config->output);
    thaw_path_join(&path, config->output, "config.yaml");
    if (options->resume && there)
        THAW_TRY_TO(thaw_config_compare_file(thaw_str_c(&path), config));
    THAW_TRY_TO(thaw_output_check(thaw_str_c(&path), true));
    THAW_TRY_TO(thaw_mkdirs(config->output));
    /* A search that goes on may yet be refused; what it finds replaces what is there. */
    for (const char *const *name = leftovers; *name != NULL && !options->resume; name++) {
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

static thaw_status check(const thaw_config *config, const thaw_search_options *options)
{
    THAW_CHECK(options->keep >= 2 && options->budget > 0, THAW_ERR_USAGE,
               "a search needs a budget of epochs, and to keep one of 2 candidates or more, not "
               "budget %lld and keep %lld",
               (long long)options->budget, (long long)options->keep);
    THAW_TRY(ladder_check_rungs(config, "a search"));
    return thaw_config_check_splits(&config->data, true);
}

static thaw_status open_search(search *s)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .no_class_slices = true};
    thaw_dataset *dataset = NULL;
    THAW_TRY(check(s->config, s->options));
    THAW_TRY(search_list(s));
    s->rounds = search_rounds(s->count, s->options->keep);
    THAW_CHECK(s->options->budget >= s->count * s->rounds, THAW_ERR_USAGE,
               "a budget of %lld epochs has none for each of %lld candidates in the first of %lld "
               "rounds; give %lld or more, name fewer rungs or rates, or keep fewer",
               (long long)s->options->budget, (long long)s->count, (long long)s->rounds,
               (long long)(s->count * s->rounds));
    thaw_status status = thaw_dataset_open(s->config->data.file, &how, &dataset);
    if (status == THAW_OK)
        status = thaw_config_metric(s->config, dataset, &s->metric);
    if (status == THAW_OK)
        thaw_digest_hex(thaw_dataset_digest(dataset), s->data_digest);
    thaw_dataset_free(&dataset);
    THAW_TRY(status);
    s->result = thaw_json_new_object();
    s->round_rows = thaw_json_set_array(s->result, "rounds");
    return thaw_pool_new(&s->pool);
}

thaw_status thaw_search_run(thaw_comm *comm, const thaw_config *config,
                            const thaw_search_options *options)
{
    search s = {.config = config, .options = options};
    thaw_watchdog *watchdog = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    THAW_TRY_TO(thaw_agree(comm, open_search(&s)));
    THAW_TRY_TO(thaw_agree(comm, thaw_comm_rank(comm) == 0 ? prepare(config, options) : THAW_OK));
    for (int64_t round = 1; !s.over; round++)
        THAW_TRY_TO(run_round(&s, comm, round));
    THAW_TRY_TO(search_conclude(&s, comm));
    status = thaw_agree(comm, thaw_comm_rank(comm) == 0 ? search_write(&s) : THAW_OK);
done:
    thaw_pool_free(&s.pool);
    thaw_json_free(&s.result);
    thaw_free(&s.all);
    thaw_watchdog_stop(&watchdog);
    return status;
}
