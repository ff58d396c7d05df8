/* isa_winograd_blocks_impl.h - included by isa_body_impl.h: Winograd's transforms on images in channel blocks. */
#ifndef KERN_ISA_WINOGRAD_BLOCKS_IMPL_H
#define KERN_ISA_WINOGRAD_BLOCKS_IMPL_H

#include "kern/isa_finish_impl.h"
#include "kern/isa_winograd_impl.h"

/* Where a walk over tiles stands. */
typedef struct tile_walk {
    int64_t image, row, column;
} tile_walk;

INLINE tile_walk walk_start(const kern_winograd_tiles *t)
{
    int64_t each = t->tiles_h * t->tiles_w;
    return (tile_walk){t->first / each, t->first % each / t->tiles_w, t->first % t->tiles_w};
}

INLINE void walk_on(const kern_winograd_tiles *t, tile_walk *at)
{
    if (++at->column < t->tiles_w)
        return;
    at->column = 0;
    if (++at->row < t->tiles_h)
        return;
    at->row = 0;
    at->image++;
}

/* A square of pixels; those outside come from a vector of zeros. */
INLINE void read_square(const int side, const kern_winograd_tiles *t, const float *image,
                        int64_t row, int64_t column, lanes square[6][6])
{
    static const float zeros[LANES];
    if (row >= 0 && column >= 0 && row + side <= t->H && column + side <= t->W) {
        const float *corner = image + (row * t->W + column) * LANES;
        UNROLL
        for (int i = 0; i < side; i++)
            UNROLL
        for (int j = 0; j < side; j++)
            square[i][j] = load(corner + (i * t->W + j) * LANES);
        return;
    }
    UNROLL
    for (int i = 0; i < side; i++) {
        bool row_in = row + i >= 0 && row + i < t->H;
        UNROLL
        for (int j = 0; j < side; j++) {
            bool in = row_in && column + j >= 0 && column + j < t->W;
            square[i][j] = load(in ? image + ((row + i) * t->W + column + j) * LANES : zeros);
        }
    }
}

INLINE void write_points(lanes points[6][6], int64_t plane, float *to)
{
    UNROLL
    for (int i = 0; i < 6; i++)
        UNROLL
    for (int j = 0; j < 6; j++)
        store(to + (6 * i + j) * plane, points[i][j]);
}

static void blocks_winograd_input(const kern_winograd_tiles *t, const float *in, float *points)
{
    tile_walk at = walk_start(t);
    for (int64_t n = 0; n < t->count; n++, walk_on(t, &at)) {
        lanes before[6][6];
        lanes after[6][6];
        read_square(6, t, in + at.image * t->image, 4 * at.row + t->shift_h,
                    4 * at.column + t->shift_w, before);
        input_square(before, after);
        write_points(after, t->plane, points + n * t->pitch);
    }
}

static void blocks_winograd_gradient(const kern_winograd_tiles *t, const float *dy, float *points)
{
    tile_walk at = walk_start(t);
    for (int64_t n = 0; n < t->count; n++, walk_on(t, &at)) {
        lanes before[6][6];
        lanes small[4][4];
        lanes after[6][6];
        read_square(4, t, dy + at.image * t->image, 4 * at.row, 4 * at.column, before);
        UNROLL
        for (int i = 0; i < 4; i++)
            UNROLL
        for (int j = 0; j < 4; j++)
            small[i][j] = before[i][j];
        gradient_square(small, after);
        write_points(after, t->plane, points + n * t->pitch);
    }
}

INLINE void write_square(lanes square[4][4], const kern_finish *finish, const bool add,
                         const thaw_act act, int64_t rows, int64_t columns, int64_t width,
                         float *to)
{
    lanes bias = finish_bias(finish);
    UNROLL
    for (int i = 0; i < 4; i++)
        UNROLL
    for (int j = 0; j < 4; j++)
        if (i < rows && j < columns)
            finish_store(square[i][j], bias, add, act, to + (i * width + j) * LANES);
}

INLINE void output_tiles(const kern_winograd_tiles *t, const float *points,
                         const kern_finish *finish, const bool add, const thaw_act act, float *out)
{
    tile_walk at = walk_start(t);
    for (int64_t n = 0; n < t->count; n++, walk_on(t, &at)) {
        lanes before[6][6];
        lanes after[4][4];
        UNROLL
        for (int i = 0; i < 6; i++)
            UNROLL
        for (int j = 0; j < 6; j++)
            before[i][j] = load(points + n * t->pitch + (6 * i + j) * t->plane);
        output_square(before, after);
        int64_t rows = t->H - 4 * at.row;
        int64_t columns = t->W - 4 * at.column;
        float *to = out + at.image * t->image + (4 * at.row * t->W + 4 * at.column) * LANES;
        if (rows >= 4 && columns >= 4)
            write_square(after, finish, add, act, 4, 4, t->W, to);
        else
            write_square(after, finish, add, act, rows, columns, t->W, to);
    }
}

static void blocks_winograd_output(const kern_winograd_tiles *t, const float *points,
                                   const kern_finish *finish, float *out)
{
#define RUN(add, act) output_tiles(t, points, finish, add, act, out)
    FINISH_CASES(finish, RUN);
#undef RUN
}

#endif
