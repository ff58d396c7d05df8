#include "graph/memory_impl.h"

#include <string.h>

/* A cache line; every buffer starts on one. */
#define ALIGNMENT 64

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool live_together(const thaw_span *a, const thaw_span *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Lowest offset where `span` meets none of the placed spans it lives with. `placed` is in order of offset, so that one
 * sweep finds the first gap. */
static size_t first_fit(const thaw_span *spans, const int32_t *placed, int32_t placed_count,
                        const thaw_span *span)
{
    size_t offset = 0;
    size_t bytes = rounded(span->bytes);
    for (int32_t i = 0; i < placed_count; i++) {
        const thaw_span *other = &spans[placed[i]];
        if (!live_together(span, other))
            continue;
        if (offset + bytes <= other->offset)
            return offset;
        size_t end = other->offset + rounded(other->bytes);
        if (end > offset)
            offset = end;
    }
    return offset;
}

static void insert_by_offset(const thaw_span *spans, int32_t *placed, int32_t placed_count,
                             int32_t which)
{
    int32_t at = placed_count;
    while (at > 0 && spans[placed[at - 1]].offset > spans[which].offset) {
        placed[at] = placed[at - 1];
        at--;
    }
    placed[at] = which;
}

/* Places all spans in the given order; returns the bytes used. */
static size_t place(thaw_span *spans, const int32_t *order, int32_t count, int32_t *placed)
{
    size_t used = 0;
    for (int32_t i = 0; i < count; i++) {
        thaw_span *span = &spans[order[i]];
        span->offset = first_fit(spans, placed, i, span);
        insert_by_offset(spans, placed, i, order[i]);
        size_t end = span->offset + rounded(span->bytes);
        used = end > used ? end : used;
    }
    return used;
}

typedef bool before(const thaw_span *a, const thaw_span *b);

static bool larger_first(const thaw_span *a, const thaw_span *b)
{
    return a->bytes > b->bytes;
}

static bool longer_first(const thaw_span *a, const thaw_span *b)
{
    return a->last - a->first > b->last - b->first;
}

static bool earlier_first(const thaw_span *a, const thaw_span *b)
{
    return a->first < b->first;
}

/* Insertion sort: stable, so that a plan is the same everywhere, and short lists. */
static void sort(const thaw_span *spans, int32_t *order, int32_t count, before *is_before)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t at = i;
        while (at > 0 && is_before(&spans[i], &spans[order[at - 1]])) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

static size_t place_apart(thaw_span *spans, int32_t count)
{
    size_t used = 0;
    for (int32_t i = 0; i < count; i++) {
        spans[i].offset = used;
        used += rounded(spans[i].bytes);
    }
    return used;
}

/* First-fit depends on the order in which spans come; three orders are tried, the best one is kept. */
thaw_status thaw_memory_assign(thaw_span *spans, int32_t count, bool reuse, size_t *bytes)
{
    static before *const orders[] = {larger_first, longer_first, earlier_first};
    enum { ORDERS = sizeof orders / sizeof orders[0] };
    thaw_status status = THAW_OK;
    int32_t *order = NULL;
    int32_t *placed = NULL;
    if (!reuse) {
        *bytes = place_apart(spans, count);
        return THAW_OK;
    }
    THAW_TRY_TO(thaw_alloc(&order, count, sizeof *order));
    THAW_TRY_TO(thaw_alloc(&placed, count, sizeof *placed));
    int best = 0;
    size_t least = SIZE_MAX;
    for (int i = 0; i <= ORDERS; i++) {
        int which = i < ORDERS ? i : best;
        sort(spans, order, count, orders[which]);
        size_t used = place(spans, order, count, placed);
        if (used < least) {
            least = used;
            best = which;
        }
    }
    *bytes = least;
done:
    thaw_free(&placed);
    thaw_free(&order);
    return status;
}

bool thaw_memory_valid(const thaw_span *spans, int32_t count, size_t bytes)
{
    for (int32_t i = 0; i < count; i++) {
        const thaw_span *a = &spans[i];
        if (a->first > a->last || a->offset % ALIGNMENT != 0 || a->offset + a->bytes > bytes)
            return false;
        for (int32_t j = 0; j < i; j++) {
            const thaw_span *b = &spans[j];
            if (live_together(a, b) && a->offset < b->offset + b->bytes &&
                b->offset < a->offset + a->bytes)
                return false;
        }
    }
    return true;
}
