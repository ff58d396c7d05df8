/* fuzz_array.h - a file to import in one format: opened as samples and as labels; its first and last row are read. */
#ifndef FUZZ_ARRAY_H
#define FUZZ_ARRAY_H

#include "fuzz_test.h"

#include "data/array_impl.h"

static inline void fuzz_array(const thaw_importer *kind, const uint8_t *data, size_t size)
{
    enum { MOST_VALUES = 1 << 17 };
    static const thaw_role roles[] = {THAW_ROLE_X, THAW_ROLE_Y};
    static double row[MOST_VALUES];
    const char *path = fuzz_file(data, size);
    for (int i = 0; i < 2; i++) {
        thaw_array array = {0};
        if (thaw_array_open(kind, path, roles[i], &array) != THAW_OK)
            continue;
        const int64_t values = thaw_array_row_values(&array);
        const int64_t rows = array.shape.dim[0];
        if (rows > 0 && values > 0 && values <= MOST_VALUES) {
            (void)!kind->rows(&array, 0, 1, row);
            (void)!kind->rows(&array, rows - 1, 1, row);
        }
        thaw_array_close(&array);
    }
}

#endif
