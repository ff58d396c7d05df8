/* thaw/comm.h - ranks: who we are, agreement on errors, exchange of small things, node-shared memory, gradient sums.
 *
 * Communication is a capability: a function that takes a non-const `thaw_comm *` is collective over its ranks, and nothing
 * else communicates. Objects do not keep one. A collective returns the same status on every rank, and a caller that has
 * a local status passes it through thaw_agree before it may leave.
 *
 * When MPI itself fails there is nobody left to agree with: the call prints one message and ends the job (MPI_Abort). That
 * is why the plain exchanges return nothing. */
#ifndef THAW_COMM_H
#define THAW_COMM_H

#include "thaw/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thaw_comm thaw_comm;

/* ---- Life ------------------------------------------------------------------------------------------------- */

/* Starts MPI, sets the log's rank and the abort hook (MPI_Abort), makes a communicator over all ranks. argc and argv may
 * be NULL. Until thaw_comm_stop a rank of several that calls exit() ends the job (thaw_guard_exit). THAW_ERR_USAGE when Slurm started N separate processes that do not know each other (MPI is ended again then). */
THAW_NODISCARD thaw_status thaw_comm_start(int *argc, char ***argv, thaw_comm **out);
/* For a program that runs MPI itself: mpi_comm points to its MPI_Comm, which is duplicated; MPI stays the program's.
 * Collective over that communicator. Log rank and abort hook are set too. THAW_ERR_USAGE when MPI does not run. */
THAW_NODISCARD thaw_status thaw_comm_from_mpi(const void *mpi_comm, thaw_comm **out);
/* Collective. Ends what start or from_mpi made (MPI too, if start began it); takes NULL. */
void thaw_comm_stop(thaw_comm **comm);

/* Collective. Ranks with one color form a sub-group, ordered by (key, rank); color < 0: no group, *out is NULL. */
THAW_NODISCARD thaw_status thaw_comm_split(thaw_comm *comm, int color, int key, thaw_comm **out);
/* Collective over the sub-group; takes NULL. */
void thaw_comm_free(thaw_comm **sub);

int thaw_comm_rank(const thaw_comm *comm);
int thaw_comm_size(const thaw_comm *comm);
int thaw_comm_node_rank(const thaw_comm *comm); /* among this communicator's ranks of this node */
int thaw_comm_node_size(const thaw_comm *comm);
/* Ranks of this node in the communicator that it all began with: those that share its memory, whichever sub-group they work in. */
int thaw_comm_node_ranks(const thaw_comm *comm);
int thaw_comm_node_count(const thaw_comm *comm); /* nodes; the same on every rank */

/* Tasks of the Slurm job that a lone process was started in without srun or mpirun; 1 when nothing is amiss. Local. */
int64_t thaw_comm_tasks_of_job(const thaw_comm *comm);
/* First line of what the MPI library says it is. Local; MPI must run. */
const char *thaw_comm_library(void);

/* ---- Agreement -------------------------------------------------------------------------------------------- */

/* Collective. THAW_OK when every rank brings THAW_OK. Otherwise the error record of the lowest failing rank becomes
 * everybody's, and its code is returned everywhere. Where only some ranks failed, the message names that rank. */
THAW_NODISCARD thaw_status thaw_agree(thaw_comm *comm, thaw_status mine);
/* Collective. THAW_ERR_FAIL when the value is not the same on every rank; `what` is for the message. Of digests it names the lowest rank that
 * has not what most have, with its host; where as many have one as have another it says so. */
THAW_NODISCARD thaw_status thaw_same_int64(thaw_comm *comm, const char *what, int64_t value);
THAW_NODISCARD thaw_status thaw_same_digest(thaw_comm *comm, const char *what, thaw_digest value);
/* Collective. The same for a line of text, which rank 0's is the measure of: THAW_ERR_USAGE names the lowest rank that has another one, its
 * host, and both texts from where they part. */
THAW_NODISCARD thaw_status thaw_same_text(thaw_comm *comm, const char *what, const char *text);

/* ---- Exchange --------------------------------------------------------------------------------------------- */

/* All collective; counts and root must be equal on all ranks (allgatherv: bytes may differ). Only operations whose result
 * does not depend on the order of ranks: sums of floating-point numbers go through thaw_fixed or thaw_allgatherv. */
void thaw_barrier(thaw_comm *comm);
/* The same for ranks that may wait for long: they sleep between looks, so that their cores are free for those that work. */
void thaw_barrier_asleep(thaw_comm *comm);
void thaw_bcast(thaw_comm *comm, int root, void *data, int64_t bytes);
void thaw_allreduce_sum_int64(thaw_comm *comm, int64_t *values, int64_t count);
void thaw_allreduce_max_int64(thaw_comm *comm, int64_t *values, int64_t count);
void thaw_allreduce_min_int64(thaw_comm *comm, int64_t *values, int64_t count);
void thaw_allreduce_max_double(thaw_comm *comm, double *values, int64_t count); /* no NaN */
void thaw_allreduce_min_double(thaw_comm *comm, double *values, int64_t count);
/* all: size * bytes, in rank order. */
void thaw_allgather(thaw_comm *comm, const void *mine, int64_t bytes, void *all);
/* Rank 0 gets in `out` (bytes) what rank `from` has at `mine`; the other ranks only pass. bytes need only be right on those two. */
void thaw_fetch(thaw_comm *comm, int from, const void *mine, int64_t bytes, void *out);
/* The other way: rank `to` gets in `mine` (bytes) what rank 0 has at `values`. */
void thaw_give(thaw_comm *comm, int to, const void *values, int64_t bytes, void *mine);
/* Joins the ranks' bytes in rank order. *all (thaw_free it; NULL when empty) and *total; offsets (may be NULL) gets size + 1
 * values. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_allgatherv(thaw_comm *comm, const void *mine, int64_t bytes,
                                           void **all, int64_t *total, int64_t *offsets);

/* A sum of doubles that does not depend on the order of its terms: fixed point with a resolution of 2^-40 (about 1e-12).
 * {0} is zero. Every term is rounded alone, so add samples or shards one by one, never sums over "what this rank has". */
typedef struct thaw_fixed {
    int64_t whole, part; /* whole + part * 2^-40; part in [0, 2^40) */
    int64_t bad;         /* terms that were not finite or beyond 2^40 in magnitude */
} thaw_fixed;

void thaw_fixed_add(thaw_fixed *sum, double term);
double thaw_fixed_value(const thaw_fixed *sum); /* NaN when a term was bad */
void thaw_allreduce_sum_fixed(thaw_comm *comm, thaw_fixed *sums, int64_t count);

/* ---- Trouble elsewhere -------------------------------------------------------------------------------------- */

/* Sub-groups that work apart meet only at the end; one that fails or is stopped rings a bell, so that the others stop soon instead
 * of working on for hours. One rank of each sub-group speaks for it. Life: new -> heard now and then; ring when in trouble -> end. */
typedef struct thaw_bell thaw_bell;

/* Collective over the whole communicator. */
THAW_NODISCARD thaw_status thaw_bell_new(thaw_comm *comm, bool speaks, thaw_bell **out);
/* By a speaker: the others will hear whether there is trouble. Only the first ring counts. Local; waits for nobody. */
void thaw_bell_ring(thaw_bell *bell, thaw_comm *comm, bool trouble);
/* True once another speaker has rung for trouble; always false for who does not speak. Local; allocates nothing. */
bool thaw_bell_heard(thaw_bell *bell);
/* Collective. Waits until every speaker has rung (who has not done so, does it here without trouble). Takes NULL on all ranks. */
void thaw_bell_end(thaw_bell **bell, thaw_comm *comm);

/* ---- What was sent ---------------------------------------------------------------------------------------- */

/* Counted where MPI is called: this rank's payload of each call (not what the algorithm makes of it on the wire). */
typedef struct thaw_comm_counters {
    int64_t gradient_calls,
        gradient_bytes; /* sums of thaw_reducer, control words included; in shared memory one call a step */
    int64_t allreduce_calls, allreduce_bytes; /* all other all-reduces, agreement included */
    int64_t bcast_calls, bcast_bytes;
    int64_t gather_calls, gather_bytes;
    int64_t barrier_calls;
    /* Of this rank at the end of its steps: waiting for slower ranks and for what travels, and adding where sums are taken in shared
     * memory. What travels while backward goes on costs nothing here. */
    double gradient_seconds;
} thaw_comm_counters;

thaw_comm_counters thaw_comm_count(const thaw_comm *comm);

/* ---- Memory that the ranks of a node share ------------------------------------------------------------------ */

/* One copy a node. Life: new -> the writers fill data, or all ranks their parts -> publish, spread or join -> everybody reads -> free.
 * Where some node's shared memory is missing or too small, each rank gets its own copy and is its writer (one log line a communicator).
 * The segment has no name once it is made, so a job that dies leaves nothing behind. */
typedef struct thaw_shared thaw_shared;

/* Both collective; bytes must be equal on all ranks. THAW_ERR_RESOURCE: no memory. try gives NULL where there would be private
 * copies, apart from nodes with a single rank. */
THAW_NODISCARD thaw_status thaw_shared_new(thaw_comm *comm, int64_t bytes, thaw_shared **out);
THAW_NODISCARD thaw_status thaw_shared_try(thaw_comm *comm, int64_t bytes, thaw_shared **out);
void *
thaw_shared_data(const thaw_shared *shared); /* zeroed, aligned to 64 bytes; NULL for 0 bytes */
int64_t thaw_shared_bytes(const thaw_shared *shared);
bool thaw_shared_writer(const thaw_shared *shared); /* rank 0 always is one */
bool thaw_shared_is_private(const thaw_shared *shared);
/* Collective. After it every rank sees what was written on its node before it. */
void thaw_shared_publish(thaw_comm *comm, thaw_shared *shared);
/* Collective. Rank 0's bytes [offset, offset + bytes) reach every copy; then publish. */
void thaw_shared_spread(thaw_comm *comm, thaw_shared *shared, int64_t offset, int64_t bytes);
/* Items [*begin, *end) of `count` that this rank fills when all ranks share the work; those of a node lie together. Local. */
void thaw_shared_part(const thaw_comm *comm, int64_t count, int64_t *begin, int64_t *end);
/* Collective. Every rank has written its part of `count` items, item i at offset i * unit; the last one ends at `bytes`. After it every
 * copy has them all. */
void thaw_shared_join(thaw_comm *comm, thaw_shared *shared, int64_t count, int64_t unit,
                      int64_t bytes);
/* Local; takes NULL. What other ranks still use stays. */
void thaw_shared_free(thaw_shared **shared);

/* ---- Watchdog ------------------------------------------------------------------------------------------------ */

/* A thread of each rank, which looks at the beat of the thread that started it (thaw_beat_begin) and at those of the node's other ranks,
 * in shared memory. When a rank that does not wait for others makes no progress for so many seconds, or no rank of the node does, one
 * rank of the node prints where each of its ranks is, and the job ends with exit code 1 (MPI_Abort). A rank that is stopped is found by
 * the others. Time in which the watchdog itself was stopped does not count, nor does that under a debugger.
 * Ranks of other nodes are seen only by what they keep waiting: a node on which all wait for longer than that prints, too, and ends the job a little
 * later, so that the node with the culprit speaks first. */
typedef struct thaw_watchdog thaw_watchdog;

/* Collective; seconds must be equal on all ranks. *out is NULL for 0 seconds and where a watchdog runs already, which then must be so on all ranks.
 * THAW_ERR_RESOURCE: no memory or no thread. */
THAW_NODISCARD thaw_status thaw_watchdog_start(thaw_comm *comm, double seconds,
                                               thaw_watchdog **out);
/* Local, by the thread that started it; takes NULL. The others go on without this rank. */
void thaw_watchdog_stop(thaw_watchdog **watchdog);

/* ---- Gradient sums ---------------------------------------------------------------------------------------- */

/* Sums a fixed list of float tensors over shards, wherever the shards ran.
 *
 * Mode exact: a shard's tensor is rounded to multiples of the tensor's quantum, a power of two, and added as integers, so the sum does
 * not depend on how many ranks there are or in which order things arrive (Hallberg & Adcroft 2014). A tensor of more than 16384
 * elements is summed in 32 bits, which are float's bytes; smaller ones, and all in mode exact64 or when there are more than 256 shards,
 * in 64 bits. With each sum goes its bound: the sum over shards of the largest magnitude in each, which no element can exceed.
 * From the last step's bound comes the quantum: that bound lay in [2^26, 2^27) quanta (64 bits: [2^45, 2^46)), or below it while a quantum
 * shrinks, by at most 1 bit (8 bits) a step. The next may be 2^4 (2^16) times larger before it does not fit. An element that is 2^k
 * times smaller than the bound keeps 26 - k bits (45 - k); float has 24. When a bound does not fit, or is below 2^15 (2^29) quanta, all ranks
 * learn it from the payload, agree on quanta that fit the step's largest elements, and the step is done again (THAW_REDUCE_REDO).
 * So do those of tensors that were summed for the first time in that step, whose quanta were guessed.
 * Quanta follow from shards only, never from ranks.
 *
 * Mode float: plain float addition; the result depends on the rank count.
 * Mode bf16: a tensor of more than 2048 elements travels in bfloat16, half of float's bytes. A rank adds its shards in float and rounds its
 * sum to 8 significant bits, to nearest even; so is each sum of two ranks' on the way (on one node: only the whole sum). An element is off by
 * at most 2^-8 of the sum of the ranks' magnitudes a rounding. Smaller tensors (biases, norms, running statistics) are summed exactly.
 * The result depends on the rank count. A sum beyond bfloat16 is not finite.
 *
 * One step:
 *   begin
 *   for each local shard: add(tensor) and add_count/add_sum as results appear; in the last one also ready(tensor), in any order
 *     (buckets of tensors leave in list order, so list them in the order in which backward produces them) and progress() now and then
 *   finish -> THAW_REDUCE_OK: get(tensor), counts and sums
 *             THAW_REDUCE_REDO: run the step again from begin with the same inputs
 *             THAW_REDUCE_NOT_FINITE: thaw_reducer_culprit says which tensor
 * A rank that fails in between calls thaw_reducer_fail, stops adding and goes on to finish, which returns its error on every rank.
 * A rank without a shard goes from begin to finish. Nothing here allocates after thaw_reducer_new. */
typedef struct thaw_reducer thaw_reducer;

typedef enum thaw_reduce_mode {
    THAW_REDUCE_EXACT,
    THAW_REDUCE_EXACT64,
    THAW_REDUCE_FLOAT,
    THAW_REDUCE_BF16
} thaw_reduce_mode;
typedef enum thaw_reduce_outcome {
    THAW_REDUCE_OK,
    THAW_REDUCE_REDO,
    THAW_REDUCE_NOT_FINITE /* NaN or infinity in a tensor or in a sum */
} thaw_reduce_outcome;
typedef enum thaw_reduce_travel {
    THAW_TRAVEL_AUTO, /* levels, ring or overlap when there are several nodes, else at the end; see thaw_reducer_share */
    THAW_TRAVEL_OVERLAP, /* buckets leave in ready() and progress (MPI_Iallreduce) */
    THAW_TRAVEL_AT_END,  /* all leave in finish, one blocking call a bucket */
    THAW_TRAVEL_RING, /* as overlap, but by messages from rank to rank (not in mode bf16); needs thaw_reducer_share */
    THAW_TRAVEL_LEVELS /* as overlap, but what ranks of a node bring is added in its memory first; where that cannot be (one node, nodes with
                        * unlike numbers of ranks or one each, modes float and bf16) as at end; needs thaw_reducer_share */
} thaw_reduce_travel;

typedef struct thaw_reducer_options {
    thaw_reduce_mode mode;
    thaw_reduce_travel travel;
    int64_t bucket_bytes; /* payload of one all-reduce; 0: 1 MiB */
    int64_t shards;       /* most shards in one sum, over all ranks; 1..2^20 */
    int32_t counts, sums; /* control words that ride along: integers and thaw_fixed */
} thaw_reducer_options;

/* Whether sums are the same on any number of ranks. */
bool thaw_reduce_is_exact(thaw_reduce_mode mode);

/* Local. sizes: elements of each tensor (0 is allowed). Options must be equal on all ranks. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_reducer_new(const int64_t *sizes, int32_t tensor_count,
                                            const thaw_reducer_options *options,
                                            thaw_reducer **out);
/* Collective, before the first step. When all ranks of `comm` are on one node that has the shared memory for it, and travel is AUTO,
 * sums go through that memory instead of MPI (one call a step for the counters); else nothing changes. Same results. With
 * several nodes and travel AUTO some buckets are summed by a ring, by MPI_Iallreduce and, where nodes have equally many ranks, several each, on
 * two levels; the fastest is kept and logged. */
THAW_NODISCARD thaw_status thaw_reducer_share(thaw_reducer *reducer, thaw_comm *comm);
/* No step may be open (between ready and finish). */
void thaw_reducer_free(thaw_reducer **reducer);

/* Local. */
void thaw_reducer_begin(thaw_reducer *reducer);
void thaw_reducer_add(thaw_reducer *reducer, int32_t tensor, const float *data); /* one shard's */
void thaw_reducer_add_count(thaw_reducer *reducer, int32_t word, int64_t value);
void thaw_reducer_add_sum(thaw_reducer *reducer, int32_t word,
                          double value); /* one shard's or one sample's */
void thaw_reducer_fail(
    thaw_reducer *reducer,
    thaw_status status); /* THAW_OK does nothing; the record is thaw_error_last */

/* Collective in the sense that every rank ends with finish; how often and when ready and progress are called may differ.
 * ready: no more shard of this rank will add to the tensor. */
void thaw_reducer_ready(thaw_reducer *reducer, thaw_comm *comm, int32_t tensor);
void thaw_reducer_progress(thaw_reducer *reducer, thaw_comm *comm);
/* Sends what was not sent, waits. The outcome is the same on every rank, and so is the status: that of a failed rank. */
THAW_NODISCARD thaw_status thaw_reducer_finish(thaw_reducer *reducer, thaw_comm *comm,
                                               thaw_reduce_outcome *outcome);

/* Local, after THAW_REDUCE_OK; thaw_reducer_sum also after THAW_REDUCE_NOT_FINITE, where NaN is what was not finite. out = scale *
 * sum, rounded to float. */
void thaw_reducer_get(const thaw_reducer *reducer, int32_t tensor, double scale, float *out);
int64_t thaw_reducer_count(const thaw_reducer *reducer, int32_t word);
double thaw_reducer_sum(const thaw_reducer *reducer, int32_t word);
/* After THAW_REDUCE_NOT_FINITE: the first tensor that was not finite; -1 when it was a control sum. */
int32_t thaw_reducer_culprit(const thaw_reducer *reducer);

/* The quanta of the next step as binary exponents, one a tensor: state that a checkpoint must hold (I32, writable), so that a
 * resumed run gives the same bits. Unknown before the first sum. */
#define THAW_EXPONENT_UNKNOWN INT32_MIN
int32_t *thaw_reducer_exponents(thaw_reducer *reducer);
/* What one step sends: payload bytes and calls. The truth is thaw_comm_count. */
void thaw_reducer_plan(const thaw_reducer *reducer, int64_t *bytes, int64_t *calls);

#ifdef __cplusplus
}
#endif
#endif
