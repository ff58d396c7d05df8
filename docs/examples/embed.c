/* embed.c - Thaw inside an MPI program that has work of its own.
 *
 * The program starts MPI itself and gives Thaw a communicator. It writes a dataset file from what it has in memory, trains a small
 * network with settings given as text, and takes the predictions back into memory. Public headers only.
 *
 *   cmake -S . -B build -DCMAKE_PREFIX_PATH=<where Thaw is installed> && cmake --build build
 * or
 *   mpicc embed.c $(pkg-config --static --cflags --libs thaw) -lm -o embed
 * then
 *   mpirun -n 2 build/embed some/directory
 *
 * The digest in the last line is the same on 1, 2, 4 or 8 ranks: any number that divides train.shards. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>

#include "thaw/h5.h"
#include "thaw/train.h"

enum { CLASSES = 3, VALUES = 32, TRAIN_SAMPLES = 401, VAL_SAMPLES = 120 };

/* Sample i is a sine wave under noise; its class is the frequency. A random stream is named by what it is for, never by rank. */
static int32_t make_sample(int64_t i, float x[VALUES])
{
    thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, 0, (uint64_t)i);
    const int32_t label = (int32_t)thaw_rng_below(&rng, CLASSES);
    const double phase = 6.283185307179586 * thaw_rng_uniform(&rng);
    for (int v = 0; v < VALUES; v++)
        x[v] = (float)(sin(phase + 0.4 * (label + 1) * v) + 0.5 * thaw_rng_normal(&rng));
    return label;
}

static thaw_status write_split(thaw_h5 *file, const char *split, int64_t first, int64_t N)
{
    char x_name[64];
    char y_name[64];
    const thaw_shape x_shape = thaw_shape2(N, VALUES);
    const thaw_shape y_shape = thaw_shape1(N);
    thaw_format(x_name, sizeof x_name, "%s/x", split);
    thaw_format(y_name, sizeof y_name, "%s/y", split);
    THAW_TRY(thaw_h5_make(file, x_name, THAW_F32, &x_shape, 0));
    THAW_TRY(thaw_h5_make(file, y_name, THAW_I32, &y_shape, 0));
    for (int64_t i = 0; i < N; i++) {
        float x[VALUES];
        const int32_t y = make_sample(first + i, x);
        THAW_TRY(thaw_h5_write_rows(file, x_name, i, 1, THAW_F32, x));
        THAW_TRY(thaw_h5_write_rows(file, y_name, i, 1, THAW_I32, &y));
    }
    return THAW_OK;
}

/* A dataset file is HDF5 of the layout in docs/dataset-format.md; this is all that it needs. */
static thaw_status write_dataset(const char *directory, const char *path)
{
    char *names[CLASSES] = {"low", "middle", "high"};
    const thaw_strings classes = {names, CLASSES};
    thaw_h5 *file = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_mkdirs(directory));
    THAW_TRY_TO(thaw_h5_create(path, &file));
    THAW_TRY_TO(thaw_h5_set_text(file, "/", "format", "thaw-dataset"));
    THAW_TRY_TO(thaw_h5_set_int(file, "/", "version", 1));
    THAW_TRY_TO(thaw_h5_set_text(file, "/", "task", "classification"));
    THAW_TRY_TO(thaw_h5_set_strings(file, "/", "classes", &classes));
    THAW_TRY_TO(write_split(file, "train", 0, TRAIN_SAMPLES));
    THAW_TRY_TO(write_split(file, "val", TRAIN_SAMPLES, VAL_SAMPLES));
    status = thaw_h5_commit(&file);
done:
    thaw_h5_close(&file);
    return status;
}

/* The same keys as in a file for `thaw train`; docs/config.md has them all. */
static thaw_status read_settings(const char *directory, const char *dataset, thaw_config *out)
{
    static const char text[] = "name: embed\n"
                               "rung: scratch\n"
                               "data: {gate: '', test: ''}\n"
                               "model: {arch: mlp, hidden: [24]}\n"
                               "train: {epochs: 4, batch: 48, shards: 8}\n"
                               "rates: {head: 0.1, backbone: 0.1}\n";
    char output[4096];
    char file[4096];
    char *items[] = {output, file};
    const thaw_strings overrides = {items, 2};
    thaw_format(output, sizeof output, "output=%s/run", directory);
    thaw_format(file, sizeof file, "data.file=%s", dataset);
    return thaw_config_parse("embed.c", text, sizeof text - 1, &overrides, out);
}

static thaw_status print_digest(const char *run_directory)
{
    char path[4096];
    thaw_json *summary = NULL;
    thaw_format(path, sizeof path, "%s/summary.json", run_directory);
    THAW_TRY(thaw_json_read(path, &summary));
    printf("state digest %s\n", thaw_json_string_or(summary, "state_digest", "missing"));
    thaw_json_free(&summary);
    return THAW_OK;
}

/* Everything below takes the communicator, so it is collective: all ranks call it, and all get the same status. What one rank
 * does alone is passed through thaw_agree before anybody may leave. */
static thaw_status work(thaw_comm *comm, const char *directory)
{
    const bool first = thaw_comm_rank(comm) == 0;
    const thaw_run_options options = {.overwrite = true, .quiet = true};
    thaw_config config = {0};
    thaw_predictions val = {0};
    double accuracy;
    char dataset[4096];
    thaw_status status;
    thaw_format(dataset, sizeof dataset, "%s/waves.h5", directory);
    THAW_TRY_TO(thaw_agree(comm, first ? write_dataset(directory, dataset) : THAW_OK));
    THAW_TRY_TO(thaw_agree(comm, read_settings(directory, dataset, &config)));
    THAW_TRY_TO(thaw_train_run(comm, &config, &options));
    THAW_TRY_TO(thaw_eval_run(comm, config.output, dataset, "val", &val));
    THAW_TRY_TO(thaw_predictions_metric(&val, NULL, thaw_metric_find("accuracy"), &accuracy, NULL));
    if (first)
        printf("ranks %d, validation samples %lld, accuracy %.3f\n", thaw_comm_size(comm),
               (long long)val.N, accuracy);
    status = thaw_agree(comm, first ? print_digest(config.output) : THAW_OK);
done:
    thaw_predictions_clear(&val);
    thaw_config_clear(&config);
    return status;
}

int main(int argc, char **argv)
{
    MPI_Comm world = MPI_COMM_WORLD;
    thaw_comm *comm = NULL;
    MPI_Init(&argc, &argv);
    thaw_status status = thaw_comm_from_mpi(&world, &comm);
    if (status == THAW_OK)
        status = work(comm, argc > 1 ? argv[1] : "embed-output");
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    thaw_comm_stop(&comm);
    MPI_Finalize();
    return thaw_status_exit_code(status);
}
