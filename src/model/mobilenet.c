#include "model/model_impl.h"

/* MobileNetV2: Sandler et al. 2018, arXiv:1801.04381, table 2, with torchvision's names. torchvision's "classifier.1" is the
 * head "fc" here; its dropout is head_dropout. */
#define STEM     32
#define FEATURES 1280

static const thaw_model_arch arches[] = {
    {.name = "mobilenet_v2",
     .family = "mobilenet",
     .doc = "torchvision's MobileNetV2: depthwise convolutions and relu6",
     .width = STEM,
     .blocks = 17,
     .C = 3,
     .H = 224,
     .W = 224,
     .K = 1000,
     .norm = &model_imagenet_norm},
};

static const struct stage {
    int64_t expand, channels;
    int count;
    int64_t stride;
} stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
              {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
enum { STAGES = sizeof stages / sizeof stages[0] };

static thaw_value block_of(thaw_graph *g, const char *name, thaw_value x, const struct stage *s,
                           int64_t stride)
{
    int64_t in = x >= 0 ? thaw_graph_value_shape(g, x).dim[0] : 1;
    const bool wide = s->expand != 1;
    thaw_value y = x;
    if (wide) {
        y = model_conv(g, name, "conv.0.0", y, s->expand * in, 1, 1);
        y = thaw_graph_relu6(g, model_norm(g, name, "conv.0.1", y));
    }
    y = model_depthwise(g, name, wide ? "conv.1.0" : "conv.0.0", y, 3, stride);
    y = thaw_graph_relu6(g, model_norm(g, name, wide ? "conv.1.1" : "conv.0.1", y));
    y = model_conv(g, name, wide ? "conv.2" : "conv.1", y, s->channels, 1, 1);
    y = model_norm(g, name, wide ? "conv.3" : "conv.2", y);
    return stride == 1 && in == s->channels ? thaw_graph_add(g, y, x, 1) : y;
}

static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    thaw_value x = model_conv(g, "features", "0.0", input, STEM, 3, 2);
    x = thaw_graph_relu6(g, model_norm(g, "features", "0.1", x));
    int32_t block = 0;
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < stages[stage].count; i++) {
            char name[32];
            bool fits = thaw_format(name, sizeof name, "features.%d", ++block);
            THAW_ASSERT(fits);
            thaw_graph_set_block(g, block, name);
            x = block_of(g, name, x, &stages[stage], i == 0 ? stages[stage].stride : 1);
        }
    model->blocks = block;
    x = model_conv(g, "features", "18.0", x, FEATURES, 1, 1);
    x = thaw_graph_relu6(g, model_norm(g, "features", "18.1", x));
    return thaw_graph_global_avg_pool(g, x);
}

const model_family model_family_mobilenet = {
    .name = "mobilenet", .arches = arches, .count = 1, .one_width = true, .build = build};
