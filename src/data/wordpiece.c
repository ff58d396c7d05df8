#include "data/wordpiece_impl.h"

#include <string.h>

#include "data/wordpiece_text_impl.h"
#include "thaw/data.h"

/* Ids travel as float32, which is exact up to here. */
#define WORD_MOST 100 /* characters; a longer word is [UNK] */

enum { PAD, UNK, CLS, SEP, MASK, SPECIALS };
/* BertTokenizer finds these in a text too, before anything is lowered or cut at punctuation. */
static const char *const special_names[SPECIALS] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

struct thaw_wordpiece {
    thaw_str text;  /* the file; lines end with 0 here */
    int32_t *at;    /* (count) where a piece begins */
    int32_t *bytes; /* (count) */
    int64_t count;
    int32_t *slots; /* (slot_count) id + 1, or 0: open addressing */
    int64_t slot_count;
    int32_t special[SPECIALS]; /* ids; [MASK] may be missing: -1 */
    bool cased;
    thaw_digest digest;
};

/* ---- Vocabulary ---- */

/* The slot of these bytes: theirs, or the free one where they would be. */
static int64_t slot_of(const thaw_wordpiece *w, const char *piece, size_t bytes)
{
    int64_t slot = (int64_t)(thaw_hash(piece, bytes).low & (uint64_t)(w->slot_count - 1));
    for (; w->slots[slot] > 0; slot = (slot + 1) & (w->slot_count - 1)) {
        const int32_t id = w->slots[slot] - 1;
        if ((size_t)w->bytes[id] == bytes && memcmp(w->text.data + w->at[id], piece, bytes) == 0)
            break;
    }
    return slot;
}

static int32_t find(const thaw_wordpiece *w, const char *piece, size_t bytes)
{
    return w->slots[slot_of(w, piece, bytes)] - 1;
}

static thaw_status read_file(const char *path, thaw_wordpiece *w)
{
    THAW_TRY(thaw_file_read(path, &w->text));
    THAW_CHECK(w->text.length > 0, THAW_ERR_INPUT, "%s: empty, not a vocabulary", path);
    THAW_CHECK(w->text.length < INT32_MAX, THAW_ERR_INPUT,
               "%s: %zu bytes; a vocabulary has less than 2 GiB", path, w->text.length);
    w->count = w->text.data[w->text.length - 1] != '\n';
    for (size_t i = 0; i < w->text.length; i++)
        w->count += w->text.data[i] == '\n';
    THAW_CHECK(w->count <= THAW_PIECES_MOST, THAW_ERR_INPUT,
               "%s: %lld lines; a vocabulary has at most %lld", path, (long long)w->count,
               (long long)THAW_PIECES_MOST);
    for (w->slot_count = 16; w->slot_count < 2 * w->count;)
        w->slot_count *= 2;
    THAW_TRY(thaw_alloc(&w->at, w->count, sizeof *w->at));
    THAW_TRY(thaw_alloc(&w->bytes, w->count, sizeof *w->bytes));
    return thaw_alloc(&w->slots, w->slot_count, sizeof *w->slots);
}

static thaw_status add_piece(const char *path, thaw_wordpiece *w, int64_t id, size_t at,
                             size_t bytes)
{
    const char *piece = w->text.data + at;
    const int64_t bad = thaw_utf8_check(piece, bytes);
    THAW_CHECK(bytes > 0, THAW_ERR_INPUT, "%s: line %lld is empty; a line is one piece", path,
               (long long)id + 1);
    THAW_CHECK(bad < 0, THAW_ERR_INPUT,
               "%s: line %lld is not UTF-8 at its byte %lld; this is no vocab.txt", path,
               (long long)id + 1, (long long)bad);
    const int64_t slot = slot_of(w, piece, bytes);
    THAW_CHECK(w->slots[slot] == 0, THAW_ERR_INPUT,
               "%s: line %lld has \"%.*s\", as line %d has; a piece may be there once", path,
               (long long)id + 1, (int)bytes, piece, w->slots[slot]);
    w->at[id] = (int32_t)at;
    w->bytes[id] = (int32_t)bytes;
    w->slots[slot] = (int32_t)id + 1;
    return THAW_OK;
}

static thaw_status read_pieces(const char *path, thaw_wordpiece *w)
{
    thaw_hasher *hasher = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    size_t at = 0;
    for (int64_t id = 0; id < w->count; id++) {
        const char *line = w->text.data + at;
        const char *end = memchr(line, '\n', w->text.length - at);
        const size_t length = end != NULL ? (size_t)(end - line) : w->text.length - at;
        const size_t bytes = length - (length > 0 && line[length - 1] == '\r');
        THAW_TRY_TO(add_piece(path, w, id, at, bytes));
        thaw_hasher_add(hasher, line, bytes);
        thaw_hasher_add(hasher, "\n", 1);
        at += length + 1;
    }
    w->digest = thaw_hasher_get(hasher);
done:
    thaw_hasher_free(&hasher);
    return status;
}

static thaw_status find_specials(const char *path, thaw_wordpiece *w)
{
    for (int i = 0; i < SPECIALS; i++) {
        w->special[i] = find(w, special_names[i], strlen(special_names[i]));
        THAW_CHECK(w->special[i] >= 0 || i == MASK, THAW_ERR_INPUT,
                   "%s: no line is %s; this is no vocabulary of a BERT", path, special_names[i]);
    }
    THAW_CHECK(w->special[PAD] == 0, THAW_ERR_INPUT,
               "%s: [PAD] is line %d; it must be the first, because padding is known by the id 0",
               path, w->special[PAD] + 1);
    return THAW_OK;
}

thaw_status thaw_wordpiece_open(const char *path, bool cased, thaw_wordpiece **out)
{
    thaw_wordpiece *w = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&w, 1, sizeof *w));
    w->cased = cased;
    THAW_TRY_TO(read_file(path, w));
    THAW_TRY_TO(read_pieces(path, w));
    THAW_TRY_TO(find_specials(path, w));
    *out = w;
    w = NULL;
done:
    thaw_wordpiece_free(&w);
    return status;
}

void thaw_wordpiece_free(thaw_wordpiece **w)
{
    if (*w == NULL)
        return;
    thaw_str_clear(&(*w)->text);
    thaw_free(&(*w)->at);
    thaw_free(&(*w)->bytes);
    thaw_free(&(*w)->slots);
    thaw_free(w);
}

int64_t thaw_wordpiece_count(const thaw_wordpiece *w)
{
    return w->count;
}

thaw_digest thaw_wordpiece_digest(const thaw_wordpiece *w)
{
    return w->digest;
}

thaw_status thaw_vocabulary_read(const char *path, int64_t *pieces, thaw_digest *digest)
{
    thaw_wordpiece *w = NULL;
    THAW_TRY(thaw_wordpiece_open(path, false, &w));
    *pieces = w->count;
    *digest = w->digest;
    thaw_wordpiece_free(&w);
    return THAW_OK;
}

/* ---- Pieces of a text ---- */

/* Ids so far; room doubles. */
typedef struct pieces {
    int32_t *ids;
    int64_t count, room;
} pieces;

static thaw_status push(pieces *p, int32_t id)
{
    if (p->count == p->room) {
        const int64_t room = p->room > 0 ? 2 * p->room : 64;
        THAW_TRY(thaw_realloc(&p->ids, p->room, room, sizeof *p->ids));
        p->room = room;
    }
    p->ids[p->count++] = id;
    return THAW_OK;
}

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
        const int32_t id = find(w, piece, mark + end);
        if (id >= 0) {
            *taken = end;
            return id;
        }
    }
    return -1;
}

static thaw_status add_word(const thaw_wordpiece *w, const char *word, size_t bytes,
                            int64_t characters, pieces *out)
{
    const int64_t before = out->count;
    size_t taken = 0;
    if (characters > WORD_MOST)
        return push(out, w->special[UNK]);
    for (size_t at = 0; at < bytes; at += taken) {
        const int32_t id = longest(w, word + at, bytes - at, at == 0, &taken);
        if (id < 0) { /* all of the word is unknown then */
            out->count = before;
            return push(out, w->special[UNK]);
        }
        THAW_TRY(push(out, id));
    }
    return THAW_OK;
}

/* A stretch of text without special tokens. */
static thaw_status add_words(const thaw_wordpiece *w, const char *text, size_t bytes, pieces *out)
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

static thaw_status add_text(const thaw_wordpiece *w, const char *text, pieces *out)
{
    const size_t bytes = strlen(text);
    const int64_t bad = thaw_utf8_check(text, bytes);
    size_t begin = 0;
    THAW_CHECK(bad < 0, THAW_ERR_INPUT, "the text is not UTF-8 at its byte %lld (%02x)",
               (long long)bad, (unsigned)(unsigned char)text[bad]);
    for (size_t i = 0; i < bytes;) {
        const int special = special_at(w, text + i, bytes - i);
        if (special < 0) {
            i++;
            continue;
        }
        THAW_TRY(add_words(w, text + begin, i - begin, out));
        THAW_TRY(push(out, w->special[special]));
        i += strlen(special_names[special]);
        begin = i;
    }
    return add_words(w, text + begin, bytes - begin, out);
}

/* How many pieces of both stay, when there is room for so many. Odd room goes to the longer, and of two as long to the second. */
static void share_room(int64_t room, int64_t *a, int64_t *b)
{
    int64_t *shorter = *a <= *b ? a : b;
    int64_t *longer = *a <= *b ? b : a;
    if (*a + *b <= room)
        return;
    if (*shorter <= room / 2) {
        *longer = room - *shorter;
        return;
    }
    *shorter = room / 2;
    *longer = room - *shorter;
}

static void place(thaw_tokens *out, int32_t id, int32_t type)
{
    out->ids[out->count] = id;
    if (out->types != NULL)
        out->types[out->count] = type;
    out->count++;
}

static void fill(const thaw_wordpiece *w, const pieces *a, const pieces *b, int64_t keep_a,
                 int64_t keep_b, int64_t T, thaw_tokens *out)
{
    out->count = 0;
    out->cut = a->count - keep_a + b->count - keep_b;
    place(out, w->special[CLS], 0);
    for (int64_t i = 0; i < keep_a; i++)
        place(out, a->ids[i], 0);
    place(out, w->special[SEP], 0);
    if (b->room > 0) {
        for (int64_t i = 0; i < keep_b; i++)
            place(out, b->ids[i], 1);
        place(out, w->special[SEP], 1);
    }
    const int64_t count = out->count;
    while (out->count < T)
        place(out, w->special[PAD], 0);
    out->count = count;
}

thaw_status thaw_wordpiece_encode(const thaw_wordpiece *w, const char *a, const char *b, int64_t T,
                                  thaw_tokens *out)
{
    pieces first = {0};
    pieces second = {0};
    thaw_status status = THAW_OK;
    THAW_ASSERT(T >= (b != NULL ? 5 : 3));
    THAW_TRY_TO(add_text(w, a, &first));
    if (b != NULL) {
        THAW_TRY_TO(thaw_realloc(&second.ids, 0, 64, sizeof *second.ids));
        second.room = 64; /* which tells a second text without pieces from none */
        THAW_TRY_TO(add_text(w, b, &second));
    }
    int64_t keep_a = first.count;
    int64_t keep_b = second.count;
    share_room(T - (b != NULL ? 3 : 2), &keep_a, &keep_b);
    fill(w, &first, &second, keep_a, keep_b, T, out);
done:
    thaw_free(&second.ids);
    thaw_free(&first.ids);
    return status;
}
