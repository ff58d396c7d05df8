#include "model/model_impl.h"

#include <string.h>

/* He et al. 2015, arXiv:1512.03385, table 1, in torchvision's form: names, and the stride of a bottleneck on its 3x3
 * convolution. */
#define STAGES    4
#define EXPANSION 4

#define ARCH(depth, count)                                                                         \
    {                                                                                              \
        .name = "resnet" #depth, .family = "resnet",                                               \
        .doc = "torchvision's residual network, " #depth " layers", .width = 64,                   \
        .blocks = (count), .C = 3, .H = 224, .W = 224, .K = 1000, .norm = &model_imagenet_norm     \
    }
static const thaw_model_arch arches[] = {ARCH(18, 8), ARCH(34, 16), ARCH(50, 16)};

/* Same order as arches. */
static const struct {
    int32_t blocks[STAGES];
    bool bottleneck;
} shapes[] = {{{2, 2, 2, 2}, false}, {{3, 4, 6, 3}, false}, {{3, 4, 6, 3}, true}};

static thaw_value residual_block(thaw_graph *g, const char *name, thaw_value x, int64_t channels,
                                 int64_t stride, bool bottleneck)
{
    int64_t out = bottleneck ? channels * EXPANSION : channels;
    thaw_value y;
    if (bottleneck) {
        y = thaw_graph_relu(g, model_conv_norm(g, name, 1, x, channels, 1, 1));
        y = thaw_graph_relu(g, model_conv_norm(g, name, 2, y, channels, 3, stride));
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
                               shapes[kind].bottleneck);
        }
    }
    return thaw_graph_global_avg_pool(g, x);
}

const model_family model_family_resnet = {
    .name = "resnet", .arches = arches, .count = sizeof arches / sizeof *arches, .build = build};
