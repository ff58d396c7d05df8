#include "thaw/model.h"

#include "model/model_impl.h"

#include <string.h>

const char *const thaw_pool_words[] = {"auto", "class", "mean", "pooler", NULL};

const char *const thaw_activation_words[] = {"relu", "gelu", "tanh", NULL};

static bool find_word(const char *const *words, const char *word, int *out)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) != 0)
            continue;
        *out = i;
        return true;
    }
    return false;
}

bool thaw_pool_parse(const char *word, int *out)
{
    return find_word(thaw_pool_words, word, out);
}

#define FIELD(member, ctype) THAW_FIELD(thaw_model_spec, member, ctype)
const thaw_field thaw_model_fields[] = {
    {.name = "arch",
     .type = THAW_FIELD_STRING,
     .offset = FIELD(arch, char *),
     .preset = "resnet20",
     .doc = "Architecture of the backbone; `thaw backbone list` shows them."},
    {.name = "width",
     .type = THAW_FIELD_INT,
     .offset = FIELD(width, int64_t),
     .preset = "0",
     .least = 0,
     .most = 4096,
     .doc = "Channels of a residual network's first stage; 0 takes the architecture's own."},
    {.name = "patch",
     .type = THAW_FIELD_INT,
     .offset = FIELD(patch, int64_t),
     .preset = "0",
     .least = 0,
     .most = 4096,
     .doc = "Side of a vision transformer's patches in pixels; 0 takes the usual 16."},
    {.name = "pool",
     .type = THAW_FIELD_ENUM,
     .offset = FIELD(pool, int),
     .preset = "auto",
     .choices = thaw_pool_words,
     .doc = "A transformer's features: of pictures the class token (auto too) or the mean of the "
            "patches, of texts the pooler's of the first token (auto too), that token (class) or "
            "the mean of all that are no padding."},
    {.name = "hidden",
     .type = THAW_FIELD_INTS,
     .offset = FIELD(hidden, thaw_ints),
     .preset = "",
     .least = 1,
     .most = 1000000,
     .doc = "Sizes of an mlp's hidden layers; none takes 256 and 128."},
    {.name = "head_dropout",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(head_dropout, double),
     .preset = "0",
     .least = 0,
     .most = 0.99,
     .doc = "Probability of dropout before the head."},
    {.name = "head_hidden",
     .type = THAW_FIELD_INT,
     .offset = FIELD(head_hidden, int64_t),
     .preset = "0",
     .least = 0,
     .most = 1000000,
     .doc = "Outputs of the first of the head's two linear layers; 0: it has one."},
    {.name = "head_activation",
     .type = THAW_FIELD_ENUM,
     .offset = FIELD(head_activation, int),
     .preset = "relu",
     .choices = thaw_activation_words,
     .doc = "What is between the head's two layers."},
    {.name = NULL}};
#undef FIELD

static thaw_status copy_ints(const thaw_ints *from, thaw_ints *out)
{
    *out = (thaw_ints){0};
    THAW_TRY(thaw_alloc(&out->items, from->count, sizeof *out->items));
    if (from->count > 0)
        memcpy(out->items, from->items, (size_t)from->count * sizeof *out->items);
    out->count = from->count;
    return THAW_OK;
}

thaw_status thaw_model_spec_copy(const thaw_model_spec *from, thaw_model_spec *out)
{
    thaw_model_spec copy = *from;
    copy.arch = NULL;
    copy.hidden = (thaw_ints){0};
    thaw_status status = thaw_strdup(&copy.arch, from->arch);
    if (status == THAW_OK)
        status = copy_ints(&from->hidden, &copy.hidden);
    if (status != THAW_OK)
        thaw_model_spec_clear(&copy);
    *out = copy;
    return status;
}

void thaw_model_spec_clear(thaw_model_spec *spec)
{
    thaw_free(&spec->arch);
    thaw_free(&spec->hidden.items);
    *spec = (thaw_model_spec){0};
}

thaw_status thaw_model_spec_save(const thaw_model_spec *spec, thaw_state *state)
{
    void *data = NULL;
    THAW_TRY(thaw_state_add_text(state, "model.arch", spec->arch));
    THAW_TRY(thaw_state_add_new(state, "model.input", THAW_I64, thaw_shape1(3), &data));
    memcpy(data, (int64_t[]){spec->C, spec->H, spec->W}, 3 * sizeof(int64_t));
    if (spec->T > 0)
        THAW_TRY(thaw_state_add_int(state, "model.tokens", spec->T));
    if (spec->T > 0) {
        THAW_TRY(thaw_state_add_int(state, "model.segments", spec->segments));
        THAW_TRY(thaw_state_add_int(state, "model.vocabulary", spec->vocabulary));
        THAW_TRY(thaw_state_add_int(state, "model.places", spec->places));
    }
    THAW_TRY(thaw_state_add_int(state, "model.classes", spec->K));
    THAW_TRY(thaw_state_add_int(state, "model.width", spec->width));
    if (spec->patch > 0)
        THAW_TRY(thaw_state_add_int(state, "model.patch", spec->patch));
    if (spec->pool != THAW_POOL_AUTO)
        THAW_TRY(thaw_state_add_text(state, "model.pool", thaw_pool_words[spec->pool]));
    if (spec->hidden.count > 0) {
        THAW_TRY(thaw_state_add_new(state, "model.hidden", THAW_I64,
                                    thaw_shape1(spec->hidden.count), &data));
        memcpy(data, spec->hidden.items, (size_t)spec->hidden.count * sizeof(int64_t));
    }
    if (spec->head_hidden > 0) {
        THAW_TRY(thaw_state_add_int(state, "model.head_hidden", spec->head_hidden));
        THAW_TRY(thaw_state_add_text(state, "model.head_activation",
                                     thaw_activation_words[spec->head_activation]));
    }
    return thaw_state_add_double(state, "model.head_dropout", spec->head_dropout);
}

static thaw_status load_ints(const thaw_state *state, const char *name, thaw_ints *out)
{
    const thaw_tensor *t = thaw_state_find(state, name);
    THAW_CHECK(t && t->dtype == THAW_I64 && t->shape.ndim == 1, THAW_ERR_INPUT,
               "the description of the model has no list of integers \"%s\"", name);
    thaw_ints view = {.items = t->data, .count = t->shape.dim[0]};
    return copy_ints(&view, out);
}

/* Files from before these entries have none: one row, the architecture's vocabulary and places. */
static thaw_status load_text(const thaw_state *state, thaw_model_spec *out)
{
    int64_t segments = 0;
    if (thaw_state_find(state, "model.segments"))
        THAW_TRY(thaw_state_get_int(state, "model.segments", &segments));
    if (thaw_state_find(state, "model.vocabulary"))
        THAW_TRY(thaw_state_get_int(state, "model.vocabulary", &out->vocabulary));
    if (thaw_state_find(state, "model.places"))
        THAW_TRY(thaw_state_get_int(state, "model.places", &out->places));
    out->segments = segments != 0;
    return THAW_OK;
}

static thaw_status load_patches(const thaw_state *state, thaw_model_spec *out)
{
    thaw_str word = {0};
    thaw_status status = THAW_OK;
    if (thaw_state_find(state, "model.patch"))
        THAW_TRY_TO(thaw_state_get_int(state, "model.patch", &out->patch));
    if (!thaw_state_find(state, "model.pool"))
        goto done;
    THAW_TRY_TO(thaw_state_get_text(state, "model.pool", &word));
    THAW_CHECK_TO(thaw_pool_parse(thaw_str_c(&word), &out->pool), THAW_ERR_INPUT,
                  "model.pool is \"%s\"; auto, class, mean and pooler are known",
                  thaw_str_c(&word));
done:
    thaw_str_clear(&word);
    return status;
}

static thaw_status load_head(const thaw_state *state, thaw_model_spec *out)
{
    thaw_str word = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_state_get_double(state, "model.head_dropout", &out->head_dropout));
    if (!thaw_state_find(state, "model.head_hidden"))
        goto done;
    THAW_TRY_TO(thaw_state_get_int(state, "model.head_hidden", &out->head_hidden));
    THAW_TRY_TO(thaw_state_get_text(state, "model.head_activation", &word));
    THAW_CHECK_TO(find_word(thaw_activation_words, thaw_str_c(&word), &out->head_activation),
                  THAW_ERR_INPUT, "model.head_activation is \"%s\"; relu, gelu and tanh are known",
                  thaw_str_c(&word));
done:
    thaw_str_clear(&word);
    return status;
}

thaw_status thaw_model_spec_load(const thaw_state *state, thaw_model_spec *out)
{
    thaw_status status = THAW_OK;
    thaw_model_spec spec = {0};
    thaw_str arch = {0};
    thaw_ints input = {0};
    THAW_TRY_TO(thaw_state_get_text(state, "model.arch", &arch));
    THAW_TRY_TO(thaw_strdup(&spec.arch, thaw_str_c(&arch)));
    THAW_TRY_TO(load_ints(state, "model.input", &input));
    THAW_CHECK_TO(input.count == 3, THAW_ERR_INPUT,
                  "model.input has %lld numbers, but needs channels, height and width",
                  (long long)input.count);
    spec.C = input.items[0];
    spec.H = input.items[1];
    spec.W = input.items[2];
    if (thaw_state_find(state, "model.tokens"))
        THAW_TRY_TO(thaw_state_get_int(state, "model.tokens", &spec.T));
    THAW_TRY_TO(thaw_state_get_int(state, "model.classes", &spec.K));
    THAW_TRY_TO(thaw_state_get_int(state, "model.width", &spec.width));
    THAW_TRY_TO(load_head(state, &spec));
    THAW_TRY_TO(load_text(state, &spec));
    THAW_TRY_TO(load_patches(state, &spec));
    if (thaw_state_find(state, "model.hidden"))
        THAW_TRY_TO(load_ints(state, "model.hidden", &spec.hidden));
    *out = spec;
    spec = (thaw_model_spec){0};
done:
    thaw_model_spec_clear(&spec);
    thaw_str_clear(&arch);
    thaw_free(&input.items);
    return status;
}

static void add_ints(thaw_str *out, const thaw_ints *list)
{
    for (int64_t i = 0; i < list->count; i++)
        thaw_str_printf(out, "%s%lld", i > 0 ? ", " : "", (long long)list->items[i]);
}

void thaw_model_spec_format(const thaw_model_spec *spec, thaw_str *out)
{
    thaw_str_add(out, spec->arch);
    if (spec->width > 0)
        thaw_str_printf(out, ", width %lld", (long long)spec->width);
    if (spec->patch > 0)
        thaw_str_printf(out, ", patch %lld%s", (long long)spec->patch,
                        spec->pool == THAW_POOL_MEAN ? ", mean of patches" : "");
    if (spec->hidden.count > 0) {
        thaw_str_add(out, ", hidden [");
        add_ints(out, &spec->hidden);
        thaw_str_add(out, "]");
    }
    if (spec->T > 0) {
        thaw_str_printf(out, ", %lld tokens%s", (long long)spec->T,
                        spec->segments ? " with their types" : "");
        if (spec->vocabulary > 0)
            thaw_str_printf(out, " of %lld", (long long)spec->vocabulary);
        if (spec->pool != THAW_POOL_AUTO)
            thaw_str_printf(out, ", features: %s", thaw_pool_words[spec->pool]);
        return;
    }
    thaw_str_printf(out, ", input %lld x %lld x %lld", (long long)spec->C, (long long)spec->H,
                    (long long)spec->W);
}

static int64_t resolved_width(const thaw_model_spec *spec)
{
    const thaw_model_arch *arch = NULL;
    if (spec->width > 0 || thaw_model_arch_find(spec->arch, &arch) != THAW_OK)
        return spec->width;
    return arch->width;
}

static int64_t resolved_patch(const thaw_model_spec *spec)
{
    const thaw_model_arch *arch = NULL;
    if (spec->patch > 0 || thaw_model_arch_find(spec->arch, &arch) != THAW_OK)
        return spec->patch;
    return model_family_of(arch)->patch;
}

static int64_t resolved_vocabulary(const thaw_model_spec *spec)
{
    const thaw_model_arch *arch = NULL;
    if (spec->vocabulary > 0 || thaw_model_arch_find(spec->arch, &arch) != THAW_OK)
        return spec->vocabulary;
    return model_family_of(arch)->vocabulary;
}

static int64_t resolved_places(const thaw_model_spec *spec)
{
    const thaw_model_arch *arch = NULL;
    if (spec->places > 0 || thaw_model_arch_find(spec->arch, &arch) != THAW_OK)
        return spec->places;
    return model_family_of(arch)->most_tokens;
}

static bool same_hidden(const thaw_ints *a, const thaw_ints *b)
{
    static const int64_t usual[] = {256, 128};
    const int64_t *items_a = a->count > 0 ? a->items : usual;
    const int64_t *items_b = b->count > 0 ? b->items : usual;
    int64_t count_a = a->count > 0 ? a->count : 2;
    int64_t count_b = b->count > 0 ? b->count : 2;
    return count_a == count_b && memcmp(items_a, items_b, (size_t)count_a * sizeof *items_a) == 0;
}

static bool differ(thaw_str *why, const char *what, int64_t a, int64_t b)
{
    if (a == b)
        return false;
    if (why)
        thaw_str_printf(why, "%s is %lld in one and %lld in the other", what, (long long)a,
                        (long long)b);
    return true;
}

/* The number of them in a sample is no part of the backbone. */
static bool differ_in_tokens(const thaw_model_spec *a, const thaw_model_spec *b, thaw_str *why)
{
    return a->T > 0 && b->T > 0 &&
           (differ(why, "the number of different tokens", resolved_vocabulary(a),
                   resolved_vocabulary(b)) ||
            differ(why, "the number of places of a text", resolved_places(a), resolved_places(b)));
}

bool thaw_model_spec_same_backbone(const thaw_model_spec *a, const thaw_model_spec *b,
                                   thaw_str *why)
{
    if (strcmp(a->arch, b->arch) != 0) {
        if (why)
            thaw_str_printf(why, "the architecture is %s in one and %s in the other", a->arch,
                            b->arch);
        return false;
    }
    if (differ_in_tokens(a, b, why))
        return false;
    bool flat = strcmp(a->arch, "mlp") == 0;
    const int64_t patch = resolved_patch(a);
    if (differ(why, "the width", resolved_width(a), resolved_width(b)) ||
        differ(why, "the patch size", patch, resolved_patch(b)) ||
        differ(why, "the number of input channels", a->C, b->C) ||
        (flat && (differ(why, "the input height", a->H, b->H) ||
                  differ(why, "the input width", a->W, b->W))))
        return false;
    if (flat && !same_hidden(&a->hidden, &b->hidden)) {
        if (why)
            thaw_str_add(why, "the hidden layers differ");
        return false;
    }
    return true;
}
