#include "thaw/base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log_impl.h"

static atomic_int log_rank;
static atomic_int log_size = 1;
static atomic_int log_least = THAW_INFO;

void thaw_log_set_rank(int rank, int size)
{
    atomic_store(&log_rank, rank);
    atomic_store(&log_size, size);
}

int thaw_log_rank(void)
{
    return atomic_load_explicit(&log_rank, memory_order_relaxed);
}

void thaw_log_set_level(thaw_level least)
{
    atomic_store(&log_least, (int)least);
}

thaw_level thaw_log_get_level(void)
{
    return (thaw_level)atomic_load(&log_least);
}

static const char *prefix_of(thaw_level level, bool colour)
{
    if (level == THAW_WARN)
        return colour ? "thaw: \033[33mwarning:\033[0m " : "thaw: warning: ";
    if (level == THAW_ERROR)
        return colour ? "thaw: \033[31merror:\033[0m " : "thaw: error: ";
    return "";
}

/* One line in one write, so that the lines of several ranks do not mix; the heap is for the rare long one. */
static void print_line(FILE *stream, const char *prefix, const char *format, va_list args)
{
    char line[2048];
    thaw_str longer = {0};
    const char *text = line;
    va_list again;
    va_copy(again, args);
    int used = snprintf(line, sizeof line, "%s", prefix);
    int more = vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    size_t length = (size_t)used + (size_t)(more > 0 ? more : 0);
    if (length + 2 > sizeof line) {
        thaw_str_add(&longer, prefix);
        thaw_str_vprintf(&longer, format, again);
        thaw_str_add(&longer, "\n");
        text = longer.data;
        length = longer.length;
    } else if (length == 0 || line[length - 1] != '\n') {
        line[length++] = '\n';
    }
    fwrite(text, 1, length, stream);
    fflush(stream);
    thaw_str_clear(&longer);
    va_end(again);
}

void thaw_log(thaw_level level, bool every_rank, const char *format, ...)
{
    int rank = atomic_load(&log_rank);
    int size = atomic_load(&log_size);
    if ((int)level < atomic_load(&log_least) || (!every_rank && rank != 0))
        return;
    FILE *stream = level == THAW_RESULT ? stdout : stderr;
    bool colour = stream == stderr && isatty(STDERR_FILENO) == 1;
    char prefix[80];
    snprintf(prefix, sizeof prefix, "%s", prefix_of(level, colour));
    if (every_rank && size > 1) {
        size_t used = strlen(prefix);
        snprintf(prefix + used, sizeof prefix - used, "[rank %d of %d] ", rank, size);
    }
    va_list args;
    va_start(args, format);
    print_line(stream, prefix, format, args);
    va_end(args);
}
