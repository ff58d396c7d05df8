#include "thaw/base.h"

#include <time.h>

double thaw_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void thaw_timestamp(char *out, size_t bytes)
{
    time_t now = time(NULL);
    struct tm utc;
    if (bytes == 0)
        return;
    out[0] = 0;
    if (gmtime_r(&now, &utc) != NULL && strftime(out, bytes, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        out[0] = 0;
}
