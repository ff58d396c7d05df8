/* thaw-test: modules=report
 * JSON of a run directory: parsed, looked into, written again. */
#include "fuzz_test.h"

#include "thaw/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    thaw_json *json = NULL;
    if (thaw_json_parse((const char *)data, size, "fuzz.json", &json) != THAW_OK)
        return 0;
    double number = 0;
    const char *text = NULL;
    (void)!thaw_json_get_double(json, "val.accuracy", &number);
    (void)!thaw_json_get_string(json, "rung", &text);
    thaw_json_free(&json);
    return 0;
}
