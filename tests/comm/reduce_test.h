/* What the tests of gradient sums share: shards of made numbers, steps over them, and the truth of one rank. Included once a program. */
#ifndef THAW_TESTS_REDUCE_TEST_H
#define THAW_TESTS_REDUCE_TEST_H

#include "mpi_test.h"

#include <string.h>

enum { SHARDS = 24, TENSORS = 7, COUNTS = 2, SUMS = 2, STEPS = 5 };
static const int64_t sizes[TENSORS] = {3, 0, 1000, 1, 257, 16385, 40};
/* The tensor that mode exact sums in 32 bits. */
enum { NARROW = 5, LARGEST = 16385, SMALL = 3 + 1000 + 1 + 257 + 40, ALL = SMALL + LARGEST };

/* Numbers for the large tensor, drawn once. */
static inline double prepared(int shard, int64_t i)
{
    static float normals[SHARDS][LARGEST];
    if (normals[0][0] == 0) {
        thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, 0, 1);
        for (int64_t k = 0; k < (int64_t)SHARDS * LARGEST; k++)
            normals[k / LARGEST][k % LARGEST] = (float)thaw_rng_normal(&rng);
    }
    return (double)normals[shard][i % LARGEST];
}

/* What shard s of a step brings for a tensor: from denormal to huge, with zeros of both signs, and jumps between the steps. */
static inline void make_shard(int step, int shard, int tensor, float *out)
{
    thaw_rng rng =
        thaw_rng_make(7, THAW_RNG_TEST, (uint32_t)step, (uint64_t)(shard * 100 + tensor));
    static const float scale[STEPS][TENSORS] = {
        {1, 1, 1e-3F, 1e-41F, 1e30F, 1, 0},
        {1, 1, 1e-2F, 1e-41F, 1e30F, 4, 0},
        {1, 1, 1e5F, 1e-38F, 1e12F, 1e4F, 1e-30F}, /* too large for the quanta of the step before */
        {1, 1, 1e-4F, 1, 1, 5e3F, 1},
        {1, 1, 1e-4F, 1e-7F, 1, 1e-3F, 0}, /* too small for them */
    };
    for (int64_t i = 0; i < sizes[tensor]; i++) {
        double x = tensor == NARROW ? prepared(shard, i + 7919 * step) : thaw_rng_normal(&rng);
        if (i % 11 == 3)
            x = shard % 2 == 0 ? 0.0 : -0.0;
        if (i % 17 == 5)
            x *= 1e-9;
        out[i] = (float)(x * scale[step][tensor]);
    }
}

typedef struct result {
    float out[ALL];
    int32_t exponents[TENSORS];
    int64_t count;
    double sum;
    int redone;
} result;

/* Which ranks run which shards. */
typedef enum spread { CONTIGUOUS, ROUND_ROBIN, SCATTERED, ALL_ON_LAST } spread;

static inline int owner(spread how, int shard, int size)
{
    if (how == ROUND_ROBIN)
        return shard % size;
    if (how == SCATTERED)
        return (int)(thaw_mix(3, (uint64_t)shard) % (uint64_t)size);
    if (how == ALL_ON_LAST)
        return size - 1;
    return shard * size / SHARDS;
}

static inline thaw_status one_pass(thaw_reducer *r, thaw_comm *comm, spread how, int step,
                                   thaw_reduce_outcome *outcome)
{
    float data[LARGEST];
    int rank = thaw_comm_rank(comm), size = thaw_comm_size(comm), last = -1;
    for (int s = 0; s < SHARDS; s++)
        last = owner(how, s, size) == rank ? s : last;
    thaw_reducer_begin(r);
    for (int s = 0; s < SHARDS; s++) {
        if (owner(how, s, size) != rank)
            continue;
        thaw_reducer_add_count(r, 0, 10 + s);
        thaw_reducer_add_sum(r, 1, 0.1 * s);
        /* Backward need not produce tensors in list order. */
        for (int t = TENSORS - 1; t >= 0; t--) {
            make_shard(step, s, t, data);
            thaw_reducer_add(r, t, data);
            if (s == last)
                thaw_reducer_ready(r, comm, t);
            thaw_reducer_progress(r, comm);
        }
    }
    return thaw_reducer_finish(r, comm, outcome);
}

static inline void run_step(thaw_reducer *r, thaw_comm *comm, spread how, int step, result *out)
{
    thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
    for (out->redone = -1; outcome == THAW_REDUCE_REDO && out->redone < 3; out->redone++) {
        if (one_pass(r, comm, how, step, &outcome) != THAW_OK)
            fail_msg("%s", thaw_error_last()->message);
    }
    assert_int_equal(outcome, THAW_REDUCE_OK);
    float *at = out->out;
    for (int t = 0; t < TENSORS; t++) {
        thaw_reducer_get(r, t, 1.0 / 3, at);
        at += sizes[t];
    }
    memcpy(out->exponents, thaw_reducer_exponents(r), sizeof out->exponents);
    out->count = thaw_reducer_count(r, 0);
    out->sum = thaw_reducer_sum(r, 1);
}

static inline thaw_reducer *make_for(thaw_comm *comm, thaw_reduce_mode mode,
                                     thaw_reduce_travel travel, int64_t bucket_bytes)
{
    thaw_reducer *r = NULL;
    thaw_reducer_options options = {.mode = mode,
                                    .travel = travel,
                                    .bucket_bytes = bucket_bytes,
                                    .shards = SHARDS,
                                    .counts = COUNTS,
                                    .sums = SUMS};
    if (thaw_reducer_new(sizes, TENSORS, &options, &r) != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
    /* With THAW_TRAVEL_AUTO the sums go through shared memory from 2 ranks on. */
    if (thaw_reducer_share(r, comm) != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
    return r;
}

static inline thaw_reducer *make(thaw_reduce_mode mode, thaw_reduce_travel travel,
                                 int64_t bucket_bytes)
{
    return make_for(world, mode, travel, bucket_bytes);
}

/* The truth: all shards on one rank. */
static inline void run_alone(thaw_reduce_mode mode, result out[STEPS])
{
    thaw_comm *self = NULL;
    if (thaw_comm_split(world, thaw_comm_rank(world), 0, &self) != THAW_OK)
        fail();
    thaw_reducer *r = make_for(self, mode, THAW_TRAVEL_AUTO, 0);
    for (int step = 0; step < STEPS; step++)
        run_step(r, self, CONTIGUOUS, step, &out[step]);
    thaw_reducer_free(&r);
    thaw_comm_free(&self);
}

static inline bool same(const result *a, const result *b)
{
    return memcmp(a->out, b->out, sizeof a->out) == 0 &&
           memcmp(a->exponents, b->exponents, sizeof a->exponents) == 0 && a->count == b->count &&
           memcmp(&a->sum, &b->sum, sizeof a->sum) == 0 && a->redone == b->redone;
}

#endif
