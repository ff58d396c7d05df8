#include "adapt/adapt_impl.h"

/* Li and Liang 2021, arXiv:2101.00190, without the network that makes the prefix while it is trained, as Hugging Face PEFT has it:
 * each layer's attention sees learned keys and values in front of those of the tokens. They ask nothing and are pooled nowhere; in
 * a text they take the first places, as tokens before it would. Source: get_prompt of PeftModel; for the places,
 * BertEmbeddings and RobertaEmbeddings of transformers, which go on behind the keys that are there. */

static bool is_attention(const thaw_node *node)
{
    return adapt_is(node, "attention") && !node->attr.attention.joined;
}

static thaw_status check(const thaw_model *model, int64_t P)
{
    const thaw_graph *g = model->graph;
    bool joined = false;
    bool apart = false;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        apart = apart || is_attention(node);
        joined = joined || (adapt_is(node, "attention") && !is_attention(node));
    }
    THAW_CHECK(
        !joined, THAW_ERR_CONFIG,
        "peft.method prefix needs keys and values of their own, which are one layer with the "
        "queries in %s; take the network under Hugging Face's names (hf_%s)",
        model->spec.arch, model->spec.arch);
    THAW_CHECK(apart, THAW_ERR_CONFIG,
               "peft.method prefix puts keys and values in front of those of attention, which %s "
               "has not; choose another method",
               model->spec.arch);
    const int64_t most = adapt_most_tokens(g);
    THAW_CHECK(model->spec.T <= most - P, THAW_ERR_CONFIG,
               "%lld virtual tokens and %lld of a text are more than the %lld places of %s; lower "
               "peft.virtual_tokens, or import the texts with fewer tokens",
               (long long)P, (long long)model->spec.T, (long long)most, model->spec.arch);
    return THAW_OK;
}

/* In front of input 1 or 2 of an attention, under the name of the layer that makes it. */
static void insert(thaw_graph *g, thaw_node *attention, int input, int64_t rows)
{
    char name[160];
    const thaw_node *layer = adapt_producer(g, attention->inputs[input]);
    bool fits = thaw_format(name, sizeof name, "%s.prefix", layer->name);
    THAW_ASSERT(fits);
    const thaw_value longer = thaw_graph_prompt(g, name, attention->inputs[input], rows);
    if (longer >= 0)
        attention->inputs[input] = longer;
}

/* The tokens that say what is padding: those of the prefix are none. */
static void lengthen_ids(thaw_graph *g, thaw_node *attention, int64_t rows, thaw_value *longer)
{
    if (attention->input_count < 4)
        return;
    if (*longer < 0)
        *longer = thaw_graph_prompt_ids(g, attention->inputs[3], rows,
                                        attention->attr.attention.pad_id + 1);
    if (*longer >= 0)
        attention->inputs[3] = *longer;
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    thaw_graph *g = model->graph;
    const int64_t P = peft->virtual_tokens;
    const int32_t params = thaw_graph_param_count(g);
    const int32_t count = thaw_graph_node_count(g);
    thaw_value longer = -1;
    THAW_TRY(check(model, P));
    for (int32_t n = 0; n < count; n++) {
        thaw_node *node = thaw_graph_node(g, n);
        if (adapt_has_places(node))
            node->attr.embedding.skip = P;
        if (!is_attention(node))
            continue;
        adapt_enter_block(g, node);
        insert(g, node, 1, P);
        insert(g, node, 2, P);
        lengthen_ids(g, node, P, &longer);
    }
    THAW_TRY(thaw_graph_built(g));
    adapt_mark_new(g, params);
    return thaw_graph_reshape(g);
}

static void describe(const thaw_model *model, thaw_str *out)
{
    thaw_str_printf(out, "prefix of %d layers",
                    adapt_count_suffix(model, ".prefix.embedding.weight") / 2);
}

const adapt_method adapt_kind_prefix = {.name = "prefix",
                                        .takes = is_attention,
                                        .goes_to = "attention with keys and values of its own",
                                        .attach = attach,
                                        .trains = adapt_trains_adapter,
                                        .merge = adapt_refuse_merge,
                                        .describe = describe};
