#include "thaw/graph.h"

#include "graph/op_impl.h"

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    const thaw_embedding_attr *a = &node->attr.embedding;
    char text[80];
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(in[0].ndim == 1, THAW_ERR_FAIL, "input %s is no list of tokens (T)", text);
    THAW_CHECK(a->rows > 0 && a->rows < 1 << 24 && a->features > 0, THAW_ERR_FAIL,
               "a table of %lld x %lld; it must have from 1 up to 2^24 rows, and features",
               (long long)a->rows, (long long)a->features);
    const int64_t end = a->skip + in[0].dim[0];
    THAW_CHECK(a->skip >= 0, THAW_ERR_FAIL, "%lld rows to skip; it must be 0 or more",
               (long long)a->skip);
    THAW_CHECK(a->rule != THAW_EMBED_POSITIONS || end <= a->rows, THAW_ERR_FAIL,
               "%lld tokens are more than the table's %lld positions", (long long)end,
               (long long)a->rows);
    THAW_CHECK(a->rule != THAW_EMBED_COUNTED || (a->pad_id >= 0 && a->pad_id + 1 + end <= a->rows),
               THAW_ERR_FAIL, "%lld tokens are more than the table's %lld positions from %lld on",
               (long long)end, (long long)a->rows, (long long)a->pad_id + 1);
    *out = thaw_shape2(in[0].dim[0], a->features);
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    (void)in;
    const thaw_embedding_attr *a = &node->attr.embedding;
    specs[0] = (thaw_param_spec){.suffix = "weight",
                                 .shape = thaw_shape2(a->rows, a->features),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = THAW_INIT_NORMAL,
                                 .fan_in = a->features,
                                 .fan_out = a->features};
    return 1;
}

static int64_t ids_below(const thaw_node *node, int32_t input)
{
    (void)input;
    return node->attr.embedding.rule == THAW_EMBED_IDS ? node->attr.embedding.rows : INT64_MAX;
}

static thaw_keep keep(const thaw_need *need)
{
    const thaw_embed_rule rule = need->node->attr.embedding.rule;
    return (thaw_keep){.input =
                           need->active && (rule == THAW_EMBED_IDS || rule == THAW_EMBED_COUNTED)};
}

/* Which row token i of (B, T) takes. `taken`: that of the sample's last token that is no padding, before and after this one. */
static int64_t row_of(const thaw_embedding_attr *a, int64_t T, int64_t i, const float *ids,
                      int64_t *taken)
{
    if (a->rule == THAW_EMBED_POSITIONS)
        return a->skip + i % T;
    if (a->rule == THAW_EMBED_FIRST)
        return 0;
    if (i % T == 0)
        *taken = a->pad_id + a->skip;
    return (int64_t)ids[i] == a->pad_id ? a->pad_id : ++*taken;
}

/* y (B, T, D) = rows of table (rows, D) */
static void forward(const thaw_call *call)
{
    const thaw_embedding_attr *a = &call->need->node->attr.embedding;
    int64_t B = call->run->B;
    int64_t T = call->need->in[0].dim[0];
    int64_t D = a->features;
    if (a->rule == THAW_EMBED_IDS) {
        thaw_kern_embedding(B * T, D, a->rows, call->x[0], call->param[0], call->y);
        return;
    }
    int64_t taken = a->pad_id;
    for (int64_t i = 0; i < B * T; i++)
        thaw_pass_gradient(D, 1.0f, call->param[0] + row_of(a, T, i, call->x[0], &taken) * D,
                           call->y + i * D, false);
}

/* Padding's row gets none. dy (tokens, D) */
static void add_counted(const thaw_embedding_attr *a, int64_t tokens, int64_t T, const float *ids,
                        const float *dy, float *dtable)
{
    int64_t taken = a->pad_id;
    for (int64_t i = 0; i < tokens; i++) {
        const int64_t row = row_of(a, T, i, ids, &taken);
        if (row != a->pad_id)
            thaw_kern_axpy(a->features, 1.0f, dy + i * a->features, dtable + row * a->features);
    }
}

/* dtable (rows, D) += dy at the rows that were taken, in the order of samples and tokens */
static void backward(const thaw_call *call)
{
    const thaw_embedding_attr *a = &call->need->node->attr.embedding;
    int64_t B = call->run->B;
    int64_t T = call->need->in[0].dim[0];
    int64_t D = a->features;
    float *dtable = call->dparam[0];
    thaw_no_gradient(call, 0);
    if (dtable == NULL)
        return;
    if (a->rule == THAW_EMBED_IDS)
        thaw_kern_embedding_backward(B * T, D, a->rows, a->pad_id, call->x[0], call->dy, dtable);
    else if (a->rule == THAW_EMBED_FIRST)
        thaw_kern_sum_rows(B * T, D, call->dy, dtable);
    else if (a->rule == THAW_EMBED_COUNTED)
        add_counted(a, B * T, T, call->x[0], call->dy, dtable);
    else
        for (int64_t b = 0; b < B; b++)
            thaw_kern_axpy(T * D, 1.0f, call->dy + b * T * D, dtable + a->skip * D);
}

const thaw_op thaw_op_embedding = {
    .kind = "embedding",
    .input_count = 1,
    .shape = shape,
    .params = params,
    .flops = thaw_flops_none,
    .keep = keep,
    .ids_below = ids_below,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_embedding(thaw_graph *g, const char *name, thaw_value ids,
                                const thaw_embedding_attr *attr)
{
    thaw_node node = {.attr.embedding = *attr};
    return thaw_build(g, &thaw_op_embedding, name, &node, &ids);
}
