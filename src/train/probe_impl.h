/* probe_impl.h - what the probes share: pooled features after every block of a network, of drawn samples. */
#ifndef THAW_TRAIN_PROBE_IMPL_H
#define THAW_TRAIN_PROBE_IMPL_H

#include "train/train_impl.h"

/* Which samples are drawn must not depend on the run's seed: probes of one data set stay comparable. */
#define PROBE_SEED UINT64_C(0x7468617770726f62)

typedef struct probe_depth {
    int32_t block;
    thaw_value value; /* the block's last */
    int64_t D, pixels;
    bool tokens;    /* (T, D), else (D, pixels) */
    int64_t offset; /* of its features in a row of all */
} probe_depth;

typedef struct probing {
    thaw_setup *setup;
    thaw_plan *plan;
    probe_depth *depths;
    int64_t count;
    int64_t width; /* features of all depths */
    int64_t pad_id;
    bool is_text;
} probing;

/* Finds the depths of an opened set-up's network and plans its run. Close it after an error too. Collective. */
THAW_NODISCARD thaw_status probing_open(thaw_comm *comm, thaw_setup *setup, probing *out);
void probing_close(probing *p);
/* Pooled features (n, width) of n drawn samples of a split, and their labels (n), 0 where it has none, on all ranks; `labels` may be NULL.
 * The data set is the set-up's, or one with samples of its shape. Collective. */
THAW_NODISCARD thaw_status probing_draw(thaw_comm *comm, const probing *p,
                                        const thaw_dataset *dataset, int64_t split, int64_t n,
                                        float **rows, int32_t **labels);
/* Columns of one depth of rows (n, width), dense. */
void probing_cut(const probing *p, const probe_depth *d, int64_t n, const float *rows, float *out);

static inline int64_t probe_at_most(int64_t count, int64_t most)
{
    return count < most ? count : most;
}

#endif
