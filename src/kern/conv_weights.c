/* conv_weights.c - backward weights: for each window tap, (channels of x) x (channels of dy) summed over pixels. */
#include "kern/conv_impl.h"

#include <string.h>

#include "kern/threads_impl.h"

enum { PIXELS_BYTES = 768 * 1024, DEEP_IMAGES = 64 };

typedef struct weights_plan {
    const kern_isa *isa;
    const conv_gather *g; /* the forward gather: x is its input, dy has the shape of its output */
    bool deep;
    bool few_taps;         /* most of the window never meets the input: those sums are left out */
    int64_t images, rows;  /* one piece of work: images x output rows */
    int64_t border, width; /* wide: as in the gather */
    int64_t input_rows;    /* wide: most input rows that a piece needs */
    int64_t pitch;         /* floats of one dy pixel: out channels rounded up */
    int64_t *a_offset, *b_offset; /* segments */
    float *x, *dy;
    float *sum; /* (in_channels, taps, pitch): the order of dw, transposed */
    int threads;
    int64_t most_segments; /* every thread has room for so many offsets */
} weights_plan;

static int64_t clamp(int64_t value, int64_t most)
{
    value = value < most ? value : most;
    return value < 1 ? 1 : value;
}

static void choose_piece(weights_plan *p)
{
    const conv_gather *g = p->g;
    const conv_axis *w = &g->w;
    int64_t last = (w->count - 1) * w->scale + (w->taps - 1) * w->step + w->shift + 1;
    p->border = -w->shift;
    p->width = p->border + (last > w->size ? last : w->size);
    p->deep = w->count < 7 && g->B > w->count;
    p->pitch = conv_round(g->out_channels, p->isa->lanes);
    int64_t columns = p->deep ? w->size : p->width;
    int64_t image = (g->h.size * columns * g->in_channels + g->h.count * w->count * p->pitch) *
                    (int64_t)sizeof(float);
    p->images = clamp(PIXELS_BYTES / image, g->B);
    p->rows = g->h.count;
    if (p->deep && p->images < DEEP_IMAGES)
        p->images = clamp(DEEP_IMAGES, g->B);
    if (!p->deep && image > 2 * PIXELS_BYTES)
        p->rows = clamp(g->h.count * PIXELS_BYTES / image, g->h.count);
    for (int64_t row = 0; row < g->h.count; row += p->rows) {
        int64_t first_input, last_input;
        conv_source_range(&g->h, row, row + p->rows < g->h.count ? row + p->rows : g->h.count,
                          &first_input, &last_input);
        p->input_rows =
            last_input - first_input > p->input_rows ? last_input - first_input : p->input_rows;
    }
}

static void make_plan(weights_plan *p, conv_scratch *scratch)
{
    const conv_gather *g = p->g;
    choose_piece(p);
    p->few_taps = 2 * conv_taps_used(g) <= g->h.taps * g->w.taps;
    int64_t S = g->h.count * g->w.count;
    int64_t segments = p->deep ? S : p->images * p->rows;
    p->most_segments = segments;
    p->a_offset = conv_take(scratch, p->threads * segments, sizeof(int64_t));
    p->b_offset = conv_take(scratch, p->threads * segments, sizeof(int64_t));
    int64_t x_pixels = p->deep ? g->h.size * g->w.size : p->input_rows * p->width;
    int64_t dy_pixels = p->deep ? S : p->rows * g->w.count;
    p->x = conv_take_floats(scratch, p->images * x_pixels * g->in_channels);
    p->dy = conv_take_floats(scratch, p->images * dy_pixels * p->pitch);
    p->sum = conv_take_floats(scratch, g->h.taps * g->w.taps * g->in_channels * p->pitch);
}

typedef struct piece {
    int64_t first_image, images, first_row, last_row;
    int64_t first_input, last_input;
} piece;

static void fill_wide(const weights_plan *p, const piece *part, const float *x, const float *dy)
{
    const conv_gather *g = p->g;
    int64_t C = g->in_channels;
    int64_t rows = part->last_input - part->first_input;
    int64_t out_rows = part->last_row - part->first_row;
    /* Where all pieces are whole images the borders stay zero. */
    if (p->width > g->w.size && (part->first_image == 0 || p->rows < g->h.count))
        memset(p->x, 0, (size_t)(part->images * rows * p->width * C) * sizeof(float));
    KERN_ALL(p->threads, part->images, n, {
        int64_t image = part->first_image + n;
        p->isa->transpose(C, rows * g->w.size,
                          x + image * g->in_image + part->first_input * g->w.size,
                          g->h.size * g->w.size, p->x + (n * rows * p->width + p->border) * C, C,
                          g->w.size, p->width - g->w.size);
        int64_t pixels = out_rows * g->w.count;
        p->isa->transpose(
            g->out_channels, pixels, dy + image * g->out_image + part->first_row * g->w.count,
            g->h.count * g->w.count, p->dy + n * pixels * p->pitch, p->pitch, pixels, 0);
    });
}

/* (images, channels, S) to (S, images, pitch). */
static void fill_deep(const kern_isa *isa, int threads, int64_t images, int64_t channels, int64_t S,
                      const float *in, int64_t in_image, float *out, int64_t pitch)
{
    KERN_ALL(threads, images, n, {
        if (S == 1)
            memcpy(out + n * pitch, in + n * in_image, (size_t)channels * sizeof(float));
        else
            isa->transpose(channels, S, in + n * in_image, S, out + n * pitch, images * pitch, S,
                           0);
    });
}

static int64_t wide_segments(const weights_plan *p, const piece *part, int64_t kh, int64_t kw)
{
    const conv_gather *g = p->g;
    int64_t count = 0;
    int64_t out_rows = part->last_row - part->first_row;
    for (int64_t n = 0; n < part->images; n++)
        for (int64_t row = part->first_row; row < part->last_row; row++) {
            int64_t source;
            if (!conv_source(&g->h, row, kh, &source))
                continue;
            int64_t in_row =
                n * (part->last_input - part->first_input) + source - part->first_input;
            p->a_offset[count] = (in_row * p->width + kw * g->w.step) * g->in_channels;
            p->b_offset[count] = (n * out_rows + row - part->first_row) * g->w.count * p->pitch;
            count++;
        }
    return count;
}

static int64_t deep_segments(const weights_plan *p, const piece *part, int64_t kh, int64_t kw)
{
    const conv_gather *g = p->g;
    int64_t count = 0;
    for (int64_t i = 0; i < g->h.count * g->w.count; i++) {
        int64_t ih, iw;
        if (!conv_source(&g->h, i / g->w.count, kh, &ih) ||
            !conv_source(&g->w, i % g->w.count, kw, &iw))
            continue;
        p->a_offset[count] = (ih * g->w.size + iw) * part->images * g->in_channels;
        p->b_offset[count] = i * part->images * p->pitch;
        count++;
    }
    return count;
}

/* Output channels from `channel` on, one block. */
static void add_tap(const weights_plan *p, const kern_tile_run *run, int64_t channel, float *sum)
{
    const conv_gather *g = p->g;
    int vectors = conv_block_vectors(p->isa, g->out_channels - channel);
    int64_t tiles = conv_parts(g->in_channels, p->isa->most_rows[vectors - 1]);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t first = conv_part(g->in_channels, tiles, t);
        int64_t rows = conv_part(g->in_channels, tiles, t + 1) - first;
        p->isa->unit[vectors - 1][rows](run, p->x + first, p->dy + channel,
                                        sum + first * run->c_stride + channel);
    }
}

static bool tap_wanted(const weights_plan *p, int64_t kh, int64_t kw)
{
    return !p->few_taps || (conv_tap_used(&p->g->h, kh) && conv_tap_used(&p->g->w, kw));
}

static void fill(const weights_plan *p, const piece *part, const float *x, const float *dy)
{
    const conv_gather *g = p->g;
    if (!p->deep) {
        fill_wide(p, part, x, dy);
        return;
    }
    fill_deep(p->isa, p->threads, part->images, g->in_channels, g->h.size * g->w.size,
              x + part->first_image * g->in_image, g->in_image, p->x, g->in_channels);
    fill_deep(p->isa, p->threads, part->images, g->out_channels, g->h.count * g->w.count,
              dy + part->first_image * g->out_image, g->out_image, p->dy, p->pitch);
}

/* Sums of blocks [from, to) of (taps, blocks of output channels), with the segments of one thread. */
static void add_blocks(const weights_plan *plan, int thread, const piece *part, bool first,
                       int64_t from, int64_t to)
{
    weights_plan own = *plan;
    const weights_plan *p = &own;
    const conv_gather *g = p->g;
    int64_t block = 2 * p->isa->lanes;
    int64_t blocks = conv_parts(g->out_channels, block);
    own.a_offset += thread * p->most_segments;
    own.b_offset += thread * p->most_segments;
    kern_tile_run run = {0};
    for (int64_t i = from; i < to; i++) {
        int64_t kh = i / blocks / g->w.taps;
        int64_t kw = i / blocks % g->w.taps;
        if (i == from || i % blocks == 0)
            run = (kern_tile_run){.step_a = p->deep ? g->in_channels : g->w.scale * g->in_channels,
                                  .step_b = p->pitch,
                                  .steps = p->deep ? part->images : g->w.count,
                                  .segments = p->deep ? deep_segments(p, part, kh, kw)
                                                      : wide_segments(p, part, kh, kw),
                                  .a_offset = p->a_offset,
                                  .b_offset = p->b_offset,
                                  .c_stride = g->h.taps * g->w.taps * p->pitch,
                                  .add = !first};
        /* Without segments the first piece writes zeros. */
        if (run.segments > 0 || (first && tap_wanted(p, kh, kw)))
            add_tap(p, &run, i % blocks * block, p->sum + (kh * g->w.taps + kw) * p->pitch);
    }
}

static void run_piece(const weights_plan *p, const piece *part, const float *x, const float *dy,
                      bool first)
{
    const conv_gather *g = p->g;
    int64_t all = g->h.taps * g->w.taps * conv_parts(g->out_channels, 2 * p->isa->lanes);
    fill(p, part, x, dy);
    KERN_ALL(p->threads, p->threads, t,
             add_blocks(p, (int)t, part, first, conv_part(all, p->threads, t),
                        conv_part(all, p->threads, t + 1)));
}

/* One tap, in blocks: both sides are strided. */
static void add_tap_to_gradient(const weights_plan *p, int64_t tap, float *dw)
{
    const conv_gather *g = p->g;
    enum { TOGETHER = 16 };
    int64_t taps = g->h.taps * g->w.taps;
    for (int64_t first = 0; first < g->in_channels; first += TOGETHER) {
        int64_t last = first + TOGETHER < g->in_channels ? first + TOGETHER : g->in_channels;
        for (int64_t o = 0; o < g->out_channels; o++)
            for (int64_t c = first; c < last; c++)
                dw[o * g->weight_out + c * taps + tap] += p->sum[(c * taps + tap) * p->pitch + o];
    }
}

static void add_to_gradient(const weights_plan *p, float *dw)
{
    const conv_gather *g = p->g;
    int64_t taps = g->h.taps * g->w.taps;
    if (!p->few_taps) {
        p->isa->transpose_out(g->in_channels * taps, g->out_channels, p->sum, p->pitch, dw,
                              g->weight_out, NULL, true);
        return;
    }
    for (int64_t tap = 0; tap < taps; tap++)
        if (tap_wanted(p, tap / g->w.taps, tap % g->w.taps))
            add_tap_to_gradient(p, tap, dw);
}

size_t conv_weights_run(const kern_isa *isa, const conv_gather *g, const float *x, const float *dy,
                        float *dw, void *workspace)
{
    weights_plan p = {.isa = isa, .g = g, .threads = conv_threads(g)};
    conv_scratch scratch = conv_scratch_on(workspace);
    make_plan(&p, &scratch);
    if (workspace == NULL)
        return scratch.used;
    for (int64_t n = 0; n < g->B; n += p.images)
        for (int64_t row = 0; row < g->h.count; row += p.rows) {
            piece part = {.first_image = n,
                          .images = g->B - n < p.images ? g->B - n : p.images,
                          .first_row = row};
            part.last_row = row + p.rows < g->h.count ? row + p.rows : g->h.count;
            conv_source_range(&g->h, part.first_row, part.last_row, &part.first_input,
                              &part.last_input);
            run_piece(&p, &part, x, dy, n == 0 && row == 0);
        }
    add_to_gradient(&p, dw);
    return scratch.used;
}
