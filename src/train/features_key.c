#include "train/train_impl.h"

#include <string.h>

/* The key of kept features: a digest of all that their bits depend on. What this text names is what invalidates them; thawing a layer moves
 * the boundary, and so changes it. */

static void add_shape(const thaw_shape *shape, thaw_str *out)
{
    char text[96];
    thaw_shape_format(shape, text, sizeof text);
    thaw_str_add(out, text);
}

static void add_digest(thaw_digest digest, thaw_str *out)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(digest, hex);
    thaw_str_printf(out, " %s\n", hex);
}

/* The attributes of a node (strides, epsilons) follow from the architecture and this program's version; but for the
 * place of a text's first token, which a prefix moves. */
static void add_node(const thaw_graph *g, const thaw_node *node, thaw_str *out)
{
    const thaw_shape shape = thaw_graph_value_shape(g, node->output);
    thaw_str_printf(out, "node %s '%s'", thaw_node_kind(node), node->name);
    for (int32_t j = 0; j < node->input_count; j++)
        thaw_str_printf(out, " %d", node->inputs[j]);
    thaw_str_printf(out, " -> %d ", node->output);
    add_shape(&shape, out);
    if (strcmp(thaw_node_kind(node), "embedding") == 0 && node->attr.embedding.skip > 0)
        thaw_str_printf(out, " skips %lld", (long long)node->attr.embedding.skip);
    thaw_str_add(out, "\n");
    for (int32_t j = 0; j < node->param_count; j++) {
        const thaw_param *p = thaw_graph_param(g, node->params[j]);
        thaw_str_printf(out, "parameter %s ", p->name);
        add_shape(&p->shape, out);
        add_digest(thaw_hash(p->data, (size_t)thaw_shape_count(&p->shape) * sizeof *p->data), out);
    }
}

static thaw_status add_network(const thaw_setup *s, thaw_str *out)
{
    const thaw_graph *g = s->model->graph;
    bool *needed = NULL;
    thaw_str_add(out, "network ");
    thaw_model_spec_format(&s->model->spec, out);
    thaw_str_printf(out, "\nboundary %d\n", thaw_graph_boundary(g));
    THAW_TRY(thaw_prefix_values(g, &needed));
    for (int32_t i = 0; i < thaw_graph_node_count(g); i++) {
        if (needed[thaw_graph_node(g, i)->output])
            add_node(g, thaw_graph_node(g, i), out);
    }
    thaw_free(&needed);
    return THAW_OK;
}

/* What samples are as they enter the network. */
static void add_inputs(const thaw_dataset *ds, thaw_str *out)
{
    const thaw_shape shape = thaw_dataset_shape(ds);
    thaw_str_add(out, "data");
    add_digest(thaw_dataset_digest(ds), out);
    for (int64_t c = 0; c < shape.dim[0]; c++)
        thaw_str_printf(out, "channel %a %a\n", thaw_dataset_mean(ds)[c], thaw_dataset_std(ds)[c]);
}

static void add_data(const thaw_features *f, const thaw_setup *s, thaw_str *out)
{
    const thaw_dataset *ds = s->dataset;
    const int64_t splits[] = {s->train, s->val, s->gate};
    add_inputs(ds, out);
    for (int64_t b = 0; b < f->block_count; b++) {
        const thaw_block *block = &f->blocks[b];
        thaw_str_printf(out, "block %s view %lld at %lld of %lld\n",
                        thaw_dataset_split_name(ds, splits[block->kind]), (long long)block->view,
                        (long long)block->first, (long long)block->N);
    }
}

static void add_views(const thaw_setup *s, thaw_str *out)
{
    if (thaw_augment_none(&s->config->data.augment))
        return;
    thaw_str_printf(out, "views %lld seed %llx\n", (long long)s->config->train.views,
                    (unsigned long long)THAW_VIEW_SEED);
    thaw_conf_write(thaw_augment_fields, &s->config->data.augment, out);
}

thaw_status thaw_features_key(thaw_features *f, const thaw_setup *s)
{
    thaw_str text = {0};
    char name[128];
    thaw_str_printf(&text, "thaw-features 1\nprogram %s\nkernels %s %s\nprecision %s\nchunk %lld\n",
                    thaw_version(), f->kernels, s->kern->cpu_kernels,
                    s->ranges == NULL ? "f32" : "int8 by ranges", (long long)f->chunk);
    if (s->ranges != NULL)
        add_digest(thaw_hash(s->ranges,
                             (size_t)thaw_graph_value_count(s->model->graph) * sizeof *s->ranges),
                   &text);
    thaw_status status = add_network(s, &text);
    add_data(f, s, &text);
    add_views(s, &text);
    f->key = thaw_hash(thaw_str_c(&text), text.length);
    thaw_boundary_name(s->model->graph, name, sizeof name);
    thaw_model_spec_format(&s->model->spec, &f->about);
    thaw_str_printf(&f->about, " up to %s, on %s", name, thaw_dataset_path(s->dataset));
    thaw_str_clear(&text);
    return status;
}

thaw_status thaw_ranges_key(const thaw_setup *s, thaw_digest *out)
{
    thaw_str text = {0};
    thaw_str_printf(&text, "thaw-ranges 2\nprogram %s\nkernels %s %s\n", thaw_version(),
                    s->kern->name, s->kern->cpu_kernels);
    const thaw_status status = add_network(s, &text);
    add_inputs(s->dataset, &text);
    thaw_str_printf(&text, "split %s\n", thaw_dataset_split_name(s->dataset, s->train));
    *out = thaw_hash(thaw_str_c(&text), text.length);
    thaw_str_clear(&text);
    return status;
}

/* Algorithms that were measured may differ in the last bits, so a file's key has those of the prefix. */
void thaw_features_file_key(thaw_features *f, const thaw_prefix *prefix)
{
    char hex[THAW_DIGEST_HEX];
    thaw_str text = {0};
    thaw_digest_hex(f->key, hex);
    thaw_str_printf(&text, "%s\n", hex);
    thaw_plan_algorithms(prefix->plan, &text);
    f->file_key = thaw_hash(thaw_str_c(&text), text.length);
    thaw_str_clear(&text);
}
