/* thaw/graph.h - a network as a static graph of operators, the passes over it, and the plan that runs it.
 *
 * Life: build (thaw_graph_new, thaw_graph_conv2d, ...; thaw_graph_finish) -> attach PEFT (module adapt, rewrites the graph)
 * -> mark trainable parameters -> passes (thaw_graph_analyze: freeze, need_grad, boundary) -> thaw_plan_new (memory) ->
 * thaw_plan_forward / thaw_plan_backward. A plan allocates everything when it is made; running it allocates nothing.
 *
 * Nodes are kept in topological order. A value is one activation; its shape here is without the batch, which is always
 * the first dimension. Parameters keep the names of their origin ("layer1.0.conv1.weight"). Nothing here communicates. */
#ifndef THAW_GRAPH_H
#define THAW_GRAPH_H

#include "thaw/kern.h"
#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thaw_graph thaw_graph;
typedef int32_t
    thaw_value; /* index of an activation; negative: the builder has failed (see thaw_graph_finish) */

/* ---- Parameters ------------------------------------------------------------------------------------------- */

typedef enum thaw_role {
    THAW_ROLE_WEIGHT, /* conv or linear weight: decayed, LARS-scaled */
    THAW_ROLE_BIAS,
    THAW_ROLE_NORM_WEIGHT, /* gamma */
    THAW_ROLE_NORM_BIAS,   /* beta */
    THAW_ROLE_BUFFER_MEAN, /* running_mean: no gradient; updated from batch statistics when its norm trains */
    THAW_ROLE_BUFFER_VAR /* running_var */
} thaw_role;

typedef enum thaw_init {
    THAW_INIT_ZERO,
    THAW_INIT_ONE,
    THAW_INIT_KAIMING_NORMAL_FAN_OUT, /* He et al. 2015; torchvision's convolutions: std = sqrt(2 / fan_out) */
    THAW_INIT_KAIMING_UNIFORM, /* PyTorch's default for linear: bound = sqrt(1 / fan_in) */
    THAW_INIT_NORMAL,          /* std 0.02: BERT's tables and weights, Devlin et al. 2019 */
    THAW_INIT_STANDARD_NORMAL, /* std 1 */
    THAW_INIT_BIAS_UNIFORM     /* PyTorch's default bias: bound = sqrt(1 / fan_in) */
} thaw_init;

typedef struct thaw_param {
    char *name;
    thaw_shape shape;
    thaw_role role;
    thaw_init init;
    int64_t fan_in, fan_out;
    int32_t
        block; /* 0 = stem, 1.. = blocks in forward order, -1 = head; set by thaw_graph_set_block */
    bool adapter;   /* added by a PEFT method, not part of the backbone */
    bool trainable; /* set by adapt; for buffers: follows the norm's weight */
    bool need_grad; /* = trainable, not a buffer, and on a path to the logits, after analysis */
    float *data;    /* owned by the graph unless set_data was used */
    bool borrowed;
    int32_t node; /* the node that uses it */
} thaw_param;

int32_t thaw_graph_param_count(const thaw_graph *g);
thaw_param *thaw_graph_param(const thaw_graph *g, int32_t index);
int32_t thaw_graph_find_param(const thaw_graph *g, const char *name); /* -1 when absent */
/* The parameter lives in this memory from now on (one copy a node, in shared memory), which must outlive the graph; what
 * the graph had allocated is freed, nothing is copied. NULL: back to none, until thaw_graph_finish. */
void thaw_graph_set_data(thaw_graph *g, int32_t index, float *data);

/* ---- Building --------------------------------------------------------------------------------------------- */

THAW_NODISCARD thaw_status thaw_graph_new(thaw_graph **out);
void thaw_graph_free(thaw_graph **g);
/* All parameters and nodes added from now on belong to this block ("layer2.0"; index as in thaw_param.block). */
void thaw_graph_set_block(thaw_graph *g, int32_t block, const char *name);
int32_t thaw_graph_block_count(const thaw_graph *g);                   /* highest block index + 1 */
const char *thaw_graph_block_name(const thaw_graph *g, int32_t block); /* block -1: "head" */

/* The network's input, shape without batch. Once. */
thaw_value thaw_graph_input(thaw_graph *g, thaw_shape shape);

typedef struct thaw_conv2d_attr {
    int64_t out_channels, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h,
        dilation_w, groups;
    bool bias;
    thaw_init init;
} thaw_conv2d_attr;
/* Each adds the parameters `name`.weight, `name`.bias, ... and returns the output value. Errors are kept in the graph. */
thaw_value thaw_graph_conv2d(thaw_graph *g, const char *name, thaw_value x,
                             const thaw_conv2d_attr *attr);
thaw_value thaw_graph_linear(thaw_graph *g, const char *name, thaw_value x, int64_t out_features,
                             bool bias); /* (.., D) -> (.., out) */
/* gelu of the same, in one sweep; linear and then gelu do not differ but in time. */
thaw_value thaw_graph_linear_gelu(thaw_graph *g, const char *name, thaw_value x,
                                  int64_t out_features, bool bias, bool tanh_form);
thaw_value thaw_graph_batch_norm(thaw_graph *g, const char *name, thaw_value x, float epsilon,
                                 float momentum);
thaw_value thaw_graph_relu(thaw_graph *g, thaw_value x);
thaw_value thaw_graph_add(thaw_graph *g, thaw_value a, thaw_value b, float alpha); /* a + alpha b */
thaw_value thaw_graph_max_pool(thaw_graph *g, thaw_value x, int64_t kernel, int64_t stride,
                               int64_t pad);
thaw_value thaw_graph_avg_pool(thaw_graph *g, thaw_value x, int64_t kernel, int64_t stride,
                               int64_t pad);
thaw_value thaw_graph_global_avg_pool(thaw_graph *g, thaw_value x); /* (C, H, W) -> (C) */
thaw_value thaw_graph_flatten(thaw_graph *g, thaw_value x);
thaw_value thaw_graph_dropout(thaw_graph *g, thaw_value x, float probability);
/* Features (D) as they are; in backward, B strength times the gradient of thaw_kern_shrink for the B samples of a run is added to theirs. */
thaw_value thaw_graph_shrink(thaw_graph *g, thaw_value x, double strength, int64_t values);
thaw_value thaw_graph_relu6(thaw_graph *g, thaw_value x);
thaw_value thaw_graph_tanh(thaw_graph *g, thaw_value x);
/* Zeros around an image: (C, H, W) -> (C, H + top + bottom, W + left + right). */
thaw_value thaw_graph_pad(thaw_graph *g, thaw_value x, const thaw_border *border);
/* Channel subsampling as in CIFAR ResNet's option A shortcut: every `stride`-th pixel, channels zero-padded to out_channels,
 * (out_channels - C) / 2 of them in front. */
thaw_value thaw_graph_shortcut_pad(thaw_graph *g, thaw_value x, int64_t out_channels,
                                   int64_t stride);
/* Marks the value whose features are compared, cached and measured (input of the head), and the logits. */
void thaw_graph_set_features(thaw_graph *g, thaw_value v);
void thaw_graph_set_logits(thaw_graph *g, thaw_value v);
thaw_value thaw_graph_features(const thaw_graph *g);
thaw_value thaw_graph_logits(const thaw_graph *g);
thaw_shape thaw_graph_value_shape(const thaw_graph *g, thaw_value v);

/* Checks the whole graph, sorts it and allocates parameters that have no memory yet (zero). Call again after a rewrite that
 * added nodes. THAW_ERR_FAIL with the builder's first error. */
THAW_NODISCARD thaw_status thaw_graph_finish(thaw_graph *g);
/* The first error of a builder call, which finish would report; nothing is allocated. */
THAW_NODISCARD thaw_status thaw_graph_built(const thaw_graph *g);
/* Sets one parameter (by its init rule) or all with fresh values; the same seed gives the same values for a name whatever
 * else the graph holds (stream = hash of the name). `only` NULL: all; else a filter. */
typedef bool thaw_param_filter(const thaw_param *p, const void *context);
void thaw_graph_initialize(thaw_graph *g, uint64_t seed, thaw_param_filter *only,
                           const void *context);

/* ---- Nodes, for passes and rewrites (adapt) ------------------------------------------------------------------ */

/* Text: a sample is a list of T tokens, whole numbers from 0 up to 2^24 - 1 as floats; a value of shape (T). */

typedef enum thaw_embed_rule {
    THAW_EMBED_IDS,       /* token t takes row ids[t]; an id beyond the table gives NaN */
    THAW_EMBED_POSITIONS, /* token t takes row t */
    THAW_EMBED_COUNTED, /* the k-th token, from 1, that is not pad_id takes row pad_id + k, the others row pad_id: RoBERTa's places */
    THAW_EMBED_FIRST    /* every token takes row 0: BERT's segments, when there is one */
} thaw_embed_rule;
typedef struct thaw_embedding_attr {
    int64_t rows, features;
    int64_t pad_id; /* this row gets no gradient (PyTorch's padding_idx); -1: none */
    thaw_embed_rule rule;
    int64_t
        skip; /* of places: how many rows (of tokens before the list) the first token's stands behind */
} thaw_embedding_attr;
/* (T) -> (T, D); adds `name`.weight (rows, D). */
thaw_value thaw_graph_embedding(thaw_graph *g, const char *name, thaw_value ids,
                                const thaw_embedding_attr *attr);
/* Over the last dimension; adds `name`.weight and `name`.bias. */
thaw_value thaw_graph_layer_norm(thaw_graph *g, const char *name, thaw_value x, float epsilon);
/* tanh_form: the approximation by tanh (PyTorch's approximate="tanh"). */
thaw_value thaw_graph_gelu(thaw_graph *g, thaw_value x, bool tanh_form);

typedef struct thaw_attention_attr {
    int64_t heads;
    int64_t pad_id; /* keys with this token get no weight, where ids are given */
    float dropout;  /* of the weights */
    bool joined;    /* set by the builder */
} thaw_attention_attr;
#define THAW_NO_VALUE (-2) /* for an input that may be left out */
/* softmax(q k' / sqrt(D / heads)) v in each head; k, v (T, D); q (Q, D) or, one query, (D), like the result; ids (T) of the
 * keys or THAW_NO_VALUE. */
thaw_value thaw_graph_attention(thaw_graph *g, thaw_value q, thaw_value k, thaw_value v,
                                thaw_value ids, const thaw_attention_attr *attr);
/* The same of one value (T, 3 D) that holds q, k and v side by side; nothing is masked: -> (T, D). */
thaw_value thaw_graph_attention_joined(thaw_graph *g, thaw_value qkv,
                                       const thaw_attention_attr *attr);
thaw_value thaw_graph_select_token(thaw_graph *g, thaw_value x, int64_t index); /* (T, D) -> (D) */
/* An image of patches (D, H, W) as tokens: (D, H, W) -> (1 + H W, D), the class token first, each with the vector of its place. Adds
 * `name`.cls_token (1, 1, D) and `name`.`positions` (1, 1 + H W, D); `positions` must outlive the graph. */
thaw_value thaw_graph_class_token(thaw_graph *g, const char *name, thaw_value x,
                                  const char *positions);
thaw_value thaw_graph_mean_patch(thaw_graph *g,
                                 thaw_value x); /* without the first: (T, D) -> (D) */
/* Mean over the tokens that are not pad_id: (T, D), (T) -> (D). */
thaw_value thaw_graph_mean_token(thaw_graph *g, thaw_value x, thaw_value ids, int64_t pad_id);
/* Learned rows in front: (T, D) -> (rows + T, D); adds `name`.embedding.weight (rows, D). */
thaw_value thaw_graph_prompt(thaw_graph *g, const char *name, thaw_value x, int64_t rows);
/* The same behind the first `at` rows; `replaces`: instead of the `rows` that stand there, (T, D) -> (T, D). */
thaw_value thaw_graph_prompt_at(thaw_graph *g, const char *name, thaw_value x, int64_t rows,
                                int64_t at, bool replaces);
/* The list of tokens that goes with it: (T) -> (rows + T), `id` for each row. */
thaw_value thaw_graph_prompt_ids(thaw_graph *g, thaw_value ids, int64_t rows, int64_t id);

/* base + scale (x A') B', in base's memory where nobody else needs it; base (.., O), x (.., D). Adds `name`.lora_A.weight
 * (rank, D) and `name`.lora_B.weight (O, rank). */
thaw_value thaw_graph_low_rank(thaw_graph *g, const char *name, thaw_value base, thaw_value x,
                               int64_t rank, float scale);

/* The same on what a table of tokens gives: base + scale A[:, ids]' B', base (T, D), ids (T). Adds `name`.lora_embedding_A (rank, rows)
 * and `name`.lora_embedding_B (D, rank); column pad_id of A gets no gradient (-1: all do). */
thaw_value thaw_graph_low_rank_rows(thaw_graph *g, const char *name, thaw_value base,
                                    thaw_value ids, int64_t rows, int64_t pad_id, int64_t rank,
                                    float scale);
/* v is the output of layer `name` with its update of that scale; the rows of W + scale B A get the lengths `name`.lora_magnitude_vector, which it
 * adds: (O), of a convolution (1, O, 1, 1). Reads `name`.weight, .lora_A.weight, .lora_B.weight and, where there is one, .bias. */
thaw_value thaw_graph_magnitude(thaw_graph *g, const char *name, thaw_value v, float scale);

/* For each channel of (C, H, W) or feature of (.., D). */
typedef enum thaw_scale_form {
    THAW_SCALE_AND_SHIFT, /* adds `name`.ssf_scale and `name`.ssf_shift */
    THAW_SCALE_OUTPUT,    /* adds `name`.ia3_l (D, 1) */
    THAW_SCALE_INPUT      /* adds `name`.ia3_l (1, D); of images it is (1, C, 1, 1) in both forms */
} thaw_scale_form;
thaw_value thaw_graph_scale_shift(thaw_graph *g, const char *name, thaw_value x,
                                  thaw_scale_form form);

#define THAW_MAX_INPUTS 4
#define THAW_MAX_PARAMS 6
typedef struct thaw_op thaw_op; /* one operator kind: src/graph/op_impl.h */

typedef struct thaw_node {
    const thaw_op *op;
    char *name; /* module path ("layer1.0.conv1"), "" for operators without one */
    int32_t block;
    int32_t inputs[THAW_MAX_INPUTS];
    int32_t input_count;
    int32_t params[THAW_MAX_PARAMS];
    int32_t param_count;
    thaw_value output;
    union {
        thaw_conv2d_attr conv2d;
        struct {
            int64_t out_features;
            bool bias;
            int gelu; /* applied to the result in the same sweep: 0 none, 1 exact, 2 tanh form */
        } linear;
        thaw_border border;
        thaw_embedding_attr embedding;
        thaw_attention_attr attention;
        struct {
            float epsilon;
        } layer_norm;
        struct {
            bool tanh_form;
        } gelu;
        struct {
            int64_t index;
        } select_token;
        struct {
            int64_t rank;
            float scale;
            int64_t rows, pad_id; /* low_rank_rows */
        } low_rank;
        struct {
            int64_t fan_in, rank;
            float scale;
        } magnitude;
        struct {
            thaw_scale_form form;
        } scale_shift;
        struct {
            const char *positions;
        } class_token;
        struct {
            int64_t pad_id;
        } mean_token;
        struct {
            int64_t rows, id, at;
            bool replaces;
        } prompt;
        struct {
            int64_t front; /* tokens besides the first that are no patches */
        } mean_patch;
        struct {
            float epsilon, momentum;
        } batch_norm;
        struct {
            float alpha;
        } add;
        struct {
            int64_t kernel, stride, pad;
        } pool;
        struct {
            float probability;
        } dropout;
        struct {
            float strength;
            int64_t values;
        } shrink;
        struct {
            int64_t out_channels, stride;
        } shortcut;
    } attr;
    /* set by the passes */
    bool frozen_stats;    /* batch norm uses running statistics also in training */
    bool need_input_grad; /* some parameter at or below one of its inputs trains */
    bool active;          /* takes part in backward */
    /* set by lowering, in a plan's own copy of the graph only */
    thaw_act act;  /* applied to the result in the same sweep */
    bool residual; /* input 1 is added before act */
    bool
        folded; /* conv2d: the last four parameters are those of a frozen norm, folded into the weights */
    float fold_epsilon; /* the norm's */
} thaw_node;

int32_t thaw_graph_node_count(const thaw_graph *g);
/* Values are 0..count-1. */
int32_t thaw_graph_value_count(const thaw_graph *g);
thaw_node *thaw_graph_node(const thaw_graph *g, int32_t index);
const char *thaw_node_kind(const thaw_node *node); /* "conv2d", "linear", ... */
/* Rewrite: all users of `old` except node `except_node` (-1: none), and the features/logits marks, use `new_value` instead. Nodes
 * added by builder calls go to the end; thaw_graph_sort puts the list in topological order again and renumbers nodes, never
 * values. Another shape is an error that thaw_graph_finish reports. */
void thaw_graph_replace_uses(thaw_graph *g, thaw_value old, thaw_value new_value,
                             int32_t except_node);
/* The same for a value of another shape; thaw_graph_reshape must follow before anything else looks at shapes. */
void thaw_graph_redirect_uses(thaw_graph *g, thaw_value old, thaw_value new_value,
                              int32_t except_node);
THAW_NODISCARD thaw_status thaw_graph_sort(thaw_graph *g);
/* Sorts, and works out the shape of every value again. THAW_ERR_FAIL where a node cannot take its inputs, or would need a parameter of
 * another shape. */
THAW_NODISCARD thaw_status thaw_graph_reshape(thaw_graph *g);

/* ---- Analysis --------------------------------------------------------------------------------------------- */

/* Runs freeze (batch norm of frozen weights uses stored statistics), need_grad (what backward must reach: it stops at the lowest
 * trainable parameter) and boundary. Call after every change of `trainable`. */
THAW_NODISCARD thaw_status thaw_graph_analyze(thaw_graph *g);
/* The cut: the last value such that all before it is frozen and deterministic, and all after it (features and logits) depends on what is
 * before only through it; so never beyond the features. The input itself when nothing is frozen. */
thaw_value thaw_graph_boundary(const thaw_graph *g);
/* Multiply-add counted as 2, for one sample: forward, and backward of what is active. */
double thaw_graph_forward_flops(const thaw_graph *g);
double thaw_graph_backward_flops(const thaw_graph *g);
int64_t thaw_graph_count_params(const thaw_graph *g,
                                bool trainable_only); /* without buffers, as PyTorch counts */

typedef enum thaw_which {
    THAW_ALL,
    THAW_TRAINABLE,
    THAW_FROZEN,
    THAW_BACKBONE /* neither head nor adapter */
} thaw_which;
/* Views on parameters and buffers (buffers of a training norm are trainable state). Appends to *out. */
THAW_NODISCARD thaw_status thaw_graph_state(const thaw_graph *g, thaw_which which, thaw_state *out);

/* ---- Plan ------------------------------------------------------------------------------------------------- */

typedef struct thaw_plan thaw_plan;

typedef struct thaw_plan_options {
    int64_t batch; /* most samples in one run */
    bool training; /* keeps what backward needs; gradient buffers for what trains */
    thaw_value
        from; /* run starts with this value given (graph input, or the boundary); -1: the input */
    thaw_value to; /* last value computed; -1: logits */
    thaw_value
        keep; /* one more value whose contents stay readable after forward (features); -1: none */
    const bool *
        kept; /* per value of the graph: more of them; NULL: none. Copied. Only in inference, and of what from..to computes: THAW_ERR_FAIL. They take memory */
    bool
        recompute; /* keep only what enters each block, and run its forward again before its backward (Chen et al. 2016);
                     * the same bits, less memory, one more forward */
    int32_t
        abreast; /* most runs that go abreast, so that a batch norm that trains takes the statistics of all of them, and of whom they meet: for
                  * training. Each has an arena. 0, and where no such norm is: each run for itself */
    bool observe; /* thaw_plan_ranges is wanted; for inference */
    const float *
        ranges; /* of a plan of the same graph that observed: frozen convolutions (where kern->has_int8) and linear
                          * layers (kern->has_linear_int8) outside of backward run in 8 bits where the range of what they give
                          * is above 0; of a linear layer it counts no further. NULL: in floats. Borrowed while the plan is
                          * made, when frozen parameters must hold their values. */
} thaw_plan_options;

/* Lowers the range from..to into a copy of the plan's own (frozen norms folded into convolutions, what follows fused, layouts
 * chosen, reorders inserted) and plans memory: liveness, one arena. The graph must outlive the plan and not change; frozen
 * parameters must hold their values before the first forward. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_plan_new(thaw_graph *g, const thaw_kern *kern,
                                         const thaw_plan_options *options, thaw_plan **out);
void thaw_plan_free(thaw_plan **plan);
size_t thaw_plan_arena_bytes(
    const thaw_plan *plan); /* activations, their gradients, what backward keeps, workspace */
size_t
thaw_plan_reduced_bytes(const thaw_plan *plan); /* gradients and statistics, beside the arena */

/* Constants: packed and folded forms of frozen weights, filled once. Without set_constants the first forward allocates and fills
 * private memory. With it, `memory` (constant_bytes, aligned to 64 bytes, outlives the plan) is used; `fill`: write it now (of
 * ranks that share it, one does so, and the others run after it has). */
size_t thaw_plan_constant_bytes(const thaw_plan *plan);
void thaw_plan_set_constants(thaw_plan *plan, void *memory, bool fill);

/* With options.observe: the largest magnitude that each value of the graph has had in all forwards so far; 0: not computed, or fused
 * away. One float a value, owned by the plan. */
const float *thaw_plan_ranges(const thaw_plan *plan);

/* A network of texts, whose input is (T) or (planes, T): from now on a run may be of samples of `tokens` < T tokens, in the memory
 * that is there. What is left out must be padding: it has no weight where tokens meet, so that the rest gets what it gets among T, but
 * for the order of sums; dropout inside attention draws other numbers. THAW_ERR_FAIL where an operator is made for one shape. */
THAW_NODISCARD thaw_status thaw_plan_add_length(thaw_plan *plan, int64_t tokens);
/* Of value v for samples of so many tokens (0: all), without the batch. Nothing is changed. THAW_ERR_FAIL as above. */
THAW_NODISCARD thaw_status thaw_graph_shape_of(const thaw_graph *g, thaw_value v, int64_t tokens,
                                               thaw_shape *out);

/* What lowering made of the range, for `thaw check` and tests. */
typedef struct thaw_plan_counts {
    int32_t steps, folded, fused, reorders, replayed, eight_bits;
} thaw_plan_counts;
thaw_plan_counts thaw_plan_count(const thaw_plan *plan);
/* One line an operator whose backend has a choice: its name and the algorithm that forward uses. Appends. */
void thaw_plan_algorithms(const thaw_plan *plan, thaw_str *out);

/* One run's input. Randomness (dropout) is keyed by seed, step and the sample's index in its dataset, never by rank. */
typedef struct thaw_run {
    int64_t B;                 /* samples in this run, 0..options.batch */
    int64_t tokens;            /* of a sample, one that thaw_plan_add_length was told; 0: all */
    const float *input;        /* (B, shape of `from`), of so many tokens */
    const int64_t *sample_ids; /* (B) */
    uint64_t seed;
    uint32_t step;
    bool
        training; /* dropout on; batch statistics where a norm trains, if the plan is one for training */
} thaw_run;

void thaw_plan_forward(thaw_plan *plan, const thaw_run *run);

/* Runs that go abreast, operator by operator. Where they meet, each brings a row of numbers: meet gets those of these runs, (count,
 * width), and returns (*all, width), those of all who meet there, in an order that does not depend on where they ran; all call it as often.
 * NULL: these runs meet alone. */
typedef const double *thaw_meet(void *context, const double *rows, int64_t count, int64_t width,
                                int64_t *all);
typedef struct thaw_abreast {
    const thaw_run *runs;
    int32_t count; /* 1..thaw_plan_lanes */
    thaw_meet *meet;
    void *context;
} thaw_abreast;
/* options.abreast, or 1 where nothing meets. */
int32_t thaw_plan_lanes(const thaw_plan *plan);
/* How often runs meet in forward and backward, and doubles that one brings: at once, most; and in all. */
typedef struct thaw_meetings {
    int32_t count;
    int64_t widest, doubles;
} thaw_meetings;
thaw_meetings thaw_plan_meetings(const thaw_plan *plan);
void thaw_plan_forward_abreast(thaw_plan *plan, const thaw_abreast *all);
/* What thaw_plan_value, thaw_plan_output_gradient and thaw_plan_reduced show are those of run k, until the next call. */
void thaw_plan_turn_to(thaw_plan *plan, const thaw_abreast *all, int32_t k);
int32_t thaw_plan_turn(const thaw_plan *plan); /* whose they are */
/* (B, shape) after forward; valid until the next run. `v` must be options.to, options.keep or among options.kept. */
const float *thaw_plan_value(const thaw_plan *plan, thaw_value v);
/* Where the caller writes the gradient of the loss with respect to `to` before backward. NULL in a plan not for training. */
float *thaw_plan_output_gradient(thaw_plan *plan);

/* For profiles: what each operator of a run took and what it had to do at least. */
typedef struct thaw_watched {
    const char *kind, *name; /* "conv2d", "layer1.0.conv1" ("": none) */
    const char *algorithm;   /* of forward; "": there is one only */
    thaw_shape in, out;      /* of the first input and the output, without the batch */
    bool backward;
    double seconds; /* by the watch's clock */
    double flops;   /* multiply-add counted as 2; a convolution's as in its direct form */
    double
        bytes; /* of what it reads and writes: backward reads what forward read, too. Parameters once; all as float32 */
} thaw_watched;
typedef struct thaw_watch {
    double (*clock)(void); /* seconds */
    void (*after)(void *context, const thaw_watched *what);
    void *context;
} thaw_watch;
/* Calls watch->after behind each operator of every run from now on; NULL: no longer. The struct outlives its use. */
void thaw_plan_watch(thaw_plan *plan, const thaw_watch *watch);

/* What has to be summed over shards: gradients of trainable parameters and statistics of training norms, in the order in which
 * backward produces them (statistics first: they are ready after forward). */
typedef struct thaw_reduced {
    int32_t param; /* index in the graph */
    int64_t count; /* elements */
    float *
        data; /* this run's contribution: gradient of the *sum* of losses, or B * statistic (mean; unbiased variance,
                     * taken as the biased one, 0, where a channel has a single value). 0 when B is 0. */
    bool statistic;
} thaw_reduced;
int32_t thaw_plan_reduced_count(const thaw_plan *plan);
const thaw_reduced *thaw_plan_reduced(const thaw_plan *plan, int32_t index);

/* Zeroes the gradients, runs backward, and calls ready(index) as soon as reduced tensor `index` holds its final value of this run;
 * indices come in order, and all of them also when B is 0. Once after each forward, with the same run. progress, called between operators, lets messages travel. Either may be NULL. */
typedef void thaw_ready(void *context, int32_t reduced_index);
typedef void thaw_progress_hook(void *context);
void thaw_plan_backward(thaw_plan *plan, const thaw_run *run, thaw_ready *ready,
                        thaw_progress_hook *progress, void *context);
/* The same for runs abreast: ready(index) is called for each run in turn, when thaw_plan_reduced shows that run's; when it returns the
 * values may go. */
void thaw_plan_backward_abreast(thaw_plan *plan, const thaw_abreast *all, thaw_ready *ready,
                                thaw_progress_hook *progress, void *context);

/* Compares analytic gradients (trainable parameters, input) with central differences in double-rounded steps on a random input, in
 * training mode; of a large tensor some elements are drawn. Parameters keep their values, which should not be all zero. *worst gets
 * the largest error relative to its tensor's largest gradient. For tests and `thaw check`. THAW_ERR_NUMERIC above `tolerance`. */
THAW_NODISCARD thaw_status thaw_graph_check_gradients(thaw_graph *g, const thaw_kern *kern,
                                                      int64_t batch, uint64_t seed,
                                                      double tolerance, double *worst);

/* Names of all operator kinds, NULL-ended, and the one line that src/graph/kinds.def says of each (NULL: no such kind). */
const char *const *thaw_op_names(void);
const char *thaw_op_doc(const char *kind);

#ifdef __cplusplus
}
#endif
#endif
