/* cores.c - how many cores the ranks of a group have. Linux has no portable way to look into the affinity mask. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "scale/scale_impl.h"

#include <string.h>
#if defined(__linux__)
#include <sched.h>
#endif

enum { MASK_WORDS = 16 }; /* 1024 cores */

/* Core i is bit i % 64 of word i / 64; where the system does not tell, as many low bits as there are cores. */
static void read_mask(uint64_t *words)
{
    memset(words, 0, MASK_WORDS * sizeof *words);
#if defined(__linux__)
    cpu_set_t mask;
    const bool known = sched_getaffinity(0, sizeof mask, &mask) == 0;
    for (int64_t i = 0; known && i < 64 * MASK_WORDS && i < CPU_SETSIZE; i++)
        words[i / 64] |= (uint64_t)(CPU_ISSET((size_t)i, &mask) != 0) << (i % 64);
    if (known)
        return;
#endif
    for (int64_t i = 0; i < 64 * MASK_WORDS && i < thaw_cores(); i++)
        words[i / 64] |= UINT64_C(1) << (i % 64);
}

/* A rank that is bound has a mask of its own, one that is not has everybody's: their union is what the node has, on nodes that are alike. */
thaw_status scale_find_oversubscribed(thaw_comm *comm, bool *out)
{
    const int size = thaw_comm_size(comm);
    uint64_t mine[MASK_WORDS];
    uint64_t *all = NULL;
    int64_t busy = (int64_t)thaw_comm_node_size(comm) * thaw_threads();
    int64_t cores = 0;
    THAW_TRY(thaw_agree(comm, thaw_alloc(&all, (int64_t)size * MASK_WORDS, sizeof *all)));
    read_mask(mine);
    thaw_allgather(comm, mine, sizeof mine, all);
    thaw_allreduce_max_int64(comm, &busy, 1);
    for (int w = 0; w < MASK_WORDS; w++) {
        uint64_t any = 0;
        for (int r = 0; r < size; r++)
            any |= all[r * MASK_WORDS + w];
        cores += __builtin_popcountll(any);
    }
    *out = busy > cores;
    thaw_free(&all);
    return THAW_OK;
}
