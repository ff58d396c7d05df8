/* threads_impl.h - loops of kern on the threads of a rank (thaw_threads).
 *
 * Only independent outputs are shared out: elements, rows, channels, images. What is summed keeps its order, so that the
 * bits do not depend on the number of threads. Without OpenMP a rank runs one thread. */
#ifndef KERN_THREADS_IMPL_H
#define KERN_THREADS_IMPL_H

#include "thaw/kern.h"

enum { KERN_UNIT = 16 }; /* shares begin at multiples of so many elements */

/* Element at which share `i` of `shares` begins. */
int64_t kern_share(int64_t n, int shares, int i);

/* Runs body, which uses the elements [at, at + count) of n, once or in several threads; never where there are none, since their array may be NULL. */
#define KERN_SPLIT(work, n, at, count, body)                                                       \
    do {                                                                                           \
        int shares_ = thaw_threads_for(work);                                                      \
        if (shares_ == 1) {                                                                        \
            const int64_t at = 0;                                                                  \
            const int64_t count = (n);                                                             \
            if (count > 0)                                                                         \
                body;                                                                              \
        } else {                                                                                   \
            KERN_SHARED_LOOP(shares_)                                                              \
            for (int share_ = 0; share_ < shares_; share_++) {                                     \
                const int64_t at = kern_share(n, shares_, share_);                                 \
                const int64_t count = kern_share(n, shares_, share_ + 1) - at;                     \
                body;                                                                              \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Runs body for each i below n in `threads` threads; a thread gets neighbours. */
#define KERN_ALL(threads, n, i, body)                                                              \
    do {                                                                                           \
        int shares_ = (threads);                                                                   \
        if (shares_ == 1) {                                                                        \
            for (int64_t i = 0; i < (n); i++) {                                                    \
                body;                                                                              \
            }                                                                                      \
        } else {                                                                                   \
            KERN_SHARED_LOOP(shares_)                                                              \
            for (int64_t i = 0; i < (n); i++) {                                                    \
                body;                                                                              \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* The same in as many threads as the work is worth. */
#define KERN_EACH(work, n, i, body) KERN_ALL(thaw_threads_for(work), n, i, body)

#if defined(_OPENMP)
#define KERN_PRAGMA(text) _Pragma(#text)
#define KERN_SHARED_LOOP(shares) KERN_PRAGMA(omp parallel for num_threads(shares) schedule(static))
#else
#define KERN_SHARED_LOOP(shares)
#endif

#endif
