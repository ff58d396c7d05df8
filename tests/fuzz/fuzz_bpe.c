/* thaw-test: modules=data,report
 * A tokenizer.json and, behind an empty line, a text that is read with it. */
#include "fuzz_test.h"

#include "data/bpe_impl.h"
#include "data/wordpiece_impl.h"
#include "data/wordpiece_text_impl.h"

/* Every id is of the vocabulary, and a frame around the text has room for all that fits. */
static void check(const thaw_pieces *pieces, const thaw_frame *frame, const thaw_ids *ids)
{
    enum { T = 16 };
    int32_t cut[T], types[T];
    thaw_tokens out = {.ids = cut, .types = types};
    for (int64_t i = 0; i < ids->count; i++)
        THAW_ASSERT(ids->items[i] >= 0 && ids->items[i] < pieces->count);
    thaw_frame_fill(frame, ids, ids, T, &out);
    for (int t = 0; t < T; t++)
        THAW_ASSERT(cut[t] >= 0 && cut[t] < pieces->count && out.count <= T);
}

/* Either of the two. */
typedef struct opened {
    thaw_bpe *bpe;
    thaw_wordpiece *words;
} opened;

static thaw_status open_any(const char *path, opened *o)
{
    static thaw_recipe recipe;
    thaw_status status = thaw_recipe_read(path, &recipe);
    if (status == THAW_OK && recipe.is_bpe)
        status = thaw_bpe_new(path, &recipe, &o->bpe);
    else if (status == THAW_OK)
        status = thaw_wordpiece_take(path, recipe.cased, &recipe.pieces, &o->words);
    thaw_recipe_clear(&recipe);
    return status;
}

static void read_with(const opened *o, const char *text)
{
    thaw_ids ids = {0};
    const thaw_frame frame = o->bpe ? thaw_bpe_frame(o->bpe) : thaw_wordpiece_frame(o->words);
    const thaw_status status =
        o->bpe ? thaw_bpe_add(o->bpe, text, &ids) : thaw_wordpiece_add(o->words, text, &ids);
    THAW_ASSERT(status == THAW_OK);
    check(o->bpe ? thaw_bpe_pieces(o->bpe) : thaw_wordpiece_pieces(o->words), &frame, &ids);
    thaw_ids_clear(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at + 1 < size && !(data[at] == '\n' && data[at + 1] == '\n'))
        at++;
    const bool both = at + 1 < size;
    thaw_str text = {0};
    opened o = {0};
    if (both)
        thaw_str_add_bytes(&text, data + at + 2, size - at - 2);
    for (size_t i = 0; i < text.length; i++)
        text.data[i] = text.data[i] != '\0' ? text.data[i] : ' ';
    if (open_any(fuzz_file(data, both ? at + 1 : size), &o) == THAW_OK &&
        thaw_utf8_check(thaw_str_c(&text), text.length) < 0)
        read_with(&o, thaw_str_c(&text));
    thaw_bpe_free(&o.bpe);
    thaw_wordpiece_free(&o.words);
    thaw_str_clear(&text);
    return 0;
}
