#include "train/train_impl.h"

#include <stdatomic.h>
#include <string.h>

#include "thaw/ckpt.h"

/* The weights a run starts from. One rank reads the backbone file; the backbone's parameters then stand once on every node, in shared
 * memory that nobody writes again. The frozen ones are used from there by all ranks; of those that train each rank takes its own copy, and the
 * shared one goes on to say where they began. */

/* ---- The file ------------------------------------------------------------------------------------------------ */

/* What the other ranks need to know of the file, as a state that can be broadcast. */
static thaw_status describe(const thaw_backbone *b, thaw_state *out)
{
    thaw_str name = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_state_add_int(out, "channels", b->C));
    THAW_TRY_TO(thaw_state_add_int(out, "tokens", b->tokens));
    THAW_TRY_TO(thaw_state_add_text(out, "tokenizer", b->tokenizer ? b->tokenizer : ""));
    THAW_TRY_TO(thaw_state_add_text(out, "vocabulary", b->vocabulary ? b->vocabulary : ""));
    if (b->tokens == 0) {
        THAW_TRY_TO(thaw_state_add(out, "mean", THAW_F64, thaw_shape1(b->C), b->mean));
        THAW_TRY_TO(thaw_state_add(out, "std", THAW_F64, thaw_shape1(b->C), b->std));
    }
    for (int64_t i = 0; i < b->spec.count; i++) {
        const thaw_entry *e = &b->spec.entries[i];
        thaw_str_reset(&name);
        thaw_str_printf(&name, "spec/%s", e->name);
        THAW_TRY_TO(thaw_state_add(out, thaw_str_c(&name), e->tensor.dtype, e->tensor.shape,
                                   e->tensor.data));
    }
    status = THAW_OK;
done:
    thaw_str_clear(&name);
    return status;
}

static thaw_status take_vector(const thaw_state *from, const char *name, int64_t count,
                               double **out)
{
    const thaw_tensor *t = thaw_state_find(from, name);
    THAW_ASSERT(t != NULL && thaw_tensor_count(t) == count && t->dtype == THAW_F64);
    THAW_TRY(thaw_alloc(out, count, sizeof **out));
    memcpy(*out, t->data, (size_t)count * sizeof **out);
    return THAW_OK;
}

static thaw_status take_text(const thaw_state *from, const char *name, char **out)
{
    thaw_str text = {0};
    thaw_status status = thaw_state_get_text(from, name, &text);
    if (status == THAW_OK)
        status = thaw_strdup(out, thaw_str_c(&text));
    thaw_str_clear(&text);
    return status;
}

static thaw_status understand(const thaw_state *from, thaw_backbone *b)
{
    THAW_TRY(thaw_state_get_int(from, "channels", &b->C));
    THAW_TRY(thaw_state_get_int(from, "tokens", &b->tokens));
    THAW_TRY(take_text(from, "tokenizer", &b->tokenizer));
    THAW_TRY(take_text(from, "vocabulary", &b->vocabulary));
    if (b->tokens == 0) {
        THAW_TRY(take_vector(from, "mean", b->C, &b->mean));
        THAW_TRY(take_vector(from, "std", b->C, &b->std));
    }
    for (int64_t i = 0; i < from->count; i++) {
        const thaw_entry *e = &from->entries[i];
        void *data = NULL;
        if (!thaw_starts_with(e->name, "spec/"))
            continue;
        THAW_TRY(thaw_state_add_new(&b->spec, e->name + strlen("spec/"), e->tensor.dtype,
                                    e->tensor.shape, &data));
        if (thaw_tensor_bytes(&e->tensor) > 0)
            memcpy(data, e->tensor.data, thaw_tensor_bytes(&e->tensor));
    }
    return THAW_OK;
}

static thaw_status check_given(const thaw_setup *s)
{
    if (s->has_backbone)
        return THAW_OK;
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

/* Once a process: a ladder sets up many runs of the same files. */
static void warn_of_trust(const char *backbone, const char *data, bool backbone_says)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&said))
        THAW_LOG(
            THAW_WARN,
            "%s does not say which vocabulary it %s, so that %s has the same cannot be checked",
            backbone_says ? data : backbone, backbone_says ? "was made with" : "reads",
            backbone_says ? backbone : data);
}

/* What either side does not say is taken on trust. */
static thaw_status fit_text(const thaw_setup *s, const thaw_text_info *text)
{
    const thaw_backbone *b = &s->backbone;
    const char *const what[] = {"tokenizer", "vocabulary"};
    const char *const theirs[] = {b->tokenizer, b->vocabulary};
    const char *const ours[] = {text->tokenizer, text->vocabulary};
    for (int i = 0; i < 2; i++)
        THAW_CHECK(theirs[i] == NULL || theirs[i][0] == '\0' || ours[i][0] == '\0' ||
                       strcmp(theirs[i], ours[i]) == 0,
                   THAW_ERR_INPUT,
                   "%s reads texts with the %s %s, but %s was made with %s; import the data with "
                   "the backbone's",
                   s->config->model.backbone, what[i], theirs[i], s->config->data.file, ours[i]);
    const bool says = b->vocabulary != NULL && b->vocabulary[0] != '\0';
    if (!says || text->vocabulary[0] == '\0')
        warn_of_trust(s->config->model.backbone, s->config->data.file, says);
    const int64_t T = thaw_dataset_shape(s->dataset).dim[1];
    THAW_CHECK(T <= b->tokens, THAW_ERR_INPUT,
               "%s reads up to %lld tokens, but %s has %lld a text; import the data with --tokens "
               "%lld",
               s->config->model.backbone, (long long)b->tokens, s->config->data.file, (long long)T,
               (long long)b->tokens);
    return THAW_OK;
}

static void add_numbers(const double *value, int64_t C, thaw_str *out)
{
    for (int64_t c = 0; c < C; c++)
        thaw_str_printf(out, "%s%.4g", c > 0 ? ", " : "", value[c]);
}

/* A dataset that was given a normalisation of its own would else lose it without a word. Once a process. */
static void say_normalisation(const thaw_setup *s, int64_t C)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    const double *mean = thaw_dataset_mean(s->dataset);
    const double *std = thaw_dataset_std(s->dataset);
    bool same = true;
    bool none = true; /* the file has none: thaw_dataset_mean says 0 and 1 */
    for (int64_t c = 0; c < C; c++) {
        same = same && mean[c] == s->backbone.mean[c] && std[c] == s->backbone.std[c];
        none = none && mean[c] == 0 && std[c] == 1;
    }
    if (same || none || atomic_flag_test_and_set(&said))
        return;
    thaw_str text = {0};
    thaw_str_add(&text, "mean ");
    add_numbers(s->backbone.mean, C, &text);
    thaw_str_add(&text, " and std ");
    add_numbers(s->backbone.std, C, &text);
    THAW_LOG(THAW_INFO, "inputs are normalised as %s was trained, %s, not as %s says",
             s->config->model.backbone, thaw_str_c(&text), s->config->data.file);
    thaw_str_clear(&text);
}

/* Every rung of a comparison sees the same inputs: those the backbone was trained on. */
static thaw_status fit_data(thaw_setup *s)
{
    const thaw_shape shape = thaw_dataset_shape(s->dataset);
    const thaw_text_info *text = thaw_dataset_text(s->dataset);
    THAW_CHECK((text != NULL) == (s->backbone.tokens > 0), THAW_ERR_INPUT,
               "%s reads %s, but %s has %s", s->config->model.backbone,
               s->backbone.tokens > 0 ? "texts" : "pictures", s->config->data.file,
               text != NULL ? "texts" : "pictures");
    if (text != NULL)
        return fit_text(s, text);
    THAW_CHECK(s->backbone.C == shape.dim[0], THAW_ERR_INPUT,
               "%s takes inputs of %lld channels, but %s has %lld; import the data with as many "
               "channels",
               s->config->model.backbone, (long long)s->backbone.C, s->config->data.file,
               (long long)shape.dim[0]);
    if (s->backbone.mean != NULL && s->backbone.std != NULL)
        say_normalisation(s, shape.dim[0]);
    return thaw_dataset_set_normalisation(s->dataset, shape.dim[0], s->backbone.mean,
                                          s->backbone.std);
}

thaw_status thaw_setup_backbone(thaw_comm *comm, thaw_setup *s)
{
    const bool reads = thaw_comm_rank(comm) == 0;
    thaw_state words = {0};
    thaw_status status;
    s->has_backbone = s->config->model.backbone[0] != '\0';
    THAW_TRY_TO(thaw_agree(comm, check_given(s)));
    if (!s->has_backbone)
        goto done;
    status = reads ? thaw_backbone_read(s->config->model.backbone, &s->backbone) : THAW_OK;
    if (status == THAW_OK && reads)
        status = describe(&s->backbone, &words);
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(thaw_ckpt_bcast(comm, 0, &words));
    status = reads ? THAW_OK : understand(&words, &s->backbone);
    if (status == THAW_OK)
        status = fit_data(s);
    status = thaw_agree(comm, status);
done:
    thaw_state_clear(&words);
    return status;
}

/* ---- Memory -------------------------------------------------------------------------------------------------- */

static bool in_backbone(const thaw_param *p)
{
    return p->block >= 0 && !p->adapter;
}

static int64_t padded_bytes(const thaw_param *p)
{
    return (thaw_shape_count(&p->shape) * (int64_t)sizeof(float) + 63) / 64 * 64;
}

static int64_t backbone_bytes(const thaw_graph *graph)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        if (in_backbone(thaw_graph_param(graph, i)))
            bytes += padded_bytes(thaw_graph_param(graph, i));
    }
    return bytes;
}

thaw_status thaw_setup_place_backbone(thaw_setup *s)
{
    thaw_graph *graph = s->model->graph;
    char *at = thaw_shared_data(s->weights);
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        thaw_param *p = thaw_graph_param(graph, i);
        if (!in_backbone(p))
            continue;
        thaw_graph_set_data(graph, i, (float *)(void *)at);
        THAW_TRY(thaw_state_add(&s->begin, p->name, THAW_F32, p->shape, at));
        at += padded_bytes(p);
    }
    return thaw_model_complete(s->model);
}

/* On the rank that read the file: what the network starts with. */
static thaw_status fill_backbone(thaw_setup *s)
{
    if (!s->has_backbone || s->rung.kind == THAW_RUNG_SCRATCH) {
        if (s->config->model.zero_init_residual)
            THAW_TRY(thaw_model_zero_init_residual(s->model));
        thaw_model_initialize(s->model, (uint64_t)s->config->seed);
        return THAW_OK;
    }
    /* Drawing millions of values that the file replaces takes longer than reading them. */
    thaw_model_initialize_head(s->model, (uint64_t)s->config->seed);
    thaw_model_spec source = {0};
    thaw_state fitted = {0};
    thaw_status status = thaw_model_spec_load(&s->backbone.spec, &source);
    if (status == THAW_OK)
        status = thaw_model_fit_positions(s->model, &source, &s->backbone.tensors, &fitted);
    if (status == THAW_OK)
        status = thaw_state_copy(&s->begin, &fitted);
    thaw_state_clear(&fitted);
    thaw_model_spec_clear(&source);
    return status == THAW_OK ? status : thaw_fail_context(status, "%s", s->config->model.backbone);
}

thaw_status thaw_setup_weights(thaw_comm *comm, thaw_setup *s)
{
    const bool reads = thaw_comm_rank(comm) == 0;
    const int64_t bytes = backbone_bytes(s->model->graph);
    THAW_TRY(thaw_same_int64(comm, "the size of the network", bytes));
    THAW_TRY(thaw_shared_new(comm, bytes, &s->weights));
    THAW_TRY(thaw_agree(comm, thaw_setup_place_backbone(s)));
    if (!reads)
        thaw_model_initialize_head(s->model, (uint64_t)s->config->seed);
    THAW_TRY(thaw_agree(comm, reads ? fill_backbone(s) : THAW_OK));
    thaw_shared_spread(comm, s->weights, 0, bytes);
    thaw_state_clear(&s->backbone.tensors);
    thaw_state_clear(&s->backbone.head);
    return THAW_OK;
}

/* ---- What trains --------------------------------------------------------------------------------------------- */

/* Copies of what is in the shared memory, for this rank to write to. */
static thaw_status own(thaw_setup *s, const bool *joins)
{
    thaw_graph *graph = s->model->graph;
    int64_t bytes = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        if (joins[i])
            bytes += padded_bytes(thaw_graph_param(graph, i));
    }
    if (bytes == 0)
        return THAW_OK;
    THAW_ASSERT(s->own_count < THAW_MOST_PHASES);
    THAW_TRY(thaw_alloc(&s->own[s->own_count], bytes, 1));
    char *at = s->own[s->own_count++];
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        const thaw_param *p = thaw_graph_param(graph, i);
        if (!joins[i])
            continue;
        memcpy(at, p->data, (size_t)thaw_shape_count(&p->shape) * sizeof(float));
        thaw_graph_set_data(graph, i, (float *)(void *)at);
        at += padded_bytes(p);
    }
    return THAW_OK;
}

thaw_status thaw_setup_own_trained(thaw_setup *s, const bool *before)
{
    const thaw_graph *graph = s->model->graph;
    const int32_t count = thaw_graph_param_count(graph);
    bool *joins = NULL;
    thaw_status status;
    if (s->held == NULL)
        THAW_TRY_TO(thaw_alloc(&s->held, count, sizeof *s->held));
    if (s->joined == NULL)
        THAW_TRY_TO(thaw_alloc(&s->joined, count, sizeof *s->joined));
    THAW_TRY_TO(thaw_alloc(&joins, count, sizeof *joins));
    for (int32_t i = 0; i < count; i++) {
        const thaw_param *p = thaw_graph_param(graph, i);
        joins[i] = in_backbone(p) && p->trainable && !s->held[i];
        s->held[i] = s->held[i] || p->trainable;
        if (p->trainable && (before == NULL || !before[i]))
            s->joined[i] = s->phases.updates[s->phases.now];
    }
    status = own(s, joins);
done:
    thaw_free(&joins);
    return status;
}

thaw_status thaw_setup_held(const thaw_setup *s, thaw_state *out)
{
    const thaw_graph *graph = s->model->graph;
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        const thaw_param *p = thaw_graph_param(graph, i);
        if (s->held[i])
            THAW_TRY(thaw_state_add(out, p->name, THAW_F32, p->shape, p->data));
    }
    return THAW_OK;
}

thaw_status thaw_setup_held_named(const thaw_setup *s, thaw_state *out)
{
    thaw_state held = {0};
    thaw_status status = thaw_setup_held(s, &held);
    if (status == THAW_OK)
        status = thaw_state_add_prefixed(out, "model", &held);
    thaw_state_clear(&held);
    return status;
}
