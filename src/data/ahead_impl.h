/* Rows of a dataset file that are read before they are needed, by a thread of their own. */
#ifndef THAW_DATA_AHEAD_IMPL_H
#define THAW_DATA_AHEAD_IMPL_H

#include "thaw/base.h"

/* HDF5 is not for two threads at once, whatever the file. So the thread reads only between a call of ask and the next of pause, and the
 * caller uses no HDF5 of its own in between. One thread calls these functions. */
typedef struct thaw_ahead thaw_ahead;

/* Reads one stored row, or n consecutive ones. */
typedef thaw_status thaw_ahead_read(const void *source, int64_t split, int64_t first, int64_t n,
                                    void *out);

/* Starts the thread. room: rows that it keeps at most. THAW_ERR_RESOURCE: no memory, or no more threads. */
THAW_NODISCARD thaw_status thaw_ahead_start(thaw_ahead_read *read, const void *source, int64_t room,
                                            size_t row_bytes, thaw_ahead **out);
/* Ends the thread after the row that it is reading. Takes NULL. */
void thaw_ahead_stop(thaw_ahead **ahead);
int64_t thaw_ahead_room(const thaw_ahead *ahead);

/* Rows of a split that will be taken, in about this order. When there is no room, rows that were read longest ago and never taken go; rows
 * that still find none are not asked for. */
void thaw_ahead_ask(thaw_ahead *ahead, int64_t split, int64_t n, const int64_t *indices);
/* A row that was asked for, once it is there; good until the next ask. NULL: it was not asked for, could not be read, or waits while the
 * thread is paused; the caller reads it then, and says what is wrong with it. */
const void *thaw_ahead_take(thaw_ahead *ahead, int64_t split, int64_t index);
/* Waits for the row that is being read. From here to the next ask, HDF5 is the caller's. */
void thaw_ahead_pause(thaw_ahead *ahead);

#endif
