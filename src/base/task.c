#include "thaw/base.h"

#include <string.h>

static const char *const names[] = {"classification", "multi_label", "regression", NULL};

const char *thaw_task_name(thaw_task task)
{
    return (unsigned)task < THAW_TASK_COUNT ? names[task] : "unknown";
}

const char *thaw_task_columns(thaw_task task)
{
    static const char *const columns[] = {"classes", "labels", "targets"};
    return (unsigned)task < THAW_TASK_COUNT ? columns[task] : "columns";
}

bool thaw_task_parse(const char *name, thaw_task *out)
{
    for (int i = 0; i < THAW_TASK_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (thaw_task)i;
            return true;
        }
    }
    return false;
}

const char *const *thaw_task_names(void)
{
    return names;
}
