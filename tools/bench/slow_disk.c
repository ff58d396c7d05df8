/* slow_disk.c - a disk of a chosen speed, for `disk`: preloaded (LD_PRELOAD), it lets each read of a large piece of a file take as long as a
 * disk of SLOW_DISK_MB million bytes a second would, asleep, one read after another. Only files whose name ends in SLOW_DISK_FILE. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Smaller ones are metadata, which stay in memory. */
enum { PIECE = 4096 };

typedef ssize_t reader(int fd, void *buffer, size_t bytes, off_t offset);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timespec idle; /* when the disk is through with what it has */

static bool is_slow(int fd)
{
    char link[64], path[4096];
    const char *end = getenv("SLOW_DISK_FILE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    if (end == NULL || n < (ssize_t)strlen(end))
        return false;
    path[n] = '\0';
    return strcmp(path + n - strlen(end), end) == 0;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void wait_for_disk(size_t bytes)
{
    const char *speed = getenv("SLOW_DISK_MB");
    const double seconds = (double)bytes / 1e6 / (speed != NULL ? strtod(speed, NULL) : 1e9);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&lock);
    if (is_before(&idle, &now))
        idle = now;
    const long nanoseconds = idle.tv_nsec + (long)(seconds * 1e9);
    idle.tv_sec += nanoseconds / 1000000000;
    idle.tv_nsec = nanoseconds % 1000000000;
    const struct timespec until = idle;
    pthread_mutex_unlock(&lock);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static ssize_t slow_read(const char *name, int fd, void *buffer, size_t bytes, off_t offset)
{
    reader *real;
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(&real, &symbol, sizeof real);
    if (bytes > PIECE && is_slow(fd))
        wait_for_disk(bytes);
    return real(fd, buffer, bytes, offset);
}

ssize_t pread(int fd, void *buffer, size_t bytes, off_t offset)
{
    return slow_read("pread", fd, buffer, bytes, offset);
}

ssize_t pread64(int fd, void *buffer, size_t bytes, off64_t offset)
{
    return slow_read("pread64", fd, buffer, bytes, offset);
}
