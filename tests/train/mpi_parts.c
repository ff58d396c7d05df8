/* thaw-test: timeout=60 ranks=1,2,3,4 modules=h5 */
#include "train/train_test.h"

#include "train/parts_impl.h"

/* The optimizer in parts (train.shard_optimizer): the bits of one in whole, less memory a rank, and weights that all have. */

enum { STEPS = 7 };

static void take_steps(task *t)
{
    for (int step = 0; step < STEPS; step++) {
        assert_ok(thaw_trainer_step(&t->trainer, world));
        if (t->trainer.position.step_in_epoch == thaw_sampler_steps(&t->trainer.sampler)) {
            t->trainer.position.step_in_epoch = 0;
            t->trainer.position.epoch++;
        }
    }
}

static bool equal_states(const thaw_state *a, const thaw_state *b)
{
    bool equal = a->count == b->count;
    for (int64_t i = 0; i < a->count && equal; i++) {
        const thaw_tensor *other = thaw_state_find(b, a->entries[i].name);
        const size_t bytes = thaw_tensor_bytes(&a->entries[i].tensor);
        equal = other != NULL && thaw_tensor_bytes(other) == bytes &&
                (bytes == 0 || memcmp(other->data, a->entries[i].tensor.data, bytes) == 0);
    }
    return equal;
}

/* The optimizer's state as a checkpoint has it. */
static void write_and_read(thaw_trainer *t, thaw_state *out)
{
    thaw_state state = {0};
    thaw_parts_view view;
    thaw_str path = {0};
    assert_ok(thaw_parts_add(t, &state, &view));
    assert_all(state.count == 1 || (state.entries[1].tensor.data == NULL) == (t->parts > 1));
    thaw_run_path(folder, "optimizer.h5", &path);
    assert_ok(thaw_ckpt_write(world, thaw_str_c(&path), &state, NULL, thaw_parts_in(&view), NULL));
    assert_ok(thaw_ckpt_read(world, thaw_str_c(&path), out, NULL));
    thaw_str_clear(&path);
    thaw_state_clear(&state);
}

/* From the file that was written last, as a run does that goes on. */
static thaw_status restore(thaw_trainer *t)
{
    thaw_state state = {0};
    thaw_parts_view view;
    thaw_str path = {0};
    assert_ok(thaw_parts_add(t, &state, &view));
    thaw_run_path(folder, "optimizer.h5", &path);
    const thaw_status status =
        thaw_ckpt_restore(world, thaw_str_c(&path), &state, thaw_parts_in(&view));
    thaw_str_clear(&path);
    thaw_state_clear(&state);
    return status;
}

static void test_same_bits(void **state)
{
    (void)state;
    static const char *const kinds[] = {"optimizer.kind=sgd", "optimizer.kind=adamw",
                                        "optimizer.kind=lamb"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const char *const plain[] = {"rung=full", kinds[k], "optimizer.clip_norm=0.5",
                                     "optimizer.l2sp=0.01", NULL};
        const char *const parts[] = {"rung=full",
                                     kinds[k],
                                     "optimizer.clip_norm=0.5",
                                     "optimizer.l2sp=0.01",
                                     "train.shard_optimizer=true",
                                     NULL};
        task a;
        task b;
        thaw_state whole = {0};
        thaw_state collected = {0};
        assert_ok(open_task(world, plain, &a));
        assert_ok(open_task(world, parts, &b));
        take_steps(&a);
        take_steps(&b);
        assert_all(equal_states(&a.trainer.trained, &b.trainer.trained));
        assert_all(memcmp(&a.trainer.last_norm, &b.trainer.last_norm, sizeof(double)) == 0);
        write_and_read(&b.trainer, &collected);
        write_and_read(&a.trainer, &whole);
        assert_all(equal_states(&whole, &collected));
        /* One written in whole, to whatever number of parts, after steps that nobody will know of. */
        take_steps(&b);
        assert_ok(restore(&b.trainer));
        assert_ok(thaw_state_copy(&b.trainer.trained, &a.trainer.trained));
        b.trainer.position = a.trainer.position;
        take_steps(&a);
        take_steps(&b);
        assert_all(equal_states(&a.trainer.trained, &b.trainer.trained));
        thaw_state_clear(&collected);
        thaw_state_clear(&whole);
        close_task(&b);
        close_task(&a);
    }
}

static void test_memory_and_messages(void **state)
{
    (void)state;
    static const char *const plain[] = {"rung=full", "optimizer.kind=adamw", NULL};
    static const char *const parts[] = {"rung=full", "optimizer.kind=adamw",
                                        "train.shard_optimizer=true", NULL};
    const int64_t size = thaw_comm_size(world);
    task a;
    task b;
    assert_ok(open_task(world, plain, &a));
    assert_ok(open_task(world, parts, &b));
    const int64_t whole = (int64_t)thaw_optimizer_state_bytes(a.trainer.optimizer);
    int64_t mine = (int64_t)thaw_optimizer_state_bytes(b.trainer.optimizer);
    /* Two moments; cuts lie at multiples of 64 elements, or at the end of a tensor. */
    assert_all(mine <= whole / size + 2 * 64 * (int64_t)sizeof(float));
    thaw_allreduce_sum_int64(world, &mine, 1);
    assert_all(mine == whole);
    take_steps(&b);
    const int64_t allocations = thaw_alloc_count();
    const thaw_comm_counters before = thaw_comm_count(world);
    assert_ok(thaw_trainer_step(&b.trainer, world));
    const thaw_comm_counters after = thaw_comm_count(world);
    assert_all(thaw_alloc_count() == allocations);
    /* One exchange does for so small a network: a weight has half of its moments' bytes. */
    assert_all(after.gather_calls - before.gather_calls == (size > 1));
    assert_all(b.trainer.gathered_bytes == after.gather_bytes - before.gather_bytes);
    assert_all(b.trainer.gathered_bytes <= (whole / size) / 2 + 64 * (int64_t)sizeof(float));
    assert_all(size == 1 || b.trainer.gathered_bytes >= whole / size / 2);
    close_task(&b);
    close_task(&a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_bits, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_memory_and_messages, make_task, remove_task),
    };
    return mpi_test_main(argc, argv, tests);
}
