/* graph/memory_impl.h - where buffers lie in one arena.
 *
 * A span is a buffer and the closed interval of moments at which it must be there. Spans that live at the same moment
 * never overlap; others may share memory. */
#ifndef THAW_GRAPH_MEMORY_IMPL_H
#define THAW_GRAPH_MEMORY_IMPL_H

#include "thaw/base.h"

typedef struct thaw_span {
    size_t bytes;
    int32_t first, last;
    size_t offset; /* found by thaw_memory_assign */
} thaw_span;

/* Finds an offset for every span, first-fit by offset; *bytes: size of the arena. Without reuse every span gets memory of
 * its own: the plan that tests compare with. */
THAW_NODISCARD thaw_status thaw_memory_assign(thaw_span *spans, int32_t count, bool reuse,
                                              size_t *bytes);
/* No two spans overlap while both are live, and all lie inside. */
bool thaw_memory_valid(const thaw_span *spans, int32_t count, size_t bytes);

#endif
