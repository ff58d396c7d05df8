/* The optimizer in parts (train.shard_optimizer): rank r keeps the state of part r; see docs/adr/0023. */
#ifndef THAW_TRAIN_PARTS_IMPL_H
#define THAW_TRAIN_PARTS_IMPL_H

#include "train/train_impl.h"

/* Parts that the optimizer's work is shared by: the ranks, or 1. */
int32_t thaw_parts(const thaw_config *config, const thaw_comm *comm);
/* Memory for exchanging weights, whatever their number. Local. */
THAW_NODISCARD thaw_status thaw_parts_open(thaw_trainer *trainer);
int64_t thaw_parts_bytes(const thaw_trainer *trainer);
/* After an update every rank gets the weights that the others updated. Collective. */
void thaw_parts_exchange(thaw_trainer *trainer, thaw_comm *comm);
/* Who has what of an optimizer in parts, while its state is written or restored. */
typedef struct thaw_parts_view {
    const thaw_trainer *trainer;
    const thaw_state *state;
    int64_t first; /* the optimizer's entries begin here */
    thaw_ckpt_parts parts;
} thaw_parts_view;

/* Adds the optimizer's whole state: views where it is in one part, else entries without data, which *out knows; it stays where it is, as long
 * as the state is used. Local. */
THAW_NODISCARD thaw_status thaw_parts_add(thaw_trainer *trainer, thaw_state *state,
                                          thaw_parts_view *out);
/* For module ckpt; NULL where it is in one part. */
const thaw_ckpt_parts *thaw_parts_in(const thaw_parts_view *view);
/* What `from` keeps of tensors that the trainer's optimizer has too goes to the ranks whose parts they are in now, and so do the steps done.
 * Both are in as many parts as there are ranks. Collective. */
THAW_NODISCARD thaw_status thaw_parts_move(thaw_trainer *trainer, thaw_comm *comm,
                                           thaw_optimizer *from);

#endif
