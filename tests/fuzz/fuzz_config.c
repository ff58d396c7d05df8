/* thaw-test: modules=train,h5
 * A config: YAML, keys, values, and the checks across them. */
#include "fuzz_test.h"

#include "thaw/train.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    thaw_config config = {0};
    if (thaw_config_parse("fuzz.yaml", (const char *)data, size, NULL, &config) == THAW_OK)
        thaw_config_clear(&config);
    return 0;
}
