#include "ladder/ladder_impl.h"

#include <string.h>

/* `thaw compare`: finished runs against one of them. */

static ladder_pair pair_of(const ladder_runs *all, const ladder_run *b)
{
    const ladder_run *a = &all->runs[0];
    return (ladder_pair){.name_a = a->path,
                         .name_b = b->path,
                         .a = a->score,
                         .b = b->score,
                         .each_a = a->each,
                         .each_b = b->each,
                         .metric = all->metric,
                         .seeds = 1,
                         .N = a->p.N,
                         .cluster = a->p.cluster,
                         .dataset = all->dataset,
                         .split = all->split,
                         .power = a->config.ladder.power,
                         .comparisons = all->count - 1,
                         .df = all->df};
}

/* The loss of each sample, paired: what moves even where no prediction does. Above 0: B's is lower. */
static thaw_status add_loss(const ladder_run *a, const ladder_run *b, thaw_json *out)
{
    const thaw_bootstrap how = ladder_bootstrap(&a->config);
    const thaw_scores scores = {
        .a = b->p.loss, .b = a->p.loss, .seeds = 1, .N = a->p.N, .cluster = a->p.cluster};
    thaw_paired loss;
    THAW_TRY(thaw_paired_compare(&scores, &how, &loss));
    thaw_json *row = thaw_json_set_object(out, "loss");
    thaw_json_set_double(row, "mean_a", loss.mean_b);
    thaw_json_set_double(row, "mean_b", loss.mean_a);
    thaw_json_set_double(row, "delta", 0 - loss.delta);
    thaw_json_set_double(row, "low", 0 - loss.high);
    thaw_json_set_double(row, "high", 0 - loss.low);
    thaw_json_set_double(row, "p_two_sided", loss.p_two_sided);
    return THAW_OK;
}

static thaw_status add_confusion(const ladder_runs *all, const ladder_run *a, const ladder_run *b,
                                 thaw_json *out)
{
    const int64_t K = a->p.K;
    int64_t *counts = NULL; /* of A, then of B */
    thaw_status status;
    if (a->p.labels == NULL)
        return THAW_OK;
    THAW_TRY_TO(thaw_alloc(&counts, 2 * K * K, sizeof *counts));
    THAW_TRY_TO(thaw_confusion_add(a->p.labels, a->p.predicted, a->p.N, NULL, K, counts));
    THAW_TRY_TO(thaw_confusion_add(b->p.labels, b->p.predicted, b->p.N, NULL, K, counts + K * K));
    ladder_confusion_changes(all->dataset, counts, counts + K * K, out);
done:
    thaw_free(&counts);
    return status;
}

static thaw_status compare_one(const ladder_runs *all, int64_t index, thaw_decision *decision,
                               thaw_json *out)
{
    const ladder_run *a = &all->runs[0];
    const ladder_run *b = &all->runs[index];
    const ladder_pair pair = pair_of(all, b);
    const thaw_bootstrap how = ladder_bootstrap(&a->config);
    thaw_rule rule = ladder_rule(&a->config);
    rule.two_sided = true;
    thaw_json_set_string(out, "split", all->split_name);
    thaw_json_set_string(out, "paired_by", all->by_id ? "id" : "place");
    ladder_add_causes(a, b, out);
    THAW_TRY(ladder_compare(&pair, &how, &rule, NULL, NULL, decision, out));
    THAW_TRY(add_loss(a, b, out));
    return add_confusion(all, a, b, out);
}

/* Of one family: each p is Holm's. */
static thaw_status judge_family(const ladder_runs *all, thaw_decision *decisions, thaw_json **rows)
{
    const int64_t n = all->count - 1;
    double *p = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&p, n, sizeof *p));
    for (int64_t i = 0; i < n; i++)
        p[i] = decisions[i].evidence.p_two_sided;
    THAW_TRY_TO(thaw_holm(p, n, p));
    for (int64_t i = 0; i < n; i++) {
        const ladder_pair pair = pair_of(all, &all->runs[i + 1]);
        thaw_decision_adjust(&decisions[i], p[i]);
        ladder_decision_to_json(&pair, &decisions[i], rows[i]);
        ladder_add_limits(all, &all->runs[i + 1], &decisions[i], rows[i]);
    }
done:
    thaw_free(&p);
    return status;
}

static thaw_status compare_all(const ladder_runs *all, thaw_json *list)
{
    thaw_decision *decisions = NULL;
    thaw_json **rows = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&decisions, all->count, sizeof *decisions));
    THAW_TRY_TO(thaw_alloc(&rows, all->count, sizeof *rows));
    for (int64_t i = 1; i < all->count; i++) {
        rows[i - 1] = thaw_json_add_object(list);
        THAW_TRY_TO(compare_one(all, i, &decisions[i - 1], rows[i - 1]));
    }
    status = judge_family(all, decisions, rows);
done:
    thaw_free(&rows);
    thaw_free(&decisions);
    return status;
}

thaw_status thaw_ladder_compare_runs(thaw_comm *comm, const char *const *runs, int64_t count,
                                     const char *split, thaw_json **out)
{
    ladder_runs all;
    *out = thaw_json_new_array();
    THAW_ASSERT(count > 1);
    thaw_status status = ladder_runs_read(comm, runs, count, split, &all);
    if (status == THAW_OK)
        status = thaw_agree(comm, compare_all(&all, *out));
    ladder_runs_clear(&all);
    if (status != THAW_OK)
        thaw_json_free(out);
    return status;
}
