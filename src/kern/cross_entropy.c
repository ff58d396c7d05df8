#include "thaw/kern.h"

static void forward(const thaw_loss_batch *b, float *loss, float *outputs)
{
    double weight_sum = 0; /* the caller weighs samples as it likes */
    thaw_kern_softmax_cross_entropy(b->B, b->K, b->logits, b->labels, b->smoothing,
                                    b->class_weights, loss, outputs, &weight_sum);
}

static void backward(const thaw_loss_batch *b, const float *outputs, float *dlogits)
{
    thaw_kern_softmax_cross_entropy_backward(b->B, b->K, outputs, b->labels, b->smoothing,
                                             b->class_weights, dlogits);
}

const thaw_loss thaw_loss_cross_entropy = {.name = "cross_entropy",
                                           .task = THAW_TASK_CLASSIFICATION,
                                           .forward = forward,
                                           .backward = backward};
