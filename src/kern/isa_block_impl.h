/* isa_block_impl.h - included by isa_*.c: between NCHW and channel blocks, and pools on channel blocks. */
#ifndef KERN_ISA_BLOCK_IMPL_H
#define KERN_ISA_BLOCK_IMPL_H

/* Lanes of a block that one vector holds: all of it where vectors are wider. */
INLINE int64_t block_width(int32_t block)
{
    return block < LANES ? block : LANES;
}

/* Lanes [first, first + LANES) of pixels [i, i + LANES): rows are channels in x, pixels in y. */
INLINE void square_to_block(int64_t channels, int64_t S, int32_t block, int64_t first, int64_t i,
                            const float *x, float *y, const bool whole, bool accumulate)
{
    int64_t pixels = whole || S - i >= LANES ? LANES : S - i;
    int64_t width = whole ? LANES : block_width(block);
    lanes row[LANES];
    UNROLL
    for (int q = 0; q < LANES; q++)
        row[q] = whole                               ? load(x + (first + q) * S + i)
                 : first + q < channels && q < width ? load_first(x + (first + q) * S + i, pixels)
                                                     : (lanes){0};
    exchange(row);
    float square[LANES * LANES];
    if (whole) {
        UNROLL
        for (int q = 0; q < LANES; q++) {
            float *to = y + (i + q) * block + first;
            store(to, accumulate ? load(to) + row[q] : row[q]);
        }
        return;
    }
    UNROLL
    for (int q = 0; q < LANES; q++)
        store(square + q * LANES, row[q]);
    for (int64_t q = 0; q < pixels; q++) {
        float *to = y + (i + q) * block + first;
        lanes value = load(square + q * LANES);
        store_first(to, accumulate ? load_first(to, width) + value : value, width);
    }
}

static void to_block(int64_t channels, int64_t S, int32_t block, const float *x, float *y,
                     bool accumulate)
{
    for (int64_t i = 0; i < S; i += LANES)
        for (int64_t first = 0; first < block; first += LANES) {
            if (first + LANES <= channels && i + LANES <= S)
                square_to_block(channels, S, block, first, i, x, y, true, accumulate);
            else
                square_to_block(channels, S, block, first, i, x, y, false, accumulate);
        }
}

INLINE void square_from_block(int64_t channels, int64_t S, int32_t block, int64_t first, int64_t i,
                              const float *x, float *y, const bool whole, bool accumulate)
{
    int64_t pixels = whole || S - i >= LANES ? LANES : S - i;
    int64_t width = whole ? LANES : block_width(block);
    lanes row[LANES];
    UNROLL
    for (int q = 0; q < LANES; q++)
        row[q] = whole        ? load(x + (i + q) * block + first)
                 : q < pixels ? load_first(x + (i + q) * block + first, width)
                              : (lanes){0};
    exchange(row);
    if (whole) {
        UNROLL
        for (int q = 0; q < LANES; q++) {
            float *to = y + (first + q) * S + i;
            store(to, accumulate ? load(to) + row[q] : row[q]);
        }
        return;
    }
    float square[LANES * LANES];
    UNROLL
    for (int q = 0; q < LANES; q++)
        store(square + q * LANES, row[q]);
    for (int64_t q = 0; q < width && first + q < channels; q++) {
        float *to = y + (first + q) * S + i;
        lanes value = load(square + q * LANES);
        store_first(to, accumulate ? load_first(to, pixels) + value : value, pixels);
    }
}

static void from_block(int64_t channels, int64_t S, int32_t block, const float *x, float *y,
                       bool accumulate)
{
    for (int64_t i = 0; i < S; i += LANES)
        for (int64_t first = 0; first < block; first += LANES) {
            if (first + LANES <= channels && i + LANES <= S)
                square_from_block(channels, S, block, first, i, x, y, true, accumulate);
            else
                square_from_block(channels, S, block, first, i, x, y, false, accumulate);
        }
}

/* The part [from, to) of a window along one axis that lies inside the image. */
INLINE void window_along(int64_t place, int64_t stride, int64_t pad, int64_t K, int64_t size,
                         int64_t *from, int64_t *to)
{
    int64_t start = place * stride - pad;
    *from = start < 0 ? 0 : start;
    *to = start + K < size ? start + K : size;
}

/* The places [from, to) of windows along one axis that cover pixel i. */
INLINE void covering(int64_t i, int64_t stride, int64_t pad, int64_t K, int64_t places,
                     int64_t *from, int64_t *to)
{
    int64_t first = i + pad - K + 1;
    int64_t past = (i + pad) / stride + 1;
    *from = first <= 0 ? 0 : (first + stride - 1) / stride;
    *to = past < places ? past : places;
}

INLINE ints load_ints(const int32_t *from, int64_t count)
{
    return (ints)load_first((const float *)(const void *)from, count);
}

/* Largest of `rows` by `columns` vectors, the first of equal ones; NaN wins, so that it is seen. */
INLINE void largest_of(const float *x, int64_t W, int32_t block, int64_t width, int64_t top,
                       int64_t left, int64_t rows, const int64_t columns, float *y, int32_t *argmax)
{
    const float *from = x + (top * W + left) * block;
    int32_t place = (int32_t)(top * W + left);
    ints best = (ints){0} + place;
    lanes most = load_first(from, width);
    for (int64_t i = 0; i < rows; i++, from += W * block, place += (int32_t)W)
        for (int64_t j = 0; j < columns; j++) {
            lanes value = load_first(from + j * block, width);
            ints keep = (value <= most) | (most != most);
            best = (keep & best) | (~keep & ((ints){0} + (place + (int32_t)j)));
            most = choose(keep, most, value);
        }
    store_first(y, most, width);
    store_first((float *)(void *)argmax, (lanes)best, width);
}

INLINE void max_pool_row(const thaw_pool2d *s, int64_t width, int64_t oh, const float *x, float *y,
                         int32_t *argmax)
{
    int64_t top, bottom;
    window_along(oh, s->stride_h, s->pad_h, s->KH, s->H, &top, &bottom);
    for (int64_t ow = 0; ow < s->OW; ow++) {
        int64_t left, right;
        window_along(ow, s->stride_w, s->pad_w, s->KW, s->W, &left, &right);
        for (int64_t v = 0; v < s->block; v += width) {
            int64_t out = (oh * s->OW + ow) * s->block + v;
            if (right - left == 3)
                largest_of(x + v, s->W, s->block, width, top, left, bottom - top, 3, y + out,
                           argmax + out);
            else
                largest_of(x + v, s->W, s->block, width, top, left, bottom - top, right - left,
                           y + out, argmax + out);
        }
    }
}

static void block_max_pool(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax)
{
    for (int64_t oh = 0; oh < s->OH; oh++)
        if (s->block >= LANES)
            max_pool_row(s, LANES, oh, x, y, argmax);
        else
            max_pool_row(s, block_width(s->block), oh, x, y, argmax);
}

/* Each input pixel gathers from the windows that chose it. */
static void block_max_pool_backward(const thaw_pool2d *s, const int32_t *argmax, const float *dy,
                                    float *dx, bool accumulate)
{
    int64_t width = block_width(s->block);
    for (int64_t i = 0; i < s->H; i++) {
        int64_t top, bottom;
        covering(i, s->stride_h, s->pad_h, s->KH, s->OH, &top, &bottom);
        for (int64_t j = 0; j < s->W; j++) {
            int64_t left, right;
            ints self = (ints){0} + (int32_t)(i * s->W + j);
            covering(j, s->stride_w, s->pad_w, s->KW, s->OW, &left, &right);
            for (int64_t v = 0; v < s->block; v += width) {
                float *to = dx + (i * s->W + j) * s->block + v;
                lanes sum = accumulate ? load_first(to, width) : (lanes){0};
                for (int64_t oh = top; oh < bottom; oh++)
                    for (int64_t ow = left; ow < right; ow++) {
                        int64_t at = (oh * s->OW + ow) * s->block + v;
                        ints here = load_ints(argmax + at, width) == self;
                        sum += (lanes)(here & (ints)load_first(dy + at, width));
                    }
                store_first(to, sum, width);
            }
        }
    }
}

INLINE float share_of(const thaw_pool2d *s, int64_t rows, int64_t columns)
{
    return 1.0f / (float)(s->count_padding ? s->KH * s->KW : rows * columns);
}

static void block_avg_pool(const thaw_pool2d *s, const float *x, float *y)
{
    int64_t width = block_width(s->block);
    for (int64_t oh = 0; oh < s->OH; oh++) {
        int64_t top, bottom;
        window_along(oh, s->stride_h, s->pad_h, s->KH, s->H, &top, &bottom);
        for (int64_t ow = 0; ow < s->OW; ow++) {
            int64_t left, right;
            window_along(ow, s->stride_w, s->pad_w, s->KW, s->W, &left, &right);
            float share = share_of(s, bottom - top, right - left);
            for (int64_t v = 0; v < s->block; v += width) {
                lanes sum = {0};
                for (int64_t i = top; i < bottom; i++)
                    for (int64_t j = left; j < right; j++)
                        sum += load_first(x + (i * s->W + j) * s->block + v, width);
                store_first(y + (oh * s->OW + ow) * s->block + v, sum * share, width);
            }
        }
    }
}

static void block_avg_pool_backward(const thaw_pool2d *s, const float *dy, float *dx,
                                    bool accumulate)
{
    int64_t width = block_width(s->block);
    for (int64_t i = 0; i < s->H; i++) {
        int64_t first_row, past_row;
        covering(i, s->stride_h, s->pad_h, s->KH, s->OH, &first_row, &past_row);
        for (int64_t j = 0; j < s->W; j++) {
            int64_t first_column, past_column;
            covering(j, s->stride_w, s->pad_w, s->KW, s->OW, &first_column, &past_column);
            for (int64_t v = 0; v < s->block; v += width) {
                float *to = dx + (i * s->W + j) * s->block + v;
                lanes sum = accumulate ? load_first(to, width) : (lanes){0};
                for (int64_t oh = first_row; oh < past_row; oh++)
                    for (int64_t ow = first_column; ow < past_column; ow++) {
                        int64_t top, bottom, left, right;
                        window_along(oh, s->stride_h, s->pad_h, s->KH, s->H, &top, &bottom);
                        window_along(ow, s->stride_w, s->pad_w, s->KW, s->W, &left, &right);
                        sum += load_first(dy + (oh * s->OW + ow) * s->block + v, width) *
                               share_of(s, bottom - top, right - left);
                    }
                store_first(to, sum, width);
            }
        }
    }
}

#endif
