/* thaw-test: timeout=60
 * Byte-level BPE against what transformers' RobertaTokenizerFast gave: the golden file without arguments, another one with, and then perhaps
 * a tokenizer.json of its; and what is refused. */
#include "tokens_test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "data/bpe_impl.h"
#include "thaw/report.h"

enum { PLAIN, PREFIXED, ADDED, FORMS };

static const char *file = THAW_TESTS_DIR "/golden/bpe.txt";
static const char *tokenizer_json = NULL;

static void write_text(const char *name, const char *text)
{
    assert_int_equal(thaw_file_write(in_folder(name), text, strlen(text)), THAW_OK);
}

/* Pieces and merges of a golden file. */
typedef struct parts {
    thaw_json *vocabulary, *merges;
    thaw_str lines; /* of merges.txt */
} parts;

static void read_parts(const char *golden, parts *out)
{
    int64_t id = 0;
    *out = (parts){.vocabulary = thaw_json_new_object(), .merges = thaw_json_new_array()};
    thaw_str_add(&out->lines, "#version: 0.2\n");
    for (const char *line = golden; line != NULL && *line; line = strchr(line, '\n')) {
        thaw_str word = {0};
        line += *line == '\n';
        const char *rest = strchr(line, ' ');
        if (rest != NULL)
            thaw_str_add_bytes(&word, rest + 1, strcspn(rest + 1, "\n"));
        if (thaw_starts_with(line, "piece "))
            thaw_json_set_int(out->vocabulary, thaw_str_c(&word), id++);
        if (thaw_starts_with(line, "merge ")) {
            thaw_json_add_string(out->merges, thaw_str_c(&word));
            thaw_str_printf(&out->lines, "%s\n", thaw_str_c(&word));
        }
        thaw_str_clear(&word);
    }
}

static void clear_parts(parts *p)
{
    thaw_json_free(&p->vocabulary);
    thaw_json_free(&p->merges);
    thaw_str_clear(&p->lines);
}

static void add_token(thaw_json *list, const char *name, int64_t id, bool left, bool right,
                      bool late)
{
    thaw_json *item = thaw_json_add_object(list);
    thaw_json_set_int(item, "id", id);
    thaw_json_set_string(item, "content", name);
    thaw_json_set_bool(item, "single_word", false);
    thaw_json_set_bool(item, "lstrip", left);
    thaw_json_set_bool(item, "rstrip", right);
    thaw_json_set_bool(item, "normalized", late);
}

/* A tokenizer.json of these, with two added tokens that take spaces if `more`. */
static thaw_json *whole_json(const parts *p, bool more)
{
    static const char *const names[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
    const char *text =
        "{\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
        "false, \"use_regex\": true}, \"post_processor\": {\"type\": \"RobertaProcessing\", "
        "\"sep\": [\"</s>\", 2], \"cls\": [\"<s>\", 0]}, \"model\": {\"type\": \"BPE\", "
        "\"dropout\": null, \"unk_token\": null}}";
    thaw_json *json = NULL;
    assert_int_equal(thaw_json_parse(text, strlen(text), "text", &json), THAW_OK);
    thaw_json *added = thaw_json_set_array(json, "added_tokens");
    for (int i = 0; i < 5; i++)
        add_token(added, names[i], i, false, false, false);
    if (more) {
        const int64_t count = thaw_json_count(p->vocabulary);
        add_token(added, "[X]", count, true, false, false);
        add_token(added, "<Y>", count + 1, true, true, true);
    }
    thaw_json *model = thaw_json_child(json, "model");
    thaw_json_set_take(model, "vocab", thaw_json_copy(p->vocabulary));
    thaw_json_set_take(model, "merges", thaw_json_copy(p->merges));
    return json;
}

static void write_forms(const parts *p)
{
    static const char *const folders[] = {"plain", "prefixed"};
    for (int i = 0; i < 2; i++) {
        thaw_str path = {0};
        assert_int_equal(thaw_mkdirs(in_folder(folders[i])), THAW_OK);
        thaw_path_join(&path, in_folder(folders[i]), "vocab.json");
        assert_int_equal(thaw_json_write(thaw_str_c(&path), p->vocabulary), THAW_OK);
        thaw_path_join(&path, in_folder(folders[i]), "merges.txt");
        assert_int_equal(thaw_file_write(thaw_str_c(&path), p->lines.data, p->lines.length),
                         THAW_OK);
        thaw_str_clear(&path);
    }
    write_text("prefixed/tokenizer_config.json", "{\"add_prefix_space\": true}");
    for (int more = 0; more < 2; more++) {
        thaw_json *json = whole_json(p, more != 0);
        assert_int_equal(thaw_json_write(in_folder(more ? "added.json" : "tokenizer.json"), json),
                         THAW_OK);
        thaw_json_free(&json);
    }
}

static void test_as_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"plain/vocab.json", "prefixed/vocab.json", "added.json"};
    thaw_str golden = {0};
    parts p;
    thaw_tokenizer *forms[FORMS] = {0};
    thaw_tokenizer *same = NULL;
    int64_t count = 0;
    assert_int_equal(thaw_file_read(file, &golden), THAW_OK);
    read_parts(golden.data, &p);
    write_forms(&p);
    for (int i = 0; i < FORMS; i++)
        assert_int_equal(thaw_tokenizer_open(in_folder(names[i]), false, &forms[i]), THAW_OK);
    const char *whole = tokenizer_json != NULL ? tokenizer_json : in_folder("tokenizer.json");
    assert_int_equal(thaw_tokenizer_open(whole, false, &same), THAW_OK);
    assert_true(thaw_digest_equal(about(same).digest, about(forms[PLAIN]).digest));
    assert_string_equal(about(same).tokenizer, "bpe");
    assert_string_equal(about(forms[PREFIXED]).tokenizer, "bpe, first space");
    assert_int_equal(about(same).pad_id, 1);
    thaw_tokenizer_free(&forms[PLAIN]);
    forms[PLAIN] = same;
    for (char *line = golden.data; line != NULL && *line;) {
        char *end = strchr(line, '\n');
        if (thaw_starts_with(line, "case "))
            check_case(forms, line, ++count);
        line = end + (end != NULL);
    }
    print_message("%lld texts, %lld pieces\n", (long long)count,
                  (long long)about(forms[PLAIN]).pieces);
    assert_true(count > 50);
    for (int i = 0; i < FORMS; i++)
        thaw_tokenizer_free(&forms[i]);
    clear_parts(&p);
    thaw_str_clear(&golden);
}

static void refuse(const char *path, bool cased, const char *says)
{
    thaw_tokenizer *t = NULL;
    assert_int_equal(thaw_tokenizer_open(path, cased, &t), THAW_ERR_INPUT);
    if (strstr(thaw_error_last()->message, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", thaw_error_last()->message, says);
    assert_null(t);
}

static const struct {
    const char *key, *value, *says;
} not_built[] = {
    {"normalizer", "{\"type\": \"NFC\"}", "\"normalizer\" is NFC, which is not built"},
    {"pre_tokenizer", "{\"type\": \"Metaspace\"}",
     "\"pre_tokenizer.type\" is \"Metaspace\"; only \"ByteLevel\""},
    {"pre_tokenizer", "{\"type\": \"ByteLevel\", \"use_regex\": false}",
     "\"pre_tokenizer.use_regex\" is false"},
    {"pre_tokenizer", "null", "\"pre_tokenizer.type\": expected a string"},
    {"post_processor", "{\"type\": \"ByteLevel\"}", "\"post_processor.type\" is \"ByteLevel\""},
    {"post_processor", "{\"type\": \"RobertaProcessing\", \"cls\": [\"[CLS]\", 0]}",
     "\"post_processor.cls.0\" is \"[CLS]\""},
    {"post_processor",
     "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\", "
     "\"type_id\": 0}}], \"pair\": []}",
     "\"post_processor.single\" is A:0; only <s>:0 A:0 </s>:0 is built"},
    {"added_tokens",
     "[{\"id\": 0, \"content\": \"<s>\", \"single_word\": true, \"lstrip\": false, \"rstrip\": "
     "false, \"normalized\": false}]",
     "id 0 has single_word true"},
    {"added_tokens", "[{\"id\": 9999, \"content\": \"x\"}]", "\"x\" has the id 9999"},
    {"added_tokens", "[{\"id\": 1, \"content\": \"x\"}]",
     "\"<pad>\" and \"x\" have the same id, 1"},
    {"model.dropout", "0.1", "\"model.dropout\" is 0.1"},
    {"model.unk_token", "\"<unk>\"", "\"model.unk_token\" is \"<unk>\""},
    {"model.byte_fallback", "true", "\"model.byte_fallback\" is true"},
    {"model.ignore_merges", "true", "\"model.ignore_merges\" is true"},
    {"model.end_of_word_suffix", "\"</w>\"", "\"model.end_of_word_suffix\" is \"</w>\""},
    {"model.type", "\"Unigram\"", "\"model.type\" is \"Unigram\"; BPE and WordPiece are built"},
    {"model.merges", "[\"a\"]", "merge 0 is \"a\"; a merge is two pieces"},
    {"model.merges", "[[\"a\"]]", "merge 0: \"1\": expected a string"},
    {"model.merges", "[\"a zzz\"]", "merge 0 joins \"zzz\", which the vocabulary does not have"},
    {"model.merges", "[\"q z\"]", "merge 0 gives \"qz\", which the vocabulary does not have"},
    {"model.merges", "[\"h e\", \"h e\"]", "merge 1 joins \"h e\", as an earlier one does"},
    {"model.vocab", "{}", "the vocabulary is empty"},
    {"model.vocab", "{\"a\": 0, \"b\": 1.5}", "the id of \"b\""},
    {"model.vocab",
     "{\"<s>\": 0, \"<pad>\": 1, \"</s>\": 2, \"<unk>\": 3, \"<mask>\": 4, \"a\": 6}",
     "no piece has the id 5"},
    {"model.vocab",
     "{\"<s>\": 0, \"<pad>\": 1, \"</s>\": 2, \"<unk>\": 3, \"<mask>\": 4, \"a\": 5}",
     "which stands for the byte"},
    {"model.vocab", "{\"\": 5}", "id 5 is empty"},
};

/* Replaces a part of a good tokenizer.json. */
static void test_what_is_not_built(void **state)
{
    (void)state;
    thaw_str golden = {0};
    parts p;
    assert_int_equal(thaw_file_read(THAW_TESTS_DIR "/golden/bpe.txt", &golden), THAW_OK);
    read_parts(golden.data, &p);
    for (size_t i = 0; i < sizeof not_built / sizeof *not_built; i++) {
        thaw_json *json = whole_json(&p, false);
        thaw_json *value = NULL;
        assert_int_equal(
            thaw_json_parse(not_built[i].value, strlen(not_built[i].value), "value", &value),
            THAW_OK);
        const bool model = thaw_starts_with(not_built[i].key, "model.");
        thaw_json_set_take(model ? thaw_json_child(json, "model") : json,
                           not_built[i].key + (model ? strlen("model.") : 0), value);
        assert_int_equal(thaw_json_write(in_folder("bad.json"), json), THAW_OK);
        refuse(in_folder("bad.json"), false, not_built[i].says);
        thaw_json_free(&json);
    }
    write_forms(&p);
    refuse(in_folder("tokenizer.json"), true, "--cased is for WordPiece");
    clear_parts(&p);
    thaw_str_clear(&golden);
}

static void test_bad_files(void **state)
{
    (void)state;
    thaw_str golden = {0};
    parts p;
    assert_int_equal(thaw_file_read(THAW_TESTS_DIR "/golden/bpe.txt", &golden), THAW_OK);
    read_parts(golden.data, &p);
    write_forms(&p);
    write_text("plain/merges.txt", "#version: 0.2\nh e\nt  h\n");
    refuse(in_folder("plain/vocab.json"), false, "merges.txt: line 3 is \"t  h\"");
    write_text("plain/merges.txt", "h e\n\nh e\n");
    refuse(in_folder("plain/vocab.json"), false, "merges.txt: line 2 is \"\"");
    unlink(in_folder("plain/merges.txt"));
    refuse(in_folder("plain/vocab.json"), false, "merges.txt");
    assert_int_equal(mkfifo(in_folder("plain/merges.txt"), 0600), 0);
    refuse(in_folder("plain/vocab.json"), false, "is no regular file");
    assert_int_equal(mkfifo(in_folder("pipe.json"), 0600), 0);
    refuse(in_folder("pipe.json"), false, "is no regular file");
    assert_int_equal(mkfifo(in_folder("pipe.txt"), 0600), 0);
    refuse(in_folder("pipe.txt"), false, "is no regular file");
    refuse(in_folder(""), false, "is no regular file");
    write_text("other.json", "{\"a\": 0}");
    refuse(in_folder("other.json"), false, "a tokenizer.json is wanted, or a vocab.json");
    clear_parts(&p);
    thaw_str_clear(&golden);
}

/* A word of a million bytes, in which everything joins; a pair-wise search through it again and again would take hours. */
static void test_long_word(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20, T = 8 };
    thaw_tokenizer *t = NULL;
    thaw_str golden = {0};
    parts p;
    char *text = NULL;
    int32_t ids[T];
    thaw_tokens out = {.ids = ids};
    assert_int_equal(thaw_file_read(THAW_TESTS_DIR "/golden/bpe.txt", &golden), THAW_OK);
    read_parts(golden.data, &p);
    write_forms(&p);
    assert_int_equal(thaw_tokenizer_open(in_folder("tokenizer.json"), false, &t), THAW_OK);
    assert_int_equal(thaw_alloc(&text, BYTES + 1, 1), THAW_OK);
    for (int i = 0; i < BYTES; i++)
        text[i] = "the"[i % 3];
    const double before = thaw_seconds();
    assert_int_equal(thaw_tokenizer_encode(t, text, NULL, T, &out), THAW_OK);
    print_message("%d bytes of one word: %.2f s\n", (int)BYTES, thaw_seconds() - before);
    assert_int_equal(ids[0], 0);
    assert_int_equal(out.count, T);
    assert_true(out.cut > BYTES / 8 && out.cut < BYTES / 2);
    thaw_free(&text);
    thaw_tokenizer_free(&t);
    clear_parts(&p);
    thaw_str_clear(&golden);
}

/* WordPiece from a tokenizer.json is the one from a vocab.txt. */
static void test_wordpiece_json(void **state)
{
    (void)state;
    static const char text[] =
        "{\"added_tokens\": [{\"id\": 0, \"content\": \"[PAD]\"}], \"normalizer\": {\"type\": "
        "\"BertNormalizer\", \"clean_text\": true, \"handle_chinese_chars\": true, "
        "\"strip_accents\": null, \"lowercase\": %s}, \"pre_tokenizer\": {\"type\": "
        "\"BertPreTokenizer\"}, \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
        "[{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
        "\"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}], \"pair\": "
        "[{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
        "\"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}, {\"Sequence\": "
        "{\"id\": \"B\", \"type_id\": 1}}, {\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": "
        "1}}]}, \"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", "
        "\"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": %d, \"vocab\": "
        "{\"[PAD]\": 0, \"##b\": 5, \"[CLS]\": 2, \"[SEP]\": 3, \"[UNK]\": 1, \"a\": 4}}}";
    thaw_tokenizer *t = NULL;
    thaw_vocabulary lines;
    char json[2048];
    int32_t ids[8], types[8];
    thaw_tokens out = {.ids = ids, .types = types};
    write_text("words.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n");
    assert_true(thaw_format(json, sizeof json, text, "true", 100));
    write_text("words.json", json);
    assert_int_equal(thaw_vocabulary_read(in_folder("words.txt"), false, &lines), THAW_OK);
    assert_int_equal(thaw_tokenizer_open(in_folder("words.json"), false, &t), THAW_OK);
    assert_true(thaw_digest_equal(about(t).digest, lines.digest));
    assert_string_equal(about(t).tokenizer, "wordpiece");
    assert_int_equal(thaw_tokenizer_encode(t, "AB", "b", 8, &out), THAW_OK);
    assert_memory_equal(ids, ((int32_t[]){2, 4, 5, 3, 1, 3, 0, 0}), sizeof ids);
    assert_memory_equal(types, ((int32_t[]){0, 0, 0, 0, 1, 1, 0, 0}), sizeof types);
    thaw_tokenizer_free(&t);
    refuse(in_folder("words.json"), true, "lowers letters");
    assert_true(thaw_format(json, sizeof json, text, "false", 100));
    write_text("words.json", json);
    assert_int_equal(thaw_vocabulary_read(in_folder("words.json"), false, &lines), THAW_OK);
    assert_string_equal(lines.tokenizer, "wordpiece cased");
    assert_true(thaw_format(json, sizeof json, text, "true", 50));
    write_text("words.json", json);
    refuse(in_folder("words.json"), false, "max_input_chars_per_word\" is 50");
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_transformers), cmocka_unit_test(test_what_is_not_built),
        cmocka_unit_test(test_bad_files),       cmocka_unit_test(test_long_word),
        cmocka_unit_test(test_wordpiece_json),
    };
    if (count > 1)
        file = words[1];
    if (count > 2)
        tokenizer_json = words[2];
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
