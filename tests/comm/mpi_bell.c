#include "mpi_test.h"

/* One word from each speaker to each other: heard by those who look, matched for those who do not. */

static void ring_by(int ringer, bool trouble)
{
    thaw_bell *bell = NULL;
    const int rank = thaw_comm_rank(world);
    assert_int_equal(thaw_bell_new(world, true, &bell), THAW_OK);
    assert_false(thaw_bell_heard(bell) && !trouble);
    const int64_t before = thaw_alloc_count();
    if (rank == ringer)
        thaw_bell_ring(bell, world, trouble);
    else
        while (trouble && !thaw_bell_heard(bell)) {
        }
    assert_all(thaw_alloc_count() == before);
    assert_false(rank == ringer && thaw_bell_heard(bell));
    thaw_bell_end(&bell, world);
    assert_null(bell);
}

static void test_any_rings(void **state)
{
    (void)state;
    for (int ringer = 0; ringer < thaw_comm_size(world); ringer++) {
        ring_by(ringer, true);
        ring_by(ringer, false);
    }
}

/* All ring at once, twice; nobody looks. */
static void test_all_ring(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        thaw_bell *bell = NULL;
        assert_int_equal(thaw_bell_new(world, true, &bell), THAW_OK);
        thaw_bell_ring(bell, world, true);
        thaw_bell_ring(bell, world, false);
        thaw_bell_end(&bell, world);
    }
    thaw_bell *none = NULL;
    thaw_bell_end(&none, world);
}

/* Only even ranks speak; the others hear nothing and are not waited for. */
static void test_some_speak(void **state)
{
    (void)state;
    thaw_bell *bell = NULL;
    const int rank = thaw_comm_rank(world);
    const bool speaks = rank % 2 == 0;
    assert_int_equal(thaw_bell_new(world, speaks, &bell), THAW_OK);
    if (rank == 0)
        thaw_bell_ring(bell, world, true);
    while (speaks && rank > 0 && !thaw_bell_heard(bell)) {
    }
    assert_all(thaw_bell_heard(bell) == (speaks && rank > 0));
    thaw_bell_end(&bell, world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_rings),
        cmocka_unit_test(test_all_ring),
        cmocka_unit_test(test_some_speak),
    };
    return mpi_test_main(argc, argv, tests);
}
