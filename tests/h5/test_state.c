/* A whole state to a file and back. */
#define _GNU_SOURCE
#include "files_test.h"

#include "thaw/h5.h"

static float big[300][1000];
static const double doubles[3] = {1.5, -0.0, 1e300};
static const int32_t ints[2] = {-7, INT32_MIN};
static const uint8_t bytes[5] = {0, 255, 1, 0, 7};

static void fill(thaw_state *s)
{
    for (int i = 0; i < 300; i++)
        for (int k = 0; k < 1000; k++)
            big[i][k] = (float)(i * 1000 + k) * 0.1F;
    assert_ok(thaw_state_add(s, "layer1.0.conv1.weight", THAW_F32, thaw_shape2(300, 1000), big));
    assert_ok(
        thaw_state_add(s, "optim/momentum/fc.weight", THAW_F64, thaw_shape1(3), (void *)doubles));
    assert_ok(thaw_state_add(s, "optim/momentum.b", THAW_I32, thaw_shape2(1, 2), (void *)ints));
    assert_ok(thaw_state_add(s, "bytes", THAW_U8, thaw_shape1(5), (void *)bytes));
    assert_ok(thaw_state_add(s, "empty", THAW_F32, thaw_shape2(0, 3), NULL));
    assert_ok(thaw_state_add_int(s, "step", INT64_C(-5000000000)));
    assert_ok(thaw_state_add_double(s, "best", 0.1));
    assert_ok(thaw_state_add_text(s, "config", "train:\n  batch: 64\n"));
}

static void fill_attributes(thaw_state *a)
{
    assert_ok(thaw_state_add_text(a, "format", "thaw-checkpoint"));
    assert_ok(thaw_state_add_text(a, "nothing", ""));
    assert_ok(thaw_state_add_int(a, "version", 3));
    assert_ok(thaw_state_add_double(a, "rate", 1e-3));
    assert_ok(thaw_state_add(a, "mean", THAW_F64, thaw_shape1(3), (void *)doubles));
    assert_ok(thaw_state_add(a, "none", THAW_F64, thaw_shape1(0), NULL));
    /* Longer than the 64 KiB that an attribute itself may have. */
    static char text[100001];
    memset(text, 'x', sizeof text - 1);
    assert_ok(thaw_state_add_text(a, "long", text));
}

static void what_was_saved_comes_back(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_state s = {0}, a = {0}, s2 = {0}, a2 = {0};
    thaw_digest given, expected, found;
    fill(&s);
    fill_attributes(&a);
    thaw_h5_write what = {.state = &s, .attributes = &a};
    assert_ok(thaw_h5_save(in_folder("a.h5"), &what, &given));
    assert_false(thaw_path_exists(in_folder("a.h5.tmp")));
    assert_ok(thaw_state_digest(&s, &expected));
    assert_true(thaw_digest_equal(given, expected));
    assert_ok(thaw_h5_load(in_folder("a.h5"), NULL, &s2, &a2));
    assert_int_equal(s2.count, s.count);
    assert_ok(thaw_state_digest(&s2, &found));
    assert_true(thaw_digest_equal(found, expected));
    for (int64_t i = 1; i < s2.count; i++)
        assert_true(strcmp(s2.entries[i - 1].name, s2.entries[i].name) < 0);
    thaw_digest x, y;
    assert_ok(thaw_state_digest(&a, &x));
    assert_ok(thaw_state_digest(&a2, &y));
    assert_true(thaw_digest_equal(x, y));
    thaw_state_clear(&s);
    thaw_state_clear(&a);
    thaw_state_clear(&s2);
    thaw_state_clear(&a2);
    assert_int_equal(thaw_alloc_live(), live);
}

/* Rows of `big`, fewer than there are when it is told to. */
typedef struct giver {
    int64_t at_a_time, less;
} giver;

static thaw_status give(void *context, const thaw_entry *entry, thaw_take_rows *take, void *to)
{
    const giver *g = context;
    if (strcmp(entry->name, "empty") == 0)
        return THAW_OK;
    assert_string_equal(entry->name, "layer1.0.conv1.weight");
    for (int64_t row = 0; row < 300 - g->less; row += g->at_a_time)
        THAW_TRY(take(to, row + g->at_a_time < 300 ? g->at_a_time : 300 - row, big[row]));
    return THAW_OK;
}

/* A file does not show whether its values were in memory together or came by. (Its bytes may differ: HDF5 notes the second in which a group
 * was made.) */
static void values_may_come_in_pieces(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_state s = {0}, a = {0}, back = {0}, attributes = {0};
    thaw_digest expected, found, said, read;
    giver g = {.at_a_time = 7};
    const thaw_values values = {give, &g};
    const thaw_h5_write what = {.state = &s, .attributes = &a, .values = &values};
    fill(&s);
    fill_attributes(&a);
    assert_ok(thaw_state_digest(&s, &expected));
    s.entries[0].tensor.data = NULL;
    assert_ok(thaw_h5_save(in_folder("v.h5"), &what, &found));
    assert_true(thaw_digest_equal(found, expected));
    assert_ok(thaw_h5_load(in_folder("v.h5"), NULL, &back, &attributes));
    assert_ok(thaw_state_digest(&back, &found));
    assert_true(thaw_digest_equal(found, expected));
    assert_ok(thaw_state_digest(&a, &said));
    assert_ok(thaw_state_digest(&attributes, &read));
    assert_true(thaw_digest_equal(said, read));
    g.less = 100;
    assert_refused(thaw_h5_save(in_folder("v.h5"), &what, NULL), THAW_ERR_FAIL,
                   "only 203 of 300 rows");
    assert_false(thaw_path_exists(in_folder("v.h5.tmp")));
    thaw_state_clear(&attributes);
    thaw_state_clear(&back);
    thaw_state_clear(&s);
    thaw_state_clear(&a);
    assert_int_equal(thaw_alloc_live(), live);
}

/* 768 x 768 is the shape of most weights of BERT. */
static void files_waste_little(void **state)
{
    (void)state;
    thaw_state s = {0};
    thaw_str file = {0};
    void *data = NULL;
    assert_ok(thaw_state_add_new(&s, "query.weight", THAW_F32, thaw_shape2(768, 768), &data));
    assert_ok(thaw_h5_save(in_folder("chunks.h5"), &(thaw_h5_write){.state = &s}, NULL));
    read_bytes(in_folder("chunks.h5"), &file);
    assert_in_range(file.length, 768 * 768 * 4, 768 * 768 * 4 + 16384);
    thaw_str_clear(&file);
    thaw_state_clear(&s);
}

static void parts_can_be_read(void **state)
{
    (void)state;
    thaw_state s = {0}, part = {0}, shapes = {0}, a = {0};
    fill(&s);
    thaw_h5_write what = {.state = &s};
    assert_ok(thaw_h5_save(in_folder("b.h5"), &what, NULL));
    assert_ok(thaw_h5_load(in_folder("b.h5"), "optim/", &part, &a));
    assert_int_equal(part.count, 2);
    assert_int_equal(a.count, 0);
    assert_memory_equal(thaw_state_find(&part, "optim/momentum/fc.weight")->data, doubles,
                        sizeof doubles);
    assert_ok(thaw_h5_load_shapes(in_folder("b.h5"), NULL, &shapes, NULL));
    assert_int_equal(shapes.count, s.count);
    for (int64_t i = 0; i < s.count; i++) {
        const thaw_tensor *t = thaw_state_find(&shapes, s.entries[i].name);
        assert_true(t != NULL && t->data == NULL && t->dtype == s.entries[i].tensor.dtype);
        assert_true(thaw_shape_equal(&t->shape, &s.entries[i].tensor.shape));
    }
    thaw_state_clear(&part);
    thaw_state_clear(&shapes);
    thaw_state none = {0};
    assert_ok(thaw_h5_load(in_folder("b.h5"), "no such", &none, NULL));
    assert_int_equal(none.count, 0);
    thaw_state_clear(&s);
}

static void an_empty_state_is_a_file_too(void **state)
{
    (void)state;
    thaw_state s = {0}, back = {0};
    thaw_h5_write what = {.state = &s};
    assert_ok(thaw_h5_save(in_folder("e.h5"), &what, NULL));
    assert_ok(thaw_h5_load(in_folder("e.h5"), NULL, &back, NULL));
    assert_int_equal(back.count, 0);
}

static void names_that_are_no_paths_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "a/../b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        thaw_state s = {0};
        assert_ok(thaw_state_add_int(&s, bad[i], 1));
        thaw_h5_write what = {.state = &s};
        assert_refused(thaw_h5_save(in_folder("n.h5"), &what, NULL), THAW_ERR_FAIL,
                       "cannot be the name");
        assert_false(thaw_path_exists(in_folder("n.h5")) ||
                     thaw_path_exists(in_folder("n.h5.tmp")));
        thaw_state_clear(&s);
    }
    thaw_state s = {0}, a = {0};
    thaw_h5_write what = {.state = &s, .attributes = &a};
    assert_ok(thaw_state_add_int(&a, "digest", 1));
    assert_refused(thaw_h5_save(in_folder("n.h5"), &what, NULL), THAW_ERR_FAIL,
                   "'digest' is not free");
    thaw_state_clear(&a);
    assert_ok(thaw_state_add(&a, "text", THAW_U8, thaw_shape1(5), (void *)bytes));
    assert_refused(thaw_h5_save(in_folder("n.h5"), &what, NULL), THAW_ERR_FAIL, "zero byte");
    thaw_state_clear(&a);
}

static void saving_anew_replaces(void **state)
{
    (void)state;
    thaw_state s = {0}, back = {0};
    thaw_h5_write what = {.state = &s};
    assert_ok(thaw_state_add_int(&s, "x", 1));
    assert_ok(thaw_h5_save(in_folder("r.h5"), &what, NULL));
    assert_ok(thaw_state_add_int(&s, "y", 2));
    assert_ok(thaw_h5_save(in_folder("r.h5"), &what, NULL));
    assert_ok(thaw_h5_load(in_folder("r.h5"), NULL, &back, NULL));
    assert_int_equal(back.count, 2);
    thaw_state_clear(&s);
    thaw_state_clear(&back);
}

static void places_that_cannot_be_written_are_named(void **state)
{
    (void)state;
    thaw_state s = {0};
    thaw_h5_write what = {.state = &s};
    assert_refused(thaw_h5_save(in_folder("no/such/x.h5"), &what, NULL), THAW_ERR_RESOURCE,
                   "No such file");
    assert_refused(thaw_h5_save("/proc/x.h5", &what, NULL), THAW_ERR_RESOURCE,
                   "cannot create /proc/x.h5.tmp");
}

static thaw_status count_up(void *context, int64_t done, int64_t total)
{
    int64_t *calls = context;
    (*calls)++;
    assert_true(done == (*calls - 1) % 8 + 1 && total == 8);
    return *calls < 16 ? THAW_OK : THAW_FAIL(THAW_ERR_FAIL, "enough");
}

static void the_caller_sees_each_dataset(void **state)
{
    (void)state;
    thaw_state s = {0};
    fill(&s);
    int64_t calls = 0;
    thaw_h5_write what = {.state = &s, .each = count_up, .context = &calls};
    assert_ok(thaw_h5_save(in_folder("c.h5"), &what, NULL));
    assert_int_equal(calls, 8);
    /* Its error gives the file up; the one that was there stays. */
    thaw_h5_write again = {.state = &s, .each = count_up, .context = &calls};
    assert_refused(thaw_h5_save(in_folder("c.h5"), &again, NULL), THAW_ERR_FAIL, "enough");
    assert_true(thaw_path_exists(in_folder("c.h5")) && !thaw_path_exists(in_folder("c.h5.tmp")));
    thaw_state_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_comes_back),
        cmocka_unit_test(values_may_come_in_pieces),
        cmocka_unit_test(files_waste_little),
        cmocka_unit_test(parts_can_be_read),
        cmocka_unit_test(an_empty_state_is_a_file_too),
        cmocka_unit_test(names_that_are_no_paths_are_refused),
        cmocka_unit_test(saving_anew_replaces),
        cmocka_unit_test(places_that_cannot_be_written_are_named),
        cmocka_unit_test(the_caller_sees_each_dataset),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
