#include "evidence/cholesky_impl.h"

#include <math.h>

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

bool thaw_cholesky(double *matrix, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            const double rest = matrix[i * n + j] - dot(matrix + i * n, matrix + j * n, j);
            if (j < i)
                matrix[i * n + j] = rest / matrix[j * n + j];
            else if (rest > 0)
                matrix[i * n + i] = sqrt(rest);
            else
                return false;
        }
    }
    return true;
}

void thaw_cholesky_forward(const double *l, int64_t n, double *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (x[i] - dot(l + i * n, x, i)) / l[i * n + i];
}

void thaw_cholesky_backward(const double *l, int64_t n, double *x)
{
    for (int64_t i = n - 1; i >= 0; i--) {
        x[i] /= l[i * n + i];
        for (int64_t j = 0; j < i; j++)
            x[j] -= l[i * n + j] * x[i];
    }
}
