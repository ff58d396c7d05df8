/* Texts, each once, numbered as they come: names of classes, splits and slices on their way from rows into numbers. */
#ifndef THAW_DATA_WORDS_IMPL_H
#define THAW_DATA_WORDS_IMPL_H

#include "thaw/data.h"

/* `thaw_words w = {0};` is empty and ready. */
typedef struct thaw_words {
    thaw_strings list; /* by number */
    int64_t room;
    int64_t *slots; /* (slot_count) number + 1, or 0; open addressing */
    int64_t slot_count;
} thaw_words;

/* The number of a text, which is new when it was not there. */
THAW_NODISCARD thaw_status thaw_words_add(thaw_words *words, const char *text, int64_t *number);
int64_t thaw_words_find(const thaw_words *words, const char *text); /* -1: not there */
/* Renumbers in the order of bytes; new_number (list.count, may be NULL) maps the numbers given so far. */
THAW_NODISCARD thaw_status thaw_words_sort(thaw_words *words, int64_t *new_number);
void thaw_words_clear(thaw_words *words);

#endif
