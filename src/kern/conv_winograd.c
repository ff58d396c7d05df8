/* conv_winograd.c - 3x3 convolutions of stride 1 by minimal filtering F(4x4, 3x3): 36 products of matrices instead of a sum
 * over nine taps, a quarter of the multiplications. Lavin & Gray 2016, arXiv:1509.09308.
 *
 * All 36 planes of a piece of work stay in the second-level cache: pixels -> points (tiles x channels) -> products with
 * the transformed weights -> pixels. */
#include "kern/conv_impl.h"

#include <string.h>

#include "kern/threads_impl.h"

enum { POINTS = 36, SIDE = 6, STEP = 4, POINT_BYTES = 144 * 1024, PLANE_GAP = 16, TOGETHER = 16 };

typedef struct winograd {
    const kern_isa *isa;
    const conv_gather *g;
    int64_t shift_h, shift_w;    /* of the first tile's first pixel; not positive */
    int64_t tiles_h, tiles_w;    /* of one image */
    int64_t images, tile_rows;   /* one piece of work */
    int64_t width, rows;         /* of one image's part in pixel scratch, with borders */
    int64_t in_pitch, out_pitch; /* channels rounded up to vectors */
    int64_t most_tiles;
    int64_t in_plane,
        out_plane; /* floats from one point's plane to the next; never a multiple of 4 KiB */
    float *pixels, *points; /* of the input */
    float *weights; /* gather: block after block (36, in_channels, block); else gradient sums */
    float *out_points, *out_pixels; /* of the output; of dy for weight gradients */
    float *taps; /* of one block of weights, (9, in_channels, block), or of TOGETHER gradients */
    int threads;
    size_t room; /* bytes of one thread's own memory: gather: all but weights; else: taps */
} winograd;

bool conv_winograd_fits(const conv_gather *g)
{
    const conv_axis *axes[2] = {&g->h, &g->w};
    int64_t work = POINTS;
    for (int i = 0; i < 2; i++) {
        const conv_axis *a = axes[i];
        int64_t shift = a->step < 0 ? a->shift - 2 : a->shift;
        if (a->taps != 3 || a->scale != 1 || a->divisor != 1 || (a->step != 1 && a->step != -1) ||
            shift > 0)
            return false;
        work *= conv_parts(a->count, STEP);
    }
    /* The transforms cost about as much again as the products with few channels, and edge tiles compute for nothing. */
    return g->in_channels >= 16 && g->out_channels >= 16 &&
           work * 9 <= 5 * g->h.count * g->w.count * 9;
}

static int64_t clamp(int64_t value, int64_t most)
{
    value = value < most ? value : most;
    return value < 1 ? 1 : value;
}

static winograd describe(const kern_isa *isa, const conv_gather *g)
{
    winograd p = {.isa = isa, .g = g, .threads = conv_threads(g)};
    p.shift_h = g->h.step < 0 ? g->h.shift - 2 : g->h.shift;
    p.shift_w = g->w.step < 0 ? g->w.shift - 2 : g->w.shift;
    p.tiles_h = conv_parts(g->h.count, STEP);
    p.tiles_w = conv_parts(g->w.count, STEP);
    p.in_pitch = conv_round(g->in_channels, isa->lanes);
    p.out_pitch = conv_round(g->out_channels, isa->lanes);
    int64_t least = STEP * p.tiles_w + 2;
    p.width = g->w.size - p.shift_w > least ? g->w.size - p.shift_w : least;
    /* Weights that do not fit the cache are read once a piece: then larger pieces pay. */
    int64_t bytes = g->in_channels * g->out_channels * POINTS * (int64_t)sizeof(float) / 2;
    bytes = bytes > POINT_BYTES ? bytes : POINT_BYTES;
    int64_t tiles =
        clamp(bytes / (POINTS * p.in_pitch * (int64_t)sizeof(float)), g->B * p.tiles_h * p.tiles_w);
    int64_t whole = p.tiles_h * p.tiles_w;
    p.images = tiles < 2 * whole ? 1 : conv_parts(g->B, conv_parts(g->B, tiles / whole));
    p.tile_rows = tiles >= whole ? p.tiles_h : clamp(tiles / p.tiles_w, p.tiles_h);
    p.tile_rows = conv_parts(p.tiles_h, conv_parts(p.tiles_h, p.tile_rows));
    p.rows = STEP * p.tile_rows + 2;
    p.most_tiles = p.images * p.tile_rows * p.tiles_w;
    p.in_plane = p.most_tiles * p.in_pitch + PLANE_GAP;
    return p;
}

typedef struct piece {
    int64_t first_image, images, first_row, rows; /* rows of tiles */
    bool clear; /* borders are not zero yet; where all pieces are whole images they stay zero */
} piece;

/* The pixels of one array, (images, rows, width, pitch), zero outside the image (written when clear); `top` and `left`: the image's place
 * relative to the scratch. */
typedef struct pixel_box {
    int64_t rows, width, top, left, pitch;
} pixel_box;

static void fill_pixels(const kern_isa *isa, int threads, const pixel_box *box, bool clear,
                        int64_t images, int64_t channels, int64_t H, int64_t W, const float *in,
                        int64_t in_image, float *out)
{
    if (clear)
        memset(out, 0, (size_t)(images * box->rows * box->width * box->pitch) * sizeof(float));
    int64_t first = box->top < 0 ? -box->top : 0;
    int64_t last = H < box->rows - box->top ? H : box->rows - box->top;
    if (last <= first)
        return;
    KERN_ALL(threads, images, n,
             isa->transpose(channels, (last - first) * W, in + n * in_image + first * W, H * W,
                            out + ((n * box->rows + first + box->top) * box->width + box->left) *
                                      box->pitch,
                            box->pitch, W, box->width - W));
}

/* Pixels of every tile, `side` apart by STEP, to its row in each of the 36 planes. */
static void to_points(const winograd *p, int threads, const piece *part, kern_transform *transform,
                      const pixel_box *box, const float *pixels, float *points, int64_t plane)
{
    KERN_ALL(threads, part->images * part->rows, row, {
        int64_t n = row / part->rows;
        int64_t i = row % part->rows;
        for (int64_t j = 0; j < p->tiles_w; j++)
            transform(box->pitch,
                      pixels + ((n * box->rows + STEP * i) * box->width + STEP * j) * box->pitch,
                      box->width * box->pitch, box->pitch,
                      points + (row * p->tiles_w + j) * box->pitch, SIDE * plane, plane);
    });
}

static void input_points(const winograd *p, int threads, const piece *part, const float *in)
{
    const conv_gather *g = p->g;
    pixel_box box = {STEP * part->rows + 2, p->width, -p->shift_h - STEP * part->first_row,
                     -p->shift_w, p->in_pitch};
    fill_pixels(p->isa, threads, &box, part->clear, part->images, g->in_channels, g->h.size,
                g->w.size, in + part->first_image * g->in_image, g->in_image, p->pixels);
    to_points(p, threads, part, p->isa->winograd_input, &box, p->pixels, p->points, p->in_plane);
}

/* The plan as thread `thread` of a gather sees it. */
static winograd of_thread(const winograd *p, int thread)
{
    winograd own = *p;
    size_t floats = (size_t)thread * p->room / sizeof(float);
    own.pixels += floats;
    own.points += floats;
    own.out_points += floats;
    own.out_pixels += floats;
    own.taps += floats;
    return own;
}

static void transform_block(const winograd *p, int64_t channel, const float *w)
{
    const conv_gather *g = p->g;
    int64_t order[3] = {0, 1, 2};
    int64_t C = g->in_channels;
    int64_t block = conv_block_vectors(p->isa, g->out_channels - channel) * p->isa->lanes;
    conv_pack_weights(p->isa, g, order, channel, block, w, p->taps);
    float *to = p->weights + channel * POINTS * C;
    /* Backward data reads its window backwards: start at the last tap and walk back. */
    int64_t row = (g->h.step < 0 ? -3 : 3) * C * block;
    int64_t column = (g->w.step < 0 ? -1 : 1) * C * block;
    const float *from =
        p->taps + (g->h.step < 0 ? 6 : 0) * C * block + (g->w.step < 0 ? 2 : 0) * C * block;
    p->isa->winograd_weight(C * block, from, row, column, to, SIDE * C * block, C * block);
}

static void transform_weights(const winograd *p, const float *w)
{
    int64_t block = 2 * p->isa->lanes;
    int64_t blocks = conv_parts(p->g->out_channels, block);
    KERN_ALL(p->threads, p->threads, t, {
        winograd own = of_thread(p, (int)t);
        int64_t last = conv_part(blocks, p->threads, t + 1);
        for (int64_t i = conv_part(blocks, p->threads, t); i < last; i++)
            transform_block(&own, i * block, w);
    });
}

/* Products of all planes for one block of output channels. */
static void multiply(const winograd *p, int64_t tiles, int64_t channel, int vectors)
{
    static const int64_t start = 0;
    int64_t C = p->g->in_channels;
    int64_t block = vectors * p->isa->lanes;
    kern_tile_run run = {.row_stride = p->in_pitch,
                         .step_b = block,
                         .steps = C,
                         .segments = 1,
                         .a_offset = &start,
                         .b_offset = &start,
                         .c_stride = block};
    int64_t parts = conv_parts(tiles, p->isa->most_rows[vectors - 1]);
    for (int64_t point = 0; point < POINTS; point++)
        for (int64_t t = 0; t < parts; t++) {
            int64_t first = conv_part(tiles, parts, t);
            int64_t rows = conv_part(tiles, parts, t + 1) - first;
            p->isa->strided[vectors - 1][rows](
                &run, p->points + point * p->in_plane + first * p->in_pitch,
                p->weights + (channel * POINTS + point * block) * C,
                p->out_points + point * p->out_plane + first * block);
        }
}

/* Output pixels of one tile, dropping those beyond the image. */
static void output_tile(const winograd *p, const float *points, int64_t block, int64_t rows,
                        int64_t columns, float *pixels)
{
    int64_t W = p->g->w.count;
    if (rows == STEP && columns == STEP) {
        p->isa->winograd_output(block, points, SIDE * p->out_plane, p->out_plane, pixels, W * block,
                                block);
        return;
    }
    float square[STEP * STEP * 2 * KERN_MOST_LANES];
    p->isa->winograd_output(block, points, SIDE * p->out_plane, p->out_plane, square, STEP * block,
                            block);
    for (int64_t i = 0; i < rows; i++)
        memcpy(pixels + i * W * block, square + i * STEP * block,
               (size_t)(columns * block) * sizeof(float));
}

static void output_block(const winograd *p, const piece *part, int64_t channel, int64_t block,
                         const float *bias, float *out, bool accumulate)
{
    const conv_gather *g = p->g;
    int64_t W = g->w.count;
    int64_t known = g->out_channels - channel < block ? g->out_channels - channel : block;
    int64_t first = STEP * part->first_row;
    int64_t rows = g->h.count - first < STEP * part->rows ? g->h.count - first : STEP * part->rows;
    const float *points = p->out_points;
    for (int64_t n = 0; n < part->images; n++) {
        for (int64_t i = 0; i < part->rows; i++)
            for (int64_t j = 0; j < p->tiles_w; j++, points += block)
                output_tile(p, points, block, rows - STEP * i < STEP ? rows - STEP * i : STEP,
                            W - STEP * j < STEP ? W - STEP * j : STEP,
                            p->out_pixels + (STEP * i * W + STEP * j) * block);
        p->isa->transpose_out(rows * W, known, p->out_pixels, block,
                              out + (part->first_image + n) * g->out_image +
                                  (channel * g->h.count + first) * W,
                              g->h.count * W, bias ? bias + channel : NULL, accumulate);
    }
}

/* Calls `run` for every piece of work. */
typedef struct gather_call {
    const float *in, *bias;
    float *out;
    bool accumulate;
} gather_call;

static void gather_piece(const winograd *p, const piece *part, const gather_call *call)
{
    const conv_gather *g = p->g;
    input_points(p, 1, part, call->in);
    int64_t block = 0;
    for (int64_t channel = 0; channel < g->out_channels; channel += block) {
        int vectors = conv_block_vectors(p->isa, g->out_channels - channel);
        block = vectors * p->isa->lanes;
        multiply(p, part->images * part->rows * p->tiles_w, channel, vectors);
        output_block(p, part, channel, block, call->bias, call->out, call->accumulate);
    }
}

static piece piece_at(const winograd *p, int64_t index)
{
    int64_t bands = conv_parts(p->tiles_h, p->tile_rows);
    piece part = {.first_image = index / bands * p->images,
                  .first_row = index % bands * p->tile_rows};
    int64_t images = p->g->B - part.first_image;
    int64_t rows = p->tiles_h - part.first_row;
    part.images = images < p->images ? images : p->images;
    part.rows = rows < p->tile_rows ? rows : p->tile_rows;
    return part;
}

static int64_t piece_count(const winograd *p)
{
    return conv_parts(p->g->B, p->images) * conv_parts(p->tiles_h, p->tile_rows);
}

/* Pieces [from, to) in the memory of one thread. */
static void gather_pieces(const winograd *p, int thread, int64_t from, int64_t to,
                          const gather_call *call)
{
    winograd own = of_thread(p, thread);
    for (int64_t i = from; i < to; i++) {
        piece part = piece_at(&own, i);
        part.clear = i == from || p->tile_rows < p->tiles_h;
        gather_piece(&own, &part, call);
    }
}

size_t conv_winograd_gather(const kern_isa *isa, const conv_gather *g, const float *in,
                            const float *w, const float *bias, float *out, bool accumulate,
                            void *workspace)
{
    winograd p = describe(isa, g);
    conv_scratch scratch = conv_scratch_on(workspace);
    int64_t block = 2 * isa->lanes;
    p.out_plane = p.most_tiles * block + PLANE_GAP;
    p.weights = conv_take_floats(&scratch, POINTS * g->in_channels * p.out_pitch);
    size_t before = scratch.used;
    p.pixels = conv_take_floats(&scratch, p.images * p.rows * p.width * p.in_pitch);
    p.points = conv_take_floats(&scratch, POINTS * p.in_plane);
    p.out_points = conv_take_floats(&scratch, POINTS * p.out_plane);
    p.out_pixels = conv_take_floats(&scratch, STEP * p.tile_rows * g->w.count * block);
    p.taps = conv_take_floats(&scratch, 9 * g->in_channels * block);
    p.room = scratch.used - before;
    scratch.used += (size_t)(p.threads - 1) * p.room;
    if (workspace == NULL)
        return scratch.used;
    transform_weights(&p, w);
    gather_call call = {in, bias, out, accumulate};
    int64_t pieces = piece_count(&p);
    KERN_ALL(p.threads, p.threads, t,
             gather_pieces(&p, (int)t, conv_part(pieces, p.threads, t),
                           conv_part(pieces, p.threads, t + 1), &call));
    return scratch.used;
}

/* ---- weight gradients ---- */

static void gradient_points(const winograd *p, const piece *part, const float *dy)
{
    const conv_gather *g = p->g;
    pixel_box box = {STEP * part->rows, STEP * p->tiles_w, -STEP * part->first_row, 0,
                     p->out_pitch};
    fill_pixels(p->isa, p->threads, &box, part->clear, part->images, g->out_channels, g->h.count,
                g->w.count, dy + part->first_image * g->out_image, g->out_image, p->out_pixels);
    to_points(p, p->threads, part, p->isa->winograd_gradient, &box, p->out_pixels, p->out_points,
              p->out_plane);
}

static void add_products(const winograd *p, int64_t tiles, bool first_piece)
{
    static const int64_t start = 0;
    const conv_gather *g = p->g;
    kern_tile_run run = {.step_a = p->in_pitch,
                         .step_b = p->out_pitch,
                         .steps = tiles,
                         .segments = 1,
                         .a_offset = &start,
                         .b_offset = &start,
                         .c_stride = p->out_pitch,
                         .add = !first_piece};
    KERN_ALL(p->threads, POINTS, point, {
        for (int64_t channel = 0; channel < p->out_pitch;) {
            int vectors = conv_block_vectors(p->isa, p->out_pitch - channel);
            int64_t parts = conv_parts(g->in_channels, p->isa->most_rows[vectors - 1]);
            for (int64_t t = 0; t < parts; t++) {
                int64_t first = conv_part(g->in_channels, parts, t);
                int64_t rows = conv_part(g->in_channels, parts, t + 1) - first;
                p->isa->unit[vectors - 1][rows](
                    &run, p->points + point * p->in_plane + first,
                    p->out_points + point * p->out_plane + channel,
                    p->weights + (point * g->in_channels + first) * p->out_pitch + channel);
            }
            channel += vectors * p->isa->lanes;
        }
    });
}

/* Some channels at a time, so that their taps are turned into rows of dw in cache. */
static void add_channels(const winograd *p, float *taps, int64_t first, float *dw)
{
    const conv_gather *g = p->g;
    int64_t pitch = p->out_pitch;
    int64_t plane = g->in_channels * pitch;
    int64_t channels = g->in_channels - first < TOGETHER ? g->in_channels - first : TOGETHER;
    for (int64_t c = 0; c < channels; c++)
        p->isa->winograd_weight_gradient(pitch, p->weights + (first + c) * pitch, SIDE * plane,
                                         plane, taps + 9 * c * pitch, 3 * pitch, pitch);
    p->isa->transpose_out(9 * channels, g->out_channels, taps, pitch, dw + first * g->weight_in,
                          g->weight_out, NULL, true);
}

static void add_to_gradient(const winograd *p, float *dw)
{
    int64_t groups = conv_parts(p->g->in_channels, TOGETHER);
    KERN_ALL(p->threads, p->threads, t, {
        int64_t last = conv_part(groups, p->threads, t + 1);
        for (int64_t i = conv_part(groups, p->threads, t); i < last; i++)
            add_channels(p, p->taps + (size_t)t * p->room / sizeof(float), i * TOGETHER, dw);
    });
}

size_t conv_winograd_weights(const kern_isa *isa, const conv_gather *g, const float *x,
                             const float *dy, float *dw, void *workspace)
{
    winograd p = describe(isa, g);
    conv_scratch scratch = conv_scratch_on(workspace);
    int64_t sums = POINTS * g->in_channels * p.out_pitch;
    p.out_plane = p.most_tiles * p.out_pitch + PLANE_GAP;
    p.pixels = conv_take_floats(&scratch, p.images * p.rows * p.width * p.in_pitch);
    p.points = conv_take_floats(&scratch, POINTS * p.in_plane);
    p.out_points = conv_take_floats(&scratch, POINTS * p.out_plane);
    p.out_pixels =
        conv_take_floats(&scratch, p.images * STEP * p.tile_rows * STEP * p.tiles_w * p.out_pitch);
    p.weights = conv_take_floats(&scratch, sums);
    size_t before = scratch.used;
    p.taps = conv_take_floats(&scratch, 9 * TOGETHER * p.out_pitch);
    p.room = scratch.used - before;
    scratch.used += (size_t)(p.threads - 1) * p.room;
    if (workspace == NULL)
        return scratch.used;
    int64_t pieces = piece_count(&p);
    for (int64_t i = 0; i < pieces; i++) {
        piece part = piece_at(&p, i);
        part.clear = i == 0 || p.tile_rows < p.tiles_h;
        input_points(&p, p.threads, &part, x);
        gradient_points(&p, &part, dy);
        add_products(&p, part.images * part.rows * p.tiles_w, i == 0);
    }
    add_to_gradient(&p, dw);
    return scratch.used;
}
