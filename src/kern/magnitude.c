/* magnitude.c - weights as magnitude and direction: lengths of rows, and what they do to a layer's output. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/threads_impl.h"

void thaw_kern_row_norms(int64_t O, int64_t I, const float *w, float *norms)
{
    KERN_EACH(O * I, O, o, norms[o] = (float)sqrt(thaw_kern_sum_squares(I, w + o * I)));
}

void thaw_kern_magnitude(int64_t O, const float *magnitude, const float *norms, const float *bias,
                         float *factor, float *shift)
{
    for (int64_t o = 0; o < O; o++) {
        factor[o] = norms[o] > 0 ? magnitude[o] / norms[o] : 1.0f;
        shift[o] = bias ? (1.0f - factor[o]) * bias[o] : 0.0f;
    }
}

void thaw_kern_magnitude_backward(int64_t O, const float *norms, const float *bias,
                                  const float *factor, const float *dfactor, const float *dshift,
                                  float *dmagnitude, float *dbias)
{
    for (int64_t o = 0; o < O; o++) {
        float d = dfactor[o] - (bias ? bias[o] * dshift[o] : 0.0f);
        if (dmagnitude && norms[o] > 0)
            dmagnitude[o] += d / norms[o];
        if (dbias)
            dbias[o] += (1.0f - factor[o]) * dshift[o];
    }
}
