#include "thaw/kern.h"

#include <math.h>

/* log(1 + exp(x)) - t x, which neither overflows nor loses small terms. */
static double loss_of(double x, double t)
{
    return (x > 0 ? x : 0) - t * x + log1p(exp(-fabs(x)));
}

static double sigmoid(double x)
{
    const double e = exp(-fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

static void forward(const thaw_loss_batch *b, float *loss, float *outputs)
{
    for (int64_t i = 0; i < b->B; i++) {
        double sum = 0;
        for (int64_t k = 0; k < b->K; k++) {
            const double x = (double)b->logits[i * b->K + k];
            if (b->targets != NULL)
                sum += loss_of(x, (double)b->targets[i * b->K + k]);
            if (outputs != NULL)
                outputs[i * b->K + k] = (float)sigmoid(x);
        }
        if (loss != NULL)
            loss[i] = (float)(sum / (double)b->K);
    }
}

/* From the logits: a float probability of 1 has lost how far it is from 1. */
static void backward(const thaw_loss_batch *b, const float *outputs, float *dlogits)
{
    (void)outputs;
    for (int64_t i = 0; i < b->B * b->K; i++)
        dlogits[i] =
            (float)((sigmoid((double)b->logits[i]) - (double)b->targets[i]) / (double)b->K);
}

const thaw_loss thaw_loss_binary_cross_entropy = {.name = "binary_cross_entropy",
                                                  .task = THAW_TASK_MULTI_LABEL,
                                                  .forward = forward,
                                                  .backward = backward};
