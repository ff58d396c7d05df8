#include "ladder/html_impl.h"

#include <string.h>

/* Small helpers of the report's sections. */

thaw_tone ladder_verdict_tone(const char *verdict)
{
    static const struct {
        const char *verdict;
        thaw_tone tone;
    } tones[] = {{"clear gain", THAW_TONE_GOOD},      {"helps", THAW_TONE_GOOD},
                 {"equivalent", THAW_TONE_NEUTRAL},   {"no evidence", THAW_TONE_WARN},
                 {"inconclusive", THAW_TONE_WARN},    {"worse", THAW_TONE_BAD},
                 {"negative transfer", THAW_TONE_BAD}};
    for (size_t i = 0; i < sizeof tones / sizeof *tones; i++) {
        if (strcmp(tones[i].verdict, verdict) == 0)
            return tones[i].tone;
    }
    return THAW_TONE_NEUTRAL;
}

void ladder_paragraph(ladder_page *page, const char *format, ...)
{
    thaw_str words = {0};
    va_list args;
    va_start(args, format);
    thaw_str_vprintf(&words, format, args);
    va_end(args);
    thaw_html_paragraph(&page->html, thaw_str_c(&words));
    thaw_str_clear(&words);
}

void ladder_tile(ladder_page *page, const char *label, const thaw_str *value,
                 const thaw_str *detail, thaw_tone tone)
{
    thaw_html_tile(&page->html, label, thaw_str_c(value), thaw_str_c(detail), tone);
}

void ladder_fact(ladder_page *page, const char *name, const char *format, ...)
{
    thaw_str words = {0};
    va_list args;
    va_start(args, format);
    thaw_str_vprintf(&words, format, args);
    va_end(args);
    thaw_html_fact(&page->html, name, thaw_str_c(&words));
    thaw_str_clear(&words);
}

void ladder_table(ladder_page *page, thaw_table *table, const char *caption)
{
    thaw_html_table(&page->html, table, caption);
    thaw_table_clear(table);
}

void ladder_columns(thaw_table *table, const char *const *titles, const thaw_align *aligns,
                    int count)
{
    for (int i = 0; i < count; i++)
        thaw_table_column(table, titles[i], aligns[i]);
}
