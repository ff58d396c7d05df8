#include "thaw/model.h"

#include "model/model_impl.h"

#include <string.h>

#define MOST_PIXELS  65536
#define MOST_CLASSES 10000000
#define MOST_WORDS   ((1 << 24) - 1) /* ids travel as float32 */
#define MOST_PLACES  (1 << 20)

static thaw_status check_range(const char *field, int64_t value, int64_t least, int64_t most)
{
    THAW_CHECK(value >= least && value <= most, THAW_ERR_CONFIG,
               "a model's %s cannot be %lld; it must be from %lld to %lld", field, (long long)value,
               (long long)least, (long long)most);
    return THAW_OK;
}

static thaw_status check_text(const thaw_model_spec *spec, int64_t most_tokens)
{
    THAW_CHECK(
        spec->C == 0 && spec->H == 0 && spec->W == 0, THAW_ERR_CONFIG,
        "%s reads text, but the data are images of %lld x %lld x %lld; choose an architecture for "
        "images (`thaw backbone list`)",
        spec->arch, (long long)spec->C, (long long)spec->H, (long long)spec->W);
    THAW_CHECK(spec->patch == 0, THAW_ERR_CONFIG,
               "patch is for vision transformers, and %s is none; leave it out", spec->arch);
    THAW_TRY(check_range("vocabulary", spec->vocabulary, 0, MOST_WORDS));
    THAW_TRY(check_range("places", spec->places, 0, MOST_PLACES));
    return check_range("number of tokens", spec->T, 1,
                       spec->places > 0 ? spec->places : most_tokens);
}

static thaw_status check_image(const thaw_model_spec *spec)
{
    THAW_CHECK(spec->T == 0, THAW_ERR_CONFIG,
               "%s reads images, but the data are text of %lld tokens; choose an architecture for "
               "text (`thaw backbone list`)",
               spec->arch, (long long)spec->T);
    THAW_TRY(check_range("number of input channels", spec->C, 1, MOST_PIXELS));
    THAW_TRY(check_range("input height", spec->H, 1, MOST_PIXELS));
    return check_range("input width", spec->W, 1, MOST_PIXELS);
}

/* A rest of a patch would be left out of every image without a word. */
static thaw_status check_patches(const thaw_model_spec *spec, int64_t usual)
{
    const int64_t patch = spec->patch > 0 ? spec->patch : usual;
    THAW_CHECK(usual > 0 || (spec->patch == 0 && spec->pool == THAW_POOL_AUTO), THAW_ERR_CONFIG,
               "patch and pool are for transformers, and %s is none; leave them out", spec->arch);
    THAW_CHECK(spec->pool != THAW_POOL_POOLER, THAW_ERR_CONFIG,
               "pool: pooler is for networks that read text, and %s reads images; take class or "
               "mean",
               spec->arch);
    THAW_TRY(check_range("patch", spec->patch, 0, MOST_PIXELS));
    THAW_CHECK(usual == 0 || (spec->H % patch == 0 && spec->W % patch == 0), THAW_ERR_CONFIG,
               "images of %lld x %lld are no whole number of patches of %lld x %lld, which %s cuts "
               "them into; set model.patch to a number that divides both, or change the images",
               (long long)spec->H, (long long)spec->W, (long long)patch, (long long)patch,
               spec->arch);
    return THAW_OK;
}

static thaw_status spec_check(const thaw_model_spec *spec, const model_family *family)
{
    if (family->most_tokens > 0)
        THAW_TRY(check_text(spec, family->most_tokens));
    else
        THAW_TRY(check_image(spec));
    if (family->most_tokens == 0)
        THAW_TRY(check_patches(spec, family->patch));
    THAW_TRY(check_range("number of classes", spec->K, 1, MOST_CLASSES));
    THAW_TRY(check_range("width", spec->width, 0, 4096));
    for (int64_t i = 0; i < spec->hidden.count; i++)
        THAW_TRY(check_range("hidden layer", spec->hidden.items[i], 1, 1000000));
    THAW_TRY(check_range("head_hidden", spec->head_hidden, 0, 1000000));
    THAW_CHECK(spec->head_dropout >= 0 && spec->head_dropout < 1, THAW_ERR_CONFIG,
               "head_dropout %g must be from 0 up to, but not, 1", spec->head_dropout);
    return THAW_OK;
}

/* Presets that depend on the architecture, written out so that a stored spec says what was built. */
static thaw_status spec_resolve(thaw_model_spec *spec, const thaw_model_arch *arch)
{
    bool layered = arch->width == 0;
    THAW_CHECK(layered || spec->hidden.count == 0, THAW_ERR_CONFIG,
               "hidden is for mlp, and %s has no hidden layers to size; use width", arch->name);
    THAW_CHECK(!layered || spec->width == 0, THAW_ERR_CONFIG,
               "width %lld is for residual networks; size an mlp with hidden",
               (long long)spec->width);
    THAW_CHECK(!model_family_of(arch)->one_width || spec->width == 0 || spec->width == arch->width,
               THAW_ERR_CONFIG, "%s has one width, %lld, and not %lld; leave width out", arch->name,
               (long long)arch->width, (long long)spec->width);
    if (spec->width == 0)
        spec->width = arch->width;
    if (spec->patch == 0)
        spec->patch = model_family_of(arch)->patch;
    if (spec->patch > 0 && spec->pool == THAW_POOL_AUTO)
        spec->pool = THAW_POOL_CLASS;
    if (spec->T > 0 && spec->pool == THAW_POOL_AUTO)
        spec->pool = THAW_POOL_POOLER;
    if (spec->vocabulary == 0)
        spec->vocabulary = model_family_of(arch)->vocabulary;
    if (spec->places == 0)
        spec->places = model_family_of(arch)->most_tokens;
    if (layered && spec->hidden.count == 0) {
        THAW_TRY(thaw_alloc(&spec->hidden.items, 2, sizeof *spec->hidden.items));
        spec->hidden.items[0] = 256;
        spec->hidden.items[1] = 128;
        spec->hidden.count = 2;
    }
    return THAW_OK;
}

static thaw_value activate(thaw_graph *g, int activation, thaw_value x)
{
    switch (activation) {
    case THAW_ACTIVATION_GELU:
        return thaw_graph_gelu(g, x, false);
    case THAW_ACTIVATION_TANH:
        return thaw_graph_tanh(g, x);
    default:
        return thaw_graph_relu(g, x);
    }
}

static thaw_value build_head(thaw_graph *g, const thaw_model_spec *spec, thaw_value x)
{
    thaw_graph_set_block(g, -1, "head");
    if (spec->head_dropout > 0)
        x = thaw_graph_dropout(g, x, (float)spec->head_dropout);
    if (spec->head_hidden == 0)
        return thaw_graph_linear(g, "fc", x, spec->K, true);
    x = thaw_graph_linear(g, "fc.0", x, spec->head_hidden, true);
    return thaw_graph_linear(g, "fc.2", activate(g, spec->head_activation, x), spec->K, true);
}

static void build(thaw_model *model, const model_family *family)
{
    const thaw_model_spec *spec = &model->spec;
    thaw_graph *g = model->graph;
    int64_t dims[] = {spec->C, spec->H, spec->W};
    thaw_shape input = spec->T == 0     ? thaw_shape_make(3, dims)
                       : spec->segments ? thaw_shape2(2, spec->T)
                                        : thaw_shape1(spec->T);
    thaw_graph_set_block(g, 0, "stem");
    thaw_value x = family->build(model, thaw_graph_input(g, input));
    if (spec->shrink > 0)
        x = thaw_graph_shrink(g, x, spec->shrink, spec->shrink_values);
    thaw_graph_set_features(g, x);
    if (x >= 0)
        model->D = thaw_graph_value_shape(g, x).dim[0];
    thaw_graph_set_logits(g, build_head(g, spec, x));
}

static thaw_status building(thaw_status status, const thaw_model_spec *spec)
{
    thaw_str what = {0};
    thaw_model_spec_format(spec, &what);
    status = thaw_fail_context(status, "building %s", thaw_str_c(&what));
    thaw_str_clear(&what);
    return status;
}

thaw_status thaw_model_outline(const thaw_model_spec *spec, thaw_model **out)
{
    thaw_status status = THAW_OK;
    const thaw_model_arch *arch = NULL;
    thaw_model *model = NULL;
    THAW_TRY(thaw_model_arch_find(spec->arch, &arch));
    THAW_TRY(spec_check(spec, model_family_of(arch)));
    THAW_TRY(thaw_alloc(&model, 1, sizeof *model));
    THAW_TRY_TO(thaw_model_spec_copy(spec, &model->spec));
    THAW_TRY_TO(spec_resolve(&model->spec, arch));
    THAW_TRY_TO(thaw_graph_new(&model->graph));
    build(model, model_family_of(arch));
    status = thaw_graph_built(model->graph);
    if (status != THAW_OK) {
        status = building(status, &model->spec);
        goto done;
    }
    *out = model;
    model = NULL;
done:
    thaw_model_free(&model);
    return status;
}

thaw_status thaw_model_complete(thaw_model *model)
{
    const thaw_model_spec *spec = &model->spec;
    const thaw_status status = thaw_graph_finish(model->graph);
    if (status != THAW_OK)
        return building(status, spec);
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++)
        thaw_graph_param(model->graph, i)->trainable = true;
    return thaw_graph_analyze(model->graph);
}

thaw_status thaw_model_new(const thaw_model_spec *spec, thaw_model **out)
{
    thaw_model *model = NULL;
    THAW_TRY(thaw_model_outline(spec, &model));
    const thaw_status status = thaw_model_complete(model);
    if (status == THAW_OK)
        *out = model;
    else
        thaw_model_free(&model);
    return status;
}

void thaw_model_free(thaw_model **model)
{
    if (!*model)
        return;
    thaw_graph_free(&(*model)->graph);
    thaw_model_spec_clear(&(*model)->spec);
    thaw_free(model);
}

void thaw_model_initialize(thaw_model *model, uint64_t seed)
{
    thaw_graph_initialize(model->graph, seed, NULL, NULL);
}

static bool in_head(const thaw_param *p, const void *context)
{
    (void)context;
    return p->block == -1;
}

void thaw_model_initialize_head(thaw_model *model, uint64_t seed)
{
    thaw_graph_initialize(model->graph, seed, in_head, NULL);
}

int64_t thaw_model_least_size(const thaw_model *model)
{
    const int64_t H = model->spec.H;
    int64_t least = H;
    for (int32_t n = 0; n < thaw_graph_node_count(model->graph); n++) {
        const thaw_value v = thaw_graph_node(model->graph, n)->output;
        const thaw_shape shape = thaw_graph_value_shape(model->graph, v);
        if (shape.ndim == 3 && shape.dim[1] < least)
            least = shape.dim[1];
    }
    return least > 0 ? H / least : 1;
}

thaw_status thaw_model_head_state(const thaw_model *model, thaw_state *out)
{
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        if (p->block < 0 && !p->adapter)
            THAW_TRY(thaw_state_add(out, p->name, THAW_F32, p->shape, p->data));
    }
    return THAW_OK;
}

thaw_status thaw_model_block_names(const thaw_model *model, thaw_strings *out)
{
    const int32_t count = thaw_graph_block_count(model->graph);
    THAW_TRY(thaw_alloc(&out->items, count, sizeof *out->items));
    out->count = count;
    for (int32_t i = 0; i < count; i++)
        out->items[i] = (char *)thaw_graph_block_name(model->graph, i);
    return THAW_OK;
}

int32_t thaw_model_find_blocks(const thaw_model *model, const char *name, int32_t *first)
{
    if (strcmp(name, "head") == 0) {
        *first = -1;
        return 1;
    }
    int32_t count = 0;
    size_t length = strlen(name);
    for (int32_t i = 0; i <= model->blocks; i++) {
        const char *block = thaw_graph_block_name(model->graph, i);
        bool whole = strcmp(block, name) == 0;
        bool stage = length > 0 && strncmp(block, name, length) == 0 && block[length] == '.';
        if (!whole && !stage)
            continue;
        if (count == 0)
            *first = i;
        count++;
    }
    return count;
}
