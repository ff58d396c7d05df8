/* Tables of texts become tokens, classes, splits and slices; and what is refused. */
#include "data_test.h"

static const char vocabulary[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\ndog\nsat\nCat\n";

static void write_text(const char *name, const char *text)
{
    write_bytes(in_folder(name), text, strlen(text));
}

typedef struct option {
    const char *name, *value;
} option;

static thaw_status import_texts(const char *format, const char *tables, const option *more)
{
    thaw_import import;
    thaw_import_init(&import);
    assert_ok(thaw_import_set(&import, "format", format));
    assert_ok(thaw_import_set(&import, "texts", tables));
    assert_ok(thaw_import_set(&import, "output", in_folder("out.h5")));
    thaw_status status = THAW_OK;
    for (; more->name != NULL && status == THAW_OK; more++)
        status = thaw_import_set(&import, more->name, more->value);
    if (status == THAW_OK)
        status = thaw_import_run(&import);
    thaw_import_clear(&import);
    return status;
}

static thaw_dataset *open_output(void)
{
    thaw_dataset *ds = NULL;
    assert_ok(thaw_dataset_open(in_folder("out.h5"), NULL, &ds));
    return ds;
}

static void check_sample(const thaw_dataset *ds, const char *split, int64_t index,
                         const char *wanted)
{
    float x[64];
    thaw_str got = {0};
    assert_true(thaw_dataset_values(ds) <= 64);
    assert_ok(thaw_dataset_read(ds, thaw_dataset_split_find(ds, split), 1, &index, x));
    for (int64_t i = 0; i < thaw_dataset_values(ds); i++)
        thaw_str_printf(&got, "%s%g", i > 0 ? " " : "", (double)x[i]);
    assert_string_equal(thaw_str_c(&got), wanted);
    thaw_str_clear(&got);
}

/* Quotes, a newline in a field, columns by their usual names, slices and splits as the table says. */
static void test_a_table_with_everything(void **state)
{
    (void)state;
    write_text("vocab.txt", vocabulary);
    write_text("a.csv", "text,label,split,slices,cluster\n"
                        "\"The cats,\nsat\",animal,train,\"short;cats\",a\n"
                        "the DOG the dog the dog,\"an \"\"animal\"\"\",train,,b\n"
                        "\"\",animal,val,cats,a\n");
    const option more[] = {{"vocab", in_folder("vocab.txt")}, {"tokens", "6"}, {0}};
    assert_ok(import_texts("csv", in_folder("a.csv"), more));
    thaw_dataset *ds = open_output();
    assert_int_equal(thaw_dataset_dtype(ds), THAW_I32);
    assert_int_equal(thaw_dataset_classes(ds), 2);
    assert_string_equal(thaw_dataset_class_names(ds)[0], "an \"animal\"");
    assert_string_equal(thaw_dataset_class_names(ds)[1], "animal");
    const int64_t train = thaw_dataset_split_find(ds, "train");
    assert_int_equal(thaw_dataset_count(ds, train), 2);
    assert_int_equal(thaw_dataset_labels(ds, train)[0], 1);
    assert_int_equal(thaw_dataset_clusters(ds, train)[1], 1);
    assert_int_equal(thaw_dataset_slice_mask(ds, train, thaw_dataset_slice_find(ds, "cats"))[0], 1);
    assert_int_equal(thaw_dataset_slice_mask(ds, train, thaw_dataset_slice_find(ds, "cats"))[1], 0);
    check_sample(ds, "train", 0, "2 5 6 7 1 3"); /* the comma is [UNK]; sat is cut */
    check_sample(ds, "train", 1, "2 5 8 5 8 3");
    check_sample(ds, "val", 0, "2 3 0 0 0 0");
    assert_string_equal(thaw_dataset_text(ds)->tokenizer, "wordpiece");
    assert_int_equal(thaw_dataset_text(ds)->pieces, 11);
    bool recorded = false;
    assert_ok(thaw_dataset_verify(ds, &recorded));
    assert_true(recorded);
    thaw_dataset_free(&ds);
}

/* Two tables with tabs, pairs, named columns, case; splits drawn by source, classes chosen by name. */
static void test_pairs_and_drawn_splits(void **state)
{
    (void)state;
    write_text("vocab.txt", vocabulary);
    write_text("1.tsv", "q\ta\tkind\nthe Cat\tdog\tyes\ncat\tsat\tno\nsat\tsat\tmaybe\n");
    write_text("2.tsv", "kind\tq\ta\nno\tthe dog sat\tCat\nyes\tcat cat cat cat\tdog dog\n");
    thaw_str both = {0};
    thaw_str_printf(&both, "%s,%s", in_folder("1.tsv"), in_folder("2.tsv"));
    const option more[] = {{"vocab", in_folder("vocab.txt")},
                           {"tokens", "7"},
                           {"text", "q"},
                           {"text-pair", "a"},
                           {"label", "kind"},
                           {"cased", "yes"},
                           {"select", "yes,no"},
                           {"splits", "train=1@1,test=rest@2"},
                           {0}};
    assert_ok(import_texts("tsv", thaw_str_c(&both), more));
    thaw_dataset *ds = open_output();
    assert_int_equal(thaw_dataset_shape(ds).dim[0], 2);
    assert_int_equal(thaw_dataset_shape(ds).dim[1], 7);
    check_sample(ds, "train", 0, "2 5 10 3 8 3 0 0 0 0 0 1 1 0");
    check_sample(ds, "train", 1, "2 6 3 9 3 0 0 0 0 0 1 1 0 0");
    check_sample(ds, "test", 0, "2 5 8 9 3 10 3 0 0 0 0 0 1 1");
    check_sample(ds, "test", 1, "2 6 6 3 8 8 3 0 0 0 0 1 1 1");
    assert_int_equal(thaw_dataset_labels(ds, thaw_dataset_split_find(ds, "train"))[0], 0);
    assert_string_equal(thaw_dataset_text(ds)->tokenizer, "wordpiece cased");
    thaw_dataset_free(&ds);
    thaw_str_clear(&both);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *table;
        option more;
        thaw_status status;
        const char *says;
    } cases[] = {
        {"text,kind\nthe,a\n", {0}, THAW_ERR_INPUT, "label"},
        {"text,label\nthe,a\n", {"text", "body"}, THAW_ERR_INPUT, "body"},
        {"text,label\nthe,a\n", {"split", "part"}, THAW_ERR_INPUT, "part"},
        {"text,label\nthe,a\nthe,\n", {0}, THAW_ERR_INPUT, "a.csv:3: the label"},
        {"text,label\nthe,a\n\xff,a\n", {0}, THAW_ERR_INPUT, "a.csv:3"},
        {"text,label\n", {0}, THAW_ERR_INPUT, "no row after the names"},
        {"text,label\nthe\n", {0}, THAW_ERR_INPUT, "a.csv:2"},
        {"text,label\nthe,a\n", {"vocab", "/none"}, THAW_ERR_INPUT, "/none"},
        {"text,label\nthe,a\n", {"tokens", "2"}, THAW_ERR_USAGE, "at least 3"},
        {"text,label,b\nthe,a,b\n", {"text-pair", "b"}, THAW_ERR_USAGE, "at least 5"},
        {"text,label\nthe,a\n", {"size", "8"}, THAW_ERR_USAGE, "--size is for pictures"},
        {"text,label\nthe,a\n", {"fit", "squash"}, THAW_ERR_USAGE, "--fit is for pictures"},
        {"text,label\nthe,a\n", {"broken", "0.1"}, THAW_ERR_USAGE, "--broken is for pictures"},
        {"text,label\nthe,a\n", {"layout", "hwc"}, THAW_ERR_USAGE, "not for texts"},
        {"text,label\nthe,a\n", {"layout", "chw"}, THAW_ERR_USAGE, "not for texts"},
        {"text,label\nthe,a\n", {"broken", "0"}, THAW_ERR_USAGE, "--broken is for pictures"},
        {"text,label\n\xff,a\n", {"select", "b"}, THAW_ERR_USAGE, "have no class \"b\""},
        {"text,label\nthe,\"a\nb\"\n", {0}, THAW_ERR_INPUT, "a.csv:2: the label is not UTF-8"},
        {"text,label\nthe,a\xff\n", {0}, THAW_ERR_INPUT, "a.csv:2: the label is not UTF-8"},
        {"text,label,cluster\nthe,a,\x7f\n", {0}, THAW_ERR_INPUT, "a.csv:2: the cluster is not"},
        {"text,label\nthe,a\n", {"select", "a=b\tc"}, THAW_ERR_USAGE, "name of class 0 is not"},
        {"text,label\nthe,a\n", {"labels", "x"}, THAW_ERR_USAGE, "leave it out"},
    };
    write_text("vocab.txt", vocabulary);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("a.csv", cases[i].table);
        const option more[] = {{"vocab", in_folder("vocab.txt")},
                               {"tokens", "4"},
                               {"splits", "train=rest"},
                               cases[i].more,
                               {0}};
        const int64_t live = thaw_alloc_live();
        assert_int_equal(import_texts("csv", in_folder("a.csv"), more), cases[i].status);
        if (strstr(thaw_error_last()->message, cases[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", thaw_error_last()->message, cases[i].says);
        assert_int_equal(thaw_alloc_live(), live);
    }
    const option none[] = {{"splits", "train=rest"}, {0}};
    assert_int_equal(import_texts("csv", in_folder("a.csv"), none), THAW_ERR_USAGE);
    assert_non_null(strstr(thaw_error_last()->message, "--vocab"));
    const option other[] = {{"vocab", "x"}, {0}};
    assert_int_equal(import_texts("npy", in_folder("a.csv"), other), THAW_ERR_USAGE);
    assert_non_null(strstr(thaw_error_last()->message, "say --format csv or tsv"));
    const option tokens[] = {{"tokens", "64"}, {0}};
    assert_fails(import_texts("images", folder, tokens), THAW_ERR_USAGE, "--tokens is for texts");
    const option size[] = {{"size", "8"}, {0}};
    assert_fails(import_texts("npy", in_folder("a.csv"), size), THAW_ERR_USAGE,
                 "--size is for pictures");
}

/* Quotes that are text; by the rules of CSV the first row would go on to the end of the table. */
static void test_quotes_may_be_text(void **state)
{
    (void)state;
    write_text("vocab.txt", vocabulary);
    write_text("q.tsv", "text\tlabel\n\"the cat\ta\n\"cat\" dog\ta\n");
    option more[] = {{"vocab", in_folder("vocab.txt")},
                     {"tokens", "6"},
                     {"splits", "train=rest"},
                     {"quotes", "none"},
                     {0}};
    assert_ok(import_texts("tsv", in_folder("q.tsv"), more));
    thaw_dataset *ds = open_output();
    check_sample(ds, "train", 0, "2 1 5 6 3 0");
    check_sample(ds, "train", 1, "2 1 6 1 8 3");
    thaw_dataset_free(&ds);
    more[3].value = "csv";
    assert_fails(import_texts("tsv", in_folder("q.tsv"), more), THAW_ERR_INPUT,
                 "q.tsv:2: a quote is opened here and not closed on this line");
}

/* Clusters and splits of one table, and none of the other. */
static void test_tables_must_say_the_same(void **state)
{
    (void)state;
    thaw_str both = {0};
    write_text("vocab.txt", vocabulary);
    write_text("1.csv", "text,label,cluster,split\nthe,a,x,train\ncat,a,y,\n");
    write_text("2.csv", "text,label,split\nthe,a,train\n");
    write_text("3.csv", "text,label,cluster,split\nthe,a,x,\n");
    const option more[] = {{"vocab", in_folder("vocab.txt")}, {0}};
    thaw_str_printf(&both, "%s,%s", in_folder("1.csv"), in_folder("2.csv"));
    assert_fails(import_texts("csv", thaw_str_c(&both), more), THAW_ERR_INPUT,
                 "2.csv: names no clusters, but other sources do");
    thaw_str_reset(&both);
    thaw_str_printf(&both, "%s,%s", in_folder("1.csv"), in_folder("3.csv"));
    assert_fails(import_texts("csv", thaw_str_c(&both), more), THAW_ERR_INPUT,
                 "3.csv: names no splits, but other sources do");
    thaw_str_clear(&both);
}

/* Targets of all rows of the only split, in the file's order, and the names of the columns: "odd,even: 1 0 | 0 1 | ". */
static void check_targets(const char *table, const option *more, const char *wanted)
{
    option all[8] = {{"vocab", in_folder("vocab.txt")}, {"tokens", "4"}, {"splits", "all=rest"}};
    thaw_str got = {0};
    for (int i = 0; i < 4 && more[i].name; i++)
        all[3 + i] = more[i];
    write_text("t.csv", table);
    assert_ok(import_texts("csv", in_folder("t.csv"), all));
    thaw_dataset *ds = open_output();
    const int64_t K = thaw_dataset_classes(ds);
    for (int64_t k = 0; k < K; k++)
        thaw_str_printf(&got, "%s%s", k > 0 ? "," : "", thaw_dataset_class_names(ds)[k]);
    thaw_str_add(&got, ": ");
    for (int64_t n = 0; n < thaw_dataset_count(ds, 0); n++) {
        for (int64_t k = 0; k < K; k++)
            thaw_str_printf(&got, "%g ", (double)thaw_dataset_targets(ds, 0)[n * K + k]);
        thaw_str_add(&got, "| ");
    }
    assert_string_equal(thaw_str_c(&got), wanted);
    thaw_str_clear(&got);
    thaw_dataset_free(&ds);
}

static void test_several_labels_and_numbers(void **state)
{
    (void)state;
    write_text("vocab.txt", vocabulary);
    check_targets("text,label\nthe,rude;angry\ncat,\ndog,kind\nsat,angry\n",
                  (option[]){{"task", "multi_label"}, {0}},
                  "angry,kind,rude: 1 0 1 | 0 0 0 | 0 1 0 | 1 0 0 | ");
    check_targets("text,tags\nthe,b && a\ncat,a\ndog,b\n",
                  (option[]){{"task", "multi_label"},
                             {"label", "tags"},
                             {"separator", " && "},
                             {"names", "one,two"}},
                  "one,two: 1 1 | 1 0 | 0 1 | ");
    check_targets("text,rude,angry,x\nthe,1,0,7\ncat,0,1.0,8\n",
                  (option[]){{"task", "multi_label"}, {"label", "rude,angry"}, {0}},
                  "rude,angry: 1 0 | 0 1 | ");
    check_targets("text,label\nthe,-1.5\ncat,2e3\n", (option[]){{"task", "regression"}, {0}},
                  "label: -1.5 | 2000 | ");
    check_targets("text,a,b\nthe,1,4\ncat,2,3\n",
                  (option[]){{"task", "regression"}, {"label", "b,a"}, {"names", "B,A"}, {0}},
                  "B,A: 4 1 | 3 2 | ");
    /* A slice has the samples with one of its labels. */
    write_text("t.csv", "text,label\nthe,a;b\ncat,b\ndog,c\nsat,\n");
    const option sliced[] = {{"vocab", in_folder("vocab.txt")},
                             {"splits", "all=rest"},
                             {"task", "multi_label"},
                             {"slices", "s=a+c"},
                             {0}};
    assert_ok(import_texts("csv", in_folder("t.csv"), sliced));
    thaw_dataset *ds = open_output();
    assert_int_equal(thaw_dataset_slice_members(ds, 0, thaw_dataset_slice_find(ds, "s")), 2);
    thaw_dataset_free(&ds);
}

static void test_targets_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *table;
        option more[3];
        thaw_status status;
        const char *says;
    } cases[] = {
        {"text,a,b\nthe,1,2\n",
         {{"task", "multi_label"}, {"label", "a,b"}},
         THAW_ERR_INPUT,
         "t.csv:2: \"2\" in the column \"b\"; it must be 0 or 1"},
        {"text,label\nthe,a;;b\n",
         {{"task", "multi_label"}},
         THAW_ERR_INPUT,
         "t.csv:2: the label \"\" must have"},
        {"text,label\nthe,\n", {{"task", "multi_label"}}, THAW_ERR_INPUT, "names no label"},
        {"text,label\nthe,1\ncat,0\n",
         {{"task", "multi_label"}},
         THAW_ERR_INPUT,
         "has only 0 and 1"},
        {"text,label\nthe,a\ncat,a\n", {{"task", "multi_label"}}, THAW_ERR_INPUT, "\"a\""},
        {"text,a\nthe,1\ncat,\n",
         {{"task", "regression"}, {"label", "a"}},
         THAW_ERR_INPUT,
         "t.csv:3: \"\" in the column \"a\"; it must be a number"},
        {"text,label\nthe,a\n",
         {{"task", "regression"}},
         THAW_ERR_INPUT,
         "t.csv:2: \"a\" in the column \"label\"; it must be a number"},
        {"text,a\nthe,1e99\n",
         {{"task", "regression"}, {"label", "a"}},
         THAW_ERR_INPUT,
         "t.csv:2: \"1e99\""},
        {"text,a\nthe,1\n", {{"task", "regression"}, {"label", "a,b"}}, THAW_ERR_INPUT, "\"b\""},
        {"text,a,b\nthe,1,1\n", {{"label", "a,b"}}, THAW_ERR_USAGE, "a classification has one"},
        {"text,a\nthe,1\n",
         {{"task", "regression"}, {"separator", ";"}},
         THAW_ERR_USAGE,
         "--separator: is what stands between"},
        {"text,label\nthe,a;b\n",
         {{"task", "multi_label"}, {"names", "x"}},
         THAW_ERR_USAGE,
         "1 names for 2 labels"},
    };
    write_text("vocab.txt", vocabulary);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("t.csv", cases[i].table);
        const option more[] = {{"vocab", in_folder("vocab.txt")},
                               {"splits", "train=rest"},
                               cases[i].more[0],
                               cases[i].more[1],
                               {0}};
        const int64_t live = thaw_alloc_live();
        assert_fails(import_texts("csv", in_folder("t.csv"), more), cases[i].status, cases[i].says);
        assert_int_equal(thaw_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_table_with_everything),
        cmocka_unit_test(test_pairs_and_drawn_splits),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_quotes_may_be_text),
        cmocka_unit_test(test_tables_must_say_the_same),
        cmocka_unit_test(test_several_labels_and_numbers),
        cmocka_unit_test(test_targets_that_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
