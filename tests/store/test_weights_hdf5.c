/* Weights in HDF5, by us and by others. */
#define _GNU_SOURCE
#include "files_test.h"

#include "thaw/h5.h"
#include "thaw/store.h"

static void write_hdf5(const char *name, thaw_state *tensors)
{
    const thaw_strings words = {(char *[]){(char *)"arch", (char *)"resnet20"}, 2};
    assert_ok(thaw_hdf5_write(in_folder(name), tensors, &words));
    thaw_state_clear(tensors);
}

static void datasets_are_tensors(void **state)
{
    (void)state;
    float x[2][3] = {{1, 2, 3}, {4, 5, 6}};
    double y[3] = {0.1, -1e30, 3};
    float out[6];
    thaw_state s = {0};
    thaw_weights *w = NULL;
    assert_ok(thaw_state_add(&s, "layer1/0/bn.weight", THAW_F64, thaw_shape1(3), y));
    assert_ok(thaw_state_add(&s, "conv1.weight", THAW_F32, thaw_shape2(2, 3), x));
    assert_ok(thaw_state_add_int(&s, "count", 7));
    write_hdf5("w.h5", &s);
    assert_ok(thaw_weights_open(in_folder("w.h5"), &w));
    assert_int_equal(thaw_weights_count(w), 3);
    assert_string_equal(thaw_weights_word(w, "arch"), "resnet20");
    assert_null(thaw_weights_word(w, "pool"));
    assert_string_equal(thaw_weights_at(w, 0)->name, "conv1.weight");
    assert_string_equal(thaw_weights_at(w, 1)->name, "count");
    assert_string_equal(thaw_weights_at(w, 2)->name, "layer1.0.bn.weight");
    assert_string_equal(thaw_weights_at(w, 2)->type, "F64");
    assert_false(thaw_weights_at(w, 1)->readable || thaw_weights_in_parts(w, 0));
    assert_ok(thaw_weights_read(w, 0, out));
    assert_memory_equal(out, x, sizeof x);
    assert_ok(thaw_weights_read(w, 2, out));
    assert_true(out[0] == 0.1f && out[1] == -1e30f && out[2] == 3);
    assert_refused(thaw_weights_read(w, 1, out), THAW_ERR_INPUT,
                   "'count' has the type I64, which is no float");
    thaw_weights_close(&w);
}

static void refuse_to_open(const char *name, const char *why)
{
    thaw_weights *w = NULL;
    assert_refused(thaw_weights_open(in_folder(name), &w), THAW_ERR_INPUT, why);
    assert_null(w);
}

static void what_is_no_weights_is_named(void **state)
{
    (void)state;
    float x[3] = {1, 2, 3};
    double large[1] = {1e300};
    const thaw_shape shape = thaw_shape2(4, 4);
    thaw_state s = {0};
    thaw_weights *w = NULL;
    thaw_h5 *f = NULL;
    assert_ok(thaw_state_add(&s, "w", THAW_F64, thaw_shape1(1), large));
    write_hdf5("large.h5", &s);
    assert_ok(thaw_weights_open(in_folder("large.h5"), &w));
    assert_refused(thaw_weights_read(w, 0, x), THAW_ERR_INPUT,
                   "element 0 of 'w' is too large for float32");
    thaw_weights_close(&w);
    assert_ok(thaw_state_add(&s, "a/b", THAW_F32, thaw_shape1(3), x));
    assert_ok(thaw_state_add(&s, "a.b", THAW_F32, thaw_shape1(3), x));
    write_hdf5("twice.h5", &s);
    refuse_to_open("twice.h5", "two tensors are called 'a.b'");
    assert_ok(thaw_h5_create(in_folder("none.h5"), &f));
    assert_ok(thaw_h5_make(f, "w", THAW_F32, &shape, 1));
    assert_ok(thaw_h5_commit(&f));
    refuse_to_open("none.h5", "'w' has no values");
    assert_ok(thaw_h5_create(in_folder("data.h5"), &f));
    assert_ok(thaw_h5_set_text(f, "/", "format", "thaw-dataset"));
    assert_ok(thaw_h5_commit(&f));
    refuse_to_open("data.h5", "is a thaw-dataset file; weights are what");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datasets_are_tensors),
        cmocka_unit_test(what_is_no_weights_is_named),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
