#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

/* Lester et al. 2021, arXiv:2104.08691: rows of its own in front of those of a text. Of the text's tokens (T) it makes a list of
 * the same length: nobody said the first ones, but they count as one that is no padding. */

static int64_t width(const thaw_shape *in)
{
    return in[0].ndim == 2 ? in[0].dim[1] : 1;
}

static thaw_status shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    char text[80];
    thaw_shape_format(&in[0], text, sizeof text);
    THAW_CHECK(in[0].ndim == 1 || in[0].ndim == 2, THAW_ERR_FAIL,
               "input %s is neither (T) nor (T, D)", text);
    THAW_CHECK(node->attr.prompt.rows > 0, THAW_ERR_FAIL,
               "%lld rows in front of the text; there must be one at least",
               (long long)node->attr.prompt.rows);
    *out = in[0];
    out->dim[0] += node->attr.prompt.rows;
    return THAW_OK;
}

static int32_t params(const thaw_node *node, const thaw_shape *in, thaw_param_spec *specs)
{
    if (in[0].ndim == 1)
        return 0;
    specs[0] = (thaw_param_spec){.suffix = "embedding.weight",
                                 .shape = thaw_shape2(node->attr.prompt.rows, in[0].dim[1]),
                                 .role = THAW_ROLE_WEIGHT,
                                 .init = THAW_INIT_NORMAL,
                                 .fan_in = in[0].dim[1],
                                 .fan_out = in[0].dim[1]};
    return 1;
}

static int64_t ids_below(const thaw_node *node, int32_t input)
{
    (void)input;
    return node->param_count == 0 ? INT64_MAX : 0;
}

/* y (B, P + T, D) = [prompt; x], x (B, T, D) */
static void forward(const thaw_call *call)
{
    const thaw_node *node = call->need->node;
    const int64_t front = node->attr.prompt.rows * width(call->need->in);
    const int64_t text = thaw_shape_count(&call->need->in[0]);
    for (int64_t b = 0; b < call->run->B; b++) {
        float *y = call->y + b * (front + text);
        if (node->param_count > 0)
            memcpy(y, call->param[0], (size_t)front * sizeof *y);
        else
            thaw_kern_fill(front, (float)node->attr.prompt.id, y);
        memcpy(y + front, call->x[0] + b * text, (size_t)text * sizeof *y);
    }
}

/* In the order of samples: dprompt (P, D) += dy's first rows; dx = or += the others. */
static void backward(const thaw_call *call)
{
    const thaw_node *node = call->need->node;
    const int64_t front = node->attr.prompt.rows * width(call->need->in);
    const int64_t text = thaw_shape_count(&call->need->in[0]);
    if (node->param_count == 0) {
        thaw_no_gradient(call, 0);
        return;
    }
    for (int64_t b = 0; b < call->run->B; b++) {
        const float *dy = call->dy + b * (front + text);
        if (call->dparam[0] != NULL)
            thaw_kern_axpy(front, 1.0f, dy, call->dparam[0]);
        if (call->dx[0] != NULL)
            thaw_pass_gradient(text, 1.0f, dy + front, call->dx[0] + b * text, call->accumulate[0]);
    }
}

const thaw_op thaw_op_prompt = {
    .kind = "prompt",
    .input_count = 1,
    .shape = shape,
    .params = params,
    .flops = thaw_flops_none,
    .ids_below = ids_below,
    .forward = forward,
    .backward = backward,
};

thaw_value thaw_graph_prompt(thaw_graph *g, const char *name, thaw_value x, int64_t rows)
{
    thaw_node node = {.attr.prompt = {.rows = rows}};
    return thaw_build(g, &thaw_op_prompt, name, &node, &x);
}

thaw_value thaw_graph_prompt_ids(thaw_graph *g, thaw_value ids, int64_t rows, int64_t id)
{
    thaw_node node = {.attr.prompt = {.rows = rows, .id = id}};
    return thaw_build(g, &thaw_op_prompt, "", &node, &ids);
}
