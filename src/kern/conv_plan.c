/* conv_plan.c - planned convolutions: which algorithm runs which pass. */
#include "thaw/kern.h"

#include <string.h>

#include "kern/conv_plan_impl.h"

static const char *pass_name(thaw_conv_pass pass)
{
    static const char *const names[] = {"forward", "backward_data", "backward_weights"};
    return names[pass];
}

void conv_key(const thaw_conv_spec *spec, thaw_conv_pass pass, char key[CONV_KEY_BYTES])
{
    const thaw_conv2d *s = &spec->shape;
    (void)thaw_format(key, CONV_KEY_BYTES,
                      "%s C%lld H%lld W%lld O%lld kernel %lldx%lld stride %lldx%lld pad "
                      "%lldx%lld dilation %lldx%lld groups %lld blocks %d %d",
                      pass_name(pass), (long long)s->C, (long long)s->H, (long long)s->W,
                      (long long)s->O, (long long)s->KH, (long long)s->KW, (long long)s->stride_h,
                      (long long)s->stride_w, (long long)s->pad_h, (long long)s->pad_w,
                      (long long)s->dilation_h, (long long)s->dilation_w, (long long)s->groups,
                      spec->block_in, spec->block_out);
    if (conv_trains(spec))
        (void)thaw_format(key + strlen(key), CONV_KEY_BYTES - strlen(key), " batch %lld",
                          (long long)s->B);
}

/* ---- one pass ---- */

thaw_status conv_unit_open(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass,
                           const conv_algorithm *algorithm, conv_unit *unit)
{
    memset(unit, 0, sizeof *unit);
    unit->kern = k;
    unit->spec = *spec;
    unit->pass = pass;
    unit->algorithm = algorithm;
    thaw_status status = algorithm->open(unit);
    if (status != THAW_OK)
        memset(unit, 0, sizeof *unit);
    return status;
}

void conv_unit_close(conv_unit *unit)
{
    if (unit->algorithm && unit->algorithm->close)
        unit->algorithm->close(unit);
    memset(unit, 0, sizeof *unit);
}

static const conv_algorithm *preferred(const thaw_kern *k, const thaw_conv_spec *spec,
                                       thaw_conv_pass pass)
{
    const conv_algorithm *first = NULL;
    for (const conv_algorithm *const *a = k->backend->algorithms; *a; a++) {
        if (!(*a)->fits(k, spec, pass))
            continue;
        if ((*a)->prefers && (*a)->prefers(k, spec, pass))
            return *a;
        first = first ? first : *a;
    }
    return first;
}

static thaw_status choose(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass,
                          const conv_algorithm **out)
{
    char key[CONV_KEY_BYTES];
    conv_key(spec, pass, key);
    const conv_choice *known = conv_choice_find(k->choices, key);
    if (known && known->algorithm->fits(k, spec, pass)) {
        *out = known->algorithm;
        return THAW_OK;
    }
    if (known)
        THAW_LOG(THAW_WARN, "the chosen algorithm %s cannot do \"%s\"; another is taken",
                 known->algorithm->name, key);
    *out = preferred(k, spec, pass);
    THAW_CHECK(*out, THAW_ERR_FAIL, "backend %s has no convolution for \"%s\"", k->name, key);
    if (k->choices->measure)
        THAW_TRY(conv_trial(k, spec, pass, *out, out));
    return conv_choice_set(k->choices, key, *out, k->choices->measure);
}

static bool well_formed(const thaw_kern *k, const thaw_conv_spec *spec)
{
    thaw_conv2d shape = spec->shape;
    return thaw_conv2d_output(&shape) && shape.OH == spec->shape.OH && shape.OW == spec->shape.OW &&
           shape.B > 0 && (spec->block_in == 1 || spec->block_in == k->block) &&
           (spec->block_out == 1 || spec->block_out == k->block) && spec->act < THAW_ACT_COUNT;
}

thaw_status thaw_conv_new(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv **out)
{
    *out = NULL;
    char key[CONV_KEY_BYTES];
    conv_key(spec, THAW_CONV_FORWARD, key);
    THAW_CHECK(well_formed(k, spec), THAW_ERR_FAIL,
               "no convolution, or a layout that backend %s does not have: \"%s\"", k->name, key);
    thaw_conv *conv = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&conv, 1, sizeof *conv));
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++) {
        if (!spec->wanted[pass])
            continue;
        const conv_algorithm *algorithm = NULL;
        THAW_TRY_TO(choose(k, spec, pass, &algorithm));
        THAW_TRY_TO(conv_unit_open(k, spec, pass, algorithm, &conv->units[pass]));
    }
    *out = conv;
    return THAW_OK;
done:
    thaw_conv_free(&conv);
    return status;
}

void thaw_conv_free(thaw_conv **conv)
{
    if (*conv == NULL)
        return;
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++)
        conv_unit_close(&(*conv)->units[pass]);
    thaw_free(conv);
}

bool thaw_conv_fits(const thaw_kern *k, const thaw_conv_spec *spec)
{
    if (!well_formed(k, spec))
        return false;
    bool all = true;
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++) {
        bool some = !spec->wanted[pass];
        for (const conv_algorithm *const *a = k->backend->algorithms; *a && !some; a++)
            some = !(*a)->inside_reorders && (*a)->fits(k, spec, pass);
        all = all && some;
    }
    return all;
}

size_t thaw_conv_packed_bytes(const thaw_conv *conv, thaw_conv_pass pass)
{
    return conv->units[pass].packed_bytes;
}

size_t thaw_conv_workspace_bytes(const thaw_conv *conv, thaw_conv_pass pass)
{
    return conv->units[pass].workspace_bytes;
}

const char *thaw_conv_algorithm(const thaw_conv *conv, thaw_conv_pass pass)
{
    return conv->units[pass].algorithm ? conv->units[pass].algorithm->name : "";
}

void thaw_conv_pack(const thaw_conv *conv, thaw_conv_pass pass, const float *w, float *packed)
{
    const conv_unit *unit = &conv->units[pass];
    if (unit->packed_bytes > 0)
        unit->algorithm->pack(unit, w, packed);
}

/* ---- runs ---- */

static void run_pass(thaw_conv *conv, thaw_conv_pass pass, const conv_run *run)
{
    conv_unit *unit = &conv->units[pass];
    THAW_ASSERT(unit->algorithm);
    THAW_ASSERT(run->B >= 0 && run->B <= unit->spec.shape.B);
    if (run->B > 0)
        unit->algorithm->run(unit, run);
}

void thaw_conv_forward(thaw_conv *conv, int64_t B, const float *x, const float *packed,
                       const float *bias, float *y, void *workspace)
{
    conv_run run = {.B = B, .x = x, .w = packed, .bias = bias, .y = y, .workspace = workspace};
    run_pass(conv, THAW_CONV_FORWARD, &run);
}

void thaw_conv_backward_data(thaw_conv *conv, int64_t B, const float *packed, const float *dy,
                             float *dx, bool accumulate, void *workspace)
{
    conv_run run = {
        .B = B, .w = packed, .dy = dy, .dx = dx, .accumulate = accumulate, .workspace = workspace};
    run_pass(conv, THAW_CONV_BACKWARD_DATA, &run);
}

void thaw_conv_backward_weights(thaw_conv *conv, int64_t B, const float *x, const float *dy,
                                float *dw, float *dbias, void *workspace)
{
    conv_run run = {.B = B, .x = x, .dy = dy, .dw = dw, .workspace = workspace};
    run_pass(conv, THAW_CONV_BACKWARD_WEIGHTS, &run);
    if (dbias) {
        thaw_image image = conv_output_image(&conv->units[THAW_CONV_BACKWARD_WEIGHTS].spec);
        image.B = B;
        thaw_kern_channel_sums(&image, dy, dbias);
    }
}
