/* What `thaw info` says of a checkpoint. */
#ifndef THAW_CLI_INFO_IMPL_H
#define THAW_CLI_INFO_IMPL_H

#include "cli/cli_impl.h"

/* Of the file at `path`, or of the newest whole checkpoint of a run directory: run, step, epoch, every tensor with shape and digest, and
 * whether all of it is as it was written. Also adaptation.h5, which has the same layout. THAW_ERR_INPUT, after the answer where there is
 * one: the file is damaged, as the message says. Collective; rank 0 reads and prints. */
THAW_NODISCARD thaw_status cli_info_checkpoint(thaw_comm *comm, const char *path, bool json);

#endif
