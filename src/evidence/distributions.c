#include "thaw/evidence.h"

#include <math.h>

#define SQRT_HALF 0.70710678118654752440
#define LOG_2PI   1.83787706640934548356

double thaw_normal_cdf(double z)
{
    return 0.5 * erfc(-z * SQRT_HALF);
}

/* Upper tail only: p <= 0.5. Abramowitz & Stegun 26.2.23 starts within 5e-4, three Halley steps
 * on erfc end at rounding error, without a table of coefficients. */
static double upper_quantile(double p)
{
    double t = sqrt(-2 * log(p));
    double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                       (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for (int step = 0; step < 3; step++) {
        double density = exp(-0.5 * z * z - 0.5 * LOG_2PI);
        double u = (0.5 * erfc(z * SQRT_HALF) - p) / density;
        z += u / (1 - 0.5 * z * u);
    }
    return z;
}

double thaw_normal_quantile(double p)
{
    if (!(p > 0))
        return p == 0 ? -INFINITY : NAN;
    if (!(p < 1))
        return p == 1 ? INFINITY : NAN;
    if (p == 0.5)
        return 0;
    return p < 0.5 ? -upper_quantile(p) : upper_quantile(1 - p);
}

/* Continued fraction of the incomplete beta function by Lentz's method (Thompson & Barnett
 * 1986). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1;
    double d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        value *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        value *= d * c;
        if (fabs(d * c - 1) < 1e-16)
            break;
    }
    return value;
}

static double incomplete_beta(double a, double b, double x)
{
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double thaw_student_cdf(double t, double df)
{
    /* Beyond this the two agree to about 1e-8, and lgamma loses as much. */
    if (df > 1e7)
        return thaw_normal_cdf(t);
    double tail = 0.5 * incomplete_beta(0.5 * df, 0.5, df / (df + t * t));
    return t > 0 ? 1 - tail : tail;
}

double thaw_student_quantile(double p, double df)
{
    if (df > 1e7 || !(p > 0) || !(p < 1))
        return thaw_normal_quantile(p);
    if (p == 0.5)
        return 0;
    /* Bisection on the lower tail, where the distribution function is accurate: slow, certain,
     * same bits always. */
    double lower = p < 0.5 ? p : 1 - p;
    double low = -1;
    while (thaw_student_cdf(low, df) > lower)
        low *= 2;
    double high = 0;
    for (int step = 0; step < 70; step++) {
        double middle = 0.5 * (low + high);
        if (thaw_student_cdf(middle, df) > lower)
            high = middle;
        else
            low = middle;
    }
    double t = 0.5 * (low + high);
    return p < 0.5 ? t : -t;
}

double thaw_chi2_1_tail(double x)
{
    return x > 0 ? erfc(sqrt(0.5 * x)) : 1;
}

double thaw_binomial_cdf(int64_t k, int64_t n, double p)
{
    if (k < 0)
        return 0;
    if (k >= n)
        return 1;
    return incomplete_beta((double)(n - k), (double)(k + 1), 1 - p);
}

int64_t thaw_binomial_quantile(double q, int64_t n, double p)
{
    int64_t low = -1;
    int64_t high = n;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (thaw_binomial_cdf(middle, n, p) >= q)
            high = middle;
        else
            low = middle;
    }
    return high;
}

thaw_interval thaw_wilson(int64_t right, int64_t n, double level)
{
    thaw_interval all = {0, 1};
    if (n < 1)
        return all;
    double z = thaw_normal_quantile(0.5 + 0.5 * level);
    double share = (double)right / (double)n;
    double z2 = z * z / (double)n;
    double centre = (share + 0.5 * z2) / (1 + z2);
    double half = z / (1 + z2) * sqrt(share * (1 - share) / (double)n + z2 / (4 * (double)n));
    thaw_interval interval = {fmax(0, centre - half), fmin(1, centre + half)};
    /* Exact ends: rounding must not turn "never wrong" into a bound of 0.99999... */
    if (right == 0)
        interval.low = 0;
    if (right == n)
        interval.high = 1;
    return interval;
}

/* Each end of the difference takes the ends of both shares that it is nearest to. */
thaw_interval thaw_newcombe(int64_t right1, int64_t n1, int64_t right2, int64_t n2, double level)
{
    thaw_interval all = {-1, 1};
    if (n1 < 1 || n2 < 1)
        return all;
    const thaw_interval first = thaw_wilson(right1, n1, level);
    const thaw_interval second = thaw_wilson(right2, n2, level);
    const double share1 = (double)right1 / (double)n1;
    const double share2 = (double)right2 / (double)n2;
    const double delta = share1 - share2;
    const thaw_interval interval = {delta - hypot(share1 - first.low, second.high - share2),
                                    delta + hypot(first.high - share1, share2 - second.low)};
    return interval;
}

thaw_interval thaw_student_interval(const double *x, int64_t n, int64_t stride, double level,
                                    double *mean)
{
    thaw_interval all = {-INFINITY, INFINITY};
    double sum = 0;
    double squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i * stride];
    *mean = n > 0 ? sum / (double)n : NAN;
    if (n < 2)
        return all;
    for (int64_t i = 0; i < n; i++)
        squares += (x[i * stride] - *mean) * (x[i * stride] - *mean);
    const double se = sqrt(squares / (double)(n - 1) / (double)n);
    const double half = thaw_student_quantile(0.5 + 0.5 * level, (double)(n - 1)) * se;
    const thaw_interval interval = {*mean - half, *mean + half};
    return interval;
}
