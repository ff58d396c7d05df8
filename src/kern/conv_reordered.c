/* conv_reordered.c - what no algorithm does in its layouts: through plain copies of the arrays. */
#include "kern/conv_plan_impl.h"

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
                            (size_t)(thaw_image_count(&x) + thaw_image_count(&y)) * sizeof(float) +
                            4 * CONV_LINE;
    return THAW_OK;
}

static void reordered_close(conv_unit *unit)
{
    conv_unit_close(unit->state);
    thaw_free(&unit->state);
}

static const float *plain_copy(const thaw_image *image, const float *x, conv_scratch *scratch)
{
    if (image->block == 1)
        return x;
    float *copy = conv_take_floats(scratch, image->B * image->C * image->H * image->W);
    thaw_kern_reorder(image, x, 1, copy, false);
    return copy;
}

static void reordered_run(conv_unit *unit, const conv_run *run)
{
    conv_unit *plain = unit->state;
    thaw_image x = conv_input_image(&unit->spec);
    thaw_image y = conv_output_image(&unit->spec);
    x.B = y.B = run->B;
    conv_scratch scratch = conv_scratch_on(run->workspace);
    conv_run inner = *run;
    bool data = unit->pass == THAW_CONV_BACKWARD_DATA;
    thaw_image *result = unit->pass == THAW_CONV_FORWARD ? &y : &x;
    float *out = data ? run->dx : run->y;
    if (!data)
        inner.x = plain_copy(&x, run->x, &scratch);
    if (unit->pass != THAW_CONV_FORWARD)
        inner.dy = plain_copy(&y, run->dy, &scratch);
    if (unit->pass != THAW_CONV_BACKWARD_WEIGHTS && result->block > 1) {
        float *copy = conv_take_floats(&scratch, result->B * result->C * result->H * result->W);
        if (data ? run->accumulate : unit->spec.add)
            thaw_kern_reorder(result, out, 1, copy, false);
        inner.dx = inner.y = copy;
    }
    inner.workspace = run->workspace + scratch.used;
    plain->algorithm->run(plain, &inner);
    if (inner.y != run->y || inner.dx != run->dx) {
        int32_t block = result->block;
        result->block = 1;
        thaw_kern_reorder(result, data ? inner.dx : inner.y, block, out, false);
    }
}

const conv_algorithm conv_reordered = {.name = "reordered",
                                       .inside_reorders = true,
                                       .fits = reordered_fits,
                                       .open = reordered_open,
                                       .close = reordered_close,
                                       .run = reordered_run};
