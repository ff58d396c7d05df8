/* What BERT does to a text before its words are looked up. */
#ifndef THAW_DATA_WORDPIECE_TEXT_IMPL_H
#define THAW_DATA_WORDPIECE_TEXT_IMPL_H

#include "thaw/base.h"

/* The first byte that is not UTF-8, or -1. */
int64_t thaw_utf8_check(const char *text, size_t bytes);
/* This byte goes on with a character that began before. */
bool thaw_utf8_continues(char byte);

/* Control characters go, every space becomes ' ', Chinese characters get spaces around them; unless `cased`, letters are
 * lowered and lose their accents (canonical decomposition, without the marks that take no room). Text is UTF-8. */
void thaw_text_normalise(const char *text, size_t bytes, bool cased, thaw_str *out);

/* `thaw_word word = {0};` then next, until it is false: words of a normalised text; a punctuation character is one of its own. */
typedef struct thaw_word {
    size_t at, bytes;
    int64_t characters;
} thaw_word;
bool thaw_text_next_word(const char *text, size_t bytes, thaw_word *word);

#endif
