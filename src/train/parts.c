#include "train/parts_impl.h"

#include <string.h>

/* The optimizer in parts: rank r keeps the state of part r and updates its weights; then all give each other what they updated. */

/* Of all ranks' weights in one exchange: memory that does not grow with the network. */
#define EXCHANGE_ELEMENTS ((int64_t)1 << 20)

int32_t thaw_parts(const thaw_config *config, const thaw_comm *comm)
{
    return config->train.shard_optimizer ? thaw_comm_size(comm) : 1;
}

static int64_t part_size(const thaw_trainer *t, int32_t part)
{
    int64_t size = 0;
    for (int32_t i = 0; i < thaw_optimizer_count(t->optimizer); i++) {
        int64_t begin;
        int64_t end;
        thaw_optimizer_range(t->optimizer, i, part, &begin, &end);
        size += end - begin;
    }
    return size;
}

static int64_t largest_part(const thaw_trainer *t)
{
    int64_t most = 0;
    for (int32_t part = 0; part < t->parts; part++) {
        const int64_t size = part_size(t, part);
        most = size > most ? size : most;
    }
    return most;
}

thaw_status thaw_parts_open(thaw_trainer *t)
{
    if (t->parts == 1)
        return THAW_OK;
    t->part_most = largest_part(t);
    t->part_count = EXCHANGE_ELEMENTS / t->parts > 0 ? EXCHANGE_ELEMENTS / t->parts : 1;
    t->part_count = t->part_count < t->part_most ? t->part_count : t->part_most;
    THAW_TRY(thaw_alloc(&t->part_own, t->part_count, sizeof *t->part_own));
    return thaw_alloc(&t->part_all, t->parts * t->part_count, sizeof *t->part_all);
}

int64_t thaw_parts_bytes(const thaw_trainer *t)
{
    return t->parts == 1 ? 0 : (t->parts + 1) * t->part_count * (int64_t)sizeof(float);
}

/* Elements [at, at + n) of a part, as far as it has them, into the buffer or out of it. */
static void copy_run(const thaw_trainer *t, int32_t part, int64_t at, int64_t n, float *buffer,
                     bool in)
{
    int64_t before = 0;
    for (int32_t i = 0; i < thaw_optimizer_count(t->optimizer) && before < at + n; i++) {
        int64_t begin;
        int64_t end;
        thaw_optimizer_range(t->optimizer, i, part, &begin, &end);
        const int64_t first = at > before ? at - before : 0;
        const int64_t past = at + n - before < end - begin ? at + n - before : end - begin;
        if (first < past) {
            float *weights = thaw_optimizer_tensor(t->optimizer, i) + begin + first;
            float *place = buffer + (before + first - at);
            const size_t bytes = (size_t)(past - first) * sizeof(float);
            memcpy(in ? place : weights, in ? weights : place, bytes);
        }
        before += end - begin;
    }
}

void thaw_parts_exchange(thaw_trainer *t, thaw_comm *comm)
{
    const int64_t before = thaw_comm_count(comm).gather_bytes;
    for (int64_t at = 0; t->parts > 1 && at < t->part_most; at += t->part_count) {
        const int64_t left = t->part_most - at;
        const int64_t n = left < t->part_count ? left : t->part_count;
        copy_run(t, thaw_comm_rank(comm), at, n, t->part_own, true);
        thaw_allgather(comm, t->part_own, n * (int64_t)sizeof(float), t->part_all);
        for (int32_t part = 0; part < t->parts; part++) {
            if (part != thaw_comm_rank(comm))
                copy_run(t, part, at, n, t->part_all + part * n, false);
        }
    }
    t->gathered_bytes = thaw_comm_count(comm).gather_bytes - before;
}

/* ---- Checkpoints -------------------------------------------------------------------------------------------- */

/* A thaw_ckpt_parts.part. */
static void part_of(void *context, const thaw_entry *entry, int rank, int64_t *begin, int64_t *end,
                    void **data)
{
    const thaw_parts_view *view = context;
    const thaw_trainer *t = view->trainer;
    const int64_t at = entry - view->state->entries - view->first;
    int32_t tensor;
    THAW_ASSERT(at > 0);
    *data = thaw_optimizer_kept(t->optimizer, at, &tensor);
    thaw_optimizer_range(t->optimizer, tensor, rank, begin, end);
}

thaw_status thaw_parts_add(thaw_trainer *t, thaw_state *state, thaw_parts_view *out)
{
    *out = (thaw_parts_view){.trainer = t, .state = state, .first = state->count};
    out->parts = (thaw_ckpt_parts){.part = part_of, .context = out};
    return thaw_optimizer_state(t->optimizer, state);
}

const thaw_ckpt_parts *thaw_parts_in(const thaw_parts_view *view)
{
    return view->trainer->parts > 1 ? &view->parts : NULL;
}

/* ---- From one list of tensors to another ------------------------------------------------------------------------ */

/* Elements [at, at + n) of a tensor into the part [begin, end) of it, as far as they meet. */
static void copy_overlap(const float *values, int64_t at, int64_t n, int64_t begin, int64_t end,
                         float *part)
{
    const int64_t first = at > begin ? at : begin;
    const int64_t past = at + n < end ? at + n : end;
    if (first < past)
        memcpy(part + (first - begin), values + (first - at),
               (size_t)(past - first) * sizeof(float));
}

/* One entry: its old parts go round one after another, and each rank takes what is in its new one. */
static void move_entry(thaw_trainer *t, thaw_comm *comm, const thaw_optimizer *from, int64_t old,
                       int64_t new)
{
    const int64_t room = t->parts * t->part_count;
    int32_t was;
    int32_t is;
    const float *had = thaw_optimizer_kept(from, old, &was);
    float *keeps = thaw_optimizer_kept(t->optimizer, new, &is);
    int64_t begin;
    int64_t end;
    thaw_optimizer_range(t->optimizer, is, thaw_comm_rank(comm), &begin, &end);
    for (int32_t part = 0; part < t->parts; part++) {
        int64_t first;
        int64_t past;
        thaw_optimizer_range(from, was, part, &first, &past);
        for (int64_t at = first; at < past; at += room) {
            const int64_t n = past - at < room ? past - at : room;
            if (part == thaw_comm_rank(comm))
                memcpy(t->part_all, had + (at - first), (size_t)n * sizeof(float));
            thaw_bcast(comm, part, t->part_all, n * (int64_t)sizeof(float));
            copy_overlap(t->part_all, at, n, begin, end, keeps);
        }
    }
}

static int64_t index_of(const thaw_state *state, const char *name)
{
    for (int64_t i = 0; i < state->count; i++) {
        if (strcmp(state->entries[i].name, name) == 0)
            return i;
    }
    return -1;
}

thaw_status thaw_parts_move(thaw_trainer *t, thaw_comm *comm, thaw_optimizer *from)
{
    thaw_state before = {0};
    thaw_state now = {0};
    thaw_status status = thaw_optimizer_state(from, &before);
    if (status == THAW_OK)
        status = thaw_optimizer_state(t->optimizer, &now);
    THAW_TRY_TO(thaw_agree(comm, status));
    memcpy(now.entries[0].tensor.data, before.entries[0].tensor.data, sizeof(int64_t));
    for (int64_t i = 1; i < now.count; i++) {
        const int64_t old = index_of(&before, now.entries[i].name);
        if (old > 0) /* uniform */
            move_entry(t, comm, from, old, i);
    }
done:
    thaw_state_clear(&now);
    thaw_state_clear(&before);
    return status;
}
