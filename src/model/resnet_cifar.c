#include "model/model_impl.h"

#include <string.h>

/* He et al. 2015, arXiv:1512.03385, section 4.2: three stages of n basic blocks, depth 6n + 2, shortcuts without parameters
 * (option A). */
#define STAGES 3
#define ARCH(depth, n)                                                                             \
    {                                                                                              \
        .name = "resnet" #depth, .family = "resnet_cifar",                                         \
        .doc = "CIFAR-style residual network, " #depth " layers, for small images", .width = 16,   \
        .blocks = STAGES * (n), .C = 3, .H = 32, .W = 32, .K = 10                                  \
    }
static const thaw_model_arch arches[] = {ARCH(20, 3), ARCH(32, 5), ARCH(44, 7), ARCH(56, 9)};

static thaw_value basic_block(thaw_graph *g, const char *name, thaw_value x, int64_t channels,
                              int64_t stride, bool widens)
{
    thaw_value y = thaw_graph_relu(g, model_conv_norm(g, name, 1, x, channels, 3, stride));
    y = model_conv_norm(g, name, 2, y, channels, 3, 1);
    if (widens)
        x = thaw_graph_shortcut_pad(g, x, channels, stride);
    return thaw_graph_relu(g, thaw_graph_add(g, y, x, 1));
}

static int32_t blocks_of(const char *name)
{
    for (size_t i = 0; i < sizeof arches / sizeof *arches; i++) {
        if (strcmp(arches[i].name, name) == 0)
            return arches[i].blocks;
    }
    return 0;
}

static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    int64_t width = model->spec.width;
    model->blocks = blocks_of(model->spec.arch);
    thaw_graph_set_block(g, 0, "stem");
    thaw_value x = thaw_graph_relu(g, model_conv_norm(g, "", 1, input, width, 3, 1));
    int32_t each = model->blocks / STAGES;
    for (int32_t i = 0; i < model->blocks; i++) {
        int32_t stage = i / each;
        char name[32];
        bool fits = thaw_format(name, sizeof name, "layer%d.%d", stage + 1, i % each);
        THAW_ASSERT(fits);
        thaw_graph_set_block(g, i + 1, name);
        bool widens = stage > 0 && i % each == 0;
        x = basic_block(g, name, x, width << stage, widens ? 2 : 1, widens);
    }
    return thaw_graph_global_avg_pool(g, x);
}

const model_family model_family_resnet_cifar = {.name = "resnet_cifar",
                                                .arches = arches,
                                                .count = sizeof arches / sizeof *arches,
                                                .build = build};
