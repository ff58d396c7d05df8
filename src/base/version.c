#include "thaw/base.h"

const char *thaw_version(void)
{
    return THAW_VERSION;
}

const char *thaw_commit(void)
{
    return THAW_COMMIT;
}
