/* thaw-test: timeout=60 ranks=1,2 modules=h5 */
#include "train/train_test.h"

/* Frozen means bit-identical: of every tensor of the network, those that do not train are after five steps what they were before, buffers of
 * frozen norms included; the others moved; and nothing of the frozen ones is reduced, kept by the optimizer or written. */

static thaw_status copy_all(const thaw_graph *graph, thaw_which which, thaw_state *out)
{
    thaw_state view = {0};
    thaw_status status = thaw_graph_state(graph, which, &view);
    for (int64_t i = 0; i < view.count && status == THAW_OK; i++) {
        const thaw_entry *e = &view.entries[i];
        void *data = NULL;
        status = thaw_state_add_new(out, e->name, e->tensor.dtype, e->tensor.shape, &data);
        if (status == THAW_OK)
            memcpy(data, e->tensor.data, thaw_tensor_bytes(&e->tensor));
    }
    thaw_state_clear(&view);
    return status;
}

static bool is_same(const thaw_entry *before, const thaw_tensor *now)
{
    return memcmp(before->tensor.data, now->data, thaw_tensor_bytes(now)) == 0;
}

/* Values of the entries whose names end in `/name` or are `name`, for any name of `frozen`. */
static int64_t entries_about(const thaw_state *state, const thaw_state *frozen)
{
    int64_t count = 0;
    for (int64_t i = 0; i < state->count; i++) {
        for (int64_t k = 0; k < frozen->count; k++) {
            const char *name = state->entries[i].name;
            const size_t length = strlen(name);
            const size_t end = strlen(frozen->entries[k].name);
            count += length >= end && strcmp(name + length - end, frozen->entries[k].name) == 0 &&
                     (length == end || name[length - end - 1] == '/');
        }
    }
    return count;
}

static void check_rung(const char *const *more, int64_t least_frozen, int64_t least_trained)
{
    task t;
    thaw_state frozen = {0};
    thaw_state trained = {0};
    thaw_state now = {0};
    thaw_state kept = {0};
    assert_ok(open_task(world, more, &t));
    const thaw_graph *graph = t.setup.model->graph;
    assert_ok(copy_all(graph, THAW_FROZEN, &frozen));
    assert_ok(copy_all(graph, THAW_TRAINABLE, &trained));
    assert_all(frozen.count >= least_frozen && trained.count >= least_trained);
    for (int step = 0; step < 5; step++)
        assert_ok(thaw_trainer_step(&t.trainer, world));

    assert_ok(thaw_graph_state(graph, THAW_ALL, &now));
    for (int64_t i = 0; i < frozen.count; i++)
        assert_all(is_same(&frozen.entries[i], thaw_state_find(&now, frozen.entries[i].name)));
    int64_t moved = 0;
    for (int64_t i = 0; i < trained.count; i++)
        moved += !is_same(&trained.entries[i], thaw_state_find(&now, trained.entries[i].name));
    assert_all(moved == trained.count);

    assert_ok(thaw_optimizer_state(t.trainer.optimizer, &kept));
    assert_all(kept.count > 0 && entries_about(&kept, &frozen) == 0);
    assert_all(entries_about(&t.trainer.trained, &frozen) == 0);
    for (int32_t i = 0; i < t.trainer.reduced_count; i++) {
        const int32_t param = thaw_plan_reduced(t.trainer.train_plan, i)->param;
        assert_all(thaw_state_find(&frozen, thaw_graph_param(graph, param)->name) == NULL ||
                   thaw_plan_reduced(t.trainer.train_plan, i)->statistic);
        assert_all(thaw_state_find(&trained, thaw_graph_param(graph, param)->name) != NULL);
    }
    thaw_state_clear(&kept);
    thaw_state_clear(&now);
    thaw_state_clear(&trained);
    thaw_state_clear(&frozen);
    close_task(&t);
}

static void test_frozen(void **state)
{
    (void)state;
    const char *const more[] = {"rung=frozen", NULL};
    check_rung(more, 90, 2);
}

static void test_lora(void **state)
{
    (void)state;
    const char *const more[] = {"rung=peft", NULL};
    check_rung(more, 90, 20);
}

static void test_bitfit(void **state)
{
    (void)state;
    const char *const more[] = {"rung=peft", "peft={method: bitfit}", NULL};
    check_rung(more, 60, 10);
}

static void test_partial(void **state)
{
    (void)state;
    const char *const more[] = {"rung=partial:1", NULL};
    check_rung(more, 80, 8);
}

static void test_full(void **state)
{
    (void)state;
    const char *const more[] = {"rung=full", NULL};
    check_rung(more, 0, 90);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frozen, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_lora, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_bitfit, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_partial, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_full, make_task, remove_task),
    };
    return mpi_test_main(argc, argv, tests);
}
