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

static void assert_ticks(double low, double high, int wanted, int count, double first, double step)
{
    double ticks[THAW_TICKS];
    double by = 0;
    assert_int_equal(thaw_ticks(low, high, wanted, ticks, &by), count);
    assert_true(fabs(by - step) <= 1e-12 * fabs(step));
    for (int i = 0; i < count; i++)
        assert_true(fabs(ticks[i] - (first + i * step)) <= 1e-9 * step);
}

static void test_ticks_known(void **state)
{
    (void)state;
    assert_ticks(0, 1, 5, 6, 0, 0.2);
    assert_ticks(0, 100, 10, 11, 0, 10);
    assert_ticks(0.793, 0.915, 6, 6, 0.8, 0.02);
    assert_ticks(-3, 7, 5, 5, -2, 2);
    assert_ticks(1e-8, 9e-8, 4, 4, 2e-8, 2e-8);
    assert_ticks(0.1, 0.3, 2, 3, 0.1, 0.1); /* the bounds are ticks, up to rounding */
}

/* Whatever the range: few enough, inside, evenly spaced, of 1-2-5 steps, and zero is exactly zero. */
static void test_ticks_properties(void **state)
{
    (void)state;
    thaw_rng rng = thaw_rng_make(11, THAW_RNG_TEST, 0, 0);
    for (int trial = 0; trial < 20000; trial++) {
        double size = pow(10, thaw_rng_uniform(&rng) * 20 - 10);
        double low = (thaw_rng_uniform(&rng) - 0.5) * size;
        double high = low + thaw_rng_uniform(&rng) * size + size * 1e-3;
        int wanted = 1 + (int)thaw_rng_below(&rng, 11);
        double ticks[THAW_TICKS];
        double step = 0;
        int count = thaw_ticks(low, high, wanted, ticks, &step);
        double lead = step / pow(10, floor(log10(step) + 1e-9));
        assert_true(count <= THAW_TICKS && count <= 2 * wanted + 2);
        assert_true(count >= wanted / 2);
        assert_true(fabs(lead - 1) < 1e-6 || fabs(lead - 2) < 1e-6 || fabs(lead - 4) < 1e-6 ||
                    fabs(lead - 5) < 1e-6);
        for (int i = 0; i < count; i++) {
            assert_true(ticks[i] >= low - 1e-6 * step && ticks[i] <= high + 1e-6 * step);
            assert_true(i == 0 || fabs(ticks[i] - ticks[i - 1] - step) < 1e-6 * step);
            assert_true(fabs(ticks[i]) > step / 2 || ticks[i] == 0);
        }
    }
}

static void test_ticks_without_a_range(void **state)
{
    (void)state;
    double ticks[THAW_TICKS];
    assert_int_equal(thaw_ticks(2, 2, 5, ticks, NULL), 1);
    assert_int_equal(thaw_ticks(3, 2, 5, ticks, NULL), 0);
    assert_int_equal(thaw_ticks(NAN, 2, 5, ticks, NULL), 0);
    assert_int_equal(thaw_ticks(0, INFINITY, 5, ticks, NULL), 0);
    assert_int_equal(thaw_ticks_log(0, 1, 5, ticks), 0);
    assert_int_equal(thaw_ticks_log(-1, 1, 5, ticks), 0);
    assert_int_equal(thaw_ticks(1e-320, 2e-320, 5, ticks, NULL), 1);
    assert_true(thaw_ticks(-1e308, 1e308, 5, ticks, NULL) <= THAW_TICKS);
}

static void test_ticks_log(void **state)
{
    (void)state;
    double ticks[THAW_TICKS];
    assert_int_equal(thaw_ticks_log(1, 1000, 5, ticks), 4);
    assert_true(ticks[0] == 1 && ticks[3] == 1000);
    assert_int_equal(thaw_ticks_log(1, 10, 6, ticks), 4); /* 1 2 5 10 */
    assert_true(ticks[1] == 2 && ticks[2] == 5);
    int count = thaw_ticks_log(1e-12, 1e12, 5, ticks);
    assert_true(count >= 3 && count <= 6);
    assert_true(thaw_ticks_log(1e-300, 1e300, 12, ticks) <= THAW_TICKS);
}

/* What every chart must be: one SVG with a name, no number that is none, nothing left of the sheet or beyond it. */
static void check_svg(thaw_str *svg, double width)
{
    const char *text = thaw_str_c(svg);
    assert_true(thaw_starts_with(text, "<svg class=\"thaw-chart"));
    assert_true(thaw_ends_with(text, "</svg>\n"));
    assert_non_null(strstr(text, "role=\"img\" aria-label=\""));
    assert_null(strstr(text, "\"nan"));
    assert_null(strstr(text, "\"-nan"));
    assert_null(strstr(text, "inf\""));
    static const char *const across[] = {" x=\"", " x1=\"", " x2=\"", " cx=\""};
    for (size_t k = 0; k < sizeof across / sizeof *across; k++)
        for (const char *at = text; (at = strstr(at, across[k])) != NULL; at++) {
            double x = strtod(at + strlen(across[k]), NULL);
            if (x < -0.1 || x > width + 0.1)
                fail_msg("x = %g is not within 0 and %g: %.60s", x, width, at);
        }
    for (const char *at = text; (at = strstr(at, " width=\"")) != NULL; at++)
        assert_true(strtod(at + 8, NULL) >= 0);
    thaw_str_clear(svg);
}

static const char *const labels[] = {"a label that is much too long for the room that it is given",
                                     "b",
                                     "<c & \"d\">",
                                     "caf\xc3\xa9",
                                     "e",
                                     "f"};

static void test_interval_of_anything(void **state)
{
    (void)state;
    static const double values[] = {0.5, NAN, 0.7, 0.2, INFINITY, 0.4};
    static const double low[] = {0.4, 0.1, 0.6, NAN, 0.2, 0.4};
    static const double high[] = {0.6, 0.2, 0.8, 0.9, 0.3, 0.4};
    const double *dots[] = {values, values, NULL, low, high, low};
    static const int64_t counts[] = {6, 1, 0, 3, 2, 1};
    static const double widths[] = {THAW_CHART_WIDE, THAW_CHART_NARROW};
    for (int64_t count = 0; count <= 6; count++)
        for (int w = 0; w < 2; w++)
            for (int variant = 0; variant < 3; variant++) {
                thaw_interval_chart chart = {
                    .chart = {.title = variant == 1 ? "title & more" : NULL,
                              .unit = variant == 2 ? THAW_UNIT_BYTES : THAW_UNIT_PERCENT,
                              .width = widths[w]},
                    .count = count,
                    .labels = labels,
                    .mean = values,
                    .low = variant > 0 ? low : NULL,
                    .high = variant > 0 ? high : NULL,
                    .dots = variant > 1 ? dots : NULL,
                    .dot_counts = counts,
                    .chosen = variant > 0 ? "b" : NULL,
                    .reference = variant == 1 ? NAN : 0.3,
                    .reference_label = "reference"};
                thaw_str svg = {0};
                thaw_chart_interval(&chart, &svg);
                check_svg(&svg, widths[w]);
            }
}

static void test_lines_of_anything(void **state)
{
    (void)state;
    enum { LONG = 20000 };
    static double x[LONG];
    static double y[LONG];
    for (int i = 0; i < LONG; i++) {
        x[i] = i;
        y[i] = i % 97 == 0 ? NAN : sin(i * 0.01) + (i == 12345 ? 40 : 0);
    }
    const thaw_series series[] = {{.name = "long", .x = x, .y = y, .count = LONG},
                                  {.name = "one", .x = x, .y = y + 1, .count = 1, .colour = 9},
                                  {.name = "none", .x = x, .y = y, .count = 0, .dashed = true},
                                  {.name = NULL, .x = x, .y = y, .count = 50, .thin = true}};
    static const double widths[] = {THAW_CHART_WIDE, THAW_CHART_NARROW};
    for (int variant = 0; variant < 16; variant++) {
        thaw_line_chart chart = {.chart = {.title = "t", .width = widths[variant & 1]},
                                 .count = variant & 8 ? 0 : 4,
                                 .series = series,
                                 .x_label = "step",
                                 .log_x = (variant & 2) != 0,
                                 .log_y = (variant & 4) != 0};
        thaw_str svg = {0};
        thaw_chart_line(&chart, &svg);
        assert_true(svg.length < 40000); /* thinned out */
        /* The one peak of the long series is drawn at the top of its chart. */
        if (variant == 0)
            assert_non_null(strstr(svg.data, ">40<"));
        check_svg(&svg, widths[variant & 1]);
    }
}

static void test_bars_of_anything(void **state)
{
    (void)state;
    static const double values[] = {0,    1e-9, 5,  NAN,      1e6, 3, 2, 0, -4,
                                    1024, 7,    -1, INFINITY, 2,   0, 9, 1, 1};
    static const double widths[] = {THAW_CHART_WIDE, THAW_CHART_NARROW};
    for (int variant = 0; variant < 64; variant++) {
        int64_t series = variant & 1 ? 3 : 1;
        thaw_bar_chart chart = {.chart = {.title = "t",
                                          .axis_label = "bytes",
                                          .unit = variant & 2 ? THAW_UNIT_BYTES : THAW_UNIT_SECONDS,
                                          .width = widths[variant >> 2 & 1]},
                                .count = variant & 8 ? 6 : 0,
                                .series_count = series,
                                .labels = labels,
                                .series_names = series > 1 ? labels + 1 : NULL,
                                .values = values,
                                .stacked = (variant & 16) != 0,
                                .log_scale = (variant & 32) != 0};
        thaw_str svg = {0};
        thaw_chart_bar(&chart, &svg);
        check_svg(&svg, widths[variant >> 2 & 1]);
    }
}

static void test_matrix_of_any_size(void **state)
{
    (void)state;
    enum { MOST = 40 };
    static double values[MOST * MOST];
    static const char *names[MOST];
    static const double widths[] = {THAW_CHART_WIDE, THAW_CHART_NARROW};
    for (int i = 0; i < MOST; i++)
        names[i] = labels[i % 6];
    for (int64_t K = 0; K <= MOST; K += K < 6 ? 1 : 17)
        for (int variant = 0; variant < 8; variant++) {
            for (int64_t i = 0; i < K * K; i++)
                values[i] = variant & 4 ? 0 : (double)(i * 7 % 23) - (variant & 2 ? 11 : 0);
            if (K > 1)
                values[1] = NAN;
            thaw_matrix_chart chart = {.chart = {.title = "t", .width = widths[variant & 1]},
                                       .row_count = K,
                                       .column_count = K,
                                       .row_labels = names,
                                       .column_labels = names,
                                       .row_title = "true",
                                       .column_title = "predicted",
                                       .values = values,
                                       .diverging = (variant & 2) != 0};
            thaw_str svg = {0};
            thaw_chart_matrix(&chart, &svg);
            check_svg(&svg, widths[variant & 1]);
        }
}

static void test_standalone_file(void **state)
{
    (void)state;
    static const double one = 0.5;
    thaw_str svg = {0};
    thaw_str file = {0};
    thaw_bar_chart chart = {
        .chart = {.title = "t"}, .count = 1, .series_count = 1, .labels = labels, .values = &one};
    thaw_chart_bar(&chart, &svg);
    thaw_chart_standalone(&svg, &file);
    assert_non_null(strstr(file.data, "xmlns=\"http://www.w3.org/2000/svg\" class=\"thaw-chart"));
    assert_non_null(strstr(file.data, "<style>:root{--page"));
    assert_non_null(strstr(file.data, "viewBox"));
    thaw_str_clear(&svg);
    thaw_str_clear(&file);
}

static void test_rungs_keep_their_colour(void **state)
{
    (void)state;
    assert_int_equal(thaw_chart_colour("scratch"), 0);
    assert_int_equal(thaw_chart_colour("frozen"), 1);
    assert_int_equal(thaw_chart_colour("peft"), 2);
    assert_int_equal(thaw_chart_colour("partial:2"), 3);
    assert_int_equal(thaw_chart_colour("full"), 4);
    int other = thaw_chart_colour("other");
    assert_true(other >= 5 && other < THAW_CHART_COLOURS);
    assert_int_equal(thaw_chart_colour("other"), other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks_known),
        cmocka_unit_test(test_ticks_properties),
        cmocka_unit_test(test_ticks_without_a_range),
        cmocka_unit_test(test_ticks_log),
        cmocka_unit_test(test_interval_of_anything),
        cmocka_unit_test(test_lines_of_anything),
        cmocka_unit_test(test_bars_of_anything),
        cmocka_unit_test(test_matrix_of_any_size),
        cmocka_unit_test(test_standalone_file),
        cmocka_unit_test(test_rungs_keep_their_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
