#include "train/train_impl.h"

#include <string.h>

#include "thaw/ckpt.h"

static thaw_status open_data(thaw_setup *s, thaw_setup_purpose purpose)
{
    const thaw_data_config *data = &s->config->data;
    const int64_t bytes = (int64_t)(data->memory_limit_gib * 1073741824.0);
    const thaw_dataset_options options = {
        .memory_limit_bytes = bytes > 0 ? bytes : -1, /* 0 would be the module's own limit */
        .no_class_slices = !data->class_slices,
        .unlabelled = purpose == THAW_SETUP_PREDICT,
    };
    THAW_TRY(thaw_dataset_open(data->file, &options, &s->dataset));
    THAW_TRY(thaw_dataset_split_need(s->dataset, data->train, &s->train));
    THAW_TRY(thaw_dataset_split_need(s->dataset, data->val, &s->val));
    s->gate = -1;
    if (data->gate[0] != '\0')
        s->gate = thaw_dataset_split_find(s->dataset, data->gate);
    THAW_TRY(thaw_dataset_keep_slices(s->dataset, &data->slices));
    const thaw_shape shape = thaw_dataset_shape(s->dataset);
    return thaw_augment_check(&data->augment, &shape);
}

static thaw_status open_backbone(thaw_setup *s)
{
    const char *path = s->config->model.backbone;
    s->has_backbone = path[0] != '\0';
    if (!s->has_backbone) {
        THAW_CHECK(s->rung.kind == THAW_RUNG_SCRATCH, THAW_ERR_CONFIG,
                   "model.backbone is empty, but rung '%s' starts from a backbone; name a file, or "
                   "use rung scratch",
                   s->config->rung);
        THAW_CHECK(s->config->model.arch[0] != '\0', THAW_ERR_CONFIG,
                   "model.arch is empty and there is no model.backbone to take it from; name an "
                   "architecture "
                   "(thaw backbone list)");
        return THAW_OK;
    }
    THAW_TRY(thaw_backbone_read(path, &s->backbone));
    const thaw_shape shape = thaw_dataset_shape(s->dataset);
    THAW_CHECK(
        s->backbone.C == shape.dim[0], THAW_ERR_INPUT,
        "%s takes inputs of %lld channels, but %s has %lld; import the data with as many channels",
        path, (long long)s->backbone.C, s->config->data.file, (long long)shape.dim[0]);
    /* Every rung of a comparison sees the same inputs: those the backbone was trained on. */
    return thaw_dataset_set_normalisation(s->dataset, shape.dim[0], s->backbone.mean,
                                          s->backbone.std);
}

/* The config's words, completed by the backbone file; sizes of input and head come from the data. */
static thaw_status build_spec(const thaw_setup *s, thaw_model_spec *spec)
{
    const thaw_model_config *m = &s->config->model;
    thaw_model_spec wanted = {.arch = m->arch, .width = m->base_width, .hidden = m->hidden};
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
        wanted.arch = source.arch;
        wanted.width = source.width;
        wanted.hidden = source.hidden;
    }
    const thaw_shape shape = thaw_dataset_shape(s->dataset);
    wanted.C = shape.dim[0];
    wanted.H = shape.dim[1];
    wanted.W = shape.dim[2];
    wanted.K = thaw_dataset_classes(s->dataset);
    wanted.head_dropout = m->head_dropout;
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

static thaw_status load_weights(thaw_setup *s)
{
    thaw_model_initialize(s->model, (uint64_t)s->config->seed);
    if (!s->has_backbone || s->rung.kind == THAW_RUNG_SCRATCH)
        return THAW_OK;
    thaw_state into = {0};
    thaw_status status = thaw_graph_state(s->model->graph, THAW_BACKBONE, &into);
    if (status == THAW_OK)
        status = thaw_state_copy(&into, &s->backbone.tensors);
    if (status != THAW_OK)
        status = thaw_fail_context(status, "%s", s->config->model.backbone);
    thaw_state_clear(&into);
    return status;
}

thaw_status thaw_head_state(const thaw_model *model, thaw_state *out)
{
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        if (p->block < 0 && !p->adapter)
            THAW_TRY(thaw_state_add(out, p->name, THAW_F32, p->shape, p->data));
    }
    return THAW_OK;
}

/* Copies the head out of a trained state, where tensors are called "model/<name>". */
static thaw_status take_head(thaw_setup *s, const thaw_state *trained)
{
    thaw_state head = {0};
    thaw_state source = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_head_state(s->model, &head));
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

static thaw_status open_local(thaw_setup *s, const char *rung, thaw_setup_purpose purpose)
{
    thaw_model_spec spec = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_rung_parse(rung, &s->rung));
    THAW_TRY_TO(thaw_kern_open(s->config->backend, &s->kern));
    THAW_TRY_TO(open_data(s, purpose));
    THAW_TRY_TO(open_backbone(s));
    THAW_TRY_TO(build_spec(s, &spec));
    THAW_TRY_TO(thaw_model_new(&spec, &s->model));
    status = load_weights(s);
done:
    thaw_model_spec_clear(&spec);
    return status;
}

thaw_status thaw_setup_open(thaw_comm *comm, const thaw_config *config, const char *rung,
                            thaw_setup_purpose purpose, thaw_setup *out)
{
    memset(out, 0, sizeof *out);
    out->config = config;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, open_local(out, rung, purpose)));
    THAW_TRY_TO(thaw_same_digest(comm, config->data.file, thaw_dataset_digest(out->dataset)));
    THAW_TRY_TO(thaw_agree(comm, load_head(comm, out)));
    status = thaw_adapt_apply(out->model, &out->rung, &config->peft, (uint64_t)config->seed);
    if (status == THAW_OK)
        status = thaw_adapt_digest_backbone(out->model, &out->backbone_digest);
    THAW_TRY_TO(thaw_agree(comm, status));
    status = thaw_same_digest(comm, "the backbone's weights", out->backbone_digest);
done:
    if (status != THAW_OK)
        thaw_setup_close(out);
    return status;
}

void thaw_setup_close(thaw_setup *setup)
{
    thaw_model_free(&setup->model);
    thaw_backbone_clear(&setup->backbone);
    thaw_dataset_free(&setup->dataset);
    thaw_kern_close(&setup->kern);
}
