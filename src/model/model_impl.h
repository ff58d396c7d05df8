/* model_impl.h - what a family gives to the common code, and builders that residual families share. */
#ifndef MODEL_MODEL_IMPL_H
#define MODEL_MODEL_IMPL_H

#include "thaw/model.h"

/* Build adds stem and blocks to model->graph, from the input value on, and sets model->blocks; it returns the features.
 * model->spec is complete by then. Builder errors stay in the graph. */
typedef struct model_family {
    const char *name;
    const thaw_model_arch *arches;
    int32_t count;
    bool one_width;      /* spec.width is the architecture's own */
    int64_t most_tokens; /* text: spec.T at most, unless spec.places says another; 0: images */
    int64_t vocabulary;  /* text: different tokens, unless spec.vocabulary says others */
    int64_t patch;       /* usual pixels of a patch's side; 0: no patches */
    thaw_value (*build)(thaw_model *model, thaw_value input);
} model_family;

#define THAW_KIND(name) extern const model_family model_family_##name;
#include "model/kinds.def"
#undef THAW_KIND

/* torchvision's transforms.Normalize for weights from ImageNet, which timm takes over. */
extern const thaw_input_norm model_imagenet_norm;
/* timm's for networks from TensorFlow and for vision transformers, and Hugging Face's for the latter. */
extern const thaw_input_norm model_half_norm;

/* The stage of block *number, counted from 0 through all stages, of an EfficientNet-Lite of `blocks` blocks; *number becomes its place in
 * there. -1: no such block or network. */
int model_lite_stage(int blocks, int *number);

/* The family an architecture belongs to. */
const model_family *model_family_of(const thaw_model_arch *arch);

/* Convolution without bias, square kernel, torchvision's init; padding keeps the size at stride 1. */
thaw_value model_conv(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                      int64_t channels, int64_t kernel, int64_t stride);
/* The same with one filter a channel. */
thaw_value model_depthwise(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                           int64_t kernel, int64_t stride);
/* Both with a padding of their own. */
thaw_value model_conv_with(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                           int64_t channels, int64_t kernel, int64_t stride, int64_t pad);
thaw_value model_depthwise_with(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                                int64_t kernel, int64_t stride, int64_t pad);
/* Batch norm with PyTorch's epsilon and momentum, or others. */
thaw_value model_norm(thaw_graph *g, const char *prefix, const char *name, thaw_value x);
thaw_value model_norm_with(thaw_graph *g, const char *prefix, const char *name, thaw_value x,
                           float epsilon, float momentum);
/* conv, norm, relu: prefix.conv<i>, prefix.bn<i>; prefix "" for none. */
thaw_value model_conv_norm(thaw_graph *g, const char *prefix, int i, thaw_value x, int64_t channels,
                           int64_t kernel, int64_t stride);

#endif
