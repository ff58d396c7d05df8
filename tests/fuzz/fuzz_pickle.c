/* thaw-test: modules=store,h5,report
 * The description of tensors in a PyTorch file. */
#include "fuzz_test.h"

#include "store/weights_impl.h"

static thaw_status take(void *context, const pickle_tensor *tensor)
{
    *(int64_t *)context += tensor->shape.ndim;
    return THAW_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t dimensions = 0;
    size_t used = 0;
    const pickle_taker taker = {.tensor = take, .context = &dimensions};
    (void)!weights_unpickle("fuzz", data, size, &used, &taker);
    return 0;
}
