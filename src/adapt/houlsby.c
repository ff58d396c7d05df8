#include "adapt/adapt_impl.h"

/* Houlsby et al. 2019, arXiv:1902.00751: a bottleneck with gelu after the attention and one after the feed-forward part of each layer
 * of a transformer, before the sums. */
static bool wanted(const thaw_node *node)
{
    return thaw_match("*.output.dense", node->name) || thaw_match("*.attn.proj", node->name) ||
           thaw_match("*.mlp.fc2", node->name) || thaw_match("*.attention.out_lin", node->name) ||
           thaw_match("*.ffn.lin2", node->name);
}

static thaw_value act(thaw_graph *g, thaw_value x)
{
    return thaw_graph_gelu(g, x, false);
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    const int32_t modules = adapt_insert_after_modules(model, peft, wanted, act);
    THAW_CHECK(
        modules > 0 || peft->targets.count > 0, THAW_ERR_CONFIG,
        "peft.method houlsby goes to the attention and feed-forward layers of a transformer, "
        "which %s does not have; pfeiffer puts a bottleneck after each block, or name "
        "modules in peft.targets",
        model->spec.arch);
    return THAW_OK;
}

const adapt_method adapt_kind_houlsby = {.name = "houlsby",
                                         .takes = adapt_takes_bottleneck,
                                         .goes_to = "linear layers and convolutions",
                                         .attach = attach,
                                         .trains = adapt_trains_adapter,
                                         .merge = adapt_refuse_merge,
                                         .describe = adapt_describe_bottlenecks};
