/* adapt_impl.h - what one PEFT method gives to the common code. */
#ifndef ADAPT_ADAPT_IMPL_H
#define ADAPT_ADAPT_IMPL_H

#include "thaw/adapt.h"

/* Everything but `trains` and `describe` may be NULL. */
typedef struct adapt_method {
    const char *name;
    /* Which modules it can go to, and the same in words: what peft.targets may name. */
    bool (*takes)(const thaw_node *node);
    const char *goes_to;
    /* Adds the method's nodes and parameters (adapter = true) to a finished graph. */
    thaw_status (*attach)(thaw_model *model, const thaw_peft *peft);
    /* Values that depend on the backbone's, after the init rules have set the adapter's. */
    void (*start)(thaw_model *model);
    /* Whether a parameter that is not of the head is part of the method's surface. */
    bool (*trains)(const thaw_param *p);
    /* What thaw_adapt_merge does; NULL: the method trains the backbone's own weights. */
    thaw_status (*merge)(thaw_model *model);
    /* One phrase: "lora in 20 modules". Appends. */
    void (*describe)(const thaw_model *model, thaw_str *out);
} adapt_method;

#define THAW_KIND(name, doc) extern const adapt_method adapt_kind_##name;
#include "adapt/kinds.def"
#undef THAW_KIND

const adapt_method *adapt_method_at(int method);
/* Of the method that a model has attached; NULL: none. */
const adapt_method *adapt_method_of(const thaw_model *model);

/* ---- Modules that a method goes to ---- */

bool adapt_is(const thaw_node *node, const char *kind);
/* A named module of the backbone with weights, and no adapter. */
bool adapt_is_module(const thaw_graph *g, const thaw_node *node);
bool adapt_any_matches(const char *const *patterns, size_t count, const char *name);
/* A convolution without groups and dilation. */
bool adapt_is_plain_conv(const thaw_node *node);
/* Whether one of the targets (a word: conv, linear, embedding, norm; or a pattern of module names) means this node. */
bool adapt_named(const thaw_strings *targets, const thaw_node *node);
/* THAW_ERR_CONFIG for a target that names modules, but none which the method takes, and for a pattern that names none at all; a
 * word may well find nothing. */
THAW_NODISCARD thaw_status adapt_check_targets(const thaw_model *model, const char *what,
                                               const thaw_strings *targets,
                                               const adapt_method *method);
/* What the network has of what the method takes: "conv (19 modules), linear (1 module)". Appends. */
void adapt_list_modules(const thaw_model *model, const adapt_method *method, thaw_str *out);
/* What the graph gets next belongs to the node's block. */
void adapt_enter_block(thaw_graph *g, const thaw_node *node);
/* "<module><suffix>"; NULL: there is none. */
thaw_param *adapt_param_of(const thaw_graph *g, const thaw_node *node, const char *suffix);
/* Parameters from `first_param` on are the method's. */
void adapt_mark_new(thaw_graph *g, int32_t first_param);
const thaw_node *adapt_producer(const thaw_graph *g, thaw_value v); /* NULL: the input */
int adapt_count_suffix(const thaw_model *model, const char *suffix);
/* A table of places, one for each token of a text. */
bool adapt_has_places(const thaw_node *node);
/* How many places there are for tokens, of a prompt or a prefix among them; INT64_MAX: the network has no such table. */
int64_t adapt_most_tokens(const thaw_graph *g);
bool adapt_trains_adapter(const thaw_param *p);
/* The parameter's memory becomes the graph's own, with the same values: others may look at what it was. */
THAW_NODISCARD thaw_status adapt_own(thaw_graph *g, thaw_param *p);
/* Output of a module becomes factor times it plus summand (NULL: none): into its weight's rows and its bias. */
THAW_NODISCARD thaw_status adapt_fold_output(thaw_graph *g, const thaw_node *module,
                                             const float *factor, const float *summand);

/* ---- Bottlenecks: "<module>.adapter_down" and ".adapter_up" ---- */

typedef thaw_value adapt_act(thaw_graph *g, thaw_value x);
bool adapt_takes_bottleneck(const thaw_node *node);
/* One after each target, or without targets after each module that is wanted; how many. */
int32_t adapt_insert_after_modules(thaw_model *model, const thaw_peft *peft,
                                   bool (*wanted)(const thaw_node *node), adapt_act *act);
void adapt_insert_after_blocks(thaw_model *model, const thaw_peft *peft, adapt_act *act);
/* The merge of a method that cannot be merged. */
THAW_NODISCARD thaw_status adapt_refuse_merge(thaw_model *model);
void adapt_describe_bottlenecks(const thaw_model *model, thaw_str *out);

/* Marks the head, and what the patterns of a partial rung name. THAW_ERR_CONFIG for a pattern that names nothing. */
THAW_NODISCARD thaw_status adapt_mark_patterns(thaw_model *model, const char *patterns);
/* An error for a pattern that names nothing: suggests among blocks, stages and modules. */
THAW_NODISCARD thaw_status adapt_no_match(const thaw_model *model, const char *what,
                                          const char *pattern);

#endif
