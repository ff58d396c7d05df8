/* Sums over the communicator's ranks of one node without messages: every rank's payload lies in the node's shared memory, each rank sums its part
 * of it over all of them, in place, and everybody reads the sums where they are.
 *
 * A step: begin -> may_write before the first write -> write -> sum -> read pieces until the next begin. Or, bucket by bucket, in place of
 * sum: tell FILLED -> when all have, add_others -> tell SUMMED -> read when all have. */
#ifndef THAW_COMM_NODE_SUMS_IMPL_H
#define THAW_COMM_NODE_SUMS_IMPL_H

#include "thaw/comm.h"

#include <stdatomic.h>

/* What the narrow elements are. */
typedef enum thaw_node_kind { THAW_NODE_UINT32, THAW_NODE_FLOAT, THAW_NODE_BF16 } thaw_node_kind;

typedef struct thaw_node_sums {
    thaw_shared *segment; /* NULL: not in use */
    thaw_node_kind kind;
    int rank, size;
    int64_t stride,
        wide_at; /* bytes from one rank's payload to the next, and to the wide part in it */
    int64_t narrow_count, wide_count;
    int64_t narrow_part, wide_part; /* elements that one rank sums */
    int64_t step;
    bool all_begun; /* nobody reads the last step's sums any more */
} thaw_node_sums;

/* Collective. Narrow elements have 4 or 2 bytes, wide ones 8. The segment stays NULL where some node's shared memory is too small. */
THAW_NODISCARD thaw_status thaw_node_sums_new(thaw_comm *comm, thaw_node_kind kind,
                                              int64_t narrow_count, int64_t wide_count,
                                              thaw_node_sums *s);
void thaw_node_sums_clear(thaw_node_sums *s);

/* A rank's payload. */
void *thaw_node_sums_narrow(const thaw_node_sums *s, int rank);
int64_t *thaw_node_sums_wide(const thaw_node_sums *s, int rank);

/* Local: this rank reads no more sums of the step before. */
void thaw_node_sums_begin(thaw_node_sums *s);
/* Waits until all ranks have begun. */
void thaw_node_sums_may_write(thaw_node_sums *s);
/* Collective; all ranks are on one node. */
void thaw_node_sums_sum(thaw_node_sums *s, thaw_comm *comm);
/* The sums from element `at` on, of the *n wanted as many as lie together. */
const void *thaw_node_sums_narrow_piece(const thaw_node_sums *s, int64_t at, int64_t *n);
const int64_t *thaw_node_sums_wide_piece(const thaw_node_sums *s, int64_t at, int64_t *n);

/* What ranks of a node tell each other, as counts that only grow. */
typedef enum thaw_node_word { THAW_NODE_FILLED, THAW_NODE_SUMMED } thaw_node_word;
void thaw_node_sums_tell(thaw_node_sums *s, thaw_node_word word, int64_t count);
/* All ranks of the node have told at least that. */
bool thaw_node_sums_all(const thaw_node_sums *s, thaw_node_word word, int64_t count);
/* This rank's elements [at, at + n), uint32_t or wide, become the sums of the node's. */
void thaw_node_sums_add_others(thaw_node_sums *s, bool wide, int64_t at, int64_t n);
/* For who waits: the others may need this core, or MPI may have something to deliver. */
void thaw_node_sums_let_others_on(void);

#endif
