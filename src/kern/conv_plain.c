/* conv_plain.c - the backend's convolution functions as an algorithm of planned convolutions, and what all algorithms share. */
#include "kern/conv_plan_impl.h"

#include "kern/conv_impl.h"

thaw_image conv_input_image(const thaw_conv_spec *spec)
{
    const thaw_conv2d *s = &spec->shape;
    return (thaw_image){s->B, s->C, s->H, s->W, spec->block_in};
}

thaw_image conv_output_image(const thaw_conv_spec *spec)
{
    const thaw_conv2d *s = &spec->shape;
    return (thaw_image){s->B, s->O, s->OH, s->OW, spec->block_out};
}

int64_t conv_weight_count(const thaw_conv2d *s)
{
    return s->O * (s->C / s->groups) * s->KH * s->KW;
}

static bool plain_fits(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    (void)k;
    (void)pass;
    return spec->block_in == 1 && spec->block_out == 1;
}

static thaw_status plain_open(conv_unit *unit)
{
    const thaw_conv_spec *spec = &unit->spec;
    unit->workspace_bytes = unit->kern->conv2d_workspace(unit->kern, &spec->shape);
    if (unit->pass == THAW_CONV_FORWARD && spec->add) {
        /* The convolution writes what it finds: it goes to the workspace first, then onto y. */
        thaw_image y = conv_output_image(spec);
        unit->workspace_bytes += (size_t)thaw_image_count(&y) * sizeof(float) + CONV_LINE;
    }
    return THAW_OK;
}

static void plain_forward(const conv_unit *unit, const thaw_conv2d *shape, const conv_run *run)
{
    const thaw_kern *k = unit->kern;
    const thaw_conv_spec *spec = &unit->spec;
    const float *bias = spec->bias ? run->bias : NULL;
    int64_t count = shape->B * shape->O * shape->OH * shape->OW;
    conv_scratch scratch = conv_scratch_on(run->workspace);
    float *product = spec->add ? conv_take_floats(&scratch, count) : run->y;
    k->conv2d_forward(k, shape, run->x, run->w, bias, product,
                      spec->add ? run->workspace + scratch.used : run->workspace);
    if (spec->add)
        thaw_kern_add_act(count, run->y, 1.0f, product, spec->act, run->y);
    else
        thaw_kern_act(count, spec->act, run->y, run->y);
}

static void plain_run(conv_unit *unit, const conv_run *run)
{
    const thaw_kern *k = unit->kern;
    thaw_conv2d shape = unit->spec.shape;
    shape.B = run->B;
    if (unit->pass == THAW_CONV_FORWARD)
        plain_forward(unit, &shape, run);
    else if (unit->pass == THAW_CONV_BACKWARD_DATA)
        k->conv2d_backward_data(k, &shape, run->w, run->dy, run->dx, run->accumulate,
                                run->workspace);
    else
        k->conv2d_backward_weights(k, &shape, run->x, run->dy, run->dw, NULL, run->workspace);
}

const conv_algorithm conv_plain = {
    .name = "plain", .fits = plain_fits, .open = plain_open, .run = plain_run};
