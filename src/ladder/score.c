#include "ladder/ladder_impl.h"

#include <math.h>
#include <string.h>

/* What two rungs are paired by: the metric's scores of samples overall, the task's own scores on slices. */

thaw_status ladder_take_scores(const thaw_predictions *p, const thaw_metric *metric, float *score,
                               float *each)
{
    memcpy(each, p->score, (size_t)p->N * sizeof *each);
    return thaw_predictions_scores(p, metric, score);
}

thaw_digest ladder_truth(const thaw_predictions *p)
{
    return p->labels != NULL ? thaw_hash(p->labels, (size_t)p->N * sizeof *p->labels)
                             : thaw_hash(p->targets, (size_t)(p->N * p->K) * sizeof *p->targets);
}

/* The comparison with a model whose every score is 0. */
thaw_status ladder_mean_score(const ladder *l, const float *score, int64_t N,
                              const int32_t *cluster, const uint8_t *mask, double df,
                              ladder_mean *out)
{
    float *nothing = NULL;
    thaw_paired own;
    const thaw_bootstrap how = ladder_bootstrap(l->config);
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&nothing, l->S * N, sizeof *nothing));
    const thaw_scores scores = {.a = nothing,
                                .b = score,
                                .seeds = l->S,
                                .N = N,
                                .cluster = cluster,
                                .mask = mask,
                                .df = df,
                                .points = true};
    THAW_TRY_TO(thaw_paired_compare(&scores, &how, &own));
    out->N = own.N;
    out->mean = own.N > 0 ? own.delta : NAN;
    out->low = l->metric->share && own.low < 0 ? 0 : own.low;
    out->high = own.high > 1 ? 1 : own.high; /* no score has a mean above 1 */
    memcpy(out->seeds, own.seed_delta, sizeof out->seeds);
done:
    thaw_free(&nothing);
    return status;
}

const char *ladder_score_key(const ladder *l)
{
    return strcmp(l->metric->name, "accuracy") == 0 ? "accuracy" : "score";
}

const char *ladder_score_title(const ladder *l)
{
    return l->metric->score != NULL ? l->metric->score : l->metric->title;
}

const char *ladder_sample_title(thaw_task task)
{
    const thaw_metric *own = thaw_metric_of_sample(task);
    return own->score != NULL ? own->score : own->title;
}

void ladder_sample_to_json(thaw_task task, thaw_json *out)
{
    static const char *const names[] = {"accuracy", "sample_f1", "explained_variance"};
    thaw_json_set_string(out, "name", names[task]);
    thaw_json_set_string(out, "title", ladder_sample_title(task));
}
