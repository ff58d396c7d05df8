/* graph/graph_impl.h - what a graph is made of. Nodes and parameters have stable addresses; values are never renumbered. */
#ifndef THAW_GRAPH_GRAPH_IMPL_H
#define THAW_GRAPH_GRAPH_IMPL_H

#include "thaw/graph.h"

#define THAW_MESSAGE_BYTES 2000

/* What the elements of an activation are. Bytes are NHWC, times a scale. */
typedef enum thaw_form { THAW_FORM_FLOATS, THAW_FORM_BYTES, THAW_FORM_SIGNED_BYTES } thaw_form;

typedef struct thaw_activation {
    thaw_shape shape;
    int32_t producer; /* node; -1: the graph's input, or outside of a lowered range */
    int32_t block;    /* layout in a lowered graph, as in thaw_image; 0 and 1: plain */
    thaw_form form;
    float scale; /* of bytes */
} thaw_activation;

/* Elements of one sample in memory. */
int64_t thaw_memory_count(const thaw_activation *value);
size_t thaw_memory_bytes(const thaw_activation *value);

struct thaw_graph {
    thaw_param **params;
    int32_t param_count, param_capacity;
    thaw_node **nodes; /* in topological order after thaw_graph_sort */
    int32_t node_count, node_capacity;
    thaw_activation *values;
    int32_t value_count, value_capacity;
    char **block_names;
    int32_t block_count, block_capacity;
    int32_t block; /* of what is added next */
    thaw_value input, features, logits, boundary;
    thaw_status status; /* of the builder; the first error stays */
    char message[THAW_MESSAGE_BYTES];
};

/* Keeps the error that was just recorded, if it is the first; returns -1. */
thaw_value thaw_graph_broken(thaw_graph *g, thaw_status status);
/* Makes room for one more element in a growing array. */
THAW_NODISCARD thaw_status thaw_graph_grow(void *array, int32_t count, int32_t *capacity,
                                           size_t size);
THAW_NODISCARD thaw_status thaw_graph_add_value(thaw_graph *g, thaw_shape shape, int32_t producer,
                                                thaw_value *out);
bool thaw_graph_has_value(const thaw_graph *g, thaw_value v);
bool thaw_is_buffer(const thaw_param *p);
/* For messages: conv2d "layer1.0.conv1", relu (node 3); "the input", "the output of conv2d ...". */
void thaw_node_label(const thaw_graph *g, int32_t node, char *out, size_t bytes);
void thaw_value_label(const thaw_graph *g, thaw_value v, char *out, size_t bytes);
/* Every node after the producers of its inputs; producer and param.node agree with the list. */
bool thaw_graph_valid(const thaw_graph *g);

/* The output of node n for inputs of these shapes. THAW_ERR_FAIL where it cannot take them, or needs parameters of other shapes. */
THAW_NODISCARD thaw_status thaw_node_shape(const thaw_graph *g, const thaw_node *n,
                                           const thaw_shape *in, thaw_shape *out);

/* ---- Passes ---- */

/* Norms of frozen weights use stored statistics; buffers follow their norm's weight. */
void thaw_freeze(thaw_graph *g);
/* Which nodes `to` depends on, going back to `from`: needed[node]. THAW_ERR_FAIL when a path leads around `from`. */
THAW_NODISCARD thaw_status thaw_needed_nodes(const thaw_graph *g, thaw_value from, thaw_value to,
                                             bool *needed);
/* What backward from `to` must reach. Fills active[node] and wanted[value] (its gradient is needed). With input_gradient
 * also the gradient of `from` is wanted. needed[node] as from thaw_needed_nodes. */
void thaw_need_grad(const thaw_graph *g, const bool *needed, thaw_value from, bool input_gradient,
                    bool *active, bool *wanted);
/* The cut, see thaw_graph_boundary. */
THAW_NODISCARD thaw_status thaw_find_boundary(const thaw_graph *g, thaw_value *out);

#endif
