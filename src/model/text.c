#include "model/text_impl.h"

#include <string.h>

#define NAME 96

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

static thaw_value norm(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                       float epsilon)
{
    char full[NAME];
    join(full, prefix, name);
    return thaw_graph_layer_norm(g, full, x, epsilon);
}

/* The first row of a sample is its tokens, the second, if there is one, their types, which only a table of two types tells apart. */
static thaw_value embed(thaw_graph *g, const thaw_model_spec *spec, const model_text *text,
                        thaw_value input, thaw_value ids, int64_t D)
{
    const bool typed = spec->segments && text->types > 1;
    const int64_t rows = spec->places + (text->counted ? text->pad_id + 1 : 0);
    thaw_value x =
        table(g, "word_embeddings", ids, spec->vocabulary, D, text->pad_id, THAW_EMBED_IDS);
    x = thaw_graph_add(g, x,
                       table(g, "position_embeddings", ids, rows, D,
                             text->counted ? text->pad_id : -1,
                             text->counted ? THAW_EMBED_COUNTED : THAW_EMBED_POSITIONS),
                       1);
    if (text->types > 0)
        x = thaw_graph_add(g, x,
                           table(g, "token_type_embeddings",
                                 typed ? thaw_graph_select_token(g, input, 1) : ids, text->types, D,
                                 -1, typed ? THAW_EMBED_IDS : THAW_EMBED_FIRST),
                           1);
    return norm(g, "embeddings", "LayerNorm", x, text->epsilon);
}

/* Keys and values are of all tokens. `last`: only the first token's result is wanted, so only that one asks and goes through
 * the feed-forward part; every row's arithmetic is its own, so this gives what computing all rows would. */
static thaw_value layer(thaw_graph *g, const model_text *text, const char *name, thaw_value x,
                        thaw_value ids, int64_t D, int64_t heads, bool last)
{
    thaw_attention_attr attr = {.heads = heads, .pad_id = text->pad_id};
    thaw_value k = linear(g, name, text->key, x, D);
    thaw_value v = linear(g, name, text->value, x, D);
    if (last)
        x = thaw_graph_select_token(g, x, 0);
    thaw_value q = linear(g, name, text->query, x, D);
    thaw_value y = thaw_graph_attention(g, q, k, v, ids, &attr);
    y = linear(g, name, text->out, y, D);
    x = norm(g, name, text->attention_norm, thaw_graph_add(g, y, x, 1), text->epsilon);
    y = thaw_graph_gelu(g, linear(g, name, text->up, x, 4 * D), false);
    y = linear(g, name, text->down, y, D);
    return norm(g, name, text->norm, thaw_graph_add(g, y, x, 1), text->epsilon);
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

static thaw_value pooler(thaw_graph *g, const model_text *text, thaw_value x, int64_t D)
{
    x = thaw_graph_linear(g, text->pooler, x, D, true);
    return text->pooler_relu ? thaw_graph_relu(g, x) : thaw_graph_tanh(g, x);
}

thaw_value model_text_build(thaw_model *model, thaw_value input, const model_text *text,
                            const thaw_model_arch *arches)
{
    thaw_graph *g = model->graph;
    const thaw_model_arch *arch = arches;
    while (strcmp(arch->name, model->spec.arch) != 0)
        arch++;
    const int64_t D = arch->width;
    const bool mean = model->spec.pool == THAW_POOL_MEAN;
    const thaw_value ids = model->spec.segments ? thaw_graph_select_token(g, input, 0) : input;
    model->blocks = arch->blocks;
    thaw_value x = embed(g, &model->spec, text, input, ids, D);
    for (int32_t i = 0; i < model->blocks; i++) {
        char name[NAME];
        bool fits = thaw_format(name, sizeof name, "%s.%d", text->blocks, i);
        THAW_ASSERT(fits);
        thaw_graph_set_block(g, i + 1, name);
        x = layer(g, text, name, x, ids, D, arch->heads, !mean && i + 1 == model->blocks);
    }
    if (mean)
        x = thaw_graph_mean_token(g, x, ids, text->pad_id);
    else if (model->spec.pool == THAW_POOL_POOLER)
        x = pooler(g, text, x, D);
    set_initial(g);
    return x;
}
