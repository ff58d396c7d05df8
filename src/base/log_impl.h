/* base/log_impl.h - the rank that the log knows, for fault sites. */
#ifndef THAW_BASE_LOG_IMPL_H
#define THAW_BASE_LOG_IMPL_H

int thaw_log_rank(void);

#endif
