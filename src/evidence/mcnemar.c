#include "thaw/evidence.h"

#include <math.h>

/* Logarithm of C(n, k) / 2^n. */
static double log_fair_probability(int64_t k, int64_t n)
{
    return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
           (double)n * 0.69314718055994530942;
}

thaw_mcnemar thaw_mcnemar_test(int64_t a_only, int64_t b_only)
{
    thaw_mcnemar test = {.a_only = a_only,
                         .b_only = b_only,
                         .p_exact = 1,
                         .p_mid = 1,
                         .p_chi2 = 1,
                         .p_chi2_corrected = 1};
    int64_t n = a_only + b_only;
    if (n == 0)
        return test;
    int64_t least = a_only < b_only ? a_only : b_only;
    double tail = 0;
    for (int64_t k = 0; k <= least; k++)
        tail += exp(log_fair_probability(k, n));
    test.p_exact = fmin(1, 2 * tail);
    if (a_only != b_only)
        test.p_mid = test.p_exact - exp(log_fair_probability(least, n));
    double gap = (double)(a_only > b_only ? a_only - b_only : b_only - a_only);
    test.chi2 = gap * gap / (double)n;
    test.p_chi2 = thaw_chi2_1_tail(test.chi2);
    double corrected = fmax(0, gap - 1);
    test.chi2_corrected = corrected * corrected / (double)n;
    test.p_chi2_corrected = thaw_chi2_1_tail(test.chi2_corrected);
    return test;
}

thaw_mcnemar thaw_mcnemar_scores(const float *a, const float *b, int64_t N, const uint8_t *mask)
{
    int64_t a_only = 0;
    int64_t b_only = 0;
    for (int64_t i = 0; i < N; i++) {
        if (mask && !mask[i])
            continue;
        bool a_right = a[i] > 0.5f;
        bool b_right = b[i] > 0.5f;
        a_only += a_right && !b_right;
        b_only += b_right && !a_right;
    }
    return thaw_mcnemar_test(a_only, b_only);
}

thaw_status thaw_holm(const double *p, int64_t count, double *adjusted)
{
    thaw_status status = THAW_OK;
    double *raw = NULL;
    uint8_t *taken = NULL;
    for (int64_t i = 0; i < count; i++)
        THAW_CHECK(p[i] >= 0 && p[i] <= 1, THAW_ERR_FAIL,
                   "p-value %lld is %g, outside [0, 1]; give probabilities", (long long)i, p[i]);
    THAW_TRY_TO(thaw_alloc(&raw, count, sizeof *raw));
    THAW_TRY_TO(thaw_alloc(&taken, count, sizeof *taken));
    for (int64_t i = 0; i < count; i++)
        raw[i] = p[i];
    /* Selection in ascending order: there are as many p-values as rungs, a handful. */
    double largest = 0;
    for (int64_t left = count; left > 0; left--) {
        int64_t next = -1;
        for (int64_t i = 0; i < count; i++) {
            if (!taken[i] && (next < 0 || raw[i] < raw[next]))
                next = i;
        }
        taken[next] = 1;
        largest = fmax(largest, fmin(1, (double)left * raw[next]));
        adjusted[next] = largest;
    }
done:
    thaw_free(&taken);
    thaw_free(&raw);
    return status;
}
