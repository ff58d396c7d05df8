/* WordPiece against what transformers' BertTokenizer gave: the golden file without arguments, another one with; and bad vocabularies. */
#include "tokens_test.h"

static const char *file = THAW_TESTS_DIR "/golden/wordpiece.txt";

/* The lines "piece" as a vocabulary file. */
static const char *write_vocabulary(const thaw_str *golden)
{
    const char *path = in_folder("vocab.txt");
    thaw_str pieces = {0};
    for (const char *line = golden->data; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (thaw_starts_with(line, "piece "))
            thaw_str_add_bytes(&pieces, line + 6, strcspn(line, "\n") - 5);
    }
    assert_int_equal(thaw_file_write(path, pieces.data, pieces.length), THAW_OK);
    thaw_str_clear(&pieces);
    return path;
}

static void test_as_transformers(void **state)
{
    (void)state;
    thaw_str golden = {0};
    thaw_tokenizer *both[2] = {0};
    int64_t count = 0;
    assert_int_equal(thaw_file_read(file, &golden), THAW_OK);
    const char *path = write_vocabulary(&golden);
    for (int cased = 0; cased < 2; cased++)
        assert_int_equal(thaw_tokenizer_open(path, cased, &both[cased]), THAW_OK);
    assert_true(thaw_digest_equal(about(both[0]).digest, about(both[1]).digest));
    for (char *line = golden.data; line != NULL && *line;) {
        char *end = strchr(line, '\n');
        if (thaw_starts_with(line, "case "))
            check_case(both, line, ++count);
        line = end + (end != NULL);
    }
    print_message("%lld texts, %lld pieces\n", (long long)count, (long long)about(both[0]).pieces);
    assert_true(count > 50);
    for (int cased = 0; cased < 2; cased++)
        thaw_tokenizer_free(&both[cased]);
    thaw_str_clear(&golden);
}

static void test_bad_vocabularies(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "empty, not a vocabulary"},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\n\na\n", "line 5 is empty"},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n", "line 7 has \"a\", as line 5 has"},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\nab\xff\n", "line 5 is not UTF-8 at its byte 2"},
        {"[PAD]\n[UNK]\n[CLS]\na\n", "no line is [SEP]"},
        {"[UNK]\n[PAD]\n[CLS]\n[SEP]\n", "[PAD] is line 2; it must be the first"},
        {"{\"version\": \"1.0\"}\n", "no line is [PAD]"},
    };
    const char *path = in_folder("bad.txt");
    thaw_tokenizer *w = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(thaw_file_write(path, cases[i].text, strlen(cases[i].text)), THAW_OK);
        assert_int_equal(thaw_tokenizer_open(path, false, &w), THAW_ERR_INPUT);
        assert_non_null(strstr(thaw_error_last()->message, cases[i].says));
        assert_non_null(strstr(thaw_error_last()->message, "bad.txt"));
        assert_null(w);
    }
    assert_int_equal(thaw_tokenizer_open(in_folder("none"), false, &w), THAW_ERR_INPUT);
}

/* Line ends of Windows, no line end at the end, no [MASK]; a text that is not UTF-8. */
static void test_edges(void **state)
{
    (void)state;
    static const char vocabulary[] = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\n##b";
    const char *path = in_folder("edges.txt");
    thaw_tokenizer *w = NULL;
    int32_t ids[6];
    thaw_tokens out = {.ids = ids};
    assert_int_equal(thaw_file_write(path, vocabulary, strlen(vocabulary)), THAW_OK);
    assert_int_equal(thaw_tokenizer_open(path, false, &w), THAW_OK);
    assert_int_equal(about(w).pieces, 6);
    assert_int_equal(thaw_tokenizer_encode(w, "ab [MASK]", NULL, 6, &out), THAW_OK);
    assert_memory_equal(ids, ((int32_t[]){2, 4, 5, 1, 1, 3}), sizeof ids);
    assert_int_equal(out.count, 6);
    assert_int_equal(out.cut, 1);
    assert_int_equal(thaw_tokenizer_encode(w, "ab\xc3", NULL, 6, &out), THAW_ERR_INPUT);
    assert_non_null(strstr(thaw_error_last()->message, "not UTF-8 at its byte 2 (c3)"));
    thaw_tokenizer_free(&w);
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_transformers),
        cmocka_unit_test(test_bad_vocabularies),
        cmocka_unit_test(test_edges),
    };
    if (count > 1)
        file = words[1];
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
