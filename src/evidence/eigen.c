#include "thaw/evidence.h"

#include <math.h>

/* Sum of squares off and on the diagonal. */
static void split_norm(const double *matrix, int64_t D, double *off, double *on)
{
    *off = 0;
    *on = 0;
    for (int64_t i = 0; i < D; i++) {
        *on += matrix[i * D + i] * matrix[i * D + i];
        for (int64_t j = i + 1; j < D; j++)
            *off += 2 * matrix[i * D + j] * matrix[i * D + j];
    }
}

/* Rotates rows p and q of a row-major matrix. */
static void rotate_rows(double *matrix, int64_t D, int64_t p, int64_t q, double c, double s)
{
    double *row_p = matrix + p * D;
    double *row_q = matrix + q * D;
    for (int64_t j = 0; j < D; j++) {
        double a = row_p[j];
        double b = row_q[j];
        row_p[j] = c * a - s * b;
        row_q[j] = s * a + c * b;
    }
}

/* One Jacobi rotation that makes (p, q) zero. The matrix stays symmetric: rows are rotated, then
 * copied to the columns, so that all long loops run along memory. */
static void annihilate(double *matrix, int64_t D, int64_t p, int64_t q, double *vectors)
{
    double pq = matrix[p * D + q];
    double pp = matrix[p * D + p];
    double qq = matrix[q * D + q];
    double tau = (qq - pp) / (2 * pq);
    double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau));
    double c = 1 / sqrt(1 + t * t);
    double s = t * c;
    rotate_rows(matrix, D, p, q, c, s);
    for (int64_t j = 0; j < D; j++) {
        matrix[j * D + p] = matrix[p * D + j];
        matrix[j * D + q] = matrix[q * D + j];
    }
    matrix[p * D + p] = pp - t * pq;
    matrix[q * D + q] = qq + t * pq;
    matrix[p * D + q] = matrix[q * D + p] = 0;
    if (vectors)
        rotate_rows(vectors, D, p, q, c, s);
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
    /* Vectors are kept as rows while rotating, and turned at the end. */
    for (int64_t i = 0; vectors && i < D * D; i++)
        vectors[i] = i / D == i % D;
    for (int sweep = 0; sweep < 60; sweep++) {
        double off;
        double on;
        split_norm(matrix, D, &off, &on);
        if (off <= 1e-30 * on || off == 0)
            break;
        for (int64_t p = 0; p < D; p++) {
            for (int64_t q = p + 1; q < D; q++) {
                if (matrix[p * D + q] != 0)
                    annihilate(matrix, D, p, q, vectors);
            }
        }
    }
    for (int64_t i = 0; i < D; i++)
        values[i] = matrix[i * D + i];
    sort_ascending(values, vectors, D);
    if (vectors)
        transpose(vectors, D);
}
