/* batch_norm.c - batch normalisation, Ioffe & Szegedy 2015, on NCHW and on channel blocks, with residual and act.
 *
 * Channels are swept in groups: a block of channels, one channel, or with few pixels (S < KERN_STRIP) as many channels as
 * fit COLUMNS columns. A group of all images is swept twice, for its sums and for its output, the second time from the last
 * image back, so that what the caches still hold is read first. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/isa_impl.h"

enum { COLUMNS = 128 };

typedef struct group {
    const kern_isa_image *isa;
    int64_t first, channels; /* of this group */
    int64_t start;           /* of its first float in every array */
    int64_t columns;         /* positions that have their own coefficients */
    int64_t S;
    int32_t block; /* 1 or lanes */
    kern_sweep rows;
} group;

static group next_group(const thaw_image *s, int64_t first)
{
    int64_t S = s->H * s->W;
    int32_t block = s->block > 1 ? s->block : 1;
    int64_t most = block > 1 ? block : S < KERN_STRIP ? COLUMNS / S : 1;
    group g = {.isa = &kern_isa_choose()->image,
               .first = first,
               .channels = s->C - first < most ? s->C - first : most,
               .start = first * S,
               .S = S,
               .block = block};
    g.columns = block == 1 && S < KERN_STRIP ? g.channels * S : KERN_STRIP;
    g.rows = (kern_sweep){.B = s->B,
                          .stride = (s->C + block - 1) / block * block * S,
                          .n = block > 1 ? S * block : g.channels * S};
    return g;
}

/* The rows of 16 of the group's columns; wide rows have their 16 positions all along. */
static kern_sweep strip_rows(const group *g, int64_t column)
{
    kern_sweep rows = g->rows;
    if (g->columns != KERN_STRIP)
        rows.n = g->columns - column < KERN_STRIP ? g->columns - column : KERN_STRIP;
    return rows;
}

/* Which of the group's channels a column belongs to; may lie beyond them. */
static int64_t channel_of(const group *g, int64_t column)
{
    if (g->block > 1)
        return column & (g->block - 1);
    return g->S < KERN_STRIP ? column / g->S : 0;
}

/* Repeats one value a channel over its columns, up to a whole strip; zero where there is none. */
static void spread(const group *g, const double *from, float *to)
{
    for (int64_t j = 0; j < g->columns || j % KERN_STRIP != 0; j++) {
        int64_t c = channel_of(g, j);
        to[j] = c < g->channels ? (float)from[c] : 0.0f;
    }
}

static void fold(const group *g, int64_t column, const double *sum, double *out)
{
    for (int64_t j = 0; j < KERN_STRIP; j++) {
        int64_t c = channel_of(g, column + j);
        if (c < g->channels)
            out[c] += sum[j];
    }
}

/* Joins the moments of 16 columns to those of their channels (Chan, Golub & LeVeque 1979). */
static void fold_moments(const group *g, int64_t column, const kern_moments *m, double *count,
                         double *mean, double *squares)
{
    for (int64_t j = 0; j < KERN_STRIP; j++) {
        int64_t c = channel_of(g, column + j);
        if (c >= g->channels || m->count[j] == 0)
            continue;
        double all = count[c] + m->count[j];
        double change = m->mean[j] - mean[c];
        squares[c] += m->squares[j] + change * change * (count[c] * m->count[j] / all);
        mean[c] += change * (m->count[j] / all);
        count[c] = all;
    }
}

static void moments(const group *g, const float *x, double *mean, double *squares)
{
    double count[COLUMNS] = {0};
    kern_moments m;
    for (int64_t c = 0; c < g->channels; c++)
        mean[c] = squares[c] = 0;
    for (int64_t j = 0; j < g->columns; j += KERN_STRIP) {
        kern_sweep rows = strip_rows(g, j);
        g->isa->moments(&rows, x + g->start + j, &m);
        fold_moments(g, j, &m, count, mean, squares);
    }
}

static void affine(const group *g, const float *x, const double *scale, const double *shift,
                   const float *residual, thaw_act act, float *y)
{
    float wide_scale[COLUMNS];
    float wide_shift[COLUMNS];
    spread(g, scale, wide_scale);
    spread(g, shift, wide_shift);
    for (int64_t j = 0; j < g->columns; j += KERN_STRIP) {
        kern_sweep rows = strip_rows(g, j);
        int64_t at = g->start + j;
        g->isa->affine(&rows, x + at, wide_scale + j, wide_shift + j,
                       residual ? residual + at : NULL, kern_bounds_of(act), y + at);
    }
}

void thaw_kern_batch_norm_train(const thaw_image *s, const float *x, const float *weight,
                                const float *bias, float epsilon, const float *residual,
                                thaw_act act, float *y, float *mean, float *inv_std,
                                float *unbiased_var)
{
    double count = (double)s->B * (double)(s->H * s->W);
    double center[COLUMNS];
    double squares[COLUMNS];
    double shift[COLUMNS];
    group g;
    for (int64_t first = 0; first < s->C; first += g.channels) {
        g = next_group(s, first);
        moments(&g, x, center, squares);
        for (int64_t c = 0; c < g.channels; c++) {
            double variance = squares[c] / count;
            variance = variance < 0 ? 0 : variance;
            double scale = 1.0 / sqrt(variance + epsilon);
            mean[first + c] = (float)center[c];
            inv_std[first + c] = (float)scale;
            unbiased_var[first + c] = (float)(variance * (count / (count > 1 ? count - 1 : 1)));
            squares[c] = weight[first + c] * scale;
            shift[c] = bias[first + c] - squares[c] * center[c];
        }
        affine(&g, x, squares, shift, residual, act, y);
    }
}

void thaw_kern_batch_norm_eval(const thaw_image *s, const float *x, const float *weight,
                               const float *bias, const float *running_mean,
                               const float *running_var, float epsilon, const float *residual,
                               thaw_act act, float *y)
{
    double scale[COLUMNS];
    double shift[COLUMNS];
    group g;
    for (int64_t first = 0; first < s->C; first += g.channels) {
        g = next_group(s, first);
        for (int64_t c = 0; c < g.channels; c++) {
            scale[c] = weight[first + c] / sqrt((double)running_var[first + c] + epsilon);
            shift[c] = bias[first + c] - scale[c] * running_mean[first + c];
        }
        affine(&g, x, scale, shift, residual, act, y);
    }
}

/* The streams from the group's column on. */
static kern_norm_streams streams_at(const kern_norm_streams *s, int64_t at)
{
    kern_norm_streams z = *s;
    z.x = s->x ? s->x + at : NULL;
    z.y = s->y ? s->y + at : NULL;
    z.dy = s->dy + at;
    z.dx = s->dx ? s->dx + at : NULL;
    z.dresidual = s->dresidual ? s->dresidual + at : NULL;
    return z;
}

/* Sums of g and of g (x - center), and with them the gradients of weight and bias. A dresidual that only takes g is
 * written on the way; the second sweep then reads it instead of dy and y. */
static void gradient_sums(const group *g, const kern_norm_streams *s, const double *center,
                          const double *scale, double *total, double *product, float *dweight,
                          float *dbias)
{
    float middle[COLUMNS];
    double sum[KERN_STRIP];
    double dot[KERN_STRIP];
    spread(g, center, middle);
    for (int64_t c = 0; c < g->channels; c++)
        total[c] = product[c] = 0;
    for (int64_t j = 0; j < g->columns; j += KERN_STRIP) {
        kern_sweep rows = strip_rows(g, j);
        kern_norm_streams z = streams_at(s, g->start + j);
        if (s->accumulate_residual)
            z.dresidual = NULL;
        if (z.x == NULL)
            z.x = z.dy;
        g->isa->gradient_sums(&rows, &z, middle + j, sum, dot);
        fold(g, j, sum, total);
        fold(g, j, dot, product);
    }
    for (int64_t c = 0; c < g->channels; c++) {
        if (dweight)
            dweight[g->first + c] = (float)(dweight[g->first + c] + product[c] * scale[c]);
        if (dbias)
            dbias[g->first + c] = (float)(dbias[g->first + c] + total[c]);
    }
}

/* What is left to write after the sums, if there were any. */
static void combine(const group *g, const kern_norm_streams *s, bool after_sums,
                    double coefficients[3][COLUMNS])
{
    float wide[3][COLUMNS];
    kern_norm_streams z = *s;
    if (after_sums && z.dresidual && !z.accumulate_residual) {
        z.dy = z.dresidual;
        z.dresidual = NULL;
        z.bounds.on = false;
    }
    if (z.dx == NULL && z.dresidual == NULL)
        return;
    for (int i = 0; i < 3; i++)
        spread(g, coefficients[i], wide[i]);
    for (int64_t j = 0; j < g->columns; j += KERN_STRIP) {
        kern_sweep rows = strip_rows(g, j);
        kern_norm_streams part = streams_at(&z, g->start + j);
        const float *at[3] = {wide[0] + j, wide[1] + j, wide[2] + j};
        g->isa->combine(&rows, &part, at);
    }
}

void thaw_kern_batch_norm_train_backward(const thaw_image *s, const float *x, const float *y,
                                         thaw_act act, const float *weight, const float *mean,
                                         const float *inv_std, const float *dy, float *dx,
                                         bool accumulate, float *dresidual,
                                         bool accumulate_residual, float *dweight, float *dbias)
{
    kern_norm_streams streams = {
        x, y, dy, dx, dresidual, accumulate, accumulate_residual, kern_bounds_of(act)};
    bool sums = dx || dweight || dbias;
    double count = (double)s->B * (double)(s->H * s->W);
    double center[COLUMNS];
    double scale[COLUMNS];
    double total[COLUMNS] = {0};
    double product[COLUMNS] = {0};
    double coefficients[3][COLUMNS];
    group g;
    for (int64_t first = 0; first < s->C; first += g.channels) {
        g = next_group(s, first);
        for (int64_t c = 0; c < g.channels; c++) {
            center[c] = mean[first + c];
            scale[c] = inv_std[first + c];
        }
        if (sums)
            gradient_sums(&g, &streams, center, scale, total, product, dweight, dbias);
        /* dx = a (g - mean(g) - xhat mean(g xhat)), a = weight inv_std, written as p g + q x + r. */
        for (int64_t c = 0; c < g.channels; c++) {
            double slope = weight[first + c] * scale[c];
            coefficients[0][c] = slope;
            coefficients[1][c] = -slope * product[c] * scale[c] * scale[c] / count;
            coefficients[2][c] = -slope * total[c] / count - coefficients[1][c] * center[c];
        }
        combine(&g, &streams, sums, coefficients);
    }
}

void thaw_kern_batch_norm_eval_backward(const thaw_image *s, const float *x, const float *y,
                                        thaw_act act, const float *weight,
                                        const float *running_mean, const float *running_var,
                                        float epsilon, const float *dy, float *dx, bool accumulate,
                                        float *dresidual, bool accumulate_residual, float *dweight,
                                        float *dbias)
{
    kern_norm_streams streams = {
        x, y, dy, dx, dresidual, accumulate, accumulate_residual, kern_bounds_of(act)};
    bool sums = dweight || dbias;
    double center[COLUMNS];
    double scale[COLUMNS];
    double total[COLUMNS];
    double product[COLUMNS];
    double coefficients[3][COLUMNS] = {{0}};
    group g;
    for (int64_t first = 0; first < s->C; first += g.channels) {
        g = next_group(s, first);
        for (int64_t c = 0; c < g.channels; c++) {
            center[c] = running_mean[first + c];
            scale[c] = 1.0 / sqrt((double)running_var[first + c] + epsilon);
            coefficients[0][c] = weight[first + c] * scale[c];
        }
        streams.x = x;
        if (sums)
            gradient_sums(&g, &streams, center, scale, total, product, dweight, dbias);
        streams.x = NULL;
        combine(&g, &streams, sums, coefficients);
    }
}

void thaw_kern_channel_sums(const thaw_image *s, const float *x, float *out)
{
    double sum[KERN_STRIP];
    double total[COLUMNS];
    group g;
    for (int64_t first = 0; first < s->C; first += g.channels) {
        g = next_group(s, first);
        for (int64_t c = 0; c < g.channels; c++)
            total[c] = 0;
        for (int64_t j = 0; j < g.columns; j += KERN_STRIP) {
            kern_sweep rows = strip_rows(&g, j);
            g.isa->sums(&rows, x + g.start + j, sum);
            fold(&g, j, sum, total);
        }
        for (int64_t c = 0; c < g.channels; c++)
            out[first + c] = (float)(out[first + c] + total[c]);
    }
}
