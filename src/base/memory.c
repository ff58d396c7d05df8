#include "thaw/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/memory_impl.h"

/* A cache line and an AVX-512 register. */
#define ALIGNMENT 64

static atomic_int_least64_t made;
static atomic_int_least64_t live;

static void *make(size_t bytes)
{
    if (bytes > SIZE_MAX - ALIGNMENT)
        return NULL;
    void *block = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (block != NULL) {
        atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    }
    return block;
}

static void release(void *block)
{
    if (block != NULL) {
        free(block);
        atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    }
}

void *thaw_memory_grow(void *old, size_t old_bytes, size_t bytes)
{
    char *block = make(bytes);
    if (block == NULL)
        return NULL;
    size_t kept = old_bytes < bytes ? old_bytes : bytes;
    if (kept > 0)
        memcpy(block, old, kept);
    memset(block + kept, 0, bytes - kept);
    release(old);
    return block;
}

/* Grows old to count elements; on failure *block is untouched. */
static thaw_status grow(void **block, int64_t old_count, int64_t count, size_t size)
{
    THAW_ASSERT(count >= 0 && old_count >= 0 && size > 0);
    THAW_CHECK((uint64_t)count <= PTRDIFF_MAX / size, THAW_ERR_RESOURCE,
               "cannot allocate %lld elements of %zu bytes: more than an address can name",
               (long long)count, size);
    if (count == 0) {
        release(*block);
        *block = NULL;
        return THAW_OK;
    }
    size_t bytes = (size_t)count * size;
    size_t old_bytes = *block != NULL ? (size_t)old_count * size : 0;
    void *grown = thaw_fault("alloc") ? NULL : thaw_memory_grow(*block, old_bytes, bytes);
    if (grown == NULL) {
        char text[32];
        thaw_format_bytes((double)bytes, text, sizeof text);
        return THAW_FAIL(THAW_ERR_RESOURCE,
                         "out of memory: cannot allocate %s (%lld elements of %zu bytes); use "
                         "fewer ranks per node or a smaller batch",
                         text, (long long)count, size);
    }
    *block = grown;
    return THAW_OK;
}

/* Pointers travel by memcpy: a float ** is not a void **, and the compiler may know it. */
thaw_status thaw_alloc(void *out, int64_t count, size_t size)
{
    void *block = NULL;
    thaw_status status = grow(&block, 0, count, size);
    memcpy(out, &block, sizeof block);
    return status;
}

thaw_status thaw_realloc(void *inout, int64_t old_count, int64_t count, size_t size)
{
    void *block;
    memcpy(&block, inout, sizeof block);
    THAW_TRY(grow(&block, old_count, count, size));
    memcpy(inout, &block, sizeof block);
    return THAW_OK;
}

void thaw_free(void *address_of_pointer)
{
    void *block;
    if (address_of_pointer == NULL)
        return;
    memcpy(&block, address_of_pointer, sizeof block);
    release(block);
    block = NULL;
    memcpy(address_of_pointer, &block, sizeof block);
}

thaw_status thaw_strdup(char **out, const char *text)
{
    *out = NULL;
    if (text == NULL)
        return THAW_OK;
    size_t bytes = strlen(text) + 1;
    THAW_TRY(thaw_alloc(out, (int64_t)bytes, 1));
    memcpy(*out, text, bytes);
    return THAW_OK;
}

int64_t thaw_alloc_count(void)
{
    return atomic_load_explicit(&made, memory_order_relaxed);
}

int64_t thaw_alloc_live(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}

size_t thaw_peak_rss_bytes(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (size_t)usage.ru_maxrss * 1024;
}

size_t thaw_pss_bytes(void)
{
    thaw_str text = {0};
    int64_t kilobytes = 0;
    if (thaw_file_read("/proc/self/smaps_rollup", &text) == THAW_OK) {
        const char *line = strstr(thaw_str_c(&text), "\nPss:");
        if (line != NULL)
            kilobytes = strtoll(line + strlen("\nPss:"), NULL, 10);
    } else {
        thaw_error_clear();
    }
    thaw_str_clear(&text);
    return (size_t)kilobytes * 1024;
}
