/* thaw-test: timeout=60 ranks=1,2,4 modules=h5 */
#include "train/train_test.h"

/* Steps are timed as a run takes them: what they send is a run's payload, and no part of a step is longer than the step. */

static void test_times(void **state)
{
    (void)state;
    static const char *const rungs[] = {"rung=frozen", "rung=full"};
    int64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        const char *const more[] = {rungs[i], "train.epochs=1", NULL};
        const thaw_run_options options = {.quiet = true};
        thaw_timing timing = {.steps = 9}; /* an epoch has five */
        task t;
        assert_ok(open_task(world, more, &t));
        assert_ok(thaw_train_time(world, &t.config, 2, &options, &timing));
        assert_all(timing.steps == 9 && timing.calls >= 1 && timing.plan_calls >= 1);
        for (int64_t k = 0; k < timing.steps; k++) {
            assert_all(timing.seconds[k] > 0 && timing.transfer[k] >= 0);
            assert_all(timing.transfer[k] <= timing.waited[k] * (1 + 1e-9));
            assert_all(timing.waited[k] <= timing.seconds[k]);
        }
        bytes[i] = timing.bytes;
        thaw_timing_clear(&timing);
        close_task(&t);
    }
    assert_all(bytes[0] > 0 && bytes[0] < bytes[1]);
}

/* Nobody leaves before the last has come. */
static void test_barrier(void **state)
{
    (void)state;
    const double began = thaw_seconds();
    if (thaw_comm_rank(world) == 0) {
        while (thaw_seconds() - began < 0.2)
            continue;
    }
    thaw_barrier_asleep(world);
    int64_t early = thaw_seconds() - began < 0.1;
    thaw_allreduce_max_int64(world, &early, 1);
    assert_all(early == 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_times, make_task, remove_task),
        cmocka_unit_test(test_barrier)};
    return mpi_test_main(argc, argv, tests);
}
