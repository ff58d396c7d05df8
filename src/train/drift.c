#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* How far the backbone moved: per block in weights, and in the features of the validation samples. */

double thaw_drift_of_block(const thaw_trainer *t, const thaw_state *before, int32_t block)
{
    const thaw_graph *graph = t->setup->model->graph;
    thaw_motion motion = {0};
    bool trained = false;
    for (int64_t i = 0; i < t->initial.count; i++) {
        const char *name = t->initial.entries[i].name;
        const int32_t index = thaw_graph_find_param(graph, name);
        THAW_ASSERT(index >= 0);
        const thaw_param *now = thaw_graph_param(graph, index);
        if (now->block != block)
            continue;
        const thaw_tensor *was = thaw_state_find(before, name);
        THAW_ASSERT(was != NULL);
        trained = true;
        thaw_motion_add(&motion, now->data, was->data, thaw_tensor_count(was));
    }
    return trained ? thaw_motion_relative(&motion) : NAN;
}

thaw_status thaw_drift_motion(const thaw_trainer *trainer, thaw_json *out)
{
    const thaw_graph *graph = trainer->setup->model->graph;
    for (int32_t block = 0; block < thaw_graph_block_count(graph); block++) {
        const double moved = thaw_drift_of_block(trainer, &trainer->initial, block);
        if (!isnan(moved))
            thaw_json_set_double(out, thaw_graph_block_name(graph, block), moved);
    }
    return THAW_OK;
}

/* Features can change when something below the head trains. From scratch there is no "before" worth comparing with; a run with phases took its
 * own in time, if any of them moves features. */
static bool features_can_move(const thaw_trainer *t)
{
    if (t->config->phases.count > 0)
        return t->features_before != NULL;
    return t->setup->rung.kind != THAW_RUNG_SCRATCH && t->setup->rung.kind != THAW_RUNG_FROZEN;
}

/* Before they train, those in company are one network. */
static thaw_status copy_lead(thaw_trainer *t)
{
    const int64_t count = t->val.N * t->setup->model->D;
    THAW_TRY(thaw_alloc(&t->features_before, count, sizeof *t->features_before));
    memcpy(t->features_before, t->lead->features_before,
           (size_t)count * sizeof *t->features_before);
    return THAW_OK;
}

thaw_status thaw_drift_before(thaw_trainer *trainer, thaw_comm *comm)
{
    const thaw_team alone = {.members = &trainer, .count = 1};
    if (!features_can_move(trainer) || trainer->features_before != NULL)
        return THAW_OK;
    if (trainer->lead != NULL) /* uniform */
        return thaw_agree(comm, copy_lead(trainer));
    return thaw_team_features(&alone, comm, THAW_BLOCK_VAL, &trainer->features_before);
}

static thaw_status compare_features(const thaw_trainer *t, const float *after, thaw_json *out)
{
    const int64_t D = t->setup->model->D;
    thaw_cka cka = {0};
    THAW_TRY(thaw_cka_init(&cka, D, D));
    thaw_cka_add(&cka, t->features_before, after, t->val.N);
    thaw_json_set_double(out, "cka", thaw_cka_unbiased(&cka));
    thaw_json_set_double(out, "cka_biased", thaw_cka_biased(&cka));
    thaw_json_set_double(out, "cosine", thaw_mean_cosine(t->features_before, after, t->val.N, D));
    thaw_cka_clear(&cka);
    return THAW_OK;
}

static thaw_status describe(const thaw_trainer *t, const float *after, thaw_json *out)
{
    THAW_TRY(thaw_drift_motion(t, thaw_json_set_object(out, "blocks")));
    return after == NULL ? THAW_OK : compare_features(t, after, out);
}

thaw_status thaw_drift_after(const thaw_team *team, thaw_comm *comm, thaw_json *const *out)
{
    float **after = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_alloc(&after, team->count, sizeof *after)));
    if (features_can_move(team->members[0])) /* uniform */
        THAW_TRY_TO(thaw_team_features(team, comm, THAW_BLOCK_VAL, after));
    for (int32_t m = 0; m < team->count && status == THAW_OK; m++)
        status = describe(team->members[m], after[m], out[m]);
    status = thaw_agree(comm, status);
done:
    for (int32_t m = 0; m < team->count && after != NULL; m++)
        thaw_free(&after[m]);
    thaw_free(&after);
    return status;
}
