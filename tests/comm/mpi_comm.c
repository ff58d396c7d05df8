/* Life, agreement, exchange, sub-groups and shared memory. */
#include "mpi_test.h"

#include <math.h>
#include <string.h>

static void agreement_takes_the_lowest_failing_rank(void **state)
{
    (void)state;
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    assert_all(thaw_agree(world, THAW_OK) == THAW_OK);
    for (int culprit = 0; culprit < size; culprit++) {
        thaw_error_clear();
        thaw_status mine = THAW_OK;
        if (rank >= culprit && (rank - culprit) % 2 == 0)
            mine =
                THAW_FAIL(rank == culprit ? THAW_ERR_INPUT : THAW_ERR_FAIL, "file %d is bad", rank);
        thaw_status all = thaw_agree(world, mine);
        char expected[64];
        /* Alone there is nobody else to be named against. */
        snprintf(expected, sizeof expected, size > 1 ? "rank %d: file %d is bad" : "file 0 is bad",
                 culprit, culprit);
        assert_all(all == THAW_ERR_INPUT);
        assert_all(strcmp(thaw_error_last()->message, expected) == 0);
        assert_all(thaw_error_last()->origin == culprit);
    }
}

static void agreement_names_nobody_when_all_fail(void **state)
{
    (void)state;
    thaw_status all = thaw_agree(world, THAW_FAIL(THAW_ERR_CONFIG, "no such key"));
    assert_all(all == THAW_ERR_CONFIG && strcmp(thaw_error_last()->message, "no such key") == 0);
    /* A second agreement on the same error changes nothing. */
    all = thaw_agree(world, all);
    assert_all(all == THAW_ERR_CONFIG && strcmp(thaw_error_last()->message, "no such key") == 0);
}

static void agreement_does_not_borrow_old_words(void **state)
{
    (void)state;
    (void)THAW_FAIL(THAW_ERR_INPUT, "long ago");
    thaw_status all = thaw_agree(world, THAW_ERR_NUMERIC);
    assert_all(all == THAW_ERR_NUMERIC);
    assert_all(strstr(thaw_error_last()->message, "long ago") == NULL);
}

static void equality_is_checked(void **state)
{
    (void)state;
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    const int64_t extremes[] = {0, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 4; i++)
        assert_all(thaw_same_int64(world, "it", extremes[i]) == THAW_OK);
    thaw_status status = thaw_same_int64(world, "width", rank == size - 1 ? 7 : 5);
    assert_all(status == (size == 1 ? THAW_OK : THAW_ERR_FAIL));
    if (size > 1)
        assert_all(strcmp(thaw_error_last()->message, "width differs between ranks: from 5 to 7") ==
                   0);
    thaw_digest d = thaw_hash("abc", 3);
    assert_all(thaw_same_digest(world, "it", d) == THAW_OK);
    d.high ^= (uint64_t)(rank == size - 1) << 63;
    assert_all((thaw_same_digest(world, "it", d) == THAW_OK) == (size == 1));
    char wanted[64];
    thaw_format(wanted, sizeof wanted, "it differs between ranks: rank %d on host ", size - 1);
    assert_all(size == 1 || thaw_starts_with(thaw_error_last()->message, wanted));
    const char *why = size == 2 ? "as many have one as have another" : "is not what most have";
    assert_all(size == 1 || strstr(thaw_error_last()->message, why) != NULL);
    /* The lowest can be the odd one, too. */
    d = thaw_hash("abc", (size_t)(rank == 0 ? 2 : 3));
    assert_all((thaw_same_digest(world, "it", d) == THAW_OK) == (size == 1));
    assert_all(size < 3 || strstr(thaw_error_last()->message, "ranks: rank 0 on") != NULL);
}

static void a_text_that_differs_is_named(void **state)
{
    (void)state;
    const int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    const bool other = rank > 0 && rank == size - 1;
    char wanted[64];
    assert_all(thaw_same_text(world, "the line", "train run.yaml --set seed=3") == THAW_OK);
    assert_all(thaw_same_text(world, "the line", "") == THAW_OK);
    const thaw_status status = thaw_same_text(
        world, "the line", other ? "train run.yaml --set seed=4" : "train run.yaml --set seed=3");
    assert_all(status == (size == 1 ? THAW_OK : THAW_ERR_USAGE));
    if (size == 1)
        return;
    const char *said = thaw_error_last()->message;
    snprintf(wanted, sizeof wanted, "rank %d: the line on host ", size - 1);
    assert_all(strncmp(said, wanted, strlen(wanted)) == 0);
    assert_all(strstr(said, "seed=4', but rank 0 on host ") != NULL);
    assert_all(strstr(said, "seed=3'; start the same") != NULL);
    /* A beginning of the other is another text too. */
    assert_all(thaw_same_text(world, "the version", other ? "0.1" : "0.1.2") == THAW_ERR_USAGE);
}

static void exchanges_carry_what_they_should(void **state)
{
    (void)state;
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    char text[16] = "";
    if (rank == size - 1)
        snprintf(text, sizeof text, "from the last");
    thaw_bcast(world, size - 1, text, sizeof text);
    assert_all(strcmp(text, "from the last") == 0);
    thaw_bcast(world, 0, NULL, 0);

    int64_t v[2] = {rank, -rank};
    thaw_allreduce_sum_int64(world, v, 2);
    assert_all(v[0] == (int64_t)size * (size - 1) / 2 && v[1] == -v[0]);
    int64_t most = rank, least = rank;
    thaw_allreduce_max_int64(world, &most, 1);
    thaw_allreduce_min_int64(world, &least, 1);
    assert_all(most == size - 1 && least == 0);
    double high = rank * 0.5, low = -rank * 0.5;
    thaw_allreduce_max_double(world, &high, 1);
    thaw_allreduce_min_double(world, &low, 1);
    assert_all(high == (size - 1) * 0.5 && low == -high);

    int32_t mine = 10 * rank, all[64];
    thaw_allgather(world, &mine, sizeof mine, all);
    bool right = true;
    for (int r = 0; r < size; r++)
        right = right && all[r] == 10 * r;
    assert_all(right);
}

static void uneven_parts_are_joined_in_rank_order(void **state)
{
    (void)state;
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    /* Rank 1 brings nothing. */
    int64_t n = rank == 1 ? 0 : rank + 1;
    char mine[64];
    memset(mine, 'a' + rank, sizeof mine);
    char *all = NULL;
    int64_t total = 0, offsets[65];
    int64_t live = thaw_alloc_live();
    thaw_status status = thaw_allgatherv(world, mine, n, (void **)&all, &total, offsets);
    assert_all(status == THAW_OK);
    bool right = offsets[0] == 0 && offsets[size] == total;
    for (int r = 0; r < size; r++) {
        right = right && offsets[r + 1] - offsets[r] == (r == 1 ? 0 : r + 1);
        for (int64_t i = offsets[r]; i < offsets[r + 1]; i++)
            right = right && all[i] == 'a' + r;
    }
    assert_all(right);
    thaw_free(&all);
    status = thaw_allgatherv(world, NULL, 0, (void **)&all, &total, NULL);
    assert_all(status == THAW_OK && all == NULL && total == 0);
    assert_all(thaw_alloc_live() == live);
}

static void fixed_sums_do_not_depend_on_who_adds_what(void **state)
{
    (void)state;
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    enum { N = 1000 };
    thaw_fixed alone = {0}, even = {0}, blocks = {0};
    double plain = 0;
    for (int i = 0; i < N; i++) {
        thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, (uint64_t)i);
        double x = thaw_rng_normal(&rng) * pow(10, i % 9 - 4);
        plain += x;
        thaw_fixed_add(&alone, x);
        if (i % size == rank)
            thaw_fixed_add(&even, x);
        if (i * size / N == rank)
            thaw_fixed_add(&blocks, x);
    }
    thaw_allreduce_sum_fixed(world, &even, 1);
    thaw_allreduce_sum_fixed(world, &blocks, 1);
    assert_all(memcmp(&alone, &even, sizeof alone) == 0 &&
               memcmp(&alone, &blocks, sizeof alone) == 0);
    /* Each term is off by at most 2^-41. */
    assert_all(fabs(thaw_fixed_value(&alone) - plain) < N * 0x1p-41 + 1e-9);
    thaw_fixed bad = {0};
    thaw_fixed_add(&bad, rank == size - 1 ? NAN : 1);
    thaw_allreduce_sum_fixed(world, &bad, 1);
    assert_all(isnan(thaw_fixed_value(&bad)) && bad.bad == 1);
}

static void sub_groups_are_their_own_world(void **state)
{
    (void)state;
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    thaw_comm *half = NULL;
    /* Reversed order inside a group; the last rank stays outside when there are more than two. */
    bool outside = size > 2 && rank == size - 1;
    thaw_status status = thaw_comm_split(world, outside ? -1 : rank % 2, -rank, &half);
    assert_all(status == THAW_OK && (half == NULL) == outside);
    if (half != NULL) {
        int64_t sum = 1;
        thaw_allreduce_sum_int64(half, &sum, 1);
        assert_int_equal(sum, thaw_comm_size(half));
        /* Memory is shared with who works elsewhere too. */
        assert_int_equal(thaw_comm_node_size(half), thaw_comm_size(half));
        assert_int_equal(thaw_comm_node_ranks(half), size);
        int first = rank;
        thaw_bcast(half, 0, &first, sizeof first);
        assert_true(first >= rank);
        assert_int_equal(first % 2, rank % 2);
        /* An error in a group stays there, and is named once by the rank that all know. */
        thaw_status mine = thaw_comm_rank(half) == 0 && rank % 2 == 1
                               ? THAW_FAIL(THAW_ERR_NUMERIC, "nan")
                               : THAW_OK;
        mine = thaw_agree(half, mine);
        assert_int_equal(mine, rank % 2 == 1 ? THAW_ERR_NUMERIC : THAW_OK);
    }
    thaw_comm_free(&half);
    assert_null(half);
    assert_all(thaw_comm_size(world) == size);
}

static void errors_of_a_group_reach_the_world_named_once(void **state)
{
    (void)state;
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    if (size < 4) {
        print_message("skipped: two groups of two need 4 ranks; the run on 4 has it\n");
        skip();
    }
    thaw_comm *half = NULL;
    assert_all(thaw_comm_split(world, rank / 2, 0, &half) == THAW_OK);
    thaw_status status =
        thaw_agree(half, rank == 3 ? THAW_FAIL(THAW_ERR_INPUT, "broken") : THAW_OK);
    status = thaw_agree(world, status);
    assert_all(status == THAW_ERR_INPUT &&
               strcmp(thaw_error_last()->message, "rank 3: broken") == 0);
    thaw_comm_free(&half);
}

static void a_host_program_can_lend_its_communicator(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    MPI_Comm pair;
    int rank = thaw_comm_rank(world);
    MPI_Comm_split(MPI_COMM_WORLD, rank / 2, 0, &pair);
    thaw_comm *lent = NULL;
    assert_all(thaw_comm_from_mpi(&pair, &lent) == THAW_OK);
    int size = 0;
    MPI_Comm_size(pair, &size);
    assert_int_equal(thaw_comm_size(lent), size);
    thaw_barrier(lent);
    thaw_comm_stop(&lent);
    MPI_Comm_free(&pair);
    int over = 0;
    MPI_Finalized(&over);
    assert_all(!over && thaw_alloc_live() == live);
    assert_all(thaw_comm_from_mpi(NULL, &lent) == THAW_ERR_USAGE);
}

static void calls_and_bytes_are_counted(void **state)
{
    (void)state;
    thaw_comm_counters a = thaw_comm_count(world);
    int64_t x[5] = {0};
    thaw_bcast(world, 0, x, sizeof x);
    thaw_allreduce_sum_int64(world, x, 5);
    char all[64 * 3];
    thaw_allgather(world, "abc", 3, all);
    thaw_barrier(world);
    thaw_comm_counters b = thaw_comm_count(world);
    assert_all(b.bcast_calls - a.bcast_calls == 1 && b.bcast_bytes - a.bcast_bytes == 40);
    assert_all(b.allreduce_calls - a.allreduce_calls == 1 &&
               b.allreduce_bytes - a.allreduce_bytes == 40);
    assert_all(b.gather_calls - a.gather_calls == 1 && b.gather_bytes - a.gather_bytes == 3);
    assert_all(b.barrier_calls - a.barrier_calls == 1 && b.gradient_calls == a.gradient_calls);
}

static void a_node_keeps_one_copy(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    const int64_t sizes[] = {0, 1, 4096, 1 << 20};
    for (size_t i = 0; i < 4; i++) {
        thaw_shared *shared = NULL;
        assert_all(thaw_shared_new(world, sizes[i], &shared) == THAW_OK);
        unsigned char *data = thaw_shared_data(shared);
        int64_t writers = thaw_shared_writer(shared);
        thaw_allreduce_sum_int64(world, &writers, 1);
        assert_all(thaw_shared_is_private(shared) || writers == thaw_comm_node_count(world));
        bool zero = true;
        for (int64_t k = 0; k < sizes[i]; k++)
            zero = zero && data[k] == 0;
        assert_all(zero && ((uintptr_t)data & 63) == 0 && (data == NULL) == (sizes[i] == 0));
        if (thaw_shared_writer(shared))
            for (int64_t k = 0; k < sizes[i]; k++)
                data[k] = (unsigned char)(k * 7 + 1);
        thaw_shared_publish(world, shared);
        bool right = true;
        for (int64_t k = 0; k < sizes[i]; k++)
            right = right && data[k] == (unsigned char)(k * 7 + 1);
        assert_all(right);
        thaw_shared_free(&shared);
        assert_null(shared);
    }
    assert_all(thaw_alloc_live() == live);
}

/* Rank 0's bytes are everybody's, and only those that were asked for. */
static void what_rank_0_reads_is_everywhere(void **state)
{
    (void)state;
    thaw_shared *shared = NULL;
    assert_all(thaw_shared_new(world, 1000, &shared) == THAW_OK);
    unsigned char *data = thaw_shared_data(shared);
    assert_all(thaw_comm_rank(world) != 0 || thaw_shared_writer(shared));
    assert_all(thaw_shared_bytes(shared) == 1000);
    if (thaw_comm_rank(world) == 0)
        memset(data + 100, 7, 500);
    thaw_shared_spread(world, shared, 100, 500);
    bool right = true;
    for (int k = 0; k < 1000; k++)
        right = right && data[k] == (k >= 100 && k < 600 ? 7 : 0);
    assert_all(right);
    thaw_barrier(world);
    thaw_shared_free(&shared);
}

/* All ranks fill, each its part; the parts are everything once; the last item is cut. */
static void parts_become_the_whole(void **state)
{
    (void)state;
    const int64_t counts[] = {1, 2, 7, 64};
    for (size_t i = 0; i < 4; i++) {
        const int64_t unit = 12;
        const int64_t bytes = counts[i] * unit - 5;
        thaw_shared *shared = NULL;
        int64_t begin, end;
        thaw_shared_part(world, counts[i], &begin, &end);
        int64_t mine = end - begin;
        thaw_allreduce_sum_int64(world, &mine, 1);
        assert_all(mine == counts[i]);
        assert_all(thaw_shared_new(world, bytes, &shared) == THAW_OK);
        unsigned char *data = thaw_shared_data(shared);
        for (int64_t k = begin * unit; k < end * unit && k < bytes; k++)
            data[k] = (unsigned char)(3 * k + 1);
        thaw_shared_join(world, shared, counts[i], unit, bytes);
        bool right = true;
        for (int64_t k = 0; k < bytes; k++)
            right = right && data[k] == (unsigned char)(3 * k + 1);
        assert_all(right);
        thaw_shared_free(&shared);
    }
}

/* try says no instead of making copies; one rank alone on its node needs no segment. */
static void trying_makes_no_copies(void **state)
{
    (void)state;
    thaw_shared *shared = NULL;
    assert_all(thaw_shared_try(world, 4096, &shared) == THAW_OK);
    assert_all(shared == NULL || thaw_comm_size(world) == thaw_comm_node_count(world) ||
               !thaw_shared_is_private(shared));
    thaw_shared_free(&shared);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest comm[] = {
        cmocka_unit_test(agreement_takes_the_lowest_failing_rank),
        cmocka_unit_test(agreement_names_nobody_when_all_fail),
        cmocka_unit_test(agreement_does_not_borrow_old_words),
        cmocka_unit_test(equality_is_checked),
        cmocka_unit_test(a_text_that_differs_is_named),
        cmocka_unit_test(exchanges_carry_what_they_should),
        cmocka_unit_test(uneven_parts_are_joined_in_rank_order),
        cmocka_unit_test(fixed_sums_do_not_depend_on_who_adds_what),
        cmocka_unit_test(sub_groups_are_their_own_world),
        cmocka_unit_test(errors_of_a_group_reach_the_world_named_once),
        cmocka_unit_test(a_host_program_can_lend_its_communicator),
        cmocka_unit_test(calls_and_bytes_are_counted),
        cmocka_unit_test(a_node_keeps_one_copy),
        cmocka_unit_test(what_rank_0_reads_is_everywhere),
        cmocka_unit_test(parts_become_the_whole),
        cmocka_unit_test(trying_makes_no_copies),
    };
    return mpi_test_main(argc, argv, comm);
}
