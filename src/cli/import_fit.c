#include "cli/import_impl.h"

#include <string.h>

/* The architecture that weights of others fit: told from names and shapes, every tensor of it must be there. */

/* What programs put around or in front of a state dictionary, and what they call the head. */
static const char *const wrappers[] = {"state_dict.", "model_state_dict.", "model.", "module."};
static const char *const heads[] = {"fc.", "classifier.", "classifier.1.", "head.", "linear."};

enum { NAMED = 6 }; /* tensors that a message names */

static const char *name_of(const import_weights *f, int64_t i)
{
    return f->own != NULL ? f->own[i] : thaw_weights_at(f->weights, i)->name + f->skip;
}

/* Skips one wrapper after another while all names begin with it. */
static void find_wrappers(import_weights *f)
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

/* How many blocks the network has that efficientnet_lite_pytorch would call so. */
static int lite_blocks(const import_weights *f)
{
    int blocks = 0;
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++) {
        const int block = thaw_model_lite_block(name_of(f, i));
        blocks = block >= blocks ? block + 1 : blocks;
    }
    return blocks;
}

/* Of ViTForImageClassification all names but the head's begin with "vit."; what torch.save wrote may have layers under other names than
 * the files of transformers. False: neither is so. */
static bool as_in_files(const import_weights *f, char (*own)[128])
{
    static const char prefix[] = "vit.";
    bool any = false;
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++) {
        const char *name = name_of(f, i);
        const bool has = thaw_starts_with(name, prefix);
        const char *rest = name + (has ? sizeof prefix - 1 : 0);
        const bool renamed = thaw_model_name_from_vit(rest, own[i], sizeof own[i]);
        any = any || has || renamed;
        if (!renamed && !thaw_copy(own[i], sizeof own[i], rest))
            return false;
    }
    return any;
}

/* All of them, or none. */
static thaw_status translate(import_weights *f)
{
    const int64_t count = thaw_weights_count(f->weights);
    char(*own)[128] = NULL;
    THAW_TRY(thaw_alloc(&own, count, sizeof *own));
    const int blocks = lite_blocks(f);
    f->is_lite = blocks > 0;
    for (int64_t i = 0; i < count && f->is_lite; i++)
        f->is_lite = thaw_model_name_from_lite(name_of(f, i), blocks, own[i], sizeof own[i]);
    bool all = f->is_text;
    for (int64_t i = 0; i < count && all; i++)
        all = cli_text_name(&f->text, name_of(f, i), own[i], sizeof own[i]);
    if (!f->is_lite && !all)
        all = as_in_files(f, own);
    if (f->is_lite || all)
        f->own = own;
    else
        thaw_free(&own);
    return THAW_OK;
}

/* The table of tokens tells; where a network has a head, its names have "bert." or the like before them, as the head's have not. */
static void find_text(import_weights *f)
{
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++) {
        const thaw_weight *w = thaw_weights_at(f->weights, i);
        f->is_text = cli_text_recognise(&f->text, w->name, &w->shape) || f->is_text;
    }
}

static int64_t find(const import_weights *f, const char *name)
{
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++)
        if (strcmp(name_of(f, i), name) == 0)
            return i;
    return -1;
}

/* Our head is called fc. */
static int64_t find_head(const import_weights *f, const char *suffix)
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

void import_clear_fit(import_fit *x)
{
    thaw_free(&x->from);
    thaw_model_free(&x->model);
}

/* A vision transformer's first weight has the size of a patch, and the table of places, of square pictures, how many there are. */
static void read_patches(const import_weights *f, const thaw_model *own, int64_t first,
                         thaw_model_spec *out)
{
    const int32_t index = thaw_model_positions(own);
    const int64_t at = find(f, thaw_graph_param(own->graph, index)->name);
    const thaw_shape *kernel = first >= 0 ? &thaw_weights_at(f->weights, first)->shape : NULL;
    out->patch = own->spec.patch;
    if (kernel != NULL && kernel->ndim == 4 && kernel->dim[2] > 0 && kernel->dim[2] <= 4096)
        out->patch = kernel->dim[2];
    const thaw_shape *places = at >= 0 ? &thaw_weights_at(f->weights, at)->shape : NULL;
    for (int64_t side = 1; places != NULL && places->ndim == 3 && side <= 1024; side++)
        if (1 + side * side == places->dim[1])
            out->H = out->W = side * out->patch;
}

/* Sizes that names alone do not tell: channels and width from the first weight, classes from the head. */
static thaw_status spec_for(const import_weights *f, const thaw_model_arch *arch, int64_t size,
                            thaw_model_spec *out)
{
    thaw_model *own = NULL;
    const int64_t head = find_head(f, "weight");
    *out = (thaw_model_spec){
        .arch = (char *)arch->name, .C = arch->C, .H = arch->H, .W = arch->W, .K = arch->K};
    if (f->is_text)
        cli_text_spec(&f->text, arch, out);
    THAW_TRY(thaw_model_outline(out, &own));
    const int64_t first = find(f, thaw_graph_param(own->graph, 0)->name);
    const bool has_places = thaw_model_positions(own) >= 0;
    if (has_places)
        read_patches(f, own, first, out);
    if (has_places && !f->is_text)
        out->pool = f->pool;
    thaw_model_free(&own);
    if (size > 0 && !has_places)
        out->H = out->W = size;
    if (head >= 0 && thaw_weights_at(f->weights, head)->shape.ndim == 2)
        out->K = thaw_weights_at(f->weights, head)->shape.dim[0];
    if (first >= 0 && thaw_weights_at(f->weights, first)->shape.ndim == 4) {
        out->C = thaw_weights_at(f->weights, first)->shape.dim[1];
        if (!has_places)
            out->width = thaw_weights_at(f->weights, first)->shape.dim[0];
    }
    return THAW_OK;
}

static bool is_counter(const char *name)
{
    return thaw_ends_with(name, "num_batches_tracked");
}

/* Which tensor becomes which parameter. */
static void match(const import_weights *f, import_fit *x)
{
    const thaw_graph *g = x->model->graph;
    int64_t used = 0;
    int64_t counters = 0;
    x->head = true;
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        const bool is_head = p->block < 0;
        const bool fits = !is_head || !f->is_text || cli_text_takes_head(&f->text);
        const int64_t at = !fits     ? -1
                           : is_head ? find_head(f, p->name + strlen("fc."))
                                     : find(f, p->name);
        const bool good = at >= 0 && thaw_weights_at(f->weights, at)->readable &&
                          thaw_shape_equal(&thaw_weights_at(f->weights, at)->shape, &p->shape);
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

static thaw_status try_arch(const import_weights *f, const thaw_model_arch *arch, int64_t size,
                            import_fit *out)
{
    thaw_model_spec spec;
    *out = (import_fit){.arch = arch};
    THAW_TRY(spec_for(f, arch, size, &spec));
    thaw_status status = thaw_model_outline(&spec, &out->model);
    if (status == THAW_OK)
        status =
            thaw_alloc(&out->from, thaw_graph_param_count(out->model->graph), sizeof *out->from);
    if (status == THAW_OK)
        match(f, out);
    else
        import_clear_fit(out);
    return status;
}

static bool better(const import_fit *a, const import_fit *b)
{
    if (b->arch == NULL || (a->gaps == 0) != (b->gaps == 0))
        return b->arch == NULL || a->gaps == 0;
    if (a->gaps == 0)
        return a->left < b->left;
    return a->gaps * b->wanted < b->gaps * a->wanted;
}

/* Why weights cannot be of an architecture at all, whatever its shapes; NULL: they can. */
static const char *cannot_be(const import_weights *f, const thaw_model_arch *arch)
{
    if (arch->width == 0)
        return "the sizes of an mlp are not in its names";
    if ((arch->T > 0) != f->is_text)
        return f->is_text ? "it reads images, and the weights are of a network for texts"
                          : "it reads texts, and the weights are of a network for images";
    if (f->is_text && strcmp(arch->family, f->text.kind->family) != 0)
        return "the names and shapes are those of another kind of network for texts";
    if (f->is_lite && !thaw_starts_with(arch->name, "tf_"))
        return "the names are those of efficientnet_lite_pytorch, whose weights are from "
               "TensorFlow and need its padding; take a tf_efficientnet_lite";
    return NULL;
}

/* Takes over *x, or frees it. *tie: an architecture that fits as well as the best one. */
static void keep_better(import_fit *x, import_fit *best, const thaw_model_arch **tie)
{
    if (best->arch != NULL && x->gaps == 0 && best->gaps == 0 && x->left == best->left)
        *tie = x->arch;
    if (!better(x, best)) {
        import_clear_fit(x);
        return;
    }
    *tie = NULL;
    import_clear_fit(best);
    *best = *x;
}

/* What was looked at, so that its reader sees which size is not built. */
static thaw_status refuse_sizes(const import_weights *f)
{
    const thaw_weight *first =
        thaw_weights_count(f->weights) > 0 ? thaw_weights_at(f->weights, 0) : NULL;
    char shape[96] = "";
    thaw_str text = {0};
    if (f->is_text)
        thaw_str_printf(&text, "it is a %s of %lld layers and %lld features; ",
                        f->text.kind->family, (long long)f->text.layers, (long long)f->text.width);
    if (first != NULL)
        thaw_shape_format(&first->shape, shape, sizeof shape);
    const thaw_status status = THAW_FAIL(
        THAW_ERR_INPUT,
        "%s fits no architecture (`thaw backbone list`): %sit has %lld tensors and begins with "
        "'%s' %s",
        f->path, thaw_str_c(&text), (long long)thaw_weights_count(f->weights),
        first != NULL ? first->name : "", shape);
    thaw_str_clear(&text);
    return status;
}

/* By what `thaw export` wrote beside the tensors. */
static thaw_status settle_tie(const import_weights *f, const thaw_model_arch *tie, int64_t size,
                              import_fit *best)
{
    const char *said = thaw_weights_word(f->weights, "arch");
    if (said != NULL && strcmp(said, best->arch->name) == 0)
        return THAW_OK;
    THAW_CHECK(said != NULL && strcmp(said, tie->name) == 0, THAW_ERR_USAGE,
               "%s fits both %s and %s, which differ in what no tensor shows (padding); say which "
               "by --arch",
               f->path, best->arch->name, tie->name);
    import_clear_fit(best);
    return try_arch(f, tie, size, best);
}

/* The architecture whose every tensor is there and that leaves least; else the one that lacks the smallest share. */
static thaw_status recognise(const import_weights *f, int64_t size, import_fit *best)
{
    const thaw_model_arch *tie = NULL;
    for (int32_t i = 0; i < thaw_model_arch_count(); i++) {
        const thaw_model_arch *arch = thaw_model_arch_at(i);
        import_fit x;
        if (cannot_be(f, arch) != NULL)
            continue;
        const thaw_status status = try_arch(f, arch, size, &x);
        if (status == THAW_ERR_CONFIG) {
            thaw_error_clear(); /* sizes that this architecture cannot have */
            continue;
        }
        THAW_TRY(status);
        keep_better(&x, best, &tie);
    }
    if (best->arch == NULL || best->gaps == best->wanted)
        return refuse_sizes(f);
    /* A shorter network of the same width fits with layers left over, and computes something else. */
    THAW_CHECK(!f->is_text || best->gaps > 0 || f->text.layers <= best->arch->blocks,
               THAW_ERR_INPUT,
               "%s has %lld layers of %lld features, but %s, the nearest there is, has %lld "
               "(`thaw backbone list`); --arch %s takes its first layers",
               f->path, (long long)f->text.layers, (long long)f->text.width, best->arch->name,
               (long long)best->arch->blocks, best->arch->name);
    return tie == NULL ? THAW_OK : settle_tie(f, tie, size, best);
}

/* A network that reduces pictures to a 32nd would see padding alone in smaller ones. */
static thaw_status check_size(const thaw_model_arch *arch, int64_t size)
{
    const thaw_model_spec spec = {
        .arch = (char *)arch->name, .C = arch->C, .H = arch->H, .W = arch->W, .K = arch->K};
    thaw_model *own = NULL;
    if (size == 0)
        return THAW_OK;
    THAW_TRY(thaw_model_outline(&spec, &own));
    const int64_t least = thaw_model_least_size(own);
    thaw_model_free(&own);
    THAW_CHECK(size >= least, THAW_ERR_USAGE,
               "--size %lld: %s reduces pictures %lld times in height and width, so they need at "
               "least %lld pixels each way",
               (long long)size, arch->name, (long long)least, (long long)least);
    return THAW_OK;
}

/* Everything but the table of places has the same shape for pictures of any size. */
static thaw_status take_size(int64_t size, import_fit *x)
{
    thaw_model *sized = NULL;
    thaw_model_spec spec = x->model->spec;
    if (size == 0 || thaw_model_positions(x->model) < 0 || (spec.H == size && spec.W == size))
        return THAW_OK;
    x->H = spec.H;
    x->W = spec.W;
    spec.H = spec.W = size;
    THAW_TRY(thaw_model_outline(&spec, &sized));
    thaw_model_free(&x->model);
    x->model = sized;
    return THAW_OK;
}

thaw_status import_choose(const import_weights *f, const char *name, int64_t size, import_fit *x)
{
    const thaw_model_arch *arch = NULL;
    if (name == NULL) {
        THAW_TRY(recognise(f, size, x));
        THAW_TRY(check_size(x->arch, size));
        return take_size(size, x);
    }
    THAW_TRY(thaw_model_arch_find(name, &arch));
    const char *why = cannot_be(f, arch);
    THAW_CHECK(why == NULL, THAW_ERR_USAGE, "--arch %s: %s", name, why);
    THAW_TRY(check_size(arch, size));
    THAW_TRY(try_arch(f, arch, size, x));
    return take_size(size, x);
}

/* Better said than that all its tensors are missing. Sources: transformers' DeiTModel, timm's VisionTransformerDistilled. */
static thaw_status check_built(const import_weights *f)
{
    for (int64_t i = 0; i < thaw_weights_count(f->weights); i++) {
        const char *name = thaw_weights_at(f->weights, i)->name;
        THAW_CHECK(!thaw_ends_with(name, "distillation_token") &&
                       !thaw_ends_with(name, "dist_token"),
                   THAW_ERR_INPUT,
                   "%s has %s, the second token of a DeiT with distillation, which is not built; a "
                   "DeiT without it is a vision transformer",
                   f->path, name);
    }
    return THAW_OK;
}

thaw_status import_open(const char *path, import_weights *f)
{
    *f = (import_weights){.path = path};
    THAW_TRY(thaw_weights_open(path, &f->weights));
    THAW_TRY(check_built(f));
    find_wrappers(f);
    find_text(f);
    return translate(f);
}

void import_close(import_weights *f)
{
    thaw_free(&f->own);
    thaw_weights_close(&f->weights);
}

/* ---- What is said of it ------------------------------------------------------------------------------------------- */

/* "layer1.0.conv1.weight (64, 64, 3, 3)": what is missing, or has another shape. */
static void name_gaps(const import_weights *f, const import_fit *x, thaw_str *out)
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

thaw_status import_check_fit(const import_weights *f, const import_fit *x)
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

void import_say_fit(const import_weights *f, const import_fit *x)
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
