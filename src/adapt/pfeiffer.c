#include "adapt/adapt_impl.h"

/* Pfeiffer et al. 2020, arXiv:2005.00247: one bottleneck with relu after the feed-forward part of each layer; in networks without
 * such layers, one after each block. */
static bool wanted(const thaw_node *node)
{
    return (thaw_match("*.output.dense", node->name) &&
            !thaw_match("*.attention.output.dense", node->name)) ||
           thaw_match("*.mlp.fc2", node->name) || thaw_match("*.ffn.lin2", node->name);
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    const int32_t modules = adapt_insert_after_modules(model, peft, wanted, thaw_graph_relu);
    if (modules == 0 && peft->targets.count == 0)
        adapt_insert_after_blocks(model, peft, thaw_graph_relu);
    return THAW_OK;
}

const adapt_method adapt_kind_pfeiffer = {.name = "pfeiffer",
                                          .takes = adapt_takes_bottleneck,
                                          .goes_to = "linear layers and convolutions",
                                          .attach = attach,
                                          .trains = adapt_trains_adapter,
                                          .merge = adapt_refuse_merge,
                                          .describe = adapt_describe_bottlenecks};
