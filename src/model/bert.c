#include "model/model_impl.h"

#include <string.h>

/* Devlin et al. 2019, arXiv:1810.04805, with Hugging Face's names (BertModel); MiniLM: Wang et al. 2020, arXiv:2002.10957;
 * the smaller ones: Turc et al. 2019, arXiv:1908.08962. Norms stand after the sums. Padding is token 0, dropout is none. Features:
 * the pooler on the first token ([CLS]), that token, or the mean of all that are no padding (Reimers and Gurevych 2019,
 * arXiv:1908.10084); they belong to the last block. */
#define NAME       96
#define VOCABULARY 30522
#define POSITIONS  512
#define SEGMENTS   2
#define EPSILON    1e-12f

#define ARCH(title, count, hidden, split, words)                                                   \
    {                                                                                              \
        .name = (title), .family = "bert", .doc = (words), .width = (hidden), .blocks = (count),   \
        .K = 2, .T = 128, .heads = (split), .most_tokens = POSITIONS                               \
    }
static const thaw_model_arch arches[] = {
    ARCH("minilm-l6", 6, 384, 12, "BERT of 6 layers and 384 features, as MiniLM's"),
    ARCH("bert-tiny", 2, 128, 2, "BERT of 2 layers and 128 features"),
    ARCH("bert-base", 12, 768, 12, "BERT of 12 layers and 768 features"),
    ARCH("minilm-l12", 12, 384, 12, "BERT of 12 layers and 384 features, as MiniLM's"),
    ARCH("bert-mini", 4, 256, 4, "BERT of 4 layers and 256 features"),
    ARCH("bert-small", 4, 512, 8, "BERT of 4 layers and 512 features"),
    ARCH("bert-medium", 8, 512, 8, "BERT of 8 layers and 512 features"),
    ARCH("bert-large", 24, 1024, 16, "BERT of 24 layers and 1024 features"),
};

static void join(char out[NAME], const char *prefix, const char *name)
{
    bool fits = thaw_format(out, NAME, "%s.%s", prefix, name);
    THAW_ASSERT(fits);
}

static thaw_value table(thaw_graph *g, const char *name, thaw_value ids, int64_t rows,
                        int64_t features, int64_t pad_id, thaw_embed_rule rule)
{
    char full[NAME];
    thaw_embedding_attr attr = {.rows = rows, .features = features, .pad_id = pad_id, .rule = rule};
    join(full, "embeddings", name);
    return thaw_graph_embedding(g, full, ids, &attr);
}

static thaw_value linear(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                         int64_t out)
{
    char full[NAME];
    join(full, prefix, name);
    return thaw_graph_linear(g, full, x, out, true);
}

static thaw_value norm(thaw_graph *g, const char *prefix, const char *name, thaw_value x)
{
    char full[NAME];
    join(full, prefix, name);
    return thaw_graph_layer_norm(g, full, x, EPSILON);
}

/* The first row of a sample is its tokens, the second, if there is one, their types. */
static thaw_value embed(thaw_graph *g, const thaw_model_spec *spec, thaw_value input,
                        thaw_value ids, int64_t D)
{
    const thaw_value types = spec->segments ? thaw_graph_select_token(g, input, 1) : ids;
    thaw_value x = table(g, "word_embeddings", ids, spec->vocabulary, D, 0, THAW_EMBED_IDS);
    x = thaw_graph_add(
        g, x, table(g, "position_embeddings", ids, POSITIONS, D, -1, THAW_EMBED_POSITIONS), 1);
    x = thaw_graph_add(g, x,
                       table(g, "token_type_embeddings", types, SEGMENTS, D, -1,
                             spec->segments ? THAW_EMBED_IDS : THAW_EMBED_FIRST),
                       1);
    return norm(g, "embeddings", "LayerNorm", x);
}

/* Keys and values are of all tokens. `last`: only the first token's result is wanted, so only that one asks and goes through
 * the feed-forward part; every row's arithmetic is its own, so this gives what computing all rows would. */
static thaw_value layer(thaw_graph *g, const char *name, thaw_value x, thaw_value ids, int64_t D,
                        int64_t heads, bool last)
{
    thaw_attention_attr attr = {.heads = heads, .pad_id = 0};
    thaw_value k = linear(g, name, "attention.self.key", x, D);
    thaw_value v = linear(g, name, "attention.self.value", x, D);
    if (last)
        x = thaw_graph_select_token(g, x, 0);
    thaw_value q = linear(g, name, "attention.self.query", x, D);
    thaw_value y = thaw_graph_attention(g, q, k, v, ids, &attr);
    y = linear(g, name, "attention.output.dense", y, D);
    x = norm(g, name, "attention.output.LayerNorm", thaw_graph_add(g, y, x, 1));
    y = thaw_graph_gelu(g, linear(g, name, "intermediate.dense", x, 4 * D), false);
    y = linear(g, name, "output.dense", y, D);
    return norm(g, name, "output.LayerNorm", thaw_graph_add(g, y, x, 1));
}

/* BERT's own initial values: weights of std 0.02, biases 0. */
static void set_initial(thaw_graph *g)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        if (p->role == THAW_ROLE_WEIGHT)
            p->init = THAW_INIT_NORMAL;
        else if (p->role == THAW_ROLE_BIAS)
            p->init = THAW_INIT_ZERO;
    }
}

static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    size_t kind = 0;
    while (strcmp(arches[kind].name, model->spec.arch) != 0)
        kind++;
    int64_t D = arches[kind].width;
    model->blocks = arches[kind].blocks;
    const bool mean = model->spec.pool == THAW_POOL_MEAN;
    const thaw_value ids = model->spec.segments ? thaw_graph_select_token(g, input, 0) : input;
    thaw_value x = embed(g, &model->spec, input, ids, D);
    for (int32_t i = 0; i < model->blocks; i++) {
        char name[NAME];
        bool fits = thaw_format(name, sizeof name, "encoder.layer.%d", i);
        THAW_ASSERT(fits);
        thaw_graph_set_block(g, i + 1, name);
        x = layer(g, name, x, ids, D, arches[kind].heads, !mean && i + 1 == model->blocks);
    }
    if (mean)
        x = thaw_graph_mean_token(g, x, ids, 0);
    else if (model->spec.pool == THAW_POOL_POOLER)
        x = thaw_graph_tanh(g, linear(g, "pooler", "dense", x, D));
    set_initial(g);
    return x;
}

const model_family model_family_bert = {.name = "bert",
                                        .arches = arches,
                                        .count = sizeof arches / sizeof *arches,
                                        .one_width = true,
                                        .most_tokens = POSITIONS,
                                        .vocabulary = VOCABULARY,
                                        .build = build};
