/* A page with everything on it, checked for what a browser and a reader need. THAW_SAMPLE_PAGE=file keeps the page, to
 * be looked at. */
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

#define RUNGS   5
#define BLOCKS  5
#define CLASSES 5
#define EPOCHS  12

static const char *const rungs[RUNGS] = {"scratch", "frozen", "peft: lora", "partial:1", "full"};
static const char *const classes[CLASSES] = {"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
static const int colours[RUNGS] = {0, 1, 2, 3, 4};
static const char note[] =
    "# Transfer note\n\nThe backbone was frozen up to `layer3`; **the head and a rank-4 LoRA** "
    "were\n"
    "trained. Sum: 2 * 3 * 4 = 24, and a <script>alert(1)</script> is text.\n\n"
    "## What was tried\n\n1. scratch\n2. frozen\n   - head only\n   - cached features\n3. peft\n\n"
    "| rung | gate | verdict |\n|:-----|-----:|:-------:|\n| frozen | 84.0% | |\n"
    "| peft \\| lora | 90.2% | **clear gain** |\n\n> No sentence without recorded evidence.\n\n"
    "```\nthaw ladder configs/quickstart.yaml --set train.batch=<32>\n```\n";

static void add_accuracy(thaw_html *html)
{
    static const double mean[RUNGS] = {0.812, 0.861, 0.902, 0.899, 0.893};
    static const double low[RUNGS] = {0.793, 0.845, 0.889, 0.884, 0.874};
    static const double high[RUNGS] = {0.831, 0.876, 0.915, 0.913, 0.909};
    static const double seeds[RUNGS][3] = {{0.80, 0.811, 0.825},
                                           {0.858, 0.862, 0.863},
                                           {0.899, 0.901, 0.906},
                                           {0.891, 0.899, 0.907},
                                           {0.88, 0.892, 0.907}};
    const double *dots[RUNGS] = {seeds[0], seeds[1], seeds[2], seeds[3], seeds[4]};
    static const int64_t counts[RUNGS] = {3, 3, 3, 3, 3};
    thaw_interval_chart chart = {
        .chart = {.title = "Accuracy on the gate split, by rung",
                  .description = "peft reaches 90.2%, 4.1 points above frozen; deeper rungs do not "
                                 "do better.",
                  .axis_label = "accuracy",
                  .unit = THAW_UNIT_PERCENT},
        .count = RUNGS,
        .labels = rungs,
        .mean = mean,
        .low = low,
        .high = high,
        .colours = colours,
        .dots = dots,
        .dot_counts = counts,
        .chosen = "peft: lora",
        .reference_label = "frozen + 1.5 points (detectable)",
        .reference = 0.876,
    };
    thaw_html_interval(html, &chart,
                       "Large dot: mean over 3 seeds. Line: 95% interval of the paired bootstrap. "
                       "Small dots: the single seeds.");
}

static void add_curves(thaw_html *html)
{
    static double x[EPOCHS];
    static double y[RUNGS * 2][EPOCHS];
    static const double floors[RUNGS] = {0.52, 0.41, 0.27, 0.25, 0.22};
    thaw_series series[RUNGS * 2] = {{0}};
    for (int s = 0; s < RUNGS * 2; s++) {
        for (int i = 0; i < EPOCHS; i++) {
            x[i] = i + 1;
            y[s][i] = floors[s / 2] + (1.3 - 0.15 * (s / 2)) * exp(-0.45 * i) +
                      (s % 2 ? 0.03 * sin(i * 2.1 + s) : 0);
        }
        series[s] = (thaw_series){.name = s % 2 ? NULL : rungs[s / 2],
                                  .x = x,
                                  .y = y[s],
                                  .count = s / 2 == 1 ? 7 : EPOCHS,
                                  .colour = s / 2,
                                  .dashed = s / 2 == 0,
                                  .thin = s % 2 == 1};
    }
    thaw_line_chart chart = {.chart = {.title = "Validation loss while training",
                                       .axis_label = "cross-entropy (nats)",
                                       .unit = THAW_UNIT_NUMBER},
                             .count = RUNGS * 2,
                             .series = series,
                             .x_label = "epoch"};
    thaw_html_line(html, &chart, "Thick: the median seed. Thin: another seed of the same rung.");
}

static void add_bars(thaw_html *html)
{
    static const char *const blocks[BLOCKS] = {"stem", "layer1", "layer2", "layer3", "head"};
    static const char *const deep[3] = {"peft: lora", "partial:1", "full"};
    static const int deep_colours[3] = {2, 3, 4};
    static const double drift[BLOCKS * 3] = {0,     0,     0.011, 0.012, 0,    0.024, 0.019, 0,
                                             0.031, 0.022, 0.087, 0.064, 0.41, 0.39,  0.37};
    static const double seconds[RUNGS] = {61, 4.2, 19.5, 22, 63};
    static const double bytes[RUNGS * 2] = {1089896, 4359584, 1300,    5200,    52480,
                                            209920,  830000,  3320000, 1089896, 4359584};
    static const char *const kinds[2] = {"all-reduced per step", "checkpoint"};
    static const char *const parts[3] = {"search", "training", "evaluation"};
    static const double split[RUNGS * 3] = {30, 25, 6, 2, 1.6, 0.6, 9, 8, 2.5, 10, 9, 3, 31, 26, 6};
    static const int part_colours[3] = {5, 1, 3};
    thaw_bar_chart chart = {.chart = {.title = "How far each block moved",
                                      .axis_label = "relative change of the weights",
                                      .unit = THAW_UNIT_PERCENT},
                            .count = BLOCKS,
                            .series_count = 3,
                            .labels = blocks,
                            .series_names = deep,
                            .values = drift,
                            .colours = deep_colours};
    thaw_html_bar(html, &chart, "`‖w − w0‖ / ‖w0‖` after training; a frozen block stays at zero.");
    thaw_html_section(html, "Cost");
    thaw_bar_chart cost = {.chart = {.title = "Core-seconds by rung",
                                     .axis_label = "processor time",
                                     .unit = THAW_UNIT_SECONDS},
                           .count = RUNGS,
                           .series_count = 1,
                           .labels = rungs,
                           .values = seconds,
                           .colours = colours,
                           .log_scale = true};
    thaw_html_bar(html, &cost, NULL);
    thaw_bar_chart volume = {
        .chart = {.title = "Bytes by rung", .axis_label = "bytes", .unit = THAW_UNIT_BYTES},
        .count = RUNGS,
        .series_count = 2,
        .labels = rungs,
        .series_names = kinds,
        .values = bytes,
        .log_scale = true};
    thaw_html_bar(html, &volume, NULL);
    thaw_bar_chart stacked = {.chart = {.title = "Where the time went",
                                        .axis_label = "core-seconds",
                                        .unit = THAW_UNIT_SECONDS},
                              .count = RUNGS,
                              .series_count = 3,
                              .labels = rungs,
                              .series_names = parts,
                              .values = split,
                              .colours = part_colours,
                              .stacked = true};
    thaw_html_bar(html, &stacked, NULL);
}

static void add_matrix(thaw_html *html)
{
    static const double change[CLASSES * CLASSES] = {31, -12, -14, 2,  -7,  -9, 24, 0,  -15,
                                                     0,  -11, 1,   19, 0,   -9, 3,  -6, 0,
                                                     4,  -1,  -4,  0,  -22, 0,  26};
    thaw_matrix_chart chart = {.chart = {.title =
                                             "What changed in the confusion matrix: peft against "
                                             "frozen",
                                         .description = "Fewer sandals are taken for sneakers."},
                               .row_count = CLASSES,
                               .column_count = CLASSES,
                               .row_labels = classes,
                               .column_labels = classes,
                               .row_title = "true",
                               .column_title = "predicted",
                               .values = change,
                               .diverging = true};
    thaw_html_matrix(html, &chart,
                     "Outlined: correct. More there, and fewer elsewhere, is better.");
}

static void add_tables(thaw_html *html)
{
    thaw_table table = {0};
    thaw_table_column(&table, "rung", THAW_LEFT);
    thaw_table_column(&table, "trainable", THAW_RIGHT);
    thaw_table_column(&table, "gate", THAW_RIGHT);
    thaw_table_column(&table, "difference", THAW_RIGHT);
    thaw_table_column(&table, "95% interval", THAW_RIGHT);
    thaw_table_column(&table, "p (Holm)", THAW_RIGHT);
    thaw_table_column(&table, "verdict", THAW_LEFT);
    static const thaw_tone tones[RUNGS] = {THAW_TONE_BAD, THAW_TONE_NONE, THAW_TONE_GOOD,
                                           THAW_TONE_NEUTRAL, THAW_TONE_WARN};
    static const char *const verdicts[RUNGS] = {"worse", "", "clear gain", "equivalent",
                                                "inconclusive"};
    for (int i = 0; i < RUNGS; i++) {
        thaw_table_cell(&table, rungs[i]);
        thaw_table_value(&table, 270896.0 / (RUNGS - i) * 20, THAW_UNIT_COUNT);
        thaw_table_value(&table, 0.81 + 0.02 * i, THAW_UNIT_PERCENT);
        thaw_table_value(&table, 0.04 - 0.011 * i, THAW_UNIT_POINTS);
        thaw_table_printf(&table, "%+.1f to %+.1f", 1.2 - i, 4.4 - i);
        thaw_table_printf(&table, "%.4f", 0.0004 * pow(10, i / 2.0));
        thaw_table_badge(&table, tones[i], verdicts[i]);
    }
    thaw_html_table(html, &table, "Each rung against the best simpler one, on the gate split.");
    thaw_table_clear(&table);
}

static void fill(thaw_html *html)
{
    thaw_html_section(html, "Answer");
    thaw_html_callout(html, THAW_TONE_GOOD, "clear gain",
                      "**peft: lora** beats **frozen** by 4.1 points (95% interval 2.6 to 5.6) on "
                      "500 gate samples; no deeper rung is clearly better.");
    thaw_html_callout(html, THAW_TONE_WARN, "slice fails",
                      "The slice *looks like a source class* (Shirt) stays 6 points behind.");
    thaw_html_tile(html, "Chosen rung", "peft: lora", "rank 4, on convolution and linear",
                   THAW_TONE_GOOD);
    thaw_html_tile(html, "Test accuracy", "89.8%", "95% interval 88.4 to 91.1", THAW_TONE_NONE);
    thaw_html_tile(html, "Trainable", "13.1k", "of 272k parameters (4.8%)", THAW_TONE_NONE);
    thaw_html_tile(html, "Cost", "19.5 core-s", "full fine-tuning: 63.0", THAW_TONE_WARN);
    thaw_html_section(html, "Accuracy");
    add_accuracy(html);
    add_tables(html);
    thaw_html_section(html, "Learning");
    add_curves(html);
    thaw_html_section(html, "What moved");
    add_bars(html);
    thaw_html_section(html, "Confusion");
    add_matrix(html);
    thaw_html_section(html, "Note");
    thaw_html_markdown(html, note);
    thaw_html_section(html, "How it was run");
    thaw_html_fact(html, "Ranks", "2");
    thaw_html_fact(html, "Shards", "24");
    thaw_html_fact(html, "Seeds", "1, 2, 3");
    thaw_html_fact(html, "Backbone digest", "5f1c0de25f1c0de25f1c0de25f1c0de2");
    thaw_html_details_begin(html, "Resolved config <all>");
    thaw_html_preformatted(html, "train:\n  batch: 48\n  shards: 24\n");
    thaw_html_details_end(html);
}

/* Every opened element is closed in its order; text holds no stray angle bracket. */
/* long: a small parser is easier to trust in one piece */
static void assert_well_formed(const char *text)
{
    char open[64][24];
    int depth = 0;
    for (const char *at = text; (at = strchr(at, '<')) != NULL; at++) {
        char name[24];
        int length = 0;
        bool end = at[1] == '/';
        const char *from = at + 1 + end;
        if (*from == '!' || *from == '?')
            continue;
        while (length < 23 && from[length] != '\0' && strchr(" >/\n", from[length]) == NULL)
            length++;
        snprintf(name, sizeof name, "%.*s", length, from);
        const char *close = strchr(at, '>');
        assert_non_null(close);
        assert_true(length > 0);
        if (strcmp(name, "meta") == 0 || strcmp(name, "hr") == 0 || close[-1] == '/')
            continue;
        if (!end) {
            assert_true(depth < 64);
            memcpy(open[depth++], name, sizeof name);
        } else if (depth == 0 || strcmp(open[--depth], name) != 0) {
            fail_msg("</%s> closes <%s> near: %.80s", name, depth >= 0 ? open[depth] : "", at);
        }
        if (strcmp(name, "style") == 0 && !end)
            at = strstr(at, "</style>") - 1;
    }
    assert_int_equal(depth, 0);
}

static int count(const char *text, const char *what)
{
    int found = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        found++;
    return found;
}

static void test_whole_page(void **state)
{
    (void)state;
    thaw_html html = {0};
    thaw_str page = {0};
    int64_t live = thaw_alloc_live();
    fill(&html);
    thaw_html_finish(&html, "Transfer note: fashion <target>",
                     "resnet20, 5 source classes to 5 target classes, 50 labels a class", &page);
    if (getenv("THAW_SAMPLE_PAGE") != NULL)
        assert_int_equal(thaw_file_write(getenv("THAW_SAMPLE_PAGE"), page.data, page.length),
                         THAW_OK);
    assert_well_formed(page.data);
    assert_null(strstr(page.data, "<script"));
    assert_null(strstr(page.data, "http"));
    assert_null(strstr(page.data, "url("));
    assert_null(strstr(page.data, "nan"));
    assert_null(strstr(page.data, "inf\""));
    assert_non_null(strstr(page.data, "<title>Transfer note: fashion &lt;target&gt;</title>"));
    assert_int_equal(count(page.data, "<svg "), 2 * 7);
    assert_int_equal(count(page.data, "role=\"img\""), 2 * 7);
    assert_int_equal(count(page.data, "<section id="), count(page.data, "<a href=\"#s"));
    assert_int_equal(count(page.data, "<section"), 8);
    thaw_html_clear(&html);
    thaw_str_clear(&page);
    assert_int_equal(thaw_alloc_live(), live);
}

static void assert_markdown(const char *markdown, const char *expected)
{
    thaw_html html = {0};
    thaw_html_markdown(&html, markdown);
    assert_string_equal(thaw_str_c(&html.body), expected);
    assert_well_formed(thaw_str_c(&html.body));
    thaw_html_clear(&html);
}

static void test_markdown_to_html(void **state)
{
    (void)state;
    assert_markdown("# A\n### B\ntext\nmore\n", "<h3>A</h3>\n<h4>B</h4>\n<p>text\nmore</p>\n");
    assert_markdown("a **b *c*** `d*e*<` \\*f\\*",
                    "<p>a <strong>b *c</strong>* <code>d*e*&lt;</code> *f*</p>\n");
    assert_markdown("2 * 3 * 4 and a*b **", "<p>2 * 3 * 4 and a*b **</p>\n");
    assert_markdown("- a\n  b\n- c\n  1. d\n\ne",
                    "<ul><li>a\nb</li>\n<li>c<ol><li>d</li></ol>\n</li></ul>\n<p>e</p>\n");
    assert_markdown("> q\n> r\n\n---\n", "<blockquote> q\n r\n</blockquote>\n<hr>\n");
    assert_markdown("```c\n  a < b\n\n```\n", "<pre>  a &lt; b\n\n</pre>\n");
    assert_markdown("[x](javascript:alert) [y](#s1)",
                    "<p>[x](javascript:alert) <a href=\"#s1\">y</a></p>\n");
    assert_markdown("[1, 2] over [`y`](#r.0)",
                    "<p>[1, 2] over <a href=\"#r.0\"><code>y</code></a></p>\n");
    assert_markdown("<b onclick='x'>&", "<p>&lt;b onclick=&#39;x&#39;&gt;&amp;</p>\n");
    assert_markdown("**", "<p>**</p>\n");
    assert_markdown("| not a table", "<p>| not a table</p>\n");
    assert_markdown("", "");
}

/* What the Markdown table builder writes, the reader gives back. */
static void test_markdown_table_round_trip(void **state)
{
    (void)state;
    static const char *const hard[] = {"a|b", "*x*", "`c`", "<d>", "[e](f)", "\\g", "_h", "#"};
    thaw_table table = {0};
    thaw_str markdown = {0};
    thaw_html html = {0};
    thaw_html direct = {0};
    thaw_table_column(&table, "k|ey", THAW_LEFT);
    thaw_table_column(&table, "value", THAW_RIGHT);
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
        thaw_table_cell(&table, hard[i]);
    thaw_table_markdown(&table, &markdown);
    thaw_html_markdown(&html, thaw_str_c(&markdown));
    thaw_html_table(&direct, &table, NULL);
    assert_string_equal(thaw_str_c(&html.body), thaw_str_c(&direct.body));
    thaw_html_clear(&html);
    thaw_html_clear(&direct);
    thaw_table_clear(&table);
    thaw_str_clear(&markdown);
}

/* No input makes the renderer emit markup that was not its own. */
static void test_markdown_survives_noise(void **state)
{
    (void)state;
    static const char alphabet[] = "**`|#->_[]()\\ \n\n1.<&ab";
    thaw_rng rng = thaw_rng_make(3, THAW_RNG_TEST, 1, 2);
    for (int trial = 0; trial < 3000; trial++) {
        char text[121];
        size_t length = (size_t)thaw_rng_below(&rng, 120);
        for (size_t i = 0; i < length; i++)
            text[i] = alphabet[thaw_rng_below(&rng, sizeof alphabet - 1)];
        text[length] = '\0';
        thaw_html html = {0};
        thaw_html_markdown(&html, text);
        assert_well_formed(thaw_str_c(&html.body));
        thaw_html_clear(&html);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_page),
        cmocka_unit_test(test_markdown_to_html),
        cmocka_unit_test(test_markdown_table_round_trip),
        cmocka_unit_test(test_markdown_survives_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
