/* columns.c - columns of a table by ids, and the gradient that goes back to them. */
#include "thaw/kern.h"

#include <math.h>

void thaw_kern_columns(int64_t N, int64_t R, int64_t rows, const float *ids, const float *table,
                       float *z)
{
    for (int64_t i = 0; i < N; i++) {
        bool known = ids[i] >= 0 && ids[i] < (float)rows;
        for (int64_t r = 0; r < R; r++)
            z[i * R + r] = known ? table[r * rows + (int64_t)ids[i]] : NAN;
    }
}

void thaw_kern_columns_backward(int64_t N, int64_t R, int64_t rows, int64_t skip, const float *ids,
                                const float *dz, float *dtable)
{
    for (int64_t i = 0; i < N; i++) {
        if (!(ids[i] >= 0 && ids[i] < (float)rows) || (int64_t)ids[i] == skip)
            continue;
        for (int64_t r = 0; r < R; r++)
            dtable[r * rows + (int64_t)ids[i]] += dz[i * R + r];
    }
}
