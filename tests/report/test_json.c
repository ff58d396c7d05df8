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

static thaw_json *parse(const char *text)
{
    thaw_json *json = NULL;
    assert_int_equal(thaw_json_parse(text, strlen(text), "text", &json), THAW_OK);
    return json;
}

static void assert_compact(const thaw_json *json, const char *expected)
{
    thaw_str text = {0};
    thaw_json_compact(json, &text);
    assert_string_equal(thaw_str_c(&text), expected);
    thaw_str_clear(&text);
}

static void test_builds_and_keeps_order(void **state)
{
    (void)state;
    thaw_json *json = thaw_json_new_object();
    double rates[] = {0.1, 1e-4, NAN};
    int64_t counts[] = {1, -2};
    const char *names[] = {"a", NULL};
    thaw_json_set_string(json, "rung", "partial:1");
    thaw_json_set_int(json, "steps", 1200000);
    thaw_json_set_double(json, "loss", 0.1);
    thaw_json_set_double(json, "gap", INFINITY);
    thaw_json_set_bool(json, "done", false);
    thaw_json_set_bool(json, "done", true);
    thaw_json_set_doubles(json, "rates", rates, 3);
    thaw_json_set_ints(json, "counts", counts, 2);
    thaw_json_set_strings(json, "names", names, 2);
    thaw_json_set_int(thaw_json_child(json, "val"), "n", 7);
    thaw_json_set_double(thaw_json_child(json, "val"), "accuracy", 0.5);
    thaw_json_set_digest(json, "digest", (thaw_digest){.low = 1, .high = 2});
    thaw_json_add_int(thaw_json_add_array(thaw_json_set_array(json, "deep")), 3);
    assert_compact(json, "{\"rung\":\"partial:1\",\"steps\":1200000,\"loss\":0.1,\"gap\":null,"
                         "\"done\":true,\"rates\":[0.1,0.0001,null],\"counts\":[1,-2],"
                         "\"names\":[\"a\",null],\"val\":{\"n\":7,\"accuracy\":0.5},"
                         "\"digest\":\"00000000000000020000000000000001\",\"deep\":[[3]]}");
    thaw_json *copy = thaw_json_copy(json);
    thaw_json_free(&json);
    assert_null(json);
    thaw_digest digest = {0};
    assert_int_equal(thaw_json_get_digest(copy, "digest", &digest), THAW_OK);
    assert_true(digest.low == 1 && digest.high == 2);
    thaw_json_free(&copy);
    thaw_json_free(&copy);
}

static void test_escapes_strings(void **state)
{
    (void)state;
    const char *hard =
        "quote \" back \\ line\nreturn\r tab\t bell\x07 del\x7f \xc3\xa9 / \xe2\x80\x93";
    thaw_json *json = thaw_json_new_object();
    thaw_json_set_string(json, "a\"b", hard);
    thaw_str text = {0};
    thaw_json_compact(json, &text);
    assert_null(strchr(text.data, '\n'));
    assert_non_null(strstr(text.data, "\\u0007"));
    thaw_json *back = parse(text.data);
    assert_string_equal(thaw_json_string_or(back, "a\"b", ""), hard);
    thaw_json_free(&back);
    thaw_json_free(&json);
    thaw_str_clear(&text);
}

static void test_numbers_survive(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } known[] = {{0.1, "0.1"},      {1e15, "1000000000000000"},
                 {1e300, "1e+300"}, {1.0 / 3, "0.333333333333333315"},
                 {-2.5, "-2.5"},    {9007199254740991.0, "9007199254740991"},
                 {NAN, "null"},     {-INFINITY, "null"}};
    char text[THAW_NUMBER];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        thaw_number(known[i].value, text);
        /* The digits of 1/3 may be any 17 that read back; only the others are fixed. */
        if (known[i].value != 1.0 / 3)
            assert_string_equal(text, known[i].text);
    }
    thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, 0, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = thaw_rng_u64(&rng);
        double value = 0;
        double back = 0;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        thaw_number(value, text);
        assert_true(thaw_parse_double(text, &back));
        assert_memory_equal(&value, &back, sizeof value);
        assert_true(strlen(text) < 26);
    }
}

static void test_large_integers(void **state)
{
    (void)state;
    static const int64_t values[] = {0, -1, INT64_MAX, INT64_MIN, 1LL << 53, (1LL << 53) + 1};
    thaw_json *json = thaw_json_new_object();
    thaw_json_set_ints(json, "v", values, 6);
    thaw_str text = {0};
    thaw_json_compact(json, &text);
    thaw_json *back = parse(text.data);
    for (int i = 0; i < 6; i++) {
        char path[16];
        int64_t value = 5;
        thaw_format(path, sizeof path, "v.%d", i);
        assert_int_equal(thaw_json_get_int(back, path, &value), THAW_OK);
        assert_true(value == values[i]);
    }
    thaw_json_free(&json);
    thaw_json_free(&back);
    thaw_str_clear(&text);
}

static void test_finds_by_path(void **state)
{
    (void)state;
    thaw_json *json = parse("{\"rungs\":[{\"val\":{\"acc\":0.5}},{\"val\":{\"acc\":0.75}}],"
                            "\"state\":{\"layer1.0.conv1\":3,\"layer1\":{\"0\":{\"bn\":4}}},"
                            "\"a.b\":{\"c\":1},\"a\":{\"b\":{\"d\":2}},\"empty\":[]}");
    assert_true(thaw_json_double_or(json, "rungs.1.val.acc", 0) == 0.75);
    assert_int_equal(thaw_json_int_or(json, "state.layer1.0.conv1", 0), 3);
    assert_int_equal(thaw_json_int_or(json, "state.layer1.0.bn", 0), 4);
    assert_int_equal(thaw_json_int_or(json, "a.b.c", 0), 1);
    assert_int_equal(thaw_json_int_or(json, "a.b.d", 0), 2);
    assert_null(thaw_json_find(json, "rungs.2"));
    assert_null(thaw_json_find(json, "rungs.x"));
    assert_null(thaw_json_find(json, "rungs.1.val.acc.more"));
    assert_null(thaw_json_find(json, "empty.0"));
    assert_null(thaw_json_find(json, "rung"));
    assert_ptr_equal(thaw_json_find(json, ""), json);
    assert_int_equal(thaw_json_count(thaw_json_find(json, "rungs")), 2);
    assert_int_equal(thaw_json_count(thaw_json_find(json, "empty")), 0);
    assert_string_equal(thaw_json_key(thaw_json_first(json)), "rungs");
    assert_string_equal(thaw_json_key(thaw_json_next(thaw_json_first(json))), "state");
    const thaw_json *second = thaw_json_at(thaw_json_find(json, "rungs"), 1);
    assert_true(thaw_json_double_or(second, "val.acc", 0) == 0.75);
    assert_null(thaw_json_at(json, 99));
    thaw_json_free(&json);
}

static void assert_message(const char *part)
{
    if (strstr(thaw_error_last()->message, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, thaw_error_last()->message);
}

static void test_getters_say_what_is_wrong(void **state)
{
    (void)state;
    thaw_json *json = parse("{\"a\":{\"n\":1.5,\"s\":\"x\",\"z\":null}}");
    double value = 0;
    int64_t whole = 0;
    bool truth = false;
    const char *text = NULL;
    const thaw_json *inside = NULL;
    thaw_digest digest;
    assert_int_equal(thaw_json_get_double(json, "a.q", &value), THAW_ERR_INPUT);
    assert_message("\"a.q\": expected a number, found nothing");
    assert_int_equal(thaw_json_get_double(json, "a.s", &value), THAW_ERR_INPUT);
    assert_message("found a string");
    assert_int_equal(thaw_json_get_int(json, "a.n", &whole), THAW_ERR_INPUT);
    assert_message("1.5");
    assert_int_equal(thaw_json_get_bool(json, "a.n", &truth), THAW_ERR_INPUT);
    assert_int_equal(thaw_json_get_string(json, "a", &text), THAW_ERR_INPUT);
    assert_message("found an object");
    assert_int_equal(thaw_json_get_array(json, "a", &inside), THAW_ERR_INPUT);
    assert_int_equal(thaw_json_get_object(json, "a.z", &inside), THAW_ERR_INPUT);
    assert_int_equal(thaw_json_get_digest(json, "a.s", &digest), THAW_ERR_INPUT);
    assert_message("32 hex digits");
    assert_int_equal(thaw_json_get_double(json, "a.z", &value), THAW_OK);
    assert_true(isnan(value));
    assert_int_equal(thaw_json_get_object(json, "a", &inside), THAW_OK);
    assert_string_equal(thaw_json_string_or(inside, "s", "?"), "x");
    assert_string_equal(thaw_json_string_or(inside, "n", "?"), "?");
    assert_true(thaw_json_bool_or(inside, "n", true));
    thaw_json_free(&json);
    thaw_error_clear();
}

static void test_parse_errors_name_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "note.json: empty"},
        {" \n\t ", "note.json: empty"},
        {"{\"a\": 1,\n  \"b\": tru }", "note.json:2:8 (byte 16)"},
        {"{\"a\": [1, 2", "cut off"},
        {"{\"a\":1} x", "note.json:1:9 (byte 8): more text after"},
        {"{'a':1}", "note.json:1:"},
        {"nul", "not JSON"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        thaw_json *json = (thaw_json *)&i;
        assert_int_equal(thaw_json_parse(wrong[i].text, strlen(wrong[i].text), "note.json", &json),
                         THAW_ERR_INPUT);
        assert_null(json);
        assert_message(wrong[i].message);
    }
    thaw_error_clear();
}

static void test_pretty_and_file(void **state)
{
    (void)state;
    char path[] = "report_json_XXXXXX";
    assert_non_null(mkdtemp(path));
    thaw_str file = {0};
    thaw_path_join(&file, path, "summary.json");
    thaw_json *json = parse("{\"a\":[1,2],\"b\":{\"c\":[{\"d\":1}],\"e\":{}},\"f\":[]}");
    assert_int_equal(thaw_json_write(file.data, json), THAW_OK);
    thaw_str text = {0};
    assert_int_equal(thaw_file_read(file.data, &text), THAW_OK);
    assert_string_equal(text.data, "{\n  \"a\": [1, 2],\n  \"b\": {\n    \"c\": [\n      {\n"
                                   "        \"d\": 1\n      }\n    ],\n    \"e\": {}\n  },\n"
                                   "  \"f\": []\n}\n");
    thaw_json *back = NULL;
    assert_int_equal(thaw_json_read(file.data, &back), THAW_OK);
    assert_compact(back, "{\"a\":[1,2],\"b\":{\"c\":[{\"d\":1}],\"e\":{}},\"f\":[]}");
    thaw_json_free(&back);
    assert_int_equal(thaw_json_read("no/such/file.json", &back), THAW_ERR_INPUT);
    assert_null(back);
    thaw_json_free(&json);
    thaw_str_clear(&text);
    thaw_str_clear(&file);
    assert_int_equal(thaw_remove_tree(path), THAW_OK);
    thaw_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builds_and_keeps_order),
        cmocka_unit_test(test_escapes_strings),
        cmocka_unit_test(test_numbers_survive),
        cmocka_unit_test(test_large_integers),
        cmocka_unit_test(test_finds_by_path),
        cmocka_unit_test(test_getters_say_what_is_wrong),
        cmocka_unit_test(test_parse_errors_name_the_place),
        cmocka_unit_test(test_pretty_and_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
