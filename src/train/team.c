#include "train/train_impl.h"

/* What a team has in common: one reducer, and evaluation in which the frozen prefix runs once for all. */

static int64_t *all_sizes(const thaw_team *team)
{
    const thaw_trainer *first = team->members[0];
    int64_t *sizes = NULL;
    if (thaw_alloc(&sizes, (int64_t)team->count * first->reduced_count, sizeof *sizes) != THAW_OK)
        return NULL;
    for (int64_t i = 0; i < (int64_t)team->count * first->reduced_count; i++)
        sizes[i] = thaw_plan_reduced(first->train_plan, (int32_t)(i % first->reduced_count))->count;
    return sizes;
}

static thaw_status new_reducer(thaw_team *team)
{
    const thaw_trainer *first = team->members[0];
    const thaw_reducer_options options = {.mode = (thaw_reduce_mode)first->config->train.reduce,
                                          .shards = first->config->train.shards,
                                          .counts = team->count * THAW_WORD_COUNT,
                                          .sums = team->count * THAW_SUM_COUNT};
    int64_t *sizes = all_sizes(team);
    if (sizes == NULL)
        return (thaw_status)thaw_error_last()->code;
    const thaw_status status =
        thaw_reducer_new(sizes, team->count * first->reduced_count, &options, &team->reducer);
    thaw_free(&sizes);
    return status;
}

thaw_status thaw_team_open_reducer(thaw_comm *comm, thaw_team *team)
{
    THAW_TRY(thaw_agree(comm, new_reducer(team)));
    return thaw_reducer_share(team->reducer, comm);
}

/* The word of failed ranks is sent once, and each member would have sent it. */
int64_t thaw_team_share_bytes(const thaw_team *team, int64_t bytes)
{
    const int64_t common = (int64_t)sizeof(int64_t);
    return (bytes - common) / team->count + common;
}

static thaw_status sweep(const thaw_team *team, thaw_comm *comm, thaw_block_kind kind,
                         thaw_value value, int64_t width, float **rows)
{
    thaw_trainer *first = team->members[0];
    thaw_feed feed = *thaw_trainer_feed(first, kind);
    thaw_sweep_plans plans = {.count = team->count, .value = value, .width = width};
    thaw_status status = thaw_alloc(&plans.plans, team->count, sizeof *plans.plans);
    THAW_TRY_TO(thaw_agree(comm, status));
    for (int32_t m = 0; m < team->count; m++)
        plans.plans[m] = team->members[m]->eval_plan;
    feed.augment = NULL;
    status = thaw_sweep(comm, &feed, &plans, first->config->train.eval_batch, rows);
done:
    thaw_free(&plans.plans);
    return status;
}

thaw_status thaw_team_features(const thaw_team *team, thaw_comm *comm, thaw_block_kind kind,
                               float **rows)
{
    const thaw_model *model = team->members[0]->setup->model;
    return sweep(team, comm, kind, thaw_graph_features(model->graph), model->D, rows);
}

static thaw_status allocate(const thaw_team *team, float ***logits, thaw_predictions **out)
{
    THAW_TRY(thaw_alloc(logits, team->count, sizeof **logits));
    return thaw_alloc(out, team->count, sizeof **out);
}

thaw_status thaw_team_predict(const thaw_team *team, thaw_comm *comm, thaw_block_kind kind,
                              thaw_predictions **out)
{
    thaw_trainer *first = team->members[0];
    const thaw_dataset *dataset = first->setup->dataset;
    const int64_t split = thaw_trainer_feed(first, kind)->split;
    float **logits = NULL;
    thaw_status status;
    *out = NULL;
    THAW_TRY_TO(thaw_agree(comm, allocate(team, &logits, out)));
    THAW_TRY_TO(sweep(team, comm, kind, thaw_graph_logits(first->setup->model->graph),
                      thaw_dataset_classes(dataset), logits));
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++)
        status =
            thaw_predictions_from_logits(team->members[m]->setup, split, logits[m], &(*out)[m]);
    status = thaw_agree(comm, status);
done:
    for (int32_t m = 0; m < team->count && logits != NULL; m++)
        thaw_free(&logits[m]);
    thaw_free(&logits);
    if (status != THAW_OK)
        thaw_team_clear_predictions(team, out);
    return status;
}

void thaw_team_clear_predictions(const thaw_team *team, thaw_predictions **all)
{
    for (int32_t m = 0; m < team->count && *all != NULL; m++)
        thaw_predictions_clear(&(*all)[m]);
    thaw_free(all);
}
