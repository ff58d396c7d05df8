#include "ladder/ladder_impl.h"

#include <string.h>

/* `thaw compare`: two finished runs, the predictions they left, the data they were judged on. */

typedef struct two_runs {
    thaw_predictions a, b;
    thaw_config config; /* of run A, for the data and the ladder's thresholds */
    thaw_config config_b;
    thaw_dataset *dataset;
    int64_t split;
    const thaw_metric *metric;
    float *score, *each; /* (2, N) */
} two_runs;

static bool has_predictions(const char *run, const char *split)
{
    thaw_str path = {0};
    thaw_str name = {0};
    thaw_str_printf(&name, "predictions-%s.h5", split);
    thaw_path_join(&path, run, thaw_str_c(&name));
    const bool there = thaw_path_exists(thaw_str_c(&path));
    thaw_str_clear(&name);
    thaw_str_clear(&path);
    return there;
}

static thaw_status read_config(const char *run, thaw_config *out)
{
    thaw_str path = {0};
    thaw_path_join(&path, run, "config.yaml");
    thaw_status status = thaw_config_load(thaw_str_c(&path), NULL, out);
    if (status == THAW_ERR_CONFIG)
        status = thaw_fail_context(THAW_ERR_INPUT, "%s is not a run directory", run);
    thaw_str_clear(&path);
    return status;
}

static const char *split_name(const thaw_config *config, const char *split)
{
    if (strcmp(split, "gate") == 0)
        return config->data.gate;
    return strcmp(split, "val") == 0 ? config->data.val : config->data.test;
}

/* Of two metrics there is no difference to speak of. */
static thaw_status same_metric(const char *run_a, const char *run_b, two_runs *t)
{
    const thaw_metric *other;
    THAW_TRY(thaw_config_metric(&t->config, t->dataset, &t->metric));
    THAW_TRY(thaw_config_metric(&t->config_b, t->dataset, &other));
    THAW_CHECK(other == t->metric, THAW_ERR_INPUT,
               "%s is judged by %s and %s by %s (train.metric); a paired comparison needs one "
               "metric. thaw eval shows all metrics of each run",
               run_a, t->metric->name, run_b, other->name);
    return THAW_OK;
}

static thaw_status same_samples(const char *run_a, const char *run_b, two_runs *t,
                                const char *split)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1,
                                      .no_class_slices = !t->config.data.class_slices};
    THAW_CHECK(t->a.task == t->b.task, THAW_ERR_INPUT, "%s is of a task of %s and %s of %s", run_a,
               thaw_task_name(t->a.task), run_b, thaw_task_name(t->b.task));
    THAW_CHECK(t->a.N == t->b.N && t->a.K == t->b.K, THAW_ERR_INPUT,
               "%s has %lld predictions of %lld classes and %s has %lld of %lld; a paired "
               "comparison needs the same samples",
               run_a, (long long)t->a.N, (long long)t->a.K, run_b, (long long)t->b.N,
               (long long)t->b.K);
    THAW_CHECK(thaw_digest_equal(ladder_truth(&t->a), ladder_truth(&t->b)), THAW_ERR_INPUT,
               "%s and %s were judged on different samples of '%s' (their labels differ)", run_a,
               run_b, split);
    THAW_TRY(thaw_dataset_open(t->config.data.file, &how, &t->dataset));
    THAW_TRY(thaw_dataset_keep_slices(t->dataset, &t->config.data.slices));
    THAW_TRY(thaw_dataset_split_need(t->dataset, split_name(&t->config, split), &t->split));
    THAW_CHECK(thaw_dataset_count(t->dataset, t->split) == t->a.N, THAW_ERR_INPUT,
               "%s: split '%s' has %lld samples now, but the runs predicted %lld",
               t->config.data.file, split, (long long)thaw_dataset_count(t->dataset, t->split),
               (long long)t->a.N);
    THAW_TRY(same_metric(run_a, run_b, t));
    THAW_TRY(thaw_alloc(&t->score, 2 * t->a.N, sizeof *t->score));
    THAW_TRY(thaw_alloc(&t->each, 2 * t->a.N, sizeof *t->each));
    THAW_TRY(ladder_take_scores(&t->a, t->metric, t->score, t->each));
    return ladder_take_scores(&t->b, t->metric, t->score + t->a.N, t->each + t->a.N);
}

static thaw_status judge(const char *run_a, const char *run_b, const two_runs *t, const char *split,
                         thaw_json *out)
{
    const ladder_pair pair = {.name_a = run_a,
                              .name_b = run_b,
                              .a = t->score,
                              .b = t->score + t->a.N,
                              .each_a = t->each,
                              .each_b = t->each + t->a.N,
                              .metric = t->metric,
                              .seeds = 1,
                              .N = t->a.N,
                              .cluster = t->a.cluster,
                              .dataset = t->dataset,
                              .split = t->split};
    const thaw_rule rule = ladder_rule(&t->config);
    const thaw_bootstrap how = ladder_bootstrap(&t->config);
    thaw_decision decision;
    thaw_json_set_string(out, "split", split);
    return ladder_compare(&pair, &how, &rule, NULL, NULL, &decision, out);
}

thaw_status thaw_ladder_compare_runs(thaw_comm *comm, const char *run_a, const char *run_b,
                                     const char *split, thaw_json **out)
{
    two_runs t;
    memset(&t, 0, sizeof t);
    *out = thaw_json_new_object();
    /* Rank 0's view of the directories decides for all. */
    int64_t gate = has_predictions(run_a, "gate") && has_predictions(run_b, "gate");
    thaw_bcast(comm, 0, &gate, sizeof gate);
    if (split == NULL)
        split = gate != 0 ? "gate" : "val";
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, read_config(run_a, &t.config)));
    THAW_TRY_TO(thaw_agree(comm, read_config(run_b, &t.config_b)));
    THAW_TRY_TO(thaw_predictions_read(comm, run_a, split, &t.a));
    THAW_TRY_TO(thaw_predictions_read(comm, run_b, split, &t.b));
    status = same_samples(run_a, run_b, &t, split);
    if (status == THAW_OK)
        status = judge(run_a, run_b, &t, split, *out);
    status = thaw_agree(comm, status);
done:
    thaw_free(&t.each);
    thaw_free(&t.score);
    thaw_dataset_free(&t.dataset);
    thaw_predictions_clear(&t.b);
    thaw_predictions_clear(&t.a);
    thaw_config_clear(&t.config_b);
    thaw_config_clear(&t.config);
    if (status != THAW_OK)
        thaw_json_free(out);
    return status;
}
