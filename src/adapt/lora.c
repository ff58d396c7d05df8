#include "adapt/adapt_impl.h"

#include "thaw/kern.h"

#include <math.h>
#include <string.h>

#define SUFFIX_A ".lora_A.weight"
#define SUFFIX_B ".lora_B.weight"

static bool is_conv(const thaw_node *node)
{
    return strcmp(thaw_node_kind(node), "conv2d") == 0;
}

static bool is_linear(const thaw_node *node)
{
    return strcmp(thaw_node_kind(node), "linear") == 0 && node->attr.linear.gelu == 0;
}

/* The head trains itself, and an adapter is not adapted. */
static bool can_have(const thaw_graph *g, const thaw_node *node)
{
    return (is_conv(node) || is_linear(node)) && node->block >= 0 &&
           !thaw_graph_param(g, node->params[0])->adapter;
}

static bool target_names(const char *target, const thaw_node *node)
{
    if (strcmp(target, "conv") == 0)
        return is_conv(node);
    if (strcmp(target, "linear") == 0)
        return is_linear(node);
    return thaw_match(target, node->name);
}

static bool is_word(const char *target)
{
    return strcmp(target, "conv") == 0 || strcmp(target, "linear") == 0;
}

/* Without targets, grouped and dilated convolutions are left alone: check_module says why. */
static bool is_plain(const thaw_node *node)
{
    const thaw_conv2d_attr *conv = &node->attr.conv2d;
    return !is_conv(node) || (conv->groups == 1 && conv->dilation_h == 1 && conv->dilation_w == 1);
}

static bool wanted(const thaw_peft *peft, const thaw_node *node)
{
    for (int64_t i = 0; i < peft->targets.count; i++) {
        if (target_names(peft->targets.items[i], node))
            return true;
    }
    return peft->targets.count == 0 && is_plain(node);
}

/* A pattern that names no module is a mistake; the words conv and linear may well find nothing. */
static thaw_status check_targets(const thaw_model *model, const thaw_peft *peft)
{
    for (int64_t i = 0; i < peft->targets.count; i++) {
        const char *target = peft->targets.items[i];
        bool found = is_word(target);
        for (int32_t n = 0; n < thaw_graph_node_count(model->graph) && !found; n++) {
            const thaw_node *node = thaw_graph_node(model->graph, n);
            found = can_have(model->graph, node) && thaw_match(target, node->name);
        }
        if (!found)
            return adapt_no_match(model, "peft.targets", target);
    }
    return THAW_OK;
}

/* Grouped and dilated convolutions have no form that Hugging Face PEFT reads back the same way. */
static thaw_status check_module(const thaw_model *model, const thaw_node *node, int64_t rank)
{
    const thaw_param *w = thaw_graph_param(model->graph, node->params[0]);
    int64_t out = w->shape.dim[0];
    int64_t in = thaw_shape_count(&w->shape) / out;
    THAW_CHECK(is_plain(node), THAW_ERR_CONFIG,
               "lora cannot adapt convolution \"%s\" with %lld groups and dilation %lld; "
               "leave it out with peft.targets",
               node->name, (long long)node->attr.conv2d.groups,
               (long long)node->attr.conv2d.dilation_h);
    int64_t most = out < in ? out : in;
    THAW_CHECK(rank <= most, THAW_ERR_CONFIG,
               "peft.rank %lld exceeds layer \"%s\" (%lld x %lld); choose a rank up to %lld or "
               "leave the layer out with peft.targets",
               (long long)rank, node->name, (long long)out, (long long)in, (long long)most);
    return THAW_OK;
}

/* What comes in place of the node's output. */
static thaw_value add_pair(thaw_graph *g, const thaw_node *node, const thaw_peft *peft,
                           float scaling)
{
    char a[256];
    char b[256];
    thaw_value x = node->inputs[0];
    bool fits = thaw_format(a, sizeof a, "%s.lora_A", node->name) &&
                thaw_format(b, sizeof b, "%s.lora_B", node->name);
    THAW_ASSERT(fits);
    if (peft->dropout > 0)
        x = thaw_graph_dropout(g, x, (float)peft->dropout);
    if (is_linear(node))
        return thaw_graph_low_rank(g, node->name, node->output, x, peft->rank, scaling);
    thaw_conv2d_attr attr = node->attr.conv2d;
    attr.out_channels = peft->rank;
    attr.bias = false;
    attr.init = THAW_INIT_KAIMING_UNIFORM;
    x = thaw_graph_conv2d(g, a, x, &attr);
    attr = (thaw_conv2d_attr){.out_channels = node->attr.conv2d.out_channels,
                              .kernel_h = 1,
                              .kernel_w = 1,
                              .stride_h = 1,
                              .stride_w = 1,
                              .dilation_h = 1,
                              .dilation_w = 1,
                              .groups = 1,
                              .init = THAW_INIT_ZERO};
    return thaw_graph_add(g, node->output, thaw_graph_conv2d(g, b, x, &attr), scaling);
}

/* kaiming_uniform(a = sqrt 5) of PEFT's A is a bound of sqrt(6 / (6 fan_in)): the default of a linear layer. */
static void mark_pair(thaw_graph *g, const thaw_node *node)
{
    const char *const suffixes[] = {SUFFIX_A, SUFFIX_B};
    for (int i = 0; i < 2; i++) {
        char name[256];
        bool fits = thaw_format(name, sizeof name, "%s%s", node->name, suffixes[i]);
        int32_t index = thaw_graph_find_param(g, name);
        THAW_ASSERT(fits && index >= 0);
        thaw_param *p = thaw_graph_param(g, index);
        p->adapter = true;
        p->init = i == 0 ? THAW_INIT_KAIMING_UNIFORM : THAW_INIT_ZERO;
    }
}

static void attach_one(thaw_graph *g, int32_t index, const thaw_peft *peft)
{
    const thaw_node *node = thaw_graph_node(g, index);
    double scaling = peft->alpha / (peft->rslora ? sqrt((double)peft->rank) : (double)peft->rank);
    char block[128];
    bool fits = thaw_copy(block, sizeof block, thaw_graph_block_name(g, node->block));
    THAW_ASSERT(fits);
    thaw_graph_set_block(g, node->block, block);
    thaw_value sum = add_pair(g, node, peft, (float)scaling);
    if (sum < 0)
        return;
    mark_pair(g, node);
    thaw_graph_replace_uses(g, node->output, sum, thaw_graph_node_count(g) - 1);
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    thaw_graph *g = model->graph;
    int32_t modules = 0;
    THAW_TRY(check_targets(model, peft));
    int32_t count = thaw_graph_node_count(g);
    for (int32_t n = 0; n < count; n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (!can_have(g, node) || !wanted(peft, node))
            continue;
        THAW_TRY(check_module(model, node, peft->rank));
        attach_one(g, n, peft);
        modules++;
    }
    THAW_CHECK(modules > 0, THAW_ERR_CONFIG,
               "peft.targets names no convolution or linear layer of %s outside the head; use "
               "conv, linear or a module name",
               model->spec.arch);
    return THAW_OK;
}

static bool trains(const thaw_param *p)
{
    return p->adapter;
}

/* Producer of a value; NULL for the input. */
static const thaw_node *producer(const thaw_graph *g, thaw_value v)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (node->output == v)
            return node;
    }
    return NULL;
}

static thaw_param *pair_param(const thaw_graph *g, const thaw_node *base, const char *suffix)
{
    char name[256];
    bool fits = thaw_format(name, sizeof name, "%s%s", base->name, suffix);
    int32_t index = fits ? thaw_graph_find_param(g, name) : -1;
    return index < 0 ? NULL : thaw_graph_param(g, index);
}

/* W (O, I) += scaling B (O, R) A (R, I); for a convolution I = C KH KW, since B is a 1x1 convolution. */
static void fold(thaw_param *w, const thaw_param *a, thaw_param *b, float scaling)
{
    int64_t O = w->shape.dim[0];
    int64_t I = thaw_shape_count(&w->shape) / O;
    int64_t R = a->shape.dim[0];
    for (int64_t o = 0; o < O; o++) {
        for (int64_t r = 0; r < R; r++)
            thaw_kern_axpy(I, scaling * b->data[o * R + r], a->data + r * I, w->data + o * I);
    }
    thaw_kern_fill(O * R, 0, b->data);
}

/* What an update is added to, and with which factor; NULL: this node is no update. */
static const thaw_node *updated(const thaw_graph *g, const thaw_node *sum, float *scaling)
{
    if (strcmp(thaw_node_kind(sum), "low_rank") == 0) {
        *scaling = sum->attr.low_rank.scale;
        return producer(g, sum->inputs[0]);
    }
    if (strcmp(thaw_node_kind(sum), "add") != 0)
        return NULL;
    const thaw_node *last = producer(g, sum->inputs[1]);
    if (!last || last->param_count == 0 || !thaw_graph_param(g, last->params[0])->adapter)
        return NULL;
    *scaling = sum->attr.add.alpha;
    return producer(g, sum->inputs[0]);
}

static thaw_status merge(thaw_model *model)
{
    const thaw_graph *g = model->graph;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        float scaling = 0;
        const thaw_node *base = updated(g, thaw_graph_node(g, n), &scaling);
        if (!base)
            continue;
        thaw_param *w = thaw_graph_param(g, base->params[0]);
        THAW_CHECK(!w->borrowed, THAW_ERR_FAIL,
                   "cannot merge into \"%s\": its memory belongs to somebody else", w->name);
        fold(w, pair_param(g, base, SUFFIX_A), pair_param(g, base, SUFFIX_B), scaling);
    }
    return THAW_OK;
}

static void describe(const thaw_model *model, thaw_str *out)
{
    int modules = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++)
        modules += thaw_ends_with(thaw_graph_param(model->graph, i)->name, SUFFIX_B) ? 1 : 0;
    thaw_str_printf(out, "lora in %d modules", modules);
}

const adapt_method adapt_kind_lora = {
    .name = "lora", .attach = attach, .trains = trains, .merge = merge, .describe = describe};
