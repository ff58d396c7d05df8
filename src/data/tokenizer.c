#include "data/tokenizer_impl.h"

#include <string.h>

#include "data/bpe_impl.h"
#include "data/wordpiece_impl.h"
#include "data/wordpiece_text_impl.h"

struct thaw_tokenizer {
    thaw_wordpiece *words; /* one of the two */
    thaw_bpe *bpe;
    thaw_frame frame;
    bool cased; /* of WordPiece */
};

static thaw_status open_json(const char *path, bool cased, thaw_tokenizer *t)
{
    thaw_recipe *recipe = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&recipe, 1, sizeof *recipe));
    THAW_TRY_TO(thaw_recipe_read(path, recipe));
    THAW_CHECK_TO(!cased || recipe->is_bpe || recipe->cased, THAW_ERR_INPUT,
                  "--cased: %s lowers letters; leave it out", path);
    THAW_CHECK_TO(!cased || !recipe->is_bpe, THAW_ERR_INPUT,
                  "--cased is for WordPiece, but %s is of byte-level BPE, which keeps letters as "
                  "they are; leave it out",
                  path);
    t->cased = recipe->cased;
    status = recipe->is_bpe ? thaw_bpe_new(path, recipe, &t->bpe)
                            : thaw_wordpiece_take(path, t->cased, &recipe->pieces, &t->words);
done:
    thaw_recipe_clear(recipe);
    thaw_free(&recipe);
    return status;
}

thaw_status thaw_tokenizer_open(const char *path, bool cased, thaw_tokenizer **out)
{
    thaw_tokenizer *t = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&t, 1, sizeof *t));
    t->cased = cased;
    status = thaw_ends_with(path, ".json") ? open_json(path, cased, t)
                                           : thaw_wordpiece_open(path, cased, &t->words);
    if (status != THAW_OK)
        goto done;
    t->frame = t->bpe != NULL ? thaw_bpe_frame(t->bpe) : thaw_wordpiece_frame(t->words);
    *out = t;
    t = NULL;
done:
    thaw_tokenizer_free(&t);
    return status;
}

void thaw_tokenizer_free(thaw_tokenizer **t)
{
    if (*t == NULL)
        return;
    thaw_wordpiece_free(&(*t)->words);
    thaw_bpe_free(&(*t)->bpe);
    thaw_free(t);
}

const thaw_frame *thaw_tokenizer_frame(const thaw_tokenizer *t)
{
    return &t->frame;
}

void thaw_tokenizer_about(const thaw_tokenizer *t, thaw_vocabulary *out)
{
    const thaw_pieces *pieces =
        t->bpe != NULL ? thaw_bpe_pieces(t->bpe) : thaw_wordpiece_pieces(t->words);
    out->tokenizer = t->cased ? "wordpiece cased" : "wordpiece";
    out->digest = pieces->digest;
    if (t->bpe != NULL) {
        out->tokenizer = thaw_bpe_prefix_space(t->bpe) ? "bpe, first space" : "bpe";
        out->digest = thaw_bpe_digest(t->bpe);
    }
    out->pieces = pieces->count;
    out->pad_id = t->frame.pad;
}

thaw_status thaw_vocabulary_read(const char *path, bool cased, thaw_vocabulary *out)
{
    thaw_tokenizer *t = NULL;
    THAW_TRY(thaw_tokenizer_open(path, cased, &t));
    thaw_tokenizer_about(t, out);
    thaw_tokenizer_free(&t);
    return THAW_OK;
}

static thaw_status add_text(const thaw_tokenizer *t, const char *text, thaw_ids *out)
{
    const int64_t bad = thaw_utf8_check(text, strlen(text));
    THAW_CHECK(bad < 0, THAW_ERR_INPUT, "the text is not UTF-8 at its byte %lld (%02x)",
               (long long)bad, (unsigned)(unsigned char)text[bad]);
    return t->bpe != NULL ? thaw_bpe_add(t->bpe, text, out)
                          : thaw_wordpiece_add(t->words, text, out);
}

thaw_status thaw_tokenizer_encode(const thaw_tokenizer *t, const char *a, const char *b, int64_t T,
                                  thaw_tokens *out)
{
    thaw_ids first = {0};
    thaw_ids second = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(add_text(t, a, &first));
    if (b != NULL)
        THAW_TRY_TO(add_text(t, b, &second));
    thaw_frame_fill(&t->frame, &first, b != NULL ? &second : NULL, T, out);
done:
    thaw_ids_clear(&second);
    thaw_ids_clear(&first);
    return status;
}
