/* transpose.c - a matrix turned over, tile by tile: what is read and what is written stay in the first cache. */
#include "thaw/kern.h"

enum { TILE = 16 };

static void turn_tile(int64_t rows, int64_t columns, int64_t row_count, int64_t column_count,
                      const float *x, float *y, bool accumulate)
{
    for (int64_t j = 0; j < column_count; j++)
        for (int64_t i = 0; i < row_count; i++) {
            float before = accumulate ? y[j * rows + i] : 0.0f;
            y[j * rows + i] = before + x[i * columns + j];
        }
}

void thaw_kern_transpose(int64_t rows, int64_t columns, const float *x, float *y, bool accumulate)
{
    for (int64_t i = 0; i < rows; i += TILE)
        for (int64_t j = 0; j < columns; j += TILE)
            turn_tile(rows, columns, rows - i < TILE ? rows - i : TILE,
                      columns - j < TILE ? columns - j : TILE, x + i * columns + j,
                      y + j * rows + i, accumulate);
}
