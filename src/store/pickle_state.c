#include "store/pickle_impl.h"

/* What a pickle of a state dictionary came to: its tensors, in order. */

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

thaw_status pickle_walk(pickle_machine *m, const char *prefix, int32_t dict, int depth,
                        const pickle_taker *taker)
{
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    THAW_CHECK(depth < PICKLE_MOST_DEPTH, THAW_ERR_INPUT,
               "%s: dictionaries lie too deep in each other", m->name);
    for (int32_t at = m->values[dict].first; at >= 0 && status == THAW_OK;) {
        THAW_CHECK_TO(m->walked++ < PICKLE_MOST_VALUES, THAW_ERR_INPUT,
                      "%s: dictionaries that hold each other", m->name);
        const int32_t key = m->links[at].value;
        const int32_t item = m->links[m->links[at].next].value;
        at = m->links[m->links[at].next].next;
        if (!pickle_is(m, key, KIND_TEXT))
            continue;
        thaw_str_reset(&name);
        thaw_str_printf(&name, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", m->values[key].text);
        if (pickle_is(m, item, KIND_TENSOR))
            status = give_tensor(m, thaw_str_c(&name), item, taker);
        else if (pickle_is(m, item, KIND_DICT))
            status = pickle_walk(m, thaw_str_c(&name), item, depth + 1, taker);
    }
done:
    thaw_str_clear(&name);
    return status;
}

/* In doubles, so that no product overflows. A shape of zero elements is inside anyway. */
bool pickle_tensor_fits(const pickle_tensor *tensor)
{
    double last = (double)tensor->offset;
    double elements = 1;
    for (int32_t i = 0; i < tensor->shape.ndim; i++) {
        elements *= (double)tensor->shape.dim[i];
        last += ((double)tensor->shape.dim[i] - 1) * (double)tensor->stride[i];
    }
    return tensor->offset >= 0 &&
           (elements == 0 || (last < (double)tensor->storage_count && elements < 1e15));
}
