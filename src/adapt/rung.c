#include "thaw/adapt.h"

#include <string.h>

static const char *const words[] = {"scratch", "frozen", "peft", "partial", "full"};
#define WORDS (sizeof words / sizeof *words)

static thaw_status not_a_rung(const char *text)
{
    const char *near = thaw_did_you_mean(text, words, WORDS);
    return THAW_FAIL(THAW_ERR_CONFIG,
                     "\"%s\" is not a rung%s%s%s; rungs are scratch, frozen, peft, partial:K, "
                     "partial:first:K, partial:NAME,NAME and full",
                     text, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static thaw_status parse_blocks(const char *text, const char *digits, int64_t *out)
{
    THAW_CHECK(thaw_parse_int(digits, out) && *out >= 1 && *out <= 1000000, THAW_ERR_CONFIG,
               "rung \"%s\" needs a number of blocks, at least 1, where it says \"%s\"; for "
               "instance partial:1",
               text, digits);
    return THAW_OK;
}

static bool is_number(const char *text)
{
    int64_t value;
    return thaw_parse_int(text, &value);
}

static thaw_status parse_partial(const char *text, const char *what, thaw_rung *out)
{
    if (thaw_starts_with(what, "first:"))
        return parse_blocks(text, what + strlen("first:"), &out->first);
    if (is_number(what))
        return parse_blocks(text, what, &out->last);
    THAW_CHECK(*what != 0 && *what != ',' && !thaw_ends_with(what, ",") && !strstr(what, ",,"),
               THAW_ERR_CONFIG,
               "rung \"%s\" does not say what to train; write partial:1 for the last block, or "
               "names such as partial:layer3,layer4",
               text);
    THAW_CHECK(thaw_copy(out->patterns, sizeof out->patterns, what), THAW_ERR_CONFIG,
               "the names in rung \"%s\" are longer than %zu characters; use patterns (layer*)",
               text, sizeof out->patterns - 1);
    return THAW_OK;
}

thaw_status thaw_rung_parse(const char *text, thaw_rung *out)
{
    thaw_rung rung = {0};
    if (thaw_starts_with(text, "partial:")) {
        rung.kind = THAW_RUNG_PARTIAL;
        THAW_TRY(parse_partial(text, text + strlen("partial:"), &rung));
        *out = rung;
        return THAW_OK;
    }
    THAW_CHECK(strcmp(text, "partial") != 0, THAW_ERR_CONFIG,
               "rung \"partial\" does not say how much; write partial:1 for the last block");
    for (size_t i = 0; i < WORDS; i++) {
        if (strcmp(text, words[i]) == 0) {
            rung.kind = (thaw_rung_kind)i;
            *out = rung;
            return THAW_OK;
        }
    }
    return not_a_rung(text);
}

void thaw_rung_format(const thaw_rung *rung, char out[THAW_RUNG_TEXT])
{
    const char *word = words[rung->kind];
    bool fits;
    if (rung->kind != THAW_RUNG_PARTIAL)
        fits = thaw_copy(out, THAW_RUNG_TEXT, word);
    else if (rung->first > 0)
        fits = thaw_format(out, THAW_RUNG_TEXT, "%s:first:%lld", word, (long long)rung->first);
    else if (rung->last > 0)
        fits = thaw_format(out, THAW_RUNG_TEXT, "%s:%lld", word, (long long)rung->last);
    else
        fits = thaw_format(out, THAW_RUNG_TEXT, "%s:%s", word, rung->patterns);
    THAW_ASSERT(fits);
}

bool thaw_rung_equal(const thaw_rung *a, const thaw_rung *b)
{
    return a->kind == b->kind && a->last == b->last && a->first == b->first &&
           strcmp(a->patterns, b->patterns) == 0;
}

static int sign(int64_t difference)
{
    return (difference > 0) - (difference < 0);
}

int thaw_rung_compare(const thaw_rung *a, const thaw_rung *b)
{
    if (a->kind != b->kind)
        return sign((int64_t)a->kind - (int64_t)b->kind);
    if (a->last != b->last)
        return sign(a->last - b->last);
    if (a->first != b->first)
        return sign(a->first - b->first);
    return strcmp(a->patterns, b->patterns);
}
