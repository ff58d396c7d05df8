#include "data/import_impl.h"

#include <math.h>

thaw_status thaw_moments_init(thaw_moments *m, int64_t C)
{
    *m = (thaw_moments){.C = C};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&m->shift, C, sizeof *m->shift));
    THAW_TRY_TO(thaw_alloc(&m->sum, C, sizeof *m->sum));
    THAW_TRY_TO(thaw_alloc(&m->square, C, sizeof *m->square));
done:
    if (status != THAW_OK)
        thaw_moments_clear(m);
    return status;
}

void thaw_moments_clear(thaw_moments *m)
{
    thaw_free(&m->shift);
    thaw_free(&m->sum);
    thaw_free(&m->square);
    *m = (thaw_moments){0};
}

/* Whole numbers until the end: below 2^53 the doubles hold them exactly, so no order of adding shows. */
static void add_bytes(thaw_moments *m, int64_t c, int64_t count, const uint8_t *x)
{
    uint64_t sum = 0, square = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += x[i];
        square += (uint64_t)x[i] * x[i];
    }
    m->sum[c] += (double)sum;
    m->square[c] += (double)square;
}

/* Sums of the distance from the first value: the variance keeps its digits when the mean is large. */
static void add_floats(thaw_moments *m, int64_t c, int64_t count, const float *x)
{
    if (m->count == 0)
        m->shift[c] = (double)x[0];
    double sum = 0, square = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = (double)x[i] - m->shift[c];
        sum += d;
        square += d * d;
    }
    m->sum[c] += sum;
    m->square[c] += square;
}

void thaw_moments_add(thaw_moments *m, thaw_dtype dtype, int64_t n, int64_t values, const void *x)
{
    int64_t plane = values / m->C;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < m->C; c++) {
            int64_t at = (i * m->C + c) * plane;
            if (dtype == THAW_U8)
                add_bytes(m, c, plane, (const uint8_t *)x + at);
            else
                add_floats(m, c, plane, (const float *)x + at);
        }
        m->count += plane;
    }
}

void thaw_moments_get(const thaw_moments *m, double *mean, double *std)
{
    for (int64_t c = 0; c < m->C; c++) {
        double count = m->count > 0 ? (double)m->count : 1;
        double offset = m->sum[c] / count;
        double variance = m->square[c] / count - offset * offset;
        mean[c] = m->shift[c] + offset;
        bool varies = variance > 1e-14 * (m->square[c] / count);
        std[c] = varies ? sqrt(variance) : 0;
    }
}
