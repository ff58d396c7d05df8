/* pieces_impl.h - sums over arrays in one order: LANES fixed partial sums, so that loops vectorise; long arrays are cut into
 * PIECES by their length alone, so that threads can share them and do not change the order. */
#ifndef KERN_PIECES_IMPL_H
#define KERN_PIECES_IMPL_H

#include "kern/threads_impl.h"

enum { LANES = 16, PIECES = 64, LEAST_PIECE = 16384 };

static inline double kern_sum_lanes(const double *lane)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += lane[i];
    return sum;
}

/* Elements of one piece; a multiple of LANES. */
static inline int64_t kern_piece_of(int64_t n)
{
    int64_t piece = (n / PIECES + LANES) / LANES * LANES;
    return piece < LEAST_PIECE ? LEAST_PIECE : piece;
}

static inline double kern_sum_pieces(int64_t n, int64_t piece, const double *part)
{
    double sum = 0;
    for (int64_t i = 0; i * piece < n; i++)
        sum += part[i];
    return sum;
}

/* part[i] of every piece [at, at + count) of n elements. */
#define EACH_PIECE(n, at, count, value)                                                            \
    double part[PIECES + 1];                                                                       \
    const int64_t piece = kern_piece_of(n);                                                        \
    KERN_EACH(n, (n + piece - 1) / piece, i, {                                                     \
        int64_t at = i * piece;                                                                    \
        int64_t count = n - at < piece ? n - at : piece;                                           \
        part[i] = value;                                                                           \
    })

#endif
