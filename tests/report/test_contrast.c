/* Contrast of the report's colours, light and dark, as WCAG 2.2 computes it: 4.5:1 for text (1.4.3), 3:1 for what is drawn (1.4.11). */
#include "thaw/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the standard headers that it needs */
#include <cmocka.h>

#include "report/chart_impl.h"

typedef struct colour {
    double part[3]; /* red, green, blue in [0, 1] */
} colour;

enum { LIGHT, DARK, THEMES };

static thaw_str page;

static int set_up(void **state)
{
    (void)state;
    thaw_html html = {0};
    thaw_html_finish(&html, "colours", NULL, &page);
    thaw_html_clear(&html);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    thaw_str_clear(&page);
    return 0;
}

static colour parse(const char *hex)
{
    const size_t digits = strspn(hex, "0123456789abcdef");
    const size_t each = digits == 3 ? 1 : 2;
    colour c;
    assert_true(digits == 3 || digits == 6);
    for (size_t i = 0; i < 3; i++) {
        char text[3] = {hex[i * each], hex[i * each + each - 1], '\0'};
        c.part[i] = (double)strtol(text, NULL, 16) / 255;
    }
    return c;
}

/* Every colour is set twice: for light first. */
static colour find(const char *name, int theme)
{
    char key[40];
    const char *at = page.data;
    thaw_format(key, sizeof key, "--%s:#", name);
    for (int i = 0; i <= theme; i++) {
        at = strstr(i == 0 ? at : at + 1, key);
        if (at == NULL)
            fail_msg("%s is not set for theme %d", name, theme);
    }
    assert_null(theme == DARK ? strstr(at + 1, key) : NULL);
    return parse(at + strlen(key));
}

static double luminance(colour c)
{
    static const double weight[3] = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (int i = 0; i < 3; i++)
        sum += weight[i] *
               (c.part[i] <= 0.04045 ? c.part[i] / 12.92 : pow((c.part[i] + 0.055) / 1.055, 2.4));
    return sum;
}

static double contrast(colour a, colour b)
{
    const double x = luminance(a);
    const double y = luminance(b);
    return (fmax(x, y) + 0.05) / (fmin(x, y) + 0.05);
}

static void need(const char *what, const char *on, double least)
{
    for (int theme = 0; theme < THEMES; theme++) {
        const double got = contrast(find(what, theme), find(on, theme));
        if (got < least)
            fail_msg("%s on %s, theme %d: %.2f:1, %.1f:1 is needed", what, on, theme, got, least);
    }
}

/* The formula's known ends. */
static void formula(void **state)
{
    (void)state;
    assert_true(fabs(contrast(parse("000"), parse("ffffff")) - 21) < 1e-9);
    assert_true(fabs(contrast(parse("777777"), parse("fff")) - 4.478) < 1e-3);
}

static void text(void **state)
{
    static const char *const grounds[] = {"page", "card", "mark"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        need("text", grounds[i], 4.5);
        need("muted", grounds[i], 4.5);
        need("accent", grounds[i], 4.5);
    }
    need("text", "neutral-soft", 4.5);
    need("accent", "neutral-soft", 4.5);
    need("good", "good-soft", 4.5);
    need("neutral", "neutral-soft", 4.5);
    need("warn", "warn-soft", 4.5);
    need("bad", "bad-soft", 4.5);
}

static void drawings(void **state)
{
    (void)state;
    for (int i = 0; i < THAW_CHART_COLOURS; i++) {
        char name[8];
        thaw_format(name, sizeof name, "c%d", i);
        need(name, "card", 3);
        need(name, "mark", 3);
    }
    need("zero", "card", 3);
}

/* A cell's colour lies over the card, more of it the more there is to say, and its figure on top. */
static void matrix(void **state)
{
    static const char *const fills[] = {"more", "fewer"};
    (void)state;
    for (int theme = 0; theme < THEMES; theme++) {
        for (size_t f = 0; f < 2; f++) {
            for (int step = 1; step <= 20; step++) {
                const double share = THAW_MATRIX_STRENGTH * step / 20;
                const colour fill = find(fills[f], theme);
                colour ground = find("card", theme);
                for (int i = 0; i < 3; i++)
                    ground.part[i] += share * (fill.part[i] - ground.part[i]);
                const double got = contrast(find("text", theme), ground);
                if (got < 4.5)
                    fail_msg("a figure on %.0f%% of %s, theme %d: %.2f:1", 100 * share, fills[f],
                             theme, got);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formula),
        cmocka_unit_test(text),
        cmocka_unit_test(drawings),
        cmocka_unit_test(matrix),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
