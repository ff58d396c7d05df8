/* thaw/adapt.h - how deep a network is adapted: rungs of the ladder, freeze policies, PEFT methods, merging.
 *
 * Order: thaw_model_new -> load or initialize weights -> thaw_adapt_apply (attaches the PEFT method, marks what trains, analyzes
 * the graph) -> thaw_plan_new. A plan made before an apply is stale. Nothing here communicates. */
#ifndef THAW_ADAPT_H
#define THAW_ADAPT_H

#include "thaw/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Rungs ------------------------------------------------------------------------------------------------- */

typedef enum thaw_rung_kind {
    THAW_RUNG_SCRATCH, /* everything, from random weights (the caller initializes) */
    THAW_RUNG_FROZEN,  /* the head */
    THAW_RUNG_PEFT,    /* the head and the surface of a PEFT method */
    THAW_RUNG_PARTIAL, /* the head and some blocks */
    THAW_RUNG_FULL     /* everything, from the backbone's weights */
} thaw_rung_kind;

/* A plain value. partial has one of: last = K, first = K, or patterns.
 *   "partial:2"         head and the last two blocks
 *   "partial:first:2"   head, the stem and the first two blocks
 *   "partial:layer3,layer1.0,conv*"   head and what the comma-separated patterns name: a block ("layer3.1", "stem"), a stage
 *                       ("layer3"), or a glob on module or parameter names ("*.bn2", "layer1.*.weight") */
typedef struct thaw_rung {
    thaw_rung_kind kind;
    int64_t last, first;
    char patterns[256];
} thaw_rung;

/* Accepts "scratch", "frozen", "peft", "partial:...", "full". THAW_ERR_CONFIG with a suggestion. */
THAW_NODISCARD thaw_status thaw_rung_parse(const char *text, thaw_rung *out);
/* The text that parses to this rung; also the rung's name in reports. */
#define THAW_RUNG_TEXT 280
void thaw_rung_format(const thaw_rung *rung, char out[THAW_RUNG_TEXT]);
bool thaw_rung_equal(const thaw_rung *a, const thaw_rung *b);
/* For sorting the ladder: scratch -1; frozen 0, peft 1, partial 2 (a larger K is deeper, by `last`), full 3. Negative,
 * zero or positive like strcmp; scratch stands before all. */
int thaw_rung_compare(const thaw_rung *a, const thaw_rung *b);

/* ---- PEFT methods ------------------------------------------------------------------------------------------- */

/* Settings of the peft rung; fields of other methods are ignored by a method. */
typedef struct thaw_peft {
    int method;   /* index in thaw_peft_names() */
    int64_t rank; /* lora */
    double alpha; /* lora: the update is scaled by alpha / rank */
    bool rslora;  /* lora: by alpha / sqrt(rank) instead (Kalajdzievski 2023, arXiv:2312.03732) */
    bool dora;    /* lora: trains the lengths of the weight rows too (Liu et al. 2024,
                     * arXiv:2402.09353) */
    double lora_plus; /* lora: thaw_adapt_rate_factor of B (Hayou et al. 2024, arXiv:2402.12354) */
    double dropout;   /* lora: on the update's input, while training */
    thaw_strings
        targets; /* all but bitfit and norm: words "conv", "linear", "embedding", "norm", or globs on
                           * module names; none: the method's own choice */
    thaw_strings feedforward; /* ia3: which targets get factors on their input */
    int64_t bottleneck;       /* houlsby, pfeiffer: features inside; 0: a sixteenth, at least 4 */
    int64_t
        virtual_tokens; /* prompt, prefix, vpt: how many vectors join the words, the keys and values, the patches */
    bool deep; /* vpt: new ones in each layer */
} thaw_peft;

extern const thaw_field thaw_peft_fields[];
/* The presets of the table, for callers without a config. Targets: none. */
void thaw_peft_defaults(thaw_peft *out);
/* "lora", "bitfit", ...: NULL-ended, in the order of `method`. */
const char *const *thaw_peft_names(void);
const char *thaw_peft_doc(int method);
/* What multiplies the learning rate of a parameter: lora_plus for B of lora and for the lengths of dora's rows, else 1. */
double thaw_adapt_rate_factor(const thaw_peft *peft, const thaw_param *p);

/* ---- Applying ----------------------------------------------------------------------------------------------- */

/* Makes the model that of the rung: for peft attaches the method's parameters ("<module>.lora_A.weight", "<module>.lora_B.weight",
 * "<module>.ia3_l", ..., as Hugging Face PEFT names them, block of their base module) and sets them (A as PyTorch's linear, B
 * zero, factors one: the function is unchanged, but for prompts and prefixes, which are drawn as BERT's tables are); marks trainable; runs thaw_graph_analyze. peft is read for that rung only (else NULL is
 * fine). Attach at most once a model; other rungs may be applied again and again, and never train an adapter that is there.
 * THAW_ERR_CONFIG: K beyond the number of blocks, a pattern or target that names nothing (with a suggestion), rank too
 * large for a layer, a second attach. On an error the model is only good for free. */
THAW_NODISCARD thaw_status thaw_adapt_apply(thaw_model *model, const thaw_rung *rung,
                                            const thaw_peft *peft, uint64_t seed);

/* What a rung would train, without touching the model's weights: builds a copy of the graph from the spec. For `thaw check`. */
typedef struct thaw_adapt_counts {
    int64_t total; /* parameters with adapters, without buffers */
    int64_t trainable;
    int64_t head, backbone, adapter; /* the trainable ones, by where they are */
} thaw_adapt_counts;
void thaw_adapt_count(const thaw_model *model, thaw_adapt_counts *out);
THAW_NODISCARD thaw_status thaw_adapt_count_rung(const thaw_model_spec *spec, const thaw_rung *rung,
                                                 const thaw_peft *peft, thaw_adapt_counts *out);

/* Lists the trainable blocks for people: "head, layer3.1, layer3.2" or "head, lora in 20 modules". Appends. */
void thaw_adapt_describe(const thaw_model *model, thaw_str *out);

/* Folds adapters into the base weights and makes them do nothing (lora_B becomes zero, factors one), so that the same graph still
 * computes the adapted function and the base weights can be exported alone. Weights in memory of others get memory of the graph's
 * own first; plans made before are stale. THAW_OK and no change without adapters;
 * THAW_ERR_CONFIG for a method that adds what no weight can hold (houlsby, pfeiffer, prompt, prefix, vpt). */
THAW_NODISCARD thaw_status thaw_adapt_merge(thaw_model *model);
/* Whether thaw_adapt_merge can; true without adapters. */
bool thaw_adapt_merges(const thaw_model *model);

/* The same with a proof: logits of B probe samples (as a plan takes them) before and after. Merging reorders sums in float, so
 * they may differ by the bound; if they differ by more, THAW_ERR_NUMERIC names both, and the model is only good for free. */
#define THAW_MERGE_BOUND 1e-4 /* of the largest logit */
typedef struct thaw_merge_proof {
    double largest;    /* magnitude of a logit before */
    double difference; /* largest between before and after, of `largest` */
} thaw_merge_proof;
THAW_NODISCARD thaw_status thaw_adapt_merge_proved(thaw_model *model, const thaw_kern *kern,
                                                   const float *input, int64_t B,
                                                   thaw_merge_proof *out);

/* Digest of what does not train now (frozen means bit-identical), and of the backbone: neither head nor adapter. */
THAW_NODISCARD thaw_status thaw_adapt_digest_frozen(const thaw_model *model, thaw_digest *out);
THAW_NODISCARD thaw_status thaw_adapt_digest_backbone(const thaw_model *model, thaw_digest *out);

#ifdef __cplusplus
}
#endif
#endif
