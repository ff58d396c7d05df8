/* Choices of algorithms: text and back, refusals, and a cache file that may be damaged or impossible to write. */
#include "kern_test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kern/conv_plan_impl.h"

static thaw_conv_spec spec_of(int64_t C)
{
    thaw_conv_spec spec = {.shape = {2, C, 8, 8, C, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
                           .block_in = 1,
                           .block_out = 1,
                           .wanted = {true, true, true}};
    assert_true(thaw_conv2d_output(&spec.shape));
    return spec;
}

static void plan(const thaw_kern *k, int64_t C)
{
    thaw_conv_spec spec = spec_of(C);
    thaw_conv *conv = NULL;
    assert_int_equal(thaw_conv_new(k, &spec, &conv), THAW_OK);
    thaw_conv_free(&conv);
}

static void plan_frozen(const thaw_kern *k, int64_t C)
{
    thaw_conv_spec spec = spec_of(C);
    thaw_conv *conv = NULL;
    spec.wanted[THAW_CONV_BACKWARD_DATA] = spec.wanted[THAW_CONV_BACKWARD_WEIGHTS] = false;
    assert_int_equal(thaw_conv_new(k, &spec, &conv), THAW_OK);
    thaw_conv_free(&conv);
}

static void written(const thaw_kern *k, thaw_str *text)
{
    thaw_str_reset(text);
    assert_int_equal(thaw_kern_choices_write(k, text), THAW_OK);
}

static int lines_of(const thaw_str *text)
{
    int count = 0;
    for (size_t i = 0; i < text->length; i++)
        count += text->data[i] == '\n';
    return count;
}

static void test_text(void **state)
{
    (void)state;
    thaw_kern *k;
    thaw_kern *other;
    for (int i = 0; i < test_name_count(); i++) {
        (void)test_open(i, &k);
        (void)test_open(i, &other);
        if (k == NULL)
            continue;
        thaw_str first = {0};
        thaw_str second = {0};
        plan(k, 16);
        thaw_kern_choices_measure(k, true);
        plan(k, 8);
        plan_frozen(k, 8);
        written(k, &first);
        assert_int_equal(lines_of(&first), 1 + 3 + 3 + 1);
        /* Where weights train, the batch counts too. */
        assert_non_null(strstr(thaw_str_c(&first), "batch 2: "));
        assert_non_null(strstr(thaw_str_c(&first), k->cpu_kernels));
        assert_non_null(strstr(thaw_str_c(&first), "measured"));
        assert_non_null(strstr(thaw_str_c(&first), "rule"));
        assert_int_equal(thaw_kern_choices_read(other, "text", thaw_str_c(&first)), THAW_OK);
        written(other, &second);
        assert_string_equal(thaw_str_c(&first), thaw_str_c(&second));
        /* What is known is not chosen again. */
        plan(other, 16);
        plan(other, 8);
        written(other, &second);
        assert_string_equal(thaw_str_c(&first), thaw_str_c(&second));
        thaw_str_clear(&first);
        thaw_str_clear(&second);
        thaw_kern_close(&k);
        thaw_kern_close(&other);
    }
}

static void refuse(thaw_kern *k, const char *text, const char *words)
{
    thaw_str before = {0};
    thaw_str after = {0};
    written(k, &before);
    assert_int_equal(thaw_kern_choices_read(k, "a file", text), THAW_ERR_INPUT);
    assert_non_null(strstr(thaw_error_last()->message, words));
    thaw_error_clear();
    written(k, &after);
    assert_string_equal(thaw_str_c(&before), thaw_str_c(&after));
    thaw_str_clear(&before);
    thaw_str_clear(&after);
}

static void test_refusals(void **state)
{
    (void)state;
    thaw_kern *k = NULL;
    assert_int_equal(thaw_kern_open("native", &k), THAW_OK);
    thaw_str text = {0};
    written(k, &text);
    size_t head = text.length;
    plan(k, 16);
    refuse(k, "", "another CPU");
    refuse(k, "thaw choices 3: backend native, a PDP-11\n", "another CPU");
    written(k, &text);
    /* Cut off at any place: never taken by half. */
    char *copy = NULL;
    assert_int_equal(thaw_strdup(&copy, thaw_str_c(&text)), THAW_OK);
    for (size_t length = 0; length < text.length - 1; length += 7) {
        memcpy(copy, text.data, text.length);
        copy[length] = 0;
        if (length < head)
            refuse(k, copy, "another CPU");
        else if (length > head && copy[length - 1] != '\n')
            refuse(k, copy, "a file:");
    }
    thaw_free(&copy);
    thaw_str_add(&text, "forward C1\n");
    refuse(k, thaw_str_c(&text), "a file:5");
    thaw_str_clear(&text);
    thaw_kern_close(&k);
}

static void test_files(void **state)
{
    (void)state;
    thaw_kern *k = NULL;
    assert_int_equal(thaw_kern_open("native", &k), THAW_OK);
    char folder[] = "/tmp/thaw-choices-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_CACHE_HOME", folder, 1), 0);
    thaw_str path = {0};
    thaw_kern_choices_path(k, &path);
    assert_true(thaw_starts_with(thaw_str_c(&path), folder));
    thaw_kern_choices_load(k, thaw_str_c(&path)); /* not there: no choice, no word */
    assert_int_equal(k->choices->count, 0);
    plan(k, 16); /* by rule: not worth a file's line */
    thaw_kern_choices_measure(k, true);
    plan(k, 8);
    thaw_kern_choices_save(k, thaw_str_c(&path));
    thaw_kern *fresh = NULL;
    assert_int_equal(thaw_kern_open("native", &fresh), THAW_OK);
    thaw_kern_choices_load(fresh, thaw_str_c(&path));
    assert_int_equal(fresh->choices->count, 3);
    /* Damaged, then a folder in its place: said, and nothing taken. */
    assert_int_equal(thaw_file_write(thaw_str_c(&path), "thaw choi", 9), THAW_OK);
    thaw_kern_choices_load(fresh, thaw_str_c(&path));
    assert_int_equal(fresh->choices->count, 3);
    assert_int_equal(unlink(thaw_str_c(&path)), 0);
    assert_int_equal(mkdir(thaw_str_c(&path), 0777), 0);
    thaw_kern_choices_save(k, thaw_str_c(&path));
    thaw_kern_choices_load(fresh, thaw_str_c(&path));
    thaw_kern_choices_save(k, "/dev/full/choices.txt");
    assert_int_equal(thaw_error_last()->code, THAW_OK);
    assert_int_equal(setenv("XDG_CACHE_HOME", "", 1), 0);
    assert_int_equal(setenv("HOME", "", 1), 0);
    thaw_kern_choices_path(k, &path);
    assert_string_equal(thaw_str_c(&path), "");
    assert_int_equal(thaw_remove_tree(folder), THAW_OK);
    thaw_str_clear(&path);
    thaw_kern_close(&fresh);
    thaw_kern_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
