/* The quickstart's imports from the Debian package dataset-fashion-mnist; skipped when it is not installed. */
/* thaw-test: timeout=60 */
#include "data_test.h"

#define ROOT "/usr/share/datasets/fashion-mnist/"

static const char images[] = ROOT "train-images-idx3-ubyte.gz," ROOT "t10k-images-idx3-ubyte.gz";
static const char labels[] = ROOT "train-labels-idx1-ubyte.gz," ROOT "t10k-labels-idx1-ubyte.gz";

static void the_target_task_is_imported(void **state)
{
    (void)state;
    thaw_dataset *ds = NULL;
    double start = thaw_seconds();
    assert_ok(IMPORT("images", images, "labels", labels, "select",
                     "5=Sandal,6=Shirt,7=Sneaker,8=Bag,9=Ankle boot", "splits",
                     "train=50@1,val=40@1,gate=200@1,test=rest@2", "slices", "shirt-like=Shirt",
                     "output", in_folder("target.h5")));
    printf("target task: %.2f s\n", thaw_seconds() - start);
    assert_ok(thaw_dataset_open(in_folder("target.h5"), NULL, &ds));
    static const struct {
        const char *name;
        int64_t count;
    } splits[] = {{"gate", 1000}, {"test", 5000}, {"train", 250}, {"val", 200}};
    for (int64_t s = 0; s < 4; s++) {
        assert_string_equal(thaw_dataset_split_name(ds, s), splits[s].name);
        assert_int_equal(thaw_dataset_count(ds, s), splits[s].count);
        assert_int_equal(
            thaw_dataset_slice_members(ds, s, thaw_dataset_slice_find(ds, "shirt-like")),
            splits[s].count / 5);
    }
    thaw_dataset_free(&ds);
}

static void all_of_it_is_imported_and_read(void **state)
{
    (void)state;
    thaw_dataset *ds = NULL;
    double start = thaw_seconds();
    assert_ok(IMPORT("images", images, "labels", labels, "splits", "train=rest@1,test=rest@2",
                     "output", in_folder("all.h5")));
    printf("60,000 and 10,000 pictures imported: %.2f s\n", thaw_seconds() - start);
    start = thaw_seconds();
    assert_ok(thaw_dataset_open(in_folder("all.h5"), NULL, &ds));
    printf("opened and checked: %.2f s\n", thaw_seconds() - start);
    assert_int_equal(thaw_dataset_count(ds, 1), 60000);
    /* Known figures of the set: mean 0.2860, standard deviation 0.3530. */
    assert_true(thaw_dataset_mean(ds)[0] > 0.28604 - 1e-4 &&
                thaw_dataset_mean(ds)[0] < 0.28604 + 1e-4);
    assert_true(thaw_dataset_std(ds)[0] > 0.35302 - 1e-4 &&
                thaw_dataset_std(ds)[0] < 0.35302 + 1e-4);
    static float x[100 * 784];
    thaw_sampler sampler = {.count = 60000, .batch = 100, .shards = 1, .seed = 1};
    start = thaw_seconds();
    for (int64_t step = 0; step < 600; step++) {
        int64_t indices[100];
        thaw_sampler_fill(&sampler, 0, step, 0, 100, indices);
        assert_ok(thaw_dataset_read(ds, 1, 100, indices, x));
    }
    printf("an epoch of batches: %.2f s\n", thaw_seconds() - start);
    thaw_dataset_free(&ds);
}

int main(void)
{
    if (!thaw_path_exists(ROOT "train-images-idx3-ubyte.gz")) {
        printf("skipped: the package dataset-fashion-mnist is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_target_task_is_imported),
        cmocka_unit_test(all_of_it_is_imported_and_read),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
