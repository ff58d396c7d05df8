#include "adapt/adapt_impl.h"

#include <string.h>

/* Lester et al. 2021, arXiv:2104.08691, as Hugging Face PEFT has it on a BERT: the prompt's vectors stand in front of the words'
 * and go with them through places, token types (of the first kind) and norm; attention sees them, and pooling does not know
 * them from words: the first token's features are the first vector's, the mean is over both. Source: forward of
 * PeftModelForSequenceClassification; for the mean, Transformer.forward of Sentence Transformers. */

static bool is_words(const thaw_node *node)
{
    return adapt_is(node, "embedding") && thaw_ends_with(node->name, ".word_embeddings");
}

static int32_t find_words(const thaw_graph *g)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        if (is_words(thaw_graph_node(g, n)))
            return n;
    }
    return -1;
}

/* What reads the list of tokens (or of their types) reads the longer one. */
static void lengthen(thaw_graph *g, thaw_value ids, int64_t rows, int64_t id, int32_t except)
{
    const int32_t added = thaw_graph_node_count(g);
    const thaw_value longer = thaw_graph_prompt_ids(g, ids, rows, id);
    if (longer < 0)
        return;
    thaw_graph_redirect_uses(g, ids, longer, except);
    thaw_graph_node(g, added)->inputs[0] = ids;
}

/* The list of token types where there are two; the words' own list where all are of one. */
static thaw_value types_of(const thaw_graph *g, thaw_value ids)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (adapt_is(node, "embedding") && thaw_ends_with(node->name, ".token_type_embeddings"))
            return node->inputs[0];
    }
    return ids;
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    thaw_graph *g = model->graph;
    const int64_t P = peft->virtual_tokens;
    const int32_t words = find_words(g);
    const int32_t params = thaw_graph_param_count(g);
    THAW_CHECK(words >= 0, THAW_ERR_CONFIG,
               "peft.method prompt puts vectors in front of a text's words, which %s does not "
               "read; choose another method",
               model->spec.arch);
    THAW_CHECK(model->spec.T <= adapt_most_tokens(g) - P, THAW_ERR_CONFIG,
               "%lld virtual tokens and %lld of a text are more than the %lld places of %s; lower "
               "peft.virtual_tokens, or import the texts with fewer tokens",
               (long long)P, (long long)model->spec.T, (long long)adapt_most_tokens(g),
               model->spec.arch);
    const thaw_node *node = thaw_graph_node(g, words);
    const thaw_value ids = node->inputs[0];
    const thaw_value types = types_of(g, ids);
    const thaw_value rows = node->output;
    adapt_enter_block(g, node);
    const int32_t added = thaw_graph_node_count(g);
    const thaw_value x = thaw_graph_prompt(g, "prompt_encoder", rows, P);
    if (x >= 0)
        thaw_graph_redirect_uses(g, rows, x, added);
    lengthen(g, ids, P, thaw_graph_node(g, words)->attr.embedding.pad_id + 1, words);
    if (types != ids)
        lengthen(g, types, P, 0, -1);
    adapt_mark_new(g, params);
    return thaw_graph_reshape(g);
}

static void describe(const thaw_model *model, thaw_str *out)
{
    const int32_t i = thaw_graph_find_param(model->graph, "prompt_encoder.embedding.weight");
    thaw_str_printf(out, "prompt of %lld tokens",
                    (long long)thaw_graph_param(model->graph, i)->shape.dim[0]);
}

const adapt_method adapt_kind_prompt = {.name = "prompt",
                                        .takes = is_words,
                                        .goes_to = "the words of a text",
                                        .attach = attach,
                                        .trains = adapt_trains_adapter,
                                        .merge = adapt_refuse_merge,
                                        .describe = describe};
