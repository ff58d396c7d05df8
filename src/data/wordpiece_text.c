#include "data/wordpiece_text_impl.h"

#include <utf8proc.h>

/* CJK ideographs that stand for words, as BERT lists them; the block from U+2B820 begins later in BertTokenizer, too. */
static const int32_t ideographs[][2] = {{0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},
                                        {0x20000, 0x2a6df}, {0x2a700, 0x2b81f}, {0x2b920, 0x2ceaf},
                                        {0x2f800, 0x2fa1f}};

/* The character at text[at], and its bytes to *length; 0 bytes: not UTF-8. */
static int32_t character(const char *text, size_t bytes, size_t at, size_t *length)
{
    utf8proc_int32_t point = -1;
    const utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                  (utf8proc_ssize_t)(bytes - at), &point);
    *length = got > 0 ? (size_t)got : 0;
    return point;
}

int64_t thaw_utf8_check(const char *text, size_t bytes)
{
    size_t length = 0;
    for (size_t at = 0; at < bytes; at += length) {
        (void)character(text, bytes, at, &length);
        if (length == 0)
            return (int64_t)at;
    }
    return -1;
}

bool thaw_utf8_continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

static bool is_space(int32_t point)
{
    const utf8proc_category_t kind = utf8proc_category(point);
    return point == '\t' || point == '\n' || point == '\r' || kind == UTF8PROC_CATEGORY_ZS ||
           kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}

/* U+FFFD stands for bytes that were no character. */
static bool is_control(int32_t point)
{
    const utf8proc_category_t kind = utf8proc_category(point);
    return point == 0 || point == 0xfffd || kind == UTF8PROC_CATEGORY_CC ||
           kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_CO;
}

static bool is_ideograph(int32_t point)
{
    for (size_t i = 0; i < sizeof ideographs / sizeof *ideographs; i++)
        if (point >= ideographs[i][0] && point <= ideographs[i][1])
            return true;
    return false;
}

/* All of ASCII that is no letter, digit, space or control counts, also what Unicode calls a symbol. */
static bool is_punctuation(int32_t point)
{
    const utf8proc_category_t kind = utf8proc_category(point);
    if (point < 0x80)
        return point > ' ' && point < 0x7f && !(point >= '0' && point <= '9') &&
               !(point >= 'A' && point <= 'Z') && !(point >= 'a' && point <= 'z');
    return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}

static void add(thaw_str *out, int32_t point)
{
    utf8proc_uint8_t bytes[4];
    thaw_str_add_bytes(out, bytes, (size_t)utf8proc_encode_char(point, bytes));
}

/* Marks of one character at a time: their order among each other does not matter, as they all go. */
static void add_lowered(thaw_str *out, int32_t point)
{
    enum { MOST = 16 };
    utf8proc_int32_t parts[MOST];
    int boundary = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(point, parts, MOST, UTF8PROC_DECOMPOSE, &boundary);
    THAW_ASSERT(count > 0 && count <= MOST); /* Unicode's longest has 4 */
    for (utf8proc_ssize_t i = 0; i < count; i++)
        if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
            add(out, utf8proc_tolower(parts[i]));
}

void thaw_text_normalise(const char *text, size_t bytes, bool cased, thaw_str *out)
{
    size_t length = 0;
    for (size_t at = 0; at < bytes; at += length) {
        const int32_t point = character(text, bytes, at, &length);
        THAW_ASSERT(length > 0);
        if (is_space(point)) {
            add(out, ' ');
            continue;
        }
        if (is_control(point))
            continue;
        const bool word = is_ideograph(point);
        if (word)
            add(out, ' ');
        if (cased)
            add(out, point);
        else
            add_lowered(out, point);
        if (word)
            add(out, ' ');
    }
}

bool thaw_text_next_word(const char *text, size_t bytes, thaw_word *word)
{
    size_t at = word->at + word->bytes;
    size_t length = 0;
    while (at < bytes && text[at] == ' ')
        at++;
    *word = (thaw_word){.at = at};
    while (at < bytes && text[at] != ' ') {
        const bool alone = is_punctuation(character(text, bytes, at, &length));
        if (alone && word->characters > 0)
            break;
        word->characters++;
        word->bytes += length;
        at += length;
        if (alone)
            break;
    }
    return word->characters > 0;
}
