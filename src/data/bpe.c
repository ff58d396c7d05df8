#include "data/bpe_impl.h"

#include <string.h>

#include "data/wordpiece_text_impl.h"

/* Two pieces that become one; their place in the list says which pair is joined first. */
typedef struct merge {
    int32_t left, right, joined;
} merge;

struct thaw_bpe {
    thaw_pieces pieces;
    int32_t letter[256]; /* id of each byte */
    merge *merges;       /* (merge_count) */
    int64_t merge_count;
    int32_t *slots; /* (slot_count) merge + 1, or 0: open addressing */
    int64_t slot_count;
    thaw_added added[THAW_ADDED_MOST];
    int64_t added_count;
    bool begins[256]; /* an added token begins with this byte */
    bool prefix_space;
    thaw_frame frame;
    thaw_digest digest;
};

/* ---- Merges ---- */

static int64_t slot_of(const thaw_bpe *b, int32_t left, int32_t right)
{
    const int32_t pair[2] = {left, right};
    int64_t slot = (int64_t)(thaw_hash(pair, sizeof pair).low & (uint64_t)(b->slot_count - 1));
    for (; b->slots[slot] > 0; slot = (slot + 1) & (b->slot_count - 1)) {
        const merge *m = &b->merges[b->slots[slot] - 1];
        if (m->left == left && m->right == right)
            break;
    }
    return slot;
}

/* -1: these two are not joined. */
static int32_t rank_of(const thaw_bpe *b, int32_t left, int32_t right)
{
    return b->slots[slot_of(b, left, right)] - 1;
}

/* "LEFT RIGHT" of line[0..bytes). */
static thaw_status parse_merge(const thaw_bpe *b, const char *where, const char *line, size_t bytes,
                               merge *out)
{
    thaw_str whole = {0};
    const char *space = memchr(line, ' ', bytes);
    const size_t left = space != NULL ? (size_t)(space - line) : 0;
    const size_t right = space != NULL ? bytes - left - 1 : 0;
    THAW_CHECK(left > 0 && right > 0 && memchr(space + 1, ' ', right) == NULL, THAW_ERR_INPUT,
               "%s is \"%.*s\"; a merge is two pieces with a space between", where, (int)bytes,
               line);
    const char *parts[2] = {line, space + 1};
    const size_t lengths[2] = {left, right};
    int32_t ids[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = thaw_pieces_find(&b->pieces, parts[i], lengths[i]);
        THAW_CHECK(ids[i] >= 0, THAW_ERR_INPUT,
                   "%s joins \"%.*s\", which the vocabulary does not have; they do not belong "
                   "together",
                   where, (int)lengths[i], parts[i]);
    }
    thaw_str_add_bytes(&whole, line, left);
    thaw_str_add_bytes(&whole, space + 1, right);
    *out = (merge){ids[0], ids[1], thaw_pieces_find(&b->pieces, thaw_str_c(&whole), whole.length)};
    const thaw_status status =
        out->joined >= 0
            ? THAW_OK
            : THAW_FAIL(THAW_ERR_INPUT,
                        "%s gives \"%s\", which the vocabulary does not have; they do not belong "
                        "together",
                        where, thaw_str_c(&whole));
    thaw_str_clear(&whole);
    return status;
}

static thaw_status make_room(thaw_bpe *b, const thaw_str *text)
{
    int64_t lines = text->length > 0 && text->data[text->length - 1] != '\n';
    for (size_t i = 0; i < text->length; i++)
        lines += text->data[i] == '\n';
    for (b->slot_count = 16; b->slot_count < 2 * lines;)
        b->slot_count *= 2;
    THAW_TRY(thaw_alloc(&b->merges, lines > 0 ? lines : 1, sizeof *b->merges));
    return thaw_alloc(&b->slots, b->slot_count, sizeof *b->slots);
}

static thaw_status add_merge(thaw_bpe *b, const char *where, const char *line, size_t bytes)
{
    merge m;
    THAW_TRY(parse_merge(b, where, line, bytes, &m));
    const int64_t slot = slot_of(b, m.left, m.right);
    THAW_CHECK(b->slots[slot] == 0, THAW_ERR_INPUT,
               "%s joins \"%.*s\", as an earlier one does; a merge may be there once", where,
               (int)bytes, line);
    b->merges[b->merge_count++] = m;
    b->slots[slot] = (int32_t)b->merge_count;
    return THAW_OK;
}

/* merges.txt begins with a line that says its version. */
static thaw_status read_merges(thaw_bpe *b, const thaw_recipe *r, thaw_hasher *hasher)
{
    const thaw_str *text = &r->merges;
    char where[512];
    THAW_TRY(make_room(b, text));
    long long number = 0;
    for (size_t at = 0; at < text->length; number++) {
        const char *line = text->data + at;
        const char *end = memchr(line, '\n', text->length - at);
        const size_t length = end != NULL ? (size_t)(end - line) : text->length - at;
        const size_t bytes = length - (length > 0 && line[length - 1] == '\r');
        at += length + 1;
        if (number == 0 && bytes >= 8 && memcmp(line, "#version", 8) == 0)
            continue;
        (void)thaw_format(where, sizeof where, "%s: %s %lld", r->merges_path, r->unit,
                          strcmp(r->unit, "line") == 0 ? number + 1 : number);
        THAW_TRY(add_merge(b, where, line, bytes));
        thaw_hasher_add(hasher, line, bytes);
        thaw_hasher_add(hasher, "\n", 1);
    }
    return THAW_OK;
}

/* ---- Opening ---- */

static thaw_status find_letters(const char *path, thaw_bpe *b)
{
    char letter[4];
    for (int byte = 0; byte < 256; byte++) {
        const size_t bytes = thaw_bpe_letter(byte, letter);
        b->letter[byte] = thaw_pieces_find(&b->pieces, letter, bytes);
        THAW_CHECK(
            b->letter[byte] >= 0, THAW_ERR_INPUT,
            "%s: no piece is \"%.*s\", which stands for the byte %02x; this is no vocabulary "
            "of byte-level BPE",
            path, (int)bytes, letter, (unsigned)byte);
    }
    return THAW_OK;
}

static thaw_status find_frame(const char *path, thaw_bpe *b)
{
    static const char *const names[] = {"<s>", "</s>", "<pad>", "<unk>"};
    int32_t ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = thaw_pieces_find(&b->pieces, names[i], strlen(names[i]));
        THAW_CHECK(ids[i] >= 0, THAW_ERR_INPUT,
                   "%s: no piece is %s; this is no vocabulary of a RoBERTa", path, names[i]);
    }
    b->frame = (thaw_frame){.first = ids[0], .last = ids[1], .pad = ids[2], .doubled = true};
    return THAW_OK;
}

thaw_status thaw_bpe_new(const char *path, thaw_recipe *r, thaw_bpe **out)
{
    thaw_bpe *b = NULL;
    thaw_hasher *hasher = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&b, 1, sizeof *b));
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    b->pieces = r->pieces;
    r->pieces = (thaw_pieces){0};
    b->prefix_space = r->prefix_space;
    b->added_count = r->added_count;
    memcpy(b->added, r->added, sizeof b->added);
    for (int64_t i = 0; i < b->added_count; i++)
        b->begins[(unsigned char)b->pieces.text.data[b->pieces.at[b->added[i].id]]] = true;
    THAW_TRY_TO(find_letters(path, b));
    THAW_TRY_TO(find_frame(path, b));
    for (int64_t i = 0; i < b->pieces.count; i++) {
        thaw_hasher_add(hasher, b->pieces.text.data + b->pieces.at[i], (size_t)b->pieces.bytes[i]);
        thaw_hasher_add(hasher, "\n", 1);
    }
    thaw_hasher_add(hasher, "\n", 1);
    THAW_TRY_TO(read_merges(b, r, hasher));
    b->digest = thaw_hasher_get(hasher);
    *out = b;
    b = NULL;
done:
    thaw_hasher_free(&hasher);
    thaw_bpe_free(&b);
    return status;
}

void thaw_bpe_free(thaw_bpe **b)
{
    if (*b == NULL)
        return;
    thaw_pieces_clear(&(*b)->pieces);
    thaw_free(&(*b)->merges);
    thaw_free(&(*b)->slots);
    thaw_free(b);
}

const thaw_pieces *thaw_bpe_pieces(const thaw_bpe *b)
{
    return &b->pieces;
}

bool thaw_bpe_prefix_space(const thaw_bpe *b)
{
    return b->prefix_space;
}

thaw_digest thaw_bpe_digest(const thaw_bpe *b)
{
    return b->digest;
}

thaw_frame thaw_bpe_frame(const thaw_bpe *b)
{
    return b->frame;
}

/* ---- A word ---- */

/* A join that may be done: of the piece at `at` with the one behind it, as they were when it was noted. */
typedef struct chance {
    int32_t rank, at;
} chance;

typedef struct symbol {
    int32_t id, next, before; /* id -1: joined to the one before; next, before -1: there is none */
} symbol;

/* Memory that the words of a text share. */
typedef struct joiner {
    const thaw_bpe *b;
    symbol *symbols;
    int64_t room;
    chance *heap; /* the best one first */
    int64_t count, heap_room;
} joiner;

static bool sooner(chance a, chance b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static thaw_status note(joiner *j, int32_t at)
{
    const symbol *s = &j->symbols[at];
    const int32_t rank = s->next >= 0 ? rank_of(j->b, s->id, j->symbols[s->next].id) : -1;
    if (rank < 0)
        return THAW_OK;
    if (j->count == j->heap_room) {
        const int64_t room = j->heap_room > 0 ? 2 * j->heap_room : 64;
        THAW_TRY(thaw_realloc(&j->heap, j->heap_room, room, sizeof *j->heap));
        j->heap_room = room;
    }
    const chance new = {rank, at};
    int64_t i = j->count++;
    for (; i > 0 && sooner(new, j->heap[(i - 1) / 2]); i = (i - 1) / 2)
        j->heap[i] = j->heap[(i - 1) / 2];
    j->heap[i] = new;
    return THAW_OK;
}

static chance take(joiner *j)
{
    const chance best = j->heap[0];
    const chance last = j->heap[--j->count];
    int64_t i = 0;
    for (int64_t child = 1; child < j->count; child = 2 * i + 1) {
        child += child + 1 < j->count && sooner(j->heap[child + 1], j->heap[child]);
        if (!sooner(j->heap[child], last))
            break;
        j->heap[i] = j->heap[child];
        i = child;
    }
    j->heap[i] = last;
    return best;
}

/* What was noted may be out of date: either piece has been joined to another since. */
static thaw_status join(joiner *j, chance best)
{
    symbol *s = &j->symbols[best.at];
    const merge *m = &j->b->merges[best.rank];
    if (s->id != m->left || s->next < 0 || j->symbols[s->next].id != m->right)
        return THAW_OK;
    symbol *gone = &j->symbols[s->next];
    s->id = m->joined;
    gone->id = -1;
    s->next = gone->next;
    if (s->next >= 0)
        j->symbols[s->next].before = best.at;
    if (s->before >= 0)
        THAW_TRY(note(j, s->before));
    return note(j, best.at);
}

static thaw_status add_word(joiner *j, const char *word, size_t bytes, thaw_ids *out)
{
    const int64_t count = (int64_t)bytes;
    THAW_CHECK(count < INT32_MAX, THAW_ERR_INPUT, "a word of %lld bytes", (long long)count);
    if (count > j->room) {
        THAW_TRY(thaw_realloc(&j->symbols, j->room, 2 * count, sizeof *j->symbols));
        j->room = 2 * count;
    }
    for (int32_t i = 0; i < (int32_t)count; i++)
        j->symbols[i] = (symbol){.id = j->b->letter[(unsigned char)word[i]],
                                 .next = i + 1 < (int32_t)count ? i + 1 : -1,
                                 .before = i - 1};
    j->count = 0;
    for (int32_t i = 0; i < (int32_t)count; i++)
        THAW_TRY(note(j, i));
    while (j->count > 0)
        THAW_TRY(join(j, take(j)));
    for (int32_t i = 0; i >= 0; i = j->symbols[i].next)
        THAW_TRY(thaw_ids_push(out, j->symbols[i].id));
    return THAW_OK;
}

/* ---- A text ---- */

/* A stretch without added tokens. */
static thaw_status add_words(joiner *j, const char *text, size_t bytes, thaw_ids *out)
{
    thaw_str prefixed = {0};
    thaw_status status = THAW_OK;
    if (j->b->prefix_space && bytes > 0 && text[0] != ' ') {
        thaw_str_add(&prefixed, " ");
        thaw_str_add_bytes(&prefixed, text, bytes);
        text = prefixed.data;
        bytes = prefixed.length;
    }
    for (size_t at = 0, length = 0; at < bytes; at += length) {
        length = thaw_bpe_word(text, bytes, at);
        THAW_TRY_TO(add_word(j, text + at, length, out));
    }
done:
    thaw_str_clear(&prefixed);
    return status;
}

/* The longest added token that text[0..bytes) begins with, of the late ones or of the others; NULL: none. */
static const thaw_added *added_at(const thaw_bpe *b, const char *text, size_t bytes, bool late)
{
    const thaw_added *best = NULL;
    size_t most = 0;
    for (int64_t i = 0; b->begins[(unsigned char)text[0]] && i < b->added_count; i++) {
        const thaw_added *t = &b->added[i];
        const size_t length = (size_t)b->pieces.bytes[t->id];
        if (t->late == late && length > most && length <= bytes &&
            memcmp(text, b->pieces.text.data + b->pieces.at[t->id], length) == 0) {
            best = t;
            most = length;
        }
    }
    return best;
}

/* Added tokens, then what is between them: the late ones in there, at last its words. */
static thaw_status add_stretch(joiner *j, const char *text, size_t bytes, bool late, thaw_ids *out)
{
    size_t begin = 0;
    for (size_t i = 0; i <= bytes;) {
        const thaw_added *t = i < bytes ? added_at(j->b, text + i, bytes - i, late) : NULL;
        if (t == NULL && i < bytes) {
            i++;
            continue;
        }
        size_t stop = i;
        if (t != NULL && t->left)
            stop -= thaw_bpe_spaces_last(text + begin, i - begin);
        if (stop > begin)
            THAW_TRY(late ? add_words(j, text + begin, stop - begin, out)
                          : add_stretch(j, text + begin, stop - begin, true, out));
        if (t == NULL)
            break;
        THAW_TRY(thaw_ids_push(out, t->id));
        i += (size_t)j->b->pieces.bytes[t->id];
        begin = i + (t->right ? thaw_bpe_spaces_first(text + i, bytes - i) : 0);
        i = begin;
    }
    return THAW_OK;
}

thaw_status thaw_bpe_add(const thaw_bpe *b, const char *text, thaw_ids *out)
{
    joiner j = {.b = b};
    const thaw_status status = add_stretch(&j, text, strlen(text), false, out);
    thaw_free(&j.heap);
    thaw_free(&j.symbols);
    return status;
}
