/* train/norms_impl.h - batch norms that train: whose statistics they take, and the shards of a rank that go abreast for it. */
#ifndef THAW_TRAIN_NORMS_IMPL_H
#define THAW_TRAIN_NORMS_IMPL_H

#include "thaw/comm.h"
#include "thaw/train.h"

/* What a trainer has of it. */
typedef struct thaw_lanes {
    int32_t count;  /* shards of this rank that go abreast; 1: one after another */
    thaw_run *runs; /* (count) */
    double *met; /* (shards, widest): what all ranks bring where shards meet; NULL: they do not */
    double seconds; /* of this start, in those meetings */
} thaw_lanes;

/* So many shards of a rank may go abreast in a plan for training: all of them, where batch norms may meet; else 0. */
int32_t thaw_train_abreast(const thaw_comm *comm, const thaw_config *config);
/* Room for that plan. Local. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_lanes_open(thaw_lanes *lanes, const thaw_config *config,
                                           const thaw_plan *plan);
void thaw_lanes_close(thaw_lanes *lanes);
/* What a rank gets in one step where shards meet: the rows of all. */
int64_t thaw_train_norm_bytes(const thaw_config *config, const thaw_plan *plan);
/* One line, where the config asks for it. */
void thaw_lanes_announce(const thaw_lanes *lanes, const thaw_config *config, const thaw_plan *plan);
/* Into a summary, where shards meet. */
void thaw_lanes_describe(const thaw_lanes *lanes, const thaw_config *config, const thaw_plan *plan,
                         thaw_json *out);

#endif
