/* Folders of pictures and tables that list them: what is imported, and what is refused. */
#include "data_test.h"

#include <sys/stat.h>
#include <unistd.h>

#define SPLITS "splits", "train=1,test=rest"

static void png_chunk(thaw_str *out, const char *kind, const void *data, uint32_t bytes)
{
    thaw_str chunk = {0};
    thaw_str_add(&chunk, kind);
    thaw_str_add_bytes(&chunk, data, bytes);
    const uint32_t sum = (uint32_t)crc32(0, (const uint8_t *)chunk.data, (uInt)chunk.length);
    for (int i = 3; i >= 0; i--)
        thaw_str_add_bytes(out, &(char){(char)(bytes >> 8 * i)}, 1);
    thaw_str_add_bytes(out, chunk.data, chunk.length);
    for (int i = 3; i >= 0; i--)
        thaw_str_add_bytes(out, &(char){(char)(sum >> 8 * i)}, 1);
    thaw_str_clear(&chunk);
}

/* A picture of one colour, (value, value + 1, value + 2), with folders above it. */
static void write_png(const char *name, int side, uint8_t value)
{
    uint8_t head[13] = {0, 0, 0, (uint8_t)side, 0, 0, 0, (uint8_t)side, 8, 2, 0, 0, 0};
    uint8_t raw[64 * 193], packed[64 * 193 + 100];
    uLongf packed_bytes = sizeof packed;
    thaw_str out = {0}, above = {0};
    const size_t row = 1 + 3 * (size_t)side;
    for (size_t i = 0; i < row * (size_t)side; i++)
        raw[i] = i % row == 0 ? 0 : (uint8_t)(value + (i % row - 1) % 3);
    assert_int_equal(compress(packed, &packed_bytes, raw, row * (size_t)side), Z_OK);
    thaw_str_add_bytes(&out, "\x89PNG\r\n\x1a\n", 8);
    png_chunk(&out, "IHDR", head, sizeof head);
    png_chunk(&out, "IDAT", packed, (uint32_t)packed_bytes);
    png_chunk(&out, "IEND", "", 0);
    const char *path = in_folder(name);
    thaw_str_add_bytes(&above, path, (size_t)(strrchr(path, '/') - path));
    assert_ok(thaw_mkdirs(thaw_str_c(&above)));
    write_bytes(path, out.data, out.length);
    thaw_str_clear(&above);
    thaw_str_clear(&out);
}

static void write_text(const char *name, const char *text)
{
    const char *path = in_folder(name);
    thaw_str above = {0};
    thaw_str_add_bytes(&above, path, (size_t)(strrchr(path, '/') - path));
    assert_ok(thaw_mkdirs(thaw_str_c(&above)));
    write_bytes(path, text, strlen(text));
    thaw_str_clear(&above);
}

static thaw_dataset *open_output(void)
{
    thaw_dataset *ds = NULL;
    assert_ok(thaw_dataset_open(in_folder("out.h5"), NULL, &ds));
    return ds;
}

/* id, label and first byte of every sample of a split, in the file's order: "3:dog:70 ". */
static void describe(const thaw_dataset *ds, const char *split, thaw_str *out)
{
    const int64_t s = thaw_dataset_split_find(ds, split);
    const int64_t C = thaw_dataset_shape(ds).dim[0];
    double mean[3] = {0}, std[3] = {1, 1, 1};
    assert_true(s >= 0);
    assert_ok(thaw_dataset_set_normalisation((thaw_dataset *)ds, C, mean, std));
    thaw_str_reset(out);
    for (int64_t n = 0; n < thaw_dataset_count(ds, s); n++) {
        float x[3 * 64 * 64];
        assert_true(thaw_dataset_values(ds) <= 3 * 64 * 64);
        assert_ok(thaw_dataset_read(ds, s, 1, &n, x));
        thaw_str_printf(out, "%lld:%s:%.0f ", (long long)thaw_dataset_ids(ds, s)[n],
                        thaw_dataset_class_names(ds)[thaw_dataset_labels(ds, s)[n]],
                        (double)x[0] * 255);
    }
}

static void assert_split(const thaw_dataset *ds, const char *split, const char *expected)
{
    thaw_str found = {0};
    describe(ds, split, &found);
    assert_string_equal(thaw_str_c(&found), expected);
    thaw_str_clear(&found);
}

static void folders_are_classes(void **state)
{
    (void)state;
    write_png("a/dog/2.png", 4, 20);
    write_png("a/dog/1.PNG", 4, 10);
    write_png("a/dog/more/3.png", 4, 30);
    write_png("a/ant hill/x.png", 4, 40);
    write_png("a/.hidden/x.png", 4, 50);
    write_text("a/dog/notes.txt", "no picture");
    assert_ok(
        IMPORT("images", in_folder("a"), "splits", "all=rest", "output", in_folder("out.h5")));
    thaw_dataset *ds = open_output();
    const thaw_shape shape = thaw_dataset_shape(ds),
                     four = thaw_shape_make(3, (int64_t[]){3, 4, 4});
    assert_true(thaw_shape_equal(&shape, &four));
    assert_int_equal(thaw_dataset_dtype(ds), THAW_U8);
    assert_int_equal(thaw_dataset_classes(ds), 2);
    assert_split(ds, "all", "0:ant hill:40 1:dog:10 2:dog:20 3:dog:30 ");
    thaw_dataset_free(&ds);
    /* Classes are chosen and renamed by name; grey is one channel. */
    assert_ok(IMPORT("images", in_folder("a"), "splits", "all=rest", "output", in_folder("out.h5"),
                     "select", "dog=hound", "colours", "grey", "size", "2"));
    ds = open_output();
    assert_int_equal(thaw_dataset_values(ds), 4);
    assert_split(ds, "all", "1:hound:11 2:hound:21 3:hound:31 ");
    thaw_dataset_free(&ds);
}

static void folders_may_be_splits(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        char name[64];
        thaw_format(name, sizeof name, "s/train/%s/%d.png", i % 2 ? "b" : "a", i);
        write_png(name, 4, (uint8_t)(10 * i));
    }
    write_png("s/val/a/0.png", 4, 100);
    write_png("s/val/b/0.png", 4, 110);
    assert_ok(IMPORT("images", in_folder("s"), "output", in_folder("out.h5")));
    thaw_dataset *ds = open_output();
    assert_int_equal(thaw_dataset_split_count(ds), 2);
    assert_split(ds, "train", "0:a:0 1:a:20 2:a:40 3:b:10 4:b:30 5:b:50 ");
    assert_split(ds, "val", "6:a:100 7:b:110 ");
    thaw_dataset_free(&ds);
    assert_ok(IMPORT("images", in_folder("s"), "output", in_folder("out.h5"), "splits",
                     "train=2@train,gate=rest@train,test=1@val"));
    ds = open_output();
    assert_int_equal(thaw_dataset_count(ds, thaw_dataset_split_find(ds, "train")), 4);
    assert_int_equal(thaw_dataset_count(ds, thaw_dataset_split_find(ds, "gate")), 2);
    assert_split(ds, "test", "6:a:100 7:b:110 ");
    thaw_dataset_free(&ds);
    /* A class may be called train: it has pictures inside, not folders. */
    write_png("t/train/0.png", 4, 1);
    write_png("t/car/0.png", 4, 2);
    assert_ok(IMPORT("images", in_folder("t"), "output", in_folder("out.h5"), "splits", "x=rest"));
    ds = open_output();
    assert_split(ds, "x", "0:car:2 1:train:1 ");
    thaw_dataset_free(&ds);
}

static void tables_say_more(void **state)
{
    (void)state;
    write_png("c/one, two.png", 4, 10);
    write_png("c/sub/2.png", 4, 20);
    write_png("c/3.png", 4, 30);
    write_png("c/4.png", 4, 40);
    write_text("c/list.csv", "label,path,split,slices,cluster\r\n"
                             "dog,\"one, two.png\",train,night;blurred,p7\r\n"
                             "cat,sub/2.png,train,night,p7\r\n"
                             "cat,3.png,test,,p2\r\n"
                             "dog,4.png,,blurred,p1\r\n");
    assert_ok(IMPORT("images", in_folder("c/list.csv"), "format", "images", "output",
                     in_folder("out.h5"), "slices", "dogs=dog"));
    thaw_dataset *ds = open_output();
    assert_split(ds, "train", "0:dog:10 1:cat:20 ");
    assert_split(ds, "test", "2:cat:30 ");
    const int64_t train = thaw_dataset_split_find(ds, "train"),
                  night = thaw_dataset_slice_find(ds, "night"),
                  blurred = thaw_dataset_slice_find(ds, "blurred"),
                  dogs = thaw_dataset_slice_find(ds, "dogs");
    assert_true(night >= 0 && blurred >= 0 && dogs >= 0);
    assert_memory_equal(thaw_dataset_slice_mask(ds, train, night), "\1\1", 2);
    assert_memory_equal(thaw_dataset_slice_mask(ds, train, blurred), "\1\0", 2);
    assert_memory_equal(thaw_dataset_slice_mask(ds, train, dogs), "\1\0", 2);
    assert_int_equal(thaw_dataset_clusters(ds, train)[0], thaw_dataset_clusters(ds, train)[1]);
    thaw_dataset_free(&ds);
}

/* Two sources make one list of classes; sizes are made equal. */
static void sources_are_joined_and_resized(void **state)
{
    (void)state;
    char both[1100];
    write_png("j/one/a/0.png", 8, 10);
    write_png("j/one/c/0.png", 5, 20);
    write_png("j/two/b/0.png", 9, 30);
    thaw_format(both, sizeof both, "%s,%s", in_folder("j/one"), in_folder("j/two"));
    assert_ok(IMPORT("images", both, "output", in_folder("out.h5"), "splits", "x=rest", "size", "6",
                     "shorter", "7", "filter", "bicubic", "slices", "second=source:2"));
    thaw_dataset *ds = open_output();
    assert_int_equal(thaw_dataset_values(ds), 3 * 6 * 6);
    assert_split(ds, "x", "0:a:10 1:c:20 2:b:30 ");
    assert_memory_equal(thaw_dataset_slice_mask(ds, 0, thaw_dataset_slice_find(ds, "second")),
                        "\0\0\1", 3);
    thaw_dataset_free(&ds);
}

static void broken_files_are_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        char name[64];
        thaw_format(name, sizeof name, "b/%s/%d.png", i % 2 ? "odd" : "even", i);
        write_png(name, 4, (uint8_t)(10 * i));
    }
    write_text("b/odd/3.png", "junk");
    write_text("b/even/4.png", "");
    unlink(in_folder("out.h5"));
    const int64_t live = thaw_alloc_live();
    assert_fails(IMPORT("images", in_folder("b"), "output", in_folder("out.h5"), SPLITS),
                 THAW_ERR_INPUT, "2 of 10 pictures cannot be read: ");
    assert_non_null(strstr(thaw_error_last()->message, "even/4.png: the file is empty; "));
    assert_non_null(strstr(thaw_error_last()->message,
                           "odd/3.png: neither JPEG nor PNG by its first bytes (6a 75 6e 6b)"));
    assert_non_null(strstr(thaw_error_last()->message, "--broken 0.22"));
    assert_fails(
        IMPORT("images", in_folder("b"), "output", in_folder("out.h5"), SPLITS, "broken", "0.19"),
        THAW_ERR_INPUT, "2 of 10");
    assert_false(thaw_path_exists(in_folder("out.h5")));
    assert_ok(IMPORT("images", in_folder("b"), "output", in_folder("out.h5"), "splits", "x=rest",
                     "broken", "0.2"));
    thaw_dataset *ds = open_output();
    assert_split(ds, "x",
                 "0:even:0 1:even:20 3:even:60 4:even:80 5:odd:10 7:odd:50 8:odd:70 9:odd:90 ");
    thaw_dataset_free(&ds);
    assert_int_equal(thaw_alloc_live(), live);
}

/* What no split takes is not read; a broken picture gives its place to the next of the draw. */
static void only_what_is_taken_is_read(void **state)
{
    (void)state;
    char name[64];
    for (int i = 0; i < 8; i++) {
        thaw_format(name, sizeof name, "k/%s/%d.png", i % 2 ? "odd" : "even", i);
        write_png(name, 4, (uint8_t)(10 * i));
    }
    write_text("k/junk/0.png", "junk");
    write_text("k/junk/1.png", "junk");
    assert_ok(IMPORT("images", in_folder("k"), "output", in_folder("out.h5"), "splits",
                     "train=2,val=1", "select", "odd,even"));
    thaw_dataset *ds = open_output();
    assert_int_equal(thaw_dataset_count(ds, thaw_dataset_split_find(ds, "train")), 4);
    const int64_t s = thaw_dataset_split_find(ds, "train");
    const int64_t first = thaw_dataset_ids(ds, s)[0], second = thaw_dataset_ids(ds, s)[1];
    thaw_dataset_free(&ds);
    /* Rows 0 to 3 are even/0, 2, 4 and 6. */
    thaw_format(name, sizeof name, "k/even/%lld.png", (long long)(2 * first));
    write_text(name, "junk");
    assert_fails(IMPORT("images", in_folder("k"), "output", in_folder("out.h5"), "splits",
                        "train=2,val=1", "select", "odd,even"),
                 THAW_ERR_INPUT, "1 of 6 pictures cannot be read");
    assert_ok(IMPORT("images", in_folder("k"), "output", in_folder("out.h5"), "splits",
                     "train=2,val=1", "select", "odd,even", "broken", "0.2"));
    ds = open_output();
    assert_int_equal(thaw_dataset_count(ds, s), 4);
    assert_int_not_equal(thaw_dataset_ids(ds, s)[0], first);
    assert_true(thaw_dataset_ids(ds, s)[0] == second || thaw_dataset_ids(ds, s)[1] == second);
    thaw_dataset_free(&ds);
    assert_fails(IMPORT("images", in_folder("k"), "output", in_folder("out.h5"), "splits",
                        "train=3,val=1", "select", "odd,even", "broken", "0.2"),
                 THAW_ERR_USAGE, "wants 1 samples of class \"even\", but 0 are left");
}

/* Mistakes in what is asked for are found before any picture is: none of these can be read. */
static void mistakes_show_before_the_work(void **state)
{
    (void)state;
    const struct {
        const char *field, *text, *piece;
    } options[] = {
        {"select", "bat", "the sources have no class \"bat\""},
        {"slices", "s", "write NAME=CLASS"},
        {"slices", "s=ant+bat", "there is no class \"bat\""},
        {"slices", "s=ant,s=bee", "--slices names \"s\" twice"},
        {"splits", "val", "write NAME=AMOUNT"},
        {"splits", "train=1", "--splits names \"train\" twice"},
        {"splits", "val=9", "wants 9 samples of class \"ant\", but 1 are left"},
        {"mean", "1,2", "--mean and --std belong together"},
        {"layout", "chw", "--layout is for arrays of numbers"},
        {"tokens", "128", "--tokens is for texts"},
        {"fit", "crop", "--fit: is for --size"},
    };
    write_text("p/ant/0.png", "junk");
    write_text("p/ant/1.png", "junk");
    write_text("p/bee/0.png", "junk");
    write_text("p/bee/1.png", "junk");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        assert_fails(IMPORT("images", in_folder("p"), "output", in_folder("out.h5"), "splits",
                            "train=1", options[i].field, options[i].text),
                     THAW_ERR_USAGE, options[i].piece);
    assert_fails(IMPORT("images", in_folder("p"), "output", in_folder("out.h5"), "splits",
                        "train=1", "slices", "s=mask:/none.npy"),
                 THAW_ERR_INPUT, "/none.npy");
    assert_fails(IMPORT("images", in_folder("p"), "output", in_folder("out.h5"), "splits", "x=1",
                        "select", "ant", "slices", "s=source:2"),
                 THAW_ERR_USAGE, "the source must be in 1..1");
    write_text("p.csv", "path,label,slices\nx.png,ant,\ny.png,bee,s\n");
    assert_fails(IMPORT("images", in_folder("p.csv"), "format", "images", "output",
                        in_folder("out.h5"), "splits", "x=rest", "slices", "s=ant"),
                 THAW_ERR_USAGE, "--slices names \"s\", which is a slice of the sources");
    assert_fails(IMPORT("images", in_folder("x.npy"), "labels", in_folder("y.npy"), "format", "npy",
                        "output", in_folder("out.h5"), "splits", "x=rest", "colours", "rgb"),
                 THAW_ERR_USAGE, "--colours is for pictures");
}

/* The share that a message proposes is one that --broken takes. */
static void nearly_all_may_be_broken(void **state)
{
    (void)state;
    char name[64];
    write_png("n/a/0.png", 4, 1);
    for (int i = 1; i < 40; i++) {
        thaw_format(name, sizeof name, "n/a/%d.png", i);
        write_text(name, "junk");
    }
    assert_fails(IMPORT("images", in_folder("n"), "output", in_folder("out.h5"), SPLITS),
                 THAW_ERR_INPUT, "39 of 40 pictures cannot be read: ");
    assert_non_null(strstr(thaw_error_last()->message, "--broken 1 would"));
}

/* long: one line a mistake */
static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        thaw_status code;
        const char *csv, *piece;
    } tables[] = {
        {THAW_ERR_INPUT, "path\nx.png\n", "names no column \"label\"; it has \"path\""},
        {THAW_ERR_INPUT, "path,label\n", "no row after"},
        {THAW_ERR_INPUT, "path,label\nx.png\n", "m.csv:2: 1 fields"},
        {THAW_ERR_INPUT, "path,label\nx.png,a\ny.png,\n", "m.csv:3: the label \"\""},
        {THAW_ERR_INPUT, "path,label\n,a\n", "m.csv:2: the path is empty"},
        {THAW_ERR_INPUT, "path,label,split\nx.png,a,my split\n", "m.csv:2: the split \"my split\""},
        {THAW_ERR_INPUT, "path,label,slices\nx.png,a,b/c\n", "m.csv:2: the slice \"b/c\""},
        {THAW_ERR_INPUT, "path,label,cluster\nx.png,a,\n", "m.csv:2: no cluster"},
        {THAW_ERR_INPUT, "path,label\nnone.png,a\n", "none.png: cannot open"},
        {THAW_ERR_USAGE, "path,label\na/dog/2.png,a\na/dog/more/3.png,b\nbig.png,b\n",
         "big.png is 6 x 6 pixels, but those before are 4 x 4; name the side"},
        {THAW_ERR_USAGE, "path,label,split\nbig.png,a,first\n", "from, NAME=AMOUNT@first"},
        {THAW_ERR_USAGE, "path,label,slices\nbig.png,a,s\n", "a slice of the sources"},
    };
    static const struct {
        const char *field, *text, *piece;
    } options[] = {
        {"layout", "hwc", "--layout"},
        {"labels", "y.npy", "--labels: images name these themselves"},
        {"clusters", "y.npy", "--clusters: images name these themselves"},
        {"task", "regression", "--task regression: images name one class a row"},
        {"shorter", "9", "--shorter: is for --size"},
        {"select", "dogs", "the sources have no class \"dogs\"; did you mean dog; theirs are"},
        {"size", "0", "at least 1"},
        {"filter", "cubic", "must be one of bilinear, bicubic"},
        {"fit", "pad", "must be one of crop, squash"},
        {"broken", "2", "at most 1"},
        {"broken", "few", "not a number"},
        {"slices", "s=mask:/tmp", "images are samples, not an array"},
    };
    write_png("big.png", 6, 1);
    unlink(in_folder("out.h5"));
    const int64_t live = thaw_alloc_live();
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        write_text("m.csv", tables[i].csv);
        assert_fails(IMPORT("images", in_folder("m.csv"), "format", "images", "output",
                            in_folder("out.h5"), "splits", "x=rest", "slices", "s=a"),
                     tables[i].code, tables[i].piece);
    }
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        assert_fails(IMPORT("images", in_folder("a"), "output", in_folder("out.h5"), "splits",
                            "x=rest", options[i].field, options[i].text),
                     THAW_ERR_USAGE, options[i].piece);
    assert_fails(IMPORT("images", in_folder("a"), "output", in_folder("out.h5"), "splits", "x=rest",
                        "size", "9", "shorter", "8"),
                 THAW_ERR_USAGE, "--shorter 8: must be at least --size, 9");
    assert_fails(IMPORT("images", in_folder("a/dog/more"), "output", in_folder("out.h5"), SPLITS),
                 THAW_ERR_INPUT, "has no folders; one for each class");
    assert_ok(thaw_mkdirs(in_folder("e/empty")));
    assert_fails(IMPORT("images", in_folder("e"), "output", in_folder("out.h5"), SPLITS),
                 THAW_ERR_INPUT, "empty: no picture of this class");
    assert_int_equal(symlink("..", in_folder("e/empty/up")), 0);
    assert_fails(IMPORT("images", in_folder("e"), "output", in_folder("out.h5"), SPLITS),
                 THAW_ERR_INPUT, "is there a link to one above?");
    assert_fails(IMPORT("images", in_folder("a"), "output", in_folder("no/out.h5"), SPLITS),
                 THAW_ERR_RESOURCE, "no/out.h5: cannot write beside it");
    assert_int_equal(thaw_alloc_live(), live);
    assert_false(thaw_path_exists(in_folder("out.h5")));
}

/* The file does not depend on the number of threads that decode. */
static void threads_change_nothing(void **state)
{
    (void)state;
    thaw_digest digests[2];
    for (int i = 0; i < 150; i++) {
        char name[64];
        thaw_format(name, sizeof name, "w/%c/%d.png", 'a' + i % 3, i);
        write_png(name, 4 + i % 9, (uint8_t)i);
    }
    for (int i = 0; i < 2; i++) {
        thaw_threads_set(i == 0 ? 1 : 3);
        assert_ok(
            IMPORT("images", in_folder("w"), "output", in_folder("out.h5"), SPLITS, "size", "5"));
        thaw_dataset *ds = open_output();
        digests[i] = thaw_dataset_digest(ds);
        thaw_dataset_free(&ds);
    }
    thaw_threads_set(0);
    assert_true(thaw_digest_equal(digests[0], digests[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_classes),
        cmocka_unit_test(folders_may_be_splits),
        cmocka_unit_test(tables_say_more),
        cmocka_unit_test(sources_are_joined_and_resized),
        cmocka_unit_test(broken_files_are_counted),
        cmocka_unit_test(only_what_is_taken_is_read),
        cmocka_unit_test(mistakes_show_before_the_work),
        cmocka_unit_test(nearly_all_may_be_broken),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
