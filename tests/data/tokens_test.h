/* tokens_test.h - lines of tests/golden/wordpiece.txt and bpe.txt: what texts become by others. */
#ifndef TOKENS_TEST_H
#define TOKENS_TEST_H

#include "data_test.h"

#include "data/tokenizer_impl.h"

/* Cuts *at at the next space or line end; NULL at the end of the line. */
static char *next(char **at)
{
    char *word = *at;
    const size_t length = strcspn(word, " \n");
    if (length == 0)
        return NULL;
    *at = word + length + (word[length] == ' ');
    word[length] = 0;
    return word;
}

/* Hex to bytes, in place; "=": an empty text. "-" gives NULL. */
static char *text_of(char *hex)
{
    char *out = hex;
    if (strcmp(hex, "-") == 0)
        return NULL;
    for (; hex[0] != '=' && hex[0] && hex[1]; hex += 2, out++) {
        const char digits[3] = {hex[0], hex[1], 0};
        *out = (char)strtol(digits, NULL, 16);
    }
    char *begin = hex[0] == '=' ? hex : out - (hex - out);
    *out = 0;
    return begin;
}

static void check_numbers(const char *what, int64_t number, const char *wanted,
                          const int32_t *values, int64_t T)
{
    char *end = (char *)wanted;
    for (int64_t t = 0; t < T; t++) {
        const long want = strtol(end, &end, 10);
        if (want != values[t])
            fail_msg("case %lld: %s %lld is %d, not %ld", (long long)number, what, (long long)t,
                     values[t], want);
        end += *end == ',';
    }
    assert_int_equal(*end, 0);
}

static thaw_vocabulary about(const thaw_tokenizer *t)
{
    thaw_vocabulary out;
    thaw_tokenizer_about(t, &out);
    return out;
}

/* "case KIND T A B IDS TYPES CUT": with the tokenizer of that kind. */
static void check_case(thaw_tokenizer *const *kinds, char *line, int64_t number)
{
    char *at = line + strlen("case ");
    const thaw_tokenizer *w = kinds[strtol(next(&at), NULL, 10)];
    const int64_t T = strtol(next(&at), NULL, 10);
    const char *a = text_of(next(&at));
    const char *b = text_of(next(&at));
    int32_t ids[512], types[512];
    thaw_tokens out = {.ids = ids, .types = types};
    assert_true(T <= 512);
    assert_int_equal(thaw_tokenizer_encode(w, a, b, T, &out), THAW_OK);
    check_numbers("id", number, next(&at), ids, T);
    check_numbers("type", number, next(&at), types, T);
    assert_int_equal(out.cut, strtol(next(&at), NULL, 10));
    assert_true(out.count == T || out.cut == 0);
}

#endif
