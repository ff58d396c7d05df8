/* Rungs: parsing, formatting, order, and what each of them trains.
 * thaw-test: timeout=30 */
#include "thaw/adapt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

static thaw_rung rung(const char *text)
{
    thaw_rung out;
    ok(thaw_rung_parse(text, &out));
    return out;
}

static void test_round_trip(void **state)
{
    (void)state;
    const char *const texts[] = {"scratch",   "frozen",          "peft",
                                 "partial:1", "partial:first:3", "partial:layer3,conv*",
                                 "full"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[THAW_RUNG_TEXT];
        thaw_rung parsed = rung(texts[i]);
        thaw_rung_format(&parsed, text);
        assert_string_equal(text, texts[i]);
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            thaw_rung other = rung(texts[j]);
            assert_int_equal(thaw_rung_equal(&parsed, &other), i == j);
        }
    }
}

static void test_order(void **state)
{
    (void)state;
    const char *const ladder[] = {"scratch",   "frozen",     "peft", "partial:1",
                                  "partial:2", "partial:10", "full"};
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++) {
            thaw_rung a = rung(ladder[i]);
            thaw_rung b = rung(ladder[j]);
            int order = thaw_rung_compare(&a, &b);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void test_bad_texts(void **state)
{
    (void)state;
    const char *const bad[] = {"",           "partal:1",   "partial",        "partial:",
                               "partial:0",  "partial:-1", "partial:first:", "partial:first:x",
                               "partial:a,", "partial:,a", "partial:a,,b",   "Full "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        thaw_rung out;
        if (thaw_rung_parse(bad[i], &out) != THAW_ERR_CONFIG)
            fail_msg("\"%s\" was accepted", bad[i]);
    }
    thaw_rung out;
    assert_int_equal(thaw_rung_parse("forzen", &out), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "did you mean \"frozen\""));
}

/* ---- What trains ---- */

static thaw_model *make(void)
{
    char arch[] = "resnet20";
    thaw_model_spec spec = {.arch = arch, .C = 3, .H = 16, .W = 16, .K = 5, .width = 4};
    thaw_model *model = NULL;
    ok(thaw_model_new(&spec, &model));
    thaw_model_initialize(model, 1);
    return model;
}

static bool trains(const thaw_model *model, const char *name)
{
    int32_t index = thaw_graph_find_param(model->graph, name);
    if (index < 0)
        fail_msg("no parameter %s", name);
    return thaw_graph_param(model->graph, index)->trainable;
}

/* Bits: conv1, layer1.0.conv1, layer2.2.bn1.weight, its running_mean, layer3.2.conv2, layer3.2.bn2.running_var, fc.bias */
static unsigned trained(const char *text)
{
    static const char *const names[] = {"conv1.weight",
                                        "layer1.0.conv1.weight",
                                        "layer2.2.bn1.weight",
                                        "layer2.2.bn1.running_mean",
                                        "layer3.2.conv2.weight",
                                        "layer3.2.bn2.running_var",
                                        "fc.bias"};
    thaw_model *model = make();
    thaw_rung r = rung(text);
    unsigned bits = 0;
    ok(thaw_adapt_apply(model, &r, NULL, 1));
    for (int i = 0; i < 7; i++)
        bits |= trains(model, names[i]) ? 1u << i : 0;
    thaw_model_free(&model);
    return bits;
}

static void test_what_trains(void **state)
{
    (void)state;
    assert_int_equal(trained("scratch"), 0x7f);
    assert_int_equal(trained("full"), 0x7f);
    assert_int_equal(trained("frozen"), 0x40);
    assert_int_equal(trained("partial:1"), 0x70);
    assert_int_equal(trained("partial:3"), 0x70);
    assert_int_equal(trained("partial:4"), 0x7c);
    assert_int_equal(trained("partial:9"), 0x7e);
    assert_int_equal(trained("partial:first:1"), 0x43);
    assert_int_equal(trained("partial:first:6"), 0x4f);
    assert_int_equal(trained("partial:stem"), 0x41);
    assert_int_equal(trained("partial:layer3"), 0x70);
    assert_int_equal(trained("partial:layer1.0,layer3.2.conv2"), 0x52);
    assert_int_equal(trained("partial:*.bn1"), 0x4c);
    assert_int_equal(trained("partial:*.bn1.bias"),
                     0x40); /* a norm's statistics follow its weight */
}

static void refuse(const char *text, const char *words)
{
    thaw_model *model = make();
    thaw_rung r = rung(text);
    assert_int_equal(thaw_adapt_apply(model, &r, NULL, 1), THAW_ERR_CONFIG);
    if (!strstr(thaw_error_last()->message, words))
        fail_msg("\"%s\" does not say %s", thaw_error_last()->message, words);
    thaw_model_free(&model);
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    refuse("partial:10", "resnet20 has 9");
    refuse("partial:first:10", "partial:first:9");
    refuse("partial:layer3.7", "did you mean \"layer3.");
    refuse("partial:layer3,fc", "names nothing");
}

static void test_rungs_follow_one_another(void **state)
{
    (void)state;
    thaw_model *model = make();
    thaw_adapt_counts counts;
    thaw_rung r = rung("full");
    ok(thaw_adapt_apply(model, &r, NULL, 1));
    thaw_adapt_count(model, &counts);
    assert_int_equal(counts.trainable, counts.total);
    r = rung("frozen");
    ok(thaw_adapt_apply(model, &r, NULL, 1));
    thaw_adapt_count(model, &counts);
    assert_int_equal(counts.trainable, 16 * 5 + 5);
    assert_int_equal(counts.head, counts.trainable);
    assert_int_equal(thaw_graph_boundary(model->graph), thaw_graph_features(model->graph));
    thaw_model_free(&model);
}

static void test_description(void **state)
{
    (void)state;
    static const struct {
        const char *rung, *text;
    } rows[] = {
        {"frozen", "head"},
        {"full", "head and the whole backbone"},
        {"partial:2", "head, layer3.1, layer3.2"},
        {"partial:layer1.0.conv1", "head, parts of layer1.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        thaw_str text = {0};
        thaw_model *model = make();
        thaw_rung r = rung(rows[i].rung);
        ok(thaw_adapt_apply(model, &r, NULL, 1));
        thaw_adapt_describe(model, &text);
        assert_string_equal(thaw_str_c(&text), rows[i].text);
        thaw_str_clear(&text);
        thaw_model_free(&model);
    }
}

/* Digests see what they should and nothing else. */
static void test_digests(void **state)
{
    (void)state;
    thaw_model *model = make();
    thaw_digest frozen[4];
    thaw_digest backbone[4];
    thaw_rung r = rung("partial:1");
    const char *const touched[] = {NULL, "fc.weight", "layer3.2.conv1.weight", "conv1.weight"};
    ok(thaw_adapt_apply(model, &r, NULL, 1));
    for (int i = 0; i < 4; i++) {
        if (touched[i])
            thaw_graph_param(model->graph, thaw_graph_find_param(model->graph, touched[i]))
                ->data[0] += 1;
        ok(thaw_adapt_digest_frozen(model, &frozen[i]));
        ok(thaw_adapt_digest_backbone(model, &backbone[i]));
    }
    assert_true(thaw_digest_equal(frozen[0], frozen[1]));
    assert_true(thaw_digest_equal(backbone[0], backbone[1]));
    assert_true(thaw_digest_equal(frozen[1], frozen[2]));
    assert_false(thaw_digest_equal(backbone[1], backbone[2]));
    assert_false(thaw_digest_equal(frozen[2], frozen[3]));
    thaw_model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_order),
        cmocka_unit_test(test_bad_texts),         cmocka_unit_test(test_what_trains),
        cmocka_unit_test(test_what_is_not_there), cmocka_unit_test(test_rungs_follow_one_another),
        cmocka_unit_test(test_description),       cmocka_unit_test(test_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
