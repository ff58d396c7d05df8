#include "model/model_impl.h"

/* EfficientNet-Lite0: Tan & Le 2019, arXiv:1905.11946, in the form for small devices: relu6, no squeeze-and-excitation. Names
 * are timm's (efficientnet_lite0), whose padding is symmetric, k / 2; weights of its tf_ variants need TensorFlow's padding,
 * which puts the odd pixel of stride 2 at the end. timm's "classifier" is the head "fc" here. */
#define STEM     32
#define FEATURES 1280

static const thaw_model_arch arches[] = {
    {.name = "efficientnet_lite0",
     .family = "efficientnet",
     .doc = "timm's EfficientNet-Lite0: depthwise convolutions and relu6",
     .width = STEM,
     .blocks = 16,
     .C = 3,
     .H = 224,
     .W = 224,
     .K = 1000},
};

/* First stride, then 1; the first stage has no expansion. */
static const struct stage {
    int count;
    int64_t kernel, stride, expand, channels;
} stages[] = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
              {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
enum { STAGES = sizeof stages / sizeof stages[0] };

static int64_t channels_of(const thaw_graph *g, thaw_value x)
{
    return x >= 0 ? thaw_graph_value_shape(g, x).dim[0] : 1;
}

/* conv_dw, bn1, relu6, conv_pw, bn2 */
static thaw_value separable(thaw_graph *g, const char *name, thaw_value x, const struct stage *s,
                            int64_t stride)
{
    x = model_depthwise(g, name, "conv_dw", x, s->kernel, stride);
    x = thaw_graph_relu6(g, model_norm(g, name, "bn1", x));
    x = model_conv(g, name, "conv_pw", x, s->channels, 1, 1);
    return model_norm(g, name, "bn2", x);
}

/* conv_pw, bn1, relu6, conv_dw, bn2, relu6, conv_pwl, bn3 */
static thaw_value inverted(thaw_graph *g, const char *name, thaw_value x, const struct stage *s,
                           int64_t stride)
{
    x = model_conv(g, name, "conv_pw", x, s->expand * channels_of(g, x), 1, 1);
    x = thaw_graph_relu6(g, model_norm(g, name, "bn1", x));
    x = model_depthwise(g, name, "conv_dw", x, s->kernel, stride);
    x = thaw_graph_relu6(g, model_norm(g, name, "bn2", x));
    x = model_conv(g, name, "conv_pwl", x, s->channels, 1, 1);
    return model_norm(g, name, "bn3", x);
}

static thaw_value build(thaw_model *model, thaw_value input)
{
    thaw_graph *g = model->graph;
    thaw_value x = model_conv(g, "", "conv_stem", input, STEM, 3, 2);
    x = thaw_graph_relu6(g, model_norm(g, "", "bn1", x));
    int32_t block = 0;
    for (int stage = 0; stage < STAGES; stage++) {
        const struct stage *s = &stages[stage];
        for (int i = 0; i < s->count; i++) {
            char name[32];
            bool fits = thaw_format(name, sizeof name, "blocks.%d.%d", stage, i);
            THAW_ASSERT(fits);
            thaw_graph_set_block(g, ++block, name);
            int64_t stride = i == 0 ? s->stride : 1;
            thaw_value y =
                s->expand == 1 ? separable(g, name, x, s, stride) : inverted(g, name, x, s, stride);
            bool same = stride == 1 && channels_of(g, x) == s->channels;
            x = same ? thaw_graph_add(g, y, x, 1) : y;
        }
    }
    model->blocks = block;
    x = model_conv(g, "", "conv_head", x, FEATURES, 1, 1);
    x = thaw_graph_relu6(g, model_norm(g, "", "bn2", x));
    return thaw_graph_global_avg_pool(g, x);
}

const model_family model_family_efficientnet = {
    .name = "efficientnet", .arches = arches, .count = 1, .one_width = true, .build = build};
