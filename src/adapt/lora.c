#include "adapt/adapt_impl.h"

#include "thaw/kern.h"

#include <math.h>
#include <string.h>

#define SUFFIX_MAGNITUDE ".lora_magnitude_vector"

static bool is_linear(const thaw_node *node)
{
    return adapt_is(node, "linear") && node->attr.linear.gelu == 0;
}

/* A table that tokens look rows up in. */
static bool is_table(const thaw_node *node)
{
    return adapt_is(node, "embedding") && node->attr.embedding.rule == THAW_EMBED_IDS;
}

static bool takes(const thaw_node *node)
{
    return adapt_is(node, "conv2d") || is_linear(node) || is_table(node);
}

/* Of vision transformers, DistilBERT and RoBERTa, where there is no target: queries and values, as Hu et al. 2021 (arXiv:2106.09685,
 * section 4.2) and PEFT choose; in timm's networks they are one layer with the keys. RoBERTa has BERT's names, but its pooler belongs to
 * transformers' head, which PEFT saves whole. */
static const char *const attention[] = {"*.attn.qkv", "*.attention.attention.query",
                                        "*.attention.attention.value", "*.attention.q_lin",
                                        "*.attention.v_lin"};

static const char *const roberta[] = {"*.attention.self.query", "*.attention.self.value"};

static bool is_attention(const thaw_model *model, const thaw_node *node)
{
    const thaw_model_arch *arch = NULL;
    return adapt_any_matches(attention, sizeof attention / sizeof *attention, node->name) ||
           (adapt_any_matches(roberta, sizeof roberta / sizeof *roberta, node->name) &&
            thaw_model_arch_find(model->spec.arch, &arch) == THAW_OK &&
            strcmp(arch->family, "roberta") == 0);
}

static bool has_attention(const thaw_model *model)
{
    const thaw_graph *g = model->graph;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (adapt_is_module(g, node) && is_linear(node) && is_attention(model, node))
            return true;
    }
    return false;
}

/* Without targets, tables are left alone, and grouped and dilated convolutions: check_module says why. */
static bool wanted(const thaw_model *model, const thaw_peft *peft, bool known,
                   const thaw_node *node)
{
    if (peft->targets.count > 0)
        return adapt_named(&peft->targets, node);
    return known ? is_attention(model, node) : is_linear(node) || adapt_is_plain_conv(node);
}

/* Grouped and dilated convolutions have no form that Hugging Face PEFT reads back the same way. */
static thaw_status check_module(const thaw_model *model, const thaw_node *node,
                                const thaw_peft *peft)
{
    const thaw_param *w = thaw_graph_param(model->graph, node->params[0]);
    int64_t out = w->shape.dim[0];
    int64_t in = thaw_shape_count(&w->shape) / out;
    int64_t most = out < in ? out : in;
    THAW_CHECK(!adapt_is(node, "conv2d") || adapt_is_plain_conv(node), THAW_ERR_CONFIG,
               "lora cannot adapt convolution \"%s\" with %lld groups and dilation %lld; "
               "leave it out with peft.targets",
               node->name, (long long)node->attr.conv2d.groups,
               (long long)node->attr.conv2d.dilation_h);
    THAW_CHECK(peft->rank <= most, THAW_ERR_CONFIG,
               "peft.rank %lld exceeds layer \"%s\" (%lld x %lld); choose a rank up to %lld or "
               "leave the layer out with peft.targets",
               (long long)peft->rank, node->name, (long long)out, (long long)in, (long long)most);
    THAW_CHECK(!is_table(node) || !peft->dora, THAW_ERR_CONFIG,
               "peft.dora has no form for table \"%s\"; leave it out with peft.targets",
               node->name);
    THAW_CHECK(!is_table(node) || peft->dropout == 0, THAW_ERR_CONFIG,
               "peft.dropout has no form for table \"%s\", whose input is tokens; leave it out "
               "with peft.targets",
               node->name);
    return THAW_OK;
}

static thaw_value add_convs(thaw_graph *g, const thaw_node *node, thaw_value x, int64_t rank,
                            float scaling)
{
    char a[256];
    char b[256];
    bool fits = thaw_format(a, sizeof a, "%s.lora_A", node->name) &&
                thaw_format(b, sizeof b, "%s.lora_B", node->name);
    THAW_ASSERT(fits);
    thaw_conv2d_attr attr = node->attr.conv2d;
    attr.out_channels = rank;
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

/* What comes in place of the node's output. kaiming_uniform(a = sqrt 5) of PEFT's A is a bound of sqrt(6 / (6 fan_in)): the
 * default of a linear layer. */
static thaw_value add_pair(thaw_graph *g, const thaw_node *node, const thaw_peft *peft,
                           float scaling)
{
    thaw_value x = node->inputs[0];
    const thaw_embedding_attr *table = &node->attr.embedding;
    if (is_table(node))
        return thaw_graph_low_rank_rows(g, node->name, node->output, x, table->rows, table->pad_id,
                                        peft->rank, scaling);
    if (peft->dropout > 0)
        x = thaw_graph_dropout(g, x, (float)peft->dropout);
    x = is_linear(node) ? thaw_graph_low_rank(g, node->name, node->output, x, peft->rank, scaling)
                        : add_convs(g, node, x, peft->rank, scaling);
    return peft->dora ? thaw_graph_magnitude(g, node->name, x, scaling) : x;
}

/* Updates read the node's own output: everything from its first user on is the new value's. */
static void attach_one(thaw_graph *g, int32_t index, const thaw_peft *peft)
{
    const thaw_node *node = thaw_graph_node(g, index);
    double scaling = peft->alpha / (peft->rslora ? sqrt((double)peft->rank) : (double)peft->rank);
    int32_t update =
        thaw_graph_node_count(g) + (peft->dropout > 0 ? 1 : 0) + (adapt_is(node, "conv2d") ? 2 : 0);
    adapt_enter_block(g, node);
    thaw_value sum = add_pair(g, node, peft, (float)scaling);
    if (sum >= 0)
        thaw_graph_replace_uses(g, node->output, sum, update);
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    thaw_graph *g = model->graph;
    const bool known = has_attention(model);
    int32_t count = thaw_graph_node_count(g);
    int32_t params = thaw_graph_param_count(g);
    for (int32_t n = 0; n < count; n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (!adapt_is_module(g, node) || !takes(node) || !wanted(model, peft, known, node))
            continue;
        THAW_TRY(check_module(model, node, peft));
        attach_one(g, n, peft);
    }
    adapt_mark_new(g, params);
    return THAW_OK;
}

/* Dora starts with the lengths that the backbone's rows have. */
static void start(thaw_model *model)
{
    const thaw_graph *g = model->graph;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        thaw_param *magnitude = adapt_param_of(g, node, SUFFIX_MAGNITUDE);
        if (!adapt_is_module(g, node) || !magnitude)
            continue;
        const thaw_param *w = thaw_graph_param(g, node->params[0]);
        int64_t O = w->shape.dim[0];
        thaw_kern_row_norms(O, thaw_shape_count(&w->shape) / O, w->data, magnitude->data);
    }
}

/* ---- Merging ---- */

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

/* table (rows, D) += scaling A' (rows, R) B' (R, D) */
static void fold_table(thaw_param *table, thaw_param *a, const thaw_param *b, float scaling)
{
    int64_t rows = table->shape.dim[0];
    int64_t D = table->shape.dim[1];
    int64_t R = a->shape.dim[0];
    for (int64_t i = 0; i < rows * D; i++) {
        double sum = 0;
        for (int64_t r = 0; r < R; r++)
            sum += (double)a->data[r * rows + i / D] * b->data[i % D * R + r];
        table->data[i] += scaling * (float)sum;
    }
    thaw_kern_fill(R * rows, 0, a->data);
}

/* Rows get their trained lengths; then the lengths are what the rows have. */
static thaw_status fold_magnitude(thaw_param *w, thaw_param *magnitude)
{
    int64_t O = w->shape.dim[0];
    int64_t I = thaw_shape_count(&w->shape) / O;
    float *norms = NULL;
    THAW_TRY(thaw_alloc(&norms, O, sizeof *norms));
    thaw_kern_row_norms(O, I, w->data, norms);
    for (int64_t o = 0; o < O; o++) {
        if (norms[o] > 0)
            thaw_kern_scale(I, magnitude->data[o] / norms[o], w->data + o * I);
    }
    thaw_kern_row_norms(O, I, w->data, magnitude->data);
    thaw_free(&norms);
    return THAW_OK;
}

/* What an update is added to, and with which factor; NULL: this node is no update. */
static const thaw_node *updated(const thaw_graph *g, const thaw_node *sum, float *scaling)
{
    if (adapt_is(sum, "low_rank") || adapt_is(sum, "low_rank_rows")) {
        *scaling = sum->attr.low_rank.scale;
        return adapt_producer(g, sum->inputs[0]);
    }
    if (!adapt_is(sum, "add"))
        return NULL;
    const thaw_node *last = adapt_producer(g, sum->inputs[1]);
    if (!last || last->param_count == 0 || !thaw_graph_param(g, last->params[0])->adapter)
        return NULL;
    *scaling = sum->attr.add.alpha;
    return adapt_producer(g, sum->inputs[0]);
}

static thaw_status merge(thaw_model *model)
{
    thaw_graph *g = model->graph;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        float scaling = 0;
        const thaw_node *base = updated(g, thaw_graph_node(g, n), &scaling);
        if (!base)
            continue;
        thaw_param *w = thaw_graph_param(g, base->params[0]);
        thaw_param *magnitude = adapt_param_of(g, base, SUFFIX_MAGNITUDE);
        THAW_TRY(adapt_own(g, w));
        if (is_table(base)) {
            fold_table(w, adapt_param_of(g, base, ".lora_embedding_A"),
                       adapt_param_of(g, base, ".lora_embedding_B"), scaling);
            continue;
        }
        fold(w, adapt_param_of(g, base, ".lora_A.weight"),
             adapt_param_of(g, base, ".lora_B.weight"), scaling);
        if (magnitude)
            THAW_TRY(fold_magnitude(w, magnitude));
    }
    return THAW_OK;
}

static void describe(const thaw_model *model, thaw_str *out)
{
    int lengths = adapt_count_suffix(model, SUFFIX_MAGNITUDE);
    int modules =
        adapt_count_suffix(model, ".lora_B.weight") + adapt_count_suffix(model, "lora_embedding_B");
    thaw_str_printf(out, "%s in %d modules", lengths > 0 ? "lora with dora" : "lora", modules);
}

const adapt_method adapt_kind_lora = {.name = "lora",
                                      .takes = takes,
                                      .goes_to = "convolutions, linear layers and tables of tokens",
                                      .attach = attach,
                                      .start = start,
                                      .trains = adapt_trains_adapter,
                                      .merge = merge,
                                      .describe = describe};
