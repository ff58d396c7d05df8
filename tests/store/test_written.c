/* Files for other programs: safetensors byte by byte, HDF5 by reading it back. */
#define _GNU_SOURCE
#include "files_test.h"

#include "thaw/h5.h"
#include "thaw/store.h"

static float a[1][3] = {{.5F, -1, 2}}, b[2][1] = {{.25F}, {-.5F}};

/* Not in name order. */
static thaw_state example(void)
{
    thaw_state s = {0};
    assert_ok(
        thaw_state_add(&s, "base_model.model.fc.lora_B.weight", THAW_F32, thaw_shape2(2, 1), b));
    assert_ok(
        thaw_state_add(&s, "base_model.model.fc.lora_A.weight", THAW_F32, thaw_shape2(1, 3), a));
    return s;
}

static void test_bytes(void **unused)
{
    (void)unused;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"base_model.model.fc.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[1,3],"
        "\"data_offsets\":[0,12]},"
        "\"base_model.model.fc.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[2,1],"
        "\"data_offsets\":[12,20]}}";
    thaw_state s = example();
    thaw_str file = {0};
    const char *path = in_folder("adapter.safetensors");
    assert_ok(thaw_safetensors_write(path, &s, NULL));
    read_bytes(path, &file);
    assert_int_equal(file.length, 8 + 216 + 20);
    assert_memory_equal(file.data, "\xd8\0\0\0\0\0\0\0", 8);
    assert_memory_equal(file.data + 8, header, strlen(header));
    for (size_t i = strlen(header); i < 216; i++)
        assert_int_equal(file.data[8 + i], ' ');
    assert_memory_equal(file.data + 8 + 216, a, sizeof a);
    assert_memory_equal(file.data + 8 + 216 + sizeof a, b, sizeof b);
    thaw_str_clear(&file);
    thaw_state_clear(&s);
}

static void test_words(void **unused)
{
    (void)unused;
    char *items[] = {(char *)"classes", (char *)"a \"quoted\" name\nan umlaut \xc3\xa4"};
    const thaw_strings words = {items, 2};
    thaw_state s = example();
    thaw_state back = {0};
    thaw_state attributes = {0};
    thaw_str file = {0};
    const char *path = in_folder("words");
    assert_ok(thaw_safetensors_write(path, &s, &words));
    read_bytes(path, &file);
    assert_non_null(
        strstr(file.data + 8, "\"classes\":\"a \\\"quoted\\\" name\\nan umlaut \xc3\xa4\""));
    assert_ok(thaw_hdf5_write(path, &s, &words));
    assert_ok(thaw_h5_load(path, NULL, &back, &attributes));
    assert_int_equal(back.count, 2);
    assert_memory_equal(thaw_state_find(&back, s.entries[0].name)->data, b, sizeof b);
    thaw_str_reset(&file);
    assert_ok(thaw_state_get_text(&attributes, "classes", &file));
    assert_string_equal(thaw_str_c(&file), items[1]);
    thaw_str_clear(&file);
    thaw_state_clear(&attributes);
    thaw_state_clear(&back);
    thaw_state_clear(&s);
}

/* Refused or without room: what was there stays. */
static void test_refused(void **unused)
{
    (void)unused;
    double wide[1] = {0};
    thaw_state s = example();
    thaw_str file = {0};
    const char *path = in_folder("kept");
    assert_ok(thaw_file_write(path, "old", 3));
    assert_ok(thaw_state_add(&s, "wide", THAW_F64, thaw_shape1(1), wide));
    assert_int_equal(thaw_safetensors_write(path, &s, NULL), THAW_ERR_FAIL);
    assert_non_null(strstr(thaw_error_last()->message, "'wide' is float64"));
    assert_int_equal(thaw_safetensors_write(in_folder("no/such"), &s, NULL), THAW_ERR_FAIL);
    s.count--;
    thaw_free(&s.entries[s.count].name);
    assert_int_equal(thaw_safetensors_write(in_folder("no/such"), &s, NULL), THAW_ERR_RESOURCE);
    read_bytes(path, &file);
    assert_int_equal(file.length, 3);
    thaw_str_clear(&file);
    thaw_state_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
