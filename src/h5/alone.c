#include "h5/h5_impl.h"

#include <pthread.h>

/* A build of HDF5 need not be thread-safe: Debian's is, its own default is not. Of the library, not of a file: its tables of identifiers and its error stack are one for all. Recursive, since our functions call one
 * another, and an error is read from the stack under the lock that the failing call was made under. */
static pthread_mutex_t turn;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_settype(&how, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&turn, &how);
    pthread_mutexattr_destroy(&how);
}

int thaw_h5_enter(void)
{
    pthread_once(&once, make);
    pthread_mutex_lock(&turn);
    return 0;
}

void thaw_h5_leave(const int *entered)
{
    (void)entered;
    pthread_mutex_unlock(&turn);
}
