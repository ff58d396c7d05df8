/* thaw/model.h - backbone families: from a description of a network to its graph, with named blocks and weights.
 *
 * A family is one file and one line in src/model/kinds.def. It builds backbone and head; the head (block -1, after optional dropout) is
 * the linear layer "fc", or of two, "fc.0" and "fc.2" with an activation between them, as in torch.nn.Sequential; its input is the
 * features. Parameters carry the names of their origin: torchvision's for resnets from 18 layers on and mobilenet_v2; timm's for
 * efficientnet_lite* and vit_*; Hugging Face's (files of ViTModel, BertModel, RobertaModel, DistilBertModel) for hf_vit_* and the networks
 * for texts; for resnet20/32/44/56 the usual CIFAR ones (conv1, bn1, layer1.0.conv1, ..., and fc for the head, which some
 * files call "linear"); for mlp "layers.0.weight", "layers.1.weight", ... and fc.
 *
 * Blocks: 0 is the stem ("stem"), then every residual block (mlp: every hidden layer) in forward order: block 1 is "layer1.0",
 * and so on up to the deepest. What counts as "the last K blocks" is blocks 1 and up; the stem is not one of them. A stage is
 * the part of the name before the dot ("layer3"). Nothing here communicates. */
#ifndef THAW_MODEL_H
#define THAW_MODEL_H

#include "thaw/graph.h"
#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Description ------------------------------------------------------------------------------------------- */

/* What the features of a transformer are, of what has passed its last norm: its first token (a vision transformer's class token, [CLS] of a
 * text), the mean of its patches, or of the tokens of a text that are no padding, or a text's pooler (a linear layer and tanh on the
 * first token). Auto is class, of texts the pooler, and all that other networks can have. */
typedef enum thaw_pool_rule {
    THAW_POOL_AUTO,
    THAW_POOL_CLASS,
    THAW_POOL_MEAN,
    THAW_POOL_POOLER
} thaw_pool_rule;
extern const char *const thaw_pool_words[]; /* "auto", "class", "mean", "pooler"; NULL-ended */
bool thaw_pool_parse(const char *word, int *out);

/* gelu is the exact one, by erf (Hendrycks and Gimpel 2016). */
typedef enum thaw_activation {
    THAW_ACTIVATION_RELU,
    THAW_ACTIVATION_GELU,
    THAW_ACTIVATION_TANH
} thaw_activation;
extern const char *const thaw_activation_words[]; /* "relu", "gelu", "tanh"; NULL-ended */

/* `thaw_model_spec spec = {0};` then fill: arch, C, H, W, K are needed. Owned by whoever fills it (thaw_model_spec_clear). */
typedef struct thaw_model_spec {
    char *arch;      /* "resnet20", "mlp", ... */
    int64_t C, H, W; /* input; an mlp flattens it; 0 for text */
    int64_t T;       /* text: tokens of a sample; 0 for images */
    bool
        segments; /* text: a sample is (2, T), tokens and their types 0 or 1; else (T), all of type 0 */
    int64_t vocabulary; /* text: different tokens; 0: the architecture's own (berts: 30522) */
    int64_t places;     /* text: tokens that there are vectors of places for, T at most; 0: 512 */
    int64_t K;          /* classes */
    int64_t
        width; /* channels of the first stage; 0: the architecture's own (resnet20: 16, resnet18: 64) */
    int64_t patch;       /* vision transformers: pixels of a patch's side; 0: the usual, 16 */
    int pool;            /* the same, and text: thaw_pool_rule */
    thaw_ints hidden;    /* mlp only: sizes of the hidden layers; none: 256, 128 */
    double head_dropout; /* probability in [0, 1) */
    int64_t head_hidden; /* outputs of the head's first linear layer; 0: the head is one layer */
    int head_activation; /* thaw_activation, between the two */
    double shrink; /* strength of batch spectral shrinkage of the features; 0: none; not kept */
    int64_t shrink_values; /* of so many singular values */
} thaw_model_spec;

/* Rows for what a config says about a network: arch, width, patch, pool, hidden, head_dropout, head_hidden, head_activation. C, H, W and K come from the data. */
extern const thaw_field thaw_model_fields[];

THAW_NODISCARD thaw_status thaw_model_spec_copy(const thaw_model_spec *from, thaw_model_spec *out);
void thaw_model_spec_clear(thaw_model_spec *spec);
/* Adds to / reads from a state the entries "model.arch", "model.input", "model.tokens", "model.segments", "model.vocabulary", "model.places", "model.classes", "model.width", "model.hidden",
 * "model.patch", "model.pool", "model.head_dropout", "model.head_hidden" and "model.head_activation", so that a backbone file can be rebuilt. Load: *out is filled (clear it later); THAW_ERR_INPUT. */
THAW_NODISCARD thaw_status thaw_model_spec_save(const thaw_model_spec *spec, thaw_state *state);
THAW_NODISCARD thaw_status thaw_model_spec_load(const thaw_state *state, thaw_model_spec *out);
/* "resnet20, width 16, input 1 x 28 x 28"; "bert-tiny, width 128, 64 tokens" */
void thaw_model_spec_format(const thaw_model_spec *spec, thaw_str *out);
/* True when weights of one backbone fit the other: same arch, width, patch, hidden, vocabulary, places and C (and, for an mlp, H and W). Otherwise *why
 * (may be NULL) gets one sentence that names what differs. Classes and dropout belong to the head and do not matter. */
bool thaw_model_spec_same_backbone(const thaw_model_spec *a, const thaw_model_spec *b,
                                   thaw_str *why);

/* ---- Models ------------------------------------------------------------------------------------------------ */

typedef struct thaw_model {
    thaw_model_spec spec; /* own copy; width and hidden are resolved */
    thaw_graph *graph;    /* owned */
    int64_t D;            /* features */
    int32_t blocks;       /* blocks without the stem: valid indices are 1..blocks */
    const char *adapter;  /* name of the PEFT method attached by adapt; NULL: none */
} thaw_model;

/* Builds the graph, marks features and logits, allocates parameters (zero: load or initialize them) and marks
 * everything trainable. THAW_ERR_CONFIG: unknown arch (with a suggestion), a size that does not fit; names the field. */
THAW_NODISCARD thaw_status thaw_model_new(const thaw_model_spec *spec, thaw_model **out);
/* The same in two steps, for parameters that live in the caller's memory: after outline nothing is allocated for them
 * (thaw_graph_set_data gives some or all a place), and complete allocates the rest and finishes the model. */
THAW_NODISCARD thaw_status thaw_model_outline(const thaw_model_spec *spec, thaw_model **out);
THAW_NODISCARD thaw_status thaw_model_complete(thaw_model *model);
void thaw_model_free(thaw_model **model);
/* Fresh random values for every parameter, and running statistics 0 and 1. The same seed gives the same values for a name. */
void thaw_model_initialize(thaw_model *model, uint64_t seed);
/* The same for the head alone. */
void thaw_model_initialize_head(thaw_model *model, uint64_t seed);
/* From then on, random values of a residual network have 0 as the weight of each block's last norm, so that a block begins as the identity
 * (Goyal et al. 2017, arXiv:1706.02677, section 5.1; torchvision's zero_init_residual). THAW_ERR_CONFIG: another kind of network. */
THAW_NODISCARD thaw_status thaw_model_zero_init_residual(thaw_model *model);

/* What the package efficientnet_lite_pytorch calls "_blocks.3._bn0.weight" is "blocks.2.0.bn1.weight" of Lite0 here; such weights need a
 * tf_efficientnet_lite. Which block of which stage it is depends on how many the network has: one more than the largest number of a name,
 * which lite_block gives (-1: it names no block). False, and nothing written, for names that are none of its. */
int thaw_model_lite_block(const char *theirs);
bool thaw_model_name_from_lite(const char *theirs, int blocks, char *out, size_t bytes);
/* transformers, since 5, calls in memory "layers.3.mlp.fc1.weight" what is "encoder.layer.3.intermediate.dense.weight" in its files and here
 * (ViTModel; conversion_mapping.py of transformers 5). torch.save writes the names in memory. False, and nothing written, for names that are
 * no part of a layer there. */
bool thaw_model_name_from_vit(const char *theirs, char *out, size_t bytes);
/* The other way round. */
bool thaw_model_name_to_vit(const char *ours, char *out, size_t bytes);

/* Views of the head's parameters. Appends to *out. */
THAW_NODISCARD thaw_status thaw_model_head_state(const thaw_model *model, thaw_state *out);
/* Names of the blocks, the stem first: the list is the caller's to free, the texts are the model's. */
THAW_NODISCARD thaw_status thaw_model_block_names(const thaw_model *model, thaw_strings *out);

/* Index of the parameter that holds a vector for each place of a picture, whose size it therefore has; -1: there is none. */
int32_t thaw_model_positions(const thaw_model *model);
/* Whether weights of a network that source describes have that parameter in the model's size. */
bool thaw_model_same_positions(const thaw_model *model, const thaw_model_spec *source);
/* in (1 + patches of source's pictures, D) to out (1 + patches of the model's, D), bicubic as timm's resample_abs_pos_embed; says so in the
 * log. */
void thaw_model_resample_positions(const thaw_model *model, const thaw_model_spec *source,
                                   const float *in, float *out);
/* Weights of the same backbone (thaw_model_spec_same_backbone) as the model takes them: `out` gets views of tensors, and that parameter
 * resampled where pictures have another size. Clear it before tensors. THAW_ERR_INPUT. */
THAW_NODISCARD thaw_status thaw_model_fit_positions(const thaw_model *model,
                                                    const thaw_model_spec *source,
                                                    const thaw_state *tensors, thaw_state *out);

/* Number of blocks of stage or block `name` ("layer3", "layer3.1", "stem", "head"); *first gets the lowest index (-1: head).
 * 0 when there is no such name. */
int32_t thaw_model_find_blocks(const thaw_model *model, const char *name, int32_t *first);
/* The least height and width that no convolution or pooling of it has to make up: the factor by which it reduces pictures; 1 for text
 * and an mlp. */
int64_t thaw_model_least_size(const thaw_model *model);

/* How weights want the three channels of a picture, which are in 0..1: (x - mean) / std. */
typedef struct thaw_input_norm {
    const char *name; /* for messages: "ImageNet" */
    double mean[3], std[3];
} thaw_input_norm;
/* Of the package efficientnet_lite_pytorch. */
extern const thaw_input_norm thaw_model_lite_norm;

/* What `thaw backbone list` prints: one row an architecture, in a fixed order. */
typedef struct thaw_model_arch {
    const char *name;            /* "resnet20" */
    const char *family;          /* row of kinds.def: "resnet_cifar" */
    const char *doc;             /* one line */
    int64_t width;               /* default; 0 for mlp */
    int32_t blocks;              /* default */
    int64_t C, H, W, K;          /* what parameter counts are quoted for */
    int64_t T;                   /* the same, tokens; 0: it reads images */
    int64_t heads, most_tokens;  /* text: heads of attention; usual tokens of a text at most */
    int64_t pad_id;              /* text: the token that fills up short texts */
    const thaw_input_norm *norm; /* what weights of its origin take; NULL: there is no usual one */
} thaw_model_arch;
int32_t thaw_model_arch_count(void);
const thaw_model_arch *thaw_model_arch_at(int32_t index);
/* THAW_ERR_CONFIG with a suggestion when there is no such architecture. */
THAW_NODISCARD thaw_status thaw_model_arch_find(const char *name, const thaw_model_arch **out);
/* Parameters without buffers, as PyTorch counts them, of the arch at its quoted input and classes. */
THAW_NODISCARD thaw_status thaw_model_arch_params(const thaw_model_arch *arch, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
