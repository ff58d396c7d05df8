/* conv_squares.c - weights in squares of channels, between (O, C, KH, KW) and a form with output channels innermost. */
#include "kern/conv_impl.h"
#include "kern/threads_impl.h"

enum { SQUARE = KERN_MOST_LANES * KERN_MOST_LANES };

bool conv_squares_fit(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s)
{
    return s->groups == 1 && form->block == isa->lanes && s->O % form->block == 0 &&
           s->C % form->block == 0 && s->KH * s->KW <= CONV_SQUARE_TAPS;
}

static int64_t tap_place(const conv_squares *form, const thaw_conv2d *s, int64_t tap)
{
    return tap / s->KW * form->row_stride + tap % s->KW * form->column_stride;
}

/* One square: rows of w are output channels, columns (in channel, tap). Turned in a buffer that stays in the first-level cache. */
static void pack_square(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s,
                        const float *w, float *packed)
{
    int64_t n = form->block;
    int64_t taps = s->KH * s->KW;
    float turned[SQUARE * CONV_SQUARE_TAPS];
    isa->transpose(n, n * taps, w, s->C * taps, turned, n, n * taps, 0);
    for (int64_t tap = 0; tap < taps; tap++)
        for (int64_t c = 0; c < n; c++)
            for (int64_t o = 0; o < n; o++)
                packed[tap_place(form, s, tap) + c * n + o] = turned[(c * taps + tap) * n + o];
}

static void add_square(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s,
                       const float *packed, float *w)
{
    int64_t n = form->block;
    int64_t taps = s->KH * s->KW;
    float turned[SQUARE * CONV_SQUARE_TAPS];
    for (int64_t tap = 0; tap < taps; tap++)
        for (int64_t c = 0; c < n; c++)
            for (int64_t o = 0; o < n; o++)
                turned[(c * taps + tap) * n + o] = packed[tap_place(form, s, tap) + c * n + o];
    isa->transpose_out(n * taps, n, turned, n, w, s->C * taps, NULL, true);
}

/* Square i in row order: its place in (O, C, KH, KW) and in the form. */
static int64_t square_at(const conv_squares *form, const thaw_conv2d *s, int64_t i, int64_t *place)
{
    int64_t n = form->block;
    int64_t across = s->C / n;
    *place = i / across * form->out_stride + i % across * form->in_stride;
    return (i / across * n * s->C + i % across * n) * s->KH * s->KW;
}

static int64_t squares(const conv_squares *form, const thaw_conv2d *s)
{
    return s->O / form->block * (s->C / form->block);
}

void conv_squares_pack(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s,
                       const float *w, float *packed)
{
    int64_t count = squares(form, s);
    KERN_EACH(s->O * s->C * s->KH * s->KW, count, i, {
        int64_t place;
        int64_t square = square_at(form, s, i, &place);
        pack_square(isa, form, s, w + square, packed + place);
    });
}

void conv_squares_add(const kern_isa *isa, const conv_squares *form, const thaw_conv2d *s,
                      const float *packed, float *dw)
{
    int64_t count = squares(form, s);
    KERN_EACH(s->O * s->C * s->KH * s->KW, count, i, {
        int64_t place;
        int64_t square = square_at(form, s, i, &place);
        add_square(isa, form, s, packed + place, dw + square);
    });
}
