#include "thaw/kern.h"

#include <string.h>

#define THAW_KIND(name, doc) extern const thaw_loss thaw_loss_##name;
#include "kern/kinds.def"
#undef THAW_KIND

static const thaw_loss *const losses[] = {
#define THAW_KIND(name, doc) &thaw_loss_##name,
#include "kern/kinds.def"
#undef THAW_KIND
    NULL};

const thaw_loss *const *thaw_losses(void)
{
    return losses;
}

const thaw_loss *thaw_loss_find(const char *name)
{
    for (const thaw_loss *const *l = losses; *l != NULL; l++) {
        if (strcmp((*l)->name, name) == 0)
            return *l;
    }
    return NULL;
}

const thaw_loss *thaw_loss_default(thaw_task task)
{
    const thaw_loss *const *l = losses;
    while ((*l)->task != task)
        l++;
    return *l;
}
