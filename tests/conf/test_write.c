#include "conf/example.h"

static void assert_round_trip(const example *e)
{
    thaw_str text = {0};
    example back;
    thaw_conf_write(example_fields, e, &text);
    if (read_example(thaw_str_c(&text), NULL, NULL, &back) != THAW_OK)
        fail_msg("%s\n%s", thaw_error_last()->message, thaw_str_c(&text));
    if (!thaw_fields_equal(example_fields, e, &back))
        fail_msg("not equal:\n%s", thaw_str_c(&text));
    thaw_fields_clear(example_fields, &back);
    thaw_str_clear(&text);
}

static void what_is_written_loads_back(void **state)
{
    (void)state;
    static const char *const titles[] = {
        "plain",
        "",
        "two words",
        "true",
        "No",
        "~",
        "12",
        "1e3",
        "a: b",
        "# x",
        "- x",
        "'q'",
        "\"q\"",
        "back\\slash",
        "line\nbreak",
        "tab\t",
        "caf\xc3\xa9",
        "\xe2\x80\xa8",
        "\xc2\x85",
        "\xef\xbb\xbf",
        "\xf0\x9f\x91\x9f",
        "\x7f\x01",
        " lead",
        "trail ",
        "[x]",
        "{x}",
        "*a",
        "&a",
        "!t",
        "|",
        ">",
        "%",
        "@",
        "`",
        ",",
        "?",
        ":",
        "/abs/path.h5",
        "rel/x-1.2_b",
        "null",
    };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        example e;
        assert_int_equal(
            read_example("train: {batch: 7, peft: {rank: 3}}\nseeds: [3, -4]", NULL, NULL, &e),
            THAW_OK);
        thaw_free(&e.title);
        assert_int_equal(thaw_strdup(&e.title, titles[i]), THAW_OK);
        thaw_free(&e.rungs.items[1]);
        assert_int_equal(thaw_strdup(&e.rungs.items[1], titles[i]), THAW_OK);
        assert_round_trip(&e);
        thaw_fields_clear(example_fields, &e);
    }
}

static void numbers_keep_every_bit(void **state)
{
    (void)state;
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, 0);
    example e;
    assert_int_equal(read_example("train: {batch: 7}", NULL, NULL, &e), THAW_OK);
    for (int i = 0; i < 200; i++) {
        e.train.optim.rate = thaw_rng_uniform(&rng) * pow(10, -(int)thaw_rng_below(&rng, 300));
        e.train.optim.rates.items[0] = thaw_rng_uniform(&rng);
        assert_round_trip(&e);
    }
    thaw_fields_clear(example_fields, &e);
}

static void the_text_is_for_people(void **state)
{
    (void)state;
    thaw_str text = {0};
    example e;
    assert_int_equal(read_example("title: two words\ntrain: {batch: 7}", NULL, NULL, &e), THAW_OK);
    thaw_conf_write(example_fields, &e, &text);
    assert_string_equal(thaw_str_c(&text), "title: \"two words\"\n"
                                           "train:\n"
                                           "  batch: 7\n"
                                           "  shards: 24\n"
                                           "  augment: true\n"
                                           "  optim:\n"
                                           "    name: sgd\n"
                                           "    rate: 0.1\n"
                                           "    rates: [0.1, 0.001]\n"
                                           "rungs: [frozen, full]\n"
                                           "seeds: []\n");
    thaw_fields_clear(example_fields, &e);
    thaw_str_clear(&text);
}

static void copies_are_deep_and_equal(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    example a;
    example b;
    assert_int_equal(read_example("train: {batch: 7, peft: {rank: 1}}\nseeds: [1]", NULL, NULL, &a),
                     THAW_OK);
    assert_int_equal(thaw_fields_copy(example_fields, &b, &a), THAW_OK);
    assert_true(thaw_fields_equal(example_fields, &a, &b));
    b.seeds.items[0] = 2;
    assert_int_equal(a.seeds.items[0], 1);
    assert_false(thaw_fields_equal(example_fields, &a, &b));
    b.seeds.items[0] = 1;
    b.train.peft.target[0] = '?';
    assert_false(thaw_fields_equal(example_fields, &a, &b));
    b.train.peft.target[0] = '*';
    b.rungs.items[0][0] = 'F';
    assert_false(thaw_fields_equal(example_fields, &a, &b));
    b.rungs.items[0][0] = 'f';
    b.train.optim.rates.items[0] = 0.3;
    assert_false(thaw_fields_equal(example_fields, &a, &b));
    thaw_fields_clear(example_fields, &a);
    thaw_fields_clear(example_fields, &b);
    assert_int_equal(thaw_alloc_live(), live);
}

static void defaults_need_no_document(void **state)
{
    (void)state;
    example e;
    assert_int_equal(thaw_fields_default(example_fields, &e), THAW_OK);
    assert_int_equal(e.train.batch, 0);
    assert_int_equal(e.train.shards, 24);
    assert_int_equal(e.rungs.count, 2);
    thaw_fields_clear(example_fields, &e);
}

static void a_wrong_preset_is_our_mistake(void **state)
{
    (void)state;
    static const char *const presets[] = {"x", "0", "", "70"};
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        thaw_field table[2];
        peft_config peft;
        memset(table, 0, sizeof table);
        table[0] = peft_fields[0];
        table[0].preset = presets[i];
        assert_int_equal(thaw_fields_default(table, &peft), THAW_ERR_FAIL);
        assert_non_null(strstr(thaw_error_last()->message, "rank"));
    }
}

static void help_names_everything(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "train:\n      Training.\n",
        "  batch: an integer between 1 and 65536; required\n        Samples per step.\n",
        "  shards: an integer at least 1; default 24\n",
        "    name: one of sgd, adamw; default sgd\n",
        "  peft: (optional)\n",
        "seeds: a list of integers; default empty\n",
    };
    static const char *const cells[] = {
        "| `train.batch` | an integer between 1 and 65536 | required | Samples per step. |\n",
        "| `train.optim.name` | one of sgd, adamw | sgd | Optimizer. |\n",
        "Rates to try \\| in order. |\n",
        "| `train.peft` | a mapping | optional | Small surface. |\n",
        "| `seeds` | a list of integers | empty | Seeds. |\n",
    };
    thaw_str text = {0};
    thaw_conf_help(example_fields, &text);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (strstr(thaw_str_c(&text), lines[i]) == NULL)
            fail_msg("no '%s' in\n%s", lines[i], thaw_str_c(&text));
    }
    thaw_str_reset(&text);
    thaw_conf_doc_markdown(example_fields, &text);
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        if (strstr(thaw_str_c(&text), cells[i]) == NULL)
            fail_msg("no '%s' in\n%s", cells[i], thaw_str_c(&text));
    }
    thaw_str_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_loads_back),
        cmocka_unit_test(numbers_keep_every_bit),
        cmocka_unit_test(the_text_is_for_people),
        cmocka_unit_test(copies_are_deep_and_equal),
        cmocka_unit_test(defaults_need_no_document),
        cmocka_unit_test(a_wrong_preset_is_our_mistake),
        cmocka_unit_test(help_names_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
