/* Gradient sums in bfloat16: as near as promised; what is small stays exact. */
#include "mpi_test.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SHARDS = 24, LARGE = 10001, SMALL = 2048 };
static const int64_t sizes[] = {LARGE, SMALL};

static void make_shard(int shard, int tensor, float *out)
{
    thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, (uint32_t)tensor, (uint64_t)shard);
    for (int64_t i = 0; i < sizes[tensor]; i++)
        out[i] = (float)(thaw_rng_normal(&rng) * (i % 17 == 5 ? 1e-9 : i % 5 == 3 ? 1e20 : 1));
}

static int owner(int shard)
{
    return shard * thaw_comm_size(world) / SHARDS;
}

static thaw_reducer *make(thaw_reduce_mode mode, int travel)
{
    thaw_reducer *r = NULL;
    const thaw_reducer_options options = {
        .mode = mode, .travel = (thaw_reduce_travel)travel, .bucket_bytes = 800, .shards = SHARDS};
    assert_all(thaw_reducer_new(sizes, 2, &options, &r) == THAW_OK);
    assert_all(thaw_reducer_share(r, world) == THAW_OK);
    return r;
}

static bool in_shared_memory(int travel)
{
    return travel == THAW_TRAVEL_AUTO && thaw_comm_size(world) > 1;
}

/* Passes until the quanta of the small tensor fit. */
static void run_step(thaw_reducer *r, float *large, float *small)
{
    static float data[LARGE];
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    for (int pass = 0; outcome == THAW_REDUCE_REDO && pass < 3; pass++) {
        thaw_reducer_begin(r);
        for (int s = 0; s < SHARDS; s++) {
            for (int t = 0; t < 2 && owner(s) == thaw_comm_rank(world); t++) {
                make_shard(s, t, data);
                thaw_reducer_add(r, t, data);
            }
        }
        assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK);
    }
    assert_all(outcome == THAW_REDUCE_OK);
    thaw_reducer_get(r, 0, 0.5, large);
    thaw_reducer_get(r, 1, 0.5, small);
}

/* What an element may be off by: 2^-8 of the ranks' magnitudes each time it is rounded, and the rounding of their own sums in float. */
static void find_truth(int roundings, double *truth, double *allowed)
{
    static float data[LARGE];
    static double mine[LARGE];
    memset(truth, 0, LARGE * sizeof *truth);
    memset(allowed, 0, LARGE * sizeof *allowed);
    for (int rank = 0; rank < thaw_comm_size(world); rank++) {
        memset(mine, 0, sizeof mine);
        for (int s = 0; s < SHARDS; s++) {
            if (owner(s) != rank)
                continue;
            make_shard(s, 0, data);
            for (int64_t i = 0; i < LARGE; i++) {
                mine[i] += (double)data[i];
                allowed[i] += SHARDS * 0x1p-24 * fabs((double)data[i]);
            }
        }
        for (int64_t i = 0; i < LARGE; i++) {
            truth[i] += mine[i];
            allowed[i] += 1.02 * roundings * 0x1p-8 * fabs(mine[i]);
        }
    }
}

static void sums_are_as_near_as_promised(void **state)
{
    (void)state;
    static float large[LARGE], small[SMALL];
    static double truth[LARGE], allowed[LARGE];
    for (int travel = THAW_TRAVEL_AUTO; travel <= THAW_TRAVEL_AT_END; travel++) {
        thaw_reducer *r = make(THAW_REDUCE_BF16, travel);
        bool near = true;
        int64_t off_in_float = 0;
        find_truth(in_shared_memory(travel) ? 2 : thaw_comm_size(world), truth, allowed);
        run_step(r, large, small);
        for (int64_t i = 0; i < LARGE; i++) {
            const double off = fabs(2 * (double)large[i] - truth[i]);
            near = near && off <= allowed[i];
            off_in_float += off > 0x1p-12 * fabs(truth[i]);
        }
        assert_all(near);
        assert_all(off_in_float > LARGE / 2); /* it does travel in 8 bits */
        thaw_reducer_free(&r);
    }
}

static void small_tensors_are_exact(void **state)
{
    (void)state;
    static float large[LARGE], small[SMALL], exact[SMALL];
    thaw_reducer *r = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO);
    run_step(r, large, exact);
    thaw_reducer_free(&r);
    r = make(THAW_REDUCE_BF16, THAW_TRAVEL_AUTO);
    run_step(r, large, small);
    thaw_reducer_free(&r);
    assert_all(memcmp(small, exact, sizeof small) == 0);
}

/* Float's largest number lies beyond bfloat16's; no shard is to blame. */
static void a_sum_beyond_bf16_is_found(void **state)
{
    (void)state;
    static float data[LARGE] = {1, FLT_MAX};
    for (int travel = THAW_TRAVEL_AUTO; travel <= THAW_TRAVEL_AT_END; travel++) {
        thaw_reducer *r = make(THAW_REDUCE_BF16, travel);
        thaw_reduce_outcome outcome;
        thaw_reducer_begin(r);
        if (thaw_comm_rank(world) == thaw_comm_size(world) - 1)
            thaw_reducer_add(r, 0, data);
        assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK);
        assert_all(outcome == THAW_REDUCE_NOT_FINITE && thaw_reducer_culprit(r) == 0);
        thaw_reducer_free(&r);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest bf16[] = {
        cmocka_unit_test(sums_are_as_near_as_promised),
        cmocka_unit_test(small_tensors_are_exact),
        cmocka_unit_test(a_sum_beyond_bf16_is_found),
    };
    return mpi_test_main(argc, argv, bf16);
}
