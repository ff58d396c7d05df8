/* thaw-test: modules=data
 * A vocabulary and, behind an empty line, a text that is read with it. */
#include "fuzz_test.h"

#include <string.h>

#include "data/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { T = 32 };
    size_t at = 0;
    while (at + 1 < size && !(data[at] == '\n' && data[at + 1] == '\n'))
        at++;
    const bool both = at + 1 < size;
    const size_t text_at = both ? at + 2 : size;
    int32_t ids[T], types[T];
    thaw_tokens out = {.ids = ids, .types = types};
    thaw_tokenizer *w = NULL;
    thaw_vocabulary about;
    thaw_str text = {0};
    thaw_str_add_bytes(&text, data + text_at, size - text_at);
    for (int cased = 0; cased < 2; cased++) {
        if (thaw_tokenizer_open(fuzz_file(data, both ? at + 1 : size), cased, &w) != THAW_OK)
            continue;
        thaw_tokenizer_about(w, &about);
        const char *second = cased ? thaw_str_c(&text) : NULL;
        const thaw_status status = thaw_tokenizer_encode(w, thaw_str_c(&text), second, T, &out);
        for (int t = 0; t < T && status == THAW_OK; t++)
            THAW_ASSERT(ids[t] >= 0 && ids[t] < about.pieces);
        thaw_tokenizer_free(&w);
    }
    thaw_str_clear(&text);
    return 0;
}
