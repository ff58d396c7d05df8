/* conv_gather.c - forward and backward data as segmented matrix products. */
#include "kern/conv_impl.h"

#include <string.h>

#include "kern/threads_impl.h"

/* Scratch for input pixels: part of a second-level cache; the rest of it is for weights and output. */
enum { INPUT_BYTES = 384 * 1024, BAND_PIXELS = 128, DEEP_IMAGES = 64 };

typedef struct gather_plan {
    const kern_isa *isa;
    const conv_gather *g;
    bool deep;
    int64_t images, rows;  /* one piece of work: images x output rows */
    int64_t border, width; /* wide: columns of zeros on the left; columns of one scratch row */
    int64_t input_rows;    /* wide: most input rows that a piece needs */
    int64_t band;          /* wide: output rows collected before they are transposed */
    /* Window columns in the order in which the weights are packed, phase after phase. Output columns
     * i = phase + divisor * j read input column slot_base + j * scale. */
    int64_t *slot_kw, *slot_base;
    int64_t *phase_start; /* (divisor + 1) */
    int threads;
    size_t room; /* bytes of one thread's own memory */
    /* A thread's own: */
    int64_t *a_offset, *b_offset;
    float *input, *output;
    bool clear; /* the borders of input are not zero yet */
    /* Of all threads: weights, block after block; with one thread packed when the first piece needs them, to be in cache then. */
    float *packed;
} gather_plan;

static const float *packed_block(const gather_plan *p, int64_t channel)
{
    return p->packed + channel * p->g->h.taps * p->g->w.taps * p->g->in_channels;
}

static int64_t divide_down(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* Input column that window column kw of output column `phase` reads (may lie outside); false when there is none. */
static bool phase_source(const conv_axis *w, int64_t phase, int64_t kw, int64_t *base)
{
    int64_t t = phase * w->scale + kw * w->step + w->shift;
    *base = divide_down(t, w->divisor);
    return *base * w->divisor == t;
}

static int64_t phase_count(const conv_axis *w, int64_t phase)
{
    return phase >= w->count ? 0 : (w->count - phase - 1) / w->divisor + 1;
}

/* In the order of the input columns they read, so that neighbours merge into one segment. */
static void list_slots(gather_plan *p)
{
    const conv_axis *w = &p->g->w;
    int64_t filled = 0;
    for (int64_t phase = 0; phase < w->divisor; phase++) {
        p->phase_start[phase] = filled;
        for (int64_t i = 0; i < w->taps; i++) {
            int64_t kw = w->step > 0 ? i : w->taps - 1 - i;
            if (!phase_source(w, phase, kw, &p->slot_base[filled]))
                continue;
            p->slot_kw[filled++] = kw;
        }
    }
    p->phase_start[w->divisor] = filled;
}

static void find_borders(gather_plan *p)
{
    const conv_axis *w = &p->g->w;
    int64_t least = 0;
    int64_t most = w->size;
    for (int64_t phase = 0; phase < w->divisor && phase_count(w, phase) > 0; phase++)
        for (int64_t kw = 0; kw < w->taps; kw++) {
            int64_t base;
            if (!phase_source(w, phase, kw, &base))
                continue;
            int64_t last = base + (phase_count(w, phase) - 1) * w->scale + 1;
            least = base < least ? base : least;
            most = last > most ? last : most;
        }
    p->border = -least;
    p->width = most - least;
}

static int64_t clamp(int64_t value, int64_t most)
{
    value = value < most ? value : most;
    return value < 1 ? 1 : value;
}

/* How much is worked on at once: whole images while they fit, else rows of one image. */
static void choose_piece(gather_plan *p)
{
    const conv_gather *g = p->g;
    int64_t per_phase = phase_count(&g->w, 0);
    p->deep = per_phase < 7 && g->B > per_phase;
    int64_t columns = p->deep ? g->w.size : p->width;
    int64_t image = g->h.size * columns * g->in_channels * (int64_t)sizeof(float);
    p->images = clamp(INPUT_BYTES / image, g->B);
    p->rows = g->h.count;
    p->band = clamp(BAND_PIXELS / g->w.count, p->rows);
    if (p->deep && p->images < DEEP_IMAGES)
        p->images = clamp(DEEP_IMAGES, g->B);
    if (!p->deep && image > 2 * INPUT_BYTES)
        p->rows = clamp(g->h.count * INPUT_BYTES / image / p->band * p->band, p->rows);
    /* Smaller pieces where there are too few; an output's sum does not depend on what it is computed with. */
    if (p->threads > 1 && p->rows == g->h.count)
        p->images = clamp(conv_parts(g->B, p->threads), p->images);
    for (int64_t row = 0; row < g->h.count; row += p->rows) {
        int64_t first, last;
        conv_source_range(&g->h, row, row + p->rows < g->h.count ? row + p->rows : g->h.count,
                          &first, &last);
        p->input_rows = last - first > p->input_rows ? last - first : p->input_rows;
    }
}

static void make_plan(gather_plan *p, conv_scratch *scratch)
{
    const conv_gather *g = p->g;
    int64_t taps = g->h.taps * g->w.taps;
    find_borders(p);
    choose_piece(p);
    p->slot_kw = conv_take(scratch, g->w.taps, sizeof(int64_t));
    p->slot_base = conv_take(scratch, g->w.taps, sizeof(int64_t));
    p->phase_start = conv_take(scratch, g->w.divisor + 1, sizeof(int64_t));
    p->packed = conv_take_floats(scratch, taps * g->in_channels *
                                              conv_round(g->out_channels, p->isa->lanes));
    size_t before = scratch->used;
    int64_t pixels = p->deep ? g->h.size * g->w.size : p->input_rows * p->width;
    int64_t out_pixels = p->deep ? p->images * g->h.count * g->w.count : p->band * g->w.count;
    p->a_offset = conv_take(scratch, taps, sizeof(int64_t));
    p->b_offset = conv_take(scratch, taps, sizeof(int64_t));
    p->input = conv_take_floats(scratch, p->images * pixels * g->in_channels);
    p->output = conv_take_floats(scratch, out_pixels * 2 * p->isa->lanes);
    p->room = scratch->used - before;
    scratch->used += (size_t)(p->threads - 1) * p->room;
}

/* The plan as thread `thread` sees it. */
static gather_plan of_thread(const gather_plan *p, int thread)
{
    gather_plan own = *p;
    size_t floats = (size_t)thread * p->room / sizeof(float);
    size_t offsets = (size_t)thread * p->room / sizeof(int64_t);
    own.a_offset += offsets;
    own.b_offset += offsets;
    own.input += floats;
    own.output += floats;
    own.clear = true;
    return own;
}

typedef struct piece {
    int64_t first_image, images, first_row, last_row; /* output rows */
    int64_t first_input, last_input;                  /* input rows in scratch */
} piece;

/* ---- wide ---- */

static void fill_wide(gather_plan *p, const piece *part, const float *in)
{
    const conv_gather *g = p->g;
    int64_t rows = part->last_input - part->first_input;
    int64_t C = g->in_channels;
    /* Where all pieces are whole images the borders stay zero. */
    if (p->width > g->w.size && (p->clear || p->rows < g->h.count))
        memset(p->input, 0, (size_t)(part->images * rows * p->width * C) * sizeof(float));
    p->clear = false;
    for (int64_t n = 0; n < part->images; n++)
        p->isa->transpose(C, rows * g->w.size,
                          in + (part->first_image + n) * g->in_image +
                              part->first_input * g->w.size,
                          g->h.size * g->w.size, p->input + (n * rows * p->width + p->border) * C,
                          C, g->w.size, p->width - g->w.size);
}

/* Segments of output row `row`, phase `phase`: one for each window row, or one for each tap when columns do not join. */
static int64_t wide_segments(const gather_plan *p, const piece *part, int64_t row, int64_t phase,
                             int64_t block, bool joined)
{
    const conv_gather *g = p->g;
    int64_t C = g->in_channels;
    int64_t count = 0;
    for (int64_t kh = 0; kh < g->h.taps; kh++) {
        int64_t source;
        if (!conv_source(&g->h, row, kh, &source))
            continue;
        int64_t pixel = (source - part->first_input) * p->width + p->border;
        for (int64_t i = p->phase_start[phase]; i < p->phase_start[phase + 1]; i++) {
            p->a_offset[count] = (pixel + p->slot_base[i]) * C;
            p->b_offset[count] = (kh * g->w.taps + i) * C * block;
            count++;
            if (joined)
                break;
        }
    }
    return count;
}

static bool columns_join(const gather_plan *p, int64_t phase)
{
    for (int64_t i = p->phase_start[phase] + 1; i < p->phase_start[phase + 1]; i++)
        if (p->slot_base[i] != p->slot_base[i - 1] + 1)
            return false;
    return true;
}

/* One output row of one image, one block of channels, to `to` (columns, block). */
static void wide_row(const gather_plan *p, const piece *part, int64_t n, int64_t row, int vectors,
                     const float *weights, float *to)
{
    const conv_gather *g = p->g;
    int64_t C = g->in_channels;
    int64_t block = vectors * p->isa->lanes;
    const float *image = p->input + n * (part->last_input - part->first_input) * p->width * C;
    for (int64_t phase = 0; phase < g->w.divisor; phase++) {
        int64_t taps = p->phase_start[phase + 1] - p->phase_start[phase];
        bool joined = columns_join(p, phase);
        kern_tile_run run = {.row_stride = g->w.scale * C,
                             .step_b = block,
                             .steps = joined ? taps * C : C,
                             .segments =
                                 taps ? wide_segments(p, part, row, phase, block, joined) : 0,
                             .a_offset = p->a_offset,
                             .b_offset = p->b_offset,
                             .c_stride = g->w.divisor * block};
        int64_t columns = phase_count(&g->w, phase);
        int64_t tiles = conv_parts(columns, p->isa->most_rows[vectors - 1]);
        for (int64_t t = 0; t < tiles; t++) {
            int64_t first = conv_part(columns, tiles, t);
            int64_t rows = conv_part(columns, tiles, t + 1) - first;
            p->isa->strided[vectors - 1][rows](&run, image + first * run.row_stride, weights,
                                               to + (phase + first * g->w.divisor) * block);
        }
    }
}

static void wide_block(const gather_plan *p, const piece *part, int64_t channel, int vectors,
                       const float *bias, float *out, bool accumulate)
{
    const conv_gather *g = p->g;
    int64_t block = vectors * p->isa->lanes;
    int64_t known = g->out_channels - channel < block ? g->out_channels - channel : block;
    int64_t S = g->h.count * g->w.count;
    for (int64_t n = 0; n < part->images; n++)
        for (int64_t row = part->first_row; row < part->last_row; row += p->band) {
            int64_t end = row + p->band < part->last_row ? row + p->band : part->last_row;
            for (int64_t i = row; i < end; i++)
                wide_row(p, part, n, i, vectors, packed_block(p, channel),
                         p->output + (i - row) * g->w.count * block);
            p->isa->transpose_out((end - row) * g->w.count, known, p->output, block,
                                  out + (part->first_image + n) * g->out_image + channel * S +
                                      row * g->w.count,
                                  S, bias ? bias + channel : NULL, accumulate);
        }
}

/* ---- deep ---- */

static void fill_deep(const gather_plan *p, const piece *part, const float *in)
{
    const conv_gather *g = p->g;
    int64_t S = g->h.size * g->w.size;
    for (int64_t n = 0; n < part->images; n++) {
        const float *image = in + (part->first_image + n) * g->in_image;
        float *to = p->input + n * g->in_channels;
        if (S == 1)
            memcpy(to, image, (size_t)g->in_channels * sizeof(float));
        else
            p->isa->transpose(g->in_channels, S, image, S, to, part->images * g->in_channels, S, 0);
    }
}

static int64_t deep_segments(const gather_plan *p, const piece *part, int64_t row, int64_t column,
                             int64_t block)
{
    const conv_gather *g = p->g;
    int64_t C = g->in_channels;
    int64_t count = 0;
    for (int64_t kh = 0; kh < g->h.taps; kh++) {
        int64_t ih, iw;
        if (!conv_source(&g->h, row, kh, &ih))
            continue;
        for (int64_t i = 0; i < g->w.taps; i++)
            if (conv_source(&g->w, column, p->slot_kw[i], &iw)) {
                p->a_offset[count] = (ih * g->w.size + iw) * part->images * C;
                p->b_offset[count] = (kh * g->w.taps + i) * C * block;
                count++;
            }
    }
    return count;
}

static void deep_block(const gather_plan *p, const piece *part, int64_t channel, int vectors,
                       const float *bias, float *out, bool accumulate)
{
    const conv_gather *g = p->g;
    int64_t block = vectors * p->isa->lanes;
    int64_t known = g->out_channels - channel < block ? g->out_channels - channel : block;
    int64_t S = g->h.count * g->w.count;
    int64_t tiles = conv_parts(part->images, p->isa->most_rows[vectors - 1]);
    for (int64_t i = 0; i < S; i++) {
        kern_tile_run run = {.row_stride = g->in_channels,
                             .step_b = block,
                             .steps = g->in_channels,
                             .segments =
                                 deep_segments(p, part, i / g->w.count, i % g->w.count, block),
                             .a_offset = p->a_offset,
                             .b_offset = p->b_offset,
                             .c_stride = S * block};
        for (int64_t t = 0; t < tiles; t++) {
            int64_t first = conv_part(part->images, tiles, t);
            int64_t rows = conv_part(part->images, tiles, t + 1) - first;
            p->isa->strided[vectors - 1][rows](&run, p->input + first * g->in_channels,
                                               packed_block(p, channel),
                                               p->output + (first * S + i) * block);
        }
    }
    for (int64_t n = 0; n < part->images; n++)
        p->isa->transpose_out(S, known, p->output + n * S * block, block,
                              out + (part->first_image + n) * g->out_image + channel * S, S,
                              bias ? bias + channel : NULL, accumulate);
}

/* ---- all ---- */

static void pack_block(const gather_plan *p, int64_t channel, const float *w)
{
    const conv_gather *g = p->g;
    conv_pack_weights(p->isa, g, p->slot_kw, channel,
                      conv_block_vectors(p->isa, g->out_channels - channel) * p->isa->lanes, w,
                      p->packed + channel * g->h.taps * g->w.taps * g->in_channels);
}

static void run_piece(gather_plan *p, const piece *part, const float *in, const float *bias,
                      float *out, bool accumulate, const float *w_to_pack)
{
    const conv_gather *g = p->g;
    if (p->deep)
        fill_deep(p, part, in);
    else
        fill_wide(p, part, in);
    int64_t block = 0;
    for (int64_t channel = 0; channel < g->out_channels; channel += block) {
        int vectors = conv_block_vectors(p->isa, g->out_channels - channel);
        block = vectors * p->isa->lanes;
        if (w_to_pack)
            pack_block(p, channel, w_to_pack);
        if (p->deep)
            deep_block(p, part, channel, vectors, bias, out, accumulate);
        else
            wide_block(p, part, channel, vectors, bias, out, accumulate);
    }
}

static piece piece_at(const gather_plan *p, int64_t index)
{
    const conv_gather *g = p->g;
    int64_t bands = conv_parts(g->h.count, p->rows);
    piece part = {.first_image = index / bands * p->images, .first_row = index % bands * p->rows};
    int64_t images = g->B - part.first_image;
    int64_t rows = g->h.count - part.first_row;
    part.images = images < p->images ? images : p->images;
    part.last_row = part.first_row + (rows < p->rows ? rows : p->rows);
    conv_source_range(&g->h, part.first_row, part.last_row, &part.first_input, &part.last_input);
    return part;
}

typedef struct gather_call {
    const float *in, *w, *bias;
    float *out;
    bool accumulate;
} gather_call;

/* Pieces [from, to) in the memory of one thread. */
static void run_pieces(const gather_plan *p, int thread, int64_t from, int64_t to,
                       const gather_call *call)
{
    gather_plan own = of_thread(p, thread);
    for (int64_t i = from; i < to; i++) {
        piece part = piece_at(&own, i);
        run_piece(&own, &part, call->in, call->bias, call->out, call->accumulate,
                  p->threads == 1 && i == 0 ? call->w : NULL);
    }
}

static void run_threads(const gather_plan *p, const gather_call *call)
{
    const conv_gather *g = p->g;
    int64_t block = 2 * p->isa->lanes;
    int64_t pieces = conv_parts(g->B, p->images) * conv_parts(g->h.count, p->rows);
    if (p->threads == 1) {
        run_pieces(p, 0, 0, pieces, call);
        return;
    }
    KERN_ALL(p->threads, conv_parts(g->out_channels, block), i, pack_block(p, i * block, call->w));
    KERN_ALL(p->threads, p->threads, t,
             run_pieces(p, (int)t, conv_part(pieces, p->threads, t),
                        conv_part(pieces, p->threads, t + 1), call));
}

size_t conv_gather_run(const kern_isa *isa, const conv_gather *g, const float *in, const float *w,
                       const float *bias, float *out, bool accumulate, void *workspace)
{
    gather_plan p = {.isa = isa, .g = g, .threads = conv_threads(g)};
    conv_scratch scratch = conv_scratch_on(workspace);
    make_plan(&p, &scratch);
    if (workspace == NULL)
        return scratch.used;
    list_slots(&p);
    gather_call call = {in, w, bias, out, accumulate};
    run_threads(&p, &call);
    return scratch.used;
}
