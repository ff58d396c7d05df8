/* Killed in the middle of a checkpoint: the last good one is there, and it is whole. */
#define _GNU_SOURCE
#include "files_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "thaw/ckpt.h"

enum { ELEMENTS = 200000 };
static float weight[ELEMENTS];

/* Saves steps 1, 2, ... until it dies or is done; never returns. */
static void child(const char *directory, const char *fault, int64_t steps)
{
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("THAW_FAULT", fault, 1);
    thaw_comm *comm = NULL;
    const thaw_ckpt_options options = {.keep = 2};
    if (thaw_comm_start(NULL, NULL, &comm) != THAW_OK ||
        thaw_ckpt_prepare(comm, directory) != THAW_OK)
        _exit(50);
    for (int64_t step = 1; step <= steps; step++) {
        thaw_state s = {0};
        for (int i = 0; i < ELEMENTS; i++)
            weight[i] = (float)step;
        thaw_status status = thaw_state_add(&s, "a", THAW_F32, thaw_shape1(ELEMENTS), weight);
        if (status == THAW_OK)
            status = thaw_state_add(&s, "b", THAW_F32, thaw_shape2(2, ELEMENTS / 2), weight);
        if (status == THAW_OK)
            status = thaw_ckpt_save(comm, directory, step, &s, NULL, &options);
        if (status != THAW_OK)
            _exit(60 + (int)status);
        thaw_state_clear(&s);
    }
    thaw_comm_stop(&comm);
    _exit(0);
}

/* The newest valid step, found as a run that resumes does; in a child, since MPI starts once a process. */
static int64_t newest(const char *directory)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
        thaw_comm *comm = NULL;
        thaw_ckpt_found found;
        thaw_state s = {0};
        if (thaw_comm_start(NULL, NULL, &comm) != THAW_OK ||
            thaw_ckpt_prepare(comm, directory) != THAW_OK ||
            thaw_ckpt_latest(comm, directory, &found) != THAW_OK)
            _exit(200);
        if (found.found) {
            if (thaw_ckpt_read(comm, found.path, &s, NULL) != THAW_OK || s.count != 2)
                _exit(201);
            for (int k = 0; k < 2; k++)
                for (int i = 0; i < ELEMENTS; i++)
                    if (((const float *)s.entries[k].tensor.data)[i] != (float)found.step)
                        _exit(202);
        }
        thaw_comm_stop(&comm);
        _exit(found.found ? (int)found.step : 0);
    }
    int code = 0;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_true(WIFEXITED(code));
    return WEXITSTATUS(code);
}

static int run(const char *directory, const char *fault, int64_t steps, long after_ms)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(directory, fault, steps);
    if (after_ms > 0) {
        struct timespec pause = {after_ms / 1000, after_ms % 1000 * 1000000};
        nanosleep(&pause, NULL);
        kill(pid, SIGKILL);
    }
    int code = 0;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    return code;
}

static void in_the_middle_of_the_nth_file(void **state)
{
    (void)state;
    char fault[32];
    for (int n = 1; n <= 3; n++) {
        const char *d = in_folder(n == 1 ? "one" : n == 2 ? "two" : "three");
        snprintf(fault, sizeof fault, "kill_ckpt:0:%d", n);
        int code = run(d, fault, 5, 0);
        assert_true(WIFSIGNALED(code) && WTERMSIG(code) == SIGKILL);
        char leftover[64];
        snprintf(leftover, sizeof leftover, "%s/step-%012d.h5.tmp", strrchr(d, '/') + 1, n);
        assert_true(thaw_path_exists(in_folder(leftover)));
        assert_int_equal(newest(d), n - 1);
        assert_false(thaw_path_exists(in_folder(leftover)));
    }
}

static void at_any_moment(void **state)
{
    (void)state;
    const char *d = in_folder("any");
    for (int i = 0; i < 3; i++) {
        int64_t before = newest(d);
        assert_true(before < 200);
        int code = run(d, "", 100, 370 + 131 * i);
        assert_true(WIFSIGNALED(code));
        int64_t after = newest(d);
        /* The child starts from step 1, which removes a later future; but something whole is always there. */
        assert_true(after < 200 && (after >= 1 || before == 0));
    }
}

static void a_failing_writer_says_so_and_keeps_the_last(void **state)
{
    (void)state;
    int code = run(in_folder("failing"), "ckpt_write:0:2", 5, 0);
    assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 60 + THAW_ERR_RESOURCE);
    assert_int_equal(newest(in_folder("failing")), 1);
    code = run(in_folder("failing"), "h5_write:0:3", 5, 0);
    assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 60 + THAW_ERR_RESOURCE);
    assert_int_equal(newest(in_folder("failing")), 1);
    /* Reading back after writing is a part of writing. */
    code = run(in_folder("failing"), "h5_read:0:1", 5, 0);
    assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 60 + THAW_ERR_RESOURCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_middle_of_the_nth_file),
        cmocka_unit_test(at_any_moment),
        cmocka_unit_test(a_failing_writer_says_so_and_keeps_the_last),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
