/* batch_norm.c - batch normalisation over (B, C, S); Ioffe & Szegedy 2015.
 *
 * A channel of all images stays in the second-level cache while it is swept for its mean, its variance and its output.
 * With few pixels (S < NARROW) a channel's rows are too short for that: then blocks of channels are swept as columns. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/clones_impl.h"
#include "kern/isa_impl.h"

enum { NARROW = 16, COLUMNS = 128 };

/* Sums per column of (B, count) rows, `stride` apart. kind 0: x.  1: (x - center)^2.  2: dy (x - center). */
KERN_CLONES static void column_sums(int kind, int64_t B, int64_t stride, int64_t count,
                                    const float *x, const float *dy, const float *center,
                                    double *sum)
{
    for (int64_t j = 0; j < count; j++)
        sum[j] = 0;
    for (int64_t b = 0; b < B; b++) {
        const float *row = x + b * stride;
        const float *gradient = dy + b * stride;
        if (kind == 0)
            for (int64_t j = 0; j < count; j++)
                sum[j] += row[j];
        else if (kind == 1)
            for (int64_t j = 0; j < count; j++)
                sum[j] += (double)(row[j] - center[j]) * (row[j] - center[j]);
        else
            for (int64_t j = 0; j < count; j++)
                sum[j] += (double)gradient[j] * (row[j] - center[j]);
    }
}

KERN_CLONES static void column_affine(int64_t B, int64_t stride, int64_t count, const float *x,
                                      const float *scale, const float *shift, float *y)
{
    for (int64_t b = 0; b < B; b++)
        for (int64_t j = 0; j < count; j++)
            y[b * stride + j] = x[b * stride + j] * scale[j] + shift[j];
}

KERN_CLONES static void column_combine(int64_t B, int64_t stride, int64_t count, const float *dy,
                                       const float *x, const float *p, const float *q,
                                       const float *r, float *dx, bool accumulate)
{
    for (int64_t b = 0; b < B; b++)
        for (int64_t j = 0; j < count; j++) {
            int64_t at = b * stride + j;
            float value = dy[at] * p[j] + (x[at] * q[j] + r[j]);
            dx[at] = accumulate ? dx[at] + value : value;
        }
}

/* A run of channels that is swept together: one, or as many as fit COLUMNS columns. */
typedef struct group {
    const kern_isa *isa;
    int64_t B, stride, S, first, channels;
} group;

static group next_group(const kern_isa *isa, int64_t B, int64_t C, int64_t S, int64_t first)
{
    int64_t channels = S < NARROW ? COLUMNS / S : 1;
    group g = {isa, B, C * S, S, first, C - first < channels ? C - first : channels};
    return g;
}

/* Repeats one value a channel over its S columns. */
static void spread(const group *g, const double *from, float *to)
{
    for (int64_t j = 0; j < g->channels * g->S; j++)
        to[j] = (float)from[j / g->S];
}

/* One sum a channel; arrays start at the group's first channel. Kind 2 is for narrow groups only. */
static void sums(const group *g, int kind, const float *x, const float *dy, const double *center,
                 double *out)
{
    if (g->S >= NARROW) {
        out[0] = kind == 0 ? g->isa->channel_sum(g->B, g->stride, g->S, x)
                           : g->isa->channel_squares(g->B, g->stride, g->S, x, (float)center[0]);
        return;
    }
    double column[COLUMNS];
    float middle[COLUMNS] = {0};
    if (kind > 0)
        spread(g, center, middle);
    column_sums(kind, g->B, g->stride, g->channels * g->S, x, dy, middle, column);
    for (int64_t c = 0; c < g->channels; c++) {
        out[c] = 0;
        for (int64_t i = 0; i < g->S; i++)
            out[c] += column[c * g->S + i];
    }
}

static void affine(const group *g, const float *x, const double *scale, const double *shift,
                   float *y)
{
    float wide_scale[COLUMNS];
    float wide_shift[COLUMNS];
    if (g->S >= NARROW) {
        g->isa->channel_affine(g->B, g->stride, g->S, x, (float)scale[0], (float)shift[0], y);
        return;
    }
    spread(g, scale, wide_scale);
    spread(g, shift, wide_shift);
    column_affine(g->B, g->stride, g->channels * g->S, x, wide_scale, wide_shift, y);
}

static void combine(const group *g, const float *dy, const float *x,
                    double coefficients[3][COLUMNS], float *dx, bool accumulate)
{
    float wide[3][COLUMNS];
    if (g->S >= NARROW) {
        for (int i = 0; i < 3; i++)
            wide[0][i] = (float)coefficients[i][0];
        g->isa->channel_combine(g->B, g->stride, g->S, dy, x, wide[0], dx, accumulate);
        return;
    }
    for (int i = 0; i < 3; i++)
        spread(g, coefficients[i], wide[i]);
    column_combine(g->B, g->stride, g->channels * g->S, dy, x, wide[0], wide[1], wide[2], dx,
                   accumulate);
}

void thaw_kern_batch_norm_train(int64_t B, int64_t C, int64_t S, const float *x,
                                const float *weight, const float *bias, float epsilon, float *y,
                                float *mean, float *inv_std, float *unbiased_var)
{
    const kern_isa *isa = kern_isa_choose();
    double count = (double)B * (double)S;
    double center[COLUMNS];
    double squares[COLUMNS];
    double shift[COLUMNS];
    group g;
    for (int64_t first = 0; first < C; first += g.channels) {
        g = next_group(isa, B, C, S, first);
        const float *from = x + first * S;
        sums(&g, 0, from, from, NULL, center);
        for (int64_t c = 0; c < g.channels; c++)
            center[c] /= count;
        sums(&g, 1, from, from, center, squares);
        for (int64_t c = 0; c < g.channels; c++) {
            /* The squares were taken about the rounded mean; what that adds is known. */
            double rounding = (float)center[c] - center[c];
            double variance = squares[c] / count - rounding * rounding;
            variance = variance > 0 ? variance : 0;
            double scale = 1.0 / sqrt(variance + epsilon);
            mean[first + c] = (float)center[c];
            inv_std[first + c] = (float)scale;
            unbiased_var[first + c] = (float)(variance * (count / (count > 1 ? count - 1 : 1)));
            squares[c] = weight[first + c] * scale;
            shift[c] = bias[first + c] - squares[c] * center[c];
        }
        affine(&g, from, squares, shift, y + first * S);
    }
}

void thaw_kern_batch_norm_eval(int64_t B, int64_t C, int64_t S, const float *x, const float *weight,
                               const float *bias, const float *running_mean,
                               const float *running_var, float epsilon, float *y)
{
    const kern_isa *isa = kern_isa_choose();
    double scale[COLUMNS];
    double shift[COLUMNS];
    group g;
    for (int64_t first = 0; first < C; first += g.channels) {
        g = next_group(isa, B, C, S, first);
        for (int64_t c = 0; c < g.channels; c++) {
            scale[c] = weight[first + c] / sqrt((double)running_var[first + c] + epsilon);
            shift[c] = bias[first + c] - scale[c] * running_mean[first + c];
        }
        affine(&g, x + first * S, scale, shift, y + first * S);
    }
}

/* Sums of dy and of dy (x - mean), and with them the gradients of weight and bias. */
static void parameter_gradients(const group *g, const float *x, const float *dy,
                                const double *center, const double *scale, double *total,
                                double *product, float *dweight, float *dbias)
{
    if (g->S >= NARROW) {
        double both[2];
        g->isa->channel_gradient_sums(g->B, g->stride, g->S, x, dy, (float)center[0], both);
        total[0] = both[0];
        product[0] = both[1];
    } else {
        sums(g, 0, dy, dy, NULL, total);
        sums(g, 2, x, dy, center, product);
    }
    for (int64_t c = 0; c < g->channels; c++) {
        if (dweight)
            dweight[g->first + c] = (float)(dweight[g->first + c] + product[c] * scale[c]);
        if (dbias)
            dbias[g->first + c] = (float)(dbias[g->first + c] + total[c]);
    }
}

void thaw_kern_batch_norm_train_backward(int64_t B, int64_t C, int64_t S, const float *x,
                                         const float *weight, const float *mean,
                                         const float *inv_std, const float *dy, float *dx,
                                         bool accumulate, float *dweight, float *dbias)
{
    const kern_isa *isa = kern_isa_choose();
    double count = (double)B * (double)S;
    double center[COLUMNS];
    double scale[COLUMNS];
    double total[COLUMNS];
    double product[COLUMNS];
    double coefficients[3][COLUMNS];
    group g;
    for (int64_t first = 0; first < C; first += g.channels) {
        g = next_group(isa, B, C, S, first);
        for (int64_t c = 0; c < g.channels; c++) {
            center[c] = mean[first + c];
            scale[c] = inv_std[first + c];
        }
        parameter_gradients(&g, x + first * S, dy + first * S, center, scale, total, product,
                            dweight, dbias);
        /* dx = a (dy - mean(dy) - xhat mean(dy xhat)), a = weight inv_std, written as p dy + q x + r. */
        for (int64_t c = 0; c < g.channels; c++) {
            double slope = weight[first + c] * scale[c];
            coefficients[0][c] = slope;
            coefficients[1][c] = -slope * product[c] * scale[c] * scale[c] / count;
            coefficients[2][c] = -slope * total[c] / count - coefficients[1][c] * center[c];
        }
        if (dx)
            combine(&g, dy + first * S, x + first * S, coefficients, dx + first * S, accumulate);
    }
}

void thaw_kern_batch_norm_eval_backward(int64_t B, int64_t C, int64_t S, const float *x,
                                        const float *weight, const float *running_mean,
                                        const float *running_var, float epsilon, const float *dy,
                                        float *dx, bool accumulate, float *dweight, float *dbias)
{
    const kern_isa *isa = kern_isa_choose();
    double center[COLUMNS];
    double scale[COLUMNS];
    double total[COLUMNS];
    double product[COLUMNS];
    double coefficients[3][COLUMNS] = {{0}};
    group g;
    for (int64_t first = 0; first < C; first += g.channels) {
        g = next_group(isa, B, C, S, first);
        for (int64_t c = 0; c < g.channels; c++) {
            center[c] = running_mean[first + c];
            scale[c] = 1.0 / sqrt((double)running_var[first + c] + epsilon);
            coefficients[0][c] = weight[first + c] * scale[c];
        }
        if (dweight || dbias)
            parameter_gradients(&g, x + first * S, dy + first * S, center, scale, total, product,
                                dweight, dbias);
        if (dx)
            combine(&g, dy + first * S, x + first * S, coefficients, dx + first * S, accumulate);
    }
}
