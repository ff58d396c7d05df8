/* base/memory_impl.h - growing without a fault site, for strings, which cannot report. */
#ifndef THAW_BASE_MEMORY_IMPL_H
#define THAW_BASE_MEMORY_IMPL_H

#include "thaw/base.h"

/* NULL when out of memory; then `old` is still good. The bytes after `old_bytes` are zero. */
void *thaw_memory_grow(void *old, size_t old_bytes, size_t bytes);

#endif
