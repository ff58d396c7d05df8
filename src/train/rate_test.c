#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* The learning-rate range test: a trainer as thaw_train_run has it, whose rates are set before each step. */

#define NEWEST_SHARE 0.1 /* about ten steps: short beside a decade of rates */
#define BLOWN_UP     4.0 /* of the least smoothed loss; Howard & Gugger 2020 stop there, too */
#define BACK_OFF     0.1 /* the least loss is where it is about to rise */

enum { LEAST_STEPS = 20, MOST_STEPS = 100000 };

/* ---- What the losses say ---- */

typedef struct running {
    double sum, weight, least;
} running;

static const running nothing = {.least = INFINITY};

/* The smoothed loss with one more; least is that of what came. */
static double take(running *r, double loss)
{
    r->sum += NEWEST_SHARE * (loss - r->sum);
    r->weight += NEWEST_SHARE * (1 - r->weight);
    r->least = fmin(r->least, r->sum / r->weight);
    return r->sum / r->weight;
}

/* Of the first tenth, where rates are too low to learn. */
static double start_limit(const thaw_rate_test *t)
{
    const int64_t n = t->steps / 10 < t->taken ? t->steps / 10 : t->taken;
    double mean = 0;
    double squares = 0;
    for (int64_t i = 0; i < n; i++)
        mean += t->loss[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (t->loss[i] - mean) * (t->loss[i] - mean);
    return mean - (n > 1 ? sqrt(squares / (double)(n - 1)) : 0);
}

/* Rates lie evenly along their logarithm, so differences of neighbours are slopes; over five, since one is noise. */
static int64_t find_steepest(const thaw_rate_test *t, int64_t last)
{
    const int64_t span = 5;
    int64_t best = last;
    double most = 0;
    for (int64_t i = span; i <= last; i++) {
        const double fall = t->smooth[i - span] - t->smooth[i];
        if (fall > most) {
            most = fall;
            best = i - span / 2;
        }
    }
    return best;
}

void thaw_rate_test_judge(thaw_rate_test *t)
{
    int64_t best = -1;
    t->least = t->steepest = t->suggested = NAN;
    t->at_end = false;
    running r = nothing;
    for (int64_t i = 0; i < t->taken; i++) {
        t->smooth[i] = take(&r, t->loss[i]);
        if (i >= t->steps / 10 && isfinite(t->smooth[i]) &&
            (best < 0 || t->smooth[i] < t->smooth[best]))
            best = i;
    }
    if (best < 0 || !(t->smooth[best] < start_limit(t)))
        return;
    t->least = t->rate[best];
    t->steepest = t->rate[find_steepest(t, best)];
    t->suggested = BACK_OFF * t->least;
    t->at_end = best == t->steps - 1;
}

/* ---- Steps ---- */

static void set_rate(thaw_trainer *t, const thaw_rate_test *test, double rate)
{
    thaw_rates rates = t->config->rates; /* borrows */
    double *const parts[] = {&rates.head, &rates.backbone, &rates.adapter};
    if (rates.adapter < 0)
        rates.adapter = rates.head;
    *parts[test->part] = rate;
    rates = thaw_rates_at(&rates, t->config->train.batch);
    thaw_optimizer_set_rates(t->optimizer, &rates);
}

/* What an update did is seen in the loss of the step after it, so one more is taken. */
static thaw_status climb(thaw_trainer *t, thaw_comm *comm, int64_t warmup, thaw_rate_test *test)
{
    const double factor = pow(test->high / test->low, 1.0 / (double)(test->steps - 1));
    running r = nothing;
    set_rate(t, test, 0);
    for (int64_t i = 0; i < warmup; i++)
        THAW_TRY(thaw_trainer_try_step(t, comm));
    for (int64_t i = 0; i <= test->steps && !test->diverged; i++) {
        const double rate = test->low * pow(factor, (double)i);
        set_rate(t, test, i < test->steps ? rate : 0);
        const thaw_status status = thaw_trainer_try_step(t, comm);
        if (status == THAW_ERR_NUMERIC && i > 0) { /* uniform: the outcome of the sums */
            test->diverged = true;
            test->loss[test->taken - 1] = NAN;
            break;
        }
        THAW_TRY(status); /* uniform */
        if (i > 0) {
            test->loss[test->taken - 1] = t->last_loss;
            const double smoothed = take(&r, t->last_loss);
            test->diverged = !(smoothed <= BLOWN_UP * r.least);
        }
        if (i < test->steps && !test->diverged)
            test->rate[test->taken++] = rate;
    }
    return THAW_OK;
}

static bool trains(const thaw_trainer *t, thaw_optim_part part)
{
    thaw_rates rates = {.layer_decay = 1};
    double *const parts[] = {&rates.head, &rates.backbone, &rates.adapter};
    bool any = false;
    *parts[part] = 1;
    thaw_optimizer_set_rates(t->optimizer, &rates);
    for (int32_t i = 0; i < thaw_optimizer_count(t->optimizer); i++)
        any = any || thaw_optimizer_rate(t->optimizer, i) > 0;
    return any;
}

static thaw_status open_and_climb(thaw_comm *comm, const thaw_config *config, int64_t warmup,
                                  const thaw_run_options *options, thaw_rate_test *test)
{
    static const char *const names[] = {"head", "backbone", "adapter"};
    thaw_setup setup;
    thaw_trainer trainer = {0};
    THAW_TRY(thaw_setup_open(comm, config, config->rung, THAW_SETUP_TRAIN, &setup));
    thaw_status status;
    THAW_TRY_TO(thaw_choices_begin(comm, &setup, options->choices_from, NULL));
    THAW_TRY_TO(thaw_ranges_open(comm, &setup, options->pool));
    THAW_TRY_TO(thaw_trainer_open(comm, &setup, options, NULL, &trainer));
    if (thaw_comm_rank(comm) == 0 && options->choices_from == NULL)
        thaw_choices_keep(&setup); /* the next start has the same kernels, and so the same bits */
    status = trains(&trainer, test->part)
                 ? climb(&trainer, comm, warmup, test)
                 : THAW_FAIL(THAW_ERR_USAGE, "rung %s trains no %s whose rate could be tested",
                             config->rung, names[test->part]);
    thaw_trainer_close(&trainer);
done:
    thaw_setup_close(&setup);
    return status;
}

static thaw_status check(const thaw_rate_test *t)
{
    THAW_CHECK(t->low > 0 && t->high > t->low && isfinite(t->high), THAW_ERR_USAGE,
               "a range test from rate %g to %g: it has to grow from above 0", t->low, t->high);
    THAW_CHECK(t->steps >= LEAST_STEPS && t->steps <= MOST_STEPS, THAW_ERR_USAGE,
               "a range test of %lld steps: %d to %d are wanted", (long long)t->steps, LEAST_STEPS,
               MOST_STEPS);
    return THAW_OK;
}

static thaw_status allocate(thaw_rate_test *t)
{
    THAW_TRY(thaw_alloc(&t->rate, t->steps, sizeof *t->rate));
    THAW_TRY(thaw_alloc(&t->loss, t->steps, sizeof *t->loss));
    return thaw_alloc(&t->smooth, t->steps, sizeof *t->smooth);
}

thaw_status thaw_train_rate_test(thaw_comm *comm, const thaw_config *config, int64_t warmup,
                                 const thaw_run_options *options, thaw_rate_test *out)
{
    const double begun = thaw_seconds();
    thaw_watchdog *watchdog = NULL;
    thaw_config flat = *config; /* borrows */
    *out = (thaw_rate_test){
        .part = out->part, .low = out->low, .high = out->high, .steps = out->steps};
    THAW_TRY(check(out)); /* uniform */
    /* Enough epochs for read-ahead, however few samples there are; the rate is what is set. */
    flat.train.epochs += warmup + out->steps + 1;
    thaw_schedule_defaults(&flat.schedule);
    while (strcmp(thaw_schedule_names()[flat.schedule.kind], "constant") != 0)
        flat.schedule.kind++;
    THAW_TRY(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    const char *phase = thaw_beat_phase("testing rates");
    thaw_status status = thaw_agree(comm, allocate(out));
    if (status == THAW_OK)
        status = open_and_climb(comm, &flat, warmup, options, out);
    if (status == THAW_OK)
        thaw_rate_test_judge(out);
    thaw_beat_phase(phase);
    thaw_watchdog_stop(&watchdog);
    out->seconds = thaw_seconds() - begun;
    return status;
}

void thaw_rate_test_clear(thaw_rate_test *test)
{
    thaw_free(&test->smooth);
    thaw_free(&test->loss);
    thaw_free(&test->rate);
    *test = (thaw_rate_test){0};
}
