#include "thaw/tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void shapes_count_and_print(void **state)
{
    (void)state;
    char text[100];
    thaw_shape scalar = thaw_shape_make(0, NULL);
    thaw_shape image = thaw_shape4(64, 3, 7, 7);
    thaw_shape empty = thaw_shape2(0, 5);
    assert_int_equal(thaw_shape_count(&scalar), 1);
    assert_int_equal(thaw_shape_count(&image), 64 * 3 * 49);
    assert_int_equal(thaw_shape_count(&empty), 0);
    thaw_shape_format(&image, text, sizeof text);
    assert_string_equal(text, "(64, 3, 7, 7)");
    thaw_shape_format(&scalar, text, sizeof text);
    assert_string_equal(text, "()");
    thaw_shape_format(&image, text, 5);
    assert_string_equal(text, "(64,");
    thaw_shape row = thaw_shape1(64);
    assert_false(thaw_shape_equal(&row, &image));
    assert_false(thaw_shape_equal(&scalar, &image));
    assert_true(thaw_shape_equal(&image, &image));
    thaw_tensor t = {THAW_F64, image, NULL};
    assert_int_equal(thaw_tensor_bytes(&t), 64 * 3 * 49 * 8);
    assert_string_equal(thaw_dtype_name(THAW_F32), "float32");
}

static void values_that_are_not_finite_are_named(void **state)
{
    (void)state;
    float x[6] = {1, -0.0f, 3e38f, 1e-45f, 5, 6};
    double y[2] = {0, -INFINITY};
    int32_t bits[1] = {0x7f800000};
    const thaw_tensor good = {THAW_F32, thaw_shape2(2, 3), x};
    const thaw_tensor doubles = {THAW_F64, thaw_shape1(2), y};
    const thaw_tensor integers = {THAW_I32, thaw_shape1(1), bits};
    assert_int_equal(thaw_check_finite("w.h5", "conv", &good, THAW_ERR_INPUT), THAW_OK);
    assert_int_equal(thaw_check_finite("w.h5", "conv", &integers, THAW_ERR_INPUT), THAW_OK);
    x[4] = NAN;
    x[5] = INFINITY;
    assert_int_equal(thaw_check_finite("w.h5", "conv", &good, THAW_ERR_INPUT), THAW_ERR_INPUT);
    assert_non_null(strstr(thaw_error_last()->message, "w.h5: 'conv' has NaN at (1, 1)"));
    x[4] = 0;
    assert_int_equal(thaw_check_finite("w.h5", "conv", &good, THAW_ERR_FAIL), THAW_ERR_FAIL);
    assert_non_null(strstr(thaw_error_last()->message, "has infinity at (1, 2)"));
    assert_int_equal(thaw_check_finite("w.h5", "d", &doubles, THAW_ERR_INPUT), THAW_ERR_INPUT);
    assert_non_null(strstr(thaw_error_last()->message, "has -infinity at (1)"));
    thaw_error_clear();
}

static void entries_come_back(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_state s = {0};
    float weights[6] = {1, 2, 3, 4, 5, 6};
    void *made = NULL;
    assert_int_equal(thaw_state_add(&s, "w", THAW_F32, thaw_shape2(2, 3), weights), THAW_OK);
    assert_int_equal(thaw_state_add_new(&s, "m", THAW_F32, thaw_shape1(3), &made), THAW_OK);
    assert_int_equal(thaw_state_add_int(&s, "step", -7), THAW_OK);
    assert_int_equal(thaw_state_add_double(&s, "rate", 0.1), THAW_OK);
    assert_int_equal(thaw_state_add_text(&s, "config", "a: 1\n"), THAW_OK);
    assert_int_equal(thaw_state_add_text(&s, "nothing", ""), THAW_OK);
    assert_ptr_equal(thaw_state_find(&s, "w")->data, weights);
    assert_ptr_equal(thaw_state_find(&s, "m")->data, made);
    assert_null(thaw_state_find(&s, "x"));
    int64_t step;
    double rate;
    thaw_str text = {0};
    assert_int_equal(thaw_state_get_int(&s, "step", &step), THAW_OK);
    assert_int_equal(thaw_state_get_double(&s, "rate", &rate), THAW_OK);
    assert_int_equal(thaw_state_get_text(&s, "config", &text), THAW_OK);
    assert_int_equal(thaw_state_get_text(&s, "nothing", &text), THAW_OK);
    assert_int_equal(step, -7);
    assert_true(rate == 0.1);
    assert_string_equal(thaw_str_c(&text), "a: 1\n");
    assert_int_equal(thaw_state_get_int(&s, "rate", &step), THAW_ERR_INPUT);
    assert_non_null(strstr(thaw_error_last()->message, "'rate'"));
    assert_int_equal(thaw_state_get_text(&s, "absent", &text), THAW_ERR_INPUT);
    thaw_str_clear(&text);
    thaw_state_clear(&s);
    assert_int_equal(thaw_alloc_live(), live);
}

static void names_are_unique_and_shapes_possible(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_state s = {0};
    void *made = NULL;
    assert_int_equal(thaw_state_add_int(&s, "a", 1), THAW_OK);
    assert_int_equal(thaw_state_add_int(&s, "a", 2), THAW_ERR_FAIL);
    assert_int_equal(s.count, 1);
    int64_t huge = INT64_C(1) << 40;
    assert_int_equal(thaw_state_add_new(&s, "b", THAW_F32, thaw_shape2(huge, huge), &made),
                     THAW_ERR_FAIL);
    assert_int_equal(thaw_state_add_new(&s, "b", THAW_F32, thaw_shape1(-1), &made), THAW_ERR_FAIL);
    assert_int_equal(s.count, 1);
    for (int i = 0; i < 100; i++) {
        char name[20];
        thaw_format(name, sizeof name, "x%d", i);
        assert_int_equal(thaw_state_add_int(&s, name, i), THAW_OK);
    }
    int64_t value;
    assert_int_equal(thaw_state_get_int(&s, "x57", &value), THAW_OK);
    assert_int_equal(value, 57);
    thaw_state_clear(&s);
    assert_int_equal(thaw_alloc_live(), live);
}

static void fill(thaw_state *s, const char *const *names, int count, const float *values)
{
    for (int i = 0; i < count; i++) {
        void *data = NULL;
        assert_int_equal(thaw_state_add_new(s, names[i], THAW_F32, thaw_shape1(2), &data), THAW_OK);
        memcpy(data, values + 2 * i, 2 * sizeof *values);
    }
}

static thaw_digest digest_of(const thaw_state *s)
{
    thaw_digest digest;
    assert_int_equal(thaw_state_digest(s, &digest), THAW_OK);
    return digest;
}

static void digest_forgets_order_but_nothing_else(void **state)
{
    (void)state;
    static const char *const forth[] = {"a", "b", "c"};
    static const char *const back[] = {"c", "b", "a"};
    static const float values[] = {1, 2, 3, 4, 5, 6};
    static const float reversed[] = {5, 6, 3, 4, 1, 2};
    thaw_state x = {0};
    thaw_state y = {0};
    fill(&x, forth, 3, values);
    fill(&y, back, 3, reversed);
    assert_true(thaw_digest_equal(digest_of(&x), digest_of(&y)));

    thaw_tensor *b = thaw_state_find(&y, "b");
    ((float *)b->data)[1] = -4;
    assert_false(thaw_digest_equal(digest_of(&x), digest_of(&y)));
    ((float *)b->data)[1] = 4;
    b->shape = thaw_shape2(1, 2);
    assert_false(thaw_digest_equal(digest_of(&x), digest_of(&y)));
    b->shape = thaw_shape1(2);
    b->dtype = THAW_I32;
    assert_false(thaw_digest_equal(digest_of(&x), digest_of(&y)));
    b->dtype = THAW_F32;
    assert_true(thaw_digest_equal(digest_of(&x), digest_of(&y)));
    y.entries[1].name[0] = 'z';
    assert_false(thaw_digest_equal(digest_of(&x), digest_of(&y)));
    thaw_state_clear(&x);
    thaw_state_clear(&y);
    (void)digest_of(&x);
}

/* A digest is written into results, so it must not change between versions. */
static void digest_is_frozen(void **state)
{
    (void)state;
    static const char *const names[] = {"fc.weight", "fc.bias"};
    static const float values[] = {1, -2, 0.5f, 0};
    thaw_state s = {0};
    char hex[THAW_DIGEST_HEX];
    fill(&s, names, 2, values);
    thaw_digest_hex(digest_of(&s), hex);
    assert_string_equal(hex, "8031ab9e601375818fe7a731202e0433");
    thaw_state_clear(&s);
}

static void copy_is_all_or_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    static const float old[] = {0, 0, 0, 0, 0, 0};
    static const float values[] = {1, 2, 3, 4, 5, 6};
    thaw_state to = {0};
    thaw_state from = {0};
    fill(&to, names, 2, old);
    fill(&from, names, 3, values);
    thaw_digest before = digest_of(&to);

    thaw_state_find(&from, "b")->shape = thaw_shape2(2, 1);
    assert_int_equal(thaw_state_copy(&to, &from), THAW_ERR_INPUT);
    assert_string_equal(thaw_error_last()->message, "'b' is float32 (2, 1); expected float32 (2)");
    assert_true(thaw_digest_equal(before, digest_of(&to)));
    thaw_state_find(&from, "b")->shape = thaw_shape1(2);
    thaw_state_find(&from, "b")->dtype = THAW_I32;
    assert_int_equal(thaw_state_copy(&to, &from), THAW_ERR_INPUT);
    thaw_state_find(&from, "b")->dtype = THAW_F32;
    from.entries[1].name[0] = 'x';
    assert_int_equal(thaw_state_copy(&to, &from), THAW_ERR_INPUT);
    assert_string_equal(thaw_error_last()->message, "'b' is missing");
    assert_true(thaw_digest_equal(before, digest_of(&to)));

    from.entries[1].name[0] = 'b';
    assert_int_equal(thaw_state_copy(&to, &from), THAW_OK);
    assert_memory_equal(thaw_state_find(&to, "a")->data, values, 2 * sizeof *values);
    assert_memory_equal(thaw_state_find(&to, "b")->data, values + 2, 2 * sizeof *values);
    thaw_state_clear(&to);
    thaw_state_clear(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_count_and_print),
        cmocka_unit_test(values_that_are_not_finite_are_named),
        cmocka_unit_test(entries_come_back),
        cmocka_unit_test(names_are_unique_and_shapes_possible),
        cmocka_unit_test(digest_forgets_order_but_nothing_else),
        cmocka_unit_test(digest_is_frozen),
        cmocka_unit_test(copy_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
