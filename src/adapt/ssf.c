#include "adapt/adapt_impl.h"

#include "thaw/kern.h"

/* Lian et al. 2022, arXiv:2210.08823: a factor and a summand for each channel or feature that a module gives. A convolution
 * without bias has nowhere to take the summand when it is merged; the norm after it has. */
static bool takes(const thaw_node *node)
{
    if (adapt_is(node, "linear"))
        return node->attr.linear.bias && node->attr.linear.gelu == 0;
    if (adapt_is(node, "conv2d"))
        return node->attr.conv2d.bias;
    return adapt_is(node, "batch_norm") || adapt_is(node, "layer_norm");
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    thaw_graph *g = model->graph;
    int32_t params = thaw_graph_param_count(g);
    int32_t count = thaw_graph_node_count(g);
    for (int32_t n = 0; n < count; n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (!adapt_is_module(g, node) || !takes(node) ||
            (peft->targets.count > 0 && !adapt_named(&peft->targets, node)))
            continue;
        int32_t added = thaw_graph_node_count(g);
        adapt_enter_block(g, node);
        thaw_value y = thaw_graph_scale_shift(g, node->name, node->output, THAW_SCALE_AND_SHIFT);
        if (y >= 0)
            thaw_graph_replace_uses(g, node->output, y, added);
    }
    adapt_mark_new(g, params);
    return THAW_OK;
}

static thaw_status merge(thaw_model *model)
{
    thaw_graph *g = model->graph;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (!adapt_is(node, "scale_shift"))
            continue;
        thaw_param *scale = thaw_graph_param(g, node->params[0]);
        thaw_param *shift = thaw_graph_param(g, node->params[1]);
        int64_t C = thaw_shape_count(&scale->shape);
        THAW_TRY(
            adapt_fold_output(g, adapt_producer(g, node->inputs[0]), scale->data, shift->data));
        thaw_kern_fill(C, 1, scale->data);
        thaw_kern_fill(C, 0, shift->data);
    }
    return THAW_OK;
}

static void describe(const thaw_model *model, thaw_str *out)
{
    thaw_str_printf(out, "ssf after %d modules", adapt_count_suffix(model, ".ssf_scale"));
}

const adapt_method adapt_kind_ssf = {.name = "ssf",
                                     .takes = takes,
                                     .goes_to =
                                         "norms, and linear layers and convolutions with a bias, "
                                         "which takes the summand",
                                     .attach = attach,
                                     .trains = adapt_trains_adapter,
                                     .merge = merge,
                                     .describe = describe};
