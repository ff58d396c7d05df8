/* The operations of RandAugment against what Pillow makes of the same pictures (tests/golden/randaugment.txt without arguments, a live file
 * with one; both by tools/gen-golden-randaugment), and what of them is drawn for a sample. */
#include "data_test.h"

#include "data/randaugment_impl.h"

#define LEVELS_MOST 200000
/* Levels as ImageNet's mean and deviation leave them. */
static const double zero[3] = {-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225};
static const double step[3] = {1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)};
static const thaw_levels levels = {.zero = zero, .step = step};

static const char *file = THAW_TESTS_DIR "/golden/randaugment.txt";

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void read_hex(const char *hex, int64_t count, uint8_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (uint8_t)(16 * digit(hex[2 * i]) + digit(hex[2 * i + 1]));
}

static void check_case(const char *line, const long long size[3], const uint8_t *picture)
{
    static uint8_t expected[LEVELS_MOST], found[LEVELS_MOST], spare[LEVELS_MOST];
    const int64_t count = size[0] * size[1] * size[2];
    int op, bin, sign, at;
    assert_int_equal(sscanf(line, "case %d %d %d %n", &op, &bin, &sign, &at), 3);
    read_hex(line + at, count, expected);
    memcpy(found, picture, (size_t)count);
    const double magnitude = thaw_rand_magnitude((thaw_rand_op)op, bin, size[1], size[2]);
    assert_true(sign > 0 || thaw_rand_signed((thaw_rand_op)op));
    thaw_rand_apply((thaw_rand_op)op, sign * magnitude, size[0], size[1], size[2], found, spare);
    for (int64_t i = 0; i < count; i++)
        if (found[i] != expected[i])
            fail_msg("%.20s of %lld x %lld x %lld: level %lld was %d, is %d, should be %d", line,
                     size[0], size[1], size[2], (long long)i, picture[i], found[i], expected[i]);
}

static void test_as_pillow(void **state)
{
    (void)state;
    static uint8_t picture[LEVELS_MOST];
    thaw_str text = {0};
    long long size[3] = {0};
    int count = 0, at;
    bool seen[THAW_RAND_OPS] = {false};
    assert_ok(thaw_file_read(file, &text));
    for (const char *line = text.data; line != NULL && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (sscanf(line, "picture %lld %lld %lld %n", &size[0], &size[1], &size[2], &at) == 3) {
            assert_true(size[0] * size[1] * size[2] <= LEVELS_MOST);
            read_hex(line + at, size[0] * size[1] * size[2], picture);
        }
        if (thaw_starts_with(line, "case ")) {
            check_case(line, size, picture);
            seen[strtol(line + 5, NULL, 10)] = true;
            count++;
        }
    }
    for (int op = 0; op < THAW_RAND_OPS; op++)
        assert_true(seen[op]);
    print_message("%d cases\n", count);
    thaw_str_clear(&text);
}

#define H     9
#define W     11
#define PLANE (H * W)

static void fill(uint8_t *bytes, float *x)
{
    for (int i = 0; i < 3 * PLANE; i++) {
        bytes[i] = (uint8_t)(i * 89 + i / 7);
        x[i] = (float)(bytes[i] * step[i / PLANE] + zero[i / PLANE]);
    }
}

static const thaw_shape sample = {.ndim = 3, .dim = {3, H, W}};

/* Every operation comes, with both signs, alike for a sample whatever its batch, and leaves whole levels. */
static void test_draws(void **state)
{
    (void)state;
    static uint8_t bytes[3 * PLANE], expected[3 * PLANE], spare[PLANE];
    static float x[3 * PLANE], plain[3 * PLANE], scratch[PLANE];
    const thaw_augment a = {.rand_ops = 1, .rand_magnitude = 20};
    int found[THAW_RAND_OPS][2] = {{0}};
    for (int64_t n = 0; n < 1000; n++) {
        bool known = false;
        fill(bytes, x);
        thaw_augment_batch(&a, 5, 2, 1, &n, &sample, &levels, x, scratch);
        for (int op = 0; op < THAW_RAND_OPS && !known; op++)
            for (int sign = 1; sign >= (thaw_rand_signed((thaw_rand_op)op) ? -1 : 1); sign -= 2) {
                memcpy(expected, bytes, sizeof expected);
                thaw_rand_apply((thaw_rand_op)op,
                                sign * thaw_rand_magnitude((thaw_rand_op)op, 20, H, W), 3, H, W,
                                expected, spare);
                for (int i = 0; i < 3 * PLANE; i++)
                    plain[i] = (float)(expected[i] * step[i / PLANE] + zero[i / PLANE]);
                if (memcmp(plain, x, sizeof x) != 0)
                    continue;
                found[op][sign < 0]++;
                known = true;
            }
        assert_true(known);
    }
    /* 71 of each are expected; equalize has no step on so few pixels and counts as the identity. */
    for (int op = 1; op < THAW_RAND_EQUALIZE; op++) {
        const bool both = thaw_rand_signed((thaw_rand_op)op);
        assert_in_range(found[op][0] + found[op][1], 40, 110);
        assert_true(both == (found[op][1] > 10) && found[op][0] > 10);
    }
    assert_in_range(found[THAW_RAND_IDENTITY][0], 90, 200);
}

static void test_leaves_other_draws_alone(void **state)
{
    (void)state;
    static uint8_t bytes[3 * PLANE];
    static float with[3 * PLANE], without[3 * PLANE], scratch[PLANE];
    const thaw_augment flip = {.flip = true},
                       both = {.flip = true, .rand_ops = 2, .rand_magnitude = 9};
    int equal = 0;
    for (int64_t n = 0; n < 200; n++) {
        fill(bytes, with);
        fill(bytes, without);
        thaw_augment_batch(&both, 5, 2, 1, &n, &sample, &levels, with, scratch);
        thaw_augment_batch(&flip, 5, 2, 1, &n, &sample, &levels, without, scratch);
        equal += memcmp(with, without, sizeof with) == 0;
    }
    assert_in_range(equal, 1, 30); /* two of identity or equalize: 1 in 49 */
}

static void test_magnitudes(void **state)
{
    (void)state;
    assert_true(thaw_rand_magnitude(THAW_RAND_SHEAR_X, 30, 1, 1) == (double)0.3F);
    assert_true(thaw_rand_magnitude(THAW_RAND_TRANSLATE_X, 30, 1, 331) == 150);
    assert_true(thaw_rand_magnitude(THAW_RAND_TRANSLATE_Y, 30, 331, 1) == 150);
    assert_true(thaw_rand_magnitude(THAW_RAND_POSTERIZE, 9, 1, 1) == 7);
    assert_true(thaw_rand_magnitude(THAW_RAND_POSTERIZE, 30, 1, 1) == 4);
    assert_true(thaw_rand_magnitude(THAW_RAND_SOLARIZE, 9, 1, 1) == 178.5);
}

static void test_what_it_does_not_take(void **state)
{
    (void)state;
    const thaw_augment a = {.rand_ops = 2, .rand_magnitude = 9};
    const thaw_shape flat = thaw_shape_make(3, (int64_t[]){40, 1, 1});
    const thaw_shape two = thaw_shape_make(3, (int64_t[]){2, 8, 8});
    const thaw_shape large = thaw_shape_make(3, (int64_t[]){3, 8, 20000});
    assert_false(thaw_augment_none(&a));
    assert_ok(thaw_augment_check(&a, &sample));
    assert_fails(thaw_augment_check(&a, &flat), THAW_ERR_CONFIG, "need pictures");
    assert_fails(thaw_augment_check(&a, &two), THAW_ERR_CONFIG, "2 channels");
    assert_fails(thaw_augment_check(&a, &large), THAW_ERR_CONFIG, "8 x 20000");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_pillow),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_leaves_other_draws_alone),
        cmocka_unit_test(test_magnitudes),
        cmocka_unit_test(test_what_it_does_not_take),
    };
    if (argc > 1)
        file = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
