#include "train/train_impl.h"

#include <string.h>

/* Turns what a run trained into a backbone that other runs can start from. */

/* Mean and variance over the training samples of each feature: what a later run measures the domain gap against. */
static thaw_status add_statistics(const thaw_trainer *t, const float *features, thaw_backbone *b)
{
    b->D = t->setup->model->D;
    b->feature_samples = t->train.N;
    THAW_TRY(thaw_alloc(&b->feature_mean, b->D, sizeof *b->feature_mean));
    THAW_TRY(thaw_alloc(&b->feature_variance, b->D, sizeof *b->feature_variance));
    thaw_moments(features, t->train.N, b->D, b->feature_mean, b->feature_variance, NULL);
    return THAW_OK;
}

static thaw_status write_file(thaw_trainer *t, const float *features)
{
    const thaw_setup *s = t->setup;
    const thaw_dataset *ds = s->dataset;
    const thaw_text_info *text = thaw_dataset_text(ds);
    thaw_str origin = {0};
    thaw_backbone b = {
        .arch = s->model->spec.arch,
        .C = s->model->spec.C,
        .H = s->model->spec.H,
        .W = s->model->spec.W,
        .mean = (double *)thaw_dataset_mean(ds),
        .std = (double *)thaw_dataset_std(ds),
        .tokens = s->model->spec.T,
        .classes = {(char **)thaw_dataset_class_names(ds), thaw_dataset_classes(ds)}};
    if (text != NULL) {
        b.tokenizer = text->tokenizer[0] != '\0' ? text->tokenizer : NULL;
        b.vocabulary = text->vocabulary[0] != '\0' ? text->vocabulary : NULL;
    }
    thaw_str_printf(&origin, "trained by thaw %s: %s, %lld samples, seed %lld", thaw_version(),
                    t->config->name, (long long)t->train.N, (long long)t->config->seed);
    b.origin = origin.data;
    thaw_status status;
    THAW_TRY_TO(thaw_model_spec_save(&s->model->spec, &b.spec));
    THAW_TRY_TO(thaw_graph_state(s->model->graph, THAW_BACKBONE, &b.tensors));
    THAW_TRY_TO(thaw_model_head_state(s->model, &b.head));
    THAW_TRY_TO(thaw_model_block_names(s->model, &b.blocks));
    THAW_TRY_TO(add_statistics(t, features, &b));
    THAW_TRY_TO(thaw_backbone_write(t->config->train.save_backbone, &b));
    THAW_LOG(THAW_INFO, "wrote backbone %s", t->config->train.save_backbone);
done:
    thaw_free(&b.feature_variance);
    thaw_free(&b.feature_mean);
    thaw_free(&b.blocks.items);
    thaw_state_clear(&b.head);
    thaw_state_clear(&b.tensors);
    thaw_state_clear(&b.spec);
    thaw_str_clear(&origin);
    return status;
}

thaw_status thaw_trainer_save_backbone(thaw_trainer *trainer, thaw_comm *comm)
{
    float *features = NULL;
    const thaw_team alone = {.members = &trainer, .count = 1};
    thaw_status status = thaw_team_features(&alone, comm, THAW_BLOCK_TRAIN, &features);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = write_file(trainer, features);
    thaw_free(&features);
    return thaw_agree(comm, status);
}
