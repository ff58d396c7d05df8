/* What the scripts of this folder need besides the command: small source files, dataset files with one defect, and a look into JSON,
 * JSON Lines and HDF5. Built with thaw's own modules so that the scripts need nothing that is not installed for the build.
 * thaw-test: modules=tensor,h5,report */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thaw/base.h"
#include "thaw/h5.h"
#include "thaw/report.h"

#define SAY(...) fprintf(stderr, __VA_ARGS__)

/* ---- Source files: IDX ------------------------------------------------------------------------------------- */

static void add_int(thaw_str *out, int64_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};
    thaw_str_add_bytes(out, (const char *)bytes, sizeof bytes);
}

/* Class k is a striped pattern of its own under noise: learnable within a few steps, not perfectly. */
static uint8_t pixel(int64_t label, int64_t x, int64_t y, uint32_t *noise)
{
    *noise = *noise * 1664525U + 1013904223U;
    const int64_t stripe = (x * (1 + label % 2) + y * (1 + label / 2) + label) % 5;
    return (uint8_t)((*noise >> 24) / 2 + (stripe < 2 ? 100 : 0));
}

static thaw_status write_idx(const char *folder, int64_t classes, int64_t each, int64_t side)
{
    thaw_str images = {0};
    thaw_str labels = {0};
    thaw_str path = {0};
    uint32_t noise = 1;
    add_int(&images, 0x00000803);
    add_int(&images, classes * each);
    add_int(&images, side);
    add_int(&images, side);
    add_int(&labels, 0x00000801);
    add_int(&labels, classes * each);
    for (int64_t i = 0; i < classes * each; i++) {
        const char label = (char)(i % classes);
        thaw_str_add_bytes(&labels, &label, 1);
        for (int64_t p = 0; p < side * side; p++) {
            const char value = (char)pixel(i % classes, p % side, p / side, &noise);
            thaw_str_add_bytes(&images, &value, 1);
        }
    }
    thaw_path_join(&path, folder, "images.idx");
    thaw_status status = thaw_file_write(thaw_str_c(&path), images.data, images.length);
    thaw_path_join(&path, folder, "labels.idx");
    if (status == THAW_OK)
        status = thaw_file_write(thaw_str_c(&path), labels.data, labels.length);
    thaw_str_clear(&path);
    thaw_str_clear(&labels);
    thaw_str_clear(&images);
    return status;
}

/* ---- Dataset files with one defect ------------------------------------------------------------------------------ */

enum { CLASSES = 3, SIDE = 8, ROWS = 24, CHANNELS = 3 };

typedef struct defect {
    const char *name;
    bool nan_pixel, empty_val, no_labels, no_format, two_shapes;
    int64_t label_of_last; /* of train; -1: a good one */
    bool without_last_class;
    int64_t version;
    int64_t channels, side; /* 0: 1 and SIDE */
} defect;

static const defect defects[] = {
    {.name = "none", .label_of_last = -1, .version = 1},
    {.name = "nan", .nan_pixel = true, .label_of_last = -1, .version = 1},
    {.name = "empty-split", .empty_val = true, .label_of_last = -1, .version = 1},
    {.name = "no-labels", .no_labels = true, .label_of_last = -1, .version = 1},
    {.name = "no-format", .no_format = true, .label_of_last = -1, .version = 1},
    {.name = "two-shapes", .two_shapes = true, .label_of_last = -1, .version = 1},
    {.name = "label-high", .label_of_last = CLASSES, .version = 1},
    {.name = "label-negative", .label_of_last = -2, .version = 1},
    {.name = "class-absent", .without_last_class = true, .label_of_last = -1, .version = 1},
    {.name = "version-2", .label_of_last = -1, .version = 2},
    {.name = "rgb", .label_of_last = -1, .version = 1, .channels = CHANNELS},
    {.name = "small", .label_of_last = -1, .version = 1, .side = SIDE - 1},
};

/* Pictures and labels of one split, with the defects that lie in values. */
static void fill_split(const defect *d, bool train, int64_t channels, int64_t side, float *x,
                       int32_t *y)
{
    const int64_t values = channels * side * side;
    uint32_t noise = train ? 1 : 2;
    for (int64_t i = 0; i < ROWS; i++) {
        y[i] = (int32_t)(i % (train && d->without_last_class ? CLASSES - 1 : CLASSES));
        for (int64_t p = 0; p < values; p++)
            x[i * values + p] = (float)pixel(y[i], p % side, p / side % side, &noise) / 255;
    }
    if (train && d->label_of_last != -1)
        y[ROWS - 1] = (int32_t)(d->label_of_last < 0 ? -1 : d->label_of_last);
    if (train && d->nan_pixel)
        memset(&x[5 * values + 3], 0xff, sizeof *x);
}

static thaw_status write_split(thaw_h5 *file, const defect *d, const char *split)
{
    const bool val = strcmp(split, "val") == 0;
    const int64_t rows = val && d->empty_val ? 0 : ROWS;
    const int64_t usual = d->side > 0 ? d->side : SIDE;
    const int64_t side = val && d->two_shapes ? usual - 1 : usual;
    const int64_t channels = d->channels > 0 ? d->channels : 1;
    static float x[ROWS * CHANNELS * SIDE * SIDE];
    int32_t y[ROWS];
    char name[64];
    fill_split(d, strcmp(split, "train") == 0, channels, side, x, y);
    const thaw_shape images = thaw_shape_make(4, (const int64_t[]){rows, channels, side, side});
    const thaw_shape labels = thaw_shape1(rows);
    thaw_format(name, sizeof name, "%s/x", split);
    THAW_TRY(thaw_h5_make(file, name, THAW_F32, &images, 0));
    THAW_TRY(thaw_h5_write_rows(file, name, 0, rows, THAW_F32, x));
    if (d->no_labels)
        return THAW_OK;
    thaw_format(name, sizeof name, "%s/y", split);
    THAW_TRY(thaw_h5_make(file, name, THAW_I32, &labels, 0));
    return thaw_h5_write_rows(file, name, 0, rows, THAW_I32, y);
}

static thaw_status write_all(thaw_h5 *file, const defect *d)
{
    char *names[CLASSES] = {"red", "green", "blue"};
    const thaw_strings classes = {names, CLASSES};
    if (!d->no_format)
        THAW_TRY(thaw_h5_set_text(file, "/", "format", "thaw-dataset"));
    THAW_TRY(thaw_h5_set_int(file, "/", "version", d->version));
    THAW_TRY(thaw_h5_set_text(file, "/", "task", "classification"));
    THAW_TRY(thaw_h5_set_strings(file, "/", "classes", &classes));
    THAW_TRY(write_split(file, d, "train"));
    THAW_TRY(write_split(file, d, "val"));
    return write_split(file, d, "test");
}

static thaw_status write_dataset(const char *name, const char *path)
{
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        if (strcmp(defects[i].name, name) != 0)
            continue;
        thaw_h5 *file = NULL;
        THAW_TRY(thaw_h5_create(path, &file));
        const thaw_status status = write_all(file, &defects[i]);
        if (status == THAW_OK)
            return thaw_h5_commit(&file);
        thaw_h5_close(&file);
        return status;
    }
    return THAW_FAIL(THAW_ERR_USAGE, "unknown defect '%s'", name);
}

/* ---- Looking into files ------------------------------------------------------------------------------------------ */

/* One line a leaf: path, '=', value. */
static void flatten(const thaw_json *json, thaw_str *path)
{
    const size_t length = path->length;
    if (thaw_json_type_of(json) != THAW_JSON_OBJECT && thaw_json_type_of(json) != THAW_JSON_ARRAY) {
        thaw_str text = {0};
        thaw_json_compact(json, &text);
        printf("%s=%s\n", thaw_str_c(path), thaw_str_c(&text));
        thaw_str_clear(&text);
        return;
    }
    int64_t index = 0;
    for (const thaw_json *item = thaw_json_first(json); item != NULL; item = thaw_json_next(item)) {
        const char *dot = length == 0 ? "" : ".";
        if (thaw_json_key(item) != NULL)
            thaw_str_printf(path, "%s%s", dot, thaw_json_key(item));
        else
            thaw_str_printf(path, "%s%lld", dot, (long long)index);
        index++;
        flatten(item, path);
        path->length = length;
        path->data[length] = '\0';
    }
}

static thaw_status read_json(const char *path, thaw_json **out)
{
    const size_t length = strlen(path);
    if (length > 6 && strcmp(path + length - 6, ".jsonl") == 0)
        return thaw_rows_read(path, out);
    return thaw_json_read(path, out);
}

static thaw_status print_flat(const char *file)
{
    thaw_json *json = NULL;
    thaw_str path = {0};
    THAW_TRY(read_json(file, &json));
    thaw_str_add(&path, "");
    flatten(json, &path);
    thaw_str_clear(&path);
    thaw_json_free(&json);
    return THAW_OK;
}

/* Values of the named leaves, one a line; "absent" for what is not there. */
static thaw_status print_values(int count, char **words)
{
    thaw_json *json = NULL;
    THAW_TRY(read_json(words[0], &json));
    for (int i = 1; i < count; i++) {
        const thaw_json *value = thaw_json_find(json, words[i]);
        thaw_str text = {0};
        if (value == NULL)
            thaw_str_add(&text, "absent");
        else if (thaw_json_type_of(value) == THAW_JSON_STRING)
            thaw_str_add(&text, thaw_json_string_or(json, words[i], ""));
        else
            thaw_json_compact(value, &text);
        printf("%s\n", thaw_str_c(&text));
        thaw_str_clear(&text);
    }
    thaw_json_free(&json);
    return THAW_OK;
}

static thaw_status print_names(const char *path)
{
    thaw_state state = {0};
    THAW_TRY(thaw_h5_load_shapes(path, NULL, &state, NULL));
    for (int64_t i = 0; i < state.count; i++)
        printf("%s\n", state.entries[i].name);
    thaw_state_clear(&state);
    return THAW_OK;
}

/* Inverts one byte; a negative offset counts from the middle of the file. */
static thaw_status flip(const char *path, int64_t offset)
{
    thaw_str text = {0};
    thaw_status status = thaw_file_read(path, &text);
    if (status == THAW_OK) {
        const int64_t at = offset < 0 ? (int64_t)text.length / 2 : offset;
        text.data[at] = (char)~text.data[at];
        status = thaw_file_write(path, text.data, text.length);
    }
    thaw_str_clear(&text);
    return status;
}

/* Gives one element of a backbone's tensor another value, and the file the digest that fits. */
static thaw_status set_value(const char *path, const char *name, int64_t element, float value)
{
    thaw_state all = {0};
    thaw_state attributes = {0};
    thaw_state backbone = {0};
    thaw_digest digest;
    char hex[THAW_DIGEST_HEX];
    thaw_status status;
    THAW_TRY_TO(thaw_h5_load(path, NULL, &all, &attributes));
    for (int64_t i = 0; i < all.count; i++) {
        const thaw_entry *e = &all.entries[i];
        if (strcmp(e->name, name) == 0)
            ((float *)e->tensor.data)[element] = value;
        if (thaw_starts_with(e->name, "backbone/"))
            THAW_TRY_TO(thaw_state_add(&backbone, e->name + strlen("backbone/"), e->tensor.dtype,
                                       e->tensor.shape, e->tensor.data));
    }
    THAW_TRY_TO(thaw_state_digest(&backbone, &digest));
    thaw_digest_hex(digest, hex);
    memcpy(thaw_state_find(&attributes, "backbone_digest")->data, hex, strlen(hex));
    const thaw_h5_write what = {.state = &all, .attributes = &attributes};
    status = thaw_h5_save(path, &what, NULL);
done:
    thaw_state_clear(&backbone);
    thaw_state_clear(&attributes);
    thaw_state_clear(&all);
    return status;
}

static int64_t number(const char *text)
{
    int64_t value = 0;
    if (!thaw_parse_int(text, &value))
        SAY("'%s' is no number\n", text);
    return value;
}

static thaw_status do_idx(int count, char **words)
{
    (void)count;
    return write_idx(words[0], number(words[1]), number(words[2]), number(words[3]));
}

static thaw_status do_dataset(int count, char **words)
{
    (void)count;
    return write_dataset(words[0], words[1]);
}

static thaw_status do_flat(int count, char **words)
{
    (void)count;
    return print_flat(words[0]);
}

static thaw_status do_names(int count, char **words)
{
    (void)count;
    return print_names(words[0]);
}

/* A digest of a tensor's values alone: those of the file have the name in them, too. */
static thaw_status do_values(int count, char **words)
{
    thaw_state state = {0};
    char hex[THAW_DIGEST_HEX];
    (void)count;
    THAW_TRY(thaw_h5_load(words[0], NULL, &state, NULL));
    const thaw_tensor *t = thaw_state_find(&state, words[1]);
    if (t != NULL)
        thaw_digest_hex(thaw_hash(t->data, thaw_tensor_bytes(t)), hex);
    if (t != NULL)
        printf("%s\n", hex);
    const bool found = t != NULL;
    thaw_state_clear(&state);
    THAW_CHECK(found, THAW_ERR_INPUT, "%s has no %s", words[0], words[1]);
    return THAW_OK;
}

static thaw_status do_flip(int count, char **words)
{
    (void)count;
    return flip(words[0], number(words[1]));
}

static thaw_status do_set(int count, char **words)
{
    (void)count;
    return set_value(words[0], words[1], number(words[2]), strtof(words[3], NULL));
}

static thaw_status do_faults(int count, char **words)
{
    (void)count;
    (void)words;
    for (const char *const *site = thaw_fault_sites(); *site != NULL; site++)
        printf("%s\n", *site);
    return THAW_OK;
}

/* ---- Sources of other tasks ---------------------------------------------------------------------------------- */

/* x, pictures of six classes; marks, three labels that each hold for some of the classes; numbers, two that follow the class, of very
 * different size; one more, the first alone; site, which groups samples. */
static thaw_status fill_tasks(thaw_h5 *file, int64_t N, int64_t side)
{
    uint8_t *x = NULL;
    uint8_t *marks = NULL;
    float *numbers = NULL;
    int32_t *site = NULL;
    uint32_t noise = 7;
    const thaw_shape shape_x = thaw_shape_make(4, (int64_t[]){N, 1, side, side});
    const thaw_shape shape_marks = thaw_shape2(N, 3);
    const thaw_shape shape_numbers = thaw_shape2(N, 2);
    const thaw_shape shape_site = thaw_shape1(N);
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&x, N * side * side, 1));
    THAW_TRY_TO(thaw_alloc(&marks, N * 3, 1));
    THAW_TRY_TO(thaw_alloc(&numbers, N * 2, sizeof *numbers));
    THAW_TRY_TO(thaw_alloc(&site, N, sizeof *site));
    for (int64_t i = 0; i < N; i++) {
        const int64_t class = i % 6;
        for (int64_t p = 0; p < side * side; p++)
            x[i * side * side + p] = pixel(class, p % side, p / side, &noise);
        marks[3 * i] = class % 2 == 1;
        marks[3 * i + 1] = class >= 3;
        marks[3 * i + 2] = class == 0 || class == 5;
        noise = noise * 1664525U + 1013904223U;
        numbers[2 * i] = 1000 + 50 * (float)class + 20 * (float)(noise >> 8) / 16777216;
        numbers[2 * i + 1] = 0.001f * (float)(class * class);
        site[i] = (int32_t)(i / 4);
    }
    THAW_TRY_TO(thaw_h5_make(file, "x", THAW_U8, &shape_x, 0));
    THAW_TRY_TO(thaw_h5_write_rows(file, "x", 0, N, THAW_U8, x));
    THAW_TRY_TO(thaw_h5_make(file, "marks", THAW_U8, &shape_marks, 0));
    THAW_TRY_TO(thaw_h5_write_rows(file, "marks", 0, N, THAW_U8, marks));
    THAW_TRY_TO(thaw_h5_make(file, "numbers", THAW_F32, &shape_numbers, 0));
    THAW_TRY_TO(thaw_h5_write_rows(file, "numbers", 0, N, THAW_F32, numbers));
    THAW_TRY_TO(thaw_h5_make(file, "site", THAW_I32, &shape_site, 0));
    THAW_TRY_TO(thaw_h5_write_rows(file, "site", 0, N, THAW_I32, site));
done:
    thaw_free(&site);
    thaw_free(&numbers);
    thaw_free(&marks);
    thaw_free(&x);
    return status;
}

static thaw_status do_tasks(int count, char **words)
{
    thaw_h5 *file = NULL;
    (void)count;
    THAW_TRY(thaw_h5_create(words[0], &file));
    const thaw_status status =
        fill_tasks(file, strtol(words[1], NULL, 10), strtol(words[2], NULL, 10));
    return status == THAW_OK ? thaw_h5_commit(&file) : status;
}

static const struct {
    const char *name, *usage;
    int least, most;
    thaw_status (*run)(int count, char **words);
} tasks[] = {
    {"idx", "DIR CLASSES EACH SIDE", 4, 4, do_idx},
    {"dataset", "DEFECT FILE", 2, 2, do_dataset},
    {"tasks", "FILE COUNT SIDE", 3, 3, do_tasks},
    {"flat", "FILE", 1, 1, do_flat},
    {"get", "FILE PATH...", 2, 100, print_values},
    {"names", "FILE", 1, 1, do_names},
    {"values", "FILE TENSOR", 2, 2, do_values},
    {"flip", "FILE OFFSET", 2, 2, do_flip},
    {"faults", "", 0, 0, do_faults},
    {"set", "BACKBONE TENSOR ELEMENT VALUE", 4, 4, do_set},
};

static thaw_status run(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof tasks / sizeof *tasks; i++) {
        const int count = argc - 2;
        if (strcmp(tasks[i].name, argv[1]) == 0 && count >= tasks[i].least &&
            count <= tasks[i].most)
            return tasks[i].run(count, argv + 2);
    }
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        SAY("tool_files %s %s\n", tasks[i].name, tasks[i].usage);
    return THAW_FAIL(THAW_ERR_USAGE, "one of these");
}

int main(int argc, char **argv)
{
    const thaw_status status = run(argc, argv);
    if (status != THAW_OK)
        SAY("%s\n", thaw_error_last()->message);
    return thaw_status_exit_code(status);
}
