#include "train/export_impl.h"

#include <string.h>

/* The adapter of a run as Hugging Face PEFT keeps it: adapter_model.safetensors and adapter_config.json in a directory. Keys are
 * "base_model.model." and the parameter's name in the origin's model; the head is a module that PEFT saves whole. A prompt is in no
 * module: it has a key of its own, and nothing wraps the model, whose names follow "base_model.". So has a prefix, one table with the
 * keys and values of all layers side by side.
 * Source: "PEFT checkpoint format" in PEFT's developer guides; for the table, get_prompt of PeftModel. */

/* What is written: a run's adapter, by names of files or of memory. */
typedef struct export_of {
    const thaw_setup *setup;
    const thaw_peft_form *form;
    bool in_memory;
} export_of;

static void set_lora(const export_of *e, thaw_json *config);
static void set_ia3(const export_of *e, thaw_json *config);
static void set_prompt(const export_of *e, thaw_json *config);
static void set_prefix(const export_of *e, thaw_json *config);

/* How PEFT says what a method of ours does: its type, the ends of the names that are its parameters (the first is there once a
 * module), its settings, what keys begin with, the one key of what belongs to no module, whether
 * several parameters are columns of what it names, and families whose networks in transformers PEFT can run it on (NULL: all). */
static const struct thaw_peft_form {
    const char *method, *type;
    const char *ends[4];
    void (*set)(const export_of *e, thaw_json *config);
    const char *base, *key;
    bool columns;
    const char *families[2];
} forms[] = {
    {.method = "lora",
     .type = "LORA",
     .ends = {".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector", NULL},
     .set = set_lora,
     .base = "base_model.model."},
    {.method = "ia3",
     .type = "IA3",
     .ends = {".ia3_l", NULL},
     .set = set_ia3,
     .base = "base_model.model."},
    {.method = "prompt",
     .type = "PROMPT_TUNING",
     .ends = {"prompt_encoder.embedding.weight", NULL},
     .set = set_prompt,
     .base = "base_model.",
     .key = "prompt_embeddings"},
    {.method = "prefix",
     .type = "PREFIX_TUNING",
     .ends = {".prefix.embedding.weight", NULL},
     .set = set_prefix,
     .base = "base_model.",
     .key = "prompt_embeddings",
     .columns = true,
     .families = {"bert", "roberta"}},
};

const thaw_peft_form *thaw_peft_form_of(const char *method)
{
    for (size_t i = 0; method != NULL && i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].method, method) == 0)
            return &forms[i];
    }
    return NULL;
}

static void name_of(const thaw_model *model, const thaw_param *p, bool in_memory, thaw_str *out)
{
    if (in_memory)
        thaw_export_name_in_memory(model, p, out);
    else
        thaw_export_name(model, p, out);
}

void thaw_peft_key(const thaw_peft_form *form, const thaw_model *model, const thaw_param *p,
                   bool in_memory, thaw_str *out)
{
    thaw_str name = {0};
    name_of(model, p, in_memory, &name);
    thaw_str_reset(out);
    if (form->key != NULL && p->adapter)
        thaw_str_add(out, form->key);
    else
        thaw_str_printf(out, "%s%s", form->base, thaw_str_c(&name));
    thaw_str_clear(&name);
}

thaw_status thaw_peft_form_fits(const thaw_peft_form *form, const thaw_model *model)
{
    const thaw_model_arch *arch = NULL;
    THAW_TRY(thaw_model_arch_find(model->spec.arch, &arch));
    bool fits = form->families[0] == NULL;
    for (int i = 0; i < 2 && form->families[i] != NULL; i++)
        fits = fits || strcmp(form->families[i], arch->family) == 0;
    THAW_CHECK(fits, THAW_ERR_USAGE,
               "PEFT's %s runs on networks of transformers that take keys and values from before, "
               "which those of %s do not; hdf5 is the format that has it",
               form->type, model->spec.arch);
    return THAW_OK;
}

const char *thaw_peft_form_table(const thaw_peft_form *form)
{
    return form->columns ? form->key : NULL;
}

/* The end of a parameter's name that belongs to the form; NULL: none does. */
static const char *end_of(const thaw_peft_form *form, const thaw_param *p)
{
    for (int i = 0; form->ends[i] != NULL; i++) {
        if (thaw_ends_with(p->name, form->ends[i]))
            return form->ends[i];
    }
    return NULL;
}

static thaw_status check(const thaw_setup *s, bool in_memory)
{
    char rung[THAW_RUNG_TEXT];
    const thaw_graph *g = s->model->graph;
    thaw_rung_format(&s->rung, rung);
    THAW_CHECK(s->rung.kind == THAW_RUNG_PEFT, THAW_ERR_USAGE,
               "rung %s has no adapter that PEFT could hold; take --format safetensors or hdf5",
               rung);
    const char *method = thaw_peft_names()[s->config->peft.method];
    const thaw_peft_form *form = thaw_peft_form_of(s->model->adapter);
    THAW_CHECK(form != NULL, THAW_ERR_USAGE, "PEFT has no form of %s; take --format %s", method,
               thaw_adapt_merges(s->model) ? "safetensors --merge, or hdf5" : "hdf5");
    THAW_TRY(thaw_peft_form_fits(form, s->model));
    THAW_CHECK(!in_memory || thaw_export_differs_in_memory(s->model), THAW_ERR_USAGE,
               "transformers names %s in memory as in files; leave out --names memory",
               s->model->spec.arch);
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        THAW_CHECK(!p->adapter || end_of(form, p) != NULL, THAW_ERR_USAGE,
                   "PEFT's %s has no place for \"%s\"; take --format safetensors --merge, or hdf5",
                   form->type, p->name);
    }
    return THAW_OK;
}

static thaw_status collect_columns(const thaw_model *model, const char *key, thaw_state *out)
{
    void *table = NULL;
    THAW_TRY(thaw_state_add_new(out, key, THAW_F32, thaw_columns_shape(model), &table));
    thaw_columns_gather(model, table);
    return THAW_OK;
}

static thaw_status collect(const export_of *e, thaw_state *out)
{
    const thaw_model *model = e->setup->model;
    const thaw_peft_form *form = e->form;
    thaw_str key = {0};
    thaw_status status = THAW_OK;
    if (form->columns)
        THAW_TRY_TO(collect_columns(model, form->key, out));
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        if (p->adapter ? form->columns : p->block >= 0 && !thaw_export_beside_head(model, p))
            continue;
        thaw_peft_key(form, model, p, e->in_memory, &key);
        THAW_TRY_TO(thaw_state_add(out, thaw_str_c(&key), THAW_F32, p->shape, p->data));
    }
done:
    thaw_str_clear(&key);
    return status;
}

/* ---- adapter_config.json ------------------------------------------------------------------------------------- */

typedef bool is_wanted(const thaw_node *node);

/* Full names of adapted modules; wanted NULL: all. */
static void set_modules(const export_of *e, const char *key, is_wanted *wanted, thaw_json *config)
{
    const thaw_model *model = e->setup->model;
    const char *end = e->form->ends[0];
    thaw_json *list = thaw_json_set_array(config, key);
    thaw_str name = {0};
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (!p->adapter || !thaw_ends_with(p->name, end) ||
            (wanted != NULL && !wanted(thaw_graph_node(model->graph, p->node))))
            continue;
        name_of(model, p, e->in_memory, &name);
        name.data[name.length - strlen(end)] = '\0';
        thaw_json_add_string(list, name.data);
    }
    thaw_str_clear(&name);
}

static bool has_magnitudes(const thaw_model *model)
{
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        if (thaw_ends_with(thaw_graph_param(model->graph, i)->name, ".lora_magnitude_vector"))
            return true;
    }
    return false;
}

static void set_lora(const export_of *e, thaw_json *config)
{
    const thaw_peft *peft = &e->setup->config->peft;
    set_modules(e, "target_modules", NULL, config);
    thaw_json_set_int(config, "r", peft->rank);
    thaw_json_set_double(config, "lora_alpha", peft->alpha);
    thaw_json_set_double(config, "lora_dropout", peft->dropout);
    thaw_json_set_bool(config, "use_rslora", peft->rslora);
    thaw_json_set_bool(config, "use_dora", has_magnitudes(e->setup->model));
    thaw_json_set_string(config, "bias", "none");
    thaw_json_set_bool(config, "fan_in_fan_out", false);
    thaw_json_set_bool(config, "init_lora_weights", true);
}

static bool scales_input(const thaw_node *node)
{
    return node->attr.scale_shift.form == THAW_SCALE_INPUT;
}

static void set_ia3(const export_of *e, thaw_json *config)
{
    set_modules(e, "target_modules", NULL, config);
    set_modules(e, "feedforward_modules", scales_input, config);
    thaw_json_set_bool(config, "fan_in_fan_out", false);
    thaw_json_set_bool(config, "init_ia3_weights", true);
}

static int64_t heads_of(const thaw_model *model)
{
    for (int32_t n = 0; n < thaw_graph_node_count(model->graph); n++) {
        const thaw_node *node = thaw_graph_node(model->graph, n);
        if (strcmp(thaw_node_kind(node), "attention") == 0)
            return node->attr.attention.heads;
    }
    return 0;
}

static void set_sizes(const thaw_setup *s, thaw_json *config)
{
    thaw_json_set_int(config, "num_virtual_tokens", s->config->peft.virtual_tokens);
    thaw_json_set_int(config, "token_dim", s->model->spec.width);
    thaw_json_set_int(config, "num_layers", s->model->blocks);
    thaw_json_set_int(config, "num_attention_heads", heads_of(s->model));
    thaw_json_set_int(config, "num_transformer_submodules", 1);
}

static void set_prompt(const export_of *e, thaw_json *config)
{
    set_sizes(e->setup, config);
    thaw_json_set_string(config, "prompt_tuning_init", "RANDOM");
}

static void set_prefix(const export_of *e, thaw_json *config)
{
    set_sizes(e->setup, config);
    thaw_json_set_int(config, "encoder_hidden_size", e->setup->model->spec.width);
    thaw_json_set_bool(config, "prefix_projection", false);
}

/* ---- Comparing ----------------------------------------------------------------------------------------------- */

/* PEFT's own presets stand for what an older file does not say: r and lora_alpha are 8. */
static thaw_status compare_lora(const thaw_setup *s, const thaw_json *config, const char *path)
{
    const thaw_peft *peft = &s->config->peft;
    const int64_t rank = thaw_json_int_or(config, "r", 8);
    const double alpha = thaw_json_double_or(config, "lora_alpha", 8);
    const bool rslora = thaw_json_bool_or(config, "use_rslora", false);
    const bool dora = thaw_json_bool_or(config, "use_dora", false);
    THAW_CHECK(
        rank == peft->rank && alpha == peft->alpha && rslora == peft->rslora &&
            dora == has_magnitudes(s->model),
        THAW_ERR_CONFIG,
        "%s: made with peft: {rank: %lld, alpha: %g, rslora: %s, dora: %s}, which the config "
        "must say too",
        path, (long long)rank, alpha, rslora ? "true" : "false", dora ? "true" : "false");
    const char *const unequal[] = {"rank_pattern", "alpha_pattern"};
    for (size_t i = 0; i < 2; i++)
        THAW_CHECK(thaw_json_count(thaw_json_find(config, unequal[i])) == 0, THAW_ERR_INPUT,
                   "%s: %s gives modules ranks or scales of their own, which thaw's lora has not",
                   path, unequal[i]);
    const char *bias = thaw_json_string_or(config, "bias", "none");
    THAW_CHECK(strcmp(bias, "none") == 0, THAW_ERR_INPUT,
               "%s: bias '%s' trains biases beside lora, which thaw's lora does not", path, bias);
    return THAW_OK;
}

thaw_status thaw_peft_form_compare(const thaw_peft_form *form, const thaw_setup *s,
                                   const thaw_json *config, const char *path)
{
    const thaw_peft *peft = &s->config->peft;
    const char *type = thaw_json_string_or(config, "peft_type", "");
    THAW_CHECK(strcmp(type, form->type) == 0, THAW_ERR_CONFIG,
               "%s: an adapter of type '%s', but peft.method %s is PEFT's %s", path, type,
               form->method, form->type);
    if (form->key != NULL) {
        const int64_t tokens = thaw_json_int_or(config, "num_virtual_tokens", 0);
        THAW_CHECK(tokens == peft->virtual_tokens, THAW_ERR_CONFIG,
                   "%s: made with peft: {method: %s, virtual_tokens: %lld}, which the config must "
                   "say too",
                   path, form->method, (long long)tokens);
    }
    return form->set == set_lora ? compare_lora(s, config, path) : THAW_OK;
}

static thaw_status write_config(const export_of *e, const char *path)
{
    const thaw_setup *s = e->setup;
    const char *const head = thaw_export_head(s->model);
    thaw_json *config = thaw_json_new_object();
    thaw_json_set_string(config, "peft_type", e->form->type);
    /* With a task PEFT names the head by itself and expects a model of transformers. */
    if (s->model->spec.T > 0)
        thaw_json_set_string(config, "task_type", "SEQ_CLS");
    else
        thaw_json_set_null(config, "task_type");
    thaw_json_set_null(config, "base_model_name_or_path");
    thaw_json_set_bool(config, "inference_mode", true);
    thaw_json_set_strings(config, "modules_to_save", &head, 1);
    e->form->set(e, config);
    const thaw_status status = thaw_json_write(path, config);
    thaw_json_free(&config);
    return status;
}

thaw_status thaw_export_peft(const thaw_setup *s, bool in_memory, const char *path)
{
    const export_of e = {s, thaw_peft_form_of(s->model->adapter), in_memory};
    thaw_state tensors = {0};
    thaw_str file = {0};
    thaw_status status;
    THAW_TRY_TO(check(s, in_memory));
    THAW_TRY_TO(collect(&e, &tensors));
    THAW_TRY_TO(thaw_mkdirs(path));
    thaw_path_join(&file, path, "adapter_model.safetensors");
    THAW_TRY_TO(thaw_export_write(s, &tensors, thaw_safetensors_write, thaw_str_c(&file)));
    thaw_path_join(&file, path, "adapter_config.json");
    status = write_config(&e, thaw_str_c(&file));
done:
    thaw_str_clear(&file);
    thaw_state_clear(&tensors);
    return status;
}
