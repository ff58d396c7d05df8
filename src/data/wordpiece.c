#include "data/wordpiece_impl.h"

#include <string.h>

#include "data/wordpiece_text_impl.h"

#define WORD_MOST 100 /* characters; a longer word is [UNK] */

enum { PAD, UNK, CLS, SEP, MASK, SPECIALS };
/* BertTokenizer finds these in a text too, before anything is lowered or cut at punctuation. */
static const char *const special_names[SPECIALS] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

struct thaw_wordpiece {
    thaw_pieces pieces;
    int32_t special[SPECIALS]; /* ids; [MASK] may be missing: -1 */
    bool cased;
};

/* ---- Vocabulary ---- */

static thaw_status find_specials(const char *path, thaw_wordpiece *w)
{
    for (int i = 0; i < SPECIALS; i++) {
        w->special[i] = thaw_pieces_find(&w->pieces, special_names[i], strlen(special_names[i]));
        THAW_CHECK(w->special[i] >= 0 || i == MASK, THAW_ERR_INPUT,
                   "%s: no line is %s; this is no vocabulary of a BERT", path, special_names[i]);
    }
    THAW_CHECK(w->special[PAD] == 0, THAW_ERR_INPUT,
               "%s: [PAD] is line %d; it must be the first, because padding is known by the id 0",
               path, w->special[PAD] + 1);
    return THAW_OK;
}

thaw_status thaw_wordpiece_take(const char *path, bool cased, thaw_pieces *pieces,
                                thaw_wordpiece **out)
{
    thaw_wordpiece *w = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&w, 1, sizeof *w));
    w->cased = cased;
    w->pieces = *pieces;
    *pieces = (thaw_pieces){0};
    THAW_TRY_TO(find_specials(path, w));
    *out = w;
    w = NULL;
done:
    thaw_wordpiece_free(&w);
    return status;
}

thaw_status thaw_wordpiece_open(const char *path, bool cased, thaw_wordpiece **out)
{
    thaw_pieces pieces = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_pieces_read(path, &pieces));
    status = thaw_wordpiece_take(path, cased, &pieces, out);
done:
    thaw_pieces_clear(&pieces);
    return status;
}

void thaw_wordpiece_free(thaw_wordpiece **w)
{
    if (*w == NULL)
        return;
    thaw_pieces_clear(&(*w)->pieces);
    thaw_free(w);
}

const thaw_pieces *thaw_wordpiece_pieces(const thaw_wordpiece *w)
{
    return &w->pieces;
}

thaw_frame thaw_wordpiece_frame(const thaw_wordpiece *w)
{
    return (thaw_frame){
        .first = w->special[CLS], .last = w->special[SEP], .pad = w->special[PAD], .typed = true};
}

/* ---- Pieces of a text ---- */

/* The longest piece that text[0..bytes) begins with, first of a word or not; its length to *taken. -1: none. */
static int32_t longest(const thaw_wordpiece *w, const char *text, size_t bytes, bool first,
                       size_t *taken)
{
    char piece[4 * WORD_MOST + 2] = "##";
    const size_t mark = first ? 0 : 2;
    memcpy(piece + mark, text, bytes);
    for (size_t end = bytes; end > 0; end--) {
        if (end < bytes && thaw_utf8_continues(text[end]))
            continue;
        const int32_t id = thaw_pieces_find(&w->pieces, piece, mark + end);
        if (id >= 0) {
            *taken = end;
            return id;
        }
    }
    return -1;
}

static thaw_status add_word(const thaw_wordpiece *w, const char *word, size_t bytes,
                            int64_t characters, thaw_ids *out)
{
    const int64_t before = out->count;
    size_t taken = 0;
    if (characters > WORD_MOST)
        return thaw_ids_push(out, w->special[UNK]);
    for (size_t at = 0; at < bytes; at += taken) {
        const int32_t id = longest(w, word + at, bytes - at, at == 0, &taken);
        if (id < 0) { /* all of the word is unknown then */
            out->count = before;
            return thaw_ids_push(out, w->special[UNK]);
        }
        THAW_TRY(thaw_ids_push(out, id));
    }
    return THAW_OK;
}

/* A stretch of text without special tokens. */
static thaw_status add_words(const thaw_wordpiece *w, const char *text, size_t bytes, thaw_ids *out)
{
    thaw_str clean = {0};
    thaw_status status = THAW_OK;
    thaw_word word = {0};
    thaw_text_normalise(text, bytes, w->cased, &clean);
    while (thaw_text_next_word(thaw_str_c(&clean), clean.length, &word))
        THAW_TRY_TO(add_word(w, clean.data + word.at, word.bytes, word.characters, out));
done:
    thaw_str_clear(&clean);
    return status;
}

/* Which special token stands at text[0..bytes); -1: none. */
static int special_at(const thaw_wordpiece *w, const char *text, size_t bytes)
{
    for (int i = 0; text[0] == '[' && i < SPECIALS; i++) {
        const size_t length = strlen(special_names[i]);
        if (w->special[i] >= 0 && length <= bytes && memcmp(text, special_names[i], length) == 0)
            return i;
    }
    return -1;
}

thaw_status thaw_wordpiece_add(const thaw_wordpiece *w, const char *text, thaw_ids *out)
{
    const size_t bytes = strlen(text);
    size_t begin = 0;
    for (size_t i = 0; i < bytes;) {
        const int special = special_at(w, text + i, bytes - i);
        if (special < 0) {
            i++;
            continue;
        }
        THAW_TRY(add_words(w, text + begin, i - begin, out));
        THAW_TRY(thaw_ids_push(out, w->special[special]));
        i += strlen(special_names[special]);
        begin = i;
    }
    return add_words(w, text + begin, bytes - begin, out);
}
