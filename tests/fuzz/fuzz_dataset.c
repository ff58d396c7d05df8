/* thaw-test: modules=data,h5
 * A dataset file: opened, inspected, verified, one sample read. */
#include "fuzz_test.h"

#include "thaw/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    thaw_dataset *dataset = NULL;
    if (thaw_dataset_open(fuzz_file(data, size), NULL, &dataset) != THAW_OK)
        return 0;
    thaw_dataset_info info = {0};
    bool recorded = false;
    static float sample[1 << 18];
    if (thaw_dataset_inspect(dataset, &info) == THAW_OK)
        thaw_dataset_info_clear(&info);
    (void)!thaw_dataset_verify(dataset, &recorded);
    if (thaw_dataset_values(dataset) <= 1 << 18)
        (void)!thaw_dataset_read(dataset, 0, 1, &(int64_t){0}, sample);
    thaw_dataset_free(&dataset);
    return 0;
}
