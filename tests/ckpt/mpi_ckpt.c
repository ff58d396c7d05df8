/* Saving and restoring together: same status and same content on every rank, whatever is wrong on the disk. */
#define _GNU_SOURCE
#include "mpi_test.h"

#include "files_test.h"

#include <sys/stat.h>

#include "thaw/ckpt.h"
#include "thaw/h5.h"

static float weight[20][30];

/* Differs from step to step; on ranks other than 0 it is nothing, since nobody looks at it there. */
static void fill(int64_t step, thaw_state *s, thaw_state *a)
{
    if (thaw_comm_rank(world) != 0)
        return;
    for (int i = 0; i < 600; i++)
        weight[i / 30][i % 30] = (float)(i + 1000 * step);
    assert_ok(thaw_state_add(s, "model/w", THAW_F32, thaw_shape2(20, 30), weight));
    assert_ok(thaw_state_add(s, "model/none", THAW_F32, thaw_shape1(0), NULL));
    assert_ok(thaw_state_add_int(s, "step", step));
    assert_ok(thaw_state_add_text(a, "config", "rung: frozen\n"));
}

static void save_step(const char *directory, int64_t step, int64_t keep, bool best)
{
    thaw_state s = {0}, a = {0};
    const thaw_ckpt_options options = {.keep = keep, .best = best};
    fill(step, &s, &a);
    thaw_status status = thaw_ckpt_save(world, directory, step, &s, &a, &options);
    if (status != THAW_OK)
        print_error("%s\n", thaw_error_last()->message);
    assert_all(status == THAW_OK);
    thaw_state_clear(&s);
    thaw_state_clear(&a);
}

/* The content of a step, on every rank. */
static bool holds(const char *path, int64_t step)
{
    thaw_state s = {0}, a = {0};
    thaw_str text = {0};
    int64_t found = -1;
    bool right = thaw_ckpt_read(world, path, &s, &a) == THAW_OK && s.count == 3 && a.count == 1 &&
                 thaw_state_get_int(&s, "step", &found) == THAW_OK && found == step &&
                 thaw_state_get_text(&a, "config", &text) == THAW_OK &&
                 strcmp(thaw_str_c(&text), "rung: frozen\n") == 0;
    const thaw_tensor *w = right ? thaw_state_find(&s, "model/w") : NULL;
    for (int i = 0; i < 600 && right; i++)
        right = ((const float *)w->data)[i] == (float)(i + 1000 * step);
    thaw_str_clear(&text);
    thaw_state_clear(&s);
    thaw_state_clear(&a);
    return right;
}

static bool latest_is(const char *directory, int64_t step)
{
    thaw_ckpt_found f;
    if (thaw_ckpt_latest(world, directory, &f) != THAW_OK)
        return false;
    return step < 0 ? !f.found : f.found && f.step == step && holds(f.path, step);
}

static bool there(const char *directory, int64_t step)
{
    char path[512];
    snprintf(path, sizeof path, "%s/step-%012lld.h5", directory, (long long)step);
    return thaw_path_exists(path);
}

static void the_newest_comes_back(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    const char *d = in_folder("newest");
    assert_all(latest_is(d, -1));
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    assert_all(latest_is(d, -1));
    save_step(d, 10, 2, false);
    assert_all(latest_is(d, 10));
    save_step(d, 20, 2, false);
    save_step(d, 30, 2, false);
    assert_all(latest_is(d, 30) && !there(d, 10) && there(d, 20));
    /* The same step again, as after a resume. */
    save_step(d, 30, 2, false);
    assert_all(latest_is(d, 30) && there(d, 20));
    /* A run that went back leaves no future behind. */
    save_step(d, 25, 2, false);
    assert_all(latest_is(d, 25) && !there(d, 30));
    assert_all(thaw_alloc_live() == live);
}

/* What is saved later is what was there when it was asked for, whatever happens to it meanwhile; without a writer it is saved at once. */
static void a_writer_saves_what_was_there(void **state)
{
    (void)state;
    const int64_t live = thaw_alloc_live();
    const char *d = in_folder("later");
    const thaw_ckpt_options options = {.keep = 2};
    thaw_ckpt_writer *writer = NULL;
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    for (int64_t step = 1; step <= 6; step++) {
        thaw_state s = {0}, a = {0};
        if (thaw_comm_rank(world) == 0 && step == 2)
            assert_ok(thaw_ckpt_writer_new(&writer));
        fill(step, &s, &a);
        assert_all(thaw_ckpt_save_later(writer, world, d, step, &s, &a, &options) == THAW_OK);
        assert_all(step > 1 || latest_is(d, 1));
        memset(weight, 0, sizeof weight);
        thaw_state_clear(&s);
        thaw_state_clear(&a);
    }
    assert_all(thaw_ckpt_settle(writer, world) == THAW_OK);
    assert_all(latest_is(d, 6) && there(d, 5) && !there(d, 4));
    assert_all((thaw_ckpt_longest(writer) > 0) == (thaw_comm_rank(world) == 0));
    thaw_ckpt_writer_free(&writer);
    assert_all(thaw_alloc_live() == live);
}

/* On every rank, at whichever of the three comes first, and once. */
static void a_writer_reports_what_failed(void **state)
{
    (void)state;
    const thaw_ckpt_options options = {.keep = 2};
    const char *d = in_folder("cannot");
    thaw_ckpt_writer *writer = NULL;
    if (thaw_comm_rank(world) == 0)
        assert_ok(thaw_ckpt_writer_new(&writer));
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    for (int how = 0; how < 3; how++) {
        thaw_state s = {0}, a = {0};
        thaw_status looked = THAW_OK;
        fill(7, &s, &a);
        assert_all(thaw_ckpt_save_later(writer, world, in_folder("no-such"), 7, &s, &a, &options) ==
                   THAW_OK);
        thaw_error_clear();
        if (how == 0) {
            assert_all(thaw_ckpt_settle(writer, world) == THAW_ERR_RESOURCE);
        } else if (how == 1) {
            assert_all(thaw_ckpt_save_later(writer, world, d, 8, &s, &a, &options) ==
                       THAW_ERR_RESOURCE);
        } else {
            while (thaw_comm_rank(world) == 0 && looked == THAW_OK)
                looked = thaw_ckpt_look(writer);
            assert_all(thaw_agree(world, looked) == THAW_ERR_RESOURCE);
        }
        assert_all(strstr(thaw_error_last()->message, "no-such") != NULL);
        assert_all(thaw_ckpt_look(writer) == THAW_OK);
        assert_all(thaw_ckpt_settle(writer, world) == THAW_OK);
        thaw_state_clear(&s);
        thaw_state_clear(&a);
    }
    assert_all(latest_is(d, -1));
    thaw_ckpt_writer_free(&writer);
}

static void the_best_is_kept(void **state)
{
    (void)state;
    thaw_ckpt_found f;
    const char *d = in_folder("best");
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    assert_all(thaw_ckpt_best(world, d, &f) == THAW_OK && !f.found);
    save_step(d, 1, 1, true);
    save_step(d, 2, 1, false);
    save_step(d, 3, 1, false);
    assert_all(there(d, 1) && !there(d, 2) && there(d, 3));
    assert_all(thaw_ckpt_best(world, d, &f) == THAW_OK && f.found && f.best && f.step == 1);
    assert_all(holds(f.path, 1) && latest_is(d, 3));
    save_step(d, 4, 1, true);
    assert_all(!there(d, 1) && !there(d, 3));
    save_step(d, 5, 1, false);
    assert_all(there(d, 4) && there(d, 5));
}

/* On rank 0: cuts a checkpoint off, or flips a bit in it. */
static void damage(const char *directory, int64_t step, bool cut)
{
    thaw_barrier(world);
    if (thaw_comm_rank(world) == 0) {
        char path[512];
        thaw_str bytes = {0};
        snprintf(path, sizeof path, "%s/step-%012lld.h5", directory, (long long)step);
        read_bytes(path, &bytes);
        bytes.data[bytes.length / 2] ^= 4;
        write_bytes(path, bytes.data, cut ? bytes.length / 2 : bytes.length);
        thaw_str_clear(&bytes);
    }
    thaw_barrier(world);
}

static void damaged_ones_are_passed_over(void **state)
{
    (void)state;
    const char *d = in_folder("damaged");
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    for (int64_t step = 1; step <= 4; step++)
        save_step(d, step, 9, step == 4);
    damage(d, 4, true);
    assert_all(latest_is(d, 3));
    damage(d, 3, false);
    assert_all(latest_is(d, 2));
    thaw_ckpt_found f;
    assert_all(thaw_ckpt_best(world, d, &f) == THAW_OK && !f.found);
    /* Without the manifest each file proves itself by its own digests. */
    if (thaw_comm_rank(world) == 0)
        unlink(in_folder("damaged/manifest.txt"));
    thaw_barrier(world);
    assert_all(latest_is(d, 2));
    if (thaw_comm_rank(world) == 0)
        write_bytes(in_folder("damaged/manifest.txt"), "step=2 by\0\n\xff=best\nstep=1", 24);
    thaw_barrier(world);
    assert_all(latest_is(d, 2));
    damage(d, 2, true);
    damage(d, 1, false);
    assert_all(latest_is(d, -1));
    save_step(d, 7, 1, false);
    assert_all(latest_is(d, 7) && !there(d, 1) && !there(d, 4));
}

static void a_damaged_file_is_refused_by_all(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    const char *d = in_folder("refused");
    thaw_state s = {0}, a = {0};
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    save_step(d, 1, 9, false);
    damage(d, 1, true);
    thaw_status status = thaw_ckpt_read(world, in_folder("refused/step-000000000001.h5"), &s, &a);
    assert_all(status == THAW_ERR_INPUT && s.count == 0 && a.count == 0);
    assert_all(strstr(thaw_error_last()->message, "step-000000000001.h5") != NULL);
    status = thaw_ckpt_read(world, in_folder("refused/none.h5"), &s, NULL);
    assert_all(status == THAW_ERR_INPUT &&
               strstr(thaw_error_last()->message, "No such file") != NULL);
    assert_all(thaw_alloc_live() == live);
}

static void leftovers_of_a_killed_run_go(void **state)
{
    (void)state;
    const char *d = in_folder("leftovers");
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    if (thaw_comm_rank(world) == 0) {
        write_bytes(in_folder("leftovers/step-000000000009.h5.tmp"), "half", 4);
        write_bytes(in_folder("leftovers/notes.txt"), "mine", 4);
        write_bytes(in_folder("leftovers/step-9.h5"), "mine", 4);
    }
    thaw_barrier(world);
    assert_all(thaw_ckpt_prepare(world, d) == THAW_OK);
    assert_all(!thaw_path_exists(in_folder("leftovers/step-000000000009.h5.tmp")));
    assert_all(thaw_path_exists(in_folder("leftovers/notes.txt")));
    assert_all(latest_is(d, -1));
}

static void places_that_cannot_be_written_fail_early(void **state)
{
    (void)state;
    if (thaw_comm_rank(world) == 0)
        write_bytes(in_folder("file"), "x", 1);
    thaw_barrier(world);
    assert_all(thaw_ckpt_prepare(world, in_folder("file/checkpoints")) == THAW_ERR_RESOURCE);
    assert_all(thaw_ckpt_prepare(world, "/proc") == THAW_ERR_RESOURCE);
    assert_all(strstr(thaw_error_last()->message, "/proc") != NULL);
    const thaw_ckpt_options options = {.keep = 1};
    thaw_state s = {0};
    assert_all(thaw_ckpt_save(world, in_folder("nowhere"), 1, &s, NULL, &options) ==
               THAW_ERR_RESOURCE);
}

static void named_files_use_the_same_writer(void **state)
{
    (void)state;
    thaw_state s = {0}, a = {0};
    thaw_digest expected = {0}, digest;
    fill(3, &s, &a);
    if (thaw_comm_rank(world) == 0)
        assert_ok(thaw_state_digest(&s, &expected));
    thaw_bcast(world, 0, &expected, sizeof expected);
    thaw_status status = thaw_ckpt_write(world, in_folder("adaptation.h5"), &s, &a, NULL, &digest);
    assert_all(status == THAW_OK && thaw_digest_equal(digest, expected));
    assert_all(holds(in_folder("adaptation.h5"), 3));
    assert_all(thaw_ckpt_write(world, "/proc/adaptation.h5", &s, &a, NULL, NULL) ==
               THAW_ERR_RESOURCE);
    thaw_state_clear(&s);
    thaw_state_clear(&a);
}

#define EACH 6 /* values of a row that each rank has */

/* Entry "b" is that of rank 0 but for its last row; of "d", which lies behind it, every rank has a run of its own. */
static void part(void *context, const thaw_entry *entry, int rank, int64_t *begin, int64_t *end,
                 void **data)
{
    const int ranks = thaw_comm_size(world);
    const int64_t n = (int64_t)EACH * ranks;
    *begin = entry->name[0] == 'd' ? EACH * rank : rank == 0 ? 0 : n - 1;
    *end = entry->name[0] == 'd' ? EACH * (rank + 1) : rank == ranks - 1 ? n : n - 1;
    *data = (float *)context + (entry->name[0] == 'd' ? n : 0) + *begin;
}

/* What ranks have in parts is fetched between entries that rank 0 has, also when the writing fails before it or midway. */
static void parts_are_fetched_one_by_one(void **state)
{
    (void)state;
    const int64_t n = (int64_t)EACH * thaw_comm_size(world);
    float values[2 * EACH * 16];
    float own[2] = {7, 8};
    thaw_state s = {0}, back = {0};
    for (int64_t i = 0; i < 2 * n; i++)
        values[i] = (float)i / 4;
    const thaw_ckpt_parts parts = {.part = part, .context = values};
    assert_ok(thaw_state_add(&s, "d", THAW_F32, thaw_shape2(thaw_comm_size(world), EACH), NULL));
    assert_ok(thaw_state_add(&s, "c", THAW_F32, thaw_shape1(2), own));
    assert_ok(thaw_state_add(&s, "b", THAW_F32, thaw_shape1(n), NULL));
    assert_all(thaw_ckpt_write(world, "/proc/parts.h5", &s, NULL, &parts, NULL) ==
               THAW_ERR_RESOURCE);
    assert_ok(thaw_ckpt_write(world, in_folder("parts.h5"), &s, NULL, &parts, NULL));
    assert_ok(thaw_ckpt_read(world, in_folder("parts.h5"), &back, NULL));
    const size_t bytes = (size_t)n * sizeof *values;
    assert_all(memcmp(thaw_state_find(&back, "d")->data, values + n, bytes) == 0);
    assert_all(memcmp(thaw_state_find(&back, "b")->data, values, bytes) == 0);
    assert_all(memcmp(thaw_state_find(&back, "c")->data, own, sizeof own) == 0);
    /* Nothing can be put below a tensor: the writing fails when "b" was fetched and "d" was not. */
    assert_ok(thaw_state_add(&s, "c/x", THAW_F32, thaw_shape1(2), own));
    assert_all(thaw_ckpt_write(world, in_folder("more.h5"), &s, NULL, &parts, NULL) != THAW_OK);
    thaw_state_clear(&back);
    thaw_state_clear(&s);
}

/* The large one, which nobody asks for, is in no rank's memory, and its damage is nobody's error. */
static void named_datasets_alone_are_read(void **state)
{
    (void)state;
    enum { LARGE = 1 << 16 };
    static float large[LARGE];
    static const char *const names[] = {"a", "absent", "z", NULL};
    static const char *const damaged[] = {"large", NULL};
    const char *file = in_folder("named.h5");
    float a[2] = {1, 2};
    thaw_state s = {0}, attributes = {0}, back = {0}, its = {0};
    for (int i = 0; i < LARGE; i++)
        large[i] = 1.5f;
    assert_ok(thaw_state_add(&s, "a", THAW_F32, thaw_shape1(2), a));
    assert_ok(thaw_state_add(&s, "large", THAW_F32, thaw_shape1(LARGE), large));
    assert_ok(thaw_state_add_text(&s, "z", "last"));
    assert_ok(thaw_state_add_text(&attributes, "kind", "test"));
    assert_ok(thaw_ckpt_write(world, file, &s, &attributes, NULL, NULL));
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(world) == 0) { /* its middle is in the large one */
        thaw_str bytes = {0};
        status = thaw_file_read(in_folder("named.h5"), &bytes);
        if (status == THAW_OK) {
            bytes.data[bytes.length / 2] ^= 1;
            status = thaw_file_write(in_folder("named.h5"), bytes.data, bytes.length);
        }
        thaw_str_clear(&bytes);
    }
    assert_ok(thaw_agree(world, status));
    const int64_t live = thaw_alloc_live();
    assert_ok(thaw_ckpt_read_named(world, in_folder("named.h5"), names, &back, &its));
    assert_all(thaw_alloc_live() - live < LARGE);
    const thaw_tensor *found = thaw_state_find(&back, "a");
    assert_all(back.count == 2 && its.count == 1 && found != NULL &&
               ((const float *)found->data)[1] == 2 && thaw_state_find(&back, "z") != NULL);
    thaw_state_clear(&its);
    thaw_state_clear(&back);
    assert_all(thaw_ckpt_read_named(world, in_folder("named.h5"), damaged, &back, NULL) ==
               THAW_ERR_INPUT);
    assert_all(strstr(thaw_error_last()->message, "named.h5: the data of 'large' are damaged") !=
               NULL);
    assert_all(back.count == 0);
    thaw_state_clear(&attributes);
    thaw_state_clear(&s);
}

/* What a rank has no part of stays as it was: nobody gets more than its own. */
static void each_rank_restores_its_own(void **state)
{
    (void)state;
    const int rank = thaw_comm_rank(world);
    const int ranks = thaw_comm_size(world);
    const int64_t n = (int64_t)EACH * ranks;
    float values[2 * EACH * 16];
    float own[2] = {7, 8};
    const thaw_ckpt_parts parts = {.part = part, .context = values};
    const char *file = in_folder("restored.h5");
    thaw_state s = {0}, more = {0}, other = {0};
    for (int64_t i = 0; i < 2 * n; i++)
        values[i] = (float)i / 4 + 1;
    assert_ok(thaw_state_add(&s, "d", THAW_F32, thaw_shape2(ranks, EACH), NULL));
    assert_ok(thaw_state_add(&s, "none", THAW_F32, thaw_shape1(0), NULL));
    assert_ok(thaw_state_add(&s, "c", THAW_F32, thaw_shape1(2), own));
    assert_ok(thaw_state_add(&s, "b", THAW_F32, thaw_shape1(n), NULL));
    assert_ok(thaw_ckpt_write(world, file, &s, NULL, &parts, NULL));
    memset(values, 0, sizeof values);
    own[0] = own[1] = 0;
    const int64_t live = thaw_alloc_live();
    assert_ok(thaw_ckpt_restore(world, in_folder("restored.h5"), &s, &parts));
    bool right = own[0] == 7 && own[1] == 8 && thaw_alloc_live() == live;
    for (int64_t i = 0; i < 2 * n; i++) {
        const bool mine = i >= n       ? (i - n) / EACH == rank
                          : i == n - 1 ? rank == ranks - 1
                                       : rank == 0;
        right = right && values[i] == (mine ? (float)i / 4 + 1 : 0);
    }
    assert_all(right);
    assert_ok(thaw_state_add(&more, "c", THAW_F32, thaw_shape1(2), own));
    assert_ok(thaw_state_add(&more, "e", THAW_F32, thaw_shape1(2), own));
    assert_all(thaw_ckpt_restore(world, in_folder("restored.h5"), &more, NULL) == THAW_ERR_INPUT);
    assert_all(strstr(thaw_error_last()->message, "restored.h5: 'e' is missing") != NULL);
    assert_ok(thaw_state_add(&other, "c", THAW_F32, thaw_shape1(1), own));
    assert_all(thaw_ckpt_restore(world, in_folder("restored.h5"), &other, NULL) == THAW_ERR_INPUT);
    assert_all(strstr(thaw_error_last()->message, "restored.h5: 'c' is ") != NULL);
    assert_all(thaw_ckpt_restore(world, in_folder("no.h5"), &other, NULL) == THAW_ERR_INPUT);
    thaw_state_clear(&other);
    thaw_state_clear(&more);
    thaw_state_clear(&s);
}

static void any_rank_can_hand_out_a_state(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    int rank = thaw_comm_rank(world);
    for (int root = 0; root < thaw_comm_size(world); root++) {
        thaw_state s = {0};
        if (rank == root)
            for (int i = 0; i < 40; i++) {
                char name[32];
                snprintf(name, sizeof name, "t%d", i);
                assert_ok(thaw_state_add_int(&s, name, 100 * root + i));
            }
        assert_all(thaw_ckpt_bcast(world, root, &s) == THAW_OK && s.count == 40);
        int64_t value = 0;
        assert_ok(thaw_state_get_int(&s, "t39", &value));
        assert_all(value == 100 * root + 39);
        thaw_state_clear(&s);
    }
    thaw_state empty = {0};
    assert_all(thaw_ckpt_bcast(world, 0, &empty) == THAW_OK && empty.count == 0);
    thaw_state_clear(&empty);
    assert_all(thaw_alloc_live() == live);
}

static void a_full_disk_keeps_what_was_there(void **state)
{
    (void)state;
    const char *d = in_folder("disk");
    int mounted = 0;
    if (thaw_comm_rank(world) == 0)
        mounted = mkdir(d, 0755) == 0 && small_disk(d, 1 << 20);
    thaw_bcast(world, 0, &mounted, sizeof mounted);
    if (!mounted) {
        print_message("skipped: cannot mount a small disk (not root?)\n");
        skip();
    }
    save_step(d, 1, 9, false);
    static float large[1 << 19];
    thaw_state s = {0};
    assert_ok(thaw_state_add(&s, "large", THAW_F32, thaw_shape1(1 << 19), large));
    const thaw_ckpt_options options = {.keep = 9};
    thaw_status status = thaw_ckpt_save(world, d, 2, &s, NULL, &options);
    assert_all(status == THAW_ERR_RESOURCE);
    assert_all(strstr(thaw_error_last()->message, "No space left") != NULL);
    assert_all(latest_is(d, 1));
    save_step(d, 3, 9, false);
    assert_all(latest_is(d, 3));
    thaw_state_clear(&s);
    if (thaw_comm_rank(world) == 0)
        umount(d);
}

static void share_folder(void)
{
    if (thaw_comm_rank(world) == 0 && folder_make(NULL) != 0)
        MPI_Abort(MPI_COMM_WORLD, 1);
    thaw_bcast(world, 0, folder, sizeof folder);
}

static void drop_folder(void)
{
    thaw_barrier(world);
    if (thaw_comm_rank(world) == 0)
        (void)folder_remove(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest ckpt[] = {
        cmocka_unit_test(the_newest_comes_back),
        cmocka_unit_test(a_writer_saves_what_was_there),
        cmocka_unit_test(a_writer_reports_what_failed),
        cmocka_unit_test(the_best_is_kept),
        cmocka_unit_test(damaged_ones_are_passed_over),
        cmocka_unit_test(a_damaged_file_is_refused_by_all),
        cmocka_unit_test(leftovers_of_a_killed_run_go),
        cmocka_unit_test(places_that_cannot_be_written_fail_early),
        cmocka_unit_test(named_files_use_the_same_writer),
        cmocka_unit_test(parts_are_fetched_one_by_one),
        cmocka_unit_test(each_rank_restores_its_own),
        cmocka_unit_test(named_datasets_alone_are_read),
        cmocka_unit_test(any_rank_can_hand_out_a_state),
        cmocka_unit_test(a_full_disk_keeps_what_was_there),
    };
    mpi_test_setup = share_folder;
    mpi_test_teardown = drop_folder;
    return mpi_test_main(argc, argv, ckpt);
}
