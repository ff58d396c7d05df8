/* Dataset files of texts: int32 tokens, alone or with their types; what is refused in them. */
#include "data_test.h"

#include "thaw/h5.h"

enum { N = 4, T = 5 };

typedef struct text_file {
    int64_t planes, width;
    thaw_dtype dtype;
    bool mean;
    int32_t bad; /* the last value of plane 0, or 0 */
    int32_t bad_type;
    int64_t pieces;
} text_file;

static const char *write_file(const text_file *f)
{
    const char *path = in_folder("text.h5");
    char *classes[] = {(char *)"ham", (char *)"spam"};
    const thaw_strings names = {classes, 2};
    const thaw_shape shape = thaw_shape_make(4, (int64_t[]){N, f->planes, T, f->width});
    const thaw_shape rows = thaw_shape1(N);
    int32_t x[N * 2 * T * 2] = {0};
    const int32_t y[N] = {0, 1, 0, 1};
    thaw_h5 *file = NULL;
    for (int64_t i = 0; i < N; i++) {
        int32_t *sample = x + i * f->planes * T * f->width;
        for (int t = 0; t < T - 1; t++)
            sample[t] = (int32_t)(2 + i + t);
        if (f->planes == 2)
            sample[T + 2] = 1;
    }
    if (f->bad != 0)
        x[(N - 1) * f->planes * T * f->width + T - 1] = f->bad;
    if (f->bad_type != 0)
        x[2 * T - 1] = f->bad_type;
    assert_int_equal(thaw_h5_create(path, &file), THAW_OK);
    assert_int_equal(thaw_h5_set_text(file, "/", "format", "thaw-dataset"), THAW_OK);
    assert_int_equal(thaw_h5_set_int(file, "/", "version", 1), THAW_OK);
    assert_int_equal(thaw_h5_set_text(file, "/", "task", "classification"), THAW_OK);
    assert_int_equal(thaw_h5_set_text(file, "/", "tokenizer", "wordpiece"), THAW_OK);
    assert_int_equal(thaw_h5_set_text(file, "/", "vocabulary", "00"), THAW_OK);
    if (f->pieces != 0)
        assert_int_equal(thaw_h5_set_int(file, "/", "pieces", f->pieces), THAW_OK);
    if (f->mean) {
        assert_int_equal(thaw_h5_set_doubles(file, "/", "mean", (double[]){0}, 1), THAW_OK);
        assert_int_equal(thaw_h5_set_doubles(file, "/", "std", (double[]){1}, 1), THAW_OK);
    }
    assert_int_equal(thaw_h5_set_strings(file, "/", "classes", &names), THAW_OK);
    assert_int_equal(thaw_h5_make(file, "train/x", f->dtype, &shape, 0), THAW_OK);
    assert_int_equal(thaw_h5_write_rows(file, "train/x", 0, N, THAW_I32, x), THAW_OK);
    assert_int_equal(thaw_h5_make(file, "train/y", THAW_I32, &rows, 0), THAW_OK);
    assert_int_equal(thaw_h5_write_rows(file, "train/y", 0, N, THAW_I32, y), THAW_OK);
    assert_int_equal(thaw_h5_commit(&file), THAW_OK);
    return path;
}

/* From memory and by rows: ids as they are, whatever a caller calls them. */
static void test_tokens_are_read_as_they_are(void **state)
{
    (void)state;
    for (int64_t planes = 1; planes <= 2; planes++) {
        const text_file f = {.planes = planes, .width = 1, .dtype = THAW_I32, .pieces = 30};
        const char *path = write_file(&f);
        for (int rows = 0; rows < 2; rows++) {
            const thaw_dataset_options options = {.memory_limit_bytes = rows ? -1 : 0};
            const int64_t index[2] = {3, 1};
            float out[2 * 2 * T];
            thaw_dataset *ds = NULL;
            assert_int_equal(thaw_dataset_open(path, &options, &ds), THAW_OK);
            assert_int_equal(thaw_dataset_dtype(ds), THAW_I32);
            assert_int_equal(thaw_dataset_shape(ds).dim[1], T);
            const thaw_text_info *text = thaw_dataset_text(ds);
            assert_string_equal(text->tokenizer, "wordpiece");
            assert_int_equal(text->pieces, 30);
            assert_int_equal(thaw_dataset_read(ds, 0, 2, index, out), THAW_OK);
            assert_memory_equal(out, ((float[]){5, 6, 7, 8, 0}), T * sizeof *out);
            assert_true(out[planes * T] == 3.0f);
            if (planes == 2)
                assert_memory_equal(out + T, ((float[]){0, 0, 1, 0, 0}), T * sizeof *out);
            thaw_dataset_free(&ds);
        }
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        text_file file;
        const char *says;
    } cases[] = {
        {{.planes = 3, .width = 1, .dtype = THAW_I32}, "texts of T tokens are (N, 1, T, 1)"},
        {{.planes = 1, .width = 2, .dtype = THAW_I32}, "texts of T tokens are (N, 1, T, 1)"},
        {{.planes = 1, .width = 1, .dtype = THAW_I64}, "or int32 for the tokens of texts"},
        {{.planes = 1, .width = 1, .dtype = THAW_I32, .mean = true}, "are for pictures"},
        {{.planes = 1, .width = 1, .dtype = THAW_I32, .pieces = -1}, "\"pieces\" is -1"},
        {{.planes = 1, .width = 1, .dtype = THAW_I32, .pieces = (1 << 24) + 1},
         "\"pieces\" is 16777217; a vocabulary has 1 to 16777216"},
        {{.planes = 1, .width = 1, .dtype = THAW_I32, .pieces = 9, .bad = 9},
         "train/x: row 3 has an id that the vocabulary has not"},
        {{.planes = 1, .width = 1, .dtype = THAW_I32, .bad = -1}, "train/x: row 3 has an id"},
        {{.planes = 1, .width = 1, .dtype = THAW_I32, .bad = 1 << 24}, "train/x: row 3 has an id"},
        {{.planes = 2, .width = 1, .dtype = THAW_I32, .bad_type = 2}, "train/x: row 0 has an id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        thaw_dataset *ds = NULL;
        const char *path = write_file(&cases[i].file);
        assert_int_equal(thaw_dataset_open(path, NULL, &ds), THAW_ERR_INPUT);
        if (strstr(thaw_error_last()->message, cases[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", thaw_error_last()->message, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_are_read_as_they_are),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
