#include "thaw/base.h"

#include <stdio.h>
#include <string.h>

#include "base/memory_impl.h"

/* Room for `extra` more bytes and the ending 0. */
static void reserve(thaw_str *s, size_t extra)
{
    size_t needed = s->length + extra + 1;
    if (needed <= s->capacity)
        return;
    size_t capacity = s->capacity < 32 ? 64 : s->capacity * 2;
    if (capacity < needed)
        capacity = needed;
    char *grown = thaw_memory_grow(s->data, s->capacity, capacity);
    if (grown == NULL) {
        THAW_LOG_ALL(THAW_ERROR, "out of memory: cannot grow a text to %zu bytes", capacity);
        thaw_abort(4);
    }
    s->data = grown;
    s->capacity = capacity;
}

void thaw_str_add_bytes(thaw_str *s, const void *bytes, size_t count)
{
    reserve(s, count);
    if (count > 0)
        memcpy(s->data + s->length, bytes, count);
    s->length += count;
    s->data[s->length] = 0;
}

void thaw_str_add(thaw_str *s, const char *text)
{
    thaw_str_add_bytes(s, text, strlen(text));
}

void thaw_str_vprintf(thaw_str *s, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, format, args);
    if (count > 0) {
        reserve(s, (size_t)count);
        vsnprintf(s->data + s->length, (size_t)count + 1, format, again);
        s->length += (size_t)count;
    }
    va_end(again);
}

void thaw_str_printf(thaw_str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    thaw_str_vprintf(s, format, args);
    va_end(args);
}

void thaw_str_reset(thaw_str *s)
{
    s->length = 0;
    if (s->data != NULL)
        s->data[0] = 0;
}

void thaw_str_clear(thaw_str *s)
{
    thaw_free(&s->data);
    s->length = 0;
    s->capacity = 0;
}

const char *thaw_str_c(const thaw_str *s)
{
    return s->data != NULL ? s->data : "";
}
