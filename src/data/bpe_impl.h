/* Byte-level BPE as GPT-2 and RoBERTa read text: words by a pattern, their bytes, then pairs of pieces joined in the order in which a
 * vocabulary learned them.
 *
 * Source: Sennrich et al. 2016, arXiv:1508.07909, and Radford et al. 2019 (GPT-2) for the bytes and the pattern; where they leave a choice,
 * this does as Hugging Face's tokenizers (BPE with ByteLevel), the order of joins among them: the first learned, and of equal ones the
 * leftmost. Classes of characters are those that utf8proc knows. */
#ifndef THAW_DATA_BPE_IMPL_H
#define THAW_DATA_BPE_IMPL_H

#include "data/pieces_impl.h"

#define THAW_ADDED_MOST 1024 /* added tokens: each is looked for at every byte of a text */

/* A token that is found in a text before anything is cut, as [MASK] or <s>. */
typedef struct thaw_added {
    int32_t id;
    bool left, right; /* takes the spaces before, after it */
    bool late;        /* found only after all that are not late */
} thaw_added;

/* What a vocabulary's files say, checked as far as one file shows it. `thaw_recipe r = {0};`, clear in any case. */
typedef struct thaw_recipe {
    bool is_bpe, cased; /* cased: of WordPiece */
    thaw_pieces pieces;
    thaw_str merges;  /* bpe: "LEFT RIGHT", one a line */
    const char *unit; /* of merges in messages: "line" of merges_path, or an item of a list */
    char *merges_path;
    thaw_added added[THAW_ADDED_MOST]; /* bpe */
    int64_t added_count;
    bool prefix_space;
} thaw_recipe;
void thaw_recipe_clear(thaw_recipe *r);

/* A tokenizer.json, or a vocab.json with the merges.txt (and, if there is one, the tokenizer_config.json) beside it. THAW_ERR_INPUT with
 * file and key or line: what is damaged, and by name what is asked for and not built. */
THAW_NODISCARD thaw_status thaw_recipe_read(const char *path, thaw_recipe *r);

/* Immutable, so that threads may share it. */
typedef struct thaw_bpe thaw_bpe;

/* Takes over what the recipe holds. THAW_ERR_INPUT: a merge of pieces that are not there, one twice, a byte without a piece, <s>, </s>,
 * <pad> or <unk> missing. */
THAW_NODISCARD thaw_status thaw_bpe_new(const char *path, thaw_recipe *r, thaw_bpe **out);
void thaw_bpe_free(thaw_bpe **b);
const thaw_pieces *thaw_bpe_pieces(const thaw_bpe *b);
bool thaw_bpe_prefix_space(const thaw_bpe *b);
/* Of the pieces, one a line, an empty line, and the merges, one a line. */
thaw_digest thaw_bpe_digest(const thaw_bpe *b);
/* <s> a </s>, <s> a </s></s> b </s>; all of type 0. */
thaw_frame thaw_bpe_frame(const thaw_bpe *b);
/* Appends the ids of a text, which is UTF-8; n log n in its length, whatever it is. */
THAW_NODISCARD thaw_status thaw_bpe_add(const thaw_bpe *b, const char *text, thaw_ids *out);

/* ---- Text (bpe_text.c) ---- */

/* Bytes of the next word of text[at..bytes), at < bytes: GPT-2's pattern
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t thaw_bpe_word(const char *text, size_t bytes, size_t at);
/* Bytes of spaces that text[0..bytes) begins, or ends with. */
size_t thaw_bpe_spaces_first(const char *text, size_t bytes);
size_t thaw_bpe_spaces_last(const char *text, size_t bytes);
/* The character that stands for a byte in pieces; its UTF-8 to out, how many bytes it has is returned. */
size_t thaw_bpe_letter(int byte, char out[4]);

#endif
