#include "thaw/base.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool thaw_format(char *out, size_t bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int count = vsnprintf(out, bytes, format, args);
    va_end(args);
    return count >= 0 && (size_t)count < bytes;
}

bool thaw_copy(char *out, size_t bytes, const char *text)
{
    return thaw_format(out, bytes, "%s", text);
}

bool thaw_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool thaw_ends_with(const char *text, const char *suffix)
{
    size_t have = strlen(text);
    size_t want = strlen(suffix);
    return have >= want && strcmp(text + have - want, suffix) == 0;
}

bool thaw_match(const char *pattern, const char *text)
{
    /* Only the last star needs a second try: an earlier one cannot do better by taking more. */
    const char *star = NULL;
    const char *retry = NULL;
    while (*text != 0) {
        if (*pattern == '*') {
            star = pattern++;
            retry = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

bool thaw_parse_int(const char *text, int64_t *out)
{
    char *end;
    if (text[0] == 0 || strspn(text, "+-0123456789") != strlen(text))
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end != 0 || end == text || errno != 0)
        return false;
    *out = value;
    return true;
}

/* Decimal and finite; too small is a subnormal or 0, too large is no number. */
bool thaw_parse_double(const char *text, double *out)
{
    char *end;
    if (text[0] == 0 || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    double value = strtod(text, &end);
    if (*end != 0 || end == text || !isfinite(value))
        return false;
    *out = value;
    return true;
}

void thaw_format_bytes(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    /* 1023.95 would print as "1024.0". */
    while (fabs(bytes) >= (unit == 0 ? 1024.0 : 1023.95) &&
           unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024.0;
        unit++;
    }
    snprintf(out, size, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}
