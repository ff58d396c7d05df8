#include "adapt/adapt_impl.h"

#include "thaw/kern.h"

#include <string.h>

/* Liu et al. 2022, arXiv:2205.05638: keys, values and the input of the feed-forward part's last layer get factors. Where a network
 * has no such names, every linear layer's and plain convolution's output does. Where query, key and value are one layer, all
 * three do; factors of queries and of keys come to the same. */
#define SUFFIX ".ia3_l"

static const char *const defaults[] = {"*.key",     "*.value", "*.attn.qkv", "*.output.dense",
                                       "*.mlp.fc2", "*.k_lin", "*.v_lin",    "*.ffn.lin2"};
#define DEFAULTS (sizeof defaults / sizeof *defaults)
static const char *const feedforward[] = {"*.output.dense", "*.mlp.fc2", "*.ffn.lin2"};

static bool takes(const thaw_node *node)
{
    return (adapt_is(node, "linear") && node->attr.linear.gelu == 0) || adapt_is_plain_conv(node);
}

static bool has_defaults(const thaw_graph *g)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (adapt_is_module(g, node) && takes(node) &&
            adapt_any_matches(defaults, DEFAULTS, node->name))
            return true;
    }
    return false;
}

static bool is_feedforward(const thaw_peft *peft, const thaw_node *node)
{
    return peft->feedforward.count > 0
               ? adapt_named(&peft->feedforward, node)
               : adapt_any_matches(feedforward, sizeof feedforward / sizeof *feedforward,
                                   node->name);
}

static void attach_one(thaw_graph *g, thaw_node *node, const thaw_peft *peft)
{
    int32_t added = thaw_graph_node_count(g);
    adapt_enter_block(g, node);
    if (is_feedforward(peft, node)) {
        thaw_value x = thaw_graph_scale_shift(g, node->name, node->inputs[0], THAW_SCALE_INPUT);
        node->inputs[0] = x >= 0 ? x : node->inputs[0];
        return;
    }
    thaw_value y = thaw_graph_scale_shift(g, node->name, node->output, THAW_SCALE_OUTPUT);
    if (y >= 0)
        thaw_graph_replace_uses(g, node->output, y, added);
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    thaw_graph *g = model->graph;
    int32_t params = thaw_graph_param_count(g);
    int32_t count = thaw_graph_node_count(g);
    const bool known = has_defaults(g);
    THAW_TRY(adapt_check_targets(model, "peft.feedforward", &peft->feedforward, &adapt_kind_ia3));
    for (int32_t n = 0; n < count; n++) {
        thaw_node *node = thaw_graph_node(g, n);
        if (!adapt_is_module(g, node) || !takes(node))
            continue;
        const bool wanted = peft->targets.count > 0
                                ? adapt_named(&peft->targets, node)
                                : !known || adapt_any_matches(defaults, DEFAULTS, node->name);
        THAW_CHECK(wanted || !adapt_named(&peft->feedforward, node), THAW_ERR_CONFIG,
                   "peft.feedforward names \"%s\", which is not among the modules that ia3 goes "
                   "to; name it in peft.targets too, or leave it out",
                   node->name);
        if (wanted)
            attach_one(g, node, peft);
    }
    adapt_mark_new(g, params);
    return THAW_OK;
}

/* W (O, I) times factors of its I / each inputs, each with `each` weights in a row. */
static void fold_input(thaw_param *w, const thaw_param *l)
{
    int64_t C = thaw_shape_count(&l->shape);
    int64_t count = thaw_shape_count(&w->shape);
    int64_t each = count / w->shape.dim[0] / C;
    for (int64_t i = 0; i < count / each; i++)
        thaw_kern_scale(each, l->data[i % C], w->data + i * each);
}

static thaw_status merge_one(thaw_graph *g, const thaw_node *scale)
{
    thaw_param *l = thaw_graph_param(g, scale->params[0]);
    if (scale->attr.scale_shift.form == THAW_SCALE_OUTPUT) {
        THAW_TRY(adapt_fold_output(g, adapt_producer(g, scale->inputs[0]), l->data, NULL));
    } else {
        thaw_param *w = adapt_param_of(g, scale, ".weight");
        THAW_TRY(adapt_own(g, w));
        fold_input(w, l);
    }
    thaw_kern_fill(thaw_shape_count(&l->shape), 1, l->data);
    return THAW_OK;
}

static thaw_status merge(thaw_model *model)
{
    thaw_graph *g = model->graph;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (adapt_is(node, "scale_shift"))
            THAW_TRY(merge_one(g, node));
    }
    return THAW_OK;
}

static void describe(const thaw_model *model, thaw_str *out)
{
    thaw_str_printf(out, "ia3 in %d modules", adapt_count_suffix(model, SUFFIX));
}

const adapt_method adapt_kind_ia3 = {
    .name = "ia3",
    .takes = takes,
    .goes_to = "linear layers, and convolutions without groups and dilation",
    .attach = attach,
    .trains = adapt_trains_adapter,
    .merge = merge,
    .describe = describe};
