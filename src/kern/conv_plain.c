/* conv_plain.c - the backend's convolution functions as an algorithm of planned convolutions, and what all algorithms share. */
#include "kern/conv_plan_impl.h"

#include <string.h>

#include "kern/clones_impl.h"
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

int64_t conv_image_count(const thaw_image *image)
{
    return image->B * conv_round(image->C, image->block) * image->H * image->W;
}

int64_t conv_weight_count(const thaw_conv2d *s)
{
    return s->O * (s->C / s->groups) * s->KH * s->KW;
}

/* One block of channels of one image: float sums over short runs of pixels, doubles over the runs. */
KERN_CLONES static void add_lane_sums(int64_t S, const float *dy, double sums[KERN_MOST_LANES],
                                      int32_t block)
{
    enum { RUN = 64 };
    for (int64_t first = 0; first < S; first += RUN) {
        int64_t last = first + RUN < S ? first + RUN : S;
        float run[KERN_MOST_LANES] = {0};
        for (int64_t i = first; i < last; i++)
            for (int32_t lane = 0; lane < block; lane++)
                run[lane] += dy[i * block + lane];
        for (int32_t lane = 0; lane < block; lane++)
            sums[lane] += run[lane];
    }
}

void conv_add_bias_gradient(const thaw_conv_spec *spec, int64_t B, const float *dy, float *dbias)
{
    thaw_image image = conv_output_image(spec);
    int64_t S = image.H * image.W;
    int64_t blocks = conv_parts(image.C, image.block);
    for (int64_t o = 0; o < blocks; o++) {
        double sums[KERN_MOST_LANES] = {0};
        for (int64_t b = 0; b < B; b++) {
            const float *from = dy + (b * blocks + o) * S * image.block;
            if (image.block == 1)
                sums[0] += thaw_kern_sum(S, from);
            else
                add_lane_sums(S, from, sums, image.block);
        }
        for (int64_t c = o * image.block; c < image.C && c < (o + 1) * image.block; c++)
            dbias[c] = (float)(dbias[c] + sums[c - o * image.block]);
    }
}

/* y = act(y + added); added NULL: nothing. */
KERN_CLONES static void finish(int64_t n, thaw_act act, const float *added, float *y)
{
    for (int64_t i = 0; added && i < n; i++)
        y[i] += added[i];
    /* Written so that NaN passes. */
    for (int64_t i = 0; act != THAW_ACT_NONE && i < n; i++)
        y[i] = y[i] < 0 ? 0.0f : y[i];
    for (int64_t i = 0; act == THAW_ACT_RELU6 && i < n; i++)
        y[i] = y[i] > 6.0f ? 6.0f : y[i];
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
        unit->workspace_bytes += (size_t)conv_image_count(&y) * sizeof(float) + CONV_LINE;
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
    finish(count, spec->act, spec->add ? product : NULL, run->y);
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
