#include "ladder/ladder_impl.h"

#include <math.h>
#include <string.h>

/* The test split is opened here and nowhere else: once, at the end, for the chosen rung and the baselines. */

typedef struct test_rung {
    int64_t index;
    float *score, *each; /* (S, N) */
    double df;           /* as thaw_scores.df, of the metric on test */
} test_rung;

/* The file may have been replaced since the ladder opened it. */
static thaw_status check_size(const ladder *l, const thaw_predictions *p, int64_t N)
{
    THAW_CHECK(p->N == N && p->K == l->K, THAW_ERR_INPUT,
               "%s: predictions of %lld samples and %lld classes, but the ladder opened it with "
               "%lld and %lld; it was replaced meanwhile",
               l->config->data.file, (long long)p->N, (long long)p->K, (long long)N,
               (long long)l->K);
    return THAW_OK;
}

static thaw_status score(ladder *l, thaw_comm *world, test_rung *t, int64_t N)
{
    const ladder_rung *r = &l->rungs[t->index];
    thaw_status made = thaw_alloc(&t->score, l->S * N, sizeof *t->score);
    if (made == THAW_OK)
        made = thaw_alloc(&t->each, l->S * N, sizeof *t->each);
    THAW_TRY(thaw_agree(world, made));
    for (int64_t s = 0; s < l->S; s++) {
        thaw_predictions p;
        THAW_TRY(thaw_eval_run(world, r->seeds[s].directory, l->config->data.file,
                               l->config->data.test, &p));
        thaw_status status = check_size(l, &p, N);
        if (status == THAW_OK)
            status = ladder_take_scores(&p, l->metric, t->score + s * N, t->each + s * N);
        if (status == THAW_OK)
            status = thaw_predictions_df(&p, l->metric, &t->df);
        if (status != THAW_OK)
            status = thaw_fail_context(status, "test, rung %s", r->name);
        status = thaw_agree(world, status);
        if (status == THAW_OK)
            status = thaw_predictions_write(world, r->seeds[s].directory, "test", &p);
        thaw_predictions_clear(&p);
        THAW_TRY(thaw_agree(world, status));
    }
    return THAW_OK;
}

static thaw_status describe(ladder *l, const test_rung *t, int64_t N, const int32_t *cluster,
                            thaw_json *rungs)
{
    ladder_mean own;
    THAW_TRY(ladder_mean_score(l, t->score, N, cluster, NULL, t->df, &own));
    thaw_json *row = thaw_json_add_object(rungs);
    thaw_json_set_string(row, "name", l->rungs[t->index].name);
    thaw_json_set_double(row, ladder_score_key(l), own.mean);
    thaw_json_set_double(row, "low", own.low);
    thaw_json_set_double(row, "high", own.high);
    thaw_json_set_doubles(row, "per_seed", own.seeds, l->S);
    return THAW_OK;
}

/* The chosen rung against each baseline: a report, no decision is taken on it. */
static thaw_status compare(ladder *l, const test_rung *a, const test_rung *chosen, int64_t split,
                           thaw_json *list)
{
    const thaw_rule rule = ladder_rule(l->config);
    const thaw_bootstrap how = ladder_bootstrap(l->config);
    const ladder_pair pair = {.name_a = l->rungs[a->index].name,
                              .name_b = l->rungs[chosen->index].name,
                              .a = a->score,
                              .b = chosen->score,
                              .each_a = a->each,
                              .each_b = chosen->each,
                              .metric = l->metric,
                              .seeds = l->S,
                              .N = thaw_dataset_count(l->dataset, split),
                              .cluster = thaw_dataset_clusters(l->dataset, split),
                              .dataset = l->dataset,
                              .split = split,
                              .df = chosen->df};
    thaw_decision decision;
    return ladder_compare(&pair, &how, &rule, NULL, NULL, &decision, thaw_json_add_object(list));
}

static thaw_status report(ladder *l, const test_rung *tests, int64_t count, int64_t split)
{
    const int64_t N = thaw_dataset_count(l->dataset, split);
    const int32_t *cluster = thaw_dataset_clusters(l->dataset, split);
    thaw_json *out = thaw_json_set_object(l->summary, "test");
    thaw_json_set_string(out, "split", l->config->data.test);
    thaw_json_set_int(out, "samples", N);
    thaw_json *rungs = thaw_json_set_array(out, "rungs");
    thaw_json *comparisons = thaw_json_set_array(out, "comparisons");
    for (int64_t i = 0; i < count; i++)
        THAW_TRY(describe(l, &tests[i], N, cluster, rungs));
    for (int64_t i = 1; i < count; i++)
        THAW_TRY(compare(l, &tests[i], &tests[0], split, comparisons));
    return THAW_OK;
}

thaw_status ladder_open_test(ladder *l, thaw_comm *world)
{
    if (l->config->data.test[0] == '\0')
        return THAW_OK;
    int64_t split = -1;
    THAW_TRY(thaw_agree(world, thaw_dataset_split_need(l->dataset, l->config->data.test, &split)));
    test_rung tests[3] = {{.index = l->best}};
    int64_t count = 1;
    for (int64_t i = 0; i < l->count && count < 3; i++) {
        const thaw_rung_kind kind = l->rungs[i].rung.kind;
        if (i != l->best && l->rungs[i].done &&
            (kind == THAW_RUNG_SCRATCH || kind == THAW_RUNG_FROZEN))
            tests[count++].index = i;
    }
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < count && status == THAW_OK; i++)
        status = score(l, world, &tests[i], thaw_dataset_count(l->dataset, split));
    if (status == THAW_OK)
        status = thaw_agree(world, report(l, tests, count, split));
    for (int64_t i = 0; i < count; i++) {
        thaw_free(&tests[i].score);
        thaw_free(&tests[i].each);
    }
    return status;
}
