#include "train/train_impl.h"

#include <string.h>

/* The frozen part of a network: everything up to the boundary, as a plan for inference. What trains starts at the boundary, whether the values
 * there were kept or are computed in this step, so both give the same bits. */

bool thaw_has_prefix(const thaw_setup *s)
{
    const thaw_rung_kind kind = s->rung.kind;
    return kind != THAW_RUNG_SCRATCH && kind != THAW_RUNG_FULL &&
           thaw_graph_boundary(s->model->graph) != 0;
}

/* By going back through the nodes, which are in topological order. */
thaw_status thaw_prefix_values(const thaw_graph *g, bool **out)
{
    const int32_t count = thaw_graph_node_count(g);
    THAW_TRY(thaw_alloc(out, thaw_graph_value_count(g), sizeof **out));
    (*out)[thaw_graph_boundary(g)] = true;
    for (int32_t i = count - 1; i >= 0; i--) {
        const thaw_node *node = thaw_graph_node(g, i);
        for (int32_t j = 0; j < node->input_count && (*out)[node->output]; j++)
            (*out)[node->inputs[j]] = true;
    }
    return THAW_OK;
}

static thaw_status has_linear(const thaw_graph *g, bool *out)
{
    bool *needed = NULL;
    THAW_TRY(thaw_prefix_values(g, &needed));
    *out = false;
    for (int32_t i = 0; i < thaw_graph_node_count(g); i++) {
        const thaw_node *node = thaw_graph_node(g, i);
        *out = *out || (needed[node->output] && strcmp(thaw_node_kind(node), "linear") == 0);
    }
    thaw_free(&needed);
    return THAW_OK;
}

/* A sample's features must not depend on which samples are computed with it, or kept ones would differ from those of a step. Libraries take other
 * paths for other row counts of a matrix product; our own does not, nor do convolutions. */
thaw_status thaw_prefix_kernels(const thaw_setup *s, const char **name)
{
    bool linear;
    *name = s->kern->name;
    if (strcmp(s->kern->name, "native") == 0 || strcmp(s->kern->name, "ref") == 0)
        return THAW_OK;
    THAW_TRY(has_linear(s->model->graph, &linear));
    if (linear)
        *name = "native";
    return THAW_OK;
}

void thaw_boundary_name(const thaw_graph *graph, char *out, size_t bytes)
{
    const thaw_value boundary = thaw_graph_boundary(graph);
    thaw_copy(out, bytes, "input");
    for (int32_t i = 0; i < thaw_graph_node_count(graph); i++) {
        const thaw_node *node = thaw_graph_node(graph, i);
        if (node->output == boundary && boundary != 0)
            thaw_format(out, bytes, "%s after %s", thaw_node_kind(node),
                        node->name[0] != '\0' ? node->name
                                              : thaw_graph_block_name(graph, node->block));
    }
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The same whether features are kept or not: a plan may choose its algorithms by it. */
int64_t thaw_prefix_batch(const thaw_setup *s)
{
    int64_t most =
        larger(thaw_dataset_count(s->dataset, s->train), thaw_dataset_count(s->dataset, s->val));
    if (s->gate >= 0)
        most = larger(most, thaw_dataset_count(s->dataset, s->gate));
    const int64_t batch = s->config->train.eval_batch;
    return batch < most ? batch : most;
}

void thaw_prefix_init(thaw_prefix *p, thaw_setup *s)
{
    const thaw_value boundary = thaw_graph_boundary(s->model->graph);
    const thaw_shape shape = thaw_graph_value_shape(s->model->graph, boundary);
    *p = (thaw_prefix){.setup = s,
                       .graph = s->model->graph,
                       .boundary = boundary,
                       .width = thaw_shape_count(&shape),
                       .values = thaw_dataset_values(s->dataset),
                       .batch = thaw_prefix_batch(s)};
}

thaw_status thaw_prefix_own_kern(const thaw_setup *s, thaw_kern **out)
{
    const char *kernels;
    *out = NULL;
    THAW_TRY(thaw_prefix_kernels(s, &kernels));
    return strcmp(kernels, s->kern->name) == 0 ? THAW_OK : thaw_kern_open(kernels, out);
}

/* What both ways of opening need first; kernels of its own are the same on all ranks without any choice. */
static thaw_status begin(thaw_prefix *p)
{
    THAW_TRY(thaw_alloc(&p->input, p->batch * p->values, sizeof *p->input));
    return thaw_prefix_own_kern(p->setup, &p->own_kern);
}

static thaw_plan_options options_of(const thaw_prefix *p)
{
    return (thaw_plan_options){.batch = p->batch,
                               .from = -1,
                               .to = p->boundary,
                               .keep = -1,
                               .ranges = p->floats ? NULL : p->setup->ranges};
}

static thaw_status make_plan(thaw_prefix *p)
{
    const thaw_plan_options options = options_of(p);
    const thaw_kern *kern = p->own_kern != NULL ? p->own_kern : p->setup->kern;
    return thaw_plan_new(p->graph, kern, &options, &p->plan);
}

thaw_status thaw_prefix_ready(thaw_prefix *p)
{
    if (p->plan != NULL)
        return THAW_OK;
    if (p->input == NULL)
        THAW_TRY(begin(p));
    return make_plan(p);
}

thaw_status thaw_prefix_open(thaw_comm *comm, thaw_prefix *p)
{
    const thaw_plan_options options = options_of(p);
    THAW_TRY(thaw_agree(comm, begin(p)));
    if (p->own_kern != NULL) /* uniform */
        THAW_TRY(thaw_agree(comm, make_plan(p)));
    else
        THAW_TRY(thaw_plan_agree(comm, p->setup, &options, &p->plan));
    return thaw_plan_share(comm, p->plan, &p->constants);
}

void thaw_prefix_run(thaw_prefix *p, int64_t n, const int64_t *indices, float *out)
{
    const thaw_run run = {.B = n, .input = p->input, .sample_ids = indices};
    thaw_plan_forward(p->plan, &run);
    p->passes++;
    memcpy(out, thaw_plan_value(p->plan, p->boundary), (size_t)(n * p->width) * sizeof *out);
}

void thaw_prefix_close(thaw_prefix *p)
{
    thaw_plan_free(&p->plan);
    thaw_shared_free(&p->constants);
    thaw_kern_close(&p->own_kern);
    thaw_free(&p->input);
}
