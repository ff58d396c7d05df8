#include "thaw/optim.h"

#include "thaw/kern.h"

#include <string.h>

void thaw_optim_average(int64_t n, double decay, int64_t updates, const float *w, float *average)
{
    if (updates == 0)
        memcpy(average, w, (size_t)n * sizeof *w);
    else
        thaw_kern_lerp(n, (float)(1 - decay), w, average);
}
