#include "adapt/adapt_impl.h"

/* Jia et al. 2022, arXiv:2203.12119: vectors behind the class token, before the first layer (shallow), or new ones before each, in
 * the place of what the last layer made of its own (deep). Places are added before, so the prompt has none. What is pooled skips the
 * prompt: the class token, or the mean of the patches. */

static bool is_class_token(const thaw_node *node)
{
    return adapt_is(node, "class_token");
}

static thaw_node *find(const thaw_graph *g, const char *kind)
{
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        if (adapt_is(thaw_graph_node(g, n), kind))
            return thaw_graph_node(g, n);
    }
    return NULL;
}

/* What the block hands on: its last value, before anything is added to the graph. */
static thaw_value end_of(const thaw_graph *g, int32_t block, int32_t count)
{
    thaw_value end = -1;
    for (int32_t n = 0; n < count; n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (node->block == block)
            end = node->output;
    }
    return end;
}

/* Before block `block`, of which `v` is the input. */
static void insert(thaw_model *model, int32_t block, thaw_value v, int64_t rows)
{
    thaw_graph *g = model->graph;
    const int32_t added = thaw_graph_node_count(g);
    char block_name[128];
    char name[160] = "prompt_encoder";
    bool fits = thaw_copy(block_name, sizeof block_name, thaw_graph_block_name(g, block));
    fits = fits && (block == 1 || thaw_format(name, sizeof name, "%s.prompt_encoder", block_name));
    THAW_ASSERT(fits);
    thaw_graph_set_block(g, block, block_name);
    const thaw_value x = thaw_graph_prompt_at(g, name, v, rows, 1, block > 1);
    if (x >= 0)
        thaw_graph_redirect_uses(g, v, x, added);
}

static thaw_status attach(thaw_model *model, const thaw_peft *peft)
{
    thaw_graph *g = model->graph;
    const int32_t params = thaw_graph_param_count(g);
    const thaw_node *token = find(g, "class_token");
    thaw_node *mean = find(g, "mean_patch");
    THAW_CHECK(token != NULL, THAW_ERR_CONFIG,
               "peft.method vpt puts vectors among the patches of a vision transformer, which %s "
               "is not; choose another method",
               model->spec.arch);
    insert(model, 1, token->output, peft->virtual_tokens);
    if (mean != NULL)
        mean->attr.mean_patch.front = peft->virtual_tokens;
    THAW_TRY(thaw_graph_built(g));
    THAW_TRY(thaw_graph_reshape(g)); /* the next ones need the longer shapes */
    const int32_t nodes = thaw_graph_node_count(g);
    for (int32_t block = 2; peft->deep && block <= model->blocks; block++)
        insert(model, block, end_of(g, block - 1, nodes), peft->virtual_tokens);
    adapt_mark_new(g, params);
    return THAW_OK;
}

static void describe(const thaw_model *model, thaw_str *out)
{
    thaw_str_printf(out, "vpt before %d of %d layers",
                    adapt_count_suffix(model, "prompt_encoder.embedding.weight"), model->blocks);
}

const adapt_method adapt_kind_vpt = {.name = "vpt",
                                     .takes = is_class_token,
                                     .goes_to = "the class token of a vision transformer",
                                     .attach = attach,
                                     .trains = adapt_trains_adapter,
                                     .merge = adapt_refuse_merge,
                                     .describe = describe};
