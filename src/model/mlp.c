#include "model/model_impl.h"

/* Block 0 only flattens; every hidden layer is a block of its own. */
static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    const thaw_ints *hidden = &model->spec.hidden;
    thaw_graph_set_block(g, 0, "stem");
    thaw_value x = thaw_graph_flatten(g, input);
    for (int64_t i = 0; i < hidden->count; i++) {
        char name[32];
        bool fits = thaw_format(name, sizeof name, "layers.%lld", (long long)i);
        THAW_ASSERT(fits);
        thaw_graph_set_block(g, (int32_t)i + 1, name);
        x = thaw_graph_relu(g, thaw_graph_linear(g, name, x, hidden->items[i], true));
    }
    model->blocks = (int32_t)hidden->count;
    return x;
}

static const thaw_model_arch arches[] = {
    {.name = "mlp",
     .family = "mlp",
     .doc = "hidden linear layers with relu (sizes: hidden)",
     .blocks = 2,
     .C = 1,
     .H = 28,
     .W = 28,
     .K = 10},
};

const model_family model_family_mlp = {.name = "mlp", .arches = arches, .count = 1, .build = build};
