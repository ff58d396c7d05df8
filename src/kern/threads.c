/* threads.c - how a loop is shared out among the threads of a rank. */
#include "kern/threads_impl.h"

int64_t kern_share(int64_t n, int shares, int i)
{
    int64_t units = (n + KERN_UNIT - 1) / KERN_UNIT;
    int64_t at = units / shares * i + (i < units % shares ? i : units % shares);
    return at * KERN_UNIT < n ? at * KERN_UNIT : n;
}
