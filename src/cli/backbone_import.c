#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_impl.h"
#include "thaw/store.h"

/* Weights of others become a backbone file: the architecture is told from names and shapes, every tensor of it must be there. */

static const cli_option options[] = {
    {"arch", 0, "NAME",
     "architecture (thaw backbone list); default: recognised by names and shapes"},
    {"size", 0, "N",
     "height and width of the pictures that the weights were trained on; default: the "
     "architecture's"},
    {"mean", 0, "X[,X]",
     "how inputs were normalised; default: as the origin of the weights does, for three channels"},
    {"std", 0, "X[,X]", "the same for the standard deviation"},
    {"origin", 0, "TEXT", "where the weights are from, kept in the file; default: the file's name"},
    {"licence", 0, "TEXT", "their licence, kept in the file"},
    {"output", 'o', "FILE", "backbone file to write"},
    {0}};

/* torchvision's transforms.Normalize for models trained on ImageNet. */
static const double imagenet_mean[] = {0.485, 0.456, 0.406};
static const double imagenet_std[] = {0.229, 0.224, 0.225};

/* timm's for its tf_ networks; the package efficientnet_lite_pytorch takes (x - 127) / 128 of bytes. */
static const double half[] = {0.5, 0.5, 0.5};
static const double lite_mean[] = {127.0 / 255, 127.0 / 255, 127.0 / 255};
static const double lite_std[] = {128.0 / 255, 128.0 / 255, 128.0 / 255};

/* What programs put around or in front of a state dictionary, and what they call the head. */
static const char *const wrappers[] = {"state_dict.", "model_state_dict.", "model.", "module."};
static const char *const heads[] = {"fc.", "classifier.", "classifier.1.", "head.", "linear."};

enum { NAMED = 6 }; /* tensors that a message names */

typedef struct foreign {
    const char *path;
    thaw_weights *weights;
    size_t skip;      /* bytes of the wrappers in front of every name */
    char (*own)[128]; /* names as ours, where the origin has others; NULL */
} foreign;

/* How a file fits an architecture. */
typedef struct fit {
    const thaw_model_arch *arch;
    thaw_model *model;
    int64_t *from; /* per parameter of the graph: weight, or -1 */
    int64_t wanted, gaps,
        left; /* of the backbone: parameters, missing ones; tensors without a use */
    bool head;
} fit;

static const char *name_of(const foreign *f, int64_t i)
{
    return f->own != NULL ? f->own[i] : thaw_weights_at(f->weights, i)->name + f->skip;
}

/* Skips one wrapper after another while all names begin with it. */
static void find_wrappers(foreign *f)
{
    const int64_t count = thaw_weights_count(f->weights);
    for (bool again = count > 0; again;) {
        again = false;
        for (size_t w = 0; w < sizeof wrappers / sizeof *wrappers && !again; w++) {
            bool all = true;
            for (int64_t i = 0; i < count && all; i++)
                all = thaw_starts_with(name_of(f, i), wrappers[w]);
            if (all)
                f->skip += strlen(wrappers[w]);
            again = all;
        }
    }
}

/* All of them, or none. */
static thaw_status translate(foreign *f)
{
    const int64_t count = thaw_weights_count(f->weights);
    char(*own)[128] = NULL;
    THAW_TRY(thaw_alloc(&own, count, sizeof *own));
    bool all = count > 0;
    for (int64_t i = 0; i < count && all; i++)
        all = thaw_model_name_from_lite(name_of(f, i), own[i], sizeof own[i]);
    if (all)
        f->own = own;
    else
        thaw_free(&own);
    return THAW_OK;
}

static int64_t find(const foreign *f, const char *name)
{
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++)
        if (strcmp(name_of(f, i), name) == 0)
            return i;
    return -1;
}

/* Our head is called fc. */
static int64_t find_head(const foreign *f, const char *suffix)
{
    char name[160];
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++) {
        const bool fits = thaw_format(name, sizeof name, "%s%s", heads[h], suffix);
        const int64_t at = fits ? find(f, name) : -1;
        if (at >= 0)
            return at;
    }
    return -1;
}

static bool same_shape(const thaw_shape *a, const thaw_shape *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int32_t i = 0; i < a->ndim; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

static void clear_fit(fit *x)
{
    thaw_free(&x->from);
    thaw_model_free(&x->model);
}

/* Sizes that names alone do not tell. */
static thaw_model_spec spec_for(const foreign *f, const thaw_model_arch *arch, int64_t size)
{
    const int64_t stem = find(f, "conv1.weight");
    const int64_t head = find_head(f, "weight");
    thaw_model_spec spec = {.arch = (char *)arch->name,
                            .C = arch->C,
                            .H = size > 0 ? size : arch->H,
                            .W = size > 0 ? size : arch->W,
                            .K = arch->K};
    if (head >= 0 && thaw_weights_at(f->weights, head)->shape.ndim == 2)
        spec.K = thaw_weights_at(f->weights, head)->shape.dim[0];
    if (stem >= 0 && thaw_weights_at(f->weights, stem)->shape.ndim == 4) {
        spec.C = thaw_weights_at(f->weights, stem)->shape.dim[1];
        if (strncmp(arch->family, "resnet", 6) == 0)
            spec.width = thaw_weights_at(f->weights, stem)->shape.dim[0];
    }
    return spec;
}

static bool is_counter(const char *name)
{
    static const char end[] = "num_batches_tracked";
    const size_t length = strlen(name);
    return length >= sizeof end - 1 && strcmp(name + length - (sizeof end - 1), end) == 0;
}

/* Which tensor becomes which parameter. */
static void match(const foreign *f, fit *x)
{
    const thaw_graph *g = x->model->graph;
    int64_t used = 0;
    int64_t counters = 0;
    x->head = true;
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        const bool is_head = p->block < 0;
        const int64_t at = is_head ? find_head(f, p->name + strlen("fc.")) : find(f, p->name);
        const bool good = at >= 0 && thaw_weights_at(f->weights, at)->readable &&
                          same_shape(&thaw_weights_at(f->weights, at)->shape, &p->shape);
        x->from[i] = good ? at : -1;
        used += good;
        x->wanted += !is_head;
        x->gaps += !is_head && !good;
        x->head = x->head && (good || !is_head);
    }
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++)
        counters += is_counter(name_of(f, i));
    x->left = thaw_weights_count(f->weights) - used - counters;
}

static thaw_status try_arch(const foreign *f, const thaw_model_arch *arch, int64_t size, fit *out)
{
    const thaw_model_spec spec = spec_for(f, arch, size);
    *out = (fit){.arch = arch};
    thaw_status status = thaw_model_outline(&spec, &out->model);
    if (status == THAW_OK)
        status =
            thaw_alloc(&out->from, thaw_graph_param_count(out->model->graph), sizeof *out->from);
    if (status == THAW_OK)
        match(f, out);
    else
        clear_fit(out);
    return status;
}

static bool better(const fit *a, const fit *b)
{
    if (b->arch == NULL || (a->gaps == 0) != (b->gaps == 0))
        return b->arch == NULL || a->gaps == 0;
    if (a->gaps == 0)
        return a->left < b->left;
    return a->gaps * b->wanted < b->gaps * a->wanted;
}

/* The architecture whose every tensor is there and that leaves least; else the one that lacks the smallest share. */
static thaw_status recognise(const foreign *f, int64_t size, fit *best)
{
    const thaw_model_arch *tie = NULL;
    for (int32_t i = 0; i < thaw_model_arch_count(); i++) {
        const thaw_model_arch *arch = thaw_model_arch_at(i);
        fit x;
        if (arch->T > 0 || arch->width == 0)
            continue; /* text; an mlp's sizes are not in its name */
        if (f->own != NULL && !thaw_starts_with(arch->name, "tf_"))
            continue; /* names that only weights from TensorFlow have */
        if (try_arch(f, arch, size, &x) != THAW_OK) {
            thaw_error_clear(); /* sizes that this architecture cannot have */
            continue;
        }
        if (best->arch != NULL && x.gaps == 0 && best->gaps == 0 && x.left == best->left)
            tie = arch;
        if (better(&x, best)) {
            tie = NULL;
            clear_fit(best);
            *best = x;
        } else {
            clear_fit(&x);
        }
    }
    THAW_CHECK(best->arch != NULL && best->gaps<best->wanted, THAW_ERR_INPUT,
                                                "%s fits no architecture for images (`thaw "
                                                "backbone list`): it begins with '%s'; networks "
                                                "for text are not imported yet",
                                                f->path, thaw_weights_count(f->weights)> 0
                   ? thaw_weights_at(f->weights, 0)->name
                   : "");
    THAW_CHECK(
        tie == NULL, THAW_ERR_USAGE,
        "%s fits both %s and %s, which differ in what no tensor shows (padding); say which by "
        "--arch",
        f->path, best->arch->name, tie->name);
    return THAW_OK;
}

/* "layer1.0.conv1.weight (64, 64, 3, 3)": what is missing, or has another shape. */
static void name_gaps(const foreign *f, const fit *x, thaw_str *out)
{
    const thaw_graph *g = x->model->graph;
    char shape[96];
    int named = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        if (p->block < 0 || x->from[i] >= 0)
            continue;
        if (++named > NAMED) {
            thaw_str_add(out, ", ...");
            return;
        }
        const int64_t at = find(f, p->name);
        thaw_shape_format(&p->shape, shape, sizeof shape);
        thaw_str_printf(out, "%s%s %s", named > 1 ? ", " : "", p->name, shape);
        if (at < 0)
            continue;
        thaw_shape_format(&thaw_weights_at(f->weights, at)->shape, shape, sizeof shape);
        thaw_str_printf(out, " (it is %s %s there)", thaw_weights_at(f->weights, at)->type, shape);
    }
}

static thaw_status check_fit(const foreign *f, const fit *x)
{
    thaw_str gaps = {0};
    if (x->gaps == 0)
        return THAW_OK;
    name_gaps(f, x, &gaps);
    const thaw_status status =
        THAW_FAIL(THAW_ERR_INPUT, "%s: %lld of the %lld tensors of %s are missing: %s", f->path,
                  (long long)x->gaps, (long long)x->wanted, x->arch->name, thaw_str_c(&gaps));
    thaw_str_clear(&gaps);
    return status;
}

static void say_fit(const foreign *f, const fit *x)
{
    thaw_str left = {0};
    int named = 0;
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++) {
        bool used = is_counter(name_of(f, i));
        for (int32_t k = 0; k < thaw_graph_param_count(x->model->graph) && !used; k++)
            used = x->from[k] == i;
        if (used || ++named > NAMED)
            continue;
        thaw_str_printf(&left, "%s%s", named > 1 ? ", " : "", thaw_weights_at(f->weights, i)->name);
    }
    THAW_LOG(THAW_INFO, "%s: %s, all %lld tensors of it%s", f->path, x->arch->name,
             (long long)x->wanted,
             x->head ? ", and its head" : "; its head is not there, or has another shape");
    if (named > 0)
        THAW_LOG(THAW_WARN, "%d tensors are left over: %s%s", named, thaw_str_c(&left),
                 named > NAMED ? ", ..." : "");
    thaw_str_clear(&left);
}

/* ---- Writing --------------------------------------------------------------------------------------------------------- */

/* Comma-separated numbers, as many as channels. */
static thaw_status read_numbers(const char *what, const char *text, int64_t C, double least,
                                double *out)
{
    thaw_status status = THAW_OK;
    const char *at = text;
    int64_t count = 0;
    for (; *at != '\0' && count < C; count++) {
        char *end = NULL;
        out[count] = strtod(at, &end);
        if (end == at || !isfinite(out[count]) || out[count] < least)
            break;
        at = *end == ',' ? end + 1 : end;
    }
    if (count != C || *at != '\0')
        status = THAW_FAIL(THAW_ERR_USAGE, "--%s %s: %lld numbers are wanted, one a channel%s",
                           what, text, (long long)C, least > 0 ? ", above 0" : "");
    return status;
}

static thaw_status normalisation(const cli_args *args, const char *what, const double *usual,
                                 int64_t C, double least, double *out)
{
    const char *given = cli_value(args, what);
    if (given != NULL)
        return read_numbers(what, given, C, least, out);
    THAW_CHECK(C == 3, THAW_ERR_USAGE, "--%s is needed: the weights read %lld channels", what,
               (long long)C);
    memcpy(out, usual, 3 * sizeof *out);
    return THAW_OK;
}

static const double *usual_mean(const foreign *f, const fit *x)
{
    if (f->own != NULL)
        return lite_mean;
    return thaw_starts_with(x->arch->name, "tf_") ? half : imagenet_mean;
}

static const double *usual_std(const foreign *f, const fit *x)
{
    if (f->own != NULL)
        return lite_std;
    return thaw_starts_with(x->arch->name, "tf_") ? half : imagenet_std;
}

static thaw_status read_all(const foreign *f, const fit *x)
{
    THAW_TRY(thaw_model_complete(x->model));
    for (int32_t i = 0; i < thaw_graph_param_count(x->model->graph); i++) {
        const thaw_param *p = thaw_graph_param(x->model->graph, i);
        const thaw_tensor read = {THAW_F32, p->shape, p->data};
        if (x->from[i] < 0)
            continue;
        THAW_TRY(thaw_weights_read(f->weights, x->from[i], p->data));
        THAW_TRY(thaw_check_finite(f->path, thaw_weights_at(f->weights, x->from[i])->name, &read,
                                   THAW_ERR_INPUT));
    }
    return THAW_OK;
}

static thaw_status add_head(const fit *x, thaw_state *out)
{
    for (int32_t i = 0; x->head && i < thaw_graph_param_count(x->model->graph); i++) {
        thaw_param *p = thaw_graph_param(x->model->graph, i);
        if (p->block < 0)
            THAW_TRY(thaw_state_add(out, p->name, THAW_F32, p->shape, p->data));
    }
    return THAW_OK;
}

static thaw_status write_file(const cli_args *args, const foreign *f, const fit *x)
{
    const thaw_graph *g = x->model->graph;
    const thaw_model_spec *spec = &x->model->spec;
    const char *slash = strrchr(f->path, '/');
    double mean[64];
    double std[64];
    thaw_backbone b = {.arch = (char *)x->arch->name,
                       .C = spec->C,
                       .H = spec->H,
                       .W = spec->W,
                       .mean = mean,
                       .std = std,
                       .origin = (char *)cli_value(args, "origin"),
                       .license = (char *)cli_value(args, "licence")};
    thaw_status status;
    if (b.origin == NULL)
        b.origin = (char *)(slash == NULL ? f->path : slash + 1);
    THAW_CHECK_TO(spec->C <= 64, THAW_ERR_INPUT, "%s: %lld input channels; at most 64 are possible",
                  f->path, (long long)spec->C);
    THAW_TRY_TO(normalisation(args, "mean", usual_mean(f, x), spec->C, -1e9, mean));
    THAW_TRY_TO(normalisation(args, "std", usual_std(f, x), spec->C, 1e-9, std));
    THAW_TRY_TO(read_all(f, x));
    THAW_TRY_TO(thaw_model_spec_save(spec, &b.spec));
    THAW_TRY_TO(thaw_graph_state(x->model->graph, THAW_BACKBONE, &b.tensors));
    THAW_TRY_TO(add_head(x, &b.head));
    THAW_TRY_TO(thaw_alloc(&b.blocks.items, thaw_graph_block_count(g), sizeof *b.blocks.items));
    for (int32_t i = 0; i < thaw_graph_block_count(g); i++)
        b.blocks.items[b.blocks.count++] = (char *)thaw_graph_block_name(g, i);
    status = thaw_backbone_write(cli_value(args, "output"), &b);
    if (status == THAW_OK)
        THAW_LOG(THAW_INFO, "wrote %s", cli_value(args, "output"));
done:
    thaw_free(&b.blocks.items);
    thaw_state_clear(&b.head);
    thaw_state_clear(&b.tensors);
    thaw_state_clear(&b.spec);
    return status;
}

static thaw_status choose(const cli_args *args, const foreign *f, fit *x)
{
    const char *given = cli_value(args, "size");
    const char *name = cli_value(args, "arch");
    const thaw_model_arch *arch = NULL;
    int64_t size = 0;
    THAW_CHECK(given == NULL || (thaw_parse_int(given, &size) && size > 0 && size <= 65536),
               THAW_ERR_USAGE, "--size %s: a number of pixels is wanted", given);
    if (name == NULL)
        return recognise(f, size, x);
    THAW_TRY(thaw_model_arch_find(name, &arch));
    THAW_CHECK(arch->T == 0 && arch->width > 0, THAW_ERR_USAGE,
               "--arch %s: only networks for images are imported", name);
    return try_arch(f, arch, size, x);
}

static thaw_status run(const cli_args *args)
{
    foreign f = {.path = args->words[0]};
    fit x = {0};
    thaw_status status;
    THAW_CHECK(cli_value(args, "output") != NULL, THAW_ERR_USAGE,
               "-o is missing: the backbone file to write");
    THAW_TRY_TO(thaw_weights_open(f.path, &f.weights));
    find_wrappers(&f);
    THAW_TRY_TO(translate(&f));
    THAW_TRY_TO(choose(args, &f, &x));
    THAW_TRY_TO(check_fit(&f, &x));
    if (!args->quiet)
        say_fit(&f, &x);
    status = write_file(args, &f, &x);
done:
    clear_fit(&x);
    thaw_free(&f.own);
    thaw_weights_close(&f.weights);
    return status;
}

const cli_command cli_backbone_import = {
    .usage = "WEIGHTS -o FILE [--arch NAME] [option ...]",
    .doc = "makes a backbone file from weights in safetensors (one file or an index) or from "
           "torch.save",
    .help =
        "The architecture is recognised by the names and shapes of the tensors; what is missing "
        "is an error, what is left over a warning. float16 and bfloat16 become float32 exactly, "
        "float64 is rounded. A pickle that is more than a state_dict is refused, never run. "
        "Example:\n"
        "  thaw backbone import resnet18.safetensors --licence BSD-3-Clause -o resnet18.h5",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run_local = run,
};
