/* WordPiece as BERT reads text: words by spaces and punctuation, then the longest pieces that a vocabulary has.
 *
 * Source: Devlin et al. 2019, arXiv:1810.04805, and google-research/bert's tokenization.py; where Hugging Face's BertTokenizer
 * differs from that, this does as BertTokenizer, since that is what most weights were trained or are used with. One thing is
 * newer here: categories of characters are those that utf8proc knows, BertTokenizer's are of Unicode 8. */
#ifndef THAW_DATA_WORDPIECE_IMPL_H
#define THAW_DATA_WORDPIECE_IMPL_H

#include "thaw/base.h"

#define THAW_PIECES_MOST (1 << 24) /* of a vocabulary */

/* A vocabulary in memory. Immutable, so that threads may share it. */
typedef struct thaw_wordpiece thaw_wordpiece;

/* Reads vocab.txt: one piece a line, its id the number of the line from 0; pieces that go on within a word begin with "##".
 * `cased`: letters stay as they are; otherwise they are lowered and lose their accents.
 * THAW_ERR_INPUT with the line: not UTF-8, an empty line, a piece twice, [UNK], [CLS], [SEP] or [PAD] missing, [PAD] not first
 * (networks here know padding by the id 0). */
THAW_NODISCARD thaw_status thaw_wordpiece_open(const char *path, bool cased, thaw_wordpiece **out);
void thaw_wordpiece_free(thaw_wordpiece **w);

int64_t thaw_wordpiece_count(const thaw_wordpiece *w);      /* pieces */
thaw_digest thaw_wordpiece_digest(const thaw_wordpiece *w); /* of the pieces, one a line */

/* What one text, or a pair, becomes: (T) each, padded with 0. */
typedef struct thaw_tokens {
    int32_t *ids;
    int32_t *
        types; /* 0 up to the first [SEP], 1 for what follows it, 0 for padding; NULL: not wanted */
    int64_t count; /* out: how many are no padding */
    int64_t cut;   /* out: how many pieces did not fit */
} thaw_tokens;

/* [CLS] a [SEP], or with b (NULL: none) [CLS] a [SEP] b [SEP], cut to T: of a pair the longer text loses first
 * ("longest_first"). An empty b is a text too, as it is in a batch of BertTokenizer. T is at least 3, with b 5. THAW_ERR_INPUT: a text that is not UTF-8, with the byte. */
THAW_NODISCARD thaw_status thaw_wordpiece_encode(const thaw_wordpiece *w, const char *a,
                                                 const char *b, int64_t T, thaw_tokens *out);

#endif
