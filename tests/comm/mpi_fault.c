/* The fault site of this module: one rank fails where gradients are summed. */
#include "mpi_test.h"

#include <string.h>

static void a_fault_in_one_rank_is_everybodys_error(void **state)
{
    (void)state;
    const int64_t size = 5;
    const float data[5] = {1, 2, 3, 4, 5};
    const thaw_reducer_options options = {.shards = 8};
    thaw_reducer *r = NULL;
    assert_all(thaw_reducer_new(&size, 1, &options, &r) == THAW_OK);
    assert_all(thaw_reducer_share(r, world) == THAW_OK);
    for (int step = 1; step <= 3; step++) {
        thaw_reduce_outcome outcome;
        thaw_reducer_begin(r);
        thaw_reducer_add(r, 0, data);
        thaw_status status = thaw_reducer_finish(r, world, &outcome);
        assert_all(status == (step == 2 ? THAW_ERR_FAIL : THAW_OK));
        if (step == 2)
            assert_all(strstr(thaw_error_last()->message, "fault injected where gradients") !=
                       NULL);
    }
    thaw_reducer_free(&r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest fault[] = {cmocka_unit_test(a_fault_in_one_rank_is_everybodys_error)};
    /* The last rank in its second step. */
    const char *size = getenv("OMPI_COMM_WORLD_SIZE"); /* of Open MPI, or MPICH's */
    if (size == NULL)
        size = getenv("PMI_SIZE");
    char text[32];
    int64_t ranks = 1;
    if (size != NULL && !thaw_parse_int(size, &ranks))
        return 2;
    snprintf(text, sizeof text, "reduce:%lld:2", (long long)ranks - 1);
    setenv("THAW_FAULT", text, 1);
    return mpi_test_main(argc, argv, fault);
}
