/* conv_reordered.c - what no algorithm does in its layouts: through plain copies of the arrays. */
#include "kern/conv_plan_impl.h"

#include <string.h>

#include "kern/conv_impl.h"

/* The plain algorithm on a copy of the spec with plain layouts. */
static bool reordered_fits(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    (void)k;
    (void)pass;
    return spec->block_in > 1 || spec->block_out > 1;
}

static thaw_status reordered_open(conv_unit *unit)
{
    conv_unit *plain = NULL;
    thaw_conv_spec spec = unit->spec;
    spec.block_in = spec.block_out = 1;
    THAW_TRY(thaw_alloc(&plain, 1, sizeof *plain));
    thaw_status status = conv_unit_open(unit->kern, &spec, unit->pass, &conv_plain, plain);
    if (status != THAW_OK) {
        thaw_free(&plain);
        return status;
    }
    thaw_image x = conv_input_image(&spec);
    thaw_image y = conv_output_image(&spec);
    unit->state = plain;
    unit->workspace_bytes = plain->workspace_bytes +
                            (size_t)(conv_image_count(&x) + conv_image_count(&y)) * sizeof(float) +
                            4 * CONV_LINE;
    return THAW_OK;
}

static void reordered_close(conv_unit *unit)
{
    conv_unit_close(unit->state);
    thaw_free(&unit->state);
}

/* Channels of one block, as many as there are. */
static int64_t known_channels(const thaw_image *image, int64_t first)
{
    return image->C - first < image->block ? image->C - first : image->block;
}

static void to_plain(const kern_isa *isa, const thaw_image *image, const float *x, float *plain)
{
    int64_t S = image->H * image->W;
    for (int64_t b = 0; b < image->B; b++)
        for (int64_t c = 0; c < image->C; c += image->block, x += S * image->block)
            isa->transpose_out(S, known_channels(image, c), x, image->block,
                               plain + (b * image->C + c) * S, S, NULL, false);
}

static void from_plain(const kern_isa *isa, const thaw_image *image, const float *plain, float *x)
{
    int64_t S = image->H * image->W;
    for (int64_t b = 0; b < image->B; b++)
        for (int64_t c = 0; c < image->C; c += image->block, x += S * image->block) {
            if (known_channels(image, c) < image->block)
                memset(x, 0, (size_t)(S * image->block) * sizeof(float));
            isa->transpose(known_channels(image, c), S, plain + (b * image->C + c) * S, S, x,
                           image->block, S, 0);
        }
}

static const float *plain_copy(const kern_isa *isa, const thaw_image *image, const float *x,
                               conv_scratch *scratch)
{
    if (image->block == 1)
        return x;
    float *copy = conv_take_floats(scratch, image->B * image->C * image->H * image->W);
    to_plain(isa, image, x, copy);
    return copy;
}

static void reordered_run(conv_unit *unit, const conv_run *run)
{
    conv_unit *plain = unit->state;
    const kern_isa *isa = kern_isa_of(unit->kern);
    thaw_image x = conv_input_image(&unit->spec);
    thaw_image y = conv_output_image(&unit->spec);
    x.B = y.B = run->B;
    conv_scratch scratch = conv_scratch_on(run->workspace);
    conv_run inner = *run;
    bool data = unit->pass == THAW_CONV_BACKWARD_DATA;
    const thaw_image *result = unit->pass == THAW_CONV_FORWARD ? &y : &x;
    float *out = data ? run->dx : run->y;
    if (!data)
        inner.x = plain_copy(isa, &x, run->x, &scratch);
    if (unit->pass != THAW_CONV_FORWARD)
        inner.dy = plain_copy(isa, &y, run->dy, &scratch);
    if (unit->pass != THAW_CONV_BACKWARD_WEIGHTS && result->block > 1) {
        float *copy = conv_take_floats(&scratch, result->B * result->C * result->H * result->W);
        if (data ? run->accumulate : unit->spec.add)
            to_plain(isa, result, out, copy);
        inner.dx = inner.y = copy;
    }
    inner.workspace = run->workspace + scratch.used;
    plain->algorithm->run(plain, &inner);
    if (inner.y != run->y || inner.dx != run->dx)
        from_plain(isa, result, data ? inner.dx : inner.y, out);
}

const conv_algorithm conv_reordered = {.name = "reordered",
                                       .inside_reorders = true,
                                       .fits = reordered_fits,
                                       .open = reordered_open,
                                       .close = reordered_close,
                                       .run = reordered_run};
