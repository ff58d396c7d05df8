/* Pictures of every kind against what Pillow makes of them (tests/golden/pictures, and larger ones live when Pillow is here), and what is
 * not a whole picture. Both are written by tools/gen-golden-pictures. */
#include "data_test.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/picture_impl.h"

static const char golden[] = THAW_TESTS_DIR "/golden/pictures";

static int worst_difference(const uint8_t *a, const uint8_t *b, int64_t count)
{
    int worst = 0;
    for (int64_t i = 0; i < count; i++)
        worst = abs(a[i] - b[i]) > worst ? abs(a[i] - b[i]) : worst;
    return worst;
}

/* One line of cases.txt; the expected bytes go forward. */
static void check_case(const char *directory, const char *line, const uint8_t **expected,
                       const uint8_t *end)
{
    char name[100], fit[10], filter[10], path[600], why[THAW_PICTURE_WHY] = "";
    long long w, h, size, shorter;
    int C, tolerance;
    thaw_picture picture = {0};
    assert_int_equal(sscanf(line, "%99s %lld %lld %d %lld %lld %9s %9s %d", name, &w, &h, &C, &size,
                            &shorter, fit, filter, &tolerance),
                     9);
    const thaw_picture_rule rule = {
        .C = C,
        .size = size,
        .shorter = shorter,
        .fit = strcmp(fit, "squash") == 0 ? THAW_FIT_SQUASH : THAW_FIT_CROP,
        .filter = strcmp(filter, "bicubic") == 0 ? THAW_BICUBIC : THAW_BILINEAR};
    thaw_format(path, sizeof path, "%s/%s", directory, name);
    if (thaw_picture_read(path, &picture, why) != THAW_OK)
        fail_msg("%s: %s", name, why);
    if (size == 0) {
        assert_int_equal(picture.W, w);
        assert_int_equal(picture.H, h);
    }
    if (C == 1)
        thaw_picture_to_grey(&picture);
    uint8_t *out = NULL;
    assert_ok(thaw_alloc(&out, C * w * h, 1));
    assert_ok(thaw_picture_fit(&picture, &rule, out));
    assert_true(end - *expected >= C * w * h);
    const int worst = worst_difference(out, *expected, C * w * h);
    if (worst > tolerance)
        fail_msg("%s: a value differs by %d", line, worst);
    *expected += C * w * h;
    thaw_free(&out);
    thaw_free(&picture.pixels);
}

static int check_directory(const char *directory)
{
    thaw_str cases = {0}, expected = {0};
    char path[600];
    int count = 0;
    thaw_format(path, sizeof path, "%s/cases.txt", directory);
    assert_ok(thaw_file_read(path, &cases));
    thaw_format(path, sizeof path, "%s/expected.bin", directory);
    assert_ok(thaw_file_read(path, &expected));
    const uint8_t *at = (const uint8_t *)expected.data, *end = at + expected.length;
    for (char *line = cases.data, *next; *line; line = next, count++) {
        next = strchr(line, '\n');
        assert_non_null(next);
        *next++ = '\0';
        check_case(directory, line, &at, end);
    }
    assert_ptr_equal(at, end);
    thaw_str_clear(&cases);
    thaw_str_clear(&expected);
    return count;
}

static void pictures_are_those_of_pillow(void **state)
{
    (void)state;
    assert_int_equal(check_directory(golden), 28);
}

/* A case had to be left out: ctest lists the program as skipped, and tools/test the reason. */
static bool left_out;

static void larger_ones_too(void **state)
{
    (void)state;
    char command[1000];
    const char *python = getenv("THAW_PEER_PYTHON");
    thaw_format(command, sizeof command, "%s %s/../tools/gen-golden-pictures --live %s/live",
                python ? python : "python3", THAW_TESTS_DIR, folder);
    const int code = system(command);
    if (WIFEXITED(code) && (WEXITSTATUS(code) == 77 || WEXITSTATUS(code) == 127)) {
        print_message("skipped: Python with Pillow and numpy is not here (THAW_PEER_PYTHON)\n");
        left_out = true;
        skip();
    }
    assert_int_equal(code, 0);
    assert_int_equal(check_directory(in_folder("live")), 58);
}

static thaw_status read_bytes(const void *data, size_t bytes, char why[THAW_PICTURE_WHY])
{
    thaw_picture picture = {0};
    write_bytes(in_folder("p"), data, bytes);
    const thaw_status status = thaw_picture_read(in_folder("p"), &picture, why);
    thaw_free(&picture.pixels);
    return status;
}

/* A file that ends early is broken wherever it ends: no grey rest, no picture. */
static void a_file_cut_off_is_no_picture(void **state)
{
    (void)state;
    static const char *const names[] = {"half.jpg", "progressive.jpg", "cmyk.JPG", "rgb.png",
                                        "interlaced.png"};
    const int64_t live = thaw_alloc_live();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[600], why[THAW_PICTURE_WHY] = "";
        thaw_str whole = {0};
        thaw_format(path, sizeof path, "%s/%s", golden, names[i]);
        assert_ok(thaw_file_read(path, &whole));
        assert_ok(read_bytes(whole.data, whole.length, why));
        for (size_t length = 0; length<whole.length; length += whole.length - length> 40 ? 11 : 1)
            if (read_bytes(whole.data, length, why) != THAW_ERR_INPUT || !*why)
                fail_msg("%s cut to %zu of %zu bytes was read", names[i], length, whole.length);
        thaw_str_clear(&whole);
    }
    assert_int_equal(thaw_alloc_live(), live);
}

static void what_is_no_picture_says_so(void **state)
{
    (void)state;
    char why[THAW_PICTURE_WHY] = "", path[600];
    thaw_picture picture = {0};
    thaw_str whole = {0};
    assert_int_equal(thaw_picture_read(in_folder("none"), &picture, why), THAW_ERR_INPUT);
    assert_non_null(strstr(why, "cannot open: No such file"));
    assert_int_equal(read_bytes("", 0, why), THAW_ERR_INPUT);
    assert_string_equal(why, "the file is empty");
    assert_int_equal(read_bytes("GIF89a", 6, why), THAW_ERR_INPUT);
    assert_non_null(strstr(why, "neither JPEG nor PNG by its first bytes (47 49 46 38)"));
    /* A byte of compressed pixels changed: the sum of the chunk tells. */
    thaw_format(path, sizeof path, "%s/rgb.png", golden);
    assert_ok(thaw_file_read(path, &whole));
    whole.data[whole.length - 40] ^= 1;
    assert_int_equal(read_bytes(whole.data, whole.length, why), THAW_ERR_INPUT);
    thaw_str_clear(&whole);
}

/* A header may promise any size; memory is asked for only within the limit. */
static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    char why[THAW_PICTURE_WHY] = "", path[600];
    thaw_str png = {0}, jpeg = {0};
    thaw_format(path, sizeof path, "%s/rgb.png", golden);
    assert_ok(thaw_file_read(path, &png));
    memcpy(png.data + 16, "\0\0\x40\0\0\0\x40\0", 8);
    const uint32_t sum = (uint32_t)crc32(0, (const uint8_t *)png.data + 12, 17);
    for (int i = 0; i < 4; i++)
        png.data[29 + i] = (char)(sum >> (24 - 8 * i));
    assert_int_equal(read_bytes(png.data, png.length, why), THAW_ERR_INPUT);
    assert_non_null(strstr(why, "16384 x 16384 pixels; at most 67108864 are read"));
    thaw_format(path, sizeof path, "%s/full.jpg", golden);
    assert_ok(thaw_file_read(path, &jpeg));
    char *frame = NULL;
    for (size_t i = 0; i + 9 < jpeg.length && !frame; i++)
        frame = memcmp(jpeg.data + i, "\xff\xc0\0\x11\x08", 5) == 0 ? jpeg.data + i : NULL;
    assert_non_null(frame);
    memcpy(frame + 5, "\xff\0\xff\0", 4);
    assert_int_equal(read_bytes(jpeg.data, jpeg.length, why), THAW_ERR_INPUT);
    assert_non_null(strstr(why, "65280 x 65280 pixels; at most 67108864 are read"));
    thaw_str_clear(&png);
    thaw_str_clear(&jpeg);
}

/* Scans that do not follow one another leave bits of coefficients out, and libjpeg only warns of it. */
static void scans_out_of_order_are_broken(void **state)
{
    (void)state;
    char why[THAW_PICTURE_WHY] = "", path[600];
    thaw_str jpeg = {0};
    thaw_format(path, sizeof path, "%s/progressive.jpg", golden);
    assert_ok(thaw_file_read(path, &jpeg));
    char *scan = NULL;
    for (size_t i = 0; i + 14 < jpeg.length && !scan; i++)
        scan = memcmp(jpeg.data + i, "\xff\xda\0\x0c\x03", 5) == 0 ? jpeg.data + i : NULL;
    assert_non_null(scan);
    assert_int_equal(scan[13], 1);
    scan[13] = 0; /* says that it has all bits; a later one brings the last again */
    assert_int_equal(read_bytes(jpeg.data, jpeg.length, why), THAW_ERR_INPUT);
    assert_non_null(strstr(why, "progression"));
    thaw_str_clear(&jpeg);
}

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define LIMITED_MEMORY 0
#else
#define LIMITED_MEMORY 1
#endif

/* In a process whose memory is used up, then given back in pieces: every allocation on the way fails once. Gives 0 when each attempt
 * failed for memory and the last one read the picture. */
static int read_with_little_memory(const char *name)
{
    enum { BLOCKS = 1 << 16, BYTES = 2000 };
    static void *blocks[BLOCKS];
    char why[THAW_PICTURE_WHY] = "", path[600];
    int64_t count = 0, failures = 0;
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    thaw_format(path, sizeof path, "%s/%s", golden, name);
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 2;
    while (count < BLOCKS && thaw_alloc(&blocks[count], BYTES, 1) == THAW_OK)
        count++;
    for (; count >= 0; count--) {
        thaw_picture picture = {0};
        const thaw_status status = thaw_picture_read(path, &picture, why);
        thaw_free(&picture.pixels);
        if (status == THAW_OK)
            return failures > 5 ? 0 : 3;
        if (status != THAW_ERR_RESOURCE)
            return 4;
        failures++;
        if (count > 0)
            thaw_free(&blocks[count - 1]);
    }
    return 5;
}

static void what_the_machine_lacks_breaks_no_picture(void **state)
{
    (void)state;
    char why[THAW_PICTURE_WHY] = "", path[600];
    thaw_picture picture = {0};
    struct rlimit before, none;
    thaw_format(path, sizeof path, "%s/rgb.png", golden);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const thaw_status status = thaw_picture_read(path, &picture, why);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, THAW_ERR_RESOURCE);
    assert_non_null(strstr(why, "cannot open: "));
    assert_int_equal(thaw_picture_read(golden, &picture, why), THAW_ERR_INPUT);
    assert_string_equal(why, "cannot read: Is a directory");
}

static void no_memory_breaks_no_picture(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.png", "interlaced.png", "full.jpg", "progressive.jpg"};
    if (!LIMITED_MEMORY) {
        print_message("skipped: AddressSanitizer has no limit of memory\n");
        left_out = true;
        skip();
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int code = 0;
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(read_with_little_memory(names[i]));
        assert_int_equal(waitpid(child, &code, 0), child);
        if (!WIFEXITED(code) || WEXITSTATUS(code) != 0)
            fail_msg("%s: the child ended with %#x", names[i], (unsigned)code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_those_of_pillow),
        cmocka_unit_test(larger_ones_too),
        cmocka_unit_test(a_file_cut_off_is_no_picture),
        cmocka_unit_test(what_is_no_picture_says_so),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(scans_out_of_order_are_broken),
        cmocka_unit_test(what_the_machine_lacks_breaks_no_picture),
        cmocka_unit_test(no_memory_breaks_no_picture),
    };
    const int failed = cmocka_run_group_tests(tests, make_folder, remove_folder);
    return failed == 0 && left_out ? 77 : failed;
}
