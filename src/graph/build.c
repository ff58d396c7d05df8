#include "thaw/graph.h"

#include <string.h>

#include "graph/graph_impl.h"
#include "graph/op_impl.h"

/* Elements of one sample's activation; far beyond any memory, small enough that bytes never overflow. */
#define MOST_ELEMENTS (INT64_C(1) << 40)

static thaw_status check_count(const thaw_shape *shape)
{
    int64_t count = 1;
    char text[160];
    thaw_shape_format(shape, text, sizeof text);
    for (int32_t i = 0; i < shape->ndim; i++) {
        THAW_CHECK(shape->dim[i] > 0, THAW_ERR_FAIL, "shape %s has an empty dimension", text);
        THAW_CHECK(shape->dim[i] <= MOST_ELEMENTS / count, THAW_ERR_FAIL,
                   "shape %s has more than 2^40 elements", text);
        count *= shape->dim[i];
    }
    return THAW_OK;
}

static thaw_status add_param(thaw_graph *g, const char *module, const thaw_param_spec *spec,
                             int32_t node, int32_t *index)
{
    thaw_param *p = NULL;
    thaw_str name = {0};
    thaw_status status = THAW_OK;

    thaw_str_printf(&name, "%s%s%s", module, module[0] != '\0' ? "." : "", spec->suffix);
    THAW_CHECK_TO(thaw_graph_find_param(g, thaw_str_c(&name)) < 0, THAW_ERR_FAIL,
                  "the graph already has a parameter \"%s\"; give each module its own name",
                  thaw_str_c(&name));
    THAW_TRY_TO(check_count(&spec->shape));
    THAW_TRY_TO(thaw_graph_grow(&g->params, g->param_count, &g->param_capacity, sizeof(void *)));
    THAW_TRY_TO(thaw_alloc(&p, 1, sizeof *p));
    THAW_TRY_TO(thaw_strdup(&p->name, thaw_str_c(&name)));
    p->shape = spec->shape;
    p->role = spec->role;
    p->init = spec->init;
    p->fan_in = spec->fan_in;
    p->fan_out = spec->fan_out;
    p->block = g->block;
    p->node = node;
    *index = g->param_count;
    g->params[g->param_count++] = p;
    p = NULL;
done:
    if (p != NULL)
        thaw_free(&p->name);
    thaw_free(&p);
    thaw_str_clear(&name);
    return status;
}

/* Without optional inputs that are left out. */
static int32_t count_inputs(const thaw_op *op, const thaw_value *inputs)
{
    int32_t count = op->input_count;
    while (count > op->input_count - op->optional_inputs && inputs[count - 1] == THAW_NO_VALUE)
        count--;
    return count;
}

static thaw_status check_inputs(const thaw_graph *g, int32_t count, const thaw_value *inputs,
                                thaw_shape *in)
{
    for (int32_t i = 0; i < count; i++) {
        THAW_CHECK(thaw_graph_has_value(g, inputs[i]), THAW_ERR_FAIL,
                   "input %d is value %d, which this graph does not have (it has %d)", i, inputs[i],
                   g->value_count);
        in[i] = g->values[inputs[i]].shape;
    }
    return THAW_OK;
}

/* After an error the graph is only good for free: a node may be half made. */
static thaw_status add_node(thaw_graph *g, const thaw_op *op, const char *name,
                            const thaw_node *attributes, const thaw_value *inputs, thaw_value *out)
{
    thaw_shape in[THAW_MAX_INPUTS] = {0};
    thaw_shape shape;
    thaw_param_spec specs[THAW_MAX_PARAMS];
    thaw_node *node;
    int32_t index = g->node_count;
    int32_t input_count = count_inputs(op, inputs);

    THAW_TRY(check_inputs(g, input_count, inputs, in));
    THAW_TRY(op->shape(attributes, in, &shape));
    THAW_TRY(check_count(&shape));
    THAW_TRY(thaw_graph_grow(&g->nodes, g->node_count, &g->node_capacity, sizeof(void *)));
    THAW_TRY(thaw_alloc(&node, 1, sizeof *node));
    g->nodes[g->node_count++] = node;
    node->attr = attributes->attr;
    node->op = op;
    node->block = g->block;
    node->input_count = input_count;
    memcpy(node->inputs, inputs, (size_t)input_count * sizeof *inputs);
    THAW_TRY(thaw_strdup(&node->name, name));
    int32_t param_count = op->params != NULL ? op->params(attributes, in, specs) : 0;
    for (int32_t i = 0; i < param_count; i++) {
        THAW_TRY(add_param(g, name, &specs[i], index, &node->params[i]));
        node->param_count = i + 1;
    }
    THAW_TRY(thaw_graph_add_value(g, shape, index, &node->output));
    *out = node->output;
    return THAW_OK;
}

thaw_value thaw_build(thaw_graph *g, const thaw_op *op, const char *name,
                      const thaw_node *attributes, const thaw_value *inputs)
{
    thaw_value out = -1;
    if (g->status != THAW_OK)
        return -1;
    thaw_status status = add_node(g, op, name, attributes, inputs, &out);
    if (status == THAW_OK)
        return out;
    if (name[0] != '\0')
        status = thaw_fail_context(status, "%s \"%s\"", op->kind, name);
    else
        status = thaw_fail_context(status, "%s (node %d)", op->kind, g->node_count);
    return thaw_graph_broken(g, status);
}

thaw_value thaw_graph_input(thaw_graph *g, thaw_shape shape)
{
    thaw_value v = -1;
    if (g->status != THAW_OK)
        return -1;
    if (g->input >= 0)
        return thaw_graph_broken(g, THAW_FAIL(THAW_ERR_FAIL, "the graph already has an input"));
    thaw_status status = check_count(&shape);
    if (status != THAW_OK)
        return thaw_graph_broken(g, thaw_fail_context(status, "the graph's input"));
    status = thaw_graph_add_value(g, shape, -1, &v);
    if (status != THAW_OK)
        return thaw_graph_broken(g, status);
    g->input = v;
    return v;
}
