#include "model/model_impl.h"

#include <string.h>

/* He et al. 2015, arXiv:1512.03385, table 1, in torchvision's form: names, and the stride of a bottleneck on its 3x3
 * convolution. Wide ones (Zagoruyko & Komodakis 2016, arXiv:1605.07146, as torchvision has them) double the channels inside bottlenecks. */
#define STAGES    4
#define EXPANSION 4

#define ARCH(title, count, words)                                                                  \
    {                                                                                              \
        .name = (title), .family = "resnet", .doc = "torchvision's " words, .width = 64,           \
        .blocks = (count), .C = 3, .H = 224, .W = 224, .K = 1000, .norm = &model_imagenet_norm     \
    }
static const thaw_model_arch arches[] = {
    ARCH("resnet18", 8, "residual network, 18 layers"),
    ARCH("resnet34", 16, "residual network, 34 layers"),
    ARCH("resnet50", 16, "residual network, 50 layers"),
    ARCH("resnet101", 33, "residual network, 101 layers"),
    ARCH("resnet152", 50, "residual network, 152 layers"),
    ARCH("wide_resnet50_2", 16, "wide residual network, 50 layers, bottlenecks twice as wide"),
    ARCH("wide_resnet101_2", 33, "wide residual network, 101 layers, bottlenecks twice as wide"),
};

/* Same order as arches. inside: channels in a block's middle, in units of the stage's; 0: no bottleneck. */
static const struct {
    int32_t blocks[STAGES];
    int inside;
} shapes[] = {{{2, 2, 2, 2}, 0},  {{3, 4, 6, 3}, 0}, {{3, 4, 6, 3}, 1}, {{3, 4, 23, 3}, 1},
              {{3, 8, 36, 3}, 1}, {{3, 4, 6, 3}, 2}, {{3, 4, 23, 3}, 2}};

static thaw_value residual_block(thaw_graph *g, const char *name, thaw_value x, int64_t channels,
                                 int64_t stride, int inside)
{
    int64_t out = inside > 0 ? channels * EXPANSION : channels;
    thaw_value y;
    if (inside > 0) {
        y = thaw_graph_relu(g, model_conv_norm(g, name, 1, x, inside * channels, 1, 1));
        y = thaw_graph_relu(g, model_conv_norm(g, name, 2, y, inside * channels, 3, stride));
        y = model_conv_norm(g, name, 3, y, out, 1, 1);
    } else {
        y = thaw_graph_relu(g, model_conv_norm(g, name, 1, x, channels, 3, stride));
        y = model_conv_norm(g, name, 2, y, out, 3, 1);
    }
    if (stride != 1 || (x >= 0 && thaw_graph_value_shape(g, x).dim[0] != out)) {
        x = model_conv(g, name, "downsample.0", x, out, 1, stride);
        x = model_norm(g, name, "downsample.1", x);
    }
    return thaw_graph_relu(g, thaw_graph_add(g, y, x, 1));
}

static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    int64_t width = model->spec.width;
    size_t kind = 0;
    while (strcmp(arches[kind].name, model->spec.arch) != 0)
        kind++;
    model->blocks = arches[kind].blocks;
    thaw_graph_set_block(g, 0, "stem");
    thaw_value x = thaw_graph_relu(g, model_conv_norm(g, "", 1, input, width, 7, 2));
    x = thaw_graph_max_pool(g, x, 3, 2, 1);
    int32_t block = 0;
    for (int stage = 0; stage < STAGES; stage++) {
        for (int32_t i = 0; i < shapes[kind].blocks[stage]; i++) {
            char name[32];
            bool fits = thaw_format(name, sizeof name, "layer%d.%d", stage + 1, i);
            THAW_ASSERT(fits);
            thaw_graph_set_block(g, ++block, name);
            x = residual_block(g, name, x, width << stage, stage > 0 && i == 0 ? 2 : 1,
                               shapes[kind].inside);
        }
    }
    return thaw_graph_global_avg_pool(g, x);
}

const model_family model_family_resnet = {
    .name = "resnet", .arches = arches, .count = sizeof arches / sizeof *arches, .build = build};
