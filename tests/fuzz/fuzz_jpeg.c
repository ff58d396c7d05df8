/* thaw-test: modules=data,h5
 * A picture in JPEG: decoded, resized both ways. */
#include "fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_picture(thaw_picture_jpeg, data, size);
    return 0;
}
