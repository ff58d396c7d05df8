#include "thaw/graph.h"

#include <string.h>

#include "graph/graph_impl.h"
#include "graph/op_impl.h"

thaw_status thaw_graph_new(thaw_graph **out)
{
    thaw_graph *g = NULL;
    THAW_TRY(thaw_alloc(&g, 1, sizeof *g));
    g->input = g->features = g->logits = g->boundary = -1;
    *out = g;
    return THAW_OK;
}

void thaw_graph_free(thaw_graph **graph)
{
    if (graph == NULL || *graph == NULL)
        return;
    thaw_graph *g = *graph;
    for (int32_t i = 0; i < g->param_count; i++) {
        if (!g->params[i]->borrowed)
            thaw_free(&g->params[i]->data);
        thaw_free(&g->params[i]->name);
        thaw_free(&g->params[i]);
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        thaw_free(&g->nodes[i]->name);
        thaw_free(&g->nodes[i]);
    }
    for (int32_t i = 0; i < g->block_count; i++)
        thaw_free(&g->block_names[i]);
    thaw_free(&g->params);
    thaw_free(&g->nodes);
    thaw_free(&g->values);
    thaw_free(&g->block_names);
    thaw_free(graph);
}

thaw_value thaw_graph_broken(thaw_graph *g, thaw_status status)
{
    if (g->status == THAW_OK) {
        g->status = status;
        (void)thaw_copy(g->message, sizeof g->message, thaw_error_last()->message);
    }
    return -1;
}

thaw_status thaw_graph_grow(void *array, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return THAW_OK;
    int32_t more = *capacity > 0 ? 2 * *capacity : 64;
    THAW_TRY(thaw_realloc(array, *capacity, more, size));
    *capacity = more;
    return THAW_OK;
}

/* ---- Parameters, nodes, values ---- */

int32_t thaw_graph_param_count(const thaw_graph *g)
{
    return g->param_count;
}

thaw_param *thaw_graph_param(const thaw_graph *g, int32_t index)
{
    THAW_ASSERT(index >= 0 && index < g->param_count);
    return g->params[index];
}

int32_t thaw_graph_find_param(const thaw_graph *g, const char *name)
{
    for (int32_t i = 0; i < g->param_count; i++)
        if (strcmp(g->params[i]->name, name) == 0)
            return i;
    return -1;
}

void thaw_graph_set_data(thaw_graph *g, int32_t index, float *data)
{
    thaw_param *p = thaw_graph_param(g, index);
    if (!p->borrowed)
        thaw_free(&p->data);
    p->data = data;
    p->borrowed = data != NULL;
}

bool thaw_is_buffer(const thaw_param *p)
{
    return p->role == THAW_ROLE_BUFFER_MEAN || p->role == THAW_ROLE_BUFFER_VAR;
}

int32_t thaw_graph_value_count(const thaw_graph *g)
{
    return g->value_count;
}

int32_t thaw_graph_node_count(const thaw_graph *g)
{
    return g->node_count;
}

thaw_node *thaw_graph_node(const thaw_graph *g, int32_t index)
{
    THAW_ASSERT(index >= 0 && index < g->node_count);
    return g->nodes[index];
}

const char *thaw_node_kind(const thaw_node *node)
{
    return node->op->kind;
}

thaw_status thaw_graph_add_value(thaw_graph *g, thaw_shape shape, int32_t producer, thaw_value *out)
{
    THAW_TRY(thaw_graph_grow(&g->values, g->value_count, &g->value_capacity, sizeof *g->values));
    g->values[g->value_count] = (thaw_activation){.shape = shape, .producer = producer};
    *out = g->value_count++;
    return THAW_OK;
}

int64_t thaw_memory_count(const thaw_activation *value)
{
    if (value->block <= 1)
        return thaw_shape_count(&value->shape);
    const int64_t *dim = value->shape.dim;
    return (dim[0] + value->block - 1) / value->block * value->block * dim[1] * dim[2];
}

size_t thaw_memory_bytes(const thaw_activation *value)
{
    const size_t element = value->form == THAW_FORM_FLOATS ? sizeof(float) : 1;
    return (size_t)thaw_memory_count(value) * element;
}

bool thaw_graph_has_value(const thaw_graph *g, thaw_value v)
{
    return v >= 0 && v < g->value_count;
}

thaw_shape thaw_graph_value_shape(const thaw_graph *g, thaw_value v)
{
    if (!thaw_graph_has_value(g, v))
        return (thaw_shape){0}; /* the builder has failed; thaw_graph_finish says how */
    return g->values[v].shape;
}

/* ---- Blocks and marks ---- */

static thaw_status name_block(thaw_graph *g, int32_t block, const char *name)
{
    THAW_CHECK(block >= -1 && block < 1 << 16, THAW_ERR_FAIL,
               "block %d (\"%s\") is outside -1..65535", block, name);
    while (g->block_count <= block) {
        THAW_TRY(thaw_graph_grow(&g->block_names, g->block_count, &g->block_capacity,
                                 sizeof *g->block_names));
        g->block_count++;
    }
    if (block < 0)
        return THAW_OK;
    thaw_free(&g->block_names[block]);
    return thaw_strdup(&g->block_names[block], name);
}

void thaw_graph_set_block(thaw_graph *g, int32_t block, const char *name)
{
    thaw_status status = name_block(g, block, name);
    if (status != THAW_OK)
        (void)thaw_graph_broken(g, status);
    g->block = block;
}

int32_t thaw_graph_block_count(const thaw_graph *g)
{
    return g->block_count;
}

const char *thaw_graph_block_name(const thaw_graph *g, int32_t block)
{
    if (block == -1)
        return "head";
    if (block < 0 || block >= g->block_count || g->block_names[block] == NULL)
        return "";
    return g->block_names[block];
}

static void mark(thaw_graph *g, thaw_value *place, thaw_value v, const char *what)
{
    if (g->status != THAW_OK)
        return;
    if (!thaw_graph_has_value(g, v))
        (void)thaw_graph_broken(
            g, THAW_FAIL(THAW_ERR_FAIL, "%s: value %d is not in the graph", what, v));
    else
        *place = v;
}

void thaw_graph_set_features(thaw_graph *g, thaw_value v)
{
    mark(g, &g->features, v, "features");
}

void thaw_graph_set_logits(thaw_graph *g, thaw_value v)
{
    mark(g, &g->logits, v, "logits");
}

thaw_value thaw_graph_features(const thaw_graph *g)
{
    return g->features;
}

thaw_value thaw_graph_logits(const thaw_graph *g)
{
    return g->logits;
}

/* ---- Finish ---- */

thaw_status thaw_graph_built(const thaw_graph *g)
{
    THAW_CHECK(g->status == THAW_OK, g->status, "%s", g->message);
    return THAW_OK;
}

thaw_status thaw_graph_finish(thaw_graph *g)
{
    THAW_TRY(thaw_graph_built(g));
    THAW_CHECK(g->input >= 0, THAW_ERR_FAIL, "the graph has no input (thaw_graph_input)");
    THAW_CHECK(g->logits >= 0, THAW_ERR_FAIL, "the graph has no logits (thaw_graph_set_logits)");
    THAW_TRY(thaw_graph_sort(g));
    for (int32_t i = 0; i < g->param_count; i++) {
        thaw_param *p = g->params[i];
        if (p->data == NULL)
            THAW_TRY(thaw_alloc(&p->data, thaw_shape_count(&p->shape), sizeof *p->data));
    }
    THAW_ASSERT(thaw_graph_valid(g));
    return THAW_OK;
}
