#include "store/pickle_impl.h"

#include <string.h>

/* A pickle is a program for a machine with a stack and a memo. This machine knows dictionaries, lists, tuples, texts and numbers, and the
 * few names that a state dictionary of tensors needs; it builds values and runs nothing. Any other opcode or name ends it.
 *   Source: Python's pickletools; protocols 2 to 5. */

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static thaw_status new_value(pickle_machine *m, pickle_value v, int32_t *out)
{
    THAW_CHECK(m->value_count < PICKLE_MOST_VALUES, THAW_ERR_INPUT, "%s: more than %d values",
               m->name, PICKLE_MOST_VALUES);
    THAW_TRY(weights_grow((void **)&m->values, &m->value_capacity, m->value_count + 1,
                          sizeof *m->values));
    *out = (int32_t)m->value_count;
    m->values[m->value_count++] = v;
    return THAW_OK;
}

static thaw_status push_index(pickle_machine *m, int32_t index)
{
    THAW_TRY(weights_grow((void **)&m->stack, &m->stack_capacity, m->depth + 1, sizeof *m->stack));
    m->stack[m->depth++] = index;
    return THAW_OK;
}

static thaw_status push(pickle_machine *m, pickle_value v)
{
    int32_t index = 0;
    THAW_TRY(new_value(m, v, &index));
    return push_index(m, index);
}

static thaw_status keep_text(pickle_machine *m, const uint8_t *from, size_t length,
                             const char **out)
{
    char *text = NULL;
    THAW_CHECK(memchr(from, 0, length) == NULL, THAW_ERR_INPUT,
               "%s: a text with a zero byte at %zu", m->name, m->at);
    THAW_TRY(weights_grow((void **)&m->texts.items, &m->text_capacity, m->texts.count + 1,
                          sizeof *m->texts.items));
    THAW_TRY(thaw_alloc(&text, (int64_t)length + 1, 1));
    memcpy(text, from, length);
    m->texts.items[m->texts.count++] = text;
    *out = text;
    return THAW_OK;
}

static void clear(pickle_machine *m)
{
    for (int64_t i = 0; i < m->texts.count; i++)
        thaw_free(&m->texts.items[i]);
    thaw_free(&m->texts.items);
    thaw_free(&m->values);
    thaw_free(&m->links);
    thaw_free(&m->stack);
    thaw_free(&m->marks);
    thaw_free(&m->memo);
}

/* ---- Input ------------------------------------------------------------------------------------------------------- */

static thaw_status take(pickle_machine *m, size_t count, const uint8_t **out)
{
    THAW_CHECK(count <= m->size - m->at, THAW_ERR_INPUT, "%s: ends in the middle, at byte %zu",
               m->name, m->size);
    *out = m->bytes + m->at;
    m->at += count;
    return THAW_OK;
}

static thaw_status take_number(pickle_machine *m, size_t bytes, uint64_t *out)
{
    const uint8_t *from = NULL;
    THAW_TRY(take(m, bytes, &from));
    *out = 0;
    for (size_t i = bytes; i-- > 0;)
        *out = *out << 8 | from[i];
    return THAW_OK;
}

static thaw_status take_text(pickle_machine *m, size_t length_bytes, const char **out)
{
    uint64_t length = 0;
    const uint8_t *from = NULL;
    THAW_TRY(take_number(m, length_bytes, &length));
    THAW_CHECK(length <= m->size - m->at, THAW_ERR_INPUT, "%s: a text of %llu bytes at byte %zu",
               m->name, (unsigned long long)length, m->at);
    THAW_TRY(take(m, (size_t)length, &from));
    return keep_text(m, from, (size_t)length, out);
}

static thaw_status take_line(pickle_machine *m, const char **out)
{
    const uint8_t *from = m->bytes + m->at;
    const uint8_t *end = memchr(from, '\n', m->size - m->at);
    THAW_CHECK(end != NULL, THAW_ERR_INPUT, "%s: a name without end at byte %zu", m->name, m->at);
    m->at += (size_t)(end - from) + 1;
    return keep_text(m, from, (size_t)(end - from), out);
}

/* ---- The stack ----------------------------------------------------------------------------------------------------- */

static int64_t floor_of(const pickle_machine *m)
{
    return m->mark_count > 0 ? m->marks[m->mark_count - 1] : 0;
}

static thaw_status pop(pickle_machine *m, int32_t *out)
{
    THAW_CHECK(m->depth > floor_of(m), THAW_ERR_INPUT, "%s: byte %zu takes from an empty stack",
               m->name, m->at);
    *out = m->stack[--m->depth];
    return THAW_OK;
}

static thaw_status pop_mark(pickle_machine *m, int64_t *first)
{
    THAW_CHECK(m->mark_count > 0, THAW_ERR_INPUT, "%s: no mark at byte %zu", m->name, m->at);
    *first = m->marks[--m->mark_count];
    return THAW_OK;
}

static thaw_status add_item(pickle_machine *m, int32_t to, int32_t item)
{
    THAW_CHECK(m->link_count < PICKLE_MOST_VALUES, THAW_ERR_INPUT, "%s: more than %d items",
               m->name, PICKLE_MOST_VALUES);
    THAW_TRY(
        weights_grow((void **)&m->links, &m->link_capacity, m->link_count + 1, sizeof *m->links));
    const int32_t at = (int32_t)m->link_count++;
    m->links[at] = (pickle_link){item, -1};
    pickle_value *list = &m->values[to];
    if (list->last >= 0)
        m->links[list->last].next = at;
    else
        list->first = at;
    list->last = at;
    list->count++;
    return THAW_OK;
}

/* Stack items from `first` on become items of value `to`. */
static thaw_status gather(pickle_machine *m, int64_t first, int32_t to)
{
    for (int64_t i = first; i < m->depth; i++)
        THAW_TRY(add_item(m, to, m->stack[i]));
    m->depth = first;
    return THAW_OK;
}

static thaw_status make_tuple(pickle_machine *m, int64_t first)
{
    int32_t index = 0;
    THAW_CHECK(first >= floor_of(m), THAW_ERR_INPUT, "%s: too few values for a tuple at byte %zu",
               m->name, m->at);
    THAW_TRY(new_value(m, (pickle_value){.kind = KIND_LIST, .first = -1, .last = -1}, &index));
    THAW_TRY(gather(m, first, index));
    return push_index(m, index);
}

/* The items above the mark, into the list or dictionary below it. */
static thaw_status extend(pickle_machine *m, int64_t first, pickle_kind wanted)
{
    THAW_CHECK(first > floor_of(m), THAW_ERR_INPUT, "%s: nothing to add to at byte %zu", m->name,
               m->at);
    const int32_t to = m->stack[first - 1];
    THAW_CHECK(m->values[to].kind == wanted && (wanted != KIND_DICT || (m->depth - first) % 2 == 0),
               THAW_ERR_INPUT, "%s: items for something that takes none at byte %zu", m->name,
               m->at);
    return gather(m, first, to);
}

/* ---- Names, storages, tensors --------------------------------------------------------------------------------------- */

static const char *const known_names[] = {
    "collections OrderedDict",         "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
    "torch.nn.parameter Parameter",    "torch Size",
};

static bool is_storage(const char *name)
{
    return strncmp(name, "torch ", 6) == 0 && weights_type_of_storage(name + 6) != NULL;
}

static thaw_status push_name(pickle_machine *m, const char *module, const char *what)
{
    char name[160];
    bool known = thaw_format(name, sizeof name, "%s %s", module, what) && is_storage(name);
    for (size_t i = 0; !known && i < sizeof known_names / sizeof *known_names; i++)
        known = strcmp(known_names[i], name) == 0;
    THAW_CHECK(known, THAW_ERR_INPUT,
               "%s: it needs %s.%s, which is no part of plain weights and is not run; save the "
               "state_dict alone",
               m->name, module, what);
    const char *kept = NULL;
    THAW_TRY(keep_text(m, (const uint8_t *)name, strlen(name), &kept));
    return push(m, (pickle_value){.kind = KIND_NAME, .text = kept});
}

int32_t pickle_item(const pickle_machine *m, int32_t list, int32_t position)
{
    int32_t at = pickle_is(m, list, KIND_LIST) ? m->values[list].first : -1;
    for (int32_t i = 0; i < position && at >= 0; i++)
        at = m->links[at].next;
    return at < 0 ? -1 : m->links[at].value;
}

bool pickle_is(const pickle_machine *m, int32_t index, pickle_kind wanted)
{
    return index >= 0 && m->values[index].kind == wanted;
}

/* ("storage", type, key, device, count) */
static thaw_status push_storage(pickle_machine *m, int32_t tuple)
{
    const int32_t type = pickle_item(m, tuple, 1);
    const int32_t key = pickle_item(m, tuple, 2);
    const int32_t count = pickle_item(m, tuple, 4);
    const int32_t view = pickle_item(m, tuple, 5); /* of old files; new ones have none */
    THAW_CHECK(pickle_is(m, tuple, KIND_LIST) &&
                   pickle_is(m, pickle_item(m, tuple, 0), KIND_TEXT) &&
                   strcmp(m->values[pickle_item(m, tuple, 0)].text, "storage") == 0 &&
                   pickle_is(m, type, KIND_NAME) && is_storage(m->values[type].text) &&
                   pickle_is(m, key, KIND_TEXT) && pickle_is(m, count, KIND_INT) &&
                   m->values[count].number >= 0 && (view < 0 || pickle_is(m, view, KIND_NONE)),
               THAW_ERR_INPUT, "%s: no storage of a tensor at byte %zu", m->name, m->at);
    return push(m, (pickle_value){.kind = KIND_STORAGE,
                                  .text = m->values[type].text + 6,
                                  .number = m->values[count].number,
                                  .first = key,
                                  .last = -1});
}

/* A dictionary with the items of a list of pairs: Python 2 gives them to the call. No argument: an empty one. */
static thaw_status make_dict(pickle_machine *m, int32_t arguments)
{
    int32_t index = 0;
    const int32_t pairs = pickle_item(m, arguments, 0);
    THAW_CHECK(m->values[arguments].count == (pairs >= 0) &&
                   (pairs < 0 || pickle_is(m, pairs, KIND_LIST)),
               THAW_ERR_INPUT, "%s: collections.OrderedDict with unusual arguments at byte %zu",
               m->name, m->at);
    THAW_TRY(new_value(m, (pickle_value){.kind = KIND_DICT, .first = -1, .last = -1}, &index));
    for (int32_t at = pairs < 0 ? -1 : m->values[pairs].first; at >= 0; at = m->links[at].next) {
        const int32_t pair = m->links[at].value;
        THAW_CHECK(pickle_is(m, pair, KIND_LIST) && m->values[pair].count == 2, THAW_ERR_INPUT,
                   "%s: an item of a dictionary that is no pair, at byte %zu", m->name, m->at);
        THAW_TRY(add_item(m, index, pickle_item(m, pair, 0)));
        THAW_TRY(add_item(m, index, pickle_item(m, pair, 1)));
    }
    return push_index(m, index);
}

/* A call: only those that make values. (storage, offset, shape, stride, ...) is a tensor; a parameter is its tensor. */
static thaw_status call(pickle_machine *m)
{
    int32_t arguments;
    int32_t function;
    THAW_TRY(pop(m, &arguments));
    THAW_TRY(pop(m, &function));
    THAW_CHECK(pickle_is(m, function, KIND_NAME) && pickle_is(m, arguments, KIND_LIST),
               THAW_ERR_INPUT, "%s: a call of something else at byte %zu", m->name, m->at);
    const char *name = m->values[function].text;
    if (strcmp(name, "collections OrderedDict") == 0)
        return make_dict(m, arguments);
    const int32_t first = pickle_item(m, arguments, 0);
    if (strcmp(name, "torch._utils _rebuild_parameter") == 0 && pickle_is(m, first, KIND_TENSOR))
        return push_index(m, first);
    if (strcmp(name, "torch Size") == 0 && pickle_is(m, first, KIND_LIST))
        return push_index(m, first);
    THAW_CHECK(thaw_starts_with(name, "torch._utils _rebuild_tensor") &&
                   pickle_is(m, first, KIND_STORAGE) &&
                   pickle_is(m, pickle_item(m, arguments, 1), KIND_INT) &&
                   pickle_is(m, pickle_item(m, arguments, 2), KIND_LIST) &&
                   pickle_is(m, pickle_item(m, arguments, 3), KIND_LIST),
               THAW_ERR_INPUT, "%s: %s with unusual arguments at byte %zu", m->name, name, m->at);
    return push(m, (pickle_value){.kind = KIND_TENSOR, .first = arguments, .last = -1});
}

/* ---- The program ---------------------------------------------------------------------------------------------------- */

static thaw_status put(pickle_machine *m, uint64_t at)
{
    THAW_CHECK(m->depth > floor_of(m) && at < PICKLE_MOST_VALUES, THAW_ERR_INPUT,
               "%s: nothing to remember at byte %zu", m->name, m->at);
    const int64_t before = m->memo_capacity;
    THAW_TRY(weights_grow((void **)&m->memo, &m->memo_capacity, (int64_t)at + 1, sizeof *m->memo));
    for (int64_t i = before; i < m->memo_capacity; i++)
        m->memo[i] = -1;
    m->memo[at] = m->stack[m->depth - 1];
    m->memo_count++;
    return THAW_OK;
}

static thaw_status get(pickle_machine *m, uint64_t at)
{
    THAW_CHECK((int64_t)at < m->memo_capacity && m->memo[at] >= 0, THAW_ERR_INPUT,
               "%s: byte %zu recalls what was not remembered", m->name, m->at);
    return push_index(m, m->memo[at]);
}

static thaw_status push_mark(pickle_machine *m)
{
    THAW_TRY(
        weights_grow((void **)&m->marks, &m->mark_capacity, m->mark_count + 1, sizeof *m->marks));
    m->marks[m->mark_count++] = m->depth;
    return THAW_OK;
}

static thaw_status push_long(pickle_machine *m, size_t length_bytes)
{
    uint64_t length = 0;
    uint64_t number = 0;
    THAW_TRY(take_number(m, length_bytes, &length));
    const uint8_t *rest = NULL;
    THAW_CHECK(length <= 16, THAW_ERR_INPUT, "%s: a number of %llu bytes at byte %zu", m->name,
               (unsigned long long)length, m->at);
    THAW_TRY(take_number(m, length < 8 ? (size_t)length : 8, &number));
    if (length > 8) /* the magic number of old files, which is looked at before */
        THAW_TRY(take(m, (size_t)length - 8, &rest));
    if (length > 0 && length < 8 && number >> (8 * length - 1) != 0)
        number |= ~UINT64_C(0) << 8 * length;
    return push(m, (pickle_value){.kind = KIND_INT, .number = (int64_t)number});
}

static thaw_status push_text(pickle_machine *m, size_t length_bytes)
{
    const char *text = NULL;
    THAW_TRY(take_text(m, length_bytes, &text));
    return push(m, (pickle_value){.kind = KIND_TEXT, .text = text});
}

static thaw_status push_int(pickle_machine *m, size_t bytes)
{
    uint64_t number = 0;
    THAW_TRY(take_number(m, bytes, &number));
    return push(m,
                (pickle_value){.kind = KIND_INT,
                               .number = bytes == 4 ? (int32_t)(uint32_t)number : (int64_t)number});
}

/* Names: by two lines, or by two texts on the stack. */
static thaw_status name_by_lines(pickle_machine *m)
{
    const char *module = NULL;
    const char *what = NULL;
    THAW_TRY(take_line(m, &module));
    THAW_TRY(take_line(m, &what));
    return push_name(m, module, what);
}

static thaw_status name_by_stack(pickle_machine *m)
{
    int32_t what;
    int32_t module;
    THAW_TRY(pop(m, &what));
    THAW_TRY(pop(m, &module));
    THAW_CHECK(pickle_is(m, what, KIND_TEXT) && pickle_is(m, module, KIND_TEXT), THAW_ERR_INPUT,
               "%s: a name that is no text at byte %zu", m->name, m->at);
    return push_name(m, m->values[module].text, m->values[what].text);
}

static thaw_status set_item(pickle_machine *m)
{
    THAW_CHECK(m->depth - floor_of(m) >= 3, THAW_ERR_INPUT,
               "%s: too few values for an item at byte %zu", m->name, m->at);
    return extend(m, m->depth - 2, KIND_DICT);
}

/* What numbers and texts take. */
static thaw_status step_value(pickle_machine *m, uint8_t code, bool *known)
{
    const uint8_t *skipped = NULL;
    switch (code) {
    case 'N':
        return push(m, (pickle_value){.kind = KIND_NONE});
    case 0x88:
    case 0x89:
        return push(m, (pickle_value){.kind = KIND_BOOL, .number = code == 0x88});
    case 'J':
        return push_int(m, 4);
    case 'K':
        return push_int(m, 1);
    case 'M':
        return push_int(m, 2);
    case 0x8a:
        return push_long(m, 1);
    case 'G':
        THAW_TRY(take(m, 8, &skipped));
        return push(m, (pickle_value){.kind = KIND_FLOAT});
    case 'X':
    case 'T':
        return push_text(m, 4);
    case 0x8c:
    case 'U':
        return push_text(m, 1);
    case 0x8d:
        return push_text(m, 8);
    default:
        *known = false;
        return THAW_OK;
    }
}

/* Opcodes without a value of their own: the memo, names, calls. */
static thaw_status step_other(pickle_machine *m, uint8_t code)
{
    uint64_t number = 0;
    int32_t dropped = 0;
    const bool wide = code == 'r' || code == 'j';
    switch (code) {
    case 'q':
    case 'r':
        THAW_TRY(take_number(m, wide ? 4 : 1, &number));
        return put(m, number);
    case 0x94:
        return put(m, (uint64_t)m->memo_count);
    case 'h':
    case 'j':
        THAW_TRY(take_number(m, wide ? 4 : 1, &number));
        return get(m, number);
    case 'c':
        return name_by_lines(m);
    case 0x93:
        return name_by_stack(m);
    case 'Q':
        THAW_TRY(pop(m, &dropped));
        return push_storage(m, dropped);
    case 'R':
        return call(m);
    case 'b': /* attributes of a dictionary: versions of modules */
    case '0':
        return pop(m, &dropped);
    default:
        return THAW_FAIL(THAW_ERR_INPUT,
                         "%s: the opcode 0x%02x at byte %zu is none that plain weights need",
                         m->name, code, m->at - 1);
    }
}

static thaw_status step(pickle_machine *m, uint8_t code)
{
    int64_t first = 0;
    uint64_t number = 0;
    switch (code) {
    case 0x80: /* protocol */
        return take_number(m, 1, &number);
    case 0x95: /* frame */
        return take_number(m, 8, &number);
    case '(':
        return push_mark(m);
    case '}':
        return push(m, (pickle_value){.kind = KIND_DICT, .first = -1, .last = -1});
    case ']':
    case ')':
        return push(m, (pickle_value){.kind = KIND_LIST, .first = -1, .last = -1});
    case 't':
        THAW_TRY(pop_mark(m, &first));
        return make_tuple(m, first);
    case 0x85:
    case 0x86:
    case 0x87:
        return make_tuple(m, m->depth - (code - 0x84));
    case 'a':
        return extend(m, m->depth - 1, KIND_LIST);
    case 'e':
    case 'u':
        THAW_TRY(pop_mark(m, &first));
        return extend(m, first, code == 'e' ? KIND_LIST : KIND_DICT);
    case 's':
        return set_item(m);
    default: {
        bool known = true;
        THAW_TRY(step_value(m, code, &known));
        return known ? THAW_OK : step_other(m, code);
    }
    }
}

static thaw_status run(pickle_machine *m)
{
    for (;;) {
        const uint8_t *code = NULL;
        THAW_TRY(take(m, 1, &code));
        if (*code == '.')
            return THAW_OK;
        THAW_TRY(step(m, *code));
    }
}

thaw_status weights_unpickle(const char *name, const uint8_t *bytes, size_t size, size_t *at,
                             const pickle_taker *taker)
{
    pickle_machine m = {.name = name, .bytes = bytes, .size = size, .at = *at};
    int32_t root = -1;
    thaw_status status;
    THAW_TRY_TO(run(&m));
    THAW_TRY_TO(pop(&m, &root));
    *at = m.at;
    status = pickle_give(&m, root, taker);
done:
    clear(&m);
    return status;
}
