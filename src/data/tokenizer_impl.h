/* A vocabulary of any kind, and the ids that texts become with it. */
#ifndef THAW_DATA_TOKENIZER_IMPL_H
#define THAW_DATA_TOKENIZER_IMPL_H

#include "data/pieces_impl.h"
#include "thaw/data.h"

/* Immutable, so that threads may share it. */
typedef struct thaw_tokenizer thaw_tokenizer;

/* Reads a vocab.txt, a tokenizer.json or a vocab.json; see thaw_vocabulary_read. */
THAW_NODISCARD thaw_status thaw_tokenizer_open(const char *path, bool cased, thaw_tokenizer **out);
void thaw_tokenizer_free(thaw_tokenizer **t);

void thaw_tokenizer_about(const thaw_tokenizer *t, thaw_vocabulary *out);
const thaw_frame *thaw_tokenizer_frame(const thaw_tokenizer *t);
/* A text, or with b (NULL: none) a pair, as thaw_frame_fill has it. THAW_ERR_INPUT: a text that is not UTF-8, with the byte. */
THAW_NODISCARD thaw_status thaw_tokenizer_encode(const thaw_tokenizer *t, const char *a,
                                                 const char *b, int64_t T, thaw_tokens *out);

#endif
