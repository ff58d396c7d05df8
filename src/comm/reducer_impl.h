/* What a thaw_reducer holds; made in reducer_new.c, used in reducer.c. */
#ifndef THAW_COMM_REDUCER_IMPL_H
#define THAW_COMM_REDUCER_IMPL_H

#include "thaw/comm.h"

#include "comm/comm_impl.h"

/* One all-reduce: elements [first, first + count) of the payload. */
typedef struct thaw_bucket {
    int64_t first, count;
    int32_t pending; /* tensors in it that are not ready */
} thaw_bucket;

/* The payload is all tensors one after another. The control words are: failed ranks, a flag word a tensor, counts, sums. In
 * mode exact they stand behind the payload and ride in the last bucket; in mode float the last bucket is theirs alone. Either way
 * the last bucket leaves in finish, when nothing can be added any more. */
struct thaw_reducer {
    thaw_reducer_options options;
    int32_t tensor_count;
    int64_t *start; /* tensor_count + 1 offsets into the payload */
    int64_t full;   /* elements of a full bucket */
    int64_t *exact; /* payload and control words, or NULL */
    float *single;  /* payload of mode float, or NULL */
    int64_t *control;
    int64_t control_count;
    thaw_bucket *buckets;
    int32_t bucket_count;
    int32_t posted, arrived; /* buckets */
    MPI_Request *requests;
    int32_t *exponent, *next; /* of this step, of the next one */
    int64_t *peak;            /* largest magnitude in a local shard, as float bits */
    bool *added, *ready;
    bool *fitted; /* the quantum is from this very step's shards: no reason to doubt it */
    thaw_status failed;
    int32_t culprit;
};

/* Buckets that a tensor touches: [*from, *to). */
void thaw_reducer_touches(const thaw_reducer *r, int32_t tensor, int32_t *from, int32_t *to);

#endif
