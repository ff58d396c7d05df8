/* conv_winograd_blocks.c - F(4x4, 3x3) on images in channel blocks: nothing is turned, transforms read and write the images
 * themselves, and bias, residual and activation ride in the output transform. See conv_winograd.c for the method.
 *
 * Points are kept as [point][channel block][tile][lanes]: the transforms write streams, and a product's rows are
 * neighbouring lines. */
#include "kern/conv_plan_impl.h"

#include "kern/conv_impl.h"
#include "kern/threads_impl.h"

enum { POINTS = 36, SIDE = 6, STEP = 4, TOGETHER = 16, GAP = 16 };

/* One pass as a gather from `in` to `out`; for weight gradients x is in and dy out. */
typedef struct winograd {
    const kern_isa *isa;
    conv_gather g;
    int64_t lanes, in_blocks;
    int64_t all_tiles; /* of all images */
    int64_t tiles;     /* one piece of work */
    int64_t kept;      /* output channels whose points are kept at once */
    /* Floats from one point to the next; never a multiple of 4 KiB. */
    int64_t in_plane, out_plane, weight_plane;
    kern_winograd_tiles in, out;
    float *in_points, *out_points, *taps;
    float *sums; /* weight gradients: as weights */
    int64_t *a_offset, *b_offset;
    int threads;
    size_t room; /* bytes of one thread's own memory: gather: all; weight gradients: taps */
} winograd;

static bool axis_fits(const conv_axis *a)
{
    int64_t shift = a->step < 0 ? a->shift - 2 : a->shift;
    return a->taps == 3 && a->scale == 1 && a->divisor == 1 && (a->step == 1 || a->step == -1) &&
           shift <= 0;
}

static bool fits(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    const thaw_conv2d *s = &spec->shape;
    int32_t lanes = kern_isa_of(k)->lanes;
    if (spec->block_in != lanes || spec->block_out != lanes || s->groups != 1 ||
        s->C % lanes != 0 || s->O % lanes != 0)
        return false;
    conv_gather g =
        pass == THAW_CONV_BACKWARD_DATA ? conv_backward_gather(s) : conv_forward_gather(s);
    /* Tiles that compute mostly for nothing: tap by tap is better then. */
    return axis_fits(&g.h) && axis_fits(&g.w) && g.h.count >= 2 && g.w.count >= 2;
}

static bool prefers(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    (void)k;
    conv_gather g = pass == THAW_CONV_BACKWARD_DATA ? conv_backward_gather(&spec->shape)
                                                    : conv_forward_gather(&spec->shape);
    return g.h.count >= 3 && g.w.count >= 3 && g.in_channels >= 32 && g.out_channels >= 32;
}

static winograd describe(const kern_isa *isa, const thaw_conv2d *shape, thaw_conv_pass pass,
                         int64_t B)
{
    winograd p = {.isa = isa, .lanes = isa->lanes};
    p.g =
        pass == THAW_CONV_BACKWARD_DATA ? conv_backward_gather(shape) : conv_forward_gather(shape);
    conv_gather *g = &p.g;
    g->B = B;
    p.threads = conv_threads(g);
    p.in_blocks = g->in_channels / p.lanes;
    p.weight_plane = g->in_channels * 2 * p.lanes + GAP;
    int64_t tiles_h = conv_parts(g->h.count, STEP);
    int64_t tiles_w = conv_parts(g->w.count, STEP);
    p.all_tiles = B * tiles_h * tiles_w;
    p.in = (kern_winograd_tiles){.H = g->h.size,
                                 .W = g->w.size,
                                 .image = g->in_image,
                                 .shift_h = g->h.step < 0 ? g->h.shift - 2 : g->h.shift,
                                 .shift_w = g->w.step < 0 ? g->w.shift - 2 : g->w.shift,
                                 .tiles_h = tiles_h,
                                 .tiles_w = tiles_w,
                                 .pitch = p.lanes};
    p.out = (kern_winograd_tiles){.H = g->h.count,
                                  .W = g->w.count,
                                  .image = g->out_image,
                                  .tiles_h = tiles_h,
                                  .tiles_w = tiles_w};
    return p;
}

/* Pieces of nearly the same size. */
static void set_sizes(winograd *p, int64_t most_tiles, int64_t kept)
{
    p->tiles = conv_parts(p->all_tiles, conv_parts(p->all_tiles, most_tiles));
    p->kept = kept;
    p->in_plane = p->tiles * p->g.in_channels + GAP;
    p->out_plane = p->tiles * kept + GAP;
    p->in.plane = p->in_plane;
    p->out.plane = p->out_plane;
}

/* For fewer images than planned. Pieces stay as planned, and with them what they need of the workspace. */
static void set_images(winograd *p, int64_t B)
{
    p->g.B = B;
    p->all_tiles = B * p->in.tiles_h * p->in.tiles_w;
}

static void piece_at(winograd *p, int64_t first)
{
    p->in.first = p->out.first = first;
    p->in.count = p->out.count = p->all_tiles - first < p->tiles ? p->all_tiles - first : p->tiles;
}

static int64_t block_width(const winograd *p, int64_t channel)
{
    return conv_block_vectors(p->isa, p->g.out_channels - channel) * p->lanes;
}

/* Floats of weights, or of their sums, before a block of output channels: blocks of [point][in channel][block]. */
static int64_t weights_before(const winograd *p, int64_t channel)
{
    return conv_parts(channel, 2 * p->lanes) * POINTS * p->weight_plane;
}

static void input_points(const winograd *p, int threads, const float *in)
{
    int64_t S = p->in.H * p->in.W;
    KERN_ALL(threads, p->in_blocks, b,
             p->isa->conv.winograd_input(&p->in, in + b * S * p->lanes,
                                         p->in_points + b * p->tiles * p->lanes));
}

/* ---- forward and backward data ---- */

/* Transformed weights that fill the third-level cache are read once a piece: larger pieces pay then. All points of such a piece's input do not
 * stay in the second-level cache, so that each point is taken with all output channels while it is there. */
static void size_gather(winograd *p)
{
    bool many = p->g.in_channels * p->g.out_channels > 128 * 1024;
    set_sizes(p, many ? 112 : 56, many ? p->g.out_channels : 2 * p->lanes);
}

static size_t take_gather(winograd *p, void *workspace)
{
    conv_scratch scratch = conv_scratch_on(workspace);
    p->in_points = conv_take_floats(&scratch, POINTS * p->in_plane);
    p->out_points = conv_take_floats(&scratch, POINTS * p->out_plane);
    p->a_offset = conv_take(&scratch, p->in_blocks, sizeof(int64_t));
    p->b_offset = conv_take(&scratch, p->in_blocks, sizeof(int64_t));
    p->room = scratch.used;
    return scratch.used + (size_t)(p->threads - 1) * p->room;
}

/* A gather as thread `thread` sees it. */
static winograd of_thread(const winograd *p, int thread)
{
    winograd own = *p;
    size_t bytes = (size_t)thread * p->room;
    own.in_points += bytes / sizeof(float);
    own.out_points += bytes / sizeof(float);
    own.a_offset += bytes / sizeof(int64_t);
    own.b_offset += bytes / sizeof(int64_t);
    return own;
}

/* One point, one block of output channels; its products at `to`. */
static void multiply(const winograd *p, int64_t point, int64_t channel, const float *weights,
                     float *to)
{
    int64_t block = block_width(p, channel);
    int vectors = (int)(block / p->lanes);
    for (int64_t b = 0; b < p->in_blocks; b++) {
        p->a_offset[b] = b * p->tiles * p->lanes;
        p->b_offset[b] = b * p->lanes * block;
    }
    kern_tile_run run = {.row_stride = p->lanes,
                         .step_b = block,
                         .steps = p->lanes,
                         .segments = p->in_blocks,
                         .a_offset = p->a_offset,
                         .b_offset = p->b_offset,
                         .c_stride = block};
    const float *right = weights + weights_before(p, channel) + point * p->weight_plane;
    int64_t parts = conv_parts(p->in.count, p->isa->most_rows[vectors - 1]);
    for (int64_t t = 0; t < parts; t++) {
        int64_t first = conv_part(p->in.count, parts, t);
        int64_t rows = conv_part(p->in.count, parts, t + 1) - first;
        p->isa->strided[vectors - 1][rows](
            &run, p->in_points + point * p->in_plane + first * p->lanes, right, to + first * block);
    }
}

static void output_block(const winograd *p, const float *points, int64_t channel,
                         const kern_finish *finish, float *out)
{
    kern_winograd_tiles tiles = p->out;
    tiles.pitch = block_width(p, channel);
    for (int64_t i = 0; i < tiles.pitch; i += p->lanes) {
        kern_finish here = *finish;
        here.bias = finish->bias ? finish->bias + channel + i : NULL;
        p->isa->conv.winograd_output(&tiles, points + i, &here,
                                     out + (channel + i) * tiles.H * tiles.W);
    }
}

/* Output channels [from, from + kept) of a piece. */
static void run_channels(const winograd *p, int64_t from, const float *weights,
                         const kern_finish *finish, float *out)
{
    int64_t left = p->g.out_channels - from;
    int64_t to = from + (left < p->kept ? left : p->kept);
    for (int64_t point = 0; point < POINTS; point++)
        for (int64_t channel = from; channel < to; channel += 2 * p->lanes)
            multiply(p, point, channel, weights,
                     p->out_points + point * p->out_plane + (channel - from) * p->tiles);
    for (int64_t channel = from; channel < to; channel += 2 * p->lanes)
        output_block(p, p->out_points + (channel - from) * p->tiles, channel, finish, out);
}

/* Pieces [from, to) in the memory of one thread. */
static void run_pieces(const winograd *plan, int thread, int64_t from, int64_t to, const float *in,
                       const float *weights, const kern_finish *finish, float *out)
{
    winograd own = of_thread(plan, thread);
    winograd *p = &own;
    for (int64_t i = from; i < to; i++) {
        piece_at(p, i * p->tiles);
        input_points(p, 1, in);
        for (int64_t channel = 0; channel < p->g.out_channels; channel += p->kept)
            run_channels(p, channel, weights, finish, out);
    }
}

static void run_gather(const winograd *p, const float *in, const float *weights,
                       const kern_finish *finish, float *out)
{
    int64_t pieces = conv_parts(p->all_tiles, p->tiles);
    KERN_ALL(p->threads, p->threads, t,
             run_pieces(p, (int)t, conv_part(pieces, p->threads, t),
                        conv_part(pieces, p->threads, t + 1), in, weights, finish, out));
}

static void pack(const conv_unit *unit, const float *w, float *packed)
{
    const kern_isa *isa = kern_isa_of(unit->kern);
    winograd p = describe(isa, &unit->spec.shape, unit->pass, 1);
    const conv_gather *g = &p.g;
    int64_t order[3] = {0, 1, 2};
    enum { AT_ONCE = 16, MOST = 9 * AT_ONCE * 2 * KERN_MOST_LANES };
    float taps[MOST];
    /* Some input channels at a time, so that their taps stay in cache. */
    for (int64_t channel = 0; channel < g->out_channels; channel += 2 * p.lanes) {
        int64_t block = block_width(&p, channel);
        for (int64_t c = 0; c < g->in_channels; c += AT_ONCE) {
            conv_gather part = *g;
            part.in_channels = g->in_channels - c < AT_ONCE ? g->in_channels - c : AT_ONCE;
            conv_pack_weights(isa, &part, order, channel, block, w + c * g->weight_in, taps);
            int64_t plane = part.in_channels * block;
            /* Backward data reads its window backwards: start at the last tap and walk back. */
            int64_t row = (g->h.step < 0 ? -3 : 3) * plane;
            int64_t column = (g->w.step < 0 ? -1 : 1) * plane;
            const float *from =
                taps + (g->h.step < 0 ? 6 : 0) * plane + (g->w.step < 0 ? 2 : 0) * plane;
            isa->winograd_weight(plane, from, row, column,
                                 packed + weights_before(&p, channel) + c * block,
                                 SIDE * p.weight_plane, p.weight_plane);
        }
    }
}

/* ---- weight gradients ---- */

static void size_weights(winograd *p)
{
    set_sizes(p, 128, p->g.out_channels);
}

static size_t take_weights(winograd *p, void *workspace)
{
    conv_scratch scratch = conv_scratch_on(workspace);
    p->in_points = conv_take_floats(&scratch, POINTS * p->in_plane);
    p->out_points = conv_take_floats(&scratch, POINTS * p->out_plane);
    p->sums = conv_take_floats(&scratch, weights_before(p, p->g.out_channels));
    size_t before = scratch.used;
    p->taps = conv_take_floats(&scratch, 9 * TOGETHER * 2 * p->lanes);
    p->room = scratch.used - before;
    return scratch.used + (size_t)(p->threads - 1) * p->room;
}

static void gradient_points(const winograd *p, const float *dy)
{
    int64_t S = p->out.H * p->out.W;
    KERN_ALL(p->threads, p->g.out_channels / p->lanes, b, {
        kern_winograd_tiles tiles = p->out;
        int64_t channel = b * p->lanes;
        int64_t block_start = channel - channel % (2 * p->lanes);
        tiles.pitch = block_width(p, block_start);
        p->isa->conv.winograd_gradient(&tiles, dy + channel * S,
                                       p->out_points + block_start * p->tiles +
                                           (channel - block_start));
    });
}

static void add_point(const winograd *p, int64_t point, bool first_piece)
{
    static const int64_t start = 0;
    const conv_gather *g = &p->g;
    for (int64_t channel = 0; channel < g->out_channels; channel += 2 * p->lanes) {
        int64_t block = block_width(p, channel);
        int vectors = (int)(block / p->lanes);
        /* Rows of a tile lie in one block of channels. */
        int64_t rows = p->lanes / 2;
        kern_tile_run run = {.step_a = p->lanes,
                             .step_b = block,
                             .steps = p->in.count,
                             .segments = 1,
                             .a_offset = &start,
                             .b_offset = &start,
                             .c_stride = block,
                             .add = !first_piece};
        const float *right = p->out_points + point * p->out_plane + channel * p->tiles;
        float *to = p->sums + weights_before(p, channel) + point * p->weight_plane;
        for (int64_t c = 0; c < g->in_channels; c += rows)
            p->isa->unit[vectors - 1][rows](&run,
                                            p->in_points + point * p->in_plane +
                                                c / p->lanes * p->lanes * p->tiles + c % p->lanes,
                                            right, to + c * block);
    }
}

static void add_products(const winograd *p, bool first_piece)
{
    KERN_ALL(p->threads, POINTS, point, add_point(p, point, first_piece));
}

/* One block of output channels. */
static void add_block(const winograd *p, float *taps, int64_t channel, float *dw)
{
    const conv_gather *g = &p->g;
    int64_t block = block_width(p, channel);
    for (int64_t first = 0; first < g->in_channels; first += TOGETHER) {
        int64_t count = g->in_channels - first < TOGETHER ? g->in_channels - first : TOGETHER;
        for (int64_t c = 0; c < count; c++)
            p->isa->winograd_weight_gradient(
                block, p->sums + weights_before(p, channel) + (first + c) * block,
                SIDE * p->weight_plane, p->weight_plane, taps + 9 * c * block, 3 * block, block);
        p->isa->transpose_out(9 * count, block, taps, block,
                              dw + channel * g->weight_out + first * g->weight_in, g->weight_out,
                              NULL, true);
    }
}

static void add_to_gradient(const winograd *p, float *dw)
{
    int64_t blocks = conv_parts(p->g.out_channels, 2 * p->lanes);
    KERN_ALL(p->threads, p->threads, t, {
        int64_t last = conv_part(blocks, p->threads, t + 1);
        for (int64_t i = conv_part(blocks, p->threads, t); i < last; i++)
            add_block(p, p->taps + (size_t)t * p->room / sizeof(float), i * 2 * p->lanes, dw);
    });
}

/* ---- as an algorithm ---- */

static thaw_status open_unit(conv_unit *unit)
{
    winograd p =
        describe(kern_isa_of(unit->kern), &unit->spec.shape, unit->pass, unit->spec.shape.B);
    if (unit->pass == THAW_CONV_BACKWARD_WEIGHTS) {
        size_weights(&p);
        unit->workspace_bytes = take_weights(&p, NULL) + CONV_LINE;
        return THAW_OK;
    }
    size_gather(&p);
    unit->workspace_bytes = take_gather(&p, NULL) + CONV_LINE;
    unit->packed_bytes = sizeof(float) * (size_t)weights_before(&p, p.g.out_channels);
    return THAW_OK;
}

static void run_unit(conv_unit *unit, const conv_run *run)
{
    winograd p =
        describe(kern_isa_of(unit->kern), &unit->spec.shape, unit->pass, unit->spec.shape.B);
    if (unit->pass == THAW_CONV_BACKWARD_WEIGHTS) {
        size_weights(&p);
        (void)take_weights(&p, run->workspace);
        set_images(&p, run->B);
        for (int64_t first = 0; first < p.all_tiles; first += p.tiles) {
            piece_at(&p, first);
            input_points(&p, p.threads, run->x);
            gradient_points(&p, run->dy);
            add_products(&p, first == 0);
        }
        add_to_gradient(&p, run->dw);
        return;
    }
    size_gather(&p);
    (void)take_gather(&p, run->workspace);
    set_images(&p, run->B);
    const thaw_conv_spec *spec = &unit->spec;
    kern_finish forward = {spec->bias ? run->bias : NULL, spec->add, spec->act};
    kern_finish backward = {NULL, run->accumulate, THAW_ACT_NONE};
    if (unit->pass == THAW_CONV_FORWARD)
        run_gather(&p, run->x, run->w, &forward, run->y);
    else
        run_gather(&p, run->dy, run->w, &backward, run->dx);
}

const conv_algorithm conv_winograd_blocks = {.name = "winograd",
                                             .fits = fits,
                                             .prefers = prefers,
                                             .open = open_unit,
                                             .pack = pack,
                                             .run = run_unit};
