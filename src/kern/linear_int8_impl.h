/* linear_int8_impl.h - the product of a linear layer in 8 bits, once for each kind of CPU. */
#ifndef KERN_LINEAR_INT8_IMPL_H
#define KERN_LINEAR_INT8_IMPL_H

#include <stdbool.h>
#include <stdint.h>

enum { KERN_LINEAR8_LANES = 16 }; /* outputs side by side in packed weights */

/* y (N, O) = (x w' - excess) * row_scale * w_scale + bias. */
typedef struct kern_linear8 {
    int64_t O, D;
    int64_t row;      /* bytes of a row of x: D and zeros up to a multiple of 4 */
    int8_t *x;        /* (N, row) */
    int16_t *wide;    /* (N, row): memory for the same in 16 bits */
    float *row_scale; /* (N) */
    int32_t *excess;  /* (N): 128 times the sum of the row's bytes */
    const uint8_t *w; /* (panels, row / 4, lanes, 4), each byte 128 above the weight's */
    const float *w_scale, *bias;
    float *y;
} kern_linear8;

/* One kind of CPU; all compute the same bits. */
typedef struct kern_linear8_kind {
    const char *name;
    bool (*fits)(void);                                               /* the CPU that we run on */
    void (*rows)(const kern_linear8 *l, int64_t first, int64_t last); /* first .. last - 1 of y */
} kern_linear8_kind;

extern const kern_linear8_kind kern_linear8_vnni, kern_linear8_avx2, kern_linear8_plain;

/* Fastest first, the plain one last; NULL-ended. */
extern const kern_linear8_kind *const kern_linear8_kinds[];

static inline int64_t kern_linear8_row(int64_t D)
{
    return (D + 3) / 4 * 4;
}

#endif
