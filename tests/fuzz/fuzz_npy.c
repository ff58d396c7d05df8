/* thaw-test: modules=data,h5 */
#include "fuzz_array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_array(&thaw_importer_npy, data, size);
    return 0;
}
