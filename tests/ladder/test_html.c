/* The report of a ladder that could be real, checked for what a browser and a reader need. THAW_SAMPLE_REPORT=directory
 * keeps the page, to be looked at.
 * thaw-test: modules=kern,h5,graph,adapt,optim,ckpt */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* after the standard headers that it needs */
#include <cmocka.h>

#include "sample_summary.h"

#define DEPTH 64

static bool is_void(const char *name)
{
    static const char *const names[] = {"meta", "br", "hr", "line", "rect", "circle", "path"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static const char *tag_end(const char *at)
{
    for (char quote = '\0'; *at != '\0'; at++) {
        if (quote == '\0' && *at == '>')
            return at;
        if (*at == '"')
            quote = quote == '\0' ? '"' : '\0';
    }
    fail_msg("a tag does not end");
    return NULL;
}

/* Every element is closed, in order; a "<" of the text must have been escaped or it opens something unknown. */
static void check_tags(const char *page)
{
    char open[DEPTH][24];
    int depth = 0;
    for (const char *at = strchr(page, '<'); at != NULL; at = strchr(at, '<')) {
        char name[24] = "";
        const char *end = tag_end(at);
        const bool closing = at[1] == '/';
        if (at[1] != '!') {
            sscanf(at + 1 + closing, "%20[a-z0-9]", name);
            if (name[0] == '\0')
                fail_msg("a bare '<': %.40s", at);
            if (closing) {
                if (depth == 0 || strcmp(open[depth - 1], name) != 0)
                    fail_msg("</%s> closes <%s>", name, depth > 0 ? open[depth - 1] : "");
                depth--;
            } else if (end[-1] != '/' && !is_void(name)) {
                assert_true(depth < DEPTH);
                thaw_copy(open[depth++], sizeof open[0], name);
            }
        }
        at = end;
    }
    if (depth != 0)
        fail_msg("<%s> is not closed", open[depth - 1]);
}

/* What a reader sees: no tags, no style sheet, one letter case. */
static void visible_text(const char *page, thaw_str *out)
{
    const char *at = strstr(page, "<body>");
    assert_non_null(at);
    while (*at != '\0') {
        if (*at == '<') {
            at = tag_end(at) + 1;
            thaw_str_add(out, "\n");
            continue;
        }
        const char letter = *at >= 'A' && *at <= 'Z' ? (char)(*at + 32) : *at;
        thaw_str_add_bytes(out, &letter, 1);
        at++;
    }
}

static char directory[600];

static void write_metrics(int r, int seed)
{
    thaw_str path = {0};
    thaw_str_printf(&path, "%s/trials/%s-lr1-seed%d", directory,
                    r == 3 ? "partial_1" : sample_rungs[r], seed);
    assert_int_equal(thaw_mkdirs(thaw_str_c(&path)), THAW_OK);
    thaw_str_add(&path, "/metrics.jsonl");
    for (int epoch = 1; epoch <= SAMPLE_EPOCHS; epoch++) {
        const double part = 1 - exp(-epoch / (3.0 + r));
        thaw_json *row = thaw_json_new_object();
        thaw_json_set_string(row, "kind", "epoch");
        thaw_json_set_int(row, "epoch", epoch);
        thaw_json_set_double(row, "train.loss", 1.6 - 1.3 * part);
        thaw_json_set_double(row, "val.loss", epoch == 3 ? NAN : 1.6 - 1.1 * part + 0.01 * seed);
        thaw_json_set_double(row, "val.accuracy",
                             0.2 + (0.54 + 0.03 * r) * part - 0.008 * (epoch * (seed + 3) % 4));
        assert_int_equal(thaw_rows_append(thaw_str_c(&path), row), THAW_OK);
        thaw_json_set_string(row, "kind", "step");
        assert_int_equal(thaw_rows_append(thaw_str_c(&path), row), THAW_OK);
        thaw_json_free(&row);
    }
    thaw_str_clear(&path);
}

static int set_up(void **state)
{
    const char *keep = getenv("THAW_SAMPLE_REPORT");
    (void)state;
    if (keep != NULL) {
        snprintf(directory, sizeof directory, "%s", keep);
        assert_int_equal(thaw_mkdirs(directory), THAW_OK);
    } else {
        snprintf(directory, sizeof directory, "/tmp/thaw-html-XXXXXX");
        assert_non_null(mkdtemp(directory));
    }
    /* full's last two runs left no metrics. */
    for (int r = 0; r < SAMPLE_RUNGS; r++) {
        for (int seed = 1; seed <= (r == 4 ? 1 : SAMPLE_SEEDS); seed++)
            write_metrics(r, seed);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (getenv("THAW_SAMPLE_REPORT") == NULL)
        assert_int_equal(thaw_remove_tree(directory), THAW_OK);
    return 0;
}

static void render(const thaw_json *summary, const char *where, const char *name, thaw_str *page)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(ladder_write_html(summary, where, path), THAW_OK);
    assert_int_equal(thaw_file_read(path, page), THAW_OK);
}

static void assert_has(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("the page lacks: %s", words);
}

static void assert_lacks(const char *text, const char *words)
{
    if (strstr(text, words) != NULL)
        fail_msg("the page has: %s ... %.60s", words, strstr(text, words));
}

static void test_page(void **state)
{
    static const char *const sections[] = {"Verdict",   "Ladder",          "Slices",
                                           "Confusion", "Learning curves", "Drift",
                                           "Cost",      "Learning rates",  "What the gate can show",
                                           "What next", "Details",         "Records"};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str page = {0};
    thaw_str text = {0};
    render(summary, directory, "report.html", &page);
    check_tags(page.data);
    visible_text(page.data, &text);
    const char *after = page.data;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        char heading[80];
        snprintf(heading, sizeof heading, "<h2>%s</h2>", sections[i]);
        after = strstr(after, heading);
        if (after == NULL)
            fail_msg("section %s is missing or out of order", sections[i]);
    }
    assert_lacks(text.data, "nan");
    assert_lacks(text.data, "(null)");
    assert_lacks(page.data, "<trainer>");
    assert_has(page.data, "Sneaker &amp; &lt;trainer&gt;");
    assert_lacks(page.data, "<em>name</em>");
    assert_lacks(page.data, "http://");
    assert_lacks(page.data, "https://");
    assert_lacks(page.data, "<script");
    thaw_str_clear(&text);
    thaw_str_clear(&page);
    thaw_json_free(&summary);
}

static void test_findings(void **state)
{
    static const char *const words[] = {
        "use peft",
        "85.9%",
        "+3.5",
        "85.2% [84.1, 86.3]",
        "deeper rungs bring no clear gain",
        "inconclusive",
        "worse",
        "negative transfer",
        "failing slices",
        "\xe2\x96\xbc 58.0%",
        "interval reaches zero, gain below 1 point",
        "peft minus frozen",
        "fewer errors",
        "second opinion, without a test:",
        "all-reduced in each step",
        "chosen, at the edge",
        "0.3: diverged",
        "3120",
        "<code>full-lr1-seed2</code>, <code>full-lr1-seed3</code>",
        "core time of one run",
        "no block was trained in <code>frozen</code>, <code>peft</code>.",
        "0.913",
        "accuracy on gate by rung",
        "</strong> right on <a href=\"#rungs.2.gate\">gate</a>",
        "accuracy of every run at its chosen rate.",
        "better on train, points",
        "can its probabilities be believed?",
        "7.0% [5.0, 8.0]",
        "0.220 [0.200, 0.240]",
        ">1.43<",
        "another draw of the training and validation samples"};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str page = {0};
    render(summary, directory, "report.html", &page);
    for (char *c = page.data; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_has(page.data, words[i]);
    thaw_str_clear(&page);
    thaw_json_free(&summary);
}

/* The text right after the tag at `at`. */
static void element_text(const char *at, char *out, size_t bytes)
{
    const char *from = strchr(at, '>') + 1;
    thaw_format(out, bytes, "%.*s", (int)strcspn(from, "<"), from);
}

/* Every link inside the page leads to one element, and no two elements have one id. */
static void check_links(const char *page)
{
    for (const char *at = strstr(page, "href=\"#"); at != NULL; at = strstr(at + 1, "href=\"#")) {
        char id[THAW_RECORD_ID + 8];
        thaw_format(id, sizeof id, "id=\"%.*s\"", (int)strcspn(at + 7, "\""), at + 7);
        if (strstr(page, id) == NULL)
            fail_msg("a link leads nowhere: %.80s", at);
    }
    for (const char *at = strstr(page, " id=\""); at != NULL; at = strstr(at + 1, " id=\"")) {
        char id[THAW_RECORD_ID + 8];
        thaw_format(id, sizeof id, " id=\"%.*s\"", (int)strcspn(at + 5, "\""), at + 5);
        if (strstr(at + 1, id) != NULL)
            fail_msg("two elements have%s", id);
    }
}

/* Figures lead to the record that holds them. */
static void test_links(void **state)
{
    static const struct {
        const char *figure, *record, *value;
    } cases[] = {{"#rungs.2.gate\">85.9%", "rungs.2.gate", "\"accuracy\":0.859"},
                 {"#comparisons.0\">+3.5", "comparisons.0", "\"delta\":0.035"},
                 {"#metrics.rungs.2.seeds.0\">", "metrics.rungs.2.seeds.0", "\"kind\":\"epoch\""},
                 {"#rungs.2.slices.3\">", "rungs.2.slices.3", "\"name\":\"class:Bag\""}};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str page = {0};
    thaw_str text = {0};
    render(summary, directory, "links.html", &page);
    check_links(page.data);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[THAW_RECORD_ID + 16];
        assert_has(page.data, cases[i].figure);
        thaw_format(id, sizeof id, "<div id=\"%s\">", cases[i].record);
        const char *record = strstr(page.data, id);
        if (record == NULL)
            fail_msg("no record %s", cases[i].record);
        thaw_str_reset(&text);
        for (const char *at = strstr(record, "<dd>") + 4; *at != '<'; at++)
            thaw_str_add_bytes(&text, at, 1);
        assert_has(text.data, "{");
        char plain[4000] = "";
        for (const char *at = text.data; *at != '\0'; at++) {
            const bool quote = strncmp(at, "&quot;", 6) == 0;
            thaw_format(plain + strlen(plain), sizeof plain - strlen(plain), "%c",
                        quote ? '"' : *at);
            at += quote ? 5 : 0;
        }
        assert_has(plain, cases[i].value);
    }
    thaw_str_clear(&text);
    thaw_str_clear(&page);
    thaw_json_free(&summary);
}

/* Rows have headings, tables names, and a cell with a figure leads to its record unless it heads the row. */
static void test_tables(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str page = {0};
    render(summary, directory, "tables.html", &page);
    for (const char *at = strstr(page.data, "<table"); at != NULL; at = strstr(at + 1, "<table"))
        if (strncmp(at, "<table aria-labelledby=\"t", 25) != 0 && strncmp(at, "<table>", 7) != 0)
            fail_msg("a table has no name: %.60s", at);
    for (const char *at = strstr(page.data, "<tbody>\n<tr>"); at != NULL;
         at = strstr(at + 1, "<tbody>\n<tr>"))
        if (strncmp(at + 12, "<th scope=\"row\"", 15) != 0)
            fail_msg("a row has no heading: %.60s", at);
    assert_lacks(page.data, "\"></th>");
    assert_lacks(page.data, "<th></th>");
    assert_has(page.data, ">candidate 2</th>");
    /* From the ladder to the rates all tables are of the page's own making. */
    const char *end = strstr(page.data, "<h2>Cost</h2>");
    for (const char *at = strstr(page.data, "<td"); at != NULL && at < end;
         at = strstr(at + 1, "<td")) {
        char words[200];
        element_text(at, words, sizeof words);
        if (strpbrk(words, "0123456789") != NULL)
            fail_msg("a figure has no link: %s", words);
    }
    thaw_str_clear(&page);
    thaw_json_free(&summary);
}

/* When reuse harms, the page says so before it says how to reuse. */
static void test_harm(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_json *transfer = thaw_json_set_object(summary, "transfer");
    thaw_str page = {0};
    thaw_json_set_string(transfer, "verdict", "negative transfer");
    thaw_json_set_double(transfer, "delta", -0.053);
    render(summary, directory, "harm.html", &page);
    check_tags(page.data);
    assert_has(page.data, "best reuse: peft");
    assert_lacks(page.data, "use peft<");
    assert_true(strstr(page.data, "Do not reuse this backbone") < strstr(page.data, "best reuse:"));
    thaw_str_reset(&page);
    thaw_json_set_string(transfer, "verdict", "no evidence");
    thaw_json_set_string(transfer, "explanation", "The interval reaches zero.");
    render(summary, directory, "harm.html", &page);
    assert_has(page.data, "no evidence that the backbone helps");
    thaw_str_clear(&page);
    thaw_json_free(&summary);
}

/* Of numbers nothing is right; every chart and table names what it shows. */
static void test_regression(void **state)
{
    static const char *const words[] = {
        "Explained variance on gate by rung",
        ("explained variance <strong>85.9% [83.7, 88.1]</strong> on <a "
         "href=\"#rungs.2.gate\">gate</a>"),
        "Training from scratch reaches explained variance 74.1% [71.9, 76.3] on gate; the best",
        "RMSE of every run at its chosen rate.",
        "RMSE on val while training (lower is better)",
        "How much better RMSE is on train than on val",
        "better on train by",
        "+0.05<",
        "rate: RMSE on val",
        "Explained variance on gate, mean of the seeds.",
        "points of explained variance on gate",
        "5 targets; train 250",
        "samples whose scores differ"};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str page = {0};
    sample_regression(summary);
    thaw_json *transfer = thaw_json_set_object(summary, "transfer");
    thaw_json_set_string(transfer, "verdict", "negative transfer");
    thaw_json_set_double(transfer, "delta", -0.053);
    render(summary, directory, "regression.html", &page);
    check_tags(page.data);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_has(page.data, words[i]);
    /* Records show files as they are, keys included. */
    *strstr(page.data, "<h2>Records</h2>") = '\0';
    assert_lacks(page.data, "ccuracy");
    assert_lacks(page.data, "right on");
    thaw_str_clear(&page);
    thaw_json_free(&summary);
}

/* A first climb without test, slices, steps, search, curves or gaps: the page is shorter, not broken. */
static void test_bare(void **state)
{
    (void)state;
    thaw_json *summary = thaw_json_new_object();
    thaw_json *rung = thaw_json_add_object(thaw_json_set_array(summary, "rungs"));
    thaw_str page = {0};
    thaw_str text = {0};
    thaw_json_set_string(summary, "name", "bare");
    thaw_json_set_string(summary, "chosen", "frozen");
    thaw_json_set_string(rung, "name", "frozen");
    render(summary, "no-such-directory", "bare.html", &page);
    check_tags(page.data);
    visible_text(page.data, &text);
    assert_lacks(text.data, "nan");
    assert_lacks(text.data, "(null)");
    assert_has(page.data, "use frozen");
    thaw_str_clear(&text);
    thaw_str_clear(&page);
    thaw_json_free(&summary);
}

static void test_refusal(void **state)
{
    (void)state;
    thaw_json *summary = thaw_json_new_object();
    assert_int_equal(ladder_write_html(summary, directory, "never.html"), THAW_ERR_INPUT);
    assert_false(thaw_path_exists("never.html"));
    thaw_json_free(&summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),  cmocka_unit_test(test_findings),
        cmocka_unit_test(test_harm),  cmocka_unit_test(test_regression),
        cmocka_unit_test(test_bare),  cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_links), cmocka_unit_test(test_tables)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
