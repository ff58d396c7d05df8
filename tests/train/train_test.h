/* A tiny task for MPI tests of a run: a dataset file with 101 training samples, which nothing divides, a backbone file with random
 * weights, and a trainer opened from a few lines of config. Rank 0 writes; all ranks see the same folder. */
#ifndef THAW_TESTS_TRAIN_TEST_H
#define THAW_TESTS_TRAIN_TEST_H

#include <string.h>

#include "mpi_test.h"

#include "thaw/h5.h"
#include "train/train_impl.h"

enum { TASK_TRAIN = 101, TASK_VAL = 13, TASK_CLASSES = 3, TASK_SIDE = 8 };

static char folder[200];

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != THAW_OK)                                                                     \
            fail_msg("line %d: %s: %s", __LINE__, #call, thaw_error_last()->message);              \
    } while (0)

static thaw_status write_split(thaw_h5 *file, const char *split, int64_t N, uint64_t seed)
{
    float x[TASK_SIDE * TASK_SIDE];
    char images[64];
    char labels[64];
    const thaw_shape shape = thaw_shape_make(4, (const int64_t[]){N, 1, TASK_SIDE, TASK_SIDE});
    const thaw_shape flat = thaw_shape1(N);
    thaw_rng rng = thaw_rng_make(seed, THAW_RNG_TEST, 0, 0);
    thaw_format(images, sizeof images, "%s/x", split);
    thaw_format(labels, sizeof labels, "%s/y", split);
    THAW_TRY(thaw_h5_make(file, images, THAW_F32, &shape, 0));
    THAW_TRY(thaw_h5_make(file, labels, THAW_I32, &flat, 0));
    for (int64_t i = 0; i < N; i++) {
        const int32_t label = (int32_t)(i < N / 2 ? 0 : i % TASK_CLASSES); /* unbalanced */
        for (int64_t p = 0; p < TASK_SIDE * TASK_SIDE; p++)
            x[p] = (float)thaw_rng_uniform(&rng) + ((p + label) % 3 == 0 ? 0.7f : 0);
        THAW_TRY(thaw_h5_write_rows(file, images, i, 1, THAW_F32, x));
        THAW_TRY(thaw_h5_write_rows(file, labels, i, 1, THAW_I32, &label));
    }
    return THAW_OK;
}

static thaw_status write_dataset(const char *path)
{
    char *names[TASK_CLASSES] = {"ash", "birch", "cedar"};
    const thaw_strings classes = {names, TASK_CLASSES};
    thaw_h5 *file = NULL;
    THAW_TRY(thaw_h5_create(path, &file));
    thaw_status status = thaw_h5_set_text(file, "/", "format", "thaw-dataset");
    if (status == THAW_OK)
        status = thaw_h5_set_int(file, "/", "version", 1);
    if (status == THAW_OK)
        status = thaw_h5_set_text(file, "/", "task", "classification");
    if (status == THAW_OK)
        status = thaw_h5_set_strings(file, "/", "classes", &classes);
    if (status == THAW_OK)
        status = write_split(file, "train", TASK_TRAIN, 1);
    if (status == THAW_OK)
        status = write_split(file, "val", TASK_VAL, 2);
    if (status == THAW_OK)
        return thaw_h5_commit(&file);
    thaw_h5_close(&file);
    return status;
}

static thaw_status write_backbone(const char *path)
{
    const thaw_model_spec spec = {
        .arch = (char *)"resnet20", .C = 1, .H = TASK_SIDE, .W = TASK_SIDE, .K = 2, .width = 4};
    double mean = 0.5;
    double std = 0.5;
    thaw_model *model = NULL;
    thaw_backbone b = {.arch = spec.arch, .C = 1, .H = TASK_SIDE, .W = TASK_SIDE};
    thaw_status status;
    b.mean = &mean;
    b.std = &std;
    THAW_TRY_TO(thaw_model_new(&spec, &model));
    thaw_model_initialize(model, 9);
    THAW_TRY_TO(thaw_model_spec_save(&model->spec, &b.spec));
    THAW_TRY_TO(thaw_graph_state(model->graph, THAW_BACKBONE, &b.tensors));
    status = thaw_backbone_write(path, &b);
done:
    thaw_state_clear(&b.spec);
    thaw_state_clear(&b.tensors);
    thaw_model_free(&model);
    return status;
}

/* Collective. */
static int make_task(void **state)
{
    (void)state;
    thaw_status status = THAW_OK;
    char path[256];
    if (thaw_comm_rank(world) == 0) {
        const char *base = getenv("TMPDIR");
        thaw_format(folder, sizeof folder, "%s/thaw-train-XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(folder) == NULL)
            status = THAW_FAIL(THAW_ERR_FAIL, "no folder %s", folder);
        thaw_format(path, sizeof path, "%s/data.h5", folder);
        if (status == THAW_OK)
            status = write_dataset(path);
        thaw_format(path, sizeof path, "%s/backbone.h5", folder);
        if (status == THAW_OK)
            status = write_backbone(path);
        if (status != THAW_OK)
            fprintf(stderr, "%s\n", thaw_error_last()->message);
    }
    thaw_bcast(world, 0, folder, sizeof folder);
    return thaw_agree(world, status) != THAW_OK;
}

static int remove_task(void **state)
{
    (void)state;
    thaw_barrier(world);
    return thaw_comm_rank(world) == 0 && thaw_remove_tree(folder) != THAW_OK;
}

/* A trainer over `comm`, from the common lines and `more` ("train.shards=1", ...; NULL-ended). It points into itself, so it stays
 * where it is. */
typedef struct task {
    thaw_config config;
    thaw_setup setup;
    thaw_run_options options;
    thaw_trainer trainer;
} task;

static thaw_status open_task(thaw_comm *comm, const char *const *more, task *out)
{
    char text[1000];
    char *items[32];
    thaw_strings overrides = {items, 0};
    memset(out, 0, sizeof *out);
    out->options.quiet = true;
    for (; *more != NULL; more++)
        items[overrides.count++] = (char *)*more;
    thaw_format(
        text, sizeof text,
        "output: %s/run\n"
        "data: {file: %s/data.h5, gate: \"\", test: \"\", augment: {crop_padding: 1, flip: true}}\n"
        "model: {backbone: %s/backbone.h5, head_dropout: 0.2}\n"
        "train: {epochs: 4, batch: 24, shards: 24, eval_batch: 16}\n"
        "peft: {rank: 2}\n"
        "rates: {head: 0.1, backbone: 0.02}\n",
        folder, folder, folder);
    THAW_TRY(
        thaw_agree(comm, thaw_config_parse("test", text, strlen(text), &overrides, &out->config)));
    THAW_TRY(thaw_setup_open(comm, &out->config, out->config.rung, THAW_SETUP_TRAIN, &out->setup));
    return thaw_trainer_open(comm, &out->setup, &out->options, NULL, &out->trainer);
}

static void close_task(task *t)
{
    thaw_trainer_close(&t->trainer);
    thaw_setup_close(&t->setup);
    thaw_config_clear(&t->config);
}

#endif
