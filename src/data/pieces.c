#include "data/pieces_impl.h"

#include <string.h>

#include "data/wordpiece_text_impl.h"

#define MOST_BYTES (1 << 28) /* of a file */

/* The slot of these bytes: theirs, or the free one where they would be. */
static int64_t slot_of(const thaw_pieces *p, const char *piece, size_t bytes)
{
    int64_t slot = (int64_t)(thaw_hash(piece, bytes).low & (uint64_t)(p->slot_count - 1));
    for (; p->slots[slot] > 0; slot = (slot + 1) & (p->slot_count - 1)) {
        const int32_t id = p->slots[slot] - 1;
        if ((size_t)p->bytes[id] == bytes && memcmp(p->text.data + p->at[id], piece, bytes) == 0)
            break;
    }
    return slot;
}

int32_t thaw_pieces_find(const thaw_pieces *p, const char *piece, size_t bytes)
{
    return p->slots[slot_of(p, piece, bytes)] - 1;
}

static thaw_status add_piece(const char *path, const char *what, int64_t first, thaw_pieces *p,
                             int64_t id, size_t at, size_t bytes)
{
    const char *piece = p->text.data + at;
    const long long number = (long long)(first + id);
    const int64_t bad = thaw_utf8_check(piece, bytes);
    THAW_CHECK(bytes > 0, THAW_ERR_INPUT, "%s: %s %lld is empty; a line is one piece", path, what,
               number);
    THAW_CHECK(bad < 0, THAW_ERR_INPUT,
               "%s: %s %lld is not UTF-8 at its byte %lld; this is no vocabulary", path, what,
               number, (long long)bad);
    const int64_t slot = slot_of(p, piece, bytes);
    THAW_CHECK(p->slots[slot] == 0, THAW_ERR_INPUT,
               "%s: %s %lld has \"%.*s\", as %s %lld has; a piece may be there once", path, what,
               number, (int)bytes, piece, what, (long long)(first + p->slots[slot] - 1));
    p->at[id] = (int32_t)at;
    p->bytes[id] = (int32_t)bytes;
    p->slots[slot] = (int32_t)id + 1;
    return THAW_OK;
}

static thaw_status make_room(const char *path, thaw_pieces *p)
{
    THAW_CHECK(p->text.length > 0, THAW_ERR_INPUT, "%s: empty, not a vocabulary", path);
    THAW_ASSERT(p->text.length < INT32_MAX);
    p->count = p->text.data[p->text.length - 1] != '\n';
    for (size_t i = 0; i < p->text.length; i++)
        p->count += p->text.data[i] == '\n';
    THAW_CHECK(p->count <= THAW_PIECES_MOST, THAW_ERR_INPUT,
               "%s: %lld lines; a vocabulary has at most %lld", path, (long long)p->count,
               (long long)THAW_PIECES_MOST);
    for (p->slot_count = 16; p->slot_count < 2 * p->count;)
        p->slot_count *= 2;
    THAW_TRY(thaw_alloc(&p->at, p->count, sizeof *p->at));
    THAW_TRY(thaw_alloc(&p->bytes, p->count, sizeof *p->bytes));
    return thaw_alloc(&p->slots, p->slot_count, sizeof *p->slots);
}

thaw_status thaw_pieces_index(const char *path, const char *what, int64_t first, thaw_pieces *p)
{
    thaw_hasher *hasher = NULL;
    thaw_status status = THAW_OK;
    size_t at = 0;
    THAW_TRY_TO(make_room(path, p));
    THAW_TRY_TO(thaw_hasher_new(&hasher));
    for (int64_t id = 0; id < p->count; id++) {
        const char *line = p->text.data + at;
        const char *end = memchr(line, '\n', p->text.length - at);
        const size_t length = end != NULL ? (size_t)(end - line) : p->text.length - at;
        const size_t bytes = length - (length > 0 && line[length - 1] == '\r');
        THAW_TRY_TO(add_piece(path, what, first, p, id, at, bytes));
        thaw_hasher_add(hasher, line, bytes);
        thaw_hasher_add(hasher, "\n", 1);
        at += length + 1;
    }
    p->digest = thaw_hasher_get(hasher);
done:
    thaw_hasher_free(&hasher);
    return status;
}

thaw_status thaw_pieces_read(const char *path, thaw_pieces *p)
{
    THAW_TRY(thaw_file_read_within(path, MOST_BYTES, &p->text));
    return thaw_pieces_index(path, "line", 1, p);
}

void thaw_pieces_clear(thaw_pieces *p)
{
    thaw_str_clear(&p->text);
    thaw_free(&p->at);
    thaw_free(&p->bytes);
    thaw_free(&p->slots);
    *p = (thaw_pieces){0};
}

thaw_status thaw_ids_push(thaw_ids *ids, int32_t id)
{
    if (ids->count == ids->room) {
        const int64_t room = ids->room > 0 ? 2 * ids->room : 64;
        THAW_TRY(thaw_realloc(&ids->items, ids->room, room, sizeof *ids->items));
        ids->room = room;
    }
    ids->items[ids->count++] = id;
    return THAW_OK;
}

void thaw_ids_clear(thaw_ids *ids)
{
    thaw_free(&ids->items);
    *ids = (thaw_ids){0};
}

/* ---- Around the texts ---- */

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

static int64_t frame_count(const thaw_frame *frame, bool pair)
{
    return 2 + pair + (pair && frame->doubled);
}

int64_t thaw_frame_least(const thaw_frame *frame, bool pair)
{
    return frame_count(frame, pair) + 1 + pair;
}

void thaw_frame_fill(const thaw_frame *frame, const thaw_ids *a, const thaw_ids *b, int64_t T,
                     thaw_tokens *out)
{
    const int32_t type = frame->typed;
    int64_t keep_a = a->count;
    int64_t keep_b = b != NULL ? b->count : 0;
    THAW_ASSERT(T >= thaw_frame_least(frame, b != NULL));
    share_room(T - frame_count(frame, b != NULL), &keep_a, &keep_b);
    out->count = 0;
    out->cut = a->count - keep_a + (b != NULL ? b->count - keep_b : 0);
    place(out, frame->first, 0);
    for (int64_t i = 0; i < keep_a; i++)
        place(out, a->items[i], 0);
    place(out, frame->last, 0);
    if (b != NULL && frame->doubled)
        place(out, frame->last, type);
    for (int64_t i = 0; i < keep_b; i++)
        place(out, b->items[i], type);
    if (b != NULL)
        place(out, frame->last, type);
    const int64_t count = out->count;
    while (out->count < T)
        place(out, frame->pad, 0);
    out->count = count;
}
