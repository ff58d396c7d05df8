#include "store/pickle_impl.h"

/* What a pickle came to: the tensors of a state dictionary in order, its storages, or the texts and flags of old files. */

static thaw_status numbers_of(const pickle_machine *m, int32_t list, int64_t *out, int32_t *count)
{
    *count = m->values[list].count;
    THAW_CHECK(*count <= THAW_MAX_DIMS, THAW_ERR_INPUT,
               "%s: a tensor of %d dimensions; at most %d are possible", m->name, (int)*count,
               THAW_MAX_DIMS);
    for (int32_t i = 0; i < *count; i++) {
        const int32_t item = pickle_item(m, list, i);
        THAW_CHECK(pickle_is(m, item, KIND_INT) && m->values[item].number >= 0, THAW_ERR_INPUT,
                   "%s: a shape or stride that is no number", m->name);
        out[i] = m->values[item].number;
    }
    return THAW_OK;
}

static thaw_status give_tensor(const pickle_machine *m, const char *name, int32_t index,
                               const pickle_taker *taker)
{
    const int32_t arguments = m->values[index].first;
    const pickle_value *storage = &m->values[pickle_item(m, arguments, 0)];
    int32_t strides = 0;
    pickle_tensor t = {.name = name,
                       .storage_type = storage->text,
                       .storage = m->values[storage->first].text,
                       .storage_count = storage->number,
                       .offset = m->values[pickle_item(m, arguments, 1)].number};
    THAW_TRY(numbers_of(m, pickle_item(m, arguments, 2), t.shape.dim, &t.shape.ndim));
    THAW_TRY(numbers_of(m, pickle_item(m, arguments, 3), t.stride, &strides));
    THAW_CHECK(strides == t.shape.ndim, THAW_ERR_INPUT, "%s: '%s' has %d dimensions and %d strides",
               m->name, name, (int)t.shape.ndim, (int)strides);
    return taker->tensor(taker->context, &t);
}

/* Tensors of a dictionary and of dictionaries in it, names joined by dots; all else is left. A dictionary under two names would make
 * a small file a large list, and one within itself an endless one. */
static thaw_status walk(pickle_machine *m, const char *prefix, int32_t dict, int depth,
                        const pickle_taker *taker)
{
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    THAW_CHECK(depth < PICKLE_MOST_DEPTH, THAW_ERR_INPUT,
               "%s: dictionaries lie too deep in each other", m->name);
    THAW_CHECK(
        !m->values[dict].walked, THAW_ERR_INPUT,
        "%s: the dictionary '%s' is there already; dictionaries that hold each other, or one "
        "under two names, are not read",
        m->name, prefix);
    m->values[dict].walked = true;
    for (int32_t at = m->values[dict].first; at >= 0 && status == THAW_OK;) {
        const int32_t key = m->links[at].value;
        const int32_t item = m->links[m->links[at].next].value;
        at = m->links[m->links[at].next].next;
        if (!pickle_is(m, key, KIND_TEXT))
            continue;
        thaw_str_reset(&name);
        thaw_str_printf(&name, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", m->values[key].text);
        THAW_CHECK_TO(name.length <= PICKLE_MOST_NAME, THAW_ERR_INPUT,
                      "%s: a name of %zu bytes ('%.40s...'); at most %d are possible", m->name,
                      name.length, thaw_str_c(&name), PICKLE_MOST_NAME);
        if (pickle_is(m, item, KIND_TENSOR))
            status = give_tensor(m, thaw_str_c(&name), item, taker);
        else if (pickle_is(m, item, KIND_DICT))
            status = walk(m, thaw_str_c(&name), item, depth + 1, taker);
    }
done:
    thaw_str_clear(&name);
    return status;
}

/* In doubles, so that no product overflows. */
bool pickle_tensor_fits(const pickle_tensor *tensor)
{
    double last = (double)tensor->offset;
    bool empty = false;
    for (int32_t i = 0; i < tensor->shape.ndim; i++) {
        empty = empty || tensor->shape.dim[i] == 0;
        last += ((double)tensor->shape.dim[i] - 1) * (double)tensor->stride[i];
    }
    return tensor->offset >= 0 && tensor->offset <= tensor->storage_count &&
           (empty || last < (double)tensor->storage_count);
}

static thaw_status give_storages(const pickle_machine *m, const pickle_taker *taker)
{
    for (int64_t i = 0; i < m->value_count; i++) {
        const pickle_value *v = &m->values[i];
        if (v->kind == KIND_STORAGE)
            THAW_TRY(taker->storage(taker->context, v->text, m->values[v->first].text, v->number));
    }
    return THAW_OK;
}

static thaw_status give_texts(const pickle_machine *m, int32_t list, const pickle_taker *taker)
{
    for (int32_t at = m->values[list].first; at >= 0; at = m->links[at].next) {
        THAW_CHECK(pickle_is(m, m->links[at].value, KIND_TEXT), THAW_ERR_INPUT,
                   "%s: a list of texts with something else in it", m->name);
        THAW_TRY(taker->text(taker->context, m->values[m->links[at].value].text));
    }
    return THAW_OK;
}

static thaw_status give_flags(const pickle_machine *m, int32_t dict, const pickle_taker *taker)
{
    for (int32_t at = m->values[dict].first; at >= 0;) {
        const int32_t key = m->links[at].value;
        const int32_t item = m->links[m->links[at].next].value;
        at = m->links[m->links[at].next].next;
        if (pickle_is(m, key, KIND_TEXT) && pickle_is(m, item, KIND_BOOL))
            THAW_TRY(taker->flag(taker->context, m->values[key].text, m->values[item].number != 0));
    }
    return THAW_OK;
}

thaw_status pickle_give(pickle_machine *m, int32_t root, const pickle_taker *taker)
{
    THAW_CHECK(taker->tensor == NULL || pickle_is(m, root, KIND_DICT), THAW_ERR_INPUT,
               "%s: it holds no dictionary of tensors; save the state_dict", m->name);
    THAW_CHECK(taker->text == NULL || pickle_is(m, root, KIND_LIST), THAW_ERR_INPUT,
               "%s: the keys of its storages are no list", m->name);
    if (taker->tensor != NULL)
        THAW_TRY(walk(m, "", root, 0, taker));
    if (taker->storage != NULL)
        THAW_TRY(give_storages(m, taker));
    if (taker->text != NULL)
        THAW_TRY(give_texts(m, root, taker));
    if (taker->flag != NULL && pickle_is(m, root, KIND_DICT))
        THAW_TRY(give_flags(m, root, taker));
    return THAW_OK;
}
