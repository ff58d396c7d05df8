/* thaw-test: timeout=60 ranks=1,2,3,4 modules=h5 */
#include "train/train_test.h"

/* One copy a node: frozen weights and samples lie in memory that the ranks of a node share, and only rank 0 reads the backbone file. */

static bool inside(const thaw_shared *shared, const void *at)
{
    const char *begin = thaw_shared_data(shared);
    return (const char *)at >= begin && (const char *)at < begin + thaw_shared_bytes(shared);
}

static bool is_one_copy(const thaw_shared *shared)
{
    return thaw_comm_size(world) == 1 || !thaw_shared_is_private(shared);
}

static thaw_digest digest_of(const thaw_shared *shared)
{
    return thaw_hash(thaw_shared_data(shared), (size_t)thaw_shared_bytes(shared));
}

/* Frozen parameters are the node's, trained ones the rank's own; five steps leave every shared byte as it was. */
static void check_rung(const char *rung)
{
    const char *const more[] = {rung, NULL};
    task t;
    assert_ok(open_task(world, more, &t));
    const thaw_setup *s = &t.setup;
    assert_all(is_one_copy(s->weights) && is_one_copy(s->samples));
    int64_t frozen = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(s->model->graph); i++) {
        const thaw_param *p = thaw_graph_param(s->model->graph, i);
        const bool shared = inside(s->weights, p->data);
        assert_all(shared == (!p->trainable && p->block >= 0));
        frozen += shared;
    }
    assert_all(frozen > 0 || strcmp(rung, "rung=full") == 0);
    for (int64_t i = 0; i < t.trainer.initial.count; i++)
        assert_all(inside(s->weights, t.trainer.initial.entries[i].tensor.data));
    const thaw_digest before = digest_of(s->weights);
    for (int step = 0; step < 5; step++)
        assert_ok(thaw_trainer_step(&t.trainer, world));
    assert_all(thaw_digest_equal(before, digest_of(s->weights)));
    close_task(&t);
}

static void test_places(void **state)
{
    (void)state;
    check_rung("rung=frozen");
    check_rung("rung=peft");
    check_rung("rung=partial:1");
    check_rung("rung=full");
}

/* The other ranks are told of a file that is not there. */
static void test_one_reader(void **state)
{
    (void)state;
    const char *const reader[] = {"rung=partial:1", NULL};
    const char *const other[] = {"rung=partial:1", "model.backbone=/nowhere/backbone.h5", NULL};
    task t;
    assert_ok(open_task(world, thaw_comm_rank(world) == 0 ? reader : other, &t));
    assert_ok(thaw_trainer_step(&t.trainer, world));
    assert_ok(thaw_same_digest(world, "weights", t.setup.backbone_digest));
    close_task(&t);
}

/* What one rank cannot read is an error of all. */
static void test_no_file(void **state)
{
    (void)state;
    const char *const more[] = {"model.backbone=/nowhere/backbone.h5", NULL};
    task t;
    assert_all(open_task(world, more, &t) == THAW_ERR_INPUT);
    assert_all(strstr(thaw_error_last()->message, "/nowhere/backbone.h5") != NULL);
    thaw_config_clear(&t.config);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_one_reader, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_no_file, make_task, remove_task),
    };
    return mpi_test_main(argc, argv, tests);
}
