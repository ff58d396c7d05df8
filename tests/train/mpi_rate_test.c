/* thaw-test: timeout=60 ranks=1,2,4 modules=h5 */
#include "train/train_test.h"

#include <math.h>

/* A range test: rates grow by one factor, the loss is that after the update, what it says is stated by rule, and no rank count changes it. */

enum { STEPS = 40 };

static thaw_status test_rates(thaw_comm *comm, const char *rung, thaw_optim_part part, double high,
                              int64_t steps, thaw_rate_test *out)
{
    const char *const more[] = {rung, "rates.head=0.05", "train.epochs=1", NULL};
    const thaw_run_options options = {.quiet = true};
    task t;
    *out = (thaw_rate_test){.part = part, .low = 1e-5, .high = high, .steps = steps};
    assert_ok(open_task(comm, more, &t));
    const thaw_status status =
        thaw_train_rate_test(comm, &t.config, part == THAW_PART_HEAD ? 0 : 5, &options, out);
    close_task(&t);
    return status;
}

static void test_grows(void **state)
{
    (void)state;
    thaw_rate_test r;
    assert_ok(test_rates(world, "rung=frozen", THAW_PART_HEAD, 10, STEPS, &r));
    assert_all(r.taken > STEPS / 2 && r.taken <= STEPS);
    assert_all(r.rate[0] == 1e-5);
    for (int64_t i = 1; i < r.taken; i++)
        assert_all(fabs(r.rate[i] / r.rate[i - 1] / pow(1e6, 1.0 / (STEPS - 1)) - 1) < 1e-9);
    assert_all(r.taken == STEPS || r.diverged);
    thaw_rate_test_clear(&r);
}

/* The head learned at its own rate before; at rates that are next to nothing the backbone does not move, at absurd ones all is lost. */
static void test_backbone(void **state)
{
    (void)state;
    thaw_rate_test r;
    assert_ok(test_rates(world, "rung=full", THAW_PART_BACKBONE, 999, STEPS, &r));
    double most =
        0; /* batch norms keep it finite, and where it ends is chance that a kernel's last bit decides */
    for (int64_t i = STEPS / 2; i < r.taken; i++)
        most = fmax(most, r.smooth[i]);
    assert_all(most > r.smooth[STEPS / 4]);
    assert_all(isnan(r.suggested) || r.suggested < 10);
    thaw_rate_test_clear(&r);
}

/* Alone and by all ranks. */
static void test_any_ranks(void **state)
{
    (void)state;
    thaw_rate_test all;
    thaw_rate_test alone;
    thaw_comm *self = NULL;
    assert_ok(test_rates(world, "rung=full", THAW_PART_BACKBONE, 1, 20, &all));
    assert_ok(thaw_comm_split(world, thaw_comm_rank(world), 0, &self));
    assert_ok(test_rates(self, "rung=full", THAW_PART_BACKBONE, 1, 20, &alone));
    thaw_comm_free(&self);
    assert_all(all.taken == alone.taken);
    for (int64_t i = 0; i < all.taken; i++)
        assert_all(all.loss[i] == alone.loss[i] && all.smooth[i] == alone.smooth[i]);
    thaw_rate_test_clear(&alone);
    thaw_rate_test_clear(&all);
}

static void test_refusals(void **state)
{
    (void)state;
    thaw_rate_test r;
    assert_all(test_rates(world, "rung=frozen", THAW_PART_BACKBONE, 1, STEPS, &r) ==
               THAW_ERR_USAGE);
    thaw_rate_test_clear(&r);
    assert_all(test_rates(world, "rung=frozen", THAW_PART_HEAD, 1e-6, STEPS, &r) == THAW_ERR_USAGE);
    thaw_rate_test_clear(&r);
    assert_all(test_rates(world, "rung=frozen", THAW_PART_HEAD, 1, 3, &r) == THAW_ERR_USAGE);
    thaw_rate_test_clear(&r);
}

/* ---- The rule, on losses that are known ---- */

static void judge(double (*loss)(int64_t), thaw_rate_test *r, double *buffers)
{
    *r = (thaw_rate_test){.low = 1e-5,
                          .high = 1,
                          .steps = 101,
                          .taken = 101,
                          .rate = buffers,
                          .loss = buffers + 101,
                          .smooth = buffers + 202};
    for (int64_t i = 0; i < 101; i++) {
        r->rate[i] = 1e-5 * pow(1e5, (double)i / 100);
        r->loss[i] = loss(i);
    }
    thaw_rate_test_judge(r);
}

static double jitter(int64_t i)
{
    return i % 2 == 0 ? 0.01 : -0.01;
}

static double valley(int64_t i)
{
    return 2 + jitter(i) -
           (i < 40   ? 0
            : i < 70 ? (double)(i - 40) / 30
                     : 1) +
           (i > 80 ? (double)(i - 80) : 0);
}

static double level(int64_t i)
{
    return 2 + jitter(i);
}

/* The smoothed loss begins with one alone, which may be anything. */
static double outlier(int64_t i)
{
    return i == 0 ? 0.5 : level(i);
}

static double slope(int64_t i)
{
    return 2 + jitter(i) - (double)i / 100;
}

static void test_rule(void **state)
{
    (void)state;
    double buffers[303];
    thaw_rate_test r;
    judge(valley, &r, buffers);
    assert_all(r.least >= r.rate[70] && r.least <= r.rate[82] && !r.at_end);
    assert_all(r.suggested == 0.1 * r.least);
    assert_all(r.steepest >= r.rate[42] && r.steepest <= r.rate[72]);
    judge(level, &r, buffers);
    assert_all(isnan(r.least) && isnan(r.suggested));
    judge(outlier, &r, buffers);
    assert_all(isnan(r.suggested));
    judge(slope, &r, buffers);
    assert_all(r.at_end && r.least == r.rate[100]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test_setup_teardown(test_grows, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_backbone, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_any_ranks, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_refusals, make_task, remove_task)};
    return mpi_test_main(argc, argv, tests);
}
