#include "model/model_impl.h"

#include <string.h>

/* EfficientNet-Lite: Tan & Le 2019, arXiv:1905.11946, in the form for small devices: relu6, no squeeze-and-excitation. Names
 * are timm's. efficientnet_lite* pad symmetrically, k / 2; tf_efficientnet_lite*, which weights from TensorFlow need, put the odd
 * pixel of stride 2 at the end, and have TensorFlow's epsilon and momentum. timm's "classifier" is the head "fc" here. Lite1 and Lite2 have
 * Lite0's stages with more blocks and channels; stem, head, and the number of blocks of the first and last stage stay. */
#define STEM     32
#define FEATURES 1280

#define ARCH(title, words, count, size, input)                                                     \
    {                                                                                              \
        .name = (title), .family = "efficientnet", .doc = (words), .width = STEM,                  \
        .blocks = (count), .C = 3, .H = (size), .W = (size), .K = 1000, .norm = (input)            \
    }
#define SAME "the same with TensorFlow's padding, for weights from there"
static const thaw_model_arch arches[] = {
    ARCH("efficientnet_lite0", "timm's EfficientNet-Lite0: depthwise convolutions and relu6", 16,
         224, &model_imagenet_norm),
    ARCH("tf_efficientnet_lite0", SAME, 16, 224, &model_half_norm),
    ARCH("efficientnet_lite1", "timm's EfficientNet-Lite1", 21, 240, &model_imagenet_norm),
    ARCH("tf_efficientnet_lite1", SAME, 21, 240, &model_half_norm),
    ARCH("efficientnet_lite2", "timm's EfficientNet-Lite2", 21, 260, &model_imagenet_norm),
    ARCH("tf_efficientnet_lite2", SAME, 21, 260, &model_half_norm),
};

/* Tenths by which a size has more blocks a stage and channels than Lite0; by the last digit of its name. */
static const struct {
    int blocks, channels;
} sizes[] = {{10, 10}, {11, 10}, {12, 11}};

/* A convolution of stride 2 reads one pixel more at the end than in front where the size is even (TensorFlow's "SAME"). */
typedef struct style {
    bool tensorflow;
    float epsilon, momentum;
} style;
static const style pytorch = {false, 1e-5f, 0.1f};
static const style tensorflow = {true, 1e-3f, 0.01f};

/* First stride, then 1; the first stage has no expansion. */
static const struct stage {
    int count;
    int64_t kernel, stride, expand, channels;
} stages[] = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
              {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
enum { STAGES = sizeof stages / sizeof stages[0] };

static int size_of(const char *arch)
{
    return arch[strlen(arch) - 1] - '0';
}

/* Rounded up. */
static int blocks_of(int size, int stage)
{
    const bool fixed = stage == 0 || stage == STAGES - 1;
    return fixed ? stages[stage].count : (stages[stage].count * sizes[size].blocks + 9) / 10;
}

/* Rounded to a multiple of 8, which must not take more than a tenth away (Sandler et al. 2018's code). */
static int64_t channels_in(int size, int stage)
{
    const int64_t tenths = stages[stage].channels * sizes[size].channels;
    const int64_t rounded = (tenths + 40) / 80 * 8;
    return rounded * 100 < tenths * 9 ? rounded + 8 : rounded;
}

int model_lite_stage(int blocks, int *number)
{
    for (int32_t a = 0; a < (int32_t)(sizeof arches / sizeof *arches); a++) {
        const int size = size_of(arches[a].name);
        int at = *number;
        if (arches[a].blocks != blocks)
            continue;
        for (int stage = 0; stage < STAGES; stage++) {
            if (at < blocks_of(size, stage)) {
                *number = at;
                return stage;
            }
            at -= blocks_of(size, stage);
        }
    }
    return -1;
}

static int64_t channels_of(const thaw_graph *g, thaw_value x)
{
    return x >= 0 ? thaw_graph_value_shape(g, x).dim[0] : 1;
}

static int64_t border(int64_t size, int64_t kernel)
{
    const int64_t out = (size + 1) / 2;
    return (out - 1) * 2 + kernel - size;
}

/* The input of a convolution of stride 2 that pads nothing itself. */
static thaw_value same_pad(thaw_graph *g, thaw_value x, int64_t kernel)
{
    if (x < 0)
        return x;
    const thaw_shape shape = thaw_graph_value_shape(g, x);
    const int64_t h = border(shape.dim[1], kernel);
    const int64_t w = border(shape.dim[2], kernel);
    return thaw_graph_pad(g, x, &(thaw_border){h / 2, h - h / 2, w / 2, w - w / 2});
}

static thaw_value norm(thaw_graph *g, const style *t, const char *prefix, const char *name,
                       thaw_value x)
{
    return model_norm_with(g, prefix, name, x, t->epsilon, t->momentum);
}

static thaw_value depthwise(thaw_graph *g, const style *t, const char *prefix, thaw_value x,
                            const struct stage *s, int64_t stride)
{
    const bool padded = t->tensorflow && stride == 2;
    if (padded)
        x = same_pad(g, x, s->kernel);
    return model_depthwise_with(g, prefix, "conv_dw", x, s->kernel, stride,
                                padded ? 0 : s->kernel / 2);
}

/* conv_dw, bn1, relu6, conv_pw, bn2 */
static thaw_value separable(thaw_graph *g, const style *t, const char *name, thaw_value x,
                            const struct stage *s, int64_t stride, int64_t channels)
{
    x = depthwise(g, t, name, x, s, stride);
    x = thaw_graph_relu6(g, norm(g, t, name, "bn1", x));
    x = model_conv(g, name, "conv_pw", x, channels, 1, 1);
    return norm(g, t, name, "bn2", x);
}

/* conv_pw, bn1, relu6, conv_dw, bn2, relu6, conv_pwl, bn3 */
static thaw_value inverted(thaw_graph *g, const style *t, const char *name, thaw_value x,
                           const struct stage *s, int64_t stride, int64_t channels)
{
    x = model_conv(g, name, "conv_pw", x, s->expand * channels_of(g, x), 1, 1);
    x = thaw_graph_relu6(g, norm(g, t, name, "bn1", x));
    x = depthwise(g, t, name, x, s, stride);
    x = thaw_graph_relu6(g, norm(g, t, name, "bn2", x));
    x = model_conv(g, name, "conv_pwl", x, channels, 1, 1);
    return norm(g, t, name, "bn3", x);
}

static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    const style *t = thaw_starts_with(model->spec.arch, "tf_") ? &tensorflow : &pytorch;
    const int size = size_of(model->spec.arch);
    thaw_value x = t->tensorflow ? same_pad(g, input, 3) : input;
    x = model_conv_with(g, "", "conv_stem", x, STEM, 3, 2, t->tensorflow ? 0 : 1);
    x = thaw_graph_relu6(g, norm(g, t, "", "bn1", x));
    int32_t block = 0;
    for (int stage = 0; stage < STAGES; stage++) {
        const struct stage *s = &stages[stage];
        const int64_t channels = channels_in(size, stage);
        for (int i = 0; i < blocks_of(size, stage); i++) {
            char name[32];
            bool fits = thaw_format(name, sizeof name, "blocks.%d.%d", stage, i);
            THAW_ASSERT(fits);
            thaw_graph_set_block(g, ++block, name);
            int64_t stride = i == 0 ? s->stride : 1;
            thaw_value y = s->expand == 1 ? separable(g, t, name, x, s, stride, channels)
                                          : inverted(g, t, name, x, s, stride, channels);
            bool same = stride == 1 && channels_of(g, x) == channels;
            x = same ? thaw_graph_add(g, y, x, 1) : y;
        }
    }
    model->blocks = block;
    x = model_conv(g, "", "conv_head", x, FEATURES, 1, 1);
    x = thaw_graph_relu6(g, norm(g, t, "", "bn2", x));
    return thaw_graph_global_avg_pool(g, x);
}

const model_family model_family_efficientnet = {.name = "efficientnet",
                                                .arches = arches,
                                                .count = sizeof arches / sizeof *arches,
                                                .one_width = true,
                                                .build = build};
