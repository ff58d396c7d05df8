/* thaw/ckpt.h - save and restore a thaw_state collectively.
 *
 * A directory of checkpoints holds step-<12 digits>.h5 files (module h5) and manifest.txt, one line a checkpoint with step, bytes,
 * XXH3-128 of the file, and whether it was the best. Rank 0 writes and reads; the others take part in agreement and get
 * the content by broadcast. A file is complete or absent: killed at any moment, the newest valid one is still there. */
#ifndef THAW_CKPT_H
#define THAW_CKPT_H

#include "thaw/base.h"
#include "thaw/comm.h"
#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Collective. Makes the directory, removes *.tmp that a killed run left. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_ckpt_prepare(thaw_comm *comm, const char *directory);

/* Where the values of entries without data are: each rank has a run of them. `part` says elements [*begin, *end) of an entry of the state that `rank` has, the same on
 * all ranks, and gives *data for the caller's own, which is read from or, by thaw_ckpt_restore, written to. Runs follow one another in the
 * order of ranks. */
typedef struct thaw_ckpt_parts {
    void (*part)(void *context, const thaw_entry *entry, int rank, int64_t *begin, int64_t *end,
                 void **data);
    void *context;
} thaw_ckpt_parts;

typedef struct thaw_ckpt_options {
    int64_t keep;                 /* newest ones kept, at least 1; the best is kept besides */
    bool best;                    /* this is the best so far: it replaces the former best */
    const thaw_ckpt_parts *parts; /* NULL: all entries have data */
} thaw_ckpt_options;

/* Collective; state and attributes (NULL: none) are rank 0's business, of the others' only entries without data are looked at, which must be
 * the same: rank 0 fetches them when it is their turn, so that it never has more than one of them. Writes, verifies, renames,
 * records in the manifest, then removes what need not be kept. A step that was saved before is replaced. Sites: ckpt_write,
 * kill_ckpt. THAW_ERR_RESOURCE: the older checkpoints are untouched. */
THAW_NODISCARD thaw_status thaw_ckpt_save(thaw_comm *comm, const char *directory, int64_t step,
                                          const thaw_state *state, const thaw_state *attributes,
                                          const thaw_ckpt_options *options);

/* Writes checkpoints while the caller goes on: a save copies the state and leaves the rest to a thread. One at a time: the next save, and
 * settle, wait for the one before. The file, what is kept and what a crash leaves are those of thaw_ckpt_save; killed while it writes, a run
 * has the checkpoint before. Only rank 0 needs one; elsewhere it may be NULL. Rank 0 without one saves before it goes on. */
typedef struct thaw_ckpt_writer thaw_ckpt_writer;

THAW_NODISCARD thaw_status thaw_ckpt_writer_new(thaw_ckpt_writer **out); /* local */
/* Waits for what is being written; a failure that nobody has heard of yet becomes a warning. Local; takes NULL. */
void thaw_ckpt_writer_free(thaw_ckpt_writer **writer);
/* Collective. thaw_ckpt_save, but of this state only the copy is made when it returns. An earlier write that failed is its error, and then
 * nothing new is begun. Rank 0 keeps the copy's memory for the next time. Where options have parts, the writer is NULL on all ranks. */
THAW_NODISCARD thaw_status thaw_ckpt_save_later(thaw_ckpt_writer *writer, thaw_comm *comm,
                                                const char *directory, int64_t step,
                                                const thaw_state *state,
                                                const thaw_state *attributes,
                                                const thaw_ckpt_options *options);
/* Collective. Waits until nothing is being written; the error of a write that failed, once. The writer may be NULL. */
THAW_NODISCARD thaw_status thaw_ckpt_settle(thaw_ckpt_writer *writer, thaw_comm *comm);
/* The error of a write that is over and failed, once; THAW_OK while it goes on. Local; waits for nothing; takes NULL. */
THAW_NODISCARD thaw_status thaw_ckpt_look(thaw_ckpt_writer *writer);
/* Seconds of the longest write so far, from its beginning to its end. Local; takes NULL. */
double thaw_ckpt_longest(const thaw_ckpt_writer *writer);

typedef struct thaw_ckpt_found {
    bool found;
    bool best; /* marked as the best */
    int64_t step;
    int64_t damaged; /* checkpoints that were refused on the way, newer than this one */
    char path[4096];
} thaw_ckpt_found;

/* Collective. The newest checkpoint whose file is whole; for each newer one that is not, a warning with the reason. A directory
 * that is missing or empty is no error: found = false. */
THAW_NODISCARD thaw_status thaw_ckpt_latest(thaw_comm *comm, const char *directory,
                                            thaw_ckpt_found *out);
/* Collective. The checkpoint `file`, if it is whole. THAW_ERR_USAGE: files of that name are no checkpoints. THAW_ERR_INPUT: it is not there,
 * and which are; or it is damaged. */
THAW_NODISCARD thaw_status thaw_ckpt_at(thaw_comm *comm, const char *file, thaw_ckpt_found *out);
/* Collective. The one marked as best, if it is whole. */
THAW_NODISCARD thaw_status thaw_ckpt_best(thaw_comm *comm, const char *directory,
                                          thaw_ckpt_found *out);

/* Collective. One file by name, such as adaptation.h5: written by rank 0 atomically. parts: as in options, or NULL. *digest (may be NULL)
 * gets thaw_state_digest of the state as written, on every rank. */
THAW_NODISCARD thaw_status thaw_ckpt_write(thaw_comm *comm, const char *path,
                                           const thaw_state *state, const thaw_state *attributes,
                                           const thaw_ckpt_parts *parts, thaw_digest *digest);
/* Collective. Read by rank 0 and broadcast; *state and *attributes (may be NULL) must be {0} and own what they get. The error
 * (THAW_ERR_INPUT) names what is wrong; both are empty then. */
THAW_NODISCARD thaw_status thaw_ckpt_read(thaw_comm *comm, const char *path, thaw_state *state,
                                          thaw_state *attributes);
/* Collective. thaw_ckpt_read of these datasets alone (up to a NULL), each checked against its digest; one that the file does not have is left
 * out. */
THAW_NODISCARD thaw_status thaw_ckpt_read_named(thaw_comm *comm, const char *path,
                                                const char *const *names, thaw_state *state,
                                                thaw_state *attributes);

/* Collective. The values of `into`, which has the same entries on all ranks, from a file by name: rank 0 reads one tensor after another and
 * hands each on, so that a rank needs no memory but that of its own values, and rank 0 that of the largest entry in parts besides. Other
 * datasets of the file are not read. parts: of entries without data, or NULL. THAW_ERR_INPUT names file and entry that is missing, damaged, or
 * of another type or shape; some values may be new then. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_ckpt_restore(thaw_comm *comm, const char *path, thaw_state *into,
                                             const thaw_ckpt_parts *parts);

/* Collective. Gives every rank rank `root`'s state; on the others *state must be {0} and owns the copies. */
THAW_NODISCARD thaw_status thaw_ckpt_bcast(thaw_comm *comm, int root, thaw_state *state);

#ifdef __cplusplus
}
#endif
#endif
