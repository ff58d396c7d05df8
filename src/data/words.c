#include "data/words_impl.h"

#include <stdlib.h>
#include <string.h>

/* The slot that has the text, or the free one where it belongs. */
static int64_t find_slot(const thaw_words *words, const char *text)
{
    const uint64_t mask = (uint64_t)words->slot_count - 1;
    uint64_t at = thaw_hash(text, strlen(text)).low & mask;
    while (words->slots[at] != 0 && strcmp(words->list.items[words->slots[at] - 1], text) != 0)
        at = (at + 1) & mask;
    return (int64_t)at;
}

static void fill_slots(thaw_words *words)
{
    memset(words->slots, 0, (size_t)words->slot_count * sizeof *words->slots);
    for (int64_t i = 0; i < words->list.count; i++)
        words->slots[find_slot(words, words->list.items[i])] = i + 1;
}

/* Half of the slots stay free. */
static thaw_status grow(thaw_words *words)
{
    const int64_t room = words->room == 0 ? 16 : 2 * words->room;
    int64_t *slots = NULL;
    THAW_TRY(thaw_realloc(&words->list.items, words->list.count, room, sizeof *words->list.items));
    THAW_TRY(thaw_alloc(&slots, 2 * room, sizeof *slots));
    thaw_free(&words->slots);
    words->slots = slots;
    words->slot_count = 2 * room;
    words->room = room;
    fill_slots(words);
    return THAW_OK;
}

thaw_status thaw_words_add(thaw_words *words, const char *text, int64_t *number)
{
    if (words->list.count == words->room)
        THAW_TRY(grow(words));
    int64_t *slot = &words->slots[find_slot(words, text)];
    if (*slot == 0) {
        THAW_TRY(thaw_strdup(&words->list.items[words->list.count], text));
        *slot = ++words->list.count;
    }
    *number = *slot - 1;
    return THAW_OK;
}

int64_t thaw_words_find(const thaw_words *words, const char *text)
{
    return words->slot_count == 0 ? -1 : words->slots[find_slot(words, text)] - 1;
}

typedef struct entry {
    char *text;
    int64_t number;
} entry;

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->text, ((const entry *)b)->text);
}

thaw_status thaw_words_sort(thaw_words *words, int64_t *new_number)
{
    const int64_t count = words->list.count;
    entry *entries = NULL;
    if (count == 0)
        return THAW_OK;
    THAW_TRY(thaw_alloc(&entries, count, sizeof *entries));
    for (int64_t i = 0; i < count; i++)
        entries[i] = (entry){words->list.items[i], i};
    qsort(entries, (size_t)count, sizeof *entries, compare_entries);
    for (int64_t i = 0; i < count; i++) {
        words->list.items[i] = entries[i].text;
        if (new_number)
            new_number[entries[i].number] = i;
    }
    fill_slots(words);
    thaw_free(&entries);
    return THAW_OK;
}

void thaw_words_clear(thaw_words *words)
{
    for (int64_t i = 0; i < words->list.count; i++)
        thaw_free(&words->list.items[i]);
    thaw_free(&words->list.items);
    thaw_free(&words->slots);
    *words = (thaw_words){0};
}
