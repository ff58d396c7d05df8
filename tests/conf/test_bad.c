#include "conf/example.h"

/* One message each, to the letter: it is what the user has. */
static const struct {
    const char *text, *override;
    thaw_status status;
    const char *expected;
} rows[] = {
    {"train:\n  bacth: 3\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:3: train.bacth: unknown key; did you mean 'batch'?"},
    {"train:\n  zzz: 3\n", NULL, THAW_ERR_CONFIG, "job.yaml:2:3: train.zzz: unknown key"},
    {"train:\n  batch: 3\n  optim: {Rate: 1}\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:3:11: train.optim.Rate: unknown key; did you mean 'rate'?"},
    {"train:\n  batch: 3\n  '<<': {}\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:3:3: train.<<: unknown key"},
    {"train:\n  batch: many\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:10: train.batch: expected an integer, found 'many'"},
    {"train: {batch: 3.5}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:16: train.batch: expected an integer, found '3.5'"},
    {"train: {batch: '3'}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:16: train.batch: expected an integer, found the quoted text \"3\""},
    {"train: {batch: [3]}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:16: train.batch: expected an integer, found a list"},
    {"train: {batch: {a: 3}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:16: train.batch: expected an integer, found a mapping"},
    {"train:\n  batch:\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:9: train.batch: expected an integer, found nothing"},
    {"train: {batch: 0}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:16: train.batch: 0 is out of range; expected between 1 and 65536"},
    {"train: {batch: 65537}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:16: train.batch: 65537 is out of range; expected between 1 and 65536"},
    {"train: {batch: 99999999999999999999}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:16: train.batch: expected an integer, found '99999999999999999999'"},
    {"train: {batch: 1, shards: 0}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:27: train.shards: 0 is out of range; expected at least 1"},
    {"train: {batch: 1, augment: yes}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:28: train.augment: expected true or false, found 'yes'"},
    {"train: {batch: 1, optim: {rate: fast}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:33: train.optim.rate: expected a finite number, found 'fast'"},
    {"train: {batch: 1, optim: {rate: .nan}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:33: train.optim.rate: expected a finite number, found '.nan'"},
    {"train: {batch: 1, optim: {rate: nan}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:33: train.optim.rate: expected a finite number, found 'nan'"},
    {"train: {batch: 1, optim: {rate: .inf}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:33: train.optim.rate: expected a finite number, found '.inf'"},
    {"train: {batch: 1, optim: {rate: 10.5}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:33: train.optim.rate: 10.5 is out of range; expected between 0 and 10"},
    {"train: {batch: 1, optim: {name: adam}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:33: train.optim.name: 'adam' is not one of: sgd, adamw; did you mean 'adamw'?"},
    {"train: {batch: 1, optim: {name: [sgd]}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:33: train.optim.name: expected a word, found a list"},
    {"train: {batch: 1, optim: {rates: 0.1}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:34: train.optim.rates: expected a list of numbers, found '0.1'"},
    {"train: {batch: 1, optim: {rates: [0.1, x]}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:40: train.optim.rates.1: expected a finite number, found 'x'"},
    {"train: {batch: 1, optim: {rates: [0.1, 7]}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:40: train.optim.rates.1: 7 is out of range; expected between 0 and 1"},
    {"train: {batch: 1}\nrungs: [a, b, [c]]", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:15: rungs.2: expected text, found a list"},
    {"train: {batch: 1}\ntitle: ~", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:8: title: expected text, found nothing"},
    {"title: x\ntrain:\n  shards: 2\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:1: train: the required key 'batch' is missing (an integer: Samples per step.)"},
    {"title: x\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:1: train: the required key 'batch' is missing (an integer: Samples per step.)"},
    {"", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:1: train: the required key 'batch' is missing (an integer: Samples per step.)"},
    {"train: {batch: 1, peft: {}}", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:19: train.peft: the required key 'rank' is missing (an integer: Rank of the added "
     "matrices.)"},
    {"train: 3", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:8: train: expected a mapping ('key: value'), found a single value"},
    {"train: [batch]", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:8: train: expected a mapping ('key: value'), found a list"},
    {"- train", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:1: expected a mapping ('key: value') as the document, found a list"},
    {"train", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:1: expected a mapping ('key: value') as the document, found a single value"},
    {"title: a\ntrain: {}\ntitle: b\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:3:1: the key 'title' appears twice; the first is in line 1"},
    {"title: a\n---\ntitle: b\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:1: a second document starts here; only one is allowed"},
    {"title: *x\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:8: the alias '*x' has no anchor '&x' before it"},
    {"title: &x [*x]\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:12: the alias '*x' has no anchor '&x' before it"},
    {"title: !!python/object x\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:8: tags ('!...') are not supported; write the value alone"},
    {"? [a, b]\n: c\n", NULL, THAW_ERR_CONFIG, "job.yaml:1:3: a key must be text"},
    {"title: \"a\\0b\"\n", NULL, THAW_ERR_CONFIG, "job.yaml:1:8: a text contains a NUL character"},
    {"title: a\n\ttrain: b\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:1: not valid YAML: found a tab character that violates indentation while scanning "
     "a plain scalar"},
    {"title: [a\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:1: not valid YAML: did not find expected ',' or ']' while parsing a flow "
     "sequence"},
    {"title: \"a\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:1: not valid YAML: found unexpected end of stream while scanning a quoted scalar"},
    {"title: a\n\xff\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:1: not valid YAML: invalid leading UTF-8 octet"},
    {"title: caf\xe9\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:11: not valid YAML: incomplete UTF-8 octet sequence"},
    {"title: a\x01\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:1:9: not valid YAML: control characters are not allowed"},
    {"title: \"\\e[31m\"\ntrain: {batch: \"\\e[31m\"}\n", NULL, THAW_ERR_CONFIG,
     "job.yaml:2:16: train.batch: expected an integer, found the quoted text \"?[31m\""},
    {"train: {batch: 1}", "train.batch=x", THAW_ERR_CONFIG,
     "--set train.batch: expected an integer, found 'x'"},
    {"train: {batch: 1}", "train={batch: 0}", THAW_ERR_CONFIG,
     "--set train.batch: 0 is out of range; expected between 1 and 65536"},
    {"train: {batch: 1}", "train.bacth=2", THAW_ERR_CONFIG,
     "--set train.bacth: unknown key; did you mean 'batch'?"},
    {"train: {batch: 1}", "trian.batch=2", THAW_ERR_CONFIG,
     "--set trian: unknown key; did you mean 'train'?"},
    {"train: {batch: 1}", "train.batch=[1", THAW_ERR_CONFIG,
     "--set train.batch: not valid YAML: did not find expected ',' or ']' while parsing a flow "
     "sequence"},
    {"train: {batch: 1}", "train.batch={a: 1, a: 2}", THAW_ERR_CONFIG,
     "--set train.batch: the key 'a' appears twice"},
    {"train: {batch: 1}", "train.batch.x=1", THAW_ERR_CONFIG,
     "--set train.batch.x=1: the path goes through a single value, which has no keys"},
    {"seeds: [1]\ntrain: {batch: 1}", "seeds.0=1", THAW_ERR_CONFIG,
     "--set seeds.0=1: the path goes through a list, which has no keys"},
    {"train: {batch: 1}", "train={}", THAW_ERR_CONFIG,
     "--set train: the required key 'batch' is missing (an integer: Samples per step.)"},
    {"train: {batch: 1}", "train.batch", THAW_ERR_USAGE,
     "--set train.batch has no '='; write --set path.to.key=value"},
    {"train: {batch: 1}", "=1", THAW_ERR_USAGE, "--set =1: the path has an empty part"},
    {"train: {batch: 1}", "train..batch=1", THAW_ERR_USAGE,
     "--set train..batch=1: the path has an empty part"},
    {"train: {batch: 1}", "train.=1", THAW_ERR_USAGE, "--set train.=1: the path has an empty part"},
};

static void every_bad_config_has_its_message(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int64_t live = thaw_alloc_live();
        example e;
        thaw_error_clear();
        thaw_status status = read_example(rows[r].text, rows[r].override, NULL, &e);
        if (status != rows[r].status || strcmp(thaw_error_last()->message, rows[r].expected) != 0) {
            print_error("row %zu: %s\n  expected: %s\n  found:    %s\n", r, rows[r].text,
                        rows[r].expected, thaw_error_last()->message);
            wrong++;
        }
        assert_int_equal(thaw_alloc_live(), live);
    }
    assert_int_equal(wrong, 0);
}

static thaw_status parse(const char *text, size_t bytes)
{
    int64_t live = thaw_alloc_live();
    thaw_conf *conf = NULL;
    double start = thaw_seconds();
    thaw_status status = thaw_conf_parse_text("hostile.yaml", text, bytes, NULL, &conf);
    thaw_conf_free(&conf);
    assert_int_equal(thaw_alloc_live(), live);
    if (status != THAW_OK)
        assert_true(thaw_starts_with(thaw_error_last()->message, "hostile.yaml:"));
    /* Far above what it needs, also under sanitizers; a quadratic reader would need minutes. */
    assert_true(thaw_seconds() - start < 10);
    return status;
}

static void repeated(thaw_str *out, const char *text, size_t bytes)
{
    thaw_str_reset(out);
    while (out->length + strlen(text) <= bytes)
        thaw_str_add(out, text);
}

static void aliases_cannot_explode(void **state)
{
    (void)state;
    thaw_str bomb = {0};
    thaw_str_add(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 20; i++)
        thaw_str_printf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
                        i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_int_equal(parse(bomb.data, bomb.length), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "too large"));

    thaw_str_reset(&bomb);
    thaw_str_add(&bomb, "a0: &a0 [x]\n");
    for (int i = 1; i < 5000; i++)
        thaw_str_printf(&bomb, "b: &a%d [*a%d]\n", i, i - 1);
    assert_int_equal(parse(bomb.data, bomb.length), THAW_ERR_CONFIG);
    thaw_str_reset(&bomb);
    thaw_str_add(&bomb, "a0: &a0 [x]\n");
    for (int i = 1; i < 200; i++)
        thaw_str_printf(&bomb, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    assert_int_equal(parse(bomb.data, bomb.length), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "32 levels"));

    /* Few nodes, much text. */
    thaw_str big = {0};
    repeated(&big, "y", 1 << 20);
    thaw_str_reset(&bomb);
    thaw_str_printf(&bomb, "a: &a %s\nb: [*a", thaw_str_c(&big));
    for (int i = 0; i < 1000; i++)
        thaw_str_add(&bomb, ", *a");
    thaw_str_add(&bomb, "]\n");
    assert_int_equal(parse(bomb.data, bomb.length), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "too large"));
    thaw_str_clear(&big);
    thaw_str_clear(&bomb);
}

static void size_and_depth_are_limited(void **state)
{
    (void)state;
    static const char *const pieces[] = {"[", "{",      "- ",  "? ",  "{a: ", "[a,", "a: &x ", "a,",
                                         "'", "\"",     "&a ", "!",   "|",    "#",   "%",      "\n",
                                         "-", "a: b\n", "*a ", "a\n", " ",    "[]: "};
    thaw_str text = {0};
    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        repeated(&text, pieces[p], 1 << 18);
        (void)parse(text.data, text.length);
    }
    repeated(&text, "# comment\n", ((size_t)4 << 20) + 100);
    assert_int_equal(parse(text.data, text.length), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "4 MiB"));
    repeated(&text, "{a: ", 31 * 4);
    thaw_str_add(&text, "1");
    for (int i = 0; i < 31; i++)
        thaw_str_add(&text, "}");
    assert_int_equal(parse(text.data, text.length), THAW_OK);
    repeated(&text, "{a: ", 32 * 4);
    thaw_str_add(&text, "1");
    for (int i = 0; i < 32; i++)
        thaw_str_add(&text, "}");
    assert_int_equal(parse(text.data, text.length), THAW_ERR_CONFIG);
    repeated(&text, "a.", 2000);
    thaw_str_add(&text, "a=1");
    example e;
    assert_int_equal(read_example("", text.data, NULL, &e), THAW_ERR_CONFIG);
    thaw_str_clear(&text);
}

/* Every prefix of a document and every single changed byte gives a status, never a crash. */
static void damaged_documents_end_in_a_status(void **state)
{
    (void)state;
    static const char good[] = "title: \"x\\n\"\ntrain: &t\n  batch: 8\n  optim: {rates: [1, "
                               "0.5]}\nseeds: |\n  a\nz: *t\n";
    static const char bytes[] = "\0\xff\xc3[{:-'\"&*!|\n\t#,?%";
    char copy[sizeof good];
    for (size_t i = 0; i < sizeof good; i++)
        (void)parse(good, i);
    for (size_t i = 0; i + 1 < sizeof good; i++) {
        for (size_t k = 0; k + 1 < sizeof bytes; k++) {
            memcpy(copy, good, sizeof good);
            copy[i] = bytes[k];
            (void)parse(copy, sizeof good - 1);
        }
    }
    static const char nul[] = "title: a\0b\n";
    assert_int_equal(parse(nul, sizeof nul - 1), THAW_ERR_CONFIG);
    static const char utf16[] = "\xff\xfet\0:\0 \0x\0";
    assert_int_equal(parse(utf16, sizeof utf16 - 1), THAW_ERR_CONFIG);
    static const char bom[] = "\xef\xbb\xbftitle: x\n";
    assert_int_equal(parse(bom, sizeof bom - 1), THAW_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_config_has_its_message),
        cmocka_unit_test(aliases_cannot_explode),
        cmocka_unit_test(size_and_depth_are_limited),
        cmocka_unit_test(damaged_documents_end_in_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
