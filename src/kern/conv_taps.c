/* conv_taps.c - any window and stride on images in channel blocks, tap by tap: tiles read the images where they lie.
 *
 * A run is a line of output pixels for which the same taps lie inside the input: neighbours in a row, neighbours in a column
 * (at the borders), or one pixel of all images (where images are smaller than a tile). A tile's rows are a run's pixels, its
 * segments the taps times the blocks of input channels. */
#include "kern/conv_plan_impl.h"

#include <string.h>

#include "kern/conv_impl.h"
#include "kern/threads_impl.h"

enum { INPUT_BYTES = 384 * 1024, DEEP_IMAGES = 64, MOST_TAPS = 49, MOST_SIDE = 8 };

typedef struct taps_plan {
    const kern_isa *isa;
    conv_gather g;
    int64_t lanes, in_blocks;
    bool deep;
    int64_t images, rows; /* of one piece of work */
    int64_t *a_offset, *b_offset;
    float *tile; /* (most rows, 2 vectors) */
    float *sums; /* weight gradients: [out block][in block][tap][lanes][lanes] */
    int threads;
    size_t room; /* gather: bytes of one thread's offsets and tile */
} taps_plan;

static bool fits(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    (void)pass;
    const thaw_conv2d *s = &spec->shape;
    conv_squares whole = {.block = kern_isa_of(k)->lanes};
    return spec->block_in == whole.block && spec->block_out == whole.block && s->KH <= MOST_SIDE &&
           s->KW <= MOST_SIDE && conv_squares_fit(kern_isa_of(k), &whole, s);
}

/* Small images: there the library's rows are too short, and Winograd's tiles mostly empty. And strides on the way back, where the
 * library computes much that it does not use. */
static bool prefers(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    (void)k;
    const thaw_conv2d *s = &spec->shape;
    return s->OW <= 2 || (pass == THAW_CONV_BACKWARD_DATA && s->stride_w > 1 && s->KH * s->KW > 1);
}

static int64_t clamp(int64_t value, int64_t most)
{
    value = value < most ? value : most;
    return value < 1 ? 1 : value;
}

static taps_plan describe(const kern_isa *isa, const thaw_conv2d *shape, thaw_conv_pass pass)
{
    taps_plan p = {.isa = isa, .lanes = isa->lanes};
    p.g =
        pass == THAW_CONV_BACKWARD_DATA ? conv_backward_gather(shape) : conv_forward_gather(shape);
    const conv_gather *g = &p.g;
    p.threads = conv_threads(g);
    p.in_blocks = g->in_channels / p.lanes;
    int64_t per_phase = (g->w.count - 1) / g->w.divisor + 1;
    p.deep = per_phase < 7 && g->B > per_phase;
    int64_t bytes = g->in_image * (int64_t)sizeof(float);
    if (pass == THAW_CONV_BACKWARD_WEIGHTS)
        bytes += g->out_image * (int64_t)sizeof(float);
    p.images = clamp(INPUT_BYTES / bytes, g->B);
    if (p.deep && p.images < DEEP_IMAGES)
        p.images = clamp(DEEP_IMAGES, g->B);
    p.rows = g->h.count;
    if (!p.deep && bytes > 2 * INPUT_BYTES) {
        p.rows = clamp(g->h.count * INPUT_BYTES / bytes, g->h.count);
        p.rows = conv_round(p.rows, g->h.divisor);
    }
    return p;
}

static size_t take(taps_plan *p, thaw_conv_pass pass, void *workspace)
{
    const conv_gather *g = &p->g;
    conv_scratch scratch = conv_scratch_on(workspace);
    int64_t taps = g->h.taps * g->w.taps;
    bool weights = pass == THAW_CONV_BACKWARD_WEIGHTS;
    int64_t segments = weights ? (p->deep ? g->h.count * g->w.count : p->images * g->h.count)
                               : taps * p->in_blocks;
    p->a_offset = conv_take(&scratch, segments, sizeof(int64_t));
    p->b_offset = conv_take(&scratch, segments, sizeof(int64_t));
    p->tile = conv_take_floats(&scratch, KERN_MOST_ROWS * 2 * p->lanes);
    p->room = scratch.used;
    p->sums = conv_take_floats(&scratch, weights ? taps * g->in_channels * g->out_channels : 0);
    return scratch.used + (weights ? 0 : (size_t)(p->threads - 1) * p->room);
}

/* A gather as thread `thread` sees it. */
static taps_plan of_thread(const taps_plan *p, int thread)
{
    taps_plan own = *p;
    size_t bytes = (size_t)thread * p->room;
    own.a_offset += bytes / sizeof(int64_t);
    own.b_offset += bytes / sizeof(int64_t);
    own.tile += bytes / sizeof(float);
    return own;
}

static int64_t block_width(const taps_plan *p, int64_t channel)
{
    return conv_block_vectors(p->isa, p->g.out_channels - channel) * p->lanes;
}

/* ---- forward and backward data ---- */

/* Taps of one axis that lie inside the input for one output, and where. */
typedef struct axis_taps {
    int64_t count, tap[MOST_SIDE], source[MOST_SIDE];
} axis_taps;

static axis_taps taps_at(const conv_axis *axis, int64_t i)
{
    axis_taps taps = {0};
    for (int64_t k = 0; k < axis->taps; k++)
        if (conv_source(axis, i, k, &taps.source[taps.count]))
            taps.tap[taps.count++] = k;
    return taps;
}

/* Outputs phase + divisor * j, j in [*first, *last), have all taps that any of the phase has. */
static void full_range(const conv_axis *axis, int64_t phase, int64_t *first, int64_t *last)
{
    int64_t count = phase < axis->count ? (axis->count - phase - 1) / axis->divisor + 1 : 0;
    *first = 0;
    *last = count;
    for (int64_t k = 0; k < axis->taps; k++) {
        int64_t t = phase * axis->scale + k * axis->step + axis->shift;
        if (((t % axis->divisor) + axis->divisor) % axis->divisor != 0)
            continue;
        /* Output j reads element (t / divisor) + j * scale. */
        int64_t j = *first;
        while (j < count && t + j * axis->scale * axis->divisor < 0)
            j++;
        *first = j;
        j = *last;
        while (j > *first &&
               (t + (j - 1) * axis->scale * axis->divisor) / axis->divisor >= axis->size)
            j--;
        *last = j;
    }
    if (*first >= *last)
        *first = *last = count;
}

typedef struct gather_job {
    const float *in,
        *weights; /* in: of the first image; weights: of the block of output channels */
    float *out;   /* of the first image and the block */
    int64_t block;
    int64_t channel;
    kern_finish finish;
} gather_job;

typedef struct pixel_run {
    int64_t image, row, column; /* the first pixel */
    int64_t count;
    int64_t in_stride, out_stride; /* floats from one pixel to the next */
} pixel_run;

static int64_t list_segments(const taps_plan *p, const axis_taps *h, const axis_taps *w,
                             int64_t block)
{
    const conv_gather *g = &p->g;
    int64_t count = 0;
    for (int64_t i = 0; i < h->count; i++)
        for (int64_t j = 0; j < w->count; j++)
            for (int64_t b = 0; b < p->in_blocks; b++) {
                p->a_offset[count] =
                    ((b * g->h.size + h->source[i]) * g->w.size + w->source[j]) * p->lanes;
                p->b_offset[count++] =
                    ((h->tap[i] * g->w.taps + w->tap[j]) * g->in_channels + b * p->lanes) * block;
            }
    return count;
}

static void do_run(const taps_plan *p, const gather_job *job, const pixel_run *r,
                   const axis_taps *h, const axis_taps *w)
{
    const conv_gather *g = &p->g;
    int64_t S = g->h.count * g->w.count;
    int vectors = (int)(job->block / p->lanes);
    kern_tile_run run = {.row_stride = r->in_stride,
                         .step_b = job->block,
                         .steps = p->lanes,
                         .segments = list_segments(p, h, w, job->block),
                         .a_offset = p->a_offset,
                         .b_offset = p->b_offset,
                         .c_stride = job->block};
    const float *in = job->in + r->image * g->in_image;
    float *out = job->out + r->image * g->out_image + (r->row * g->w.count + r->column) * p->lanes;
    int64_t parts = conv_parts(r->count, p->isa->most_rows[vectors - 1]);
    for (int64_t t = 0; t < parts; t++) {
        int64_t first = conv_part(r->count, parts, t);
        int64_t rows = conv_part(r->count, parts, t + 1) - first;
        p->isa->strided[vectors - 1][rows](&run, in + first * r->in_stride, job->weights, p->tile);
        for (int v = 0; v < vectors; v++) {
            kern_finish finish = job->finish;
            finish.bias = finish.bias ? finish.bias + job->channel + v * p->lanes : NULL;
            p->isa->conv.finish_rows(rows, p->tile + v * p->lanes, job->block, &finish,
                                     out + v * S * p->lanes + first * r->out_stride, r->out_stride);
        }
    }
}

static void deep_block(const taps_plan *p, const gather_job *job, int64_t first, int64_t images)
{
    const conv_gather *g = &p->g;
    for (int64_t row = 0; row < g->h.count; row++)
        for (int64_t column = 0; column < g->w.count; column++) {
            axis_taps h = taps_at(&g->h, row);
            axis_taps w = taps_at(&g->w, column);
            pixel_run run = {first, row, column, images, g->in_image, g->out_image};
            do_run(p, job, &run, &h, &w);
        }
}

/* The columns with all taps row by row, then the others column by column, where rows with all taps are one run. */
static void wide_phase(const taps_plan *p, const gather_job *job, int64_t image, int64_t phase_h,
                       int64_t phase_w, int64_t from, int64_t to)
{
    const conv_axis *h = &p->g.h;
    const conv_axis *w = &p->g.w;
    int64_t left, right, top, bottom;
    full_range(w, phase_w, &left, &right);
    full_range(h, phase_h, &top, &bottom);
    int64_t in_step = w->scale * p->lanes;
    int64_t out_step = w->divisor * p->lanes;
    for (int64_t row = from + phase_h; row < to && left < right; row += h->divisor) {
        int64_t column = phase_w + left * w->divisor;
        axis_taps rows = taps_at(h, row);
        axis_taps columns = taps_at(w, column);
        pixel_run run = {image, row, column, right - left, in_step, out_step};
        do_run(p, job, &run, &rows, &columns);
    }
    for (int64_t column = phase_w, j = 0; column < w->count; column += w->divisor, j++) {
        if (j >= left && j < right)
            continue;
        axis_taps columns = taps_at(w, column);
        for (int64_t row = from + phase_h; row < to;) {
            int64_t i = (row - phase_h) / h->divisor;
            int64_t end = i >= top && i < bottom ? bottom : i + 1;
            int64_t last = (to - phase_h + h->divisor - 1) / h->divisor;
            int64_t count = (end < last ? end : last) - i;
            axis_taps rows = taps_at(h, row);
            pixel_run run = {image,
                             row,
                             column,
                             count,
                             h->scale * w->size * p->lanes,
                             h->divisor * w->count * p->lanes};
            do_run(p, job, &run, &rows, &columns);
            row += count * h->divisor;
        }
    }
}

static void run_piece(const taps_plan *p, gather_job *job, int64_t first, int64_t row)
{
    const conv_gather *g = &p->g;
    int64_t images = g->B - first < p->images ? g->B - first : p->images;
    int64_t to = row + p->rows < g->h.count ? row + p->rows : g->h.count;
    if (p->deep) {
        deep_block(p, job, first, images);
        return;
    }
    for (int64_t n = first; n < first + images; n++)
        for (int64_t phase_h = 0; phase_h < g->h.divisor; phase_h++)
            for (int64_t phase_w = 0; phase_w < g->w.divisor; phase_w++)
                wide_phase(p, job, n, phase_h, phase_w, row, to);
}

/* Jobs [from, to): pieces of images and rows, times blocks of output channels. */
static void run_jobs(const taps_plan *plan, int thread, int64_t from, int64_t to, const float *in,
                     const float *weights, const kern_finish *finish, float *out)
{
    taps_plan own = of_thread(plan, thread);
    const taps_plan *p = &own;
    const conv_gather *g = &p->g;
    int64_t taps = g->h.taps * g->w.taps;
    int64_t blocks = conv_parts(g->out_channels, 2 * p->lanes);
    int64_t bands = conv_parts(g->h.count, p->rows);
    for (int64_t i = from; i < to; i++) {
        int64_t channel = i % blocks * 2 * p->lanes;
        int64_t piece = i / blocks;
        gather_job job = {.in = in,
                          .weights = weights + channel * taps * g->in_channels,
                          .out = out + channel * g->h.count * g->w.count,
                          .block = block_width(p, channel),
                          .channel = channel,
                          .finish = *finish};
        run_piece(p, &job, piece / bands * p->images, piece % bands * p->rows);
    }
}

static void run_gather(const taps_plan *p, const float *in, const float *weights,
                       const kern_finish *finish, float *out)
{
    const conv_gather *g = &p->g;
    int64_t jobs = conv_parts(g->B, p->images) * conv_parts(g->h.count, p->rows) *
                   conv_parts(g->out_channels, 2 * p->lanes);
    KERN_ALL(p->threads, p->threads, t,
             run_jobs(p, (int)t, conv_part(jobs, p->threads, t), conv_part(jobs, p->threads, t + 1),
                      in, weights, finish, out));
}

/* ---- weight gradients ---- */

/* Pixels of x and dy that one tap joins; steps are neighbours in a row, or images. */
static int64_t wide_pairs(const taps_plan *p, int64_t first, int64_t images, int64_t kh, int64_t kw,
                          kern_tile_run *run)
{
    const conv_gather *g = &p->g;
    int64_t count = 0;
    int64_t left = 0;
    int64_t right = g->w.count;
    int64_t source;
    while (left < right && !conv_source(&g->w, left, kw, &source))
        left++;
    while (right > left && !conv_source(&g->w, right - 1, kw, &source))
        right--;
    run->steps = right - left;
    run->step_a = g->w.scale * p->lanes;
    run->step_b = p->lanes;
    if (left == right)
        return 0;
    (void)conv_source(&g->w, left, kw, &source);
    for (int64_t n = first; n < first + images; n++)
        for (int64_t row = 0; row < g->h.count; row++) {
            int64_t source_row;
            if (!conv_source(&g->h, row, kh, &source_row))
                continue;
            p->a_offset[count] = n * g->in_image + (source_row * g->w.size + source) * p->lanes;
            p->b_offset[count++] = n * g->out_image + (row * g->w.count + left) * p->lanes;
        }
    return count;
}

static int64_t deep_pairs(const taps_plan *p, int64_t first, int64_t images, int64_t kh, int64_t kw,
                          kern_tile_run *run)
{
    const conv_gather *g = &p->g;
    int64_t count = 0;
    run->steps = images;
    run->step_a = g->in_image;
    run->step_b = g->out_image;
    for (int64_t i = 0; i < g->h.count * g->w.count; i++) {
        int64_t row, column;
        if (!conv_source(&g->h, i / g->w.count, kh, &row) ||
            !conv_source(&g->w, i % g->w.count, kw, &column))
            continue;
        p->a_offset[count] = first * g->in_image + (row * g->w.size + column) * p->lanes;
        p->b_offset[count++] = first * g->out_image + i * p->lanes;
    }
    return count;
}

/* The products of one tap for all pairs of blocks; a tile is one square. */
static void add_tap(const taps_plan *p, int64_t tap, const kern_tile_run *run, const float *x,
                    const float *dy)
{
    const conv_gather *g = &p->g;
    int64_t taps = g->h.taps * g->w.taps;
    int64_t square = p->lanes * p->lanes;
    int64_t S = g->h.size * g->w.size * p->lanes;
    int64_t out_S = g->h.count * g->w.count * p->lanes;
    int64_t out_blocks = g->out_channels / p->lanes;
    KERN_ALL(p->threads, p->in_blocks * out_blocks, i, {
        int64_t b = i / out_blocks;
        int64_t o = i % out_blocks;
        p->isa->unit[0][p->lanes](run, x + b * S, dy + o * out_S,
                                  p->sums + ((o * p->in_blocks + b) * taps + tap) * square);
    });
}

static void run_weights(const taps_plan *p, const thaw_conv2d *s, const float *x, const float *dy,
                        float *dw)
{
    const conv_gather *g = &p->g;
    int64_t square = p->lanes * p->lanes;
    int64_t taps = s->KH * s->KW;
    for (int64_t first = 0; first < g->B; first += p->images)
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t images = g->B - first < p->images ? g->B - first : p->images;
            kern_tile_run run = {.a_offset = p->a_offset,
                                 .b_offset = p->b_offset,
                                 .c_stride = p->lanes,
                                 .add = first > 0};
            run.segments = p->deep ? deep_pairs(p, first, images, tap / s->KW, tap % s->KW, &run)
                                   : wide_pairs(p, first, images, tap / s->KW, tap % s->KW, &run);
            /* Without segments the first piece writes zeros. */
            if (run.segments > 0 || first == 0)
                add_tap(p, tap, &run, x, dy);
        }
    conv_squares form = {p->lanes, p->in_blocks * taps * square, taps * square, s->KW * square,
                         square};
    conv_squares_add(p->isa, &form, s, p->sums, dw);
}

/* ---- as an algorithm ---- */

static thaw_status open_unit(conv_unit *unit)
{
    taps_plan p = describe(kern_isa_of(unit->kern), &unit->spec.shape, unit->pass);
    unit->workspace_bytes = take(&p, unit->pass, NULL) + CONV_LINE;
    if (unit->pass != THAW_CONV_BACKWARD_WEIGHTS)
        unit->packed_bytes = (size_t)conv_weight_count(&unit->spec.shape) * sizeof(float);
    return THAW_OK;
}

static void pack(const conv_unit *unit, const float *w, float *packed)
{
    const kern_isa *isa = kern_isa_of(unit->kern);
    taps_plan p = describe(isa, &unit->spec.shape, unit->pass);
    const conv_gather *g = &p.g;
    int64_t order[MOST_SIDE] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int64_t channel = 0; channel < g->out_channels; channel += 2 * p.lanes)
        conv_pack_weights(isa, g, order, channel, block_width(&p, channel), w,
                          packed + channel * g->h.taps * g->w.taps * g->in_channels);
}

static void run_unit(conv_unit *unit, const conv_run *run)
{
    thaw_conv2d s = unit->spec.shape;
    /* Pieces and arrangement as planned, whatever B is: so does the workspace. */
    taps_plan p = describe(kern_isa_of(unit->kern), &s, unit->pass);
    (void)take(&p, unit->pass, run->workspace);
    p.g.B = run->B;
    p.images = p.images < run->B ? p.images : run->B;
    const thaw_conv_spec *spec = &unit->spec;
    kern_finish forward = {spec->bias ? run->bias : NULL, spec->add, spec->act};
    kern_finish backward = {NULL, run->accumulate, THAW_ACT_NONE};
    if (unit->pass == THAW_CONV_FORWARD)
        run_gather(&p, run->x, run->w, &forward, run->y);
    else if (unit->pass == THAW_CONV_BACKWARD_DATA)
        run_gather(&p, run->dy, run->w, &backward, run->dx);
    else
        run_weights(&p, &s, run->x, run->dy, run->dw);
}

const conv_algorithm conv_taps = {.name = "taps",
                                  .fits = fits,
                                  .prefers = prefers,
                                  .open = open_unit,
                                  .pack = pack,
                                  .run = run_unit};
