/* resize.c - a grid of vectors in another size, by bicubic convolution that widens where the grid shrinks (no aliasing).
 * The filter is Keys 1981 with a = -0.5; places and widths are those of Pillow and of torch.nn.functional.interpolate with
 * mode="bicubic", antialias=True, align_corners=False. */
#include "thaw/kern.h"

#include <math.h>

/* What one place of the result takes from one axis: inputs first..first + count - 1. */
typedef struct taps {
    double center, narrow, total;
    int64_t first, count;
} taps;

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double raw_weight(const taps *t, int64_t i)
{
    return cubic(((double)(t->first + i) - t->center + 0.5) * t->narrow);
}

static taps taps_at(int64_t in, int64_t out, int64_t place)
{
    const double scale = (double)in / (double)out;
    const double reach = scale > 1 ? 2 * scale : 2;
    taps t = {.center = scale * ((double)place + 0.5), .narrow = scale > 1 ? 1 / scale : 1};
    const int64_t begin = (int64_t)(t.center - reach + 0.5);
    const int64_t end = (int64_t)(t.center + reach + 0.5);
    t.first = begin > 0 ? begin : 0;
    t.count = (end < in ? end : in) - t.first;
    for (int64_t i = 0; i < t.count; i++)
        t.total += raw_weight(&t, i);
    return t;
}

void thaw_kern_resize_bicubic(int64_t D, const int64_t in[2], const int64_t out[2], const float *x,
                              float *y)
{
    thaw_kern_fill(out[0] * out[1] * D, 0.0f, y);
    for (int64_t place = 0; place < out[0] * out[1]; place++) {
        const taps row = taps_at(in[0], out[0], place / out[1]);
        const taps column = taps_at(in[1], out[1], place % out[1]);
        for (int64_t i = 0; i < row.count; i++)
            for (int64_t j = 0; j < column.count; j++) {
                const double weight =
                    raw_weight(&row, i) / row.total * (raw_weight(&column, j) / column.total);
                const int64_t from = (row.first + i) * in[1] + column.first + j;
                thaw_kern_axpy(D, (float)weight, x + from * D, y + place * D);
            }
    }
}
