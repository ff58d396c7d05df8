#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

/* Lester et al. 2021, arXiv:2104.08691: rows of its own in front of those of a text; Jia et al. 2022, arXiv:2203.12119: behind
 * the class token of an image, or in the place of the rows that stood there. Of a text's tokens (T) it makes a list of the same length:
 * nobody said the first ones, but they count as one that is no padding. */

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
    const int64_t needs =
        node->attr.prompt.at + (node->attr.prompt.replaces ? node->attr.prompt.rows : 0);
    THAW_CHECK(needs <= in[0].dim[0], THAW_ERR_FAIL, "input %s has not the %lld rows needed", text,
               (long long)needs);
    *out = in[0];
    if (!node->attr.prompt.replaces)
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

/* Numbers of one sample: in front of the rows, of the rows, of what is left out for them, and behind. */
typedef struct parts {
    int64_t before, rows, over, after;
} parts;

static parts parts_of(const thaw_call *call)
{
    const thaw_node *node = call->need->node;
    const int64_t D = width(call->need->in);
    const int64_t before = node->attr.prompt.at * D;
    const int64_t rows = node->attr.prompt.rows * D;
    const int64_t over = node->attr.prompt.replaces ? rows : 0;
    return (parts){before, rows, over, thaw_shape_count(&call->need->in[0]) - before - over};
}

/* y = [x's first rows; prompt; the rest of x], x (B, T, D) */
static void forward(const thaw_call *call)
{
    const thaw_node *node = call->need->node;
    const parts n = parts_of(call);
    const float *x = call->x[0];
    float *y = call->y;
    for (int64_t b = 0; b < call->run->B; b++) {
        memcpy(y, x, (size_t)n.before * sizeof *y);
        if (node->param_count > 0)
            memcpy(y + n.before, call->param[0], (size_t)n.rows * sizeof *y);
        else
            thaw_kern_fill(n.rows, (float)node->attr.prompt.id, y + n.before);
        memcpy(y + n.before + n.rows, x + n.before + n.over, (size_t)n.after * sizeof *y);
        x += n.before + n.over + n.after;
        y += n.before + n.rows + n.after;
    }
}

/* In the order of samples: dprompt (P, D) += the prompt's rows of dy; dx = or += the others, and 0 where x is left out. */
static void backward(const thaw_call *call)
{
    const parts n = parts_of(call);
    const bool more = call->accumulate[0];
    const float *dy = call->dy;
    float *dx = call->dx[0];
    if (call->need->node->param_count == 0) {
        thaw_no_gradient(call, 0);
        return;
    }
    for (int64_t b = 0; b < call->run->B; b++) {
        if (call->dparam[0] != NULL)
            thaw_kern_axpy(n.rows, 1.0f, dy + n.before, call->dparam[0]);
        if (dx != NULL) {
            thaw_pass_gradient(n.before, 1.0f, dy, dx, more);
            thaw_pass_gradient(n.over, 0.0f, dy + n.before, dx + n.before, more);
            thaw_pass_gradient(n.after, 1.0f, dy + n.before + n.rows, dx + n.before + n.over, more);
            dx += n.before + n.over + n.after;
        }
        dy += n.before + n.rows + n.after;
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

thaw_value thaw_graph_prompt_at(thaw_graph *g, const char *name, thaw_value x, int64_t rows,
                                int64_t at, bool replaces)
{
    thaw_node node = {.attr.prompt = {.rows = rows, .at = at, .replaces = replaces}};
    return thaw_build(g, &thaw_op_prompt, name, &node, &x);
}

thaw_value thaw_graph_prompt_ids(thaw_graph *g, thaw_value ids, int64_t rows, int64_t id)
{
    thaw_node node = {.attr.prompt = {.rows = rows, .id = id}};
    return thaw_build(g, &thaw_op_prompt, "", &node, &ids);
}
