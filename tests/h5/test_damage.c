/* Damaged files are refused with a message: never a crash, never wrong data.
 * thaw-test: timeout=120 */
#define _GNU_SOURCE
#include "files_test.h"

#include "thaw/h5.h"

static thaw_digest original, original_attributes;

static void save_one(const char *path)
{
    static float weight[40][50];
    thaw_state s = {0}, a = {0};
    for (int i = 0; i < 2000; i++)
        weight[i / 50][i % 50] = (float)i;
    assert_ok(thaw_state_add(&s, "layer1/conv.weight", THAW_F32, thaw_shape2(40, 50), weight));
    assert_ok(thaw_state_add(&s, "layer1/conv.bias", THAW_F32, thaw_shape1(40), weight));
    assert_ok(thaw_state_add_int(&s, "step", 17));
    assert_ok(thaw_state_add_text(&a, "format", "thaw-checkpoint"));
    assert_ok(thaw_state_add_int(&a, "version", 1));
    thaw_h5_write what = {.state = &s, .attributes = &a};
    assert_ok(thaw_h5_save(path, &what, &original));
    assert_ok(thaw_state_digest(&a, &original_attributes));
    thaw_state_clear(&s);
    thaw_state_clear(&a);
}

/* Either refused as input, or, where the damage hit nothing that counts, the very content. */
static bool refused(const char *path)
{
    thaw_state s = {0}, a = {0};
    thaw_status status = thaw_h5_load(path, NULL, &s, &a);
    if (status != THAW_OK) {
        if (status != THAW_ERR_INPUT || strstr(thaw_error_last()->message, "damaged.h5") == NULL)
            fail_msg("status %s: %s", thaw_status_name(status), thaw_error_last()->message);
        assert_true(s.count == 0 && a.count == 0);
        return true;
    }
    thaw_digest found;
    assert_ok(thaw_state_digest(&s, &found));
    assert_true(thaw_digest_equal(found, original));
    assert_ok(thaw_state_digest(&a, &found));
    assert_true(thaw_digest_equal(found, original_attributes));
    thaw_state_clear(&s);
    thaw_state_clear(&a);
    return false;
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_str whole = {0};
    save_one(in_folder("whole.h5"));
    read_bytes(in_folder("whole.h5"), &whole);
    for (size_t n = 0; n < whole.length; n += n < 200 ? 7 : 331) {
        write_bytes(in_folder("damaged.h5"), whole.data, n);
        assert_true(refused(in_folder("damaged.h5")));
    }
    thaw_str_clear(&whole);
    assert_int_equal(thaw_alloc_live(), live);
}

static void flipped_bits_never_give_wrong_data(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_str whole = {0};
    int caught = 0, tried = 0;
    read_bytes(in_folder("whole.h5"), &whole);
    for (size_t at = 0; at < whole.length; at += 5) {
        unsigned char kept = (unsigned char)whole.data[at];
        whole.data[at] = (char)(kept ^ (1u << (at / 5 % 8)));
        write_bytes(in_folder("damaged.h5"), whole.data, whole.length);
        caught += refused(in_folder("damaged.h5"));
        tried++;
        whole.data[at] = (char)kept;
    }
    /* The rest hits unused space. */
    assert_true(caught > tried / 3);
    thaw_str_clear(&whole);
    assert_int_equal(thaw_alloc_live(), live);
}

static void zeroed_blocks_never_give_wrong_data(void **state)
{
    (void)state;
    thaw_str whole = {0};
    read_bytes(in_folder("whole.h5"), &whole);
    char kept[512];
    for (size_t at = 0; at + sizeof kept <= whole.length; at += 256) {
        memcpy(kept, whole.data + at, sizeof kept);
        memset(whole.data + at, 0, sizeof kept);
        write_bytes(in_folder("damaged.h5"), whole.data, whole.length);
        (void)refused(in_folder("damaged.h5"));
        memcpy(whole.data + at, kept, sizeof kept);
    }
    thaw_str_clear(&whole);
}

static void the_damaged_dataset_is_named(void **state)
{
    (void)state;
    thaw_str whole = {0};
    read_bytes(in_folder("whole.h5"), &whole);
    /* The bytes of 1000.0F, which only the weight holds. */
    static const unsigned char mark[8] = {0x00, 0x00, 0x7a, 0x44, 0x00, 0x40, 0x7a, 0x44};
    size_t at = 0;
    while (memcmp(whole.data + at, mark, sizeof mark) != 0)
        assert_true(++at + sizeof mark < whole.length);
    whole.data[at] ^= 1;
    write_bytes(in_folder("damaged.h5"), whole.data, whole.length);
    thaw_state s = {0};
    assert_refused(thaw_h5_load(in_folder("damaged.h5"), NULL, &s, NULL), THAW_ERR_INPUT,
                   "'layer1/conv.weight'");
    /* The rest can still be read. */
    assert_ok(thaw_h5_load(in_folder("damaged.h5"), "layer1/conv.b", &s, NULL));
    assert_int_equal(s.count, 1);
    thaw_state_clear(&s);
    thaw_str_clear(&whole);
}

static void what_is_missing_or_added_is_noticed(void **state)
{
    (void)state;
    thaw_h5 *f = NULL;
    thaw_state s = {0};
    /* Every dataset is fine by itself, but the digest of the whole is of something else. */
    assert_ok(thaw_h5_create(in_folder("damaged.h5"), &f));
    assert_ok(thaw_h5_set_text(f, "/", "digest", "00000000000000000000000000000000"));
    assert_ok(thaw_h5_commit(&f));
    assert_refused(thaw_h5_load(in_folder("damaged.h5"), NULL, &s, NULL), THAW_ERR_INPUT,
                   "missing or were added");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(flipped_bits_never_give_wrong_data),
        cmocka_unit_test(zeroed_blocks_never_give_wrong_data),
        cmocka_unit_test(the_damaged_dataset_is_named),
        cmocka_unit_test(what_is_missing_or_added_is_noticed),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
