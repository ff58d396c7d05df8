/* The backbone file: whole and right, or refused with a reason. */
#define _GNU_SOURCE
#include "files_test.h"

#include <math.h>

#include "thaw/h5.h"
#include "thaw/store.h"

static float weight[8][3], bias[8], head[5][8];
static double mean[3] = {0.1, 0.2, 0.3}, std[3] = {1, 2, 3}, feature_mean[8], feature_variance[8];
static char *blocks[] = {"stem", "layer1.0", "layer1.1"}, *classes[] = {"Dress", "Coat"};

static thaw_backbone example(void)
{
    thaw_backbone b = {.arch = "resnet20",
                       .C = 3,
                       .H = 28,
                       .W = 30,
                       .mean = mean,
                       .std = std,
                       .blocks = {blocks, 3},
                       .classes = {classes, 2},
                       .origin = "trained here",
                       .D = 8,
                       .feature_mean = feature_mean,
                       .feature_variance = feature_variance,
                       .feature_samples = 100};
    weight[1][2] = 0.5F;
    head[4][7] = -1;
    feature_variance[3] = 2;
    assert_ok(thaw_state_add(&b.tensors, "conv1.weight", THAW_F32, thaw_shape2(8, 3), weight));
    assert_ok(thaw_state_add(&b.tensors, "conv1.bias", THAW_F32, thaw_shape1(8), bias));
    assert_ok(thaw_state_add(&b.head, "fc.weight", THAW_F32, thaw_shape2(5, 8), head));
    assert_ok(thaw_state_add_int(&b.spec, "model.width", 16));
    assert_ok(thaw_state_add_text(&b.spec, "model.arch", "resnet20"));
    return b;
}

static void drop(thaw_backbone *b)
{
    thaw_state_clear(&b->spec);
    thaw_state_clear(&b->tensors);
    thaw_state_clear(&b->head);
}

static void compare(const thaw_backbone *a, const thaw_backbone *b)
{
    assert_string_equal(a->arch, b->arch);
    assert_true(a->C == b->C && a->H == b->H && a->W == b->W && a->D == b->D);
    assert_int_equal(a->feature_samples, b->feature_samples);
    assert_memory_equal(a->mean, b->mean, 3 * sizeof *mean);
    assert_memory_equal(a->std, b->std, 3 * sizeof *std);
    assert_memory_equal(a->feature_mean, b->feature_mean, sizeof feature_mean);
    assert_memory_equal(a->feature_variance, b->feature_variance, sizeof feature_variance);
    assert_true(a->blocks.count == b->blocks.count && a->classes.count == b->classes.count);
    for (int64_t i = 0; i < a->blocks.count; i++)
        assert_string_equal(a->blocks.items[i], b->blocks.items[i]);
    assert_string_equal(a->classes.items[1], b->classes.items[1]);
    assert_string_equal(a->origin, b->origin);
    assert_null(b->license);
    assert_true(thaw_digest_equal(a->digest, b->digest));
    int64_t width = 0;
    assert_ok(thaw_state_get_int(&b->spec, "model.width", &width));
    assert_int_equal(width, 16);
}

static void what_was_written_comes_back(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_backbone b = example(), back;
    thaw_digest digest;
    assert_ok(thaw_backbone_write(in_folder("b.h5"), &b));
    assert_ok(thaw_state_digest(&b.tensors, &digest));
    assert_true(thaw_digest_equal(b.digest, digest));
    assert_ok(thaw_backbone_read(in_folder("b.h5"), &back));
    compare(&b, &back);
    assert_true(back.tensors.count == 2 && back.head.count == 1 && back.spec.count == 2);
    assert_memory_equal(thaw_state_find(&back.tensors, "conv1.weight")->data, weight,
                        sizeof weight);
    assert_memory_equal(thaw_state_find(&back.head, "fc.weight")->data, head, sizeof head);
    thaw_backbone_clear(&back);
    assert_ok(thaw_backbone_read_info(in_folder("b.h5"), &back));
    compare(&b, &back);
    assert_true(back.tensors.count == 2 && back.head.count == 1);
    assert_null(thaw_state_find(&back.tensors, "conv1.weight")->data);
    assert_int_equal(thaw_tensor_count(thaw_state_find(&back.tensors, "conv1.weight")), 24);
    thaw_backbone_clear(&back);
    drop(&b);
    assert_int_equal(thaw_alloc_live(), live);
}

static thaw_status give(void *context, const thaw_entry *entry, thaw_take_rows *take, void *to)
{
    const thaw_backbone *b = context;
    const thaw_tensor *t = thaw_state_find(&b->tensors, entry->name);
    t = t != NULL ? t : thaw_state_find(&b->head, entry->name);
    const int64_t rows = t->shape.dim[0];
    const size_t bytes = thaw_tensor_bytes(t) / (size_t)rows;
    assert_null(entry->tensor.data);
    for (int64_t row = 0; row < rows; row++)
        THAW_TRY(take(to, 1, (const char *)t->data + (size_t)row * bytes));
    return THAW_OK;
}

/* The file says the same, whether its weights were in memory together or came by. */
static void weights_may_come_by(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_backbone b = example(), back;
    thaw_backbone source = b;
    const thaw_values values = {give, &source};
    thaw_digest digest;
    b.values = &values;
    assert_ok(thaw_backbone_write(in_folder("pieces.h5"), &b));
    assert_ok(thaw_state_digest(&b.tensors, &digest));
    assert_true(thaw_digest_equal(b.digest, digest));
    assert_ok(thaw_backbone_read(in_folder("pieces.h5"), &back));
    compare(&b, &back);
    assert_memory_equal(thaw_state_find(&back.tensors, "conv1.weight")->data, weight,
                        sizeof weight);
    assert_memory_equal(thaw_state_find(&back.head, "fc.weight")->data, head, sizeof head);
    thaw_backbone_clear(&back);
    drop(&b);
    assert_int_equal(thaw_alloc_live(), live);
}

static void optional_parts_may_be_missing(void **state)
{
    (void)state;
    thaw_backbone b = example(), back;
    thaw_state_clear(&b.head);
    b.D = 0;
    b.feature_mean = b.feature_variance = NULL;
    b.feature_samples = 0;
    b.blocks.count = b.classes.count = 0;
    b.origin = NULL;
    b.license = "Apache-2.0";
    assert_ok(thaw_backbone_write(in_folder("o.h5"), &b));
    assert_ok(thaw_backbone_read(in_folder("o.h5"), &back));
    assert_true(back.head.count == 0 && back.D == 0 && back.feature_mean == NULL &&
                back.blocks.count == 0);
    assert_null(back.origin);
    assert_string_equal(back.license, "Apache-2.0");
    thaw_backbone_clear(&back);
    drop(&b);
}

static void unsound_ones_are_not_written(void **state)
{
    (void)state;
    double bad[3] = {1, 0, 1}, nan[8] = {NAN};
    thaw_backbone b = example(), c = b;
    c.arch = NULL;
    assert_refused(thaw_backbone_write(in_folder("u.h5"), &c), THAW_ERR_FAIL, "architecture");
    c = b;
    c.H = 0;
    assert_refused(thaw_backbone_write(in_folder("u.h5"), &c), THAW_ERR_FAIL, "3 x 0 x 30");
    c = b;
    c.std = bad;
    assert_refused(thaw_backbone_write(in_folder("u.h5"), &c), THAW_ERR_FAIL,
                   "channel 1 has mean 0.2 and std 0");
    c = b;
    c.feature_mean = nan;
    assert_refused(thaw_backbone_write(in_folder("u.h5"), &c), THAW_ERR_FAIL,
                   "feature 0 has mean nan");
    c = b;
    weight[2][1] = NAN;
    assert_refused(thaw_backbone_write(in_folder("u.h5"), &c), THAW_ERR_FAIL,
                   "'conv1.weight' has NaN at ");
    weight[2][1] = 0;
    c.tensors = (thaw_state){0};
    assert_refused(thaw_backbone_write(in_folder("u.h5"), &c), THAW_ERR_FAIL, "no weights");
    c = b;
    char *broken[] = {"a\nb"};
    c.classes = (thaw_strings){broken, 1};
    assert_refused(thaw_backbone_write(in_folder("u.h5"), &c), THAW_ERR_FAIL, "line break");
    assert_false(thaw_path_exists(in_folder("u.h5")));
    drop(&b);
}

/* A file like a backbone's, but with one thing changed. */
static void write_changed(const char *change)
{
    thaw_state s = {0}, a = {0};
    double numbers[3] = {1, 1, 1};
    float w[2] = {1, 2};
    thaw_digest digest = {0, 0};
    char hex[THAW_DIGEST_HEX];
    assert_ok(thaw_state_add(&s, "w", THAW_F32, thaw_shape1(2), w));
    assert_ok(thaw_state_digest(&s, &digest));
    thaw_state_clear(&s);
    if (strcmp(change, "digest") == 0)
        digest.low++;
    thaw_digest_hex(digest, hex);
    assert_ok(thaw_state_add_text(
        &a, "format", strcmp(change, "format") == 0 ? "thaw-dataset" : "thaw-backbone"));
    assert_ok(thaw_state_add_int(&a, "version", strcmp(change, "version") == 0 ? 2 : 1));
    assert_ok(thaw_state_add_text(&a, "arch", "mlp"));
    assert_ok(thaw_state_add_text(&a, "backbone_digest", hex));
    static const char *const ints[] = {"channels", "height", "width", "features",
                                       "feature_samples"};
    for (int i = 0; i < 5; i++)
        if (strcmp(change, ints[i]) != 0)
            assert_ok(thaw_state_add_int(&a, ints[i], i < 3 ? 3 : 0));
    if (strcmp(change, "mean") != 0)
        assert_ok(thaw_state_add(&s, "input/mean", THAW_F64, thaw_shape1(3), numbers));
    assert_ok(thaw_state_add(&s, "input/std", THAW_F64,
                             thaw_shape1(strcmp(change, "std") == 0 ? 2 : 3), numbers));
    if (strcmp(change, "weights") != 0)
        assert_ok(thaw_state_add(&s, "backbone/w", THAW_F32, thaw_shape1(2), w));
    thaw_h5_write what = {.state = &s, .attributes = &a};
    assert_ok(thaw_h5_save(in_folder("c.h5"), &what, NULL));
    thaw_state_clear(&s);
    thaw_state_clear(&a);
}

static void wrong_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"format", "is not a backbone file (its format is \"thaw-dataset\")"},
        {"version", "version 2"},
        {"mean", "'input/mean' is missing"},
        {"std", "'input/std' is not a vector of 3 float64"},
        {"weights", "no weights"},
        {"channels", "'channels'"},
        {"digest", "not those its description is about"},
    };
    int64_t live = thaw_alloc_live();
    thaw_backbone b;
    write_changed("nothing");
    assert_ok(thaw_backbone_read(in_folder("c.h5"), &b));
    thaw_backbone_clear(&b);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_changed(cases[i][0]);
        assert_refused(thaw_backbone_read(in_folder("c.h5"), &b), THAW_ERR_INPUT, cases[i][1]);
        assert_non_null(strstr(thaw_error_last()->message, in_folder("c.h5")));
        assert_true(b.arch == NULL && b.tensors.count == 0);
        if (strcmp(cases[i][0], "digest") != 0)
            assert_refused(thaw_backbone_read_info(in_folder("c.h5"), &b), THAW_ERR_INPUT,
                           cases[i][1]);
    }
    thaw_h5 *file = NULL;
    assert_ok(thaw_h5_create(in_folder("plain.h5"), &file));
    assert_ok(thaw_h5_commit(&file));
    assert_refused(thaw_backbone_read(in_folder("plain.h5"), &b), THAW_ERR_INPUT,
                   "without the attribute");
    assert_refused(thaw_backbone_read(in_folder("none.h5"), &b), THAW_ERR_INPUT, "No such file");
    assert_int_equal(thaw_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_comes_back),
        cmocka_unit_test(weights_may_come_by),
        cmocka_unit_test(optional_parts_may_be_missing),
        cmocka_unit_test(unsound_ones_are_not_written),
        cmocka_unit_test(wrong_files_are_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
