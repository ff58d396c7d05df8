/* threads.c - how many threads a rank runs. Linux has no portable way to count the cores of an affinity mask. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "thaw/base.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#if defined(_OPENMP)
#include <omp.h>
#endif

static int32_t chosen; /* 0: not yet */

int32_t thaw_cores(void)
{
#if defined(__linux__)
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
        return CPU_COUNT(&mask);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < 1 << 20 ? (int32_t)online : 1;
}

/* OMP_NUM_THREADS may be a list, for nested regions, which we do not have. */
static int64_t wanted(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    char first[16] = "";
    int64_t count = 1;
#if !defined(_OPENMP)
    text = NULL; /* nothing in this build would start them */
#endif
    if (text == NULL)
        return 1;
    for (size_t i = 0; i + 1 < sizeof first && text[i] != '\0' && text[i] != ','; i++)
        first[i] = text[i];
    return thaw_parse_int(first, &count) && count > 0 ? count : 1;
}

int32_t thaw_threads(void)
{
    if (chosen == 0) {
        int64_t count = wanted();
        int32_t cores = thaw_cores();
        chosen = count < cores ? (int32_t)count : cores;
    }
    return chosen;
}

void thaw_threads_set(int32_t count)
{
    chosen = count;
}

int32_t thaw_threads_for(int64_t elements)
{
    enum { WORTH = 32768 }; /* to be touched by each thread; below, starting it costs more */
#if defined(_OPENMP)
    int64_t most = elements / WORTH;
    int32_t threads = thaw_threads();
    if (threads <= 1 || most <= 1 || omp_in_parallel())
        return 1;
    return most < threads ? (int32_t)most : threads;
#else
    (void)elements;
    return 1;
#endif
}

void thaw_parallel(int32_t threads, int64_t n, thaw_parallel_body *body, void *context)
{
#if defined(_OPENMP)
    if (threads > 1 && n > 1) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t i = 0; i < n; i++)
            body(context, omp_get_thread_num(), i);
        return;
    }
#endif
    (void)threads;
    for (int64_t i = 0; i < n; i++)
        body(context, 0, i);
}
