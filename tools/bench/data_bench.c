/* data_bench.c - data and weights for both sides of the benchmarks.
 *
 *   bench_data dump DATA BACKBONE DIR    what peer_ladder.py reads, without HDF5: for each split DIR/<split>.x (float32,
 *                                        normalised) and .y (int32), DIR/tensors (float32, one after another), and DIR/index:
 *                                        lines "shape C H W", "classes K", "arch NAME", "split NAME N", "tensor NAME COUNT"
 *   bench_data random N SIDE K DIR       DIR/x.npy (N, 3, SIDE, SIDE) of random bytes and DIR/y.npy, for `thaw data import`
 *   bench_data backbone ARCH SIDE FILE   a backbone file with random weights
 *   bench_data read DATA                 samples a core-second of its first split in random order: from memory, from the file, and with
 *                                        augmentations */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "thaw/data.h"
#include "thaw/model.h"
#include "thaw/store.h"

static thaw_status write_array(const char *dir, const char *name, const char *end, const void *data,
                               size_t bytes)
{
    thaw_str path = {0};
    thaw_str file = {0};
    thaw_str_printf(&file, "%s%s", name, end);
    thaw_path_join(&path, dir, thaw_str_c(&file));
    thaw_status status = thaw_file_write(thaw_str_c(&path), data, bytes);
    thaw_str_clear(&file);
    thaw_str_clear(&path);
    return status;
}

static thaw_status dump_split(const thaw_dataset *ds, int64_t split, const char *dir,
                              thaw_str *index)
{
    int64_t N = thaw_dataset_count(ds, split);
    int64_t values = thaw_dataset_values(ds);
    const char *name = thaw_dataset_split_name(ds, split);
    int64_t *rows = NULL;
    float *x = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&rows, N, sizeof *rows));
    THAW_TRY_TO(thaw_alloc(&x, N * values, sizeof *x));
    for (int64_t i = 0; i < N; i++)
        rows[i] = i;
    THAW_TRY_TO(thaw_dataset_read(ds, split, N, rows, x));
    THAW_TRY_TO(write_array(dir, name, ".x", x, (size_t)(N * values) * sizeof *x));
    THAW_TRY_TO(
        write_array(dir, name, ".y", thaw_dataset_labels(ds, split), (size_t)N * sizeof(int32_t)));
    thaw_str_printf(index, "split %s %lld\n", name, (long long)N);
done:
    thaw_free(&rows);
    thaw_free(&x);
    return status;
}

static thaw_status dump_tensors(const thaw_state *tensors, const char *dir, thaw_str *index)
{
    thaw_str all = {0};
    for (int64_t i = 0; i < tensors->count; i++) {
        const thaw_tensor *t = &tensors->entries[i].tensor;
        THAW_CHECK(t->dtype == THAW_F32, THAW_ERR_INPUT, "tensor %s is not float32",
                   tensors->entries[i].name);
        int64_t count = thaw_shape_count(&t->shape);
        thaw_str_add_bytes(&all, t->data, (size_t)count * sizeof(float));
        thaw_str_printf(index, "tensor %s %lld\n", tensors->entries[i].name, (long long)count);
    }
    thaw_status status = write_array(dir, "tensors", "", all.data, all.length);
    thaw_str_clear(&all);
    return status;
}

static thaw_status dump(char **arg)
{
    thaw_dataset *ds = NULL;
    thaw_backbone b = {0};
    thaw_str index = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_dataset_open(arg[0], NULL, &ds));
    THAW_TRY_TO(thaw_backbone_read(arg[1], &b));
    THAW_TRY_TO(thaw_dataset_set_normalisation(ds, b.C, b.mean, b.std));
    thaw_shape shape = thaw_dataset_shape(ds);
    thaw_str_printf(&index, "shape %lld %lld %lld\nclasses %lld\narch %s\n",
                    (long long)shape.dim[0], (long long)shape.dim[1], (long long)shape.dim[2],
                    (long long)thaw_dataset_classes(ds), b.arch);
    for (int64_t split = 0; split < thaw_dataset_split_count(ds); split++)
        THAW_TRY_TO(dump_split(ds, split, arg[2], &index));
    THAW_TRY_TO(dump_tensors(&b.tensors, arg[2], &index));
    status = write_array(arg[2], "index", "", index.data, index.length);
done:
    thaw_str_clear(&index);
    thaw_backbone_clear(&b);
    thaw_dataset_free(&ds);
    return status;
}

/* NumPy's format 1.0: magic, length of the header, the header padded to a multiple of 64 bytes. */
static void npy_header(const char *dtype, const char *shape, thaw_str *out)
{
    char text[118];
    char full[119];
    thaw_format(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                dtype, shape);
    thaw_format(full, sizeof full, "%-117s\n", text);
    thaw_str_add_bytes(out, "\x93NUMPY\x01\x00\x76\x00", 10);
    thaw_str_add_bytes(out, full, 118);
}

static thaw_status random_data(int64_t N, int64_t side, int64_t K, const char *dir)
{
    int64_t values = N * 3 * side * side;
    char shape[64];
    uint8_t *bytes = NULL;
    thaw_str x = {0};
    thaw_str y = {0};
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, 0);
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&bytes, values + N, 1));
    for (int64_t i = 0; i < values; i++)
        bytes[i] = (uint8_t)thaw_rng_below(&rng, 256);
    for (int64_t i = 0; i < N; i++)
        bytes[values + i] = (uint8_t)(i % K);
    thaw_format(shape, sizeof shape, "%lld, 3, %lld, %lld", (long long)N, (long long)side,
                (long long)side);
    npy_header("|u1", shape, &x);
    thaw_str_add_bytes(&x, bytes, (size_t)values);
    thaw_format(shape, sizeof shape, "%lld,", (long long)N);
    npy_header("|u1", shape, &y);
    thaw_str_add_bytes(&y, bytes + values, (size_t)N);
    THAW_TRY_TO(write_array(dir, "x", ".npy", x.data, x.length));
    status = write_array(dir, "y", ".npy", y.data, y.length);
done:
    thaw_free(&bytes);
    thaw_str_clear(&x);
    thaw_str_clear(&y);
    return status;
}

static thaw_status backbone(char *arch, int64_t side, const char *file)
{
    double mean[3] = {0.5, 0.5, 0.5};
    double std[3] = {0.25, 0.25, 0.25};
    thaw_model_spec spec = {.arch = arch, .C = 3, .H = side, .W = side, .K = 10};
    thaw_model *model = NULL;
    thaw_backbone b = {.arch = arch, .C = 3, .H = side, .W = side, .mean = mean, .std = std};
    thaw_status status;
    THAW_TRY_TO(thaw_model_new(&spec, &model));
    thaw_model_initialize(model, 1);
    THAW_TRY_TO(thaw_model_spec_save(&model->spec, &b.spec));
    THAW_TRY_TO(thaw_graph_state(model->graph, THAW_BACKBONE, &b.tensors));
    status = thaw_backbone_write(file, &b);
done:
    thaw_state_clear(&b.spec);
    thaw_state_clear(&b.tensors);
    thaw_model_free(&model);
    return status;
}

/* Reads and changes the samples of the first split for some seconds, and prints the rate. */
static thaw_status time_reading(const thaw_dataset *ds, const char *what, const thaw_augment *a)
{
    const thaw_shape shape = thaw_dataset_shape(ds);
    const thaw_levels levels = thaw_dataset_levels(ds);
    const int64_t N = thaw_dataset_count(ds, 0), most = 4000000000 / thaw_dataset_values(ds) / 8;
    float *x = NULL, *room = NULL;
    int64_t count = 0;
    double seconds = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&x, thaw_dataset_values(ds), sizeof *x));
    THAW_TRY_TO(thaw_alloc(&room, shape.dim[1] * shape.dim[2], sizeof *room));
    const clock_t began = clock();
    for (; seconds < 2 && count < most; count++) {
        const int64_t index = thaw_permute(1, (uint32_t)(count / N), N, count % N);
        THAW_TRY_TO(thaw_dataset_read(ds, 0, 1, &index, x));
        thaw_augment_batch(a, 1, 0, 1, &index, &shape, &levels, x, room);
        seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    }
    printf("%-40s %8.0f samples a core-second\n", what, (double)count / seconds);
done:
    thaw_free(&room);
    thaw_free(&x);
    return status;
}

static thaw_status time_all(const char *path)
{
    static const thaw_augment none = {0};
    static const thaw_augment usual = {.crop_area_least = 0.08, .flip = true};
    static const thaw_augment more = {
        .crop_area_least = 0.08, .flip = true, .rand_ops = 2, .rand_magnitude = 9};
    const thaw_dataset_options by_rows = {.memory_limit_bytes = -1};
    thaw_dataset *memory = NULL, *file = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_dataset_open(path, NULL, &memory));
    THAW_TRY_TO(thaw_dataset_open(path, &by_rows, &file));
    THAW_TRY_TO(time_reading(memory, "from memory", &none));
    THAW_TRY_TO(time_reading(file, "by rows from the file", &none));
    THAW_TRY_TO(time_reading(memory, "from memory, resized crop and flip", &usual));
    THAW_TRY_TO(time_reading(memory, "from memory, and RandAugment", &more));
done:
    thaw_dataset_free(&file);
    thaw_dataset_free(&memory);
    return status;
}

/* long: one condition a command */
static thaw_status run(int argc, char **argv)
{
    int64_t a = 0;
    int64_t b = 0;
    int64_t c = 0;
    if (argc == 5 && strcmp(argv[1], "dump") == 0)
        return dump(argv + 2);
    if (argc == 6 && strcmp(argv[1], "random") == 0 && thaw_parse_int(argv[2], &a) &&
        thaw_parse_int(argv[3], &b) && thaw_parse_int(argv[4], &c) && a > 0 && b > 0 && c > 0)
        return random_data(a, b, c, argv[5]);
    if (argc == 5 && strcmp(argv[1], "backbone") == 0 && thaw_parse_int(argv[3], &a) && a > 0)
        return backbone(argv[2], a, argv[4]);
    if (argc == 3 && strcmp(argv[1], "read") == 0)
        return time_all(argv[2]);
    return THAW_FAIL(THAW_ERR_USAGE,
                     "usage: bench_data read DATA | dump DATA BACKBONE DIR | random N SIDE K "
                     "DIR | backbone ARCH SIDE FILE");
}

int main(int argc, char **argv)
{
    thaw_status status = run(argc, argv);
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    return thaw_status_exit_code(status);
}
