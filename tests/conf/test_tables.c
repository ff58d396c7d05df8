#include "conf/example.h"

/* Lists of tables: filled, refused with the place, copied, compared, written and explained. */

typedef struct listed {
    thaw_tables optims;
    int64_t after;
} listed;

static const thaw_field item_fields[] = {{.name = "rate",
                                          .type = THAW_FIELD_DOUBLE,
                                          .offset = THAW_FIELD(optim_config, rate, double),
                                          .least = 0,
                                          .most = 10,
                                          .doc = "Learning rate."},
                                         {.name = "rates",
                                          .type = THAW_FIELD_DOUBLES,
                                          .offset = THAW_FIELD(optim_config, rates, thaw_doubles),
                                          .preset = "[1]",
                                          .doc = "Rates to try."},
                                         {.name = NULL, .offset = sizeof(optim_config)}};

static const thaw_field listed_fields[] = {{.name = "optims",
                                            .type = THAW_FIELD_TABLES,
                                            .offset = THAW_FIELD(listed, optims, thaw_tables),
                                            .preset = "",
                                            .table = item_fields,
                                            .doc = "One after the other."},
                                           {.name = "after",
                                            .type = THAW_FIELD_INT,
                                            .offset = THAW_FIELD(listed, after, int64_t),
                                            .preset = "7"},
                                           {.name = NULL}};

static thaw_status read_listed(const char *text, const char *override, listed *out)
{
    char *items[] = {(char *) override};
    const thaw_strings overrides = {items, override != NULL};
    thaw_conf *conf = NULL;
    thaw_status status = thaw_conf_parse_text("job.yaml", text, strlen(text), &overrides, &conf);
    if (status == THAW_OK)
        status = thaw_conf_fill(conf, listed_fields, "", out);
    if (status == THAW_OK)
        status = thaw_conf_check_unused(conf);
    thaw_conf_free(&conf);
    return status;
}

static const optim_config *item_of(const listed *l, int64_t i)
{
    return (const optim_config *)l->optims.items + i;
}

static void items_are_read(void **state)
{
    (void)state;
    const int64_t live = thaw_alloc_live();
    listed l;
    assert_int_equal(
        read_listed("optims:\n  - rate: 2\n  - rate: 3\n    rates: [4, 5]\n", NULL, &l), THAW_OK);
    assert_int_equal(l.optims.count, 2);
    assert_true(item_of(&l, 0)->rate == 2 && item_of(&l, 1)->rate == 3);
    assert_int_equal(item_of(&l, 0)->rates.count, 1);
    assert_true(item_of(&l, 1)->rates.items[1] == 5);
    assert_int_equal(l.after, 7);
    thaw_fields_clear(listed_fields, &l);
    assert_int_equal(read_listed("optims: [{rate: 2}]", "optims=[]", &l), THAW_OK);
    assert_int_equal(l.optims.count, 0);
    thaw_fields_clear(listed_fields, &l);
    assert_int_equal(read_listed("optims:\n", NULL, &l), THAW_OK);
    assert_int_equal(l.optims.count, 0);
    thaw_fields_clear(listed_fields, &l);
    assert_int_equal(thaw_alloc_live(), live);
}

static void nonsense_is_refused_with_its_place(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"optims: {rate: 1}",
         "job.yaml:1:9: optims: expected a list of mappings ('- key: value'), found a mapping"},
        {"optims: 3", "job.yaml:1:9: optims: expected a list of mappings"},
        {"optims: [{rate: 1}, 3]", "job.yaml:1:21: optims.1: expected a mapping"},
        {"optims:\n  - rate: 1\n  - rate: 11\n",
         "job.yaml:3:11: optims.1.rate: 11 is out of range"},
        {"optims:\n  - rate: 1\n    rat: 2\n", "job.yaml:3:5: optims.0.rat: unknown key"},
        {"optims:\n  - rate: 1\n  - rates: [1]\n",
         "job.yaml:3:5: optims.1: the required key 'rate'"},
    };
    const int64_t live = thaw_alloc_live();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        listed l;
        assert_int_equal(read_listed(rows[i][0], NULL, &l), THAW_ERR_CONFIG);
        if (!thaw_starts_with(thaw_error_last()->message, rows[i][1]))
            fail_msg("%s\n  instead of %s", thaw_error_last()->message, rows[i][1]);
        assert_int_equal(l.optims.count, 0);
    }
    assert_int_equal(thaw_alloc_live(), live);
}

static void copies_are_equal_and_apart(void **state)
{
    (void)state;
    const int64_t live = thaw_alloc_live();
    listed l;
    listed copy;
    assert_int_equal(read_listed("optims: [{rate: 1}, {rate: 2, rates: [3]}]", NULL, &l), THAW_OK);
    assert_int_equal(thaw_fields_copy(listed_fields, &copy, &l), THAW_OK);
    assert_true(thaw_fields_equal(listed_fields, &l, &copy));
    item_of(&copy, 1)->rates.items[0] = 4;
    assert_false(thaw_fields_equal(listed_fields, &l, &copy));
    thaw_fields_clear(listed_fields, &copy);
    assert_int_equal(read_listed("optims: [{rate: 1}]", NULL, &copy), THAW_OK);
    assert_false(thaw_fields_equal(listed_fields, &l, &copy));
    thaw_fields_clear(listed_fields, &copy);
    thaw_fields_clear(listed_fields, &l);
    assert_int_equal(thaw_fields_default(listed_fields, &l), THAW_OK);
    assert_int_equal(l.optims.count, 0);
    assert_int_equal(thaw_alloc_live(), live);
}

static void what_is_written_loads_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "optims: [{rate: 1}]",
                                        "optims: [{rate: 1}, {rate: 2, rates: []}]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        listed l;
        listed back;
        thaw_str text = {0};
        assert_int_equal(read_listed(texts[i], NULL, &l), THAW_OK);
        thaw_conf_write(listed_fields, &l, &text);
        if (read_listed(thaw_str_c(&text), NULL, &back) != THAW_OK)
            fail_msg("%s\n%s", thaw_error_last()->message, thaw_str_c(&text));
        assert_true(thaw_fields_equal(listed_fields, &l, &back));
        thaw_fields_clear(listed_fields, &back);
        thaw_fields_clear(listed_fields, &l);
        thaw_str_clear(&text);
    }
}

static void help_names_the_keys_of_an_item(void **state)
{
    (void)state;
    thaw_str text = {0};
    thaw_conf_help(listed_fields, &text);
    assert_non_null(strstr(thaw_str_c(&text), "optims: (a list)"));
    assert_non_null(strstr(thaw_str_c(&text), "  rate: a number"));
    thaw_str_reset(&text);
    thaw_conf_doc_markdown(listed_fields, &text);
    assert_non_null(strstr(thaw_str_c(&text), "| `optims` | a list of mappings | empty |"));
    assert_non_null(strstr(thaw_str_c(&text), "| `optims[].rate` | a number"));
    thaw_str_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_read),
        cmocka_unit_test(nonsense_is_refused_with_its_place),
        cmocka_unit_test(copies_are_equal_and_apart),
        cmocka_unit_test(what_is_written_loads_back),
        cmocka_unit_test(help_names_the_keys_of_an_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
