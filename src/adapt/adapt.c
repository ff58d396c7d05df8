#include "thaw/adapt.h"

#include "adapt/adapt_impl.h"

#include <string.h>

static bool is_buffer(const thaw_param *p)
{
    return p->role == THAW_ROLE_BUFFER_MEAN || p->role == THAW_ROLE_BUFFER_VAR;
}

static bool only_adapter(const thaw_param *p, const void *context)
{
    (void)context;
    return p->adapter;
}

/* Where a method adds nothing the rung would be frozen: the targets are to blame, or the network has no place for it. */
static thaw_status add_modules(thaw_model *model, const thaw_peft *peft, const adapt_method *method)
{
    const int32_t before = thaw_graph_param_count(model->graph);
    thaw_str there = {0};
    thaw_status status = THAW_OK;
    THAW_TRY(adapt_check_targets(model, "peft.targets", &peft->targets, method));
    THAW_TRY(method->attach(model, peft));
    THAW_TRY(thaw_graph_built(model->graph));
    if (thaw_graph_param_count(model->graph) > before)
        return THAW_OK;
    adapt_list_modules(model, method, &there);
    status = THAW_FAIL(THAW_ERR_CONFIG,
                       "%s %s reaches nothing in %s outside the head: it goes to %s, and there are "
                       "%s; name some of these in peft.targets, or choose another method",
                       peft->targets.count > 0 ? "peft.targets of" : "peft.method", method->name,
                       model->spec.arch, method->goes_to, thaw_str_c(&there));
    thaw_str_clear(&there);
    return status;
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft, uint64_t seed)
{
    const adapt_method *method = adapt_method_at(peft->method);
    THAW_CHECK(!model->adapter, THAW_ERR_CONFIG,
               "%s is attached to this model already; a PEFT method is attached once a model",
               model->adapter);
    if (method->attach) {
        THAW_TRY(add_modules(model, peft, method));
        THAW_TRY(thaw_graph_finish(model->graph));
        thaw_graph_initialize(model->graph, seed, only_adapter, NULL);
        if (method->start)
            method->start(model);
    }
    model->adapter = method->name;
    return THAW_OK;
}

static thaw_status mark_blocks(thaw_model *model, const thaw_rung *rung)
{
    char text[THAW_RUNG_TEXT];
    int64_t K = rung->first > 0 ? rung->first : rung->last;
    thaw_rung_format(rung, text);
    THAW_CHECK(K <= model->blocks, THAW_ERR_CONFIG,
               "rung %s asks for %lld blocks, but %s has %d; the largest is %s%d", text,
               (long long)K, model->spec.arch, model->blocks,
               rung->first > 0 ? "partial:first:" : "partial:", model->blocks);
    int32_t from = rung->first > 0 ? 0 : model->blocks - (int32_t)K + 1;
    int32_t to = rung->first > 0 ? (int32_t)K : model->blocks;
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        if (!p->adapter && p->block >= from && p->block <= to)
            p->trainable = true;
    }
    return THAW_OK;
}

static void mark_head(thaw_graph *g)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        p->trainable = p->block < 0;
    }
}

static void mark_all(thaw_graph *g)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        p->trainable = !p->adapter;
    }
}

static void mark_surface(thaw_graph *g, const adapt_method *method)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        if (p->block >= 0)
            p->trainable = method->trains(p);
    }
}

/* A norm's statistics move when its weight trains. */
static void mark_buffers(thaw_graph *g)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        for (int32_t i = 0; i < node->param_count; i++) {
            thaw_param *p = thaw_graph_param(g, node->params[i]);
            if (is_buffer(p))
                p->trainable = thaw_graph_param(g, node->params[0])->trainable;
        }
    }
}

thaw_status thaw_adapt_apply(thaw_model *model, const thaw_rung *rung, const thaw_peft *peft,
                             uint64_t seed)
{
    thaw_graph *g = model->graph;
    if (rung->kind == THAW_RUNG_PEFT)
        THAW_TRY(attach(model, peft, seed));
    mark_head(g);
    switch (rung->kind) {
    case THAW_RUNG_SCRATCH:
    case THAW_RUNG_FULL:
        mark_all(g);
        break;
    case THAW_RUNG_PEFT:
        mark_surface(g, adapt_method_of(model));
        break;
    case THAW_RUNG_PARTIAL:
        if (rung->patterns[0])
            THAW_TRY(adapt_mark_patterns(model, rung->patterns));
        else
            THAW_TRY(mark_blocks(model, rung));
        break;
    case THAW_RUNG_FROZEN:
        break;
    }
    mark_buffers(g);
    THAW_TRY(thaw_graph_analyze(g));
    thaw_adapt_counts counts;
    thaw_adapt_count(model, &counts);
    THAW_CHECK(rung->kind != THAW_RUNG_PEFT || counts.backbone + counts.adapter > 0,
               THAW_ERR_CONFIG,
               "peft.method %s finds nothing to train in this %s, so the rung would be frozen; "
               "choose another method",
               thaw_peft_names()[peft->method], model->spec.arch);
    return THAW_OK;
}

double thaw_adapt_rate_factor(const thaw_peft *peft, const thaw_param *p)
{
    bool is_b = strstr(p->name, ".lora_B.") || thaw_ends_with(p->name, ".lora_embedding_B");
    bool is_length = thaw_ends_with(p->name, ".lora_magnitude_vector");
    return p->adapter && (is_b || is_length) ? peft->lora_plus : 1;
}

void thaw_adapt_count(const thaw_model *model, thaw_adapt_counts *out)
{
    *out = (thaw_adapt_counts){0};
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (is_buffer(p))
            continue;
        int64_t count = thaw_shape_count(&p->shape);
        out->total += count;
        if (!p->trainable)
            continue;
        out->trainable += count;
        if (p->adapter)
            out->adapter += count;
        else if (p->block < 0)
            out->head += count;
        else
            out->backbone += count;
    }
}

thaw_status thaw_adapt_count_rung(const thaw_model_spec *spec, const thaw_rung *rung,
                                  const thaw_peft *peft, thaw_adapt_counts *out)
{
    thaw_model *model = NULL;
    THAW_TRY(thaw_model_new(spec, &model));
    thaw_status status = thaw_adapt_apply(model, rung, peft, 0);
    if (status == THAW_OK)
        thaw_adapt_count(model, out);
    thaw_model_free(&model);
    return status;
}

/* Whether all, some or none of a block's own parameters train: 2, 1, 0; -1 when it has none. */
static int trained_part(const thaw_graph *g, int32_t block)
{
    int with = 0;
    int without = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        if (p->block != block || p->adapter || is_buffer(p))
            continue;
        if (p->trainable)
            with++;
        else
            without++;
    }
    if (with + without == 0)
        return -1;
    return with == 0 ? 0 : without == 0 ? 2 : 1;
}

static void describe_blocks(const thaw_model *model, thaw_str *out)
{
    for (int32_t block = 0; block <= model->blocks; block++) {
        int part = trained_part(model->graph, block);
        if (part > 0)
            thaw_str_printf(out, ", %s%s", part == 1 ? "parts of " : "",
                            thaw_graph_block_name(model->graph, block));
    }
}

static bool all_train(const thaw_model *model)
{
    for (int32_t block = 0; block <= model->blocks; block++) {
        int part = trained_part(model->graph, block);
        if (part == 0 || part == 1)
            return false;
    }
    return true;
}

static bool surface_trains(const thaw_model *model, const adapt_method *method)
{
    for (int32_t i = 0; method && i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (p->block >= 0 && !is_buffer(p) && p->trainable != method->trains(p))
            return false;
    }
    return method != NULL;
}

void thaw_adapt_describe(const thaw_model *model, thaw_str *out)
{
    const adapt_method *method = adapt_method_of(model);
    if (all_train(model)) {
        thaw_str_add(out, "head and the whole backbone");
        return;
    }
    thaw_str_add(out, "head");
    if (surface_trains(model, method)) {
        thaw_str_add(out, ", ");
        method->describe(model, out);
        return;
    }
    describe_blocks(model, out);
}

static thaw_status digest(const thaw_model *model, thaw_which which, thaw_digest *out)
{
    thaw_state state = {0};
    thaw_status status = thaw_graph_state(model->graph, which, &state);
    if (status == THAW_OK)
        status = thaw_state_digest(&state, out);
    thaw_state_clear(&state);
    return status;
}

thaw_status thaw_adapt_digest_frozen(const thaw_model *model, thaw_digest *out)
{
    return digest(model, THAW_FROZEN, out);
}

thaw_status thaw_adapt_digest_backbone(const thaw_model *model, thaw_digest *out)
{
    return digest(model, THAW_BACKBONE, out);
}
