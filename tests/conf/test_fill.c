#include "conf/example.h"

static const char full_text[] = "# a job\n"
                                "title: 12 shoes\n"
                                "train:\n"
                                "  batch: 96\n"
                                "  shards: 12\n"
                                "  augment: false\n"
                                "  optim: {name: adamw, rate: 1e-3, rates: [0.5, 1]}\n"
                                "  peft:\n"
                                "    rank: 4\n"
                                "rungs:\n"
                                "  - scratch\n"
                                "  - \"partial:1\"\n"
                                "seeds: [1, -2, 9223372036854775807]\n";

static void every_type_is_read(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    example e;
    assert_int_equal(read_example(full_text, NULL, NULL, &e), THAW_OK);
    assert_string_equal(e.title, "12 shoes");
    assert_int_equal(e.train.batch, 96);
    assert_int_equal(e.train.shards, 12);
    assert_false(e.train.augment);
    assert_int_equal(e.train.optim.name, 1);
    assert_true(e.train.optim.rate == 1e-3);
    assert_int_equal(e.train.optim.rates.count, 2);
    assert_true(e.train.optim.rates.items[1] == 1.0);
    assert_int_equal(e.train.peft.rank, 4);
    assert_string_equal(e.train.peft.target, "*");
    assert_int_equal(e.rungs.count, 2);
    assert_string_equal(e.rungs.items[1], "partial:1");
    assert_int_equal(e.seeds.count, 3);
    assert_true(e.seeds.items[2] == INT64_MAX);
    thaw_fields_clear(example_fields, &e);
    assert_null(e.rungs.items);
    assert_int_equal(thaw_alloc_live(), live);
}

static void presets_fill_the_rest(void **state)
{
    (void)state;
    example e;
    assert_int_equal(read_example("train: {batch: 8}", NULL, NULL, &e), THAW_OK);
    assert_string_equal(e.title, "");
    assert_int_equal(e.train.shards, 24);
    assert_true(e.train.augment);
    assert_int_equal(e.train.optim.name, 0);
    assert_true(e.train.optim.rates.items[1] == 1e-3);
    assert_int_equal(e.train.peft.rank, 0);
    assert_null(e.train.peft.target);
    assert_int_equal(e.rungs.count, 2);
    assert_int_equal(e.seeds.count, 0);
    thaw_fields_clear(example_fields, &e);
    assert_int_equal(read_example("---\ntrain:\n  batch: 8\n  optim:\n", NULL, NULL, &e), THAW_OK);
    assert_true(e.train.optim.rate == 0.1);
    thaw_fields_clear(example_fields, &e);
}

static void anchors_are_values(void **state)
{
    (void)state;
    example e;
    assert_int_equal(
        read_example("seeds: &s [1, 2]\ntrain: {batch: 8, optim: {rates: *s}}", NULL, NULL, &e),
        THAW_ERR_CONFIG); /* rates are at most 1; the item is where the anchor has it */
    assert_string_equal(
        thaw_error_last()->message,
        "job.yaml:1:15: train.optim.rates.1: 2 is out of range; expected between 0 and 1");
    assert_int_equal(
        read_example("seeds: &s [1, 0]\ntrain: {batch: 8, optim: {rates: *s}}", NULL, NULL, &e),
        THAW_OK);
    assert_int_equal(e.train.optim.rates.count, 2);
    thaw_fields_clear(example_fields, &e);
}

static void overrides_replace_and_add(void **state)
{
    (void)state;
    example e;
    assert_int_equal(read_example(full_text, "train.batch=128", "train.optim.rates=[0.25]", &e),
                     THAW_OK);
    assert_int_equal(e.train.batch, 128);
    assert_int_equal(e.train.optim.rates.count, 1);
    assert_int_equal(e.train.optim.name, 1);
    thaw_fields_clear(example_fields, &e);
    assert_int_equal(read_example("", "train={batch: 3}", "train.optim.rate=0.5", &e), THAW_OK);
    assert_int_equal(e.train.batch, 3);
    assert_true(e.train.optim.rate == 0.5);
    thaw_fields_clear(example_fields, &e);
    assert_int_equal(read_example("train:\n", "train.batch=3", "title=", &e), THAW_OK);
    assert_string_equal(e.title, "");
    thaw_fields_clear(example_fields, &e);
    assert_int_equal(read_example("train: {batch: 1}", "title=a=b", NULL, &e), THAW_OK);
    assert_string_equal(e.title, "a=b");
    thaw_fields_clear(example_fields, &e);
    assert_int_equal(read_example("train: {batch: 1}", "train.batch=2", "train.batch=5", &e),
                     THAW_OK);
    assert_int_equal(e.train.batch, 5);
    thaw_fields_clear(example_fields, &e);
}

static thaw_conf *parse(const char *text)
{
    thaw_conf *conf = NULL;
    assert_int_equal(thaw_conf_parse_text("job.yaml", text, strlen(text), NULL, &conf), THAW_OK);
    return conf;
}

static void several_tables_share_a_document(void **state)
{
    (void)state;
    thaw_conf *conf =
        parse("optim: {rate: 0.5}\nother: {x: 1}\nphases:\n  - rank: 2\n  - rank: 3\n");
    optim_config optim;
    peft_config phase;
    assert_true(thaw_conf_has(conf, "other.x"));
    assert_false(thaw_conf_has(conf, "other.y"));
    assert_false(thaw_conf_has(conf, "other.x.y"));
    assert_int_equal(thaw_conf_count(conf, "phases"), 2);
    assert_int_equal(thaw_conf_count(conf, "other"), 1);
    assert_int_equal(thaw_conf_count(conf, "other.x"), -1);
    assert_int_equal(thaw_conf_count(conf, "nothing"), -1);
    assert_int_equal(thaw_conf_fill(conf, optim_fields, "optim", &optim), THAW_OK);
    thaw_fields_clear(optim_fields, &optim);
    for (int i = 0; i < 2; i++) {
        char path[20];
        thaw_format(path, sizeof path, "phases.%d", i);
        assert_int_equal(thaw_conf_fill(conf, peft_fields, path, &phase), THAW_OK);
        assert_int_equal(phase.rank, 2 + i);
        thaw_fields_clear(peft_fields, &phase);
    }
    assert_int_equal(thaw_conf_check_unused(conf), THAW_ERR_CONFIG);
    assert_string_equal(thaw_error_last()->message,
                        "job.yaml:2:1: other: unknown key; nothing reads it");
    thaw_conf_claim(conf, "other");
    thaw_conf_claim(conf, "absent");
    assert_int_equal(thaw_conf_check_unused(conf), THAW_OK);
    thaw_conf_free(&conf);
}

static void claimed_keys_are_not_unknown(void **state)
{
    (void)state;
    thaw_conf *conf = parse("train: {batch: 2, phases: [1, 2]}\n");
    example e;
    assert_int_equal(thaw_conf_fill(conf, example_fields, "", &e), THAW_ERR_CONFIG);
    thaw_conf_claim(conf, "train.phases");
    assert_int_equal(thaw_conf_fill(conf, example_fields, "", &e), THAW_OK);
    thaw_fields_clear(example_fields, &e);
    assert_int_equal(thaw_conf_check_unused(conf), THAW_OK);
    thaw_conf_free(&conf);
}

static void checks_across_fields_point_at_the_key(void **state)
{
    (void)state;
    thaw_conf *conf = parse("title: x\ntrain:\n  batch: 60\n");
    static const struct {
        const char *path, *expected;
    } rows[] = {
        {"train.batch", "job.yaml:3:10: train.batch: 60 is not divisible by 24"},
        {"train.shards", "job.yaml:2:1: train.shards: 60 is not divisible by 24"},
        {"train", "job.yaml:2:1: train: 60 is not divisible by 24"},
        {"", "job.yaml:1:1: 60 is not divisible by 24"},
        {"a.b.c", "job.yaml:1:1: a.b.c: 60 is not divisible by 24"},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        assert_int_equal(
            thaw_conf_error_at(conf, rows[r].path, "%d is not divisible by %d", 60, 24),
            THAW_ERR_CONFIG);
        assert_string_equal(thaw_error_last()->message, rows[r].expected);
    }
    thaw_str where = {0};
    thaw_conf_where(conf, "train.batch", &where);
    assert_string_equal(thaw_str_c(&where), "job.yaml:3:10");
    thaw_str_clear(&where);
    thaw_conf_free(&conf);
}

static void files_are_loaded(void **state)
{
    (void)state;
    char path[] = "thaw-conf-XXXXXX";
    thaw_conf *conf = NULL;
    example e;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(thaw_file_append(path, full_text, strlen(full_text)), THAW_OK);
    assert_int_equal(thaw_conf_load(path, NULL, &conf), THAW_OK);
    assert_int_equal(thaw_conf_fill(conf, example_fields, "", &e), THAW_OK);
    thaw_fields_clear(example_fields, &e);
    thaw_conf_free(&conf);
    assert_int_equal(thaw_remove_tree(path), THAW_OK);
    assert_int_equal(thaw_conf_load(path, NULL, &conf), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, path));
    assert_null(conf);
    assert_int_equal(thaw_conf_load("/dev/zero", NULL, &conf), THAW_ERR_CONFIG);
    assert_int_equal(thaw_conf_load("/", NULL, &conf), THAW_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(presets_fill_the_rest),
        cmocka_unit_test(anchors_are_values),
        cmocka_unit_test(overrides_replace_and_add),
        cmocka_unit_test(several_tables_share_a_document),
        cmocka_unit_test(claimed_keys_are_not_unknown),
        cmocka_unit_test(checks_across_fields_point_at_the_key),
        cmocka_unit_test(files_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
