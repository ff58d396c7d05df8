#include "thaw/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* after the standard headers that it needs */
#include <cmocka.h>

static void fill(thaw_table *table)
{
    thaw_table_column(table, "rung", THAW_LEFT);
    thaw_table_column(table, "accuracy", THAW_RIGHT);
    thaw_table_column(table, "verdict", THAW_CENTER);
    thaw_table_cell(table, "partial|1");
    thaw_table_value(table, 0.8421, THAW_UNIT_PERCENT);
    thaw_table_badge(table, THAW_TONE_GOOD, "clear gain");
    thaw_table_printf(table, "%s", "caf\xc3\xa9, \"x\"");
    thaw_table_value(table, NAN, THAW_UNIT_PERCENT);
}

typedef void render(const thaw_table *table, thaw_str *out);

static void assert_rendered(render *how, const char *expected)
{
    thaw_table table = {0};
    thaw_str out = {0};
    fill(&table);
    how(&table, &out);
    assert_string_equal(thaw_str_c(&out), expected);
    thaw_str_clear(&out);
    thaw_table_clear(&table);
}

static void test_markdown(void **state)
{
    (void)state;
    assert_rendered(thaw_table_markdown,
                    "| rung       | accuracy |  verdict   |\n"
                    "|------------|---------:|:----------:|\n"
                    "| partial\\|1 |    84.2% | clear gain |\n"
                    "| caf\xc3\xa9, \"x\"  |        \xe2\x80\x93 |            |\n");
}

static void test_terminal(void **state)
{
    (void)state;
    assert_rendered(thaw_table_text, "rung       accuracy   verdict\n"
                                     "---------  --------  ----------\n"
                                     "partial|1     84.2%  clear gain\n"
                                     "caf\xc3\xa9, \"x\"         \xe2\x80\x93\n");
}

static void test_csv(void **state)
{
    (void)state;
    assert_rendered(thaw_table_csv, "rung,accuracy,verdict\n"
                                    "partial|1,84.2%,clear gain\n"
                                    "\"caf\xc3\xa9, \"\"x\"\"\",\xe2\x80\x93,\n");
    thaw_str out = {0};
    thaw_csv_field(&out, "two\nlines", true);
    thaw_csv_field(&out, " space", false);
    thaw_csv_field(&out, "", false);
    thaw_csv_number(&out, 0.1, false);
    thaw_csv_number(&out, NAN, false);
    thaw_csv_number(&out, -INFINITY, false);
    thaw_csv_end(&out);
    assert_string_equal(out.data, "\"two\nlines\",\" space\",,0.1,,-inf\n");
    thaw_str_clear(&out);
}

static void test_empty_table(void **state)
{
    (void)state;
    thaw_table table = {0};
    thaw_str out = {0};
    thaw_table_column(&table, "a", THAW_LEFT);
    thaw_table_markdown(&table, &out);
    assert_string_equal(out.data, "| a   |\n|-----|\n");
    thaw_str_clear(&out);
    thaw_table_clear(&table);
}

static void test_markdown_escape(void **state)
{
    (void)state;
    thaw_str out = {0};
    thaw_markdown_escape(&out, "# a*b_c|d<e`f\ng [x]");
    assert_string_equal(out.data, "\\# a\\*b_c\\|d\\<e\\`f g [x]");
    thaw_str_reset(&out);
    thaw_markdown_escape(&out, "+1 [0, 2], [[a]](b)");
    assert_string_equal(out.data, "+1 \\[0, 2], \\[\\[a]](b)");
    thaw_str_clear(&out);
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        double value;
        thaw_unit unit;
        const char *text;
    } known[] = {
        {0.8421, THAW_UNIT_NUMBER, "0.8421"},
        {12300, THAW_UNIT_NUMBER, "12300"},
        {1.0 / 3, THAW_UNIT_NUMBER, "0.3333"},
        {0.9995, THAW_UNIT_PERCENT, "100.0%"},
        {0.012, THAW_UNIT_POINTS, "+1.2"},
        {-0.012, THAW_UNIT_POINTS, "-1.2"},
        {840, THAW_UNIT_COUNT, "840"},
        {11173962, THAW_UNIT_COUNT, "11.2M"},
        {999960, THAW_UNIT_COUNT, "1.0M"},
        {272474, THAW_UNIT_COUNT, "272k"},
        {0.84, THAW_UNIT_SECONDS, "840 ms"},
        {12.34, THAW_UNIT_SECONDS, "12.3 s"},
        {250, THAW_UNIT_SECONDS, "4 min 10 s"},
        {7500, THAW_UNIT_SECONDS, "2 h 05 min"},
        {3599.7, THAW_UNIT_SECONDS, "60 min 00 s"},
        {0, THAW_UNIT_SECONDS, "0 s"},
        {7199.9, THAW_UNIT_SECONDS, "2 h 00 min"},
        {NAN, THAW_UNIT_BYTES, "\xe2\x80\x93"},
    };
    char text[64];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        thaw_unit_format(known[i].value, known[i].unit, text, sizeof text);
        assert_string_equal(text, known[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_empty_table),
        cmocka_unit_test(test_markdown_escape),
        cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
