#include "cli/import_impl.h"

#include <string.h>

/* Weights of others become a backbone file. */

static const cli_option options[] = {
    {"arch", 0, "NAME",
     "architecture (thaw backbone list); default: recognised by names and shapes"},
    {"size", 0, "N",
     "height and width of the pictures that the weights were trained on; default: the "
     "architecture's"},
    {"mean", 0, "X[,X]",
     "how inputs, in 0..1, were normalised; default: what thaw export noted, else "
     "preprocessor_config.json (transformers) or config.json (timm) beside the weights, else as "
     "the origin of the architecture does; which of them is printed"},
    {"std", 0, "X[,X]", "the same for the standard deviation"},
    {"vocab", 0, "FILE",
     "text: vocabulary of the weights: vocab.txt, vocab.json beside its merges.txt, or "
     "tokenizer.json; default: the one beside them, if there is one"},
    {"cased", 0, NULL,
     "text: letters keep case and accents; default: what tokenizer_config.json beside the weights "
     "says, else they do not"},
    {"pool", 0, "NAME",
     "transformers: what the head reads: class (the first token), mean, or of texts pooler; "
     "default: what thaw export noted, of texts else what 1_Pooling/config.json beside the weights "
     "says, else the pooler if there is one, else class"},
    {"origin", 0, "TEXT", "where the weights are from, kept in the file; default: the file's name"},
    {"licence", 0, "TEXT",
     "their licence, kept in the file; default: what README.md (a model card) or config.json "
     "(timm) "
     "beside the weights says"},
    {"output", 'o', "FILE", "backbone file to write"},
    {0}};

static thaw_status read_size(const cli_args *args, int64_t *out)
{
    const char *given = cli_value(args, "size");
    *out = 0;
    THAW_CHECK(given == NULL || (thaw_parse_int(given, out) && *out > 0 && *out <= 65536),
               THAW_ERR_USAGE, "--size %s: a whole number of pixels from 1 to 65536 is wanted",
               given);
    return THAW_OK;
}

/* What the options say, read before the weights are. */
typedef struct wishes {
    int64_t size; /* 0: the architecture's */
    import_norm norm;
} wishes;

static thaw_status read_wishes(const cli_args *args, wishes *out)
{
    THAW_CHECK(cli_value(args, "output") != NULL, THAW_ERR_USAGE,
               "-o is missing: the backbone file to write");
    THAW_TRY(read_size(args, &out->size));
    return import_read_norm(args, &out->norm);
}

typedef struct importing {
    const import_weights *f;
    const import_fit *x;
} importing;

/* The table of places, by way of the file's own size. */
static thaw_status give_places(const importing *g, int64_t from, const thaw_entry *entry,
                               thaw_take_rows *take, void *to)
{
    const thaw_weight *w = thaw_weights_at(g->f->weights, from);
    thaw_model_spec source = g->x->model->spec;
    float *data = NULL;
    float *resampled = NULL;
    thaw_status status;
    source.H = g->x->H;
    source.W = g->x->W;
    THAW_TRY_TO(thaw_alloc(&data, thaw_shape_count(&w->shape), sizeof *data));
    THAW_TRY_TO(thaw_alloc(&resampled, thaw_tensor_count(&entry->tensor), sizeof *resampled));
    THAW_TRY_TO(thaw_weights_read(g->f->weights, from, data));
    const thaw_tensor read = {THAW_F32, w->shape, data};
    THAW_TRY_TO(thaw_check_finite(g->f->path, w->name, &read, THAW_ERR_INPUT));
    thaw_model_resample_positions(g->x->model, &source, data, resampled);
    status = take(to, thaw_shape_rows(&entry->tensor.shape), resampled);
done:
    thaw_free(&resampled);
    thaw_free(&data);
    return status;
}

/* As they are in the file, in pieces where it can be read so: neither all weights nor a large one need fit into memory. */
static thaw_status give_rows(const importing *g, int64_t from, const thaw_entry *entry,
                             thaw_take_rows *take, void *to)
{
    const thaw_weights *weights = g->f->weights;
    const char *name = thaw_weights_at(weights, from)->name;
    const bool in_parts = thaw_weights_in_parts(weights, from);
    const int64_t rows = thaw_shape_rows(&entry->tensor.shape);
    const int64_t row = thaw_tensor_count(&entry->tensor) / rows;
    const int64_t piece = in_parts ? thaw_rows_a_piece(&entry->tensor.shape, THAW_F32) : rows;
    float *data = NULL;
    thaw_tensor read = entry->tensor;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&data, piece * row, sizeof *data));
    read.data = data;
    for (int64_t first = 0; first < rows; first += piece) {
        const int64_t n = piece < rows - first ? piece : rows - first;
        if (read.shape.ndim > 0)
            read.shape.dim[0] = n;
        THAW_TRY_TO(in_parts ? thaw_weights_read_part(weights, from, first * row, n * row, data)
                             : thaw_weights_read(weights, from, data));
        THAW_TRY_TO(thaw_check_finite_rows(g->f->path, name, &read, first, THAW_ERR_INPUT));
        THAW_TRY_TO(take(to, n, data));
    }
done:
    thaw_free(&data);
    return status;
}

static thaw_status give(void *context, const thaw_entry *entry, thaw_take_rows *take, void *to)
{
    const importing *g = context;
    const int32_t index = thaw_graph_find_param(g->x->model->graph, entry->name);
    THAW_ASSERT(index >= 0 && g->x->from[index] >= 0); /* import_check_fit */
    const bool resampled = g->x->H > 0 && index == thaw_model_positions(g->x->model);
    return (resampled ? give_places : give_rows)(g, g->x->from[index], entry, take, to);
}

static void set_numbers(thaw_json *out, const char *key, const import_numbers *n)
{
    thaw_json *list = thaw_json_set_array(out, key);
    for (int64_t c = 0; c < n->count; c++)
        thaw_json_add_double(list, n->value[c]);
}

/* norm: of pictures; NULL. */
static void print_json(const char *file, const thaw_backbone *b, const import_norm *norm)
{
    thaw_json *out = thaw_json_new_object();
    thaw_json_set_string(out, "file", file);
    thaw_json_set_string(out, "arch", b->arch);
    thaw_json_set_int(out, "tensors", b->tensors.count);
    thaw_json_set_bool(out, "head", b->head.count > 0);
    thaw_json_set_digest(out, "digest", b->digest);
    if (norm != NULL) {
        set_numbers(out, "mean", &norm->mean);
        set_numbers(out, "std", &norm->std);
        thaw_json_set_string(out, "normalisation", norm->source);
    }
    cli_print_json(out);
    thaw_json_free(&out);
}

static thaw_status write_file(const cli_args *args, const import_weights *f, const import_fit *x,
                              const wishes *w)
{
    const thaw_model_spec *spec = &x->model->spec;
    const char *slash = strrchr(f->path, '/');
    importing g = {f, x};
    const thaw_values values = {give, &g};
    thaw_backbone b = {.arch = (char *)x->arch->name,
                       .C = spec->C,
                       .H = spec->H,
                       .W = spec->W,
                       .mean = (double *)w->norm.mean.value,
                       .std = (double *)w->norm.std.value,
                       .origin = (char *)cli_value(args, "origin"),
                       .license = (char *)cli_value(args, "licence"),
                       .values = &values};
    thaw_str licence = {0};
    thaw_status status;
    if (f->is_text) {
        b.mean = b.std = NULL;
        b.tokens = spec->T;
        b.tokenizer = (char *)cli_text_tokenizer(&f->text);
        b.vocabulary = f->text.pieces > 0 ? (char *)f->text.vocabulary : NULL;
    }
    if (b.origin == NULL)
        b.origin = (char *)(slash == NULL ? f->path : slash + 1);
    if (b.license == NULL) {
        THAW_TRY_TO(import_read_licence(f->path, &licence));
        b.license = thaw_str_c(&licence)[0] != '\0' ? (char *)thaw_str_c(&licence) : NULL;
    }
    THAW_TRY_TO(thaw_model_spec_save(spec, &b.spec));
    THAW_TRY_TO(thaw_graph_state(x->model->graph, THAW_BACKBONE, &b.tensors));
    if (x->head)
        THAW_TRY_TO(thaw_model_head_state(x->model, &b.head));
    THAW_TRY_TO(thaw_model_block_names(x->model, &b.blocks));
    status = thaw_backbone_write(cli_value(args, "output"), &b);
    if (status == THAW_OK)
        THAW_LOG(THAW_INFO, "wrote %s", cli_value(args, "output"));
    if (status == THAW_OK && args->json)
        print_json(cli_value(args, "output"), &b, f->is_text ? NULL : &w->norm);
done:
    thaw_str_clear(&licence);
    thaw_free(&b.blocks.items);
    thaw_state_clear(&b.head);
    thaw_state_clear(&b.tensors);
    thaw_state_clear(&b.spec);
    return status;
}

/* What a network for texts takes, and what only one takes. */
static thaw_status open_text(const cli_args *args, const wishes *w, import_weights *f)
{
    static const char *const own[] = {"vocab", "cased"};
    if (thaw_weights_word(f->weights, "arch") != NULL) /* thaw export wrote it */
        f->text.said_pool = thaw_weights_word(f->weights, "pool");
    THAW_CHECK(!f->is_text || (w->size == 0 && w->norm.mean.count == 0 && w->norm.std.count == 0),
               THAW_ERR_USAGE, "--size, --mean and --std are for pictures, but %s reads texts",
               f->path);
    if (f->is_text)
        return cli_text_open(args, f->path, &f->text);
    for (int i = 0; i < 2; i++)
        THAW_CHECK(cli_value(args, own[i]) == NULL && !cli_flag(args, own[i]), THAW_ERR_USAGE,
                   "--%s is for networks that read texts, but %s has no table of tokens", own[i],
                   f->path);
    const char *given = cli_value(args, "pool");
    const char *word = given != NULL ? given : f->text.said_pool;
    THAW_CHECK(word == NULL || (thaw_pool_parse(word, &f->pool) &&
                                (f->pool == THAW_POOL_CLASS || f->pool == THAW_POOL_MEAN)),
               given != NULL ? THAW_ERR_USAGE : THAW_ERR_INPUT,
               "%s%s: of a network for pictures class or mean is wanted",
               given != NULL ? "--pool " : "the metadata's pool ", word);
    return THAW_OK;
}

static thaw_status run(const cli_args *args)
{
    import_weights f = {0};
    import_fit x = {0};
    wishes w;
    thaw_status status;
    THAW_TRY_TO(read_wishes(args, &w));
    THAW_TRY_TO(import_open(args->words[0], &f));
    THAW_TRY_TO(open_text(args, &w, &f));
    THAW_TRY_TO(import_choose(&f, cli_value(args, "arch"), w.size, &x));
    THAW_TRY_TO(import_check_fit(&f, &x));
    THAW_CHECK_TO(f.is_text || f.pool == THAW_POOL_AUTO || thaw_model_positions(x.model) >= 0,
                  THAW_ERR_USAGE, "--pool is for transformers, and %s is none", x.arch->name);
    if (f.is_text)
        THAW_TRY_TO(cli_text_check(&f.text, f.path, x.arch));
    import_say_fit(&f, &x);
    if (f.is_text)
        cli_text_say(&f.text, &x.model->spec);
    else
        THAW_TRY_TO(import_settle_norm(&f, &x, &w.norm));
    status = write_file(args, &f, &x, &w);
done:
    import_clear_fit(&x);
    import_close(&f);
    return status;
}

const cli_command cli_backbone_import = {
    .usage = "WEIGHTS -o FILE [--arch NAME] [option ...]",
    .doc = "makes a backbone file from weights in safetensors (one file or an index), in HDF5 or "
           "from torch.save",
    .help =
        "The architecture is recognised by the names and shapes of the tensors; what is missing "
        "is an error, what is left over a warning. float16 and bfloat16 become float32 exactly, "
        "float64 is rounded. What torch.save wrote is read, not run: what is beside the tensors is "
        "left, and anything that is to be called ends the import. "
        "Example:\n"
        "  thaw backbone import resnet18.safetensors --licence BSD-3-Clause -o resnet18.h5",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run_local = run,
};
