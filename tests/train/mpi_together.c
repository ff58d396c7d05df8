/* thaw-test: timeout=90 ranks=1,2,3 modules=h5 */
#include "train/train_test.h"

#include "thaw/ckpt.h"

/* Runs side by side on one frozen prefix leave what each would have left alone, bit for bit, and the prefix runs once for all. */

enum { MOST = 4 };

/* With adapters in the first layers there would be no prefix. */
static const char *const deep = "peft.targets=[layer3.*]";
static const char *const rungs[] = {"rung=frozen", "rung=peft", "rung=partial:1"};

/* ---- One step ---------------------------------------------------------------------------------------------------- */

typedef struct member {
    thaw_config config;
    thaw_setup setup;
    thaw_trainer trainer;
} member;

static void set_rates(thaw_config *config, int i)
{
    config->rates.head = 0.1 / (1 << i);
    config->rates.backbone = 0.02 / (1 << i);
}

static void join_task(task *lead, int i, member *out)
{
    memset(out, 0, sizeof *out);
    assert_ok(thaw_agree(world, thaw_config_copy(&lead->config, &out->config)));
    set_rates(&out->config, i);
    assert_ok(thaw_setup_join(world, &lead->setup, &out->config, &out->setup));
    assert_ok(thaw_trainer_open(world, &out->setup, &lead->options, &lead->trainer, &out->trainer));
}

static thaw_digest digest_of(const thaw_trainer *t)
{
    thaw_digest digest = {0};
    if (thaw_state_digest(&t->trained, &digest) != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
    return digest;
}

/* What each rate gives alone, after `steps` steps. */
static void train_alone(const char *rung, int steps, thaw_digest digests[MOST])
{
    for (int i = 0; i < MOST; i++) {
        char head[40];
        char backbone[40];
        const char *const more[] = {rung, deep, head, backbone, NULL};
        task t;
        thaw_format(head, sizeof head, "rates.head=%.17g", 0.1 / (1 << i));
        thaw_format(backbone, sizeof backbone, "rates.backbone=%.17g", 0.02 / (1 << i));
        assert_ok(open_task(world, more, &t));
        for (int step = 0; step < steps; step++)
            assert_ok(thaw_trainer_step(&t.trainer, world));
        digests[i] = digest_of(&t.trainer);
        close_task(&t);
    }
}

static int64_t allowed_passes(const thaw_trainer *t)
{
    return t->config->train.shards / thaw_comm_size(world);
}

/* One collective and one run of the prefix a shard, however many there are. */
static void check_steps(const char *rung)
{
    enum { STEPS = 4 };
    const char *const more[] = {rung, deep, NULL};
    thaw_digest alone[MOST];
    static task t;
    static member others[MOST];
    thaw_trainer *members[MOST] = {&t.trainer};
    thaw_team team = {.members = members, .count = MOST};
    train_alone(rung, STEPS, alone);
    assert_ok(open_task(world, more, &t));
    for (int i = 1; i < MOST; i++) {
        join_task(&t, i, &others[i]);
        members[i] = &others[i].trainer;
    }
    assert_ok(thaw_team_open_reducer(world, &team));
    for (int step = 0; step < STEPS; step++) {
        bool taken = false;
        const thaw_comm_counters before = thaw_comm_count(world);
        const int64_t passes = t.trainer.prefix.passes;
        assert_ok(thaw_team_step(&team, world, &taken));
        const thaw_comm_counters after = thaw_comm_count(world);
        const int64_t tries = after.gradient_calls - before.gradient_calls;
        assert_all(taken);
        assert_all(tries == 1 || (step == 0 && tries == 2)); /* quanta are found in the first */
        assert_all(t.trainer.prefix.passes - passes == tries * allowed_passes(&t.trainer));
        assert_all(after.allreduce_calls - before.allreduce_calls == (tries == 1 ? 0 : 1));
        assert_all(after.bcast_calls == before.bcast_calls);
        assert_all(after.gather_calls == before.gather_calls);
        assert_all(after.barrier_calls == before.barrier_calls);
        assert_all(t.trainer.bytes_per_step == t.trainer.payload_bytes);
    }
    for (int i = 0; i < MOST; i++)
        assert_all(thaw_digest_equal(digest_of(members[i]), alone[i]));
    for (int i = 1; i < MOST; i++)
        assert_all(others[i].setup.weights == t.setup.weights &&
                   others[i].trainer.prefix.passes == 0);
    thaw_reducer_free(&team.reducer);
    for (int i = MOST - 1; i > 0; i--) {
        thaw_trainer_close(&others[i].trainer);
        thaw_setup_close(&others[i].setup);
        thaw_config_clear(&others[i].config);
    }
    close_task(&t);
}

static void test_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++)
        check_steps(rungs[i]);
}

/* ---- Whole runs -------------------------------------------------------------------------------------------------- */

/* "<folder>/<name><i>", or with "together<i>" the run to be compared with it. */
static void make_config(const char *name, int i, const char *const *more, thaw_config *out)
{
    char text[1000];
    char *items[32];
    thaw_strings overrides = {items, 0};
    for (; *more != NULL; more++)
        items[overrides.count++] = (char *)*more;
    thaw_format(
        text, sizeof text,
        "output: %s/%s%d\n"
        "data: {file: %s/data.h5, gate: \"\", test: \"\", augment: {crop_padding: 1, flip: true}}\n"
        "model: {backbone: %s/backbone.h5, head_dropout: 0.2}\n"
        "train: {epochs: 3, batch: 24, shards: 24, eval_batch: 16, log_every: 1}\n"
        "peft: {rank: 2, dropout: 0.1}\n",
        folder, name, i, folder, folder);
    memset(out, 0, sizeof *out);
    assert_ok(thaw_agree(world, thaw_config_parse("test", text, strlen(text), &overrides, out)));
    set_rates(out, i);
}

static void read_summary(const thaw_config *config, thaw_json **out)
{
    thaw_str path = {0};
    assert_ok(thaw_json_read(thaw_run_path(config->output, "summary.json", &path), out));
    thaw_str_clear(&path);
}

static void same_summaries(const thaw_config *a, const thaw_config *b)
{
    static const char *const numbers[] = {"val.loss",
                                          "val.accuracy",
                                          "train.loss",
                                          "selected_epoch",
                                          "steps",
                                          "epochs",
                                          "allreduce_bytes_per_step",
                                          "planned_bytes_per_rank",
                                          "arena_bytes",
                                          "drift.cka",
                                          "slices.class:ash.val.accuracy",
                                          "rates.head"};
    thaw_json *x = NULL;
    thaw_json *y = NULL;
    read_summary(a, &x);
    read_summary(b, &y);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const double left = thaw_json_double_or(x, numbers[i], -7);
        const double right = thaw_json_double_or(y, numbers[i], -7);
        if (left != right)
            fail_msg("%s: %g and %g", numbers[i], left, right);
        if (left == -7 && strcmp(numbers[i], "drift.cka") != 0)
            fail_msg("%s: not there", numbers[i]);
    }
    assert_string_equal(thaw_json_string_or(x, "state_digest", "x"),
                        thaw_json_string_or(y, "state_digest", "y"));
    thaw_json_free(&y);
    thaw_json_free(&x);
}

/* Weights, selected weights, optimizer, quanta, sums: all but clocks. */
static void same_states(const thaw_config *a, const thaw_config *b)
{
    thaw_str path = {0};
    thaw_state x = {0};
    thaw_state y = {0};
    assert_ok(thaw_ckpt_read(world, thaw_run_path(a->output, "adaptation.h5", &path), &x, NULL));
    assert_ok(thaw_ckpt_read(world, thaw_run_path(b->output, "adaptation.h5", &path), &y, NULL));
    assert_all(x.count == y.count);
    for (int64_t i = 0; i < x.count; i++) {
        const thaw_tensor *right = thaw_state_find(&y, x.entries[i].name);
        const thaw_tensor *left = &x.entries[i].tensor;
        assert_non_null(right);
        if (!thaw_starts_with(x.entries[i].name, "time/") &&
            memcmp(left->data, right->data, thaw_tensor_bytes(left)) != 0)
            fail_msg("%s differs", x.entries[i].name);
    }
    thaw_state_clear(&y);
    thaw_state_clear(&x);
    thaw_str_clear(&path);
}

static int64_t rows_of(const thaw_config *config)
{
    thaw_str path = {0};
    thaw_str text = {0};
    int64_t rows = 0;
    assert_ok(thaw_file_read(thaw_run_path(config->output, "metrics.jsonl", &path), &text));
    for (size_t i = 0; i < text.length; i++)
        rows += text.data[i] == '\n';
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return rows;
}

static void same_runs(const thaw_config *a, const thaw_config *b)
{
    same_summaries(a, b);
    same_states(a, b);
    assert_all(rows_of(a) == rows_of(b));
}

static int64_t company_of(const thaw_config *config)
{
    thaw_json *summary = NULL;
    read_summary(config, &summary);
    const double company = thaw_json_double_or(summary, "trained_together", 1);
    thaw_json_free(&summary);
    return (int64_t)company;
}

static const thaw_run_options quiet = {.quiet = true, .overwrite = true};
static const thaw_run_options resume = {.quiet = true, .resume = true};

typedef struct pair {
    thaw_config alone[MOST], together[MOST];
} pair;

static void make_pair(const char *const *more, pair *p)
{
    for (int i = 0; i < MOST; i++) {
        make_config("alone", i, more, &p->alone[i]);
        make_config("together", i, more, &p->together[i]);
    }
}

static void clear_pair(pair *p)
{
    for (int i = 0; i < MOST; i++) {
        thaw_config_clear(&p->alone[i]);
        thaw_config_clear(&p->together[i]);
    }
}

static void check_runs(const char *const *more, int64_t company)
{
    static pair p;
    thaw_error outcomes[MOST];
    make_pair(more, &p);
    for (int i = 0; i < MOST; i++)
        assert_ok(thaw_train_run(world, &p.alone[i], &quiet));
    assert_ok(thaw_train_together(world, p.together, MOST, &quiet, outcomes));
    for (int i = 0; i < MOST; i++) {
        assert_all(outcomes[i].code == THAW_OK);
        assert_all(company_of(&p.together[i]) == company);
        same_runs(&p.alone[i], &p.together[i]);
    }
    clear_pair(&p);
}

/* Early stopping ends them at different steps, so that the team shrinks on the way. */
static void test_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
        const char *const more[] = {rungs[i], deep, "train.early_stopping=1",
                                    "optimizer.clip_norm=1", NULL};
        check_runs(more, MOST);
    }
}

/* The prefix in 8 bits, where this machine has them. */
static void test_int8(void **state)
{
    (void)state;
    const char *const more[] = {"rung=partial:1", "train.frozen_precision=int8", "train.epochs=2",
                                NULL};
    thaw_kern *kern = NULL;
    assert_ok(thaw_kern_open("auto", &kern));
    const bool has = kern->has_int8;
    thaw_kern_close(&kern);
    if (!has) {
        print_message("skipped: 8-bit convolutions need oneDNN and a CPU with AVX-512 VNNI\n");
        skip(); /* uniform: the ranks of a test are on one machine */
    }
    check_runs(more, MOST);
}

/* A budget for two and a half makes two groups of two. */
static void test_room(void **state)
{
    (void)state;
    const char *const free_of[] = {"rung=partial:1", "train.epochs=1", NULL};
    char memory[64];
    const char *const tight[] = {"rung=partial:1", "train.epochs=1", memory, NULL};
    thaw_json *summary = NULL;
    thaw_config one;
    make_config("alone", 0, free_of, &one);
    assert_ok(thaw_train_run(world, &one, &quiet));
    read_summary(&one, &summary);
    const double trained = thaw_json_double_or(summary, "parameters.trainable", -1);
    const double bytes = thaw_json_double_or(summary, "arena_bytes", -1) +
                         4 * (thaw_json_double_or(summary, "parameters.total", -1) + 4 * trained);
    thaw_format(memory, sizeof memory, "train.memory_gib=%.17g", 2.5 * bytes / 1073741824.0);
    thaw_json_free(&summary);
    thaw_config_clear(&one);
    check_runs(tight, 2);
}

/* Where the prefix need not run in every step, or there is none, or sums depend on company. */
static void test_not_together(void **state)
{
    (void)state;
    const char *const kept[] = {"data.augment.crop_padding=0", "data.augment.flip=false", NULL};
    const char *const full[] = {"rung=full", "train.epochs=1", NULL};
    const char *const floats[] = {"train.reduce=float", "train.epochs=1", NULL};
    const char *const shallow[] = {"rung=peft", "train.epochs=1", NULL};
    const char *const narrow[] = {"train.memory_gib=1e-9", "train.epochs=1", NULL};
    check_runs(kept, 1);
    check_runs(full, 1);
    check_runs(shallow, 1);
    check_runs(floats, 1);
    thaw_config one;
    make_config("narrow", 0, narrow, &one);
    assert_all(thaw_train_run(world, &one, &quiet) == THAW_ERR_RESOURCE);
    thaw_config_clear(&one);
}

/* One that diverges ends alone, as it would have ended alone. */
static void test_divergence(void **state)
{
    (void)state;
    const char *const more[] = {"rung=partial:1", NULL};
    static pair p;
    thaw_error outcomes[MOST];
    char message[sizeof outcomes[0].message];
    make_pair(more, &p);
    for (int bad = 0; bad < MOST; bad += 2) { /* the lead, and another */
        p.alone[bad].rates.head = p.together[bad].rates.head = 1e25;
        p.alone[bad].rates.backbone = p.together[bad].rates.backbone = 1e25;
    }
    assert_ok(thaw_train_together(world, p.together, MOST, &quiet, outcomes));
    for (int i = 0; i < MOST; i++) {
        const thaw_status status = thaw_train_run(world, &p.alone[i], &quiet);
        assert_all(status == (thaw_status)outcomes[i].code);
        assert_all(status == (i % 2 == 0 ? THAW_ERR_NUMERIC : THAW_OK));
        thaw_copy(message, sizeof message, status == THAW_OK ? "" : thaw_error_last()->message);
        assert_all(strcmp(message, outcomes[i].message) == 0);
        if (status == THAW_OK)
            same_runs(&p.alone[i], &p.together[i]);
    }
    clear_pair(&p);
}

static int64_t calls;
static int64_t most_calls;

static bool stop_after(void *context);

/* A stop does not take back what is known of one that had diverged before. */
static void test_divergence_and_stop(void **state)
{
    (void)state;
    const char *const more[] = {"rung=partial:1", NULL};
    thaw_run_options stop = quiet;
    static pair p;
    thaw_error outcomes[MOST];
    stop.stop = stop_after;
    make_pair(more, &p);
    p.together[1].rates.head = p.together[1].rates.backbone = 1e25;
    calls = 0;
    most_calls = 6;
    assert_all(thaw_train_together(world, p.together, MOST, &stop, outcomes) == THAW_ERR_STOPPED);
    for (int i = 0; i < MOST; i++) {
        assert_all((thaw_status)outcomes[i].code == (i == 1 ? THAW_ERR_NUMERIC : THAW_OK));
        const bool named = strstr(thaw_error_last()->message, p.together[i].output) != NULL;
        assert_all(named == (i != 1));
    }
    clear_pair(&p);
}

static bool stop_after(void *context)
{
    (void)context;
    return ++calls >= most_calls;
}

/* Each was stopped somewhere else, by itself; together they go on: those behind catch up first. */
static void test_resume(void **state)
{
    (void)state;
    const char *const more[] = {"rung=peft", deep, NULL};
    static const int64_t stops[MOST] = {7, 3, 0, 9}; /* 0: not begun */
    thaw_run_options stop = quiet;
    static pair p;
    thaw_error outcomes[MOST];
    stop.stop = stop_after;
    make_pair(more, &p);
    for (int i = 0; i < MOST; i++) {
        assert_ok(thaw_train_run(world, &p.alone[i], &quiet));
        calls = 0;
        most_calls = stops[i];
        if (stops[i] > 0)
            assert_all(thaw_train_run(world, &p.together[i], &stop) == THAW_ERR_STOPPED);
    }
    /* A stop of all, then a last start. */
    stop.overwrite = false;
    stop.resume = true;
    calls = 0;
    most_calls = 8;
    assert_all(thaw_train_together(world, p.together, MOST, &stop, outcomes) == THAW_ERR_STOPPED);
    assert_ok(thaw_train_together(world, p.together, MOST, &resume, outcomes));
    for (int i = 0; i < MOST; i++)
        same_runs(&p.alone[i], &p.together[i]);
    assert_ok(thaw_train_together(world, p.together, MOST, &resume, outcomes)); /* all complete */
    clear_pair(&p);
}

static void test_bad(void **state)
{
    (void)state;
    const char *const none[] = {NULL};
    static pair p;
    thaw_error outcomes[MOST];
    make_pair(none, &p);
    p.together[1].seed = 2;
    assert_all(thaw_train_together(world, p.together, MOST, &quiet, outcomes) == THAW_ERR_CONFIG);
    assert_all(thaw_train_together(world, p.alone, 1, &quiet, outcomes) == THAW_OK);
    assert_all(thaw_train_together(world, p.alone, 2, &(thaw_run_options){.quiet = true},
                                   outcomes) == THAW_ERR_USAGE);
    clear_pair(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_runs, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_int8, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_room, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_not_together, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_divergence, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_divergence_and_stop, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_resume, make_task, remove_task),
        cmocka_unit_test_setup_teardown(test_bad, make_task, remove_task),
    };
    return mpi_test_main(argc, argv, tests);
}
