/* thaw-test: modules=store,h5
 * A backbone file: all of it, and its description alone. */
#include "fuzz_test.h"

#include "thaw/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    thaw_backbone backbone = {0};
    if (thaw_backbone_read_info(path, &backbone) == THAW_OK)
        thaw_backbone_clear(&backbone);
    if (thaw_backbone_read(path, &backbone) == THAW_OK)
        thaw_backbone_clear(&backbone);
    return 0;
}
