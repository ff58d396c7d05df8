/* Bottlenecks: x + up(act(down x)) with `up` zero at the start, after a layer of a transformer or a block of another network. */
#include "adapt/adapt_impl.h"

#include <string.h>

static int64_t features_of(const thaw_shape *shape)
{
    return shape->ndim == 3 ? shape->dim[0] : shape->dim[shape->ndim - 1];
}

static thaw_value project(thaw_graph *g, const char *module, const char *part, thaw_value x,
                          int64_t features)
{
    char name[256];
    bool fits = thaw_format(name, sizeof name, "%s.%s", module, part);
    THAW_ASSERT(fits);
    if (x < 0 || thaw_graph_value_shape(g, x).ndim != 3)
        return thaw_graph_linear(g, name, x, features, true);
    thaw_conv2d_attr attr = {.out_channels = features,
                             .kernel_h = 1,
                             .kernel_w = 1,
                             .stride_h = 1,
                             .stride_w = 1,
                             .dilation_h = 1,
                             .dilation_w = 1,
                             .groups = 1,
                             .bias = true,
                             .init = THAW_INIT_KAIMING_UNIFORM};
    return thaw_graph_conv2d(g, name, x, &attr);
}

/* Down as PyTorch's linear with a bias of zero, up all zero. */
static void set_start(thaw_graph *g, int32_t first)
{
    for (int32_t i = first; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        p->adapter = true;
        p->init = thaw_ends_with(p->name, ".adapter_down.weight") ? THAW_INIT_KAIMING_UNIFORM
                                                                  : THAW_INIT_ZERO;
    }
}

static void insert(thaw_graph *g, const thaw_node *node, const char *module, const thaw_peft *peft,
                   adapt_act *act)
{
    const thaw_value v = node->output;
    const thaw_shape shape = thaw_graph_value_shape(g, v);
    const int64_t D = features_of(&shape);
    const int64_t least = D / 16 < 4 ? 4 : D / 16;
    const int32_t first_node = thaw_graph_node_count(g);
    const int32_t first_param = thaw_graph_param_count(g);
    adapt_enter_block(g, node);
    thaw_value x =
        project(g, module, "adapter_down", v, peft->bottleneck > 0 ? peft->bottleneck : least);
    x = project(g, module, "adapter_up", act(g, x), D);
    thaw_value sum = thaw_graph_add(g, v, x, 1);
    if (sum < 0)
        return;
    thaw_graph_replace_uses(g, v, sum, thaw_graph_node_count(g) - 1);
    thaw_graph_node(g, first_node)->inputs[0] = v;
    set_start(g, first_param);
}

/* The last node of a block that gives an image, or of a network without images the last at all. */
static const thaw_node *end_of_block(const thaw_graph *g, int32_t block, int32_t count)
{
    const thaw_node *end = NULL;
    bool image = false;
    for (int32_t n = 0; n < count; n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        bool is_image = thaw_graph_value_shape(g, node->output).ndim == 3;
        if (node->block != block || (image && !is_image))
            continue;
        end = node;
        image = is_image;
    }
    return end;
}

bool adapt_takes_bottleneck(const thaw_node *node)
{
    return (adapt_is(node, "linear") && node->attr.linear.gelu == 0) || adapt_is(node, "conv2d");
}

int32_t adapt_insert_after_modules(thaw_model *model, const thaw_peft *peft,
                                   bool (*wanted)(const thaw_node *node), adapt_act *act)
{
    thaw_graph *g = model->graph;
    const int32_t count = thaw_graph_node_count(g);
    int32_t modules = 0;
    for (int32_t n = 0; n < count; n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (!adapt_is_module(g, node) || !adapt_takes_bottleneck(node) ||
            !(peft->targets.count > 0 ? adapt_named(&peft->targets, node) : wanted(node)))
            continue;
        insert(g, node, node->name, peft, act);
        modules++;
    }
    return modules;
}

void adapt_insert_after_blocks(thaw_model *model, const thaw_peft *peft, adapt_act *act)
{
    thaw_graph *g = model->graph;
    const int32_t count = thaw_graph_node_count(g);
    for (int32_t block = 1; block <= model->blocks; block++) {
        const thaw_node *end = end_of_block(g, block, count);
        char name[128];
        bool fits = thaw_copy(name, sizeof name, thaw_graph_block_name(g, block));
        THAW_ASSERT(fits);
        if (end)
            insert(g, end, name, peft, act);
    }
}

thaw_status adapt_refuse_merge(thaw_model *model)
{
    return THAW_FAIL(THAW_ERR_CONFIG,
                     "%s cannot be merged: what it adds is no weight of the backbone; export or "
                     "evaluate the adapted network as it is",
                     model->adapter);
}

void adapt_describe_bottlenecks(const thaw_model *model, thaw_str *out)
{
    thaw_str_printf(out, "%s with %d bottlenecks", model->adapter,
                    adapt_count_suffix(model, ".adapter_up.weight"));
}
