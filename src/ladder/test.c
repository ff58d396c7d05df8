#include "ladder/ladder_impl.h"

#include <math.h>
#include <string.h>

/* The test split is opened here and nowhere else: once, at the end, for the chosen rung and the baselines. */

typedef struct test_rung {
    int64_t index;
    float *right; /* (S, N) */
} test_rung;

static thaw_status score(ladder *l, thaw_comm *world, test_rung *t, int64_t N)
{
    const ladder_rung *r = &l->rungs[t->index];
    THAW_TRY(thaw_agree(world, thaw_alloc(&t->right, l->S * N, sizeof *t->right)));
    for (int64_t s = 0; s < l->S; s++) {
        thaw_predictions p;
        THAW_TRY(thaw_eval_run(world, r->seeds[s].directory, NULL, l->config->data.test, &p));
        thaw_scores_from_predictions(p.labels, p.predicted, N, t->right + s * N);
        const thaw_status written =
            thaw_predictions_write(world, r->seeds[s].directory, "test", &p);
        thaw_predictions_clear(&p);
        THAW_TRY(thaw_agree(world, written));
    }
    return THAW_OK;
}

static thaw_status describe(ladder *l, const test_rung *t, int64_t N, const int32_t *cluster,
                            const float *nothing, thaw_json *rungs)
{
    const thaw_bootstrap how = ladder_bootstrap(l->config);
    const thaw_scores scores = {
        .a = nothing, .b = t->right, .seeds = l->S, .N = N, .cluster = cluster};
    thaw_paired own;
    THAW_TRY(thaw_paired_compare(&scores, &how, &own));
    thaw_json *row = thaw_json_add_object(rungs);
    thaw_json_set_string(row, "name", l->rungs[t->index].name);
    thaw_json_set_double(row, "accuracy", own.delta);
    thaw_json_set_double(row, "low", own.low < 0 ? 0 : own.low);
    thaw_json_set_double(row, "high", own.high > 1 ? 1 : own.high);
    thaw_json_set_doubles(row, "per_seed", own.seed_delta, l->S);
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
                              .a = a->right,
                              .b = chosen->right,
                              .seeds = l->S,
                              .N = thaw_dataset_count(l->dataset, split),
                              .cluster = thaw_dataset_clusters(l->dataset, split),
                              .dataset = l->dataset,
                              .split = split};
    thaw_decision decision;
    return ladder_compare(&pair, &how, &rule, NULL, NULL, &decision, thaw_json_add_object(list));
}

static thaw_status report(ladder *l, const test_rung *tests, int64_t count, int64_t split)
{
    const int64_t N = thaw_dataset_count(l->dataset, split);
    const int32_t *cluster = thaw_dataset_clusters(l->dataset, split);
    float *nothing = NULL;
    thaw_json *out = thaw_json_set_object(l->summary, "test");
    thaw_json_set_string(out, "split", l->config->data.test);
    thaw_json_set_int(out, "samples", N);
    thaw_json *rungs = thaw_json_set_array(out, "rungs");
    thaw_json *comparisons = thaw_json_set_array(out, "comparisons");
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&nothing, l->S * N, sizeof *nothing));
    for (int64_t i = 0; i < count; i++)
        THAW_TRY_TO(describe(l, &tests[i], N, cluster, nothing, rungs));
    for (int64_t i = 1; i < count; i++)
        THAW_TRY_TO(compare(l, &tests[i], &tests[0], split, comparisons));
    status = THAW_OK;
done:
    thaw_free(&nothing);
    return status;
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
    for (int64_t i = 0; i < count; i++)
        thaw_free(&tests[i].right);
    return status;
}
