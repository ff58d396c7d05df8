#include "thaw/kern.h"

#include <math.h>

static double dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t j = 0; j < count; j++)
        sum += a[j] * b[j];
    return sum;
}

/* a += factor b */
static void add_scaled(double *a, double factor, const double *b, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        a[j] += factor * b[j];
}

/* Reflects the rest of row k onto its first element: v (m) overwrites the row with v'v = 2, or
 * zero when nothing is to be done. Returns the element that stays beside the diagonal. */
static double reflector(double *v, int64_t m)
{
    double norm = sqrt(dot(v, v, m));
    double first = v[0];
    if (norm == 0 || norm == fabs(first)) {
        for (int64_t j = 0; j < m; j++)
            v[j] = 0;
        return first;
    }
    double kept = first > 0 ? -norm : norm;
    v[0] = first - kept;
    double scale = sqrt(2 / dot(v, v, m));
    for (int64_t j = 0; j < m; j++)
        v[j] *= scale;
    return kept;
}

/* Householder's reduction to a tridiagonal matrix. Afterwards values holds its diagonal, matrix
 * (k, k) the element beside it, and the rest of row k the reflector. */
static void tridiagonalise(double *matrix, int64_t D, double *values)
{
    for (int64_t k = 0; k + 1 < D; k++) {
        int64_t m = D - k - 1;
        double *v = matrix + k * D + k + 1;
        double *w = values + k + 1; /* not yet in use for the diagonal */
        values[k] = matrix[k * D + k];
        matrix[k * D + k] = reflector(v, m);
        double *block = matrix + (k + 1) * D + k + 1;
        for (int64_t i = 0; i < m; i++)
            w[i] = dot(block + i * D, v, m);
        add_scaled(w, -0.5 * dot(v, w, m), v, m);
        for (int64_t i = 0; i < m; i++) {
            add_scaled(block + i * D, -v[i], w, m);
            add_scaled(block + i * D, -w[i], v, m);
        }
    }
    values[D - 1] = matrix[D * D - 1];
    matrix[D * D - 1] = 0;
}

/* rows (D, D) = product of the reflectors, last first: the transpose of the basis in which
 * matrix is tridiagonal. */
static void accumulate(const double *matrix, int64_t D, double *rows)
{
    for (int64_t i = 0; i < D * D; i++)
        rows[i] = i / D == i % D;
    for (int64_t k = D - 2; k >= 0; k--) {
        const double *v = matrix + k * D + k + 1;
        for (int64_t i = k + 1; i < D; i++) {
            double *row = rows + i * D + k + 1;
            add_scaled(row, -dot(row, v, D - k - 1), v, D - k - 1);
        }
    }
}

/* Turns rows i and i + 1 by a plane rotation. */
static void rotate(double *rows, int64_t D, int64_t i, double c, double s)
{
    double *low = rows + i * D;
    double *high = low + D;
    for (int64_t j = 0; j < D; j++) {
        double a = low[j];
        double b = high[j];
        low[j] = c * a - s * b;
        high[j] = s * a + c * b;
    }
}

/* One implicit QL sweep on rows l..m; `beside` has stride D + 1 (the diagonal of matrix). */
static void ql_sweep(double *values, double *beside, int64_t D, int64_t l, int64_t m, double *rows)
{
    int64_t next = D + 1;
    double g = (values[l + 1] - values[l]) / (2 * beside[l * next]);
    g = values[m] - values[l] + beside[l * next] / (g + copysign(hypot(g, 1), g));
    double s = 1;
    double c = 1;
    double p = 0;
    for (int64_t i = m - 1; i >= l; i--) {
        double f = s * beside[i * next];
        double b = c * beside[i * next];
        double r = hypot(f, g);
        beside[(i + 1) * next] = r;
        if (r == 0) { /* the matrix falls apart here: start again on the parts */
            values[i + 1] -= p;
            beside[m * next] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = values[i + 1] - p;
        r = (values[i] - g) * s + 2 * c * b;
        p = s * r;
        values[i + 1] = g + p;
        g = c * r - b;
        if (rows)
            rotate(rows, D, i, c, s);
    }
    values[l] -= p;
    beside[l * next] = g;
    beside[m * next] = 0;
}

/* First index from l on whose element beside the diagonal is rounding. */
static int64_t split_at(const double *values, const double *beside, int64_t D, int64_t l)
{
    int64_t m = l;
    for (; m + 1 < D; m++) {
        double scale = fabs(values[m]) + fabs(values[m + 1]);
        if (fabs(beside[m * (D + 1)]) <= 1.1e-16 * scale)
            break;
    }
    return m;
}

static void sort_ascending(double *values, double *vectors, int64_t D)
{
    for (int64_t i = 0; i < D; i++) {
        int64_t least = i;
        for (int64_t j = i + 1; j < D; j++) {
            if (values[j] < values[least])
                least = j;
        }
        double held = values[i];
        values[i] = values[least];
        values[least] = held;
        for (int64_t j = 0; vectors && least != i && j < D; j++) {
            double element = vectors[i * D + j];
            vectors[i * D + j] = vectors[least * D + j];
            vectors[least * D + j] = element;
        }
    }
}

static void transpose(double *matrix, int64_t D)
{
    for (int64_t i = 0; i < D; i++) {
        for (int64_t j = i + 1; j < D; j++) {
            double held = matrix[i * D + j];
            matrix[i * D + j] = matrix[j * D + i];
            matrix[j * D + i] = held;
        }
    }
}

void thaw_symmetric_eigen(double *matrix, int64_t D, double *values, double *vectors)
{
    if (D < 1)
        return;
    tridiagonalise(matrix, D, values);
    /* Vectors are kept as rows while rotating, so that long loops run along memory, and turned
     * at the end. */
    if (vectors)
        accumulate(matrix, D, vectors);
    for (int64_t l = 0; l < D; l++) {
        /* Two or three sweeps are usual; the limit only ends a matrix of NaN. */
        for (int sweep = 0; sweep < 60; sweep++) {
            int64_t m = split_at(values, matrix, D, l);
            if (m == l)
                break;
            ql_sweep(values, matrix, D, l, m, vectors);
        }
    }
    sort_ascending(values, vectors, D);
    if (vectors)
        transpose(vectors, D);
}
