/* thaw-test: timeout=60 ranks=1,2,3,4 modules=h5 */
#include "train/train_test.h"

#include <math.h>

/* One step as the design promises it: nothing is allocated, nothing but the reducer's payload is sent, and the smaller last batch
 * weighs exactly as much as its samples do. */

/* Between the second step and the last, memory is neither taken nor given back, whatever trains. */
static void test_no_allocation(void **state)
{
    (void)state;
    static const char *const rungs[] = {"rung=frozen", "rung=peft", "rung=partial:1", "rung=full",
                                        "rung=full"};
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
        const char *const more[] = {rungs[i],
                                    i == 4 ? "train.batch_norm=sync" : "train.batch_norm=shard",
                                    "optimizer.clip_norm=1",
                                    "optimizer.kind=adamw",
                                    "train.ema=0.9",
                                    i == 3 ? "data.augment.mixup=1" : "data.augment.mixup=0",
                                    NULL};
        task t;
        assert_ok(open_task(world, more, &t));
        assert_ok(thaw_trainer_step(&t.trainer, world));
        assert_ok(thaw_trainer_step(&t.trainer, world));
        const int64_t before = thaw_alloc_count();
        for (int step = 2; step < 10; step++) {
            assert_ok(thaw_trainer_step(&t.trainer, world));
            if (t.trainer.position.step_in_epoch == thaw_sampler_steps(&t.trainer.sampler)) {
                t.trainer.position.step_in_epoch = 0;
                t.trainer.position.epoch++;
            }
        }
        assert_all(thaw_alloc_count() == before);
        close_task(&t);
    }
}

/* What is sent in a step is the plan's payload, and nothing besides. */
static void test_payload(void **state)
{
    (void)state;
    static const char *const rungs[] = {"rung=frozen", "rung=peft", "rung=full"};
    int64_t payload[3];
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
        const char *const more[] = {rungs[i], NULL};
        task t;
        int64_t bytes = 0;
        int64_t calls = 0;
        assert_ok(open_task(world, more, &t));
        thaw_reducer_plan(t.trainer.reducer, &bytes, &calls);
        assert_ok(thaw_trainer_step(&t.trainer, world)); /* the first may be done again */
        for (int step = 1; step < 5; step++) {
            const thaw_comm_counters before = thaw_comm_count(world);
            assert_ok(thaw_trainer_step(&t.trainer, world));
            const thaw_comm_counters after = thaw_comm_count(world);
            const int64_t passes = (after.gradient_calls - before.gradient_calls) / calls;
            assert_all(after.gradient_bytes - before.gradient_bytes == passes * bytes);
            assert_all(after.gradient_calls - before.gradient_calls == passes * calls);
            assert_all(passes == 1 ? after.allreduce_calls == before.allreduce_calls : passes == 2);
            assert_all(after.bcast_calls == before.bcast_calls);
            assert_all(after.gather_calls == before.gather_calls);
            assert_all(after.barrier_calls == before.barrier_calls);
            assert_all(t.trainer.bytes_per_step == bytes);
        }
        payload[i] = bytes;
        close_task(&t);
    }
    assert_all(payload[0] < payload[1] && payload[1] < payload[2]);
    /* The frozen rung's head has 3 x 16 + 3 values, 8 bytes each; the rest is control words. */
    assert_all(payload[0] >= 51 * 8 && payload[0] < 51 * 8 + 256);
}

/* Largest difference of two sums relative to the largest element. */
static double distance(const float *a, const float *b, int64_t count)
{
    double most = 0;
    double size = 1e-30;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        size = fmax(size, fabs((double)b[i]));
    }
    return most / size;
}

static void compare_with_one_go(const char *const *all, const char *const *one, double weight_error)
{
    task t;
    task reference;
    thaw_comm *self = NULL;
    assert_ok(thaw_comm_split(world, thaw_comm_rank(world), 0, &self));
    assert_ok(open_task(world, all, &t));
    assert_ok(open_task(self, one, &reference));
    const int64_t steps = thaw_sampler_steps(&t.trainer.sampler);
    assert_int_equal(steps, 5);
    for (int64_t step = 0; step < steps; step++) {
        assert_ok(thaw_trainer_step(&t.trainer, world));
        assert_ok(thaw_trainer_step(&reference.trainer, self));
        assert_all(fabs(t.trainer.last_loss - reference.trainer.last_loss) <
                   1e-5 * reference.trainer.last_loss);
        for (int32_t i = 0; i < t.trainer.reduced_count; i++) {
            const int64_t count = thaw_plan_reduced(t.trainer.train_plan, i)->count;
            assert_all(distance(t.trainer.sums[i], reference.trainer.sums[i], count) < 1e-4);
        }
    }
    assert_all(t.trainer.state.samples == TASK_TRAIN);
    assert_all(t.trainer.state.samples == reference.trainer.state.samples);
    assert_all(fabs(t.trainer.state.weight_sum - reference.trainer.state.weight_sum) < 1e-6);
    /* Balanced weights have the mean 1 over the training split. */
    assert_all(fabs(t.trainer.state.weight_sum - TASK_TRAIN) < weight_error);
    close_task(&reference);
    close_task(&t);
    thaw_comm_free(&self);
}

/* An epoch on all ranks and 24 shards, against the same epoch with each batch in one go on every rank alone. The last batch has 5 of 24
 * samples, so most shards are empty; weights and smoothing are on. Frozen batch norm, so a sample's gradient does not depend on
 * its shard. Float rounding differs between batch shapes: 1e-4 of the largest element after five steps. */
static void test_against_one_go(void **state)
{
    (void)state;
    static const char *const all[] = {"rung=peft", "train.class_weights=balanced",
                                      "train.label_smoothing=0.1", NULL};
    static const char *const one[] = {"rung=peft", "train.class_weights=balanced",
                                      "train.label_smoothing=0.1", "train.shards=1", NULL};
    compare_with_one_go(all, one, 1e-4);
}

/* The same with samples that are cut, enlarged and blended: what they are blended with, and the weights, come from anywhere. */
static void test_blends_against_one_go(void **state)
{
    (void)state;
#define BLENDS                                                                                     \
    "rung=peft", "train.class_weights=balanced", "data.augment.crop_area_least=0.3",               \
        "data.augment.mixup=0.5", "data.augment.cutmix=1"
    static const char *const all[] = {BLENDS, NULL};
    static const char *const one[] = {BLENDS, "train.shards=1", NULL};
    /* Blended weights keep the mean 1 but for chance: about sqrt(101) times their spread. */
    compare_with_one_go(all, one, 10);
}

/* Batch norms that train, over the whole batch: shards that meet against one batch in one go, which is what PyTorch's batch norm does on one
 * device and its SyncBatchNorm on many. Running statistics are among the sums; with statistics of shards the same comparison fails. */
static void test_sync_against_one_go(void **state)
{
    (void)state;
    static const char *const all[] = {"rung=full", "train.batch_norm=sync", NULL};
    static const char *const recomputed[] = {"rung=full", "train.batch_norm=sync",
                                             "train.recompute=on", NULL};
    static const char *const one[] = {"rung=full", "train.shards=1", NULL};
    compare_with_one_go(all, one, 1e-4);
    compare_with_one_go(recomputed, one, 1e-4);
}

/* Of one shard there is nothing else to take statistics of: the same bits, by the other half of the kernels. */
static void test_sync_of_one_shard(void **state)
{
    (void)state;
    static const char *const sync[] = {"rung=full", "train.shards=1", "train.batch_norm=sync",
                                       NULL};
    static const char *const shard[] = {"rung=full", "train.shards=1", NULL};
    task a;
    task b;
    thaw_comm *self = NULL;
    assert_ok(thaw_comm_split(world, thaw_comm_rank(world), 0, &self));
    assert_ok(open_task(self, sync, &a));
    assert_ok(open_task(self, shard, &b));
    assert_all(thaw_plan_meetings(a.trainer.train_plan).count > 30);
    assert_all(thaw_plan_meetings(b.trainer.train_plan).count == 0);
    const thaw_meetings meetings = thaw_plan_meetings(a.trainer.train_plan);
    const thaw_comm_counters before = thaw_comm_count(self);
    for (int64_t step = 0; step < 3; step++) {
        assert_ok(thaw_trainer_step(&a.trainer, self));
        assert_ok(thaw_trainer_step(&b.trainer, self));
        for (int32_t i = 0; i < a.trainer.reduced_count; i++) {
            const int64_t count = thaw_plan_reduced(a.trainer.train_plan, i)->count;
            assert_all(memcmp(a.trainer.sums[i], b.trainer.sums[i],
                              (size_t)count * sizeof **a.trainer.sums) == 0);
        }
    }
    const thaw_comm_counters after = thaw_comm_count(self);
    const int64_t passes = (after.gather_calls - before.gather_calls) / meetings.count;
    assert_all(passes >= 3 && after.gather_bytes - before.gather_bytes ==
                                  passes * meetings.doubles * (int64_t)sizeof(double));
    assert_all(passes * meetings.count == after.gather_calls - before.gather_calls);
    close_task(&b);
    close_task(&a);
    thaw_comm_free(&self);
}

/* Seconds in norms are those of the run, not of its last phase. */
static void test_seconds_in_norms_go_on(void **state)
{
    (void)state;
    static const char *const more[] = {"phases=[{rung: partial:layer3, epochs: 1}, {rung: full}]",
                                       "train.batch_norm=sync", NULL};
    task t;
    thaw_str directory = {0};
    assert_ok(open_task(world, more, &t));
    thaw_run_path(folder, "run", &directory);
    assert_ok(thaw_agree(world, thaw_mkdirs(thaw_str_c(&directory))));
    t.options.choices_from = folder; /* the user's cache is none of a test's business */
    assert_ok(thaw_trainer_step(&t.trainer, world));
    const double seconds = t.trainer.lanes.seconds;
    assert_all(seconds > 0);
    assert_ok(thaw_phases_next(&t.trainer, world));
    assert_all(t.trainer.lanes.seconds == seconds);
    assert_ok(thaw_trainer_step(&t.trainer, world));
    assert_all(t.trainer.lanes.seconds > seconds);
    thaw_str_clear(&directory);
    close_task(&t);
}

/* The gradient of the head's bias is the sum of softmax - target, where a blended target is split between two classes. */
static void test_blended_gradient(void **state)
{
    (void)state;
    static const char *const more[] = {"rung=frozen", "train.shards=1", "data.augment.mixup=0.5",
                                       "data.augment.cutmix=1", NULL};
    task t;
    thaw_comm *self = NULL;
    double expected[TASK_CLASSES] = {0};
    int rectangles = 0;
    int32_t bias = 0;
    assert_ok(thaw_comm_split(world, thaw_comm_rank(world), 0, &self));
    assert_ok(open_task(self, more, &t));
    assert_ok(thaw_trainer_step(&t.trainer, self));
    const int32_t *labels = thaw_dataset_labels(t.setup.dataset, t.setup.train);
    for (int64_t i = 0; i < 24; i++) {
        thaw_blend blend;
        const int64_t index = t.trainer.indices[i];
        assert_all(thaw_feed_blend(&t.trainer.train, 0, index, &blend));
        rectangles += blend.rectangle;
        expected[labels[index]] -= blend.share;
        expected[labels[blend.partner]] -= 1 - blend.share;
        for (int k = 0; k < TASK_CLASSES; k++)
            expected[k] += (double)t.trainer.outputs[i * TASK_CLASSES + k];
    }
    assert_all(rectangles > 3 && rectangles < 21);
    while (thaw_plan_reduced(t.trainer.train_plan, bias)->count != TASK_CLASSES)
        bias++;
    for (int k = 0; k < TASK_CLASSES; k++)
        assert_all(fabs(expected[k] - (double)t.trainer.sums[bias][k]) < 1e-5);
    close_task(&t);
    thaw_comm_free(&self);
}

static const float *values_of(const task *t, const char *name)
{
    const thaw_graph *graph = t->setup.model->graph;
    const int32_t index = thaw_graph_find_param(graph, name);
    if (index < 0)
        fail_msg("no parameter %s", name);
    return thaw_graph_param(graph, index)->data;
}

/* Mean and unbiased variance over samples and positions of channel k of the first convolution (3 x 3, padding 1, one channel in). */
static void first_convolution(const float *x, const float *weight, double *mean, double *variance)
{
    double sum = 0;
    double squares = 0;
    const int side = TASK_SIDE;
    const int64_t count = (int64_t)TASK_TRAIN * side * side;
    for (int64_t at = 0; at < count; at++) {
        const float *picture = x + at / (side * side) * side * side;
        const int row = (int)(at / side % side);
        const int column = (int)(at % side);
        double y = 0;
        for (int tap = 0; tap < 9; tap++) {
            const int r = row + tap / 3 - 1;
            const int c = column + tap % 3 - 1;
            if (r >= 0 && r < side && c >= 0 && c < side)
                y += (double)weight[tap] * (double)picture[r * side + c];
        }
        sum += y;
        squares += y * y;
    }
    *mean = sum / (double)count;
    *variance = (squares - sum * *mean) / (double)(count - 1);
}

/* Running statistics after one step over all samples, against loops over the pixels. The mean does not depend on how samples are
 * spread over shards of 4 and 5; the variance does, unless it is the whole batch's, so it is looked at with one shard or all in one. Tolerance: float sums of 6464 terms. */
static void check_statistics(thaw_comm *comm, const char *shards, const char *norm)
{
    const char *const more[] = {"rung=full",
                                shards,
                                norm,
                                "train.batch=120",
                                "data.augment.crop_padding=0",
                                "train.epochs=1",
                                "data.augment.flip=false",
                                NULL};
    static float x[TASK_TRAIN * TASK_SIDE * TASK_SIDE];
    float weight[4 * 9];
    int64_t indices[TASK_TRAIN];
    task t;
    assert_ok(open_task(comm, more, &t));
    for (int64_t i = 0; i < TASK_TRAIN; i++)
        indices[i] = i;
    assert_ok(thaw_feed_read(&t.trainer.train, 0, TASK_TRAIN, indices, x));
    memcpy(weight, values_of(&t, "conv1.weight"), sizeof weight);
    assert_ok(thaw_trainer_step(&t.trainer, comm));
    for (int k = 0; k < 4; k++) {
        double mean;
        double variance;
        first_convolution(x, weight + 9 * k, &mean, &variance);
        assert_all(fabs((double)values_of(&t, "bn1.running_mean")[k] - 0.1 * mean) < 1e-5);
        if (t.config.train.shards == 1 || t.config.train.batch_norm == THAW_NORM_SYNC)
            assert_all(fabs((double)values_of(&t, "bn1.running_var")[k] - 0.9 - 0.1 * variance) <
                       1e-5 * (1 + variance));
    }
    close_task(&t);
}

static void test_running_statistics(void **state)
{
    (void)state;
    thaw_comm *self = NULL;
    assert_ok(thaw_comm_split(world, thaw_comm_rank(world), 0, &self));
    check_statistics(self, "train.shards=1", "train.batch_norm=shard");
    check_statistics(world, "train.shards=24", "train.batch_norm=shard");
    check_statistics(world, "train.shards=24", "train.batch_norm=sync");
    thaw_comm_free(&self);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_allocation, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_payload, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_against_one_go, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_blends_against_one_go, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_sync_against_one_go, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_sync_of_one_shard, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_seconds_in_norms_go_on, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_blended_gradient, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_running_statistics, make_task, remove_task),
    };
    return mpi_test_main(argc, argv, tests);
}
