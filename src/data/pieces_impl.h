/* A vocabulary in memory: pieces and their ids, whichever tokenizer they belong to. */
#ifndef THAW_DATA_PIECES_IMPL_H
#define THAW_DATA_PIECES_IMPL_H

#include "thaw/base.h"

#define THAW_PIECES_MOST (1 << 24) /* of a vocabulary */

/* `thaw_pieces p = {0};` then read or index; clear in any case. */
typedef struct thaw_pieces {
    thaw_str text;  /* the pieces, one a line, in the order of their ids */
    int32_t *at;    /* (count) where a piece begins */
    int32_t *bytes; /* (count) */
    int64_t count;
    int32_t *slots; /* (slot_count) id + 1, or 0: open addressing */
    int64_t slot_count;
    thaw_digest digest; /* of the pieces, one a line */
} thaw_pieces;

/* A file of one piece a line, its id the number of the line from 0. THAW_ERR_INPUT with the line: no regular file or too large a one, not
 * UTF-8, an empty line, a piece twice. */
THAW_NODISCARD thaw_status thaw_pieces_read(const char *path, thaw_pieces *p);
/* The same of p->text, which the caller filled; messages call piece i "<what> <first + i>". */
THAW_NODISCARD thaw_status thaw_pieces_index(const char *path, const char *what, int64_t first,
                                             thaw_pieces *p);
void thaw_pieces_clear(thaw_pieces *p);
/* Its id; -1: there is no such piece. */
int32_t thaw_pieces_find(const thaw_pieces *p, const char *piece, size_t bytes);

/* Ids of a text so far; room doubles. */
typedef struct thaw_ids {
    int32_t *items;
    int64_t count, room;
} thaw_ids;
THAW_NODISCARD thaw_status thaw_ids_push(thaw_ids *ids, int32_t id);
void thaw_ids_clear(thaw_ids *ids);

/* What stands around a text, or a pair, and between its parts. */
typedef struct thaw_frame {
    int32_t first, last, pad;
    bool doubled; /* two of `last` between the texts of a pair */
    bool typed;   /* what follows the first `last` is of type 1; else all is of type 0 */
} thaw_frame;

/* What one text, or a pair, becomes: (T) each, padded. */
typedef struct thaw_tokens {
    int32_t *ids;
    int32_t *types; /* of the tokens, 0 for padding; NULL: not wanted */
    int64_t count;  /* out: how many are no padding */
    int64_t cut;    /* out: how many pieces did not fit */
} thaw_tokens;

/* The fewest tokens that have room for the frame and one piece of each text. */
int64_t thaw_frame_least(const thaw_frame *frame, bool pair);
/* first a last, or with b (NULL: none) first a last [last] b last, cut to T and padded: of a pair the longer text loses first
 * ("longest_first"). T is at least thaw_frame_least. */
void thaw_frame_fill(const thaw_frame *frame, const thaw_ids *a, const thaw_ids *b, int64_t T,
                     thaw_tokens *out);

#endif
