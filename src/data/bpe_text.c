#include "data/bpe_impl.h"

#include <string.h>
#include <utf8proc.h>

typedef enum kind { SPACE, LETTER, NUMBER, OTHER } kind;

/* Unicode's White_Space. */
static bool is_space(int32_t point)
{
    const utf8proc_category_t category = utf8proc_category(point);
    return (point >= 0x09 && point <= 0x0d) || point == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

static kind kind_of(int32_t point)
{
    const utf8proc_category_t category = utf8proc_category(point);
    if (is_space(point))
        return SPACE;
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
        return LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
        return NUMBER;
    return OTHER;
}

/* The kind of the character at text[at], and its bytes. */
static kind read_kind(const char *text, size_t bytes, size_t at, size_t *length)
{
    utf8proc_int32_t point = -1;
    const utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                  (utf8proc_ssize_t)(bytes - at), &point);
    THAW_ASSERT(got > 0);
    *length = (size_t)got;
    return kind_of(point);
}

/* Where the run of this kind ends; the start of its last character to *last. */
static size_t run_of(const char *text, size_t bytes, size_t at, kind wanted, size_t *last)
{
    size_t length = 0;
    for (; at < bytes && read_kind(text, bytes, at, &length) == wanted; at += length)
        *last = at;
    return at;
}

static size_t contraction(const char *text, size_t bytes)
{
    static const char *const ends[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t length = strlen(ends[i]);
        if (length <= bytes && memcmp(text, ends[i], length) == 0)
            return length;
    }
    return 0;
}

size_t thaw_bpe_word(const char *text, size_t bytes, size_t at)
{
    size_t length = 0;
    size_t last = at;
    const size_t end = contraction(text + at, bytes - at);
    if (end > 0)
        return end;
    const size_t blank = text[at] == ' ' && at + 1 < bytes;
    const kind next = read_kind(text, bytes, at + blank, &length);
    if (next != SPACE)
        return run_of(text, bytes, at + blank, next, &last) - at;
    const size_t stop = run_of(text, bytes, at, SPACE, &last);
    /* The last space before a word stays for it. */
    return (stop < bytes && last > at ? last : stop) - at;
}

size_t thaw_bpe_spaces_first(const char *text, size_t bytes)
{
    size_t last = 0;
    return run_of(text, bytes, 0, SPACE, &last);
}

size_t thaw_bpe_spaces_last(const char *text, size_t bytes)
{
    size_t at = bytes;
    size_t length = 0;
    while (at > 0) {
        size_t begin = at - 1;
        while (begin > 0 && ((unsigned char)text[begin] & 0xc0) == 0x80)
            begin--;
        if (read_kind(text, bytes, begin, &length) != SPACE)
            break;
        at = begin;
    }
    return bytes - at;
}

/* Bytes that print stand for themselves, the others for what follows U+0100, in their order (GPT-2's bytes_to_unicode). */
size_t thaw_bpe_letter(int byte, char out[4])
{
    int32_t other = 256;
    int32_t point = 0;
    for (int i = 0; i <= byte; i++) {
        const bool prints = (i > ' ' && i < 0x7f) || (i > 0xa0 && i != 0xad);
        point = prints ? i : other++;
    }
    return (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)out);
}
