/* Which modules a method goes to, and small tools over a graph's nodes that methods share. */
#include "adapt/adapt_impl.h"

#include "thaw/kern.h"

#include <string.h>

bool adapt_is(const thaw_node *node, const char *kind)
{
    return strcmp(thaw_node_kind(node), kind) == 0;
}

bool adapt_any_matches(const char *const *patterns, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (thaw_match(patterns[i], name))
            return true;
    }
    return false;
}

bool adapt_is_module(const thaw_graph *g, const thaw_node *node)
{
    return node->name[0] != '\0' && node->block >= 0 && node->param_count > 0 &&
           !thaw_graph_param(g, node->params[0])->adapter;
}

bool adapt_is_plain_conv(const thaw_node *node)
{
    const thaw_conv2d_attr *conv = &node->attr.conv2d;
    return adapt_is(node, "conv2d") && conv->groups == 1 && conv->dilation_h == 1 &&
           conv->dilation_w == 1;
}

static const struct {
    const char *word;
    const char *kinds[2];
} words[] = {{"conv", {"conv2d", NULL}},
             {"linear", {"linear", NULL}},
             {"embedding", {"embedding", NULL}},
             {"norm", {"batch_norm", "layer_norm"}}};
#define WORDS (sizeof words / sizeof *words)

/* -1: no word. */
static int word_of(const char *target)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (strcmp(words[i].word, target) == 0)
            return (int)i;
    }
    return -1;
}

static bool names(const char *target, const thaw_node *node)
{
    int word = word_of(target);
    if (word < 0)
        return thaw_match(target, node->name);
    for (int i = 0; i < 2; i++) {
        if (words[word].kinds[i] && adapt_is(node, words[word].kinds[i]))
            return true;
    }
    return false;
}

bool adapt_named(const thaw_strings *targets, const thaw_node *node)
{
    for (int64_t i = 0; i < targets->count; i++) {
        if (names(targets->items[i], node))
            return true;
    }
    return false;
}

static thaw_status check_target(const thaw_model *model, const char *what, const char *target,
                                const adapt_method *method)
{
    const thaw_graph *g = model->graph;
    bool named = false;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (!adapt_is_module(g, node) || !names(target, node))
            continue;
        if (method->takes(node))
            return THAW_OK;
        named = true;
    }
    if (!named)
        return word_of(target) >= 0 ? THAW_OK : adapt_no_match(model, what, target);
    thaw_str there = {0};
    adapt_list_modules(model, method, &there);
    const thaw_status status = THAW_FAIL(
        THAW_ERR_CONFIG, "%s: %s cannot go to \"%s\" in %s; it goes to %s, and there are %s", what,
        method->name, target, model->spec.arch, method->goes_to, thaw_str_c(&there));
    thaw_str_clear(&there);
    return status;
}

thaw_status adapt_check_targets(const thaw_model *model, const char *what,
                                const thaw_strings *targets, const adapt_method *method)
{
    for (int64_t i = 0; i < targets->count; i++)
        THAW_TRY(check_target(model, what, targets->items[i], method));
    return THAW_OK;
}

void adapt_list_modules(const thaw_model *model, const adapt_method *method, thaw_str *out)
{
    const thaw_graph *g = model->graph;
    int listed = 0;
    for (size_t i = 0; i < WORDS; i++) {
        int count = 0;
        for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
            const thaw_node *node = thaw_graph_node(g, n);
            count += adapt_is_module(g, node) && method->takes(node) && names(words[i].word, node);
        }
        if (count > 0)
            thaw_str_printf(out, "%s%s (%d module%s)", listed++ > 0 ? ", " : "", words[i].word,
                            count, count > 1 ? "s" : "");
    }
    if (listed == 0)
        thaw_str_add(out, "none");
}

void adapt_enter_block(thaw_graph *g, const thaw_node *node)
{
    char block[128];
    bool fits = thaw_copy(block, sizeof block, thaw_graph_block_name(g, node->block));
    THAW_ASSERT(fits);
    thaw_graph_set_block(g, node->block, block);
}

thaw_param *adapt_param_of(const thaw_graph *g, const thaw_node *node, const char *suffix)
{
    char name[256];
    bool fits = thaw_format(name, sizeof name, "%s%s", node->name, suffix);
    int32_t index = fits ? thaw_graph_find_param(g, name) : -1;
    return index < 0 ? NULL : thaw_graph_param(g, index);
}

void adapt_mark_new(thaw_graph *g, int32_t first_param)
{
    for (int32_t i = first_param; i < thaw_graph_param_count(g); i++)
        thaw_graph_param(g, i)->adapter = true;
}

const thaw_node *adapt_producer(const thaw_graph *g, thaw_value v)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (node->output == v)
            return node;
    }
    return NULL;
}

int adapt_count_suffix(const thaw_model *model, const char *suffix)
{
    int modules = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++)
        modules += thaw_ends_with(thaw_graph_param(model->graph, i)->name, suffix) ? 1 : 0;
    return modules;
}

bool adapt_has_places(const thaw_node *node)
{
    return adapt_is(node, "embedding") && (node->attr.embedding.rule == THAW_EMBED_POSITIONS ||
                                           node->attr.embedding.rule == THAW_EMBED_COUNTED);
}

int64_t adapt_most_tokens(const thaw_graph *g)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        const thaw_embedding_attr *a = &node->attr.embedding;
        if (adapt_has_places(node))
            return a->rule == THAW_EMBED_COUNTED ? a->rows - a->pad_id - 1 : a->rows;
    }
    return INT64_MAX;
}

bool adapt_trains_adapter(const thaw_param *p)
{
    return p->adapter;
}

thaw_status adapt_own(thaw_graph *g, thaw_param *p)
{
    if (!p->borrowed)
        return THAW_OK;
    const float *from = p->data;
    thaw_graph_set_data(g, thaw_graph_find_param(g, p->name), NULL);
    THAW_TRY(thaw_graph_finish(g));
    memcpy(p->data, from, (size_t)thaw_shape_count(&p->shape) * sizeof(float));
    return THAW_OK;
}

/* The first dimension of a weight is its outputs'; that of a norm's weight has one element each. */
thaw_status adapt_fold_output(thaw_graph *g, const thaw_node *module, const float *factor,
                              const float *summand)
{
    thaw_param *w = thaw_graph_param(g, module->params[0]);
    thaw_param *bias = adapt_param_of(g, module, ".bias");
    int64_t O = w->shape.dim[0];
    int64_t I = thaw_shape_count(&w->shape) / O;
    THAW_TRY(adapt_own(g, w));
    for (int64_t o = 0; o < O; o++)
        thaw_kern_scale(I, factor[o], w->data + o * I);
    if (!bias) {
        THAW_ASSERT(!summand);
        return THAW_OK;
    }
    THAW_TRY(adapt_own(g, bias));
    thaw_kern_multiply(O, bias->data, factor, bias->data, false);
    if (summand)
        thaw_kern_axpy(O, 1, summand, bias->data);
    return THAW_OK;
}
