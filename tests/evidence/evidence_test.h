/* What tests of evidence share: comparison of doubles, noise, and a pattern of classes. */
#ifndef THAW_TESTS_EVIDENCE_TEST_H
#define THAW_TESTS_EVIDENCE_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "thaw/base.h"

static inline void near(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("got %.15g, wanted %.15g within %g", got, wanted, tolerance);
}

static inline void fill_normal(float *x, int64_t count, uint32_t stream)
{
    thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, stream, 0);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)thaw_rng_normal(&rng);
}

/* Rows [first, first + n) of a pattern of four features with three classes in turn. */
static inline void pattern(int64_t first, int64_t n, float *x, int32_t *labels)
{
    for (int64_t r = 0; r < n; r++) {
        const double i = (double)(first + r);
        labels[r] = (int32_t)((first + r) % 3);
        x[r * 4] = (float)(sin(1.3 * i) + 0.8 * (labels[r] == 1));
        x[r * 4 + 1] = (float)(cos(0.7 * i) + 0.9 * (labels[r] == 2));
        x[r * 4 + 2] = (float)sin(0.37 * i * i);
        x[r * 4 + 3] = (float)(cos(2.1 * i) - 0.7 * (labels[r] == 0));
    }
}

#endif
