#include "thaw/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int exit_code;
} statuses[] = {
    [THAW_OK] = {"ok", 0},
    [THAW_ERR_FAIL] = {"failure", 1},
    [THAW_ERR_USAGE] = {"usage", 2},
    [THAW_ERR_CONFIG] = {"config", 2},
    [THAW_ERR_INPUT] = {"input", 3},
    [THAW_ERR_RESOURCE] = {"resource", 4},
    [THAW_ERR_NUMERIC] = {"numeric", 5},
    [THAW_ERR_STOPPED] = {"stopped", 75},
};

/* Writer and loader threads may fail at the same moment as the main one. */
static _Thread_local thaw_error last;
static thaw_abort_hook *abort_hook;
static _Atomic pid_t guarded; /* the process that must not end by itself; 0: none */

static bool known(thaw_status status)
{
    return (size_t)status < sizeof statuses / sizeof statuses[0];
}

int thaw_status_exit_code(thaw_status status)
{
    return known(status) ? statuses[status].exit_code : 1;
}

const char *thaw_status_name(thaw_status status)
{
    return known(status) ? statuses[status].name : "unknown";
}

thaw_error *thaw_error_last(void)
{
    return &last;
}

void thaw_error_clear(void)
{
    memset(&last, 0, sizeof last);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

thaw_status thaw_fail(thaw_status code, const char *file, int line, const char *format, ...)
{
    /* Formatted apart, because an argument may be the old message itself. */
    char message[sizeof last.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    memset(&last, 0, sizeof last);
    last.code = (int32_t)code;
    last.line = line;
    snprintf(last.file, sizeof last.file, "%s", base_name(file));
    memcpy(last.message, message, sizeof message);
    return code;
}

thaw_status thaw_fail_context(thaw_status code, const char *format, ...)
{
    char message[sizeof last.message];
    char joined[sizeof last.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (!thaw_format(joined, sizeof joined, "%s: %s", message, last.message))
        memcpy(joined + sizeof joined - 4, "...", 4);
    memcpy(last.message, joined, sizeof joined);
    last.code = (int32_t)code;
    return code;
}

void thaw_set_abort_hook(thaw_abort_hook *hook)
{
    abort_hook = hook;
}

void thaw_abort(int exit_code)
{
    guarded = 0; /* the hook may end the process by exit() */
    fflush(NULL);
    if (abort_hook != NULL)
        abort_hook(exit_code);
    if (exit_code != 1)
        _Exit(exit_code);
    abort();
}

static void look_at_exit(void)
{
    if (guarded != getpid())
        return;
    guarded = 0;
    THAW_LOG_ALL(
        THAW_ERROR,
        "exit was called in the middle of the work, which others wait for; the job ends here");
    thaw_abort(1);
}

void thaw_guard_exit(bool on)
{
    static bool registered;
    if (on && !registered)
        registered = atexit(look_at_exit) == 0;
    guarded = on ? getpid() : 0;
}

void thaw_assert_failed(const char *condition, const char *file, int line)
{
    THAW_LOG_ALL(THAW_ERROR, "internal error at %s:%d: %s does not hold", base_name(file), line,
                 condition);
    thaw_abort(1);
}
