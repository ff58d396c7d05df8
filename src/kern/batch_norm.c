/* batch_norm.c - batch normalisation, Ioffe & Szegedy 2015, on NCHW and on channel blocks, with residual and act.
 *
 * Channels are swept in groups: a block of channels, one channel, or with few pixels (S < KERN_STRIP) as many channels as
 * fit COLUMNS columns. A group of all images is swept twice, for its sums and for its output, the second time from the last
 * image back, so that what the caches still hold is read first. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/isa_impl.h"
#include "kern/threads_impl.h"

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

/* Channels of every group but the last. */
static int64_t group_channels(const thaw_image *s)
{
    int64_t S = s->H * s->W;
    return s->block > 1 ? s->block : S < KERN_STRIP ? COLUMNS / S : 1;
}

static int64_t group_count(const thaw_image *s)
{
    int64_t most = group_channels(s);
    return (s->C + most - 1) / most;
}

static group group_at(const thaw_image *s, int64_t index)
{
    int64_t S = s->H * s->W;
    int32_t block = s->block > 1 ? s->block : 1;
    int64_t most = group_channels(s);
    int64_t first = index * most;
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

typedef struct forward_call {
    const thaw_image *s;
    const float *x, *weight, *bias, *residual;
    float epsilon;
    thaw_act act;
    float *y;
} forward_call;

/* With mean and inv_std of the group's channels. */
static void apply_group(const forward_call *f, const group *g, const double *mean,
                        const double *inv_std)
{
    double scale[COLUMNS];
    double shift[COLUMNS];
    for (int64_t i = 0; i < g->channels; i++) {
        scale[i] = f->weight[g->first + i] * inv_std[i];
        shift[i] = f->bias[g->first + i] - scale[i] * mean[i];
    }
    affine(g, f->x, scale, shift, f->residual, f->act, f->y);
}

static void train_group(const forward_call *f, int64_t index, float *mean, float *inv_std,
                        float *unbiased_var)
{
    group g = group_at(f->s, index);
    double count = (double)f->s->B * (double)g.S;
    double center[COLUMNS];
    double squares[COLUMNS];
    moments(&g, f->x, center, squares);
    for (int64_t i = 0; i < g.channels; i++) {
        int64_t c = g.first + i;
        const thaw_norm_moments m = thaw_kern_norm_moments(count, squares[i], f->epsilon);
        mean[c] = (float)center[i];
        inv_std[c] = (float)m.inv_std;
        unbiased_var[c] = (float)m.unbiased_var;
        squares[i] = m.inv_std;
    }
    apply_group(f, &g, center, squares);
}

thaw_norm_moments thaw_kern_norm_moments(double count, double squares, float epsilon)
{
    double variance = squares / count;
    variance = variance < 0 ? 0 : variance;
    return (thaw_norm_moments){
        .inv_std = 1.0 / sqrt(variance + epsilon),
        .unbiased_var = variance * (count / (count > 1 ? count - 1 : 1)),
    };
}

static void moments_group(const thaw_image *s, int64_t index, const float *x, double *mean,
                          double *squares)
{
    group g = group_at(s, index);
    moments(&g, x, mean + g.first, squares + g.first);
}

void thaw_kern_batch_norm_moments(const thaw_image *s, const float *x, double *mean,
                                  double *squares)
{
    KERN_EACH(thaw_image_count(s), group_count(s), i, moments_group(s, i, x, mean, squares));
}

static void given_group(const forward_call *f, int64_t index, const double *mean,
                        const double *inv_std)
{
    group g = group_at(f->s, index);
    apply_group(f, &g, mean + g.first, inv_std + g.first);
}

void thaw_kern_batch_norm_given(const thaw_image *s, const float *x, const float *weight,
                                const float *bias, const double *mean, const double *inv_std,
                                const float *residual, thaw_act act, float *y)
{
    forward_call f = {s, x, weight, bias, residual, 0, act, y};
    KERN_EACH(thaw_image_count(s), group_count(s), i, given_group(&f, i, mean, inv_std));
}

void thaw_kern_batch_norm_train(const thaw_image *s, const float *x, const float *weight,
                                const float *bias, float epsilon, const float *residual,
                                thaw_act act, float *y, float *mean, float *inv_std,
                                float *unbiased_var)
{
    forward_call f = {s, x, weight, bias, residual, epsilon, act, y};
    KERN_EACH(thaw_image_count(s), group_count(s), i,
              train_group(&f, i, mean, inv_std, unbiased_var));
}

/* running_mean and running_var NULL: scaled and shifted alone; bias NULL: zero. */
static void eval_group(const forward_call *f, int64_t index, const float *running_mean,
                       const float *running_var)
{
    group g = group_at(f->s, index);
    double scale[COLUMNS];
    double shift[COLUMNS];
    for (int64_t i = 0; i < g.channels; i++) {
        int64_t c = g.first + i;
        double bias = f->bias ? f->bias[c] : 0;
        scale[i] = f->weight[c];
        if (running_var)
            scale[i] /= sqrt((double)running_var[c] + f->epsilon);
        shift[i] = running_mean ? bias - scale[i] * running_mean[c] : bias;
    }
    affine(&g, f->x, scale, shift, f->residual, f->act, f->y);
}

void thaw_kern_batch_norm_eval(const thaw_image *s, const float *x, const float *weight,
                               const float *bias, const float *running_mean,
                               const float *running_var, float epsilon, const float *residual,
                               thaw_act act, float *y)
{
    forward_call f = {s, x, weight, bias, residual, epsilon, act, y};
    KERN_EACH(thaw_image_count(s), group_count(s), i, eval_group(&f, i, running_mean, running_var));
}

void thaw_kern_scale_shift(const thaw_image *s, const float *x, const float *scale,
                           const float *shift, const float *residual, thaw_act act, float *y)
{
    thaw_kern_batch_norm_eval(s, x, scale, shift, NULL, NULL, 0, residual, act, y);
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

typedef struct backward_call {
    const thaw_image *s;
    kern_norm_streams streams;
    const float *weight, *mean, *spread; /* inv_std, or in the eval form the variance */
    float epsilon;
    float *dweight, *dbias;
} backward_call;

/* dx = a (g - mean(g) - xhat mean(g xhat)), a = weight inv_std, written as p g + q x + r: total and product are sums over count values. */
static void train_gradient(const backward_call *f, const group *g, bool after_sums, double count,
                           const double *total, const double *product)
{
    double coefficients[3][COLUMNS];
    for (int64_t i = 0; i < g->channels; i++) {
        double scale = f->spread[g->first + i];
        double slope = f->weight[g->first + i] * scale;
        coefficients[0][i] = slope;
        coefficients[1][i] = -slope * product[i] * scale * scale / count;
        coefficients[2][i] = -slope * total[i] / count - coefficients[1][i] * f->mean[g->first + i];
    }
    combine(g, &f->streams, after_sums, coefficients);
}

static void train_sums(const backward_call *f, const group *g, double *total, double *product)
{
    double center[COLUMNS];
    double scale[COLUMNS];
    for (int64_t i = 0; i < g->channels; i++) {
        center[i] = f->mean[g->first + i];
        scale[i] = f->spread[g->first + i];
    }
    gradient_sums(g, &f->streams, center, scale, total, product, f->dweight, f->dbias);
}

static void train_backward_group(const backward_call *f, int64_t index)
{
    group g = group_at(f->s, index);
    bool sums = f->streams.dx || f->dweight || f->dbias;
    double total[COLUMNS] = {0};
    double product[COLUMNS] = {0};
    if (sums)
        train_sums(f, &g, total, product);
    train_gradient(f, &g, sums, (double)f->s->B * (double)g.S, total, product);
}

static void sums_backward_group(const backward_call *f, int64_t index, double *total,
                                double *product)
{
    group g = group_at(f->s, index);
    train_sums(f, &g, total + g.first, product + g.first);
}

static void given_backward_group(const backward_call *f, int64_t index, double count,
                                 const double *total, const double *product)
{
    group g = group_at(f->s, index);
    train_gradient(f, &g, true, count, total + g.first, product + g.first);
}

void thaw_kern_batch_norm_backward_sums(const thaw_image *s, const float *x, const float *y,
                                        thaw_act act, const float *mean, const float *inv_std,
                                        const float *dy, float *dresidual, bool accumulate_residual,
                                        double *total, double *product)
{
    backward_call f = {
        .s = s,
        .streams = {x, y, dy, NULL, dresidual, false, accumulate_residual, kern_bounds_of(act)},
        .mean = mean,
        .spread = inv_std};
    KERN_EACH(thaw_image_count(s), group_count(s), i, sums_backward_group(&f, i, total, product));
}

void thaw_kern_batch_norm_backward_given(const thaw_image *s, const float *x, const float *y,
                                         thaw_act act, const float *weight, const float *mean,
                                         const float *inv_std, double count, const double *total,
                                         const double *product, const float *dy, float *dx,
                                         bool accumulate, float *dresidual,
                                         bool accumulate_residual)
{
    backward_call f = {
        .s = s,
        .streams = {x, y, dy, dx, dresidual, accumulate, accumulate_residual, kern_bounds_of(act)},
        .weight = weight,
        .mean = mean,
        .spread = inv_std};
    KERN_EACH(thaw_image_count(s), group_count(s), i,
              given_backward_group(&f, i, count, total, product));
}

void thaw_kern_batch_norm_train_backward(const thaw_image *s, const float *x, const float *y,
                                         thaw_act act, const float *weight, const float *mean,
                                         const float *inv_std, const float *dy, float *dx,
                                         bool accumulate, float *dresidual,
                                         bool accumulate_residual, float *dweight, float *dbias)
{
    backward_call f = {
        .s = s,
        .streams = {x, y, dy, dx, dresidual, accumulate, accumulate_residual, kern_bounds_of(act)},
        .weight = weight,
        .mean = mean,
        .spread = inv_std,
        .dweight = dweight,
        .dbias = dbias};
    KERN_EACH(thaw_image_count(s), group_count(s), i, train_backward_group(&f, i));
}

static void eval_backward_group(const backward_call *f, int64_t index)
{
    group g = group_at(f->s, index);
    bool sums = f->dweight || f->dbias;
    double center[COLUMNS];
    double scale[COLUMNS];
    double total[COLUMNS];
    double product[COLUMNS];
    double coefficients[3][COLUMNS] = {{0}};
    for (int64_t i = 0; i < g.channels; i++) {
        int64_t c = g.first + i;
        center[i] = f->mean ? f->mean[c] : 0;
        scale[i] = f->spread ? 1.0 / sqrt((double)f->spread[c] + f->epsilon) : 1;
        coefficients[0][i] = f->weight[c] * scale[i];
    }
    if (sums)
        gradient_sums(&g, &f->streams, center, scale, total, product, f->dweight, f->dbias);
    kern_norm_streams without = f->streams;
    without.x = NULL;
    combine(&g, &without, sums, coefficients);
}

void thaw_kern_batch_norm_eval_backward(const thaw_image *s, const float *x, const float *y,
                                        thaw_act act, const float *weight,
                                        const float *running_mean, const float *running_var,
                                        float epsilon, const float *dy, float *dx, bool accumulate,
                                        float *dresidual, bool accumulate_residual, float *dweight,
                                        float *dbias)
{
    backward_call f = {
        .s = s,
        .streams = {x, y, dy, dx, dresidual, accumulate, accumulate_residual, kern_bounds_of(act)},
        .weight = weight,
        .mean = running_mean,
        .spread = running_var,
        .epsilon = epsilon,
        .dweight = dweight,
        .dbias = dbias};
    KERN_EACH(thaw_image_count(s), group_count(s), i, eval_backward_group(&f, i));
}

void thaw_kern_scale_shift_backward(const thaw_image *s, const float *x, const float *y,
                                    thaw_act act, const float *scale, const float *dy, float *dx,
                                    bool accumulate, float *dresidual, bool accumulate_residual,
                                    float *dscale, float *dshift)
{
    thaw_kern_batch_norm_eval_backward(s, x, y, act, scale, NULL, NULL, 0, dy, dx, accumulate,
                                       dresidual, accumulate_residual, dscale, dshift);
}

static void sums_group(const thaw_image *s, int64_t index, const float *x, float *out)
{
    group g = group_at(s, index);
    double sum[KERN_STRIP];
    double total[COLUMNS] = {0};
    for (int64_t j = 0; j < g.columns; j += KERN_STRIP) {
        kern_sweep rows = strip_rows(&g, j);
        g.isa->sums(&rows, x + g.start + j, sum);
        fold(&g, j, sum, total);
    }
    for (int64_t i = 0; i < g.channels; i++)
        out[g.first + i] = (float)(out[g.first + i] + total[i]);
}

void thaw_kern_channel_sums(const thaw_image *s, const float *x, float *out)
{
    KERN_EACH(thaw_image_count(s), group_count(s), i, sums_group(s, i, x, out));
}
