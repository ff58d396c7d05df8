/* pickle_impl.h - the machine that reads pickles, and what its values are. */
#ifndef THAW_STORE_PICKLE_IMPL_H
#define THAW_STORE_PICKLE_IMPL_H

#include "store/weights_impl.h"

enum { PICKLE_MOST_VALUES = 1 << 22, PICKLE_MOST_DEPTH = 64, PICKLE_MOST_NAME = 1024 };

typedef enum pickle_kind {
    KIND_NONE,
    KIND_BOOL,
    KIND_INT,
    KIND_FLOAT,
    KIND_TEXT,
    KIND_NAME,    /* of a module and what is in it; text */
    KIND_LIST,    /* and tuples */
    KIND_DICT,    /* keys and values in turn */
    KIND_STORAGE, /* of a type, as text, under a key */
    KIND_TENSOR
} pickle_kind;

typedef struct pickle_value {
    pickle_kind kind;
    int64_t number;
    const char *text;    /* owned by the machine's texts */
    int32_t first, last; /* list, dict: its links; -1: none. Storage: first is the key's value */
    int32_t count;
    bool walked; /* dict: its tensors have been given */
} pickle_value;

/* Items of lists and dictionaries, one after another. */
typedef struct pickle_link {
    int32_t value, next;
} pickle_link;

typedef struct pickle_machine {
    const char *name; /* for messages */
    const uint8_t *bytes;
    size_t size, at;
    pickle_value *values;
    int64_t value_count, value_capacity;
    pickle_link *links;
    int64_t link_count, link_capacity;
    int32_t *stack;
    int64_t depth, stack_capacity;
    int64_t *marks;
    int64_t mark_count, mark_capacity;
    int32_t *memo;
    int64_t memo_capacity;
    int64_t memo_count; /* of MEMOIZE */
    thaw_strings texts;
    int64_t text_capacity;
} pickle_machine;

/* Item `position` of a list, or -1; whether an index is that of a value of this kind. */
int32_t pickle_item(const pickle_machine *m, int32_t list, int32_t position);
bool pickle_is(const pickle_machine *m, int32_t index, pickle_kind wanted);

/* What the taker wants of the value that a pickle came to. */
THAW_NODISCARD thaw_status pickle_give(pickle_machine *m, int32_t root, const pickle_taker *taker);

#endif
