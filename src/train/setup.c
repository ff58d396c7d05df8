#include "train/train_impl.h"

#include <string.h>

#include "thaw/ckpt.h"

static void ask_for_head(const thaw_config *config, thaw_model_spec *out)
{
    out->head_dropout = config->model.head_dropout;
    out->head_hidden = config->model.head_hidden;
    out->head_activation = config->model.head_activation;
    out->shrink = config->train.bss;
    out->shrink_values = config->train.bss_values;
}

/* The config's words, completed by the backbone file; sizes of input and head come from the data. */
static thaw_status build_spec(const thaw_setup *s, thaw_model_spec *spec)
{
    const thaw_model_config *m = &s->config->model;
    thaw_model_spec wanted = {.arch = m->arch,
                              .width = m->base_width,
                              .hidden = m->hidden,
                              .patch = m->patch,
                              .pool = m->pool};
    thaw_model_spec source = {0};
    thaw_status status = THAW_OK;
    if (s->has_backbone) {
        THAW_TRY_TO(thaw_model_spec_load(&s->backbone.spec, &source));
        THAW_CHECK_TO(
            m->arch[0] == '\0' || strcmp(m->arch, source.arch) == 0, THAW_ERR_INPUT,
            "%s holds a %s, but the config says model.arch: %s; leave arch out to use the file's",
            m->backbone, source.arch, m->arch);
        THAW_CHECK_TO(m->base_width == 0 || m->base_width == source.width, THAW_ERR_INPUT,
                      "%s holds a %s of width %lld, but the config says model.width: %lld",
                      m->backbone, source.arch, (long long)source.width, (long long)m->base_width);
        THAW_CHECK_TO(m->patch == 0 || m->patch == source.patch, THAW_ERR_CONFIG,
                      "%s holds a %s with patches of %lld pixels, but the config says model.patch: "
                      "%lld",
                      m->backbone, source.arch, (long long)source.patch, (long long)m->patch);
        wanted.arch = source.arch;
        wanted.patch = source.patch;
        if (wanted.pool == THAW_POOL_AUTO)
            wanted.pool = source.pool;
        wanted.width = source.width;
        wanted.hidden = source.hidden;
    }
    const thaw_shape shape = thaw_dataset_shape(s->dataset);
    const thaw_text_info *text = thaw_dataset_text(s->dataset);
    if (text == NULL) {
        wanted.C = shape.dim[0];
        wanted.H = shape.dim[1];
        wanted.W = shape.dim[2];
    } else {
        wanted.segments = shape.dim[0] > 1;
        wanted.T = shape.dim[1];
        wanted.vocabulary = s->has_backbone ? source.vocabulary : text->pieces;
        wanted.places = source.places;
    }
    wanted.K = thaw_dataset_classes(s->dataset);
    ask_for_head(s->config, &wanted);
    if (s->has_backbone) {
        thaw_str why = {0};
        if (!thaw_model_spec_same_backbone(&source, &wanted, &why))
            status = THAW_FAIL(THAW_ERR_INPUT, "%s does not fit the data: %s", m->backbone,
                               thaw_str_c(&why));
        thaw_str_clear(&why);
        if (status != THAW_OK)
            goto done;
    }
    status = thaw_model_spec_copy(&wanted, spec);
done:
    thaw_model_spec_clear(&source);
    return status;
}

/* Copies the head out of a trained state, where tensors are called "model/<name>". */
static thaw_status take_head(thaw_setup *s, const thaw_state *trained)
{
    thaw_state head = {0};
    thaw_state source = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_model_head_state(s->model, &head));
    for (int64_t i = 0; i < trained->count; i++) {
        const thaw_entry *e = &trained->entries[i];
        if (thaw_starts_with(e->name, "model/"))
            THAW_TRY_TO(thaw_state_add(&source, e->name + strlen("model/"), e->tensor.dtype,
                                       e->tensor.shape, e->tensor.data));
    }
    status = thaw_state_copy(&head, &source);
    if (status != THAW_OK)
        status = thaw_fail_context(status, "%s", s->config->train.head_from);
done:
    thaw_state_clear(&source);
    thaw_state_clear(&head);
    return status;
}

static thaw_status load_head(thaw_comm *comm, thaw_setup *s)
{
    if (s->config->train.head_from[0] == '\0')
        return THAW_OK;
    thaw_state trained = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_ckpt_read(comm, s->config->train.head_from, &trained, NULL));
    status = take_head(s, &trained);
done:
    thaw_state_clear(&trained);
    return status;
}

void thaw_class_names(const thaw_dataset *dataset, thaw_str *out)
{
    for (int64_t k = 0; k < thaw_dataset_classes(dataset); k++)
        thaw_str_printf(out, "%s\n", thaw_dataset_class_names(dataset)[k]);
}

static thaw_status open_tools(thaw_setup *s, const char *rung)
{
    THAW_TRY(thaw_rung_parse(rung, &s->rung));
    return thaw_kern_open(s->config->backend, &s->kern);
}

/* A library's sums may depend on its threads, so that all ranks run as many: the fewest that one of them may. */
static void settle_threads(thaw_comm *comm)
{
    int64_t fewest = thaw_threads();
    thaw_allreduce_min_int64(comm, &fewest, 1);
    if (fewest < thaw_threads())
        THAW_LOG_ALL(THAW_INFO, "%d threads instead of %d: another rank may not run more",
                     (int)fewest, (int)thaw_threads());
    thaw_threads_set((int32_t)fewest);
}

/* A backbone that does not name its vocabulary may still be seen not to have the data's. */
static thaw_status check_vocabulary(const thaw_setup *s)
{
    const thaw_text_info *text = thaw_dataset_text(s->dataset);
    THAW_CHECK(text == NULL || text->pieces <= s->model->spec.vocabulary, THAW_ERR_INPUT,
               "%s was made with a vocabulary of %lld pieces, but the table of tokens in %s has "
               "%lld rows; import the data with the backbone's",
               s->config->data.file, (long long)text->pieces,
               s->has_backbone ? s->config->model.backbone : s->model->spec.arch,
               (long long)s->model->spec.vocabulary);
    return THAW_OK;
}

/* A network masks one token, and only that, as padding. */
static thaw_status check_padding(const thaw_setup *s)
{
    const thaw_text_info *text = thaw_dataset_text(s->dataset);
    const thaw_model_arch *arch = NULL;
    THAW_TRY(thaw_model_arch_find(s->model->spec.arch, &arch));
    THAW_CHECK(text == NULL || text->pad_id == arch->pad_id, THAW_ERR_INPUT,
               "%s pads texts with the token %lld, but %s knows padding by %lld; import the data "
               "with a vocabulary of its kind",
               s->config->data.file, (long long)text->pad_id, arch->name, (long long)arch->pad_id);
    return THAW_OK;
}

static thaw_status outline_model(thaw_setup *s)
{
    thaw_model_spec spec = {0};
    thaw_status status = build_spec(s, &spec);
    if (status == THAW_OK)
        status = thaw_model_outline(&spec, &s->model);
    if (status == THAW_OK)
        status = check_vocabulary(s);
    if (status == THAW_OK)
        status = check_padding(s);
    thaw_model_spec_clear(&spec);
    return status;
}

/* The backbone's weights are there: says what trains. */
static thaw_status apply_rung(thaw_setup *s, thaw_setup_purpose purpose)
{
    const thaw_config *config = s->config;
    THAW_TRY(thaw_adapt_apply(s->model, &s->rung, &config->peft, (uint64_t)config->seed));
    THAW_TRY(thaw_adapt_digest_backbone(s->model, &s->backbone_digest));
    if (purpose == THAW_SETUP_PREDICT && config->phases.count > 0)
        return thaw_phases_hold_all(s);
    return thaw_setup_own_trained(s, NULL);
}

/* What an opened and a joined run have in common, once the backbone's weights are in place. Collective. */
static thaw_status begin_training(thaw_comm *comm, thaw_setup *s, thaw_setup_purpose purpose)
{
    THAW_TRY(thaw_agree(comm, load_head(comm, s)));
    THAW_TRY(thaw_agree(comm, apply_rung(s, purpose)));
    THAW_TRY(thaw_adapter_load(comm, s));
    return thaw_same_digest(comm, "the backbone's weights", s->backbone_digest);
}

thaw_status thaw_setup_open(thaw_comm *comm, const thaw_config *config, const char *rung,
                            thaw_setup_purpose purpose, thaw_setup *out)
{
    memset(out, 0, sizeof *out);
    out->config = config;
    thaw_status status;
    settle_threads(comm);
    THAW_TRY_TO(thaw_agree(comm, open_tools(out, rung)));
    THAW_TRY_TO(thaw_setup_data(comm, out, purpose));
    THAW_TRY_TO(thaw_agree(comm, thaw_setup_task(out, purpose)));
    THAW_TRY_TO(thaw_setup_backbone(comm, out));
    THAW_TRY_TO(thaw_agree(comm, outline_model(out)));
    THAW_TRY_TO(thaw_setup_weights(comm, out));
    status = begin_training(comm, out, purpose);
done:
    if (status != THAW_OK)
        thaw_setup_close(out);
    return status;
}

/* The frozen memory still holds what training starts from, also of what trains. */
thaw_status thaw_setup_join(thaw_comm *comm, thaw_setup *lead, const thaw_config *config,
                            thaw_setup *out)
{
    *out = *lead;
    out->config = config;
    out->lead = lead;
    out->model = NULL;
    memset(out->own, 0, sizeof out->own);
    out->own_count = 0;
    out->held = NULL;
    out->joined = NULL;
    out->begin = (thaw_state){0};
    out->constant_count = 0;
    out->checkpoint = (thaw_ckpt_found){0};
    thaw_status status = outline_model(out);
    if (status == THAW_OK)
        status = thaw_setup_place_backbone(out);
    THAW_TRY_TO(thaw_agree(comm, status));
    thaw_model_initialize_head(out->model, (uint64_t)config->seed);
    status = begin_training(comm, out, THAW_SETUP_TRAIN);
done:
    if (status != THAW_OK)
        thaw_setup_close(out);
    return status;
}

void thaw_setup_close(thaw_setup *setup)
{
    thaw_model_free(&setup->model);
    for (int i = 0; i < setup->own_count; i++)
        thaw_free(&setup->own[i]);
    thaw_free(&setup->held);
    thaw_free(&setup->joined);
    thaw_state_clear(&setup->begin);
    if (setup->lead != NULL)
        return;
    for (int i = 0; i < setup->constant_count; i++)
        thaw_shared_free(&setup->constants[i]);
    thaw_free(&setup->ranges);
    thaw_shared_free(&setup->weights);
    thaw_backbone_clear(&setup->backbone);
    thaw_free(&setup->target_std);
    thaw_free(&setup->target_mean);
    thaw_dataset_free(&setup->dataset);
    thaw_shared_free(&setup->samples);
    thaw_kern_close(&setup->kern);
}
