/* thaw-test: modules=store,h5,report
 * Weights of others, safetensors or a PyTorch zip: listed, and what is small is read. */
#include "fuzz_test.h"

#include "thaw/store.h"

enum { MOST_VALUES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float values[MOST_VALUES];
    thaw_weights *w = NULL;
    if (thaw_weights_open(fuzz_file(data, size), &w) != THAW_OK)
        return 0;
    for (int64_t i = 0; i < thaw_weights_count(w); i++)
        if (thaw_shape_count(&thaw_weights_at(w, i)->shape) <= MOST_VALUES)
            (void)!thaw_weights_read(w, i, values);
    thaw_weights_close(&w);
    return 0;
}
