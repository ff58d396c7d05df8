#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* How far the backbone moved: per block in weights, and in the features of the validation samples. */

thaw_status thaw_drift_motion(const thaw_trainer *trainer, thaw_json *out)
{
    const thaw_graph *graph = trainer->setup->model->graph;
    for (int32_t block = 0; block < thaw_graph_block_count(graph); block++) {
        thaw_motion motion = {0};
        bool trained = false;
        for (int64_t i = 0; i < trainer->initial.count; i++) {
            const thaw_entry *before = &trainer->initial.entries[i];
            const int32_t index = thaw_graph_find_param(graph, before->name);
            THAW_CHECK(index >= 0, THAW_ERR_FAIL, "parameter %s vanished", before->name);
            const thaw_param *now = thaw_graph_param(graph, index);
            if (now->block != block)
                continue;
            trained = true;
            thaw_motion_add(&motion, now->data, before->tensor.data,
                            thaw_tensor_count(&before->tensor));
        }
        if (trained)
            thaw_json_set_double(out, thaw_graph_block_name(graph, block),
                                 thaw_motion_relative(&motion));
    }
    return THAW_OK;
}

/* Features can change when something below the head trains. From scratch there is no "before" worth comparing with. */
static bool features_can_move(const thaw_trainer *t)
{
    return t->setup->rung.kind != THAW_RUNG_SCRATCH && t->setup->rung.kind != THAW_RUNG_FROZEN;
}

static thaw_status val_features(thaw_trainer *t, thaw_comm *comm, float **out)
{
    const thaw_value features = thaw_graph_features(t->setup->model->graph);
    return thaw_sweep(comm, &t->val, t->eval_plan, t->config->train.eval_batch, features,
                      t->setup->model->D, out);
}

thaw_status thaw_drift_before(thaw_trainer *trainer, thaw_comm *comm)
{
    if (!features_can_move(trainer))
        return THAW_OK;
    return val_features(trainer, comm, &trainer->features_before);
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

thaw_status thaw_drift_after(thaw_trainer *trainer, thaw_comm *comm, thaw_json *out)
{
    thaw_status status = thaw_drift_motion(trainer, thaw_json_set_object(out, "blocks"));
    float *after = NULL;
    if (trainer->features_before != NULL) {
        const thaw_status swept = val_features(trainer, comm, &after);
        if (status == THAW_OK)
            status = swept;
        if (status == THAW_OK)
            status = compare_features(trainer, after, out);
    }
    thaw_free(&after);
    return thaw_agree(comm, status);
}
