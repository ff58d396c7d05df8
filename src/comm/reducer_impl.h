/* What a thaw_reducer holds; made in reducer_new.c, used in reducer.c, sent in travel.c. */
#ifndef THAW_COMM_REDUCER_IMPL_H
#define THAW_COMM_REDUCER_IMPL_H

#include "thaw/comm.h"

#include "comm/comm_impl.h"
#include "comm/node_sums_impl.h"
#include "comm/quantum_impl.h"

/* One all-reduce: elements [first, first + count) of the narrow or of the wide payload. */
typedef struct thaw_bucket {
    int64_t first, count;
    bool wide;
    int32_t pending; /* tensors in it that are not ready */
    bool arrived;    /* by the ring */
} thaw_bucket;

/* Sums that go around all ranks by messages, node by node; on two levels around those with one place on their nodes. A few buckets are under way at a time, each in a slot with room for a chunk. */
enum { THAW_RING_WINDOW = 8 };
typedef struct thaw_ring {
    int size; /* 0: not in use */
    int place, before, after;
    int64_t least_bytes; /* of a bucket that goes around */
    char *scratch;
    int64_t chunk_bytes;
    MPI_Request requests[2 * THAW_RING_WINDOW];
    int32_t bucket[THAW_RING_WINDOW]; /* -1: the slot is free */
    int turn[THAW_RING_WINDOW];
    int32_t next; /* the first posted bucket that has not begun */
} thaw_ring;

/* Sums on two levels: in the memory of each node, and between nodes (levels.c). */
typedef struct thaw_levels {
    bool on;
    int32_t summed; /* buckets whose part of this rank has left */
    /* The payload that would be used without them, until that is settled. */
    uint32_t *own_narrow;
    int64_t *own_wide;
} thaw_levels;

/* The payload has two parts, each with its tensors one after another: the narrow one of 32-bit words (uint32_t, or float in mode
 * float; 16 bits in mode bf16, which are rounded when a tensor is ready) and the wide one of int64_t, with room for the control words behind its tensors: failed ranks, a bound a tensor, counts, sums. The
 * buckets of the narrow part come first. The last one has the control words and leaves in finish, when nothing can be added any more. */
struct thaw_reducer {
    thaw_reducer_options options;
    int32_t tensor_count;
    int64_t *size, *start; /* a tensor's elements, and where they begin in its part */
    bool *wide;
    uint32_t *narrow_sums; /* or NULL */
    float *float_sums;     /* or NULL; in mode bf16 this rank's own, which do not travel */
    uint16_t *half_sums;   /* bfloat16, or NULL */
    MPI_Op half_add;       /* made when it is first needed; or MPI_OP_NULL */
    int64_t *wide_sums;
    thaw_node_sums node;              /* in use: the sums above are this rank's payload in it */
    int64_t narrow_count, wide_count; /* elements, without control words */
    int64_t *control;
    int64_t control_count;
    int64_t narrow_full, wide_full; /* elements of a full bucket */
    thaw_bucket *buckets;
    int32_t bucket_count, narrow_buckets;
    int32_t posted, arrived; /* buckets */
    MPI_Request *requests;   /* of buckets that do not go around */
    thaw_ring ring;
    thaw_levels levels;
    int32_t *exponent, *next; /* of this step, of the next one */
    int64_t *peak;            /* largest magnitude in a local shard, as float bits */
    bool *added, *ready;
    thaw_status failed;
    int32_t culprit;
};

/* The tensor is summed in floating point. */
bool thaw_reducer_is_plain(const thaw_reducer *r, int32_t tensor);
/* Bytes of a narrow element on its way. */
int64_t thaw_reducer_narrow_bytes(const thaw_reducer *r);
/* Buckets that a tensor touches: [*from, *to). */
void thaw_reducer_touches(const thaw_reducer *r, int32_t tensor, int32_t *from, int32_t *to);
/* The tensor's sums from its element `at` on, after finish, of the *n wanted as many as lie together. */
const void *thaw_reducer_narrow_piece(const thaw_reducer *r, int32_t tensor, int64_t at,
                                      int64_t *n);
const int64_t *thaw_reducer_wide_piece(const thaw_reducer *r, int32_t tensor, int64_t at,
                                       int64_t *n);
/* Sends every bucket but the last that is complete, if buckets leave before the end. */
void thaw_reducer_send_ready(thaw_reducer *r, thaw_comm *comm);
/* Sends what was not sent, waits for everything. */
void thaw_reducer_send_rest(thaw_reducer *r, thaw_comm *comm);

/* Where the bucket's elements are that travel, from the one at `at` on, and what they are. */
void *thaw_reducer_payload(const thaw_reducer *r, const thaw_bucket *b, int64_t at);
MPI_Datatype thaw_reducer_type(const thaw_reducer *r, const thaw_bucket *b);
/* Collective. Lets buckets of least_bytes and more go around. */
THAW_NODISCARD thaw_status thaw_ring_open(thaw_reducer *r, thaw_comm *comm, int64_t least_bytes);
void thaw_ring_close(thaw_reducer *r);
bool thaw_ring_takes(const thaw_reducer *r, int32_t bucket);
/* Moves posted buckets on: as far as they can, or to the end. */
void thaw_ring_move(thaw_reducer *r, thaw_comm *comm, bool to_the_end);
/* Whether nodes have equally many ranks, several each, and sums no order. */
bool thaw_levels_possible(const thaw_reducer *r, const thaw_comm *comm);
/* Collective. On from now on, unless some node's shared memory is too small; then keep, or close and be as before. */
THAW_NODISCARD thaw_status thaw_levels_open(thaw_reducer *r, thaw_comm *comm,
                                            int64_t least_ring_bytes);
void thaw_levels_keep(thaw_reducer *r);
void thaw_levels_close(thaw_reducer *r);
/* How many elements of a bucket are this rank's, and the first of them. */
int64_t thaw_levels_part(const thaw_reducer *r, const thaw_bucket *b, int64_t *from);
/* This rank has filled its next bucket; posted buckets move on; all of them arrive. */
void thaw_levels_post(thaw_reducer *r, thaw_comm *comm);
void thaw_levels_move(thaw_reducer *r, thaw_comm *comm);
void thaw_levels_wait(thaw_reducer *r, thaw_comm *comm);
/* As thaw_reducer_narrow_piece, from the payload's element `at` on. */
const uint32_t *thaw_levels_narrow_piece(const thaw_reducer *r, int64_t at, int64_t *n);
const int64_t *thaw_levels_wide_piece(const thaw_reducer *r, int64_t at, int64_t *n);
/* Collective, between nodes: measures what to sum by, and says so; in mode float a rule, since the order would show. */
THAW_NODISCARD thaw_status thaw_reducer_choose_travel(thaw_reducer *r, thaw_comm *comm);

#endif
