/* Gradient sums where the node has no shared memory: MPI does them, with the same result. */
#include "mpi_test.h"

enum { N = 20000 };

static bool one_step_is_right(thaw_reducer *r)
{
    static float data[N], out[N];
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    for (int64_t i = 0; i < N; i++)
        data[i] = (float)(i + 1);
    while (outcome == THAW_REDUCE_REDO) {
        thaw_reducer_begin(r);
        thaw_reducer_add(r, 0, data);
        if (thaw_reducer_finish(r, world, &outcome) != THAW_OK)
            return false;
    }
    thaw_reducer_get(r, 0, 1, out);
    bool right = true;
    for (int64_t i = 0; i < N; i++)
        right = right && out[i] == data[i] * (float)thaw_comm_size(world);
    return right;
}

static void messages_go_where_there_is_no_shared_memory(void **state)
{
    (void)state;
    const int64_t size = N;
    const thaw_reducer_options options = {.shards = 8};
    for (int attempt = 0; attempt < 2; attempt++) {
        thaw_reducer *r = NULL;
        int64_t bytes = 0, calls = 0;
        assert_all(thaw_reducer_new(&size, 1, &options, &r) == THAW_OK);
        assert_all(thaw_reducer_share(r, world) == THAW_OK);
        thaw_reducer_plan(r, &bytes, &calls);
        /* Only the first attempt finds no memory; a bucket of sums, and one of control words. */
        assert_all(calls == (attempt == 0 || thaw_comm_size(world) == 1 ? 2 : 1));
        assert_all(bytes == 4 * N + 8 * 2);
        assert_all(one_step_is_right(r));
        thaw_reducer_free(&r);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_where_there_is_no_shared_memory)};
    setenv("THAW_FAULT", "shared:0:1", 1);
    return mpi_test_main(argc, argv, tests);
}
