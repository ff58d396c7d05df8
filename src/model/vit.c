#include "model/model_impl.h"

#include <string.h>

/* Vision transformers: Dosovitskiy et al. 2021, arXiv:2010.11929; tiny and small are the sizes of Touvron et al. 2021,
 * arXiv:2012.12877. Norms stand before the layers. vit_* have timm's names, its one layer for query, key and value and its epsilon;
 * hf_vit_* the names of Hugging Face's files (ViTForImageClassification), three layers and another epsilon. What is pooled passes
 * the last norm first: the class token, or the mean of the patches, so that the same weights serve both. */
#define NAME  96
#define PATCH 16

typedef struct style {
    const char *prefix; /* of the architectures */
    const char *embedding, *positions, *projection, *blocks;
    const char *norm1, *output, *norm2, *fc1, *fc2, *last_norm;
    float epsilon;
    bool joined; /* query, key and value are one layer */
} style;

static const style styles[] = {
    {.prefix = "vit_",
     .embedding = "",
     .positions = "pos_embed",
     .projection = "patch_embed.proj",
     .blocks = "blocks",
     .norm1 = "norm1",
     .output = "attn.proj",
     .norm2 = "norm2",
     .fc1 = "mlp.fc1",
     .fc2 = "mlp.fc2",
     .last_norm = "norm",
     .epsilon = 1e-6f,
     .joined = true},
    {.prefix = "hf_vit_",
     .embedding = "embeddings",
     .positions = "position_embeddings",
     .projection = "embeddings.patch_embeddings.projection",
     .blocks = "encoder.layer",
     .norm1 = "layernorm_before",
     .output = "attention.output.dense",
     .norm2 = "layernorm_after",
     .fc1 = "intermediate.dense",
     .fc2 = "output.dense",
     .last_norm = "layernorm",
     .epsilon = 1e-12f,
     .joined = false},
};

#define ARCH(title, features, words)                                                               \
    {                                                                                              \
        .name = (title), .family = "vit", .doc = (words), .width = (features), .blocks = 12,       \
        .C = 3, .H = 224, .W = 224, .K = 1000, .norm = &model_half_norm                            \
    }
static const thaw_model_arch arches[] = {
    ARCH("vit_tiny_patch16_224", 192, "vision transformer of 192 features, timm's names"),
    ARCH("vit_small_patch16_224", 384, "vision transformer of 384 features, timm's names"),
    ARCH("vit_base_patch16_224", 768, "vision transformer of 768 features, timm's names"),
    ARCH("hf_vit_tiny_patch16_224", 192, "the same under Hugging Face's names"),
    ARCH("hf_vit_small_patch16_224", 384, "the same under Hugging Face's names"),
    ARCH("hf_vit_base_patch16_224", 768, "the same under Hugging Face's names"),
};

static const style *style_of(const char *arch)
{
    return &styles[thaw_starts_with(arch, styles[0].prefix) ? 0 : 1];
}

static void join(char out[NAME], const char *prefix, const char *name)
{
    bool fits = thaw_format(out, NAME, "%s.%s", prefix, name);
    THAW_ASSERT(fits);
}

static thaw_value linear(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                         int64_t out)
{
    char full[NAME];
    join(full, prefix, name);
    return thaw_graph_linear(g, full, x, out, true);
}

static thaw_value norm(thaw_graph *g, const style *s, const char *prefix, const char *name,
                       thaw_value x)
{
    char full[NAME];
    join(full, prefix, name);
    return thaw_graph_layer_norm(g, full, x, s->epsilon);
}

static thaw_value embed(thaw_graph *g, const style *s, thaw_value x, int64_t D, int64_t patch)
{
    const thaw_conv2d_attr attr = {.out_channels = D,
                                   .kernel_h = patch,
                                   .kernel_w = patch,
                                   .stride_h = patch,
                                   .stride_w = patch,
                                   .dilation_h = 1,
                                   .dilation_w = 1,
                                   .groups = 1,
                                   .bias = true,
                                   .init =
                                       s->joined ? THAW_INIT_KAIMING_UNIFORM : THAW_INIT_NORMAL};
    x = thaw_graph_conv2d(g, s->projection, x, &attr);
    return thaw_graph_class_token(g, s->embedding, x, s->positions);
}

/* `first`: only the class token's result is wanted (of q; k and v are always of all tokens). */
static thaw_value attend(thaw_graph *g, const style *s, const char *name, thaw_value x, int64_t D,
                         bool first)
{
    const thaw_attention_attr attr = {.heads = D / 64, .pad_id = -1};
    if (s->joined) {
        x = thaw_graph_attention_joined(g, linear(g, name, "attn.qkv", x, 3 * D), &attr);
        return first ? thaw_graph_select_token(g, x, 0) : x;
    }
    thaw_value k = linear(g, name, "attention.attention.key", x, D);
    thaw_value v = linear(g, name, "attention.attention.value", x, D);
    if (first)
        x = thaw_graph_select_token(g, x, 0);
    thaw_value q = linear(g, name, "attention.attention.query", x, D);
    return thaw_graph_attention(g, q, k, v, THAW_NO_VALUE, &attr);
}

/* `first`: from the attention on only the class token goes through; rows do not mix there, so that this gives what computing
 * all of them would. */
static thaw_value layer(thaw_graph *g, const style *s, const char *name, thaw_value x, int64_t D,
                        bool first)
{
    thaw_value y = attend(g, s, name, norm(g, s, name, s->norm1, x), D, first);
    if (first)
        x = thaw_graph_select_token(g, x, 0);
    x = thaw_graph_add(g, linear(g, name, s->output, y, D), x, 1);
    y = norm(g, s, name, s->norm2, x);
    y = thaw_graph_gelu(g, linear(g, name, s->fc1, y, 4 * D), false);
    return thaw_graph_add(g, linear(g, name, s->fc2, y, D), x, 1);
}

/* timm's and Hugging Face's own: weights of std 0.02, biases 0. timm leaves the projection of patches as PyTorch makes it, and draws the
 * class token with std 1e-6, which is nothing beside the place of it. */
static void set_initial(thaw_graph *g, const style *s)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        if (s->joined && thaw_starts_with(p->name, s->projection))
            continue;
        if (s->joined && strcmp(p->name, "cls_token") == 0)
            p->init = THAW_INIT_ZERO;
        else if (p->role == THAW_ROLE_WEIGHT)
            p->init = THAW_INIT_NORMAL;
        else if (p->role == THAW_ROLE_BIAS)
            p->init = THAW_INIT_ZERO;
    }
}

static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    const style *s = style_of(model->spec.arch);
    const int64_t D = model->spec.width;
    const bool mean = model->spec.pool == THAW_POOL_MEAN;
    model->blocks = 12;
    thaw_value x = embed(g, s, input, D, model->spec.patch);
    for (int32_t i = 0; i < model->blocks; i++) {
        char name[NAME];
        bool fits = thaw_format(name, sizeof name, "%s.%d", s->blocks, i);
        THAW_ASSERT(fits);
        thaw_graph_set_block(g, i + 1, name);
        x = layer(g, s, name, x, D, !mean && i + 1 == model->blocks);
    }
    x = thaw_graph_layer_norm(g, s->last_norm, x, s->epsilon);
    set_initial(g, s);
    return mean ? thaw_graph_mean_patch(g, x) : x;
}

const model_family model_family_vit = {.name = "vit",
                                       .arches = arches,
                                       .count = sizeof arches / sizeof *arches,
                                       .one_width = true,
                                       .patch = PATCH,
                                       .build = build};
