/* thaw-test: modules=data,h5
 * A table in text, with commas and with tabs: every field of every row. */
#include "fuzz_test.h"

#include <string.h>

#include "data/csv_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    for (int i = 0; i < 3; i++) { /* commas, tabs, tabs without quotes */
        thaw_csv *csv = NULL;
        bool more = true;
        if (thaw_csv_open(path, ",\t\t"[i], i < 2, &csv) != THAW_OK)
            continue;
        size_t bytes = 0;
        while (thaw_csv_next(csv, &more) == THAW_OK && more)
            for (int64_t k = 0; k < thaw_csv_columns(csv); k++)
                bytes += strlen(thaw_csv_get(csv, k));
        THAW_ASSERT(bytes <= size);
        thaw_csv_close(&csv);
    }
    return 0;
}
