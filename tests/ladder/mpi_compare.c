/* thaw-test: timeout=60 ranks=1,2 modules=kern,h5,graph,adapt,optim,ckpt
 * Two runs that lie on disk as training leaves them: samples are paired by id, causes are counted, and what a comparison cannot say it
 * says. */
#include "mpi_folder_test.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "ladder/ladder_impl.h"
#include "thaw/h5.h"

enum { N = 120, K = 2, MOST = 400 };

static const char *in(const char *name)
{
    static char paths[8][200];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

/* ---- The data: labels 0 and 1 in turn, ids from 1000, the slice `zeros` of class 0 alone -------------------------------- */

static int32_t label_of(int64_t i)
{
    return (int32_t)(i % K);
}

static thaw_status write_rows(thaw_h5 *file, const char *name, thaw_dtype dtype, int64_t rows,
                              const void *values)
{
    const thaw_shape shape = thaw_shape1(rows);
    THAW_TRY(thaw_h5_make(file, name, dtype, &shape, 0));
    return thaw_h5_write_rows(file, name, 0, rows, dtype, values);
}

static thaw_status write_dataset(thaw_h5 *file, int64_t rows)
{
    char *names[K] = {"ash", "birch"};
    const thaw_strings classes = {names, K};
    const thaw_shape flat = thaw_shape2(rows, 1);
    float x[MOST];
    int32_t y[MOST];
    int64_t id[MOST];
    uint8_t zeros[MOST];
    for (int64_t i = 0; i < rows; i++) {
        x[i] = (float)i;
        y[i] = label_of(i);
        id[i] = 1000 + i;
        zeros[i] = y[i] == 0;
    }
    THAW_TRY(thaw_h5_set_text(file, "/", "format", "thaw-dataset"));
    THAW_TRY(thaw_h5_set_int(file, "/", "version", 1));
    THAW_TRY(thaw_h5_set_text(file, "/", "task", "classification"));
    THAW_TRY(thaw_h5_set_strings(file, "/", "classes", &classes));
    THAW_TRY(thaw_h5_make(file, "val/x", THAW_F32, &flat, 0));
    THAW_TRY(thaw_h5_write_rows(file, "val/x", 0, rows, THAW_F32, x));
    THAW_TRY(write_rows(file, "val/y", THAW_I32, rows, y));
    THAW_TRY(write_rows(file, "val/id", THAW_I64, rows, id));
    return write_rows(file, "val/slices/zeros", THAW_U8, rows, zeros);
}

static void make_data(const char *name, int64_t rows)
{
    bool written = true;
    if (thaw_comm_rank(world) == 0) {
        thaw_h5 *file = NULL;
        written = thaw_h5_create(in(name), &file) == THAW_OK &&
                  write_dataset(file, rows) == THAW_OK && thaw_h5_commit(&file) == THAW_OK;
    }
    assert_all(written);
}

static void make_all(void)
{
    make_directory();
    make_data("d.h5", N);
    make_data("tiny.h5", 12);
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* What a run says of sample i. */
typedef int32_t answer(int64_t i);

static int32_t right(int64_t i)
{
    return label_of(i);
}

/* Wrong on every 5th, from the start of each ten. */
static int32_t good(int64_t i)
{
    return i % 5 == 0 ? 1 - label_of(i) : label_of(i);
}

/* As good, and on one more in ten not. */
static int32_t fair(int64_t i)
{
    return i % 10 == 3 ? 1 - label_of(i) : good(i);
}

static int32_t always(int64_t i)
{
    (void)i;
    return 1;
}

typedef struct made {
    const char *name, *data, *settings;
    answer *says;
    int64_t rows, first; /* samples, the first of which is `first` */
    bool backwards;      /* rows in the opposite order */
    bool twice;          /* the second row has the first one's id */
    bool no_ids;
} made;

typedef struct rows {
    int32_t labels[MOST], predicted[MOST];
    float outputs[MOST * K], loss[MOST], score[MOST];
    int64_t ids[MOST];
} rows;

static void fill(const made *m, rows *r, thaw_predictions *p)
{
    for (int64_t at = 0; at < m->rows; at++) {
        const int64_t i = m->first + (m->backwards ? m->rows - 1 - at : at);
        r->labels[at] = label_of(i);
        r->predicted[at] = m->says(i);
        r->ids[at] = 1000 + i;
        r->score[at] = r->labels[at] == r->predicted[at];
        r->loss[at] = r->score[at] > 0 ? 0.1f : 2;
        r->outputs[at * K + r->predicted[at]] = 0.9f;
        r->outputs[at * K + 1 - r->predicted[at]] = 0.1f;
    }
    if (m->twice)
        r->ids[1] = r->ids[0];
    *p = (thaw_predictions){.task = THAW_TASK_CLASSIFICATION,
                            .N = m->rows,
                            .K = K,
                            .labelled = true,
                            .labels = r->labels,
                            .predicted = r->predicted,
                            .outputs = r->outputs,
                            .loss = r->loss,
                            .score = r->score,
                            .ids = m->no_ids ? NULL : r->ids};
}

static bool write_texts(const made *m)
{
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_path_join(&path, in(m->name), "config.yaml");
    thaw_str_printf(&text,
                    "output: out\nrung: scratch\ndata: {file: %s, class_slices: false}\n"
                    "model: {arch: mlp, hidden: [4]}\n%s\n",
                    in(m->data), m->settings == NULL ? "" : m->settings);
    bool good_so_far =
        thaw_mkdirs(in(m->name)) == THAW_OK &&
        thaw_file_write(thaw_str_c(&path), thaw_str_c(&text), text.length) == THAW_OK;
    thaw_json *summary = thaw_json_new_object();
    thaw_json_set_string(summary, "rung", "scratch");
    thaw_json_set_double(summary, "core_seconds", 3600);
    thaw_str_reset(&path);
    thaw_path_join(&path, in(m->name), "summary.json");
    good_so_far = good_so_far && thaw_json_write(thaw_str_c(&path), summary) == THAW_OK;
    thaw_json_free(&summary);
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return good_so_far;
}

static void make_run(const made *m)
{
    static rows r;
    thaw_predictions p;
    fill(m, &r, &p);
    assert_all(thaw_comm_rank(world) != 0 || write_texts(m));
    assert_all(thaw_predictions_write(world, in(m->name), "val", &p) == THAW_OK);
}

static thaw_json *compare(const char *a, const char *b, const char *c)
{
    const char *const runs[] = {in(a), in(b), c == NULL ? NULL : in(c)};
    thaw_json *list = NULL;
    const thaw_status status =
        thaw_ladder_compare_runs(world, runs, c == NULL ? 2 : 3, NULL, &list);
    if (status != THAW_OK)
        fprintf(stderr, "%s\n", thaw_error_last()->message);
    assert_all(status == THAW_OK);
    return list;
}

static bool refuses(const char *a, const char *b, const char *words)
{
    const char *const runs[] = {in(a), in(b)};
    thaw_json *list = NULL;
    const thaw_status status = thaw_ladder_compare_runs(world, runs, 2, NULL, &list);
    thaw_json_free(&list);
    const bool as_wanted =
        status == THAW_ERR_INPUT && strstr(thaw_error_last()->message, words) != NULL;
    if (!as_wanted)
        fprintf(stderr, "wanted '%s', got: %s\n", words,
                status == THAW_OK ? "no error" : thaw_error_last()->message);
    return as_wanted;
}

static bool limits_have(const thaw_json *comparison, const char *words)
{
    const thaw_json *limits = thaw_json_find(comparison, "limits");
    for (const thaw_json *l = thaw_json_first(limits); l != NULL; l = thaw_json_next(l)) {
        if (strstr(thaw_json_string_or(l, "", ""), words) != NULL)
            return true;
    }
    return false;
}

static double number(const thaw_json *list, const char *path)
{
    return thaw_json_double_or(list, path, NAN);
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void test_pairs_by_id(void **state)
{
    (void)state;
    make_run(&(made){.name = "good", .data = "d.h5", .says = good, .rows = N});
    make_run(&(made){.name = "fair", .data = "d.h5", .says = fair, .rows = N});
    make_run(&(made){.name = "mirror", .data = "d.h5", .says = fair, .rows = N, .backwards = true});
    thaw_json *plain = compare("good", "fair", NULL);
    thaw_json *turned = compare("good", "mirror", NULL);
    thaw_json *against = compare("mirror", "good", NULL);
    assert_all(strcmp(thaw_json_string_or(plain, "0.paired_by", ""), "id") == 0);
    /* 12 of 120 that good has right and fair has not. */
    assert_all(thaw_json_int_or(plain, "0.mcnemar.0.a_only", -1) == 12);
    assert_all(thaw_json_int_or(plain, "0.mcnemar.0.b_only", -1) == 0);
    assert_all(fabs(number(plain, "0.mcnemar.0.p_exact") - ldexp(1, -11)) < 1e-15);
    assert_all(fabs(number(plain, "0.delta") + 0.1) < 1e-6);
    assert_all(strcmp(thaw_json_string_or(plain, "0.verdict", ""), "worse") == 0);
    /* 0 is good, so 3 of ten, label 1, are taken for 0. */
    assert_all(strcmp(thaw_json_string_or(plain, "0.confusion_changes.0.label", ""), "birch") == 0);
    assert_all(thaw_json_int_or(plain, "0.confusion_changes.0.after", 0) -
                   thaw_json_int_or(plain, "0.confusion_changes.0.before", 0) ==
               12);
    assert_all(fabs(number(plain, "0.loss.delta") - 0.19) < 1e-5);
    assert_all(number(turned, "0.delta") == number(plain, "0.delta") &&
               number(turned, "0.low") == number(plain, "0.low") &&
               number(turned, "0.slices.0.delta") == number(plain, "0.slices.0.delta"));
    /* Neither side was there first. */
    assert_all(number(against, "0.delta") == -number(plain, "0.delta") &&
               number(against, "0.p_adjusted") == number(plain, "0.p_adjusted"));
    assert_all(strcmp(thaw_json_string_or(against, "0.verdict", ""), "clear gain") == 0);
    assert_all(number(plain, "0.cost.0.ratio") == 1);
    thaw_json_free(&against);
    thaw_json_free(&turned);
    thaw_json_free(&plain);
}

static void test_causes(void **state)
{
    (void)state;
    make_run(&(made){.name = "seed",
                     .data = "d.h5",
                     .says = fair,
                     .rows = N,
                     .settings = "seed: 7\nlog_seconds: 3"});
    make_run(&(made){.name = "two",
                     .data = "d.h5",
                     .says = fair,
                     .rows = N,
                     .settings = "seed: 7\nrates: {head: 0.7}"});
    thaw_json *none = compare("good", "fair", NULL);
    thaw_json *one = compare("good", "seed", NULL);
    thaw_json *two = compare("good", "two", NULL);
    assert_all(thaw_json_count(thaw_json_find(none, "0.differences")) == 0);
    assert_all(strstr(thaw_json_string_or(none, "0.credit", ""), "No setting differs") != NULL);
    assert_all(thaw_json_count(thaw_json_find(one, "0.differences")) == 1);
    assert_all(thaw_json_bool_or(one, "0.one_cause", false));
    assert_all(strcmp(thaw_json_string_or(one, "0.differences.0.b", ""), "7") == 0);
    assert_all(thaw_json_count(thaw_json_find(two, "0.differences")) == 2);
    assert_all(!thaw_json_bool_or(two, "0.one_cause", true));
    assert_all(strstr(thaw_json_string_or(two, "0.credit", ""),
                      "2 settings differ (seed, rates.head): the difference cannot be credited") !=
               NULL);
    thaw_json_free(&two);
    thaw_json_free(&one);
    thaw_json_free(&none);
}

/* Three runs: the p of two comparisons, each Holm's. */
static void test_many(void **state)
{
    (void)state;
    make_run(&(made){.name = "right", .data = "d.h5", .says = right, .rows = N});
    thaw_json *many = compare("good", "fair", "right");
    thaw_json *alone = compare("good", "fair", NULL);
    const double p_fair = number(many, "0.p_two_sided");
    const double p_right = number(many, "1.p_two_sided");
    assert_all(thaw_json_count(many) == 2 && number(alone, "0.p_adjusted") == p_fair);
    const double least = fmin(1, 2 * fmin(p_fair, p_right));
    const double most = fmax(least, fmax(p_fair, p_right));
    assert_all(fabs(number(many, "0.p_adjusted") - (p_fair < p_right ? least : most)) < 1e-15);
    assert_all(fabs(number(many, "1.p_adjusted") - (p_fair < p_right ? most : least)) < 1e-15);
    assert_all(strcmp(thaw_json_string_or(many, "1.verdict", ""), "clear gain") == 0);
    thaw_json_free(&alone);
    thaw_json_free(&many);
}

static void test_refuses(void **state)
{
    (void)state;
    make_run(&(made){.name = "twice", .data = "d.h5", .says = good, .rows = N, .twice = true});
    make_run(&(made){.name = "shifted", .data = "d.h5", .says = good, .rows = N, .first = 2});
    make_run(&(made){.name = "fewer", .data = "d.h5", .says = good, .rows = N - 1});
    make_run(&(made){
        .name = "nameless", .data = "d.h5", .says = good, .rows = N, .first = 1, .no_ids = true});
    assert_all(refuses("good", "twice",
                       "the sample with id 1000 is there twice in 'val' (rows 0 "
                       "and 1)"));
    assert_all(refuses("twice", "good", "the sample with id 1000 is there twice"));
    assert_all(refuses("good", "shifted",
                       "are different splits: 118 ids are in both, and id 1000 "
                       "is in"));
    assert_all(refuses("good", "fewer", "119 ids are in both, and id 1119 is in"));
    assert_all(refuses("good", "nameless", "their labels differ"));
}

static void test_limits(void **state)
{
    (void)state;
    make_run(&(made){.name = "always", .data = "d.h5", .says = always, .rows = N});
    make_run(&(made){.name = "tiny-a", .data = "tiny.h5", .says = good, .rows = 12});
    make_run(&(made){.name = "tiny-b", .data = "tiny.h5", .says = fair, .rows = 12});
    make_run(&(made){.name = "plain-a", .data = "d.h5", .says = good, .rows = N, .no_ids = true});
    thaw_json *constant = compare("good", "always", NULL);
    thaw_json *same = compare("good", "good", NULL);
    thaw_json *tiny = compare("tiny-a", "tiny-b", NULL);
    thaw_json *places = compare("good", "plain-a", NULL);
    assert_all(
        limits_have(thaw_json_first(constant), "B predicts 'birch' for every one of 120 samples"));
    assert_all(limits_have(thaw_json_first(constant), "Slice 'zeros' holds only the class 'ash'"));
    assert_all(limits_have(thaw_json_first(constant), "One run a side"));
    assert_all(limits_have(thaw_json_first(same),
                           "score the same on every one of 120 samples, with outputs that are "
                           "equal bit for bit"));
    assert_all(number(same, "0.p_two_sided") == 1 && number(same, "0.detectable.difference") > 0);
    assert_all(limits_have(thaw_json_first(tiny), "'val' has 12 samples: too few for any verdict"));
    assert_all(limits_have(thaw_json_first(tiny), "with 80% power"));
    assert_all(strcmp(thaw_json_string_or(tiny, "0.verdict", ""), "inconclusive") == 0);
    assert_all(isnan(number(tiny, "0.slices.0.p_adjusted"))); /* six samples are in no family */
    assert_all(number(tiny, "0.detectable.difference") > 0.1);
    assert_all(thaw_json_int_or(tiny, "0.detectable.samples_for_wanted", 0) > 12);
    assert_all(limits_have(thaw_json_first(places), "no sample ids"));
    assert_all(strcmp(thaw_json_string_or(places, "0.paired_by", ""), "place") == 0);
    thaw_json_free(&places);
    thaw_json_free(&tiny);
    thaw_json_free(&same);
    thaw_json_free(&constant);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_by_id), cmocka_unit_test(test_causes),
        cmocka_unit_test(test_many), cmocka_unit_test(test_refuses), cmocka_unit_test(test_limits)};
    mpi_test_setup = make_all;
    mpi_test_teardown = remove_directory;
    return mpi_test_main(argc, argv, tests);
}
