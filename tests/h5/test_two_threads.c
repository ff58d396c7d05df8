/* Two threads at once: one saves states while the other reads rows of another file; neither sees the other, nor the other's errors. */
#define _GNU_SOURCE
#include "files_test.h"

#include <pthread.h>

#include "thaw/h5.h"

enum { ROWS = 500, WIDTH = 64, ROUNDS = 12 };

typedef struct worker {
    char path[512];
    thaw_status status;
    thaw_error error;
} worker;

static float value_of(int64_t row, int64_t column)
{
    return (float)(row * WIDTH + column);
}

static thaw_status save_states(const char *path)
{
    float *values = NULL;
    thaw_status status;
    THAW_TRY(thaw_alloc(&values, ROWS * WIDTH, sizeof *values));
    for (int round = 0; round < ROUNDS; round++) {
        thaw_state s = {0};
        for (int64_t i = 0; i < ROWS * WIDTH; i++)
            values[i] = (float)(round + i);
        THAW_TRY_TO(thaw_state_add(&s, "a/weight", THAW_F32, thaw_shape2(ROWS, WIDTH), values));
        THAW_TRY_TO(thaw_state_add(&s, "b", THAW_F32, thaw_shape1(WIDTH), values));
        const thaw_h5_write what = {.state = &s};
        THAW_TRY_TO(thaw_h5_save(path, &what, NULL));
        thaw_state_clear(&s);
    }
    /* Its error is its own. */
    status = thaw_h5_load("nowhere.h5", NULL, NULL, NULL);
done:
    thaw_free(&values);
    return status;
}

static void *save(void *context)
{
    worker *w = context;
    w->status = save_states(w->path);
    w->error = *thaw_error_last();
    return NULL;
}

static void make_rows(const char *path)
{
    float row[WIDTH];
    thaw_h5 *file = NULL;
    const thaw_shape shape = thaw_shape2(ROWS, WIDTH);
    assert_ok(thaw_h5_create(path, &file));
    assert_ok(thaw_h5_make(file, "x", THAW_F32, &shape, 7));
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t c = 0; c < WIDTH; c++)
            row[c] = value_of(r, c);
        assert_ok(thaw_h5_write_rows(file, "x", r, 1, THAW_F32, row));
    }
    assert_ok(thaw_h5_commit(&file));
}

static void one_saves_while_the_other_reads(void **state)
{
    (void)state;
    float row[WIDTH];
    worker w = {.status = THAW_OK};
    thaw_h5 *file = NULL;
    pthread_t thread;
    const char *rows = in_folder("rows.h5");
    snprintf(w.path, sizeof w.path, "%s", in_folder("state.h5"));
    make_rows(rows);
    assert_ok(thaw_h5_open(rows, &file));
    (void)THAW_FAIL(THAW_ERR_CONFIG, "mine");
    assert_int_equal(pthread_create(&thread, NULL, save, &w), 0);
    for (int64_t i = 0; i < 20 * ROWS; i++) {
        const int64_t r = i * 37 % ROWS;
        assert_ok(thaw_h5_read_rows(file, "x", r, 1, THAW_F32, row));
        for (int64_t c = 0; c < WIDTH; c++)
            assert_true(row[c] == value_of(r, c));
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    thaw_h5_close(&file);
    assert_int_equal(w.status, THAW_ERR_INPUT);
    assert_non_null(strstr(w.error.message, "nowhere.h5"));
    assert_string_equal(thaw_error_last()->message, "mine");
    thaw_state s = {0};
    assert_ok(thaw_h5_load(w.path, NULL, &s, NULL));
    assert_int_equal(s.count, 2);
    assert_true(((const float *)s.entries[1].tensor.data)[1] == ROUNDS);
    thaw_state_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_saves_while_the_other_reads)};
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
