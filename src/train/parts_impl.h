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
/* Adds the optimizer's whole state: views where it is in one part, else copies on rank 0, fetched one after another. Collective. */
THAW_NODISCARD thaw_status thaw_parts_collect(thaw_trainer *trainer, thaw_comm *comm,
                                              thaw_state *out);
/* Takes this rank's part of the optimizer's state from a whole one. Local. */
THAW_NODISCARD thaw_status thaw_parts_restore(thaw_trainer *trainer, const thaw_comm *comm,
                                              const thaw_state *from);

/* What `from` keeps of tensors that the trainer's optimizer has too goes to the ranks whose parts they are in now, and so do the steps done.
 * Both are in as many parts as there are ranks. Collective. */
THAW_NODISCARD thaw_status thaw_parts_move(thaw_trainer *trainer, thaw_comm *comm,
                                           thaw_optimizer *from);

#endif
