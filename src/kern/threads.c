/* threads.c - how a loop is shared out among the threads of a rank. */
#include "kern/threads_impl.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

int kern_threads_for(int64_t work)
{
#if defined(_OPENMP)
    int64_t most = work / KERN_WORTH;
    int32_t threads = thaw_threads();
    if (threads <= 1 || most <= 1 || omp_in_parallel())
        return 1;
    return most < threads ? (int)most : threads;
#else
    (void)work;
    return 1;
#endif
}

int64_t kern_share(int64_t n, int shares, int i)
{
    int64_t units = (n + KERN_UNIT - 1) / KERN_UNIT;
    int64_t at = units / shares * i + (i < units % shares ? i : units % shares);
    return at * KERN_UNIT < n ? at * KERN_UNIT : n;
}
