#include "train/export_impl.h"

#include <string.h>

/* A finished run for other programs. One rank writes; what is written is the network that thaw_eval_run would run. */

#define MOST_PROBES 32

static const char *const names[] = {"safetensors", "peft", "hdf5", NULL};

const char *const *thaw_export_names(void)
{
    return names;
}

/* ---- Names --------------------------------------------------------------------------------------------------- */

/* What the origin of a family calls a whole model: backbone names get the prefix, the head (fc here) its own name. */
static const struct origin {
    const char *family, *prefix, *head;
    const char *arches; /* what their names begin with; NULL: all of the family */
    const char *reader; /* a class whose head reads features of one kind; NULL: there is one kind */
    thaw_pool_rule pool; /* which */
    const char *module;  /* where it is more than the head: what PEFT saves whole */
} origins[] = {
    {"mobilenet", "", "classifier.1", NULL, NULL, THAW_POOL_AUTO, NULL},  /* torchvision */
    {"efficientnet", "", "classifier", NULL, NULL, THAW_POOL_AUTO, NULL}, /* timm */
    {"vit", "vit.", "classifier", "hf_", "transformers' ViTForImageClassification", THAW_POOL_CLASS,
     NULL},
    {"vit", "", "head", NULL, "timm's VisionTransformer", THAW_POOL_CLASS, NULL},
    {"bert", "bert.", "classifier", NULL, "transformers' BertForSequenceClassification",
     THAW_POOL_POOLER, NULL},
    {"roberta", "roberta.", "classifier.out_proj", NULL,
     "transformers' RobertaForSequenceClassification", THAW_POOL_POOLER, "classifier"},
    {"distilbert", "distilbert.", "classifier", NULL,
     "transformers' DistilBertForSequenceClassification", THAW_POOL_POOLER, NULL},
};

/* What is the pooler here, and there a part of the head. */
static const struct {
    const char *family, *ours, *theirs;
} head_parts[] = {{"roberta", "pooler.dense.", "classifier.dense."},
                  {"distilbert", "pre_classifier.", "pre_classifier."}};

static const struct origin *origin_of(const thaw_model *model)
{
    static const struct origin same = {"", "", "fc", NULL, NULL, THAW_POOL_AUTO, NULL};
    const thaw_model_arch *arch = NULL;
    if (thaw_model_arch_find(model->spec.arch, &arch) != THAW_OK)
        return &same;
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        if (strcmp(origins[i].family, arch->family) == 0 &&
            (origins[i].arches == NULL || thaw_starts_with(arch->name, origins[i].arches)))
            return &origins[i];
    }
    return &same;
}

/* Names and shapes are the origin's either way; only what comes out would show it. */
static void warn_of_pool(const thaw_model *model)
{
    const struct origin *o = origin_of(model);
    if (o->reader != NULL && model->spec.pool != (int)o->pool)
        THAW_LOG(THAW_WARN,
                 "the head was trained on features by pool %s, but the head of %s reads those by "
                 "%s: the layers in between are missing, and it loads nothing strictly; a backbone "
                 "imported with --pool %s has them",
                 thaw_pool_words[model->spec.pool], o->reader, thaw_pool_words[o->pool],
                 thaw_pool_words[o->pool]);
}

const char *thaw_export_head(const thaw_model *model)
{
    const struct origin *o = origin_of(model);
    return o->module != NULL ? o->module : o->head;
}

/* Index in head_parts; -1: it is none. */
static int head_part_of(const thaw_model *model, const thaw_param *p)
{
    const struct origin *o = origin_of(model);
    for (size_t i = 0; i < sizeof head_parts / sizeof *head_parts; i++) {
        if (strcmp(o->family, head_parts[i].family) == 0 &&
            thaw_starts_with(p->name, head_parts[i].ours))
            return (int)i;
    }
    return -1;
}

bool thaw_export_beside_head(const thaw_model *model, const thaw_param *p)
{
    return head_part_of(model, p) >= 0 && !p->adapter;
}

void thaw_export_name(const thaw_model *model, const thaw_param *p, thaw_str *out)
{
    const struct origin *o = origin_of(model);
    const int part = head_part_of(model, p);
    thaw_str_reset(out);
    if (part >= 0) {
        thaw_str_printf(out, "%s%s", head_parts[part].theirs,
                        p->name + strlen(head_parts[part].ours));
        return;
    }
    if (p->block < 0 && thaw_starts_with(p->name, "fc."))
        thaw_str_printf(out, "%s.%s", o->head, p->name + strlen("fc."));
    else
        thaw_str_printf(out, "%s%s", o->prefix, p->name);
}

bool thaw_export_differs_in_memory(const thaw_model *model)
{
    return strcmp(origin_of(model)->prefix, "vit.") == 0;
}

void thaw_export_name_in_memory(const thaw_model *model, const thaw_param *p, thaw_str *out)
{
    char renamed[256];
    if (p->block >= 0 && thaw_export_differs_in_memory(model) &&
        thaw_model_name_to_vit(p->name, renamed, sizeof renamed)) {
        thaw_str_reset(out);
        thaw_str_printf(out, "%s%s", origin_of(model)->prefix, renamed);
    } else {
        thaw_export_name(model, p, out);
    }
}

/* ---- The network --------------------------------------------------------------------------------------------- */

/* A regression was trained on standardised targets: y = mean + std (W x + b). */
static thaw_status restore_units(thaw_setup *s)
{
    thaw_graph *g = s->model->graph;
    if (s->target_mean == NULL)
        return THAW_OK;
    const bool two = s->model->spec.head_hidden > 0;
    const int32_t weight = thaw_graph_find_param(g, two ? "fc.2.weight" : "fc.weight");
    const int32_t bias = thaw_graph_find_param(g, two ? "fc.2.bias" : "fc.bias");
    THAW_ASSERT(weight >= 0 && bias >= 0);
    const int64_t width = thaw_graph_param(g, weight)->shape.dim[1];
    float *w = thaw_graph_param(g, weight)->data;
    float *b = thaw_graph_param(g, bias)->data;
    for (int64_t k = 0; k < s->model->spec.K; k++) {
        thaw_kern_scale(width, (float)s->target_std[k], w + k * width);
        b[k] = (float)(s->target_mean[k] + s->target_std[k] * (double)b[k]);
    }
    return THAW_OK;
}

static thaw_status collect(const thaw_model *model, bool own_names, bool adapters, thaw_state *out)
{
    const bool as_theirs = !own_names && thaw_export_head_as_theirs(model);
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        if ((p->adapter && !adapters) || (as_theirs && p->block < 0))
            continue;
        thaw_export_name(model, p, &name);
        THAW_TRY_TO(thaw_state_add(out, own_names ? p->name : thaw_str_c(&name), THAW_F32, p->shape,
                                   p->data));
    }
    if (as_theirs)
        status = thaw_export_add_head(model, out);
done:
    thaw_str_clear(&name);
    return status;
}

/* ---- Formats ------------------------------------------------------------------------------------------------- */

static void add_numbers(const double *x, int64_t count, thaw_str *out)
{
    for (int64_t i = 0; i < count; i++)
        thaw_str_printf(out, "%s%.9g", i > 0 ? ", " : "", x[i]);
}

thaw_status thaw_export_write(const thaw_setup *s, const thaw_state *tensors,
                              thaw_tensors_write *write, const char *path)
{
    thaw_str classes = {0};
    thaw_str mean = {0};
    thaw_str std = {0};
    const int64_t C = thaw_dataset_shape(s->dataset).dim[0];
    for (int64_t k = 0; k < thaw_dataset_classes(s->dataset); k++)
        thaw_str_printf(&classes, "%s%s", k > 0 ? "\n" : "",
                        thaw_dataset_class_names(s->dataset)[k]);
    const thaw_text_info *text = thaw_dataset_text(s->dataset);
    if (text == NULL) {
        add_numbers(thaw_dataset_mean(s->dataset), C, &mean);
        add_numbers(thaw_dataset_std(s->dataset), C, &std);
    }
    const int pool = s->model->spec.pool;
    const bool has_pool = text != NULL || (pool != THAW_POOL_AUTO && pool != THAW_POOL_CLASS);
    char *pictures[] = {(char *)"input_mean", (char *)thaw_str_c(&mean),
                        (char *)"input_std",  (char *)thaw_str_c(&std),
                        (char *)"pool",       (char *)thaw_pool_words[pool]};
    char *texts[] = {(char *)"tokenizer",  text ? text->tokenizer : NULL,
                     (char *)"vocabulary", text ? text->vocabulary : NULL,
                     (char *)"pool",       (char *)thaw_pool_words[pool]};
    char *words[4 + sizeof texts / sizeof *texts] = {
        (char *)"arch", s->model->spec.arch, (char *)"classes", (char *)thaw_str_c(&classes)};
    if (text != NULL)
        memcpy(words + 4, texts, sizeof texts);
    else
        memcpy(words + 4, pictures, sizeof pictures);
    const thaw_strings list = {words, has_pool ? 10 : 8};
    const thaw_status status = write(path, tensors, &list);
    thaw_str_clear(&std);
    thaw_str_clear(&mean);
    thaw_str_clear(&classes);
    return status;
}

static thaw_status write_format(const thaw_setup *s, const thaw_export_options *o)
{
    thaw_state tensors = {0};
    thaw_status status;
    if (o->format == THAW_EXPORT_PEFT)
        return thaw_export_peft(s, o->in_memory, o->path);
    const bool hdf5 = o->format == THAW_EXPORT_HDF5;
    THAW_TRY_TO(collect(s->model, hdf5, hdf5 && !o->merge, &tensors));
    status =
        thaw_export_write(s, &tensors, hdf5 ? thaw_hdf5_write : thaw_safetensors_write, o->path);
done:
    thaw_state_clear(&tensors);
    return status;
}

/* bitfit and norm train what the network has anyway. */
static bool has_adapter(const thaw_model *model)
{
    bool any = false;
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++)
        any = any || thaw_graph_param(model->graph, i)->adapter;
    return any;
}

/* With the proof on samples that nobody trained on: the first ones of val. */
static thaw_status merge_proved(thaw_setup *s)
{
    thaw_feed feed = {0};
    float *input = NULL;
    int64_t indices[MOST_PROBES];
    thaw_merge_proof proof;
    thaw_status status;
    THAW_TRY_TO(thaw_feed_open(&feed, s->dataset, s->val));
    const int64_t n = feed.N < MOST_PROBES ? feed.N : MOST_PROBES;
    THAW_CHECK_TO(n > 0, THAW_ERR_INPUT,
                  "%s: its val split has no sample, and merging is checked on some; export without "
                  "--merge",
                  thaw_dataset_path(s->dataset));
    THAW_TRY_TO(thaw_alloc(&input, n * feed.width, sizeof *input));
    for (int64_t i = 0; i < n; i++)
        indices[i] = i;
    THAW_TRY_TO(thaw_feed_read(&feed, 0, n, indices, input));
    THAW_TRY_TO(thaw_adapt_merge_proved(s->model, s->kern, input, n, &proof));
    THAW_LOG(THAW_INFO, "merged: logits of %lld samples differ by at most %.1e of the largest",
             (long long)n, proof.difference);
    status = THAW_OK;
done:
    thaw_free(&input);
    thaw_feed_close(&feed);
    return status;
}

static thaw_status check_fits(const thaw_setup *s, const thaw_export_options *o)
{
    THAW_CHECK(
        o->format != THAW_EXPORT_SAFETENSORS || !has_adapter(s->model) || o->merge, THAW_ERR_USAGE,
        "the run has %s beside its weights, which a network of the origin has no place for; "
        "fold it in with --merge, which lora, ia3 and ssf allow, or take --format peft or hdf5",
        s->model->adapter);
    THAW_CHECK(o->format != THAW_EXPORT_PEFT || !o->merge, THAW_ERR_USAGE,
               "merging leaves no adapter for --format peft; take --format safetensors --merge");
    THAW_CHECK(!o->in_memory || o->format == THAW_EXPORT_PEFT, THAW_ERR_USAGE,
               "--names memory is for --format peft; weights have the names of files, which every "
               "from_pretrained reads");
    return THAW_OK;
}

static thaw_status export(thaw_setup *s, const thaw_export_options *o)
{
    THAW_TRY(check_fits(s, o));
    if (o->merge)
        THAW_TRY(merge_proved(s));
    if (o->format == THAW_EXPORT_PEFT ||
        (o->format == THAW_EXPORT_SAFETENSORS && !thaw_export_head_as_theirs(s->model)))
        warn_of_pool(s->model);
    THAW_TRY(restore_units(s));
    THAW_TRY(write_format(s, o));
    THAW_LOG(THAW_INFO, "wrote %s", o->path);
    return THAW_OK;
}

/* Before anything is read: a mistake in the path should not cost the wait. */
static thaw_status check_path(const thaw_export_options *o)
{
    const bool there = thaw_path_exists(o->path);
    THAW_CHECK(!there || o->overwrite, THAW_ERR_USAGE,
               "%s exists; replace it with --overwrite, or name another path", o->path);
    if (o->format != THAW_EXPORT_PEFT)
        return thaw_output_check(o->path, false);
    thaw_str file = {0};
    thaw_path_join(&file, o->path, "adapter_config.json");
    const thaw_status status = thaw_output_check(thaw_str_c(&file), true);
    thaw_str_clear(&file);
    return status;
}

thaw_status thaw_export_run(thaw_comm *comm, const char *run_directory,
                            const thaw_export_options *options)
{
    thaw_reopened run;
    thaw_status status;
    THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) == 0 ? check_path(options) : THAW_OK));
    THAW_TRY_TO(thaw_reopen(comm, run_directory, NULL, NULL, &run));
    THAW_TRY_TO(
        thaw_agree(comm, thaw_setup_interpolate(&run.setup, run_directory, options->share)));
    status = thaw_comm_rank(comm) == 0 ? export(&run.setup, options) : THAW_OK;
    status = thaw_agree(comm, status);
done:
    thaw_reopened_close(&run);
    return status;
}
