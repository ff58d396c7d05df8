/* WordPiece as BERT reads text: words by spaces and punctuation, then the longest pieces that a vocabulary has.
 *
 * Source: Devlin et al. 2019, arXiv:1810.04805, and google-research/bert's tokenization.py; where Hugging Face's BertTokenizer
 * differs from that, this does as BertTokenizer, since that is what most weights were trained or are used with. One thing is
 * newer here: categories of characters are those that utf8proc knows, BertTokenizer's are of Unicode 8. */
#ifndef THAW_DATA_WORDPIECE_IMPL_H
#define THAW_DATA_WORDPIECE_IMPL_H

#include "data/pieces_impl.h"

/* A vocabulary in memory. Immutable, so that threads may share it. */
typedef struct thaw_wordpiece thaw_wordpiece;

/* Reads vocab.txt: one piece a line, its id the number of the line from 0; pieces that go on within a word begin with "##".
 * `cased`: letters stay as they are; otherwise they are lowered and lose their accents.
 * THAW_ERR_INPUT with the line: as thaw_pieces_read; [UNK], [CLS], [SEP] or [PAD] missing, [PAD] not first (networks of WordPiece know
 * padding by the id 0). */
THAW_NODISCARD thaw_status thaw_wordpiece_open(const char *path, bool cased, thaw_wordpiece **out);
/* The same of pieces from elsewhere, which become its own in any case; path is for messages. */
THAW_NODISCARD thaw_status thaw_wordpiece_take(const char *path, bool cased, thaw_pieces *pieces,
                                               thaw_wordpiece **out);
void thaw_wordpiece_free(thaw_wordpiece **w);

const thaw_pieces *thaw_wordpiece_pieces(const thaw_wordpiece *w);
/* [CLS] a [SEP], [CLS] a [SEP] b [SEP]; an empty b is a text too, as it is in a batch of BertTokenizer. */
thaw_frame thaw_wordpiece_frame(const thaw_wordpiece *w);
/* Appends the ids of a text, which is UTF-8. */
THAW_NODISCARD thaw_status thaw_wordpiece_add(const thaw_wordpiece *w, const char *text,
                                              thaw_ids *out);

#endif
