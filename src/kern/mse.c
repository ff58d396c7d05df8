#include "thaw/kern.h"

static double error_of(const thaw_loss_batch *b, int64_t i)
{
    return (double)b->logits[i] - (double)b->targets[i];
}

static void forward(const thaw_loss_batch *b, float *loss, float *outputs)
{
    for (int64_t i = 0; i < b->B; i++) {
        double sum = 0;
        for (int64_t at = i * b->K; at < (i + 1) * b->K; at++) {
            if (b->targets != NULL)
                sum += error_of(b, at) * error_of(b, at);
            if (outputs != NULL)
                outputs[at] = b->logits[at];
        }
        if (loss != NULL)
            loss[i] = (float)(sum / (double)b->K);
    }
}

static void backward(const thaw_loss_batch *b, const float *outputs, float *dlogits)
{
    (void)outputs;
    for (int64_t i = 0; i < b->B * b->K; i++)
        dlogits[i] = (float)(2 * error_of(b, i) / (double)b->K);
}

const thaw_loss thaw_loss_mse = {
    .name = "mse", .task = THAW_TASK_REGRESSION, .forward = forward, .backward = backward};
