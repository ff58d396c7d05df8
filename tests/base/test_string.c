#include "thaw/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void strings_grow(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_str s = {0};
    assert_string_equal(thaw_str_c(&s), "");
    for (int i = 0; i < 1000; i++)
        thaw_str_printf(&s, "%d,", i % 10);
    assert_int_equal(s.length, 2000);
    assert_int_equal(strlen(s.data), 2000);
    thaw_str_reset(&s);
    assert_string_equal(thaw_str_c(&s), "");
    thaw_str_add(&s, "");
    thaw_str_add_bytes(&s, "a\0b", 3);
    assert_int_equal(s.length, 3);
    assert_memory_equal(s.data, "a\0b", 4);
    thaw_str_clear(&s);
    assert_int_equal(thaw_alloc_live(), live);
}

static void cutting_is_reported(void **state)
{
    (void)state;
    char out[4];
    assert_true(thaw_copy(out, sizeof out, "abc"));
    assert_false(thaw_copy(out, sizeof out, "abcd"));
    assert_string_equal(out, "abc");
    assert_false(thaw_format(out, sizeof out, "%d", 12345));
}

static void patterns_match_the_whole_text(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool expected;
    } rows[] = {
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"layer?.*", "layer3.conv1", true},
        {"layer?.*", "layer10.conv1", false},
        {"*.weight", "fc.weight", true},
        {"*.weight", "fc.weights", false},
        {"a*b*c", "a_b_b_c", true},
        {"a*b*c", "a_c_b", false},
        {"***", "x", true},
        {"?", "", false},
        {"fc", "fc", true},
        {"fc", "fcx", false},
        {"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        if (thaw_match(rows[r].pattern, rows[r].text) != rows[r].expected)
            fail_msg("%s on %s", rows[r].pattern, rows[r].text);
    }
    assert_true(thaw_starts_with("train.batch", "train."));
    assert_false(thaw_starts_with("tr", "train."));
    assert_true(thaw_ends_with("x.h5", ".h5"));
    assert_false(thaw_ends_with("5", ".h5"));
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const bad_ints[] = {"",  "1.0", "0x10", " 1", "1 ", "9223372036854775808",
                                           "-", "1e3", "+-1"};
    static const char *const bad_doubles[] = {"",      "nan", "inf", "0x1p3", "1e999",
                                              "1.2.3", " 1",  "e",   "1,5"};
    int64_t i = 0;
    double d = 0;
    for (size_t r = 0; r < sizeof bad_ints / sizeof *bad_ints; r++)
        assert_false(thaw_parse_int(bad_ints[r], &i));
    for (size_t r = 0; r < sizeof bad_doubles / sizeof *bad_doubles; r++)
        assert_false(thaw_parse_double(bad_doubles[r], &d));
    assert_true(thaw_parse_int("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(thaw_parse_int("+12", &i) && i == 12);
    assert_true(thaw_parse_double("1e-3", &d) && d == 1e-3);
    assert_true(thaw_parse_double("-4", &d) && d == -4.0);
    assert_true(thaw_parse_double(".5", &d) && d == 0.5);
    assert_true(thaw_parse_double("5e-324", &d) && d > 0);
}

static void near_words_are_suggested(void **state)
{
    (void)state;
    static const char *const keys[] = {"batch", "shards", "epochs", "rate", "lr", "weight_decay"};
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"bacth", "batch"},  {"batchs", "batch"}, {"Batch", "batch"},
        {"shard", "shards"}, {"epoch", "epochs"}, {"weight_deacy", "weight_decay"},
        {"lr_", "lr"},       {"rl", "lr"},        {"momentum", NULL},
        {"x", NULL},         {"", NULL},          {"zzzzz", NULL},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const char *found = thaw_did_you_mean(rows[r].text, keys, sizeof keys / sizeof *keys);
        if (rows[r].expected == NULL)
            assert_null(found);
        else
            assert_string_equal(found, rows[r].expected);
    }
    char big[500];
    memset(big, 'a', sizeof big);
    big[sizeof big - 1] = 0;
    assert_null(thaw_did_you_mean(big, keys, sizeof keys / sizeof *keys));
}

static void bytes_are_for_people(void **state)
{
    (void)state;
    static const struct {
        double bytes;
        const char *expected;
    } rows[] = {{0, "0 B"},
                {340, "340 B"},
                {1023, "1023 B"},
                {1024, "1.0 KiB"},
                {1288490189, "1.2 GiB"},
                {1048575, "1.0 MiB"},
                {1e30, "867361737988.4 EiB"}};
    char text[40];
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        thaw_format_bytes(rows[r].bytes, text, sizeof text);
        assert_string_equal(text, rows[r].expected);
    }
}

static void time_goes_forward_and_is_utc(void **state)
{
    (void)state;
    char text[40];
    double first = thaw_seconds();
    assert_true(thaw_seconds() >= first);
    thaw_timestamp(text, sizeof text);
    assert_true(thaw_match("20*-*-*T*:*:*Z", text));
    thaw_timestamp(text, 3);
    assert_string_equal(text, "");
}

static void the_version_is_named(void **state)
{
    (void)state;
    assert_true(thaw_match("?*.?*.?*", thaw_version()));
    assert_true(strlen(thaw_commit()) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_grow),
        cmocka_unit_test(cutting_is_reported),
        cmocka_unit_test(patterns_match_the_whole_text),
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(near_words_are_suggested),
        cmocka_unit_test(bytes_are_for_people),
        cmocka_unit_test(time_goes_forward_and_is_utc),
        cmocka_unit_test(the_version_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
