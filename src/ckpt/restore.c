#include "thaw/ckpt.h"

#include "thaw/h5.h"

/* The values of entries, from a file into the memory where they are used: rank 0 reads them one after another, in the order of names, and each
 * rank gets what is its own of each. */

typedef struct restore {
    thaw_comm *comm;
    const thaw_ckpt_parts *parts;
    thaw_h5 *file;            /* on rank 0 */
    const thaw_entry **order; /* by name */
    char *values;             /* of one entry that no rank has whole; on rank 0 */
} restore;

static thaw_status make_room(const thaw_state *into, char **out)
{
    size_t most = 0;
    for (int64_t i = 0; i < into->count; i++) {
        const size_t bytes = thaw_tensor_bytes(&into->entries[i].tensor);
        if (into->entries[i].tensor.data == NULL && bytes > most)
            most = bytes;
    }
    return most > 0 ? thaw_alloc(out, (int64_t)most, 1) : THAW_OK;
}

static void hand_out(const restore *r, const thaw_entry *e)
{
    const int64_t size = (int64_t)thaw_dtype_bytes(e->tensor.dtype);
    for (int rank = 0; rank < thaw_comm_size(r->comm); rank++) {
        int64_t begin;
        int64_t end;
        void *mine = NULL;
        r->parts->part(r->parts->context, e, rank, &begin, &end, &mine);
        const char *from = r->values == NULL ? NULL : r->values + begin * size;
        thaw_give(r->comm, rank, from, (end - begin) * size, mine);
    }
}

/* Whether it was read is agreed on before anybody gets it, so that a file that is damaged ends all at the same entry. */
static thaw_status restore_entry(const restore *r, const thaw_entry *e)
{
    thaw_status status = THAW_OK;
    const bool in_parts = e->tensor.data == NULL;
    thaw_beat("reading a tensor of a checkpoint");
    if (r->file != NULL)
        status = thaw_h5_read_into(r->file, e, in_parts ? r->values : e->tensor.data);
    THAW_TRY(thaw_agree(r->comm, status));
    if (thaw_tensor_bytes(&e->tensor) == 0)
        return THAW_OK;
    if (in_parts)
        hand_out(r, e);
    else
        thaw_bcast(r->comm, 0, e->tensor.data, (int64_t)thaw_tensor_bytes(&e->tensor));
    return THAW_OK;
}

thaw_status thaw_ckpt_restore(thaw_comm *comm, const char *path, thaw_state *into,
                              const thaw_ckpt_parts *parts)
{
    restore r = {.comm = comm, .parts = parts};
    thaw_status status = thaw_state_sorted(into, &r.order);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = make_room(into, &r.values);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = thaw_h5_open(path, &r.file);
    status = thaw_agree(comm, status);
    for (int64_t i = 0; i < into->count && status == THAW_OK; i++)
        status = restore_entry(&r, r.order[i]);
    thaw_h5_close(&r.file);
    thaw_free(&r.values);
    thaw_free(&r.order);
    return status;
}
