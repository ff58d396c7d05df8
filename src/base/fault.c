#include "thaw/base.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_impl.h"

static const char *const sites[] = {
#define THAW_FAULT_SITE(name) #name,
#include "base/faults.def"
#undef THAW_FAULT_SITE
    NULL,
};

/* Read once from the environment; constant afterwards, except for the count of passes. */
static struct {
    char site[32];
    int64_t rank;
    int64_t nth;
} wanted;
static atomic_int armed = -1; /* -1: the environment was not looked at yet */
static atomic_int_least64_t passes;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool parse(const char *text)
{
    char copy[96];
    if (!thaw_copy(copy, sizeof copy, text))
        return false;
    char *rank = strchr(copy, ':');
    char *nth = rank != NULL ? strchr(rank + 1, ':') : NULL;
    if (nth == NULL)
        return false;
    *rank++ = 0;
    *nth++ = 0;
    return thaw_copy(wanted.site, sizeof wanted.site, copy) && thaw_parse_int(rank, &wanted.rank) &&
           thaw_parse_int(nth, &wanted.nth) && wanted.rank >= 0 && wanted.nth >= 1;
}

static bool known(const char *site)
{
    for (size_t i = 0; sites[i] != NULL; i++) {
        if (strcmp(sites[i], site) == 0)
            return true;
    }
    return false;
}

static void read_environment(void)
{
    const char *text = getenv("THAW_FAULT");
    if (text == NULL || text[0] == 0) {
        atomic_store(&armed, 0);
        return;
    }
    if (!parse(text) || !known(wanted.site)) {
        /* A fault that never happens would let a test pass for nothing. */
        thaw_str names = {0};
        for (size_t i = 0; sites[i] != NULL; i++)
            thaw_str_printf(&names, " %s", sites[i]);
        THAW_LOG_ALL(THAW_ERROR, "THAW_FAULT=%s is not site:rank:nth with a site of:%s", text,
                     thaw_str_c(&names));
        thaw_str_clear(&names);
        thaw_abort(2);
    }
    atomic_store(&armed, 1);
}

bool thaw_fault(const char *site)
{
    int state = atomic_load_explicit(&armed, memory_order_acquire);
    if (state == 0)
        return false;
    if (state < 0) {
        pthread_once(&once, read_environment);
        state = atomic_load(&armed);
    }
    if (state == 0 || strcmp(site, wanted.site) != 0 || thaw_log_rank() != wanted.rank)
        return false;
    return atomic_fetch_add(&passes, 1) + 1 == wanted.nth;
}

void thaw_fault_leave(void)
{
    exit(0);
}

const char *const *thaw_fault_sites(void)
{
    return sites;
}
