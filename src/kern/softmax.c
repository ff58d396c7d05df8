/* softmax.c - softmax cross-entropy with label smoothing and class weights, and its gradient. */
#include "thaw/kern.h"

#include <math.h>

/* Largest value and log of the sum of exp(x - largest): the stable way to log p. */
static double log_sum_exp(int64_t K, const float *x, double *largest)
{
    double most = x[0];
    for (int64_t k = 1; k < K; k++)
        most = x[k] > most ? x[k] : most;
    double sum = 0;
    for (int64_t k = 0; k < K; k++)
        sum += exp(x[k] - most);
    *largest = most;
    return log(sum);
}

static double target(int64_t k, int32_t label, int64_t K, double smoothing,
                     const float *class_weights)
{
    double q = smoothing / (double)K + (k == label ? 1.0 - smoothing : 0.0);
    return class_weights ? q * class_weights[k] : q;
}

void thaw_kern_softmax_cross_entropy(int64_t B, int64_t K, const float *logits,
                                     const int32_t *labels, float smoothing,
                                     const float *class_weights, float *loss, float *probs,
                                     double *weight_sum)
{
    for (int64_t b = 0; b < B; b++) {
        const float *row = logits + b * K;
        double largest;
        double rest = log_sum_exp(K, row, &largest);
        double sum = 0;
        for (int64_t k = 0; k < K; k++) {
            double log_p = row[k] - largest - rest;
            sum -= target(k, labels[b], K, smoothing, class_weights) * log_p;
            if (probs)
                probs[b * K + k] = (float)exp(log_p);
        }
        if (loss)
            loss[b] = (float)sum;
        *weight_sum += class_weights ? class_weights[labels[b]] : 1.0;
    }
}

void thaw_kern_softmax_cross_entropy_backward(int64_t B, int64_t K, const float *probs,
                                              const int32_t *labels, float smoothing,
                                              const float *class_weights, float *dlogits)
{
    for (int64_t b = 0; b < B; b++) {
        double total = 0;
        for (int64_t k = 0; k < K; k++)
            total += target(k, labels[b], K, smoothing, class_weights);
        for (int64_t k = 0; k < K; k++)
            dlogits[b * K + k] = (float)(total * probs[b * K + k] -
                                         target(k, labels[b], K, smoothing, class_weights));
    }
}
