#include "thaw/ckpt.h"

#include <string.h>

#include "thaw/h5.h"

/* What an entry looks like, behind its name with the ending 0. */
typedef struct form {
    int32_t dtype, ndim;
    int64_t dim[THAW_MAX_DIMS];
} form;

/* The names and shapes of a state as one run of bytes. */
static void list_entries(const thaw_state *state, thaw_str *out)
{
    for (int64_t i = 0; i < state->count; i++) {
        const thaw_entry *e = &state->entries[i];
        form f = {.dtype = (int32_t)e->tensor.dtype, .ndim = e->tensor.shape.ndim};
        memcpy(f.dim, e->tensor.shape.dim, sizeof f.dim);
        thaw_str_add_bytes(out, e->name, strlen(e->name) + 1);
        thaw_str_add_bytes(out, &f, sizeof f);
    }
}

static thaw_status make_entries(const char *list, int64_t bytes, thaw_state *state)
{
    for (int64_t at = 0; at < bytes;) { /* an empty list may be NULL */
        form f;
        const char *name = list + at;
        at += (int64_t)strlen(name) + 1;
        memcpy(&f, list + at, sizeof f);
        at += (int64_t)sizeof f;
        thaw_shape shape = thaw_shape_make(f.ndim, f.dim);
        THAW_TRY(thaw_state_add_new(state, name, (thaw_dtype)f.dtype, shape, NULL));
    }
    return THAW_OK;
}

thaw_status thaw_ckpt_bcast(thaw_comm *comm, int root, thaw_state *state)
{
    thaw_str list = {0};
    char *received = NULL;
    bool gives = thaw_comm_rank(comm) == root;
    if (gives)
        list_entries(state, &list);
    int64_t bytes = (int64_t)list.length;
    thaw_bcast(comm, root, &bytes, (int64_t)sizeof bytes);
    thaw_status status = thaw_agree(comm, gives ? THAW_OK : thaw_alloc(&received, bytes, 1));
    if (status != THAW_OK)
        goto done;
    thaw_bcast(comm, root, gives ? list.data : received, bytes);
    status = thaw_agree(comm, gives ? THAW_OK : make_entries(received, bytes, state));
    if (status != THAW_OK)
        goto done;
    for (int64_t i = 0; i < state->count; i++) {
        const thaw_tensor *t = &state->entries[i].tensor;
        thaw_bcast(comm, root, t->data, (int64_t)thaw_tensor_bytes(t));
    }
done:
    if (status != THAW_OK && !gives)
        thaw_state_clear(state);
    thaw_free(&received);
    thaw_str_clear(&list);
    return status;
}

static thaw_status load_named(const char *path, const char *const *names, thaw_state *state,
                              thaw_state *attributes)
{
    thaw_h5 *file = NULL;
    if (attributes != NULL)
        THAW_TRY(thaw_h5_load(path, NULL, NULL, attributes));
    THAW_TRY(thaw_h5_open(path, &file));
    thaw_status status = THAW_OK;
    for (; *names != NULL && status == THAW_OK; names++) {
        if (thaw_h5_is_dataset(file, *names))
            status = thaw_h5_read_entry(file, *names, state);
    }
    thaw_h5_close(&file);
    /* A damaged shape may come out as something that only a program can do wrong. */
    return status == THAW_ERR_FAIL ? thaw_fail_context(THAW_ERR_INPUT, "%s", path) : status;
}

/* What rank 0 has read becomes everybody's. */
static thaw_status hand_on(thaw_comm *comm, thaw_status status, thaw_state *state,
                           thaw_state *attributes)
{
    status = thaw_agree(comm, status);
    if (status == THAW_OK && state != NULL)
        status = thaw_ckpt_bcast(comm, 0, state);
    if (status == THAW_OK && attributes != NULL)
        status = thaw_ckpt_bcast(comm, 0, attributes);
    if (status != THAW_OK && state != NULL)
        thaw_state_clear(state);
    if (status != THAW_OK && attributes != NULL)
        thaw_state_clear(attributes);
    return status;
}

thaw_status thaw_ckpt_read(thaw_comm *comm, const char *path, thaw_state *state,
                           thaw_state *attributes)
{
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0)
        status = thaw_h5_load(path, NULL, state, attributes);
    return hand_on(comm, status, state, attributes);
}

thaw_status thaw_ckpt_read_named(thaw_comm *comm, const char *path, const char *const *names,
                                 thaw_state *state, thaw_state *attributes)
{
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0)
        status = load_named(path, names, state, attributes);
    return hand_on(comm, status, state, attributes);
}
