/* conv_depthwise.c - one window a channel, in channel blocks: a lane is a channel.
 *
 * One block of one image at a time, in bands of output rows. A band's input goes to scratch with its border of zeros first,
 * so that every output is like every other; the band is small enough for the first-level cache. */
#include "kern/conv_plan_impl.h"

#include <string.h>

#include "kern/conv_impl.h"
#include "kern/threads_impl.h"

enum { BAND_BYTES = 24 * 1024, MOST_TAPS = 49, MOST_PHASES = 4 };

/* Outputs i = phase + divisor * j of one axis read inputs base[tap] + j * scale for the taps that `used` lists. */
typedef struct phase_taps {
    int64_t count, used;
    int64_t tap[MOST_TAPS], base[MOST_TAPS];
} phase_taps;

typedef struct axis_plan {
    conv_axis axis;
    phase_taps phases[MOST_PHASES];
    int64_t border; /* zeros before the first element */
    int64_t last;   /* one past the last element that is read, not below the size */
} axis_plan;

typedef struct depthwise {
    const kern_isa *isa;
    int64_t lanes, blocks, B;
    int64_t in_image, out_image; /* floats of one block of one image */
    axis_plan h, w;
    int64_t width; /* of a scratch row in pixels */
    int64_t band;  /* output rows of a band: a multiple of the divisor */
    int64_t rows;  /* most scratch rows */
    float *scratch, *sums;
    int threads;
    size_t room; /* bytes of one thread's scratch and sums */
} depthwise;

static bool fits(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    (void)pass;
    const thaw_conv2d *s = &spec->shape;
    int32_t lanes = kern_isa_of(k)->lanes;
    return spec->block_in == lanes && spec->block_out == lanes && s->groups == s->C &&
           s->O == s->C && s->KH * s->KW <= MOST_TAPS && s->stride_h <= MOST_PHASES &&
           s->stride_w <= MOST_PHASES && s->groups > 1;
}

static bool prefers(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    /* Where oneDNN has no kernel of its own, or a slow one. */
    (void)k;
    return pass == THAW_CONV_BACKWARD_WEIGHTS ? spec->shape.KH != 3 || spec->shape.KW != 3
                                              : pass == THAW_CONV_BACKWARD_DATA;
}

static int64_t divide_down(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static axis_plan plan_axis(const conv_axis *axis)
{
    axis_plan p = {.axis = *axis, .last = axis->size};
    for (int64_t phase = 0; phase < axis->divisor && phase < axis->count; phase++) {
        phase_taps *taps = &p.phases[phase];
        taps->count = (axis->count - phase - 1) / axis->divisor + 1;
        for (int64_t k = 0; k < axis->taps; k++) {
            int64_t t = phase * axis->scale + k * axis->step + axis->shift;
            int64_t base = divide_down(t, axis->divisor);
            if (base * axis->divisor != t)
                continue;
            int64_t end = base + (taps->count - 1) * axis->scale + 1;
            taps->tap[taps->used] = k;
            taps->base[taps->used++] = base;
            p.border = -base > p.border ? -base : p.border;
            p.last = end > p.last ? end : p.last;
        }
    }
    return p;
}

/* Scratch rows that a band of `band` output rows reads at most: the window moves by scale / divisor a row. */
static int64_t band_rows(const axis_plan *h, int64_t band)
{
    const conv_axis *a = &h->axis;
    int64_t reach = (a->taps - 1) * (a->step < 0 ? -a->step : a->step);
    return ((band - 1) * a->scale + reach) / a->divisor + 2;
}

static depthwise describe(const kern_isa *isa, const thaw_conv2d *shape, thaw_conv_pass pass)
{
    depthwise p = {.isa = isa, .lanes = isa->lanes, .B = shape->B};
    conv_gather g =
        pass == THAW_CONV_BACKWARD_DATA ? conv_backward_gather(shape) : conv_forward_gather(shape);
    p.blocks = conv_parts(shape->C, p.lanes);
    p.in_image = g.h.size * g.w.size * p.lanes;
    p.out_image = g.h.count * g.w.count * p.lanes;
    p.h = plan_axis(&g.h);
    p.w = plan_axis(&g.w);
    p.width = p.w.border + p.w.last;
    int64_t divisor = g.h.divisor;
    int64_t row_bytes = p.width * p.lanes * (int64_t)sizeof(float);
    p.band = divisor;
    while (p.band < g.h.count && band_rows(&p.h, p.band + divisor) * row_bytes <= BAND_BYTES)
        p.band += divisor;
    p.rows = band_rows(&p.h, p.band);
    p.threads = thaw_threads_for(p.B * p.blocks * (p.in_image + p.out_image));
    return p;
}

static size_t take(depthwise *p, int64_t taps, void *workspace)
{
    conv_scratch scratch = conv_scratch_on(workspace);
    p->scratch = conv_take_floats(&scratch, p->rows * p->width * p->lanes);
    p->sums = conv_take_floats(&scratch, taps * p->lanes);
    p->room = scratch.used;
    return (size_t)p->threads * p->room;
}

/* First input row (may lie outside) that output rows from `row` on read; `row` is a multiple of the divisor. */
static int64_t first_source(const axis_plan *h, int64_t row)
{
    int64_t least = h->axis.size;
    for (int64_t phase = 0; phase < h->axis.divisor; phase++)
        for (int64_t i = 0; i < h->phases[phase].used; i++)
            least = h->phases[phase].base[i] < least ? h->phases[phase].base[i] : least;
    return least + row / h->axis.divisor * h->axis.scale;
}

/* Rows [first, first + rows) of the input to scratch; columns of zeros stay from clear_borders. */
static void fill(const depthwise *p, const float *in, int64_t first)
{
    int64_t W = p->w.axis.size;
    for (int64_t i = 0; i < p->rows; i++) {
        float *to = p->scratch + (i * p->width + p->w.border) * p->lanes;
        size_t bytes = (size_t)(W * p->lanes) * sizeof(float);
        if (first + i >= 0 && first + i < p->h.axis.size)
            memcpy(to, in + (first + i) * W * p->lanes, bytes);
        else
            memset(to, 0, bytes);
    }
}

static void clear_borders(const depthwise *p)
{
    memset(p->scratch, 0, (size_t)(p->rows * p->width * p->lanes) * sizeof(float));
}

/* The plan as thread `thread` sees it. */
static depthwise of_thread(const depthwise *p, int thread)
{
    depthwise own = *p;
    own.scratch += (size_t)thread * p->room / sizeof(float);
    own.sums += (size_t)thread * p->room / sizeof(float);
    clear_borders(&own);
    return own;
}

/* ---- forward and backward data ---- */

typedef struct row_taps {
    int64_t in_offset[MOST_TAPS], weight_offset[MOST_TAPS];
    int64_t count;
} row_taps;

/* Offsets from a scratch row that stands for input row 0, and its column of input column 0. */
static void list_taps(const depthwise *p, int64_t phase_h, int64_t phase_w, row_taps *taps)
{
    const phase_taps *h = &p->h.phases[phase_h];
    const phase_taps *w = &p->w.phases[phase_w];
    taps->count = 0;
    for (int64_t i = 0; i < h->used; i++)
        for (int64_t j = 0; j < w->used; j++) {
            taps->in_offset[taps->count] = (h->base[i] * p->width + w->base[j]) * p->lanes;
            taps->weight_offset[taps->count++] =
                (h->tap[i] * p->w.axis.taps + w->tap[j]) * p->lanes;
        }
}

static void gather_band(const depthwise *p, int64_t row, const float *weights,
                        const kern_finish *finish, float *out)
{
    const conv_axis *h = &p->h.axis;
    const conv_axis *w = &p->w.axis;
    int64_t first = first_source(&p->h, row);
    int64_t end = row + p->band < h->count ? row + p->band : h->count;
    row_taps taps;
    for (int64_t phase_h = 0; phase_h < h->divisor; phase_h++)
        for (int64_t phase_w = 0; phase_w < w->divisor; phase_w++) {
            list_taps(p, phase_h, phase_w, &taps);
            kern_depthwise_row run = {.count = p->w.phases[phase_w].count,
                                      .in_step = w->scale * p->lanes,
                                      .out_step = w->divisor * p->lanes,
                                      .taps = taps.count,
                                      .in_offset = taps.in_offset,
                                      .weight_offset = taps.weight_offset};
            for (int64_t i = row + phase_h; i < end && run.count > 0; i += h->divisor)
                p->isa->conv.depthwise_row(
                    &run,
                    p->scratch +
                        ((i / h->divisor * h->scale - first) * p->width + p->w.border) * p->lanes,
                    weights, finish, out + (i * w->count + phase_w) * p->lanes);
        }
}

typedef struct gather_call {
    int64_t C;
    const float *in, *weights;
    const kern_finish *finish;
    float *out;
} gather_call;

/* One block of one image, `image` of all. */
static void gather_image(const depthwise *p, const gather_call *call, int64_t image)
{
    int64_t taps = p->h.axis.taps * p->w.axis.taps;
    int64_t block = image % p->blocks;
    int64_t known = call->C - block * p->lanes < p->lanes ? call->C - block * p->lanes : p->lanes;
    float padded[KERN_MOST_LANES] = {0};
    kern_finish here = *call->finish;
    if (here.bias) {
        here.bias += block * p->lanes;
        if (known < p->lanes) {
            memcpy(padded, here.bias, (size_t)known * sizeof(float));
            here.bias = padded;
        }
    }
    for (int64_t row = 0; row < p->h.axis.count; row += p->band) {
        fill(p, call->in + image * p->in_image, first_source(&p->h, row));
        gather_band(p, row, call->weights + block * taps * p->lanes, &here,
                    call->out + image * p->out_image);
    }
}

static void run_gather(const depthwise *p, const gather_call *call)
{
    int64_t images = p->B * p->blocks;
    KERN_ALL(p->threads, p->threads, t, {
        depthwise own = of_thread(p, (int)t);
        int64_t last = conv_part(images, p->threads, t + 1);
        for (int64_t i = conv_part(images, p->threads, t); i < last; i++)
            gather_image(&own, call, i);
    });
}

/* ---- weight gradients ---- */

static void add_to_gradient(const depthwise *p, int64_t block, const thaw_conv2d *s, float *dw)
{
    int64_t taps = s->KH * s->KW;
    int64_t first = block * p->lanes;
    for (int64_t c = first; c < s->C && c < first + p->lanes; c++)
        for (int64_t tap = 0; tap < taps; tap++)
            dw[c * taps + tap] += p->sums[tap * p->lanes + c - first];
}

static void weights_block(const depthwise *p, const thaw_conv2d *s, int64_t block, const float *x,
                          const float *dy, float *dw)
{
    kern_depthwise_gradient g = {.columns = s->OW,
                                 .kernel_h = s->KH,
                                 .kernel_w = s->KW,
                                 .x_row = p->width * p->lanes,
                                 .dy_row = s->OW * p->lanes,
                                 .step_h = s->stride_h,
                                 .step_w = s->stride_w,
                                 .dilation_h = s->dilation_h,
                                 .dilation_w = s->dilation_w};
    memset(p->sums, 0, (size_t)(s->KH * s->KW * p->lanes) * sizeof(float));
    for (int64_t b = 0; b < p->B; b++)
        for (int64_t row = 0; row < s->OH; row += p->band) {
            int64_t image = b * p->blocks + block;
            g.rows = s->OH - row < p->band ? s->OH - row : p->band;
            fill(p, x + image * p->in_image, first_source(&p->h, row));
            /* The first tap reads column -pad; borders are at least that wide. */
            p->isa->conv.depthwise_gradient(&g, p->scratch + (p->w.border - s->pad_w) * p->lanes,
                                            dy + image * p->out_image + row * g.dy_row, p->sums);
        }
    add_to_gradient(p, block, s, dw);
}

static void run_weights(const depthwise *p, const thaw_conv2d *s, const float *x, const float *dy,
                        float *dw)
{
    KERN_ALL(p->threads, p->threads, t, {
        depthwise own = of_thread(p, (int)t);
        int64_t last = conv_part(p->blocks, p->threads, t + 1);
        for (int64_t i = conv_part(p->blocks, p->threads, t); i < last; i++)
            weights_block(&own, s, i, x, dy, dw);
    });
}

/* ---- as an algorithm ---- */

static thaw_status open_unit(conv_unit *unit)
{
    const thaw_conv2d *s = &unit->spec.shape;
    depthwise p = describe(kern_isa_of(unit->kern), s, unit->pass);
    unit->workspace_bytes = take(&p, s->KH * s->KW, NULL) + CONV_LINE;
    if (unit->pass != THAW_CONV_BACKWARD_WEIGHTS)
        unit->packed_bytes = (size_t)(p.blocks * s->KH * s->KW * p.lanes) * sizeof(float);
    return THAW_OK;
}

/* [block][tap][lane], zero beyond the last channel. */
static void pack(const conv_unit *unit, const float *w, float *packed)
{
    const thaw_conv2d *s = &unit->spec.shape;
    int64_t lanes = kern_isa_of(unit->kern)->lanes;
    int64_t taps = s->KH * s->KW;
    memset(packed, 0, unit->packed_bytes);
    for (int64_t c = 0; c < s->C; c++)
        for (int64_t tap = 0; tap < taps; tap++)
            packed[(c / lanes * taps + tap) * lanes + c % lanes] = w[c * taps + tap];
}

static void run_unit(conv_unit *unit, const conv_run *run)
{
    thaw_conv2d s = unit->spec.shape;
    s.B = run->B;
    depthwise p = describe(kern_isa_of(unit->kern), &s, unit->pass);
    (void)take(&p, s.KH * s.KW, run->workspace);
    const thaw_conv_spec *spec = &unit->spec;
    kern_finish forward = {spec->bias ? run->bias : NULL, spec->add, spec->act};
    kern_finish backward = {NULL, run->accumulate, THAW_ACT_NONE};
    if (unit->pass == THAW_CONV_FORWARD)
        run_gather(&p, &(gather_call){s.C, run->x, run->w, &forward, run->y});
    else if (unit->pass == THAW_CONV_BACKWARD_DATA)
        run_gather(&p, &(gather_call){s.C, run->dy, run->w, &backward, run->dx});
    else
        run_weights(&p, &s, run->x, run->dy, run->dw);
}

const conv_algorithm conv_depthwise = {.name = "depthwise",
                                       .fits = fits,
                                       .prefers = prefers,
                                       .open = open_unit,
                                       .pack = pack,
                                       .run = run_unit};
