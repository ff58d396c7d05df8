/* batch_norm.c - batch normalisation over (B, C, S); Ioffe & Szegedy 2015. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/clones_impl.h"

KERN_CLONES static double sum_deviations(int64_t n, const float *x, double mean)
{
    enum { LANES = 16 };
    double lane[LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        double d = x[i] - mean;
        lane[i % LANES] += d * d;
    }
    double sum = 0;
    for (int j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

/* y = scale x + shift on one channel of all images. */
KERN_CLONES static void affine(int64_t B, int64_t stride, int64_t S, float scale, float shift,
                               const float *x, float *y)
{
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < S; i++)
            y[b * stride + i] = scale * x[b * stride + i] + shift;
}

void thaw_kern_batch_norm_train(int64_t B, int64_t C, int64_t S, const float *x,
                                const float *weight, const float *bias, float epsilon, float *y,
                                float *mean, float *inv_std, float *unbiased_var)
{
    double count = (double)B * (double)S;
    for (int64_t c = 0; c < C; c++) {
        double sum = 0;
        for (int64_t b = 0; b < B; b++)
            sum += thaw_kern_sum(S, x + (b * C + c) * S);
        double center = sum / count;
        double squares = 0;
        for (int64_t b = 0; b < B; b++)
            squares += sum_deviations(S, x + (b * C + c) * S, center);
        double scale = 1.0 / sqrt(squares / count + epsilon);
        mean[c] = (float)center;
        inv_std[c] = (float)scale;
        unbiased_var[c] = (float)(squares / (count > 1 ? count - 1 : 1));
        affine(B, C * S, S, (float)(weight[c] * scale),
               (float)(bias[c] - weight[c] * scale * center), x + c * S, y + c * S);
    }
}

void thaw_kern_batch_norm_eval(int64_t B, int64_t C, int64_t S, const float *x, const float *weight,
                               const float *bias, const float *running_mean,
                               const float *running_var, float epsilon, float *y)
{
    for (int64_t c = 0; c < C; c++) {
        double scale = weight[c] / sqrt((double)running_var[c] + epsilon);
        affine(B, C * S, S, (float)scale, (float)(bias[c] - scale * running_mean[c]), x + c * S,
               y + c * S);
    }
}

/* sums[0] = sum dy, sums[1] = sum dy (x - center) over one channel. */
static void gradient_sums(int64_t B, int64_t stride, int64_t S, const float *x, const float *dy,
                          double center, double sums[2])
{
    sums[0] = sums[1] = 0;
    for (int64_t b = 0; b < B; b++) {
        sums[0] += thaw_kern_sum(S, dy + b * stride);
        for (int64_t i = 0; i < S; i++)
            sums[1] += dy[b * stride + i] * (x[b * stride + i] - center);
    }
}

/* dx = or += a dy + b x + c on one channel of all images. */
KERN_CLONES static void combine(int64_t B, int64_t stride, int64_t S, const float coefficients[3],
                                const float *dy, const float *x, float *dx, bool accumulate)
{
    float p = coefficients[0];
    float q = coefficients[1];
    float r = coefficients[2];
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < S; i++) {
            int64_t at = b * stride + i;
            float value = p * dy[at] + (q * x[at] + r);
            dx[at] = accumulate ? dx[at] + value : value;
        }
}

void thaw_kern_batch_norm_train_backward(int64_t B, int64_t C, int64_t S, const float *x,
                                         const float *weight, const float *mean,
                                         const float *inv_std, const float *dy, float *dx,
                                         bool accumulate, float *dweight, float *dbias)
{
    double count = (double)B * (double)S;
    for (int64_t c = 0; c < C; c++) {
        double sums[2];
        gradient_sums(B, C * S, S, x + c * S, dy + c * S, mean[c], sums);
        if (dweight)
            dweight[c] = (float)(dweight[c] + sums[1] * inv_std[c]);
        if (dbias)
            dbias[c] = (float)(dbias[c] + sums[0]);
        if (dx == NULL)
            continue;
        /* dx = g (dy - mean(dy) - xhat mean(dy xhat)), g = weight inv_std, written as a dy + b x + c. */
        double g = (double)weight[c] * inv_std[c];
        double slope = -g * sums[1] * inv_std[c] * inv_std[c] / count;
        float coefficients[3] = {(float)g, (float)slope,
                                 (float)(-g * sums[0] / count - slope * mean[c])};
        combine(B, C * S, S, coefficients, dy + c * S, x + c * S, dx + c * S, accumulate);
    }
}

void thaw_kern_batch_norm_eval_backward(int64_t B, int64_t C, int64_t S, const float *x,
                                        const float *weight, const float *running_mean,
                                        const float *running_var, float epsilon, const float *dy,
                                        float *dx, bool accumulate, float *dweight, float *dbias)
{
    for (int64_t c = 0; c < C; c++) {
        double scale = 1.0 / sqrt((double)running_var[c] + epsilon);
        double sums[2] = {0, 0};
        if (dweight || dbias)
            gradient_sums(B, C * S, S, x + c * S, dy + c * S, running_mean[c], sums);
        if (dweight)
            dweight[c] = (float)(dweight[c] + sums[1] * scale);
        if (dbias)
            dbias[c] = (float)(dbias[c] + sums[0]);
        if (dx == NULL)
            continue;
        float coefficients[3] = {(float)(weight[c] * scale), 0.0f, 0.0f};
        combine(B, C * S, S, coefficients, dy + c * S, x + c * S, dx + c * S, accumulate);
    }
}
