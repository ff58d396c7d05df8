/* Gradient sums on two levels, on nodes that are made up: the same bits as by one rank.
 * thaw-test: timeout=120 ranks=4,6 */
#include "reduce_test.h"

#include "comm/reducer_impl.h"

/* The world as if it stood on so many nodes, dealt to them in turn, so that ranks do not lie node by node; on uneven nodes rank 0 is alone. */
static thaw_comm *on_nodes(int nodes, bool uneven)
{
    thaw_comm *comm = NULL;
    if (thaw_comm_split(world, 0, thaw_comm_rank(world), &comm) != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
    const int node = uneven ? comm->rank > 0 : comm->rank % nodes;
    MPI_Comm_free(&comm->node);
    if (comm->leaders != MPI_COMM_NULL)
        MPI_Comm_free(&comm->leaders);
    MPI_Comm_split(comm->mpi, node, comm->rank, &comm->node);
    MPI_Comm_rank(comm->node, &comm->node_rank);
    MPI_Comm_size(comm->node, &comm->node_size);
    MPI_Comm_split(comm->mpi, comm->node_rank == 0 ? 0 : MPI_UNDEFINED, comm->rank, &comm->leaders);
    comm->node_count = nodes;
    comm->node_first = uneven ? node : node * comm->node_size;
    comm->even_nodes = !uneven;
    return comm;
}

/* Sums on two levels, in all spreads, half of them in each exact mode. */
static void bits_do_not_depend_on_nodes(void **state)
{
    (void)state;
    static result alone[STEPS];
    static result here;
    const int size = thaw_comm_size(world);
    for (int nodes = 2; nodes < size; nodes++) {
        if (size % nodes != 0)
            continue;
        thaw_comm *comm = on_nodes(nodes, false);
        for (int mode = THAW_REDUCE_EXACT; mode <= THAW_REDUCE_EXACT64; mode++) {
            run_alone((thaw_reduce_mode)mode, alone);
            for (spread how = mode == THAW_REDUCE_EXACT ? CONTIGUOUS : ROUND_ROBIN;
                 how <= ALL_ON_LAST; how += 2) {
                const int64_t bucket = how == CONTIGUOUS ? 8000 : how == SCATTERED ? 1000 : 0;
                thaw_reducer *r =
                    make_for(comm, (thaw_reduce_mode)mode, THAW_TRAVEL_LEVELS, bucket);
                int64_t bytes, calls;
                bool equal = r->levels.on;
                for (int step = 0; step < STEPS; step++) {
                    const thaw_comm_counters before = thaw_comm_count(comm);
                    run_step(r, comm, how, step, &here);
                    thaw_reducer_plan(r, &bytes, &calls);
                    const thaw_comm_counters after = thaw_comm_count(comm);
                    const int passes = here.redone + 1;
                    equal = equal && same(&here, &alone[step]) &&
                            after.gradient_bytes - before.gradient_bytes == passes * bytes &&
                            after.gradient_calls - before.gradient_calls == passes * calls;
                }
                assert_all(equal);
                thaw_reducer_free(&r);
            }
        }
        thaw_comm_free(&comm);
    }
}

/* Left to the measurement, the bits are the same whatever it chooses; nodes with unlike numbers of ranks are summed as before. */
static void what_is_chosen_changes_no_bit(void **state)
{
    (void)state;
    static result alone[STEPS];
    static result here;
    const int size = thaw_comm_size(world);
    run_alone(THAW_REDUCE_EXACT, alone);
    for (int uneven = 0; uneven < 2; uneven++) {
        if (size < 4 || size % 2 != 0)
            return;
        thaw_comm *comm = on_nodes(2, uneven != 0);
        thaw_reducer *r = make_for(comm, THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 65536);
        bool equal = !(uneven && r->levels.on);
        for (int step = 0; step < STEPS; step++) {
            run_step(r, comm, CONTIGUOUS, step, &here);
            equal = equal && same(&here, &alone[step]);
        }
        assert_all(equal);
        thaw_reducer_free(&r);
        r = make_for(comm, THAW_REDUCE_EXACT, THAW_TRAVEL_LEVELS, 0);
        assert_all(r->levels.on == !uneven);
        thaw_reducer_free(&r);
        thaw_comm_free(&comm);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest levels[] = {
        cmocka_unit_test(bits_do_not_depend_on_nodes),
        cmocka_unit_test(what_is_chosen_changes_no_bit),
    };
    return mpi_test_main(argc, argv, levels);
}
