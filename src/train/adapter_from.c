#include "train/export_impl.h"

#include <string.h>

/* An adapter that Hugging Face PEFT saved is where the peft rung starts. Every parameter of ours must be in it, and everything in it
 * must be one of ours: what is left out in silence would be another network. */

typedef struct source {
    thaw_weights *weights;
    const char *path;
    bool *used; /* (tensors) */
    int64_t found;
    bool in_memory; /* its names are those that transformers 5 has in memory */
} source;

static bool has_names_of_memory(const source *from, const thaw_model *model)
{
    bool any = false;
    for (int64_t i = 0; i < thaw_weights_count(from->weights); i++)
        any = any || strstr(thaw_weights_at(from->weights, i)->name, ".vit.layers.") != NULL;
    return any && thaw_export_differs_in_memory(model);
}

static int64_t find(const source *from, const char *key)
{
    for (int64_t i = 0; i < thaw_weights_count(from->weights); i++) {
        if (strcmp(thaw_weights_at(from->weights, i)->name, key) == 0)
            return i;
    }
    return -1;
}

/* `needed` false: it may be missing, and then nothing is read. */
static thaw_status read_tensor(source *from, const char *key, const thaw_tensor *out, bool needed)
{
    char here[96];
    char there[96];
    const int64_t i = find(from, key);
    THAW_CHECK(i >= 0 || !needed, THAW_ERR_INPUT,
               "%s: '%s' is missing; peft.targets must name the modules it was made for",
               from->path, key);
    if (i < 0)
        return THAW_OK;
    const thaw_weight *w = thaw_weights_at(from->weights, i);
    thaw_shape_format(&w->shape, there, sizeof there);
    thaw_shape_format(&out->shape, here, sizeof here);
    THAW_CHECK(thaw_shape_equal(&w->shape, &out->shape), THAW_ERR_INPUT,
               "%s: '%s' is %s, but the network has %s", from->path, w->name, there, here);
    THAW_TRY(thaw_weights_read(from->weights, i, out->data));
    THAW_TRY(thaw_check_finite(from->path, w->name, out, THAW_ERR_INPUT));
    from->used[i] = true;
    from->found++;
    return THAW_OK;
}

/* The head may be missing: PEFT saves it only when it was told to. */
static thaw_status read_param(source *from, const thaw_model *model, thaw_param *p)
{
    thaw_str key = {0};
    const thaw_tensor out = {THAW_F32, p->shape, p->data};
    thaw_peft_key(thaw_peft_form_of(model->adapter), model, p, from->in_memory, &key);
    const thaw_status status = read_tensor(from, thaw_str_c(&key), &out, p->adapter);
    thaw_str_clear(&key);
    return status;
}

/* All of the adapter's parameters, from the one tensor that has them. */
static thaw_status read_table(source *from, const thaw_model *model, const char *key)
{
    thaw_tensor table = {THAW_F32, thaw_columns_shape(model), NULL};
    float *data = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&data, thaw_shape_count(&table.shape), sizeof *data));
    table.data = data;
    THAW_TRY_TO(read_tensor(from, key, &table, true));
    thaw_columns_scatter(data, model);
done:
    thaw_free(&data);
    return status;
}

/* What the origin's head has beside ours is frozen here: the file may repeat it, but not have another. */
static thaw_status compare_param(source *from, const thaw_model *model, const thaw_param *p)
{
    thaw_str key = {0};
    float *data = NULL;
    thaw_status status = THAW_OK;
    thaw_peft_key(thaw_peft_form_of(model->adapter), model, p, from->in_memory, &key);
    const int64_t i = find(from, thaw_str_c(&key));
    if (i < 0)
        goto done;
    const thaw_weight *w = thaw_weights_at(from->weights, i);
    const int64_t count = thaw_shape_count(&p->shape);
    bool same = thaw_shape_equal(&w->shape, &p->shape);
    if (same) {
        THAW_TRY_TO(thaw_alloc(&data, count, sizeof *data));
        THAW_TRY_TO(thaw_weights_read(from->weights, i, data));
        same = memcmp(data, p->data, (size_t)count * sizeof *data) == 0;
    }
    THAW_CHECK_TO(same, THAW_ERR_INPUT,
                  "%s: '%s' is not what the backbone has; it was trained with the head, but is "
                  "frozen here",
                  from->path, w->name);
    from->used[i] = true;
done:
    thaw_free(&data);
    thaw_str_clear(&key);
    return status;
}

static thaw_status read_params(source *from, const thaw_model *model)
{
    const char *table = thaw_peft_form_table(thaw_peft_form_of(model->adapter));
    if (table != NULL)
        THAW_TRY(read_table(from, model, table));
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        if (p->adapter ? table == NULL : p->block < 0)
            THAW_TRY(read_param(from, model, p));
        else if (thaw_export_beside_head(model, p))
            THAW_TRY(compare_param(from, model, p));
    }
    for (int64_t i = 0; i < thaw_weights_count(from->weights); i++)
        THAW_CHECK(from->used[i], THAW_ERR_INPUT,
                   "%s: '%s' is no part of this network's adapter or head; peft.targets must name "
                   "the modules it was made for",
                   from->path, thaw_weights_at(from->weights, i)->name);
    return THAW_OK;
}

static thaw_status read_directory(thaw_setup *s)
{
    const char *directory = s->config->train.adapter_from;
    const thaw_peft_form *form = thaw_peft_form_of(s->model->adapter);
    thaw_str path = {0};
    thaw_json *config = NULL;
    source from = {0};
    thaw_status status;
    THAW_CHECK_TO(form != NULL, THAW_ERR_CONFIG, "train.adapter_from: PEFT has no form of %s",
                  s->model->adapter);
    THAW_TRY_TO(thaw_peft_form_fits(form, s->model));
    thaw_path_join(&path, directory, "adapter_config.json");
    THAW_TRY_TO(thaw_json_read(thaw_str_c(&path), &config));
    THAW_TRY_TO(thaw_peft_form_compare(form, s, config, thaw_str_c(&path)));
    thaw_path_join(&path, directory, "adapter_model.safetensors");
    from.path = thaw_str_c(&path);
    THAW_TRY_TO(thaw_weights_open(from.path, &from.weights));
    from.in_memory = has_names_of_memory(&from, s->model);
    THAW_TRY_TO(thaw_alloc(&from.used, thaw_weights_count(from.weights), sizeof *from.used));
    THAW_TRY_TO(read_params(&from, s->model));
    THAW_LOG(THAW_INFO, "goes on from %s: %lld tensor%s", directory, (long long)from.found,
             from.found == 1 ? "" : "s");
done:
    thaw_free(&from.used);
    thaw_weights_close(&from.weights);
    thaw_json_free(&config);
    thaw_str_clear(&path);
    return status;
}

static thaw_status check(const thaw_setup *s)
{
    char rung[THAW_RUNG_TEXT];
    thaw_rung_format(&s->rung, rung);
    THAW_CHECK(s->rung.kind == THAW_RUNG_PEFT, THAW_ERR_CONFIG,
               "train.adapter_from needs rung peft, not %s; leave it out for other rungs", rung);
    THAW_CHECK(s->config->train.head_from[0] == '\0', THAW_ERR_CONFIG,
               "train.head_from and train.adapter_from both give a head; leave one of them out");
    THAW_CHECK(s->target_mean == NULL, THAW_ERR_CONFIG,
               "train.adapter_from does not go on with a regression: its head is in other units");
    return THAW_OK;
}

thaw_status thaw_adapter_load(thaw_comm *comm, thaw_setup *s)
{
    const thaw_graph *g = s->model->graph;
    if (s->config->train.adapter_from[0] == '\0')
        return THAW_OK;
    THAW_TRY(check(s)); /* uniform */
    THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) == 0 ? read_directory(s) : THAW_OK));
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        if (p->adapter || p->block < 0)
            thaw_bcast(comm, 0, p->data, thaw_shape_count(&p->shape) * (int64_t)sizeof(float));
    }
    return THAW_OK;
}
