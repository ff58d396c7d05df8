#include "thaw/h5.h"

#include "h5/h5_impl.h"

const char *thaw_h5_library(void)
{
    THAW_H5_ALONE;
    static char text[32];
    unsigned major = 0;
    unsigned minor = 0;
    unsigned release = 0;
    if (H5get_libversion(&major, &minor, &release) < 0)
        return "unknown";
    (void)thaw_format(text, sizeof text, "%u.%u.%u", major, minor, release);
    return text;
}
