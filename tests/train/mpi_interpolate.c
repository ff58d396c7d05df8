/* thaw-test: timeout=60 ranks=1,2 modules=h5 */
#include "train/train_test.h"

#include <math.h>

/* Weights between the start of a run and its end (WiSE-FT). */

static thaw_status moved_task(const char *rung, task *t)
{
    const char *const more[] = {rung, NULL};
    THAW_TRY(open_task(world, more, t));
    for (int step = 0; step < 3; step++)
        THAW_TRY(thaw_trainer_step(&t->trainer, world));
    return THAW_OK;
}

/* Of tensor `entry`, now beside what it was: begin + share (trained - begin) where it trains in the backbone, else as trained. */
static void check_entry(const task *t, const thaw_entry *entry, double share)
{
    const thaw_graph *graph = t->setup.model->graph;
    const thaw_param *p = thaw_graph_param(graph, thaw_graph_find_param(graph, entry->name));
    const thaw_tensor *begin = thaw_state_find(&t->setup.begin, entry->name);
    const float *trained = entry->tensor.data;
    const float *start = begin == NULL ? trained : begin->data;
    double moved = 0;
    for (int64_t i = 0; i < thaw_tensor_count(&entry->tensor); i++) {
        const double expected = start[i] + share * ((double)trained[i] - start[i]);
        moved = fmax(moved, fabs((double)trained[i] - start[i]));
        assert_all(share == 0 ? p->data[i] == start[i]
                              : fabs(p->data[i] - expected) <= 1e-6 * (1 + fabs(expected)));
    }
    assert_all(begin == NULL || moved > 0); /* else the test would see nothing */
}

static void test_between(void **state)
{
    (void)state;
    static const char *const rungs[] = {"rung=partial:1", "rung=full"};
    static const double shares[] = {1, 0.25, 0};
    for (int i = 0; i < 6; i++) {
        task t;
        thaw_state trained = {0};
        thaw_digest before;
        thaw_digest after;
        assert_ok(moved_task(rungs[i % 2], &t));
        const thaw_state *now = &t.trainer.trained;
        for (int64_t e = 0; e < now->count; e++)
            assert_ok(thaw_state_add_new(&trained, now->entries[e].name, THAW_F32,
                                         now->entries[e].tensor.shape, NULL));
        assert_ok(thaw_state_copy(&trained, now));
        assert_ok(thaw_state_digest(&t.setup.begin, &before));
        assert_ok(thaw_setup_interpolate(&t.setup, "run", shares[i / 2]));
        assert_ok(thaw_state_digest(&t.setup.begin, &after));
        assert_memory_equal(&before, &after, sizeof before);
        assert_all(trained.count > 4);
        for (int64_t e = 0; e < trained.count; e++)
            check_entry(&t, &trained.entries[e], shares[i / 2]);
        thaw_state_clear(&trained);
        close_task(&t);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const rungs[] = {"rung=frozen", "rung=peft", "rung=scratch", "rung=full"};
    static const char *const words[] = {"nothing of the backbone", "adapter", "scratch",
                                        "not between 0"};
    for (int i = 0; i < 4; i++) {
        task t;
        assert_ok(moved_task(rungs[i], &t));
        assert_ok(thaw_setup_interpolate(&t.setup, "run", 1));
        assert_int_equal(thaw_setup_interpolate(&t.setup, "run", i == 3 ? 1.5 : 0.5),
                         THAW_ERR_USAGE);
        assert_non_null(strstr(thaw_error_last()->message, words[i]));
        close_task(&t);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_between, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_refusals, make_task, remove_task),
    };
    return mpi_test_main(argc, argv, tests);
}
