#include "ckpt/ckpt_impl.h"

/* Entries that no rank has whole: while rank 0 writes a file it fetches them one after another, in the order in which module h5 asks for them, and
 * the others go through the same list. */

static bool is_in_parts(const thaw_entry *e)
{
    return e->tensor.data == NULL;
}

thaw_status thaw_ckpt_gather_open(thaw_comm *comm, const thaw_state *state,
                                  const thaw_ckpt_parts *parts, thaw_ckpt_gather *out)
{
    size_t most = 0;
    *out = (thaw_ckpt_gather){.comm = comm, .parts = parts};
    if (parts == NULL) /* uniform */
        return THAW_OK;
    thaw_status status = thaw_state_sorted(state, &out->order);
    for (int64_t i = 0; i < state->count && status == THAW_OK; i++) {
        if (!is_in_parts(out->order[i]))
            continue;
        const size_t bytes = thaw_tensor_bytes(&out->order[i]->tensor);
        most = bytes > most ? bytes : most;
        out->order[out->count++] = out->order[i];
    }
    /* Once, so that nothing can fail between two fetches. */
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = thaw_alloc(&out->values, (int64_t)most, 1);
    status = thaw_agree(comm, status);
    if (status != THAW_OK)
        out->count = 0;
    return status;
}

static void fetch_next(thaw_ckpt_gather *g)
{
    const thaw_entry *e = g->order[g->next++];
    const int64_t size = (int64_t)thaw_dtype_bytes(e->tensor.dtype);
    thaw_beat("giving a tensor to the first rank");
    for (int rank = 0; rank < thaw_comm_size(g->comm); rank++) {
        int64_t begin;
        int64_t end;
        void *mine = NULL;
        g->parts->part(g->parts->context, e, rank, &begin, &end, &mine);
        char *to = g->values == NULL ? NULL : g->values + begin * size;
        thaw_fetch(g->comm, rank, mine, (end - begin) * size, to);
    }
}

static thaw_status give(void *context, const thaw_entry *entry, thaw_take_rows *take, void *to)
{
    thaw_ckpt_gather *g = context;
    THAW_ASSERT(g->next < g->count && g->order[g->next] == entry);
    fetch_next(g);
    if (thaw_tensor_count(&entry->tensor) == 0)
        return THAW_OK;
    return take(to, thaw_shape_rows(&entry->tensor.shape), g->values);
}

thaw_values thaw_ckpt_gather_values(thaw_ckpt_gather *g)
{
    return (thaw_values){.give = g->parts == NULL ? NULL : give, .context = g};
}

/* A write that failed has not asked for all. */
void thaw_ckpt_gather_close(thaw_ckpt_gather *g)
{
    while (g->next < g->count)
        fetch_next(g);
    thaw_free(&g->values);
    thaw_free(&g->order);
}
