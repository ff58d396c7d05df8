/* Reads our event files back with a decoder that shares nothing with the writer: bitwise CRC, own wire format. */
#include "thaw/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the standard headers that it needs */
#include <cmocka.h>

static uint32_t slow_crc32c(const uint8_t *data, size_t bytes)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static uint32_t unmask(uint32_t masked)
{
    uint32_t rotated = masked - 0xa282ead8u;
    return (rotated >> 17) | (rotated << 15);
}

static uint64_t little(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

typedef struct decoded {
    double wall;
    int64_t step;
    char version[32], tag[300];
    float value;
    bool session_start;
} decoded;

static uint64_t varint(const uint8_t **at)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
}

/* Walks any message; field numbers are joined along the way (Event.summary.value.tag is 5, 1, 1: 511). */
static void decode(const uint8_t *at, const uint8_t *end, int prefix, decoded *out)
{
    while (at < end) {
        uint64_t key = varint(&at);
        int field = prefix * 10 + (int)(key >> 3);
        uint64_t number = 0;
        const uint8_t *block = NULL;
        switch (key & 7) {
        case 0:
            number = varint(&at);
            break;
        case 1:
            number = little(at, 8);
            at += 8;
            break;
        case 2:
            number = varint(&at);
            block = at;
            at += number;
            break;
        case 5:
            number = little(at, 4);
            at += 4;
            break;
        default:
            fail_msg("wire type %d", (int)(key & 7));
        }
        assert_true(at <= end);
        uint32_t half = (uint32_t)number;
        if (field == 1)
            memcpy(&out->wall, &number, 8);
        else if (field == 2)
            out->step = (int64_t)number;
        else if (field == 3)
            memcpy(out->version, block, number);
        else if (field == 5 || field == 51 || field == 7)
            decode(block, block + number, field, out);
        else if (field == 511)
            memcpy(out->tag, block, number);
        else if (field == 512)
            memcpy(&out->value, &half, 4);
        else if (field == 71)
            out->session_start = number == 1;
        else
            fail_msg("field %d", field);
    }
}

static int read_records(const char *path, decoded *out, int most)
{
    thaw_str text = {0};
    int count = 0;
    assert_int_equal(thaw_file_read(path, &text), THAW_OK);
    const uint8_t *at = (const uint8_t *)text.data;
    const uint8_t *end = at + text.length;
    while (at < end) {
        assert_true(count < most);
        uint64_t length = little(at, 8);
        assert_int_equal(unmask((uint32_t)little(at + 8, 4)), slow_crc32c(at, 8));
        assert_int_equal(unmask((uint32_t)little(at + 12 + length, 4)),
                         slow_crc32c(at + 12, length));
        memset(&out[count], 0, sizeof *out);
        decode(at + 12, at + 12 + length, 0, &out[count++]);
        at += 16 + length;
    }
    assert_ptr_equal(at, end);
    thaw_str_clear(&text);
    return count;
}

static void test_crc_known_answers(void **state)
{
    (void)state;
    uint8_t block[32];
    assert_int_equal(thaw_crc32c("123456789", 9), 0xe3069283u);
    assert_int_equal(thaw_crc32c("", 0), 0);
    /* RFC 3720, B.4. */
    memset(block, 0, sizeof block);
    assert_int_equal(thaw_crc32c(block, 32), 0x8a9136aau);
    memset(block, 0xff, sizeof block);
    assert_int_equal(thaw_crc32c(block, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        block[i] = (uint8_t)i;
    assert_int_equal(thaw_crc32c(block, 32), 0x46dd794eu);
}

static void test_scalars_come_back(void **state)
{
    (void)state;
    char folder[] = "report_events_XXXXXX";
    assert_non_null(mkdtemp(folder));
    thaw_events *events = NULL;
    static decoded got[1200];
    assert_int_equal(thaw_events_open(folder, 0, &events), THAW_OK);
    assert_true(thaw_ends_with(thaw_events_path(events), ".thaw"));
    assert_non_null(strstr(thaw_events_path(events), "events.out.tfevents."));
    char path[300];
    thaw_copy(path, sizeof path, thaw_events_path(events));
    int64_t before = thaw_alloc_count();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(thaw_events_scalar(events, i % 2 ? "train/loss" : "val/accuracy",
                                            i * 1000003LL, 1.0 / (i + 1)),
                         THAW_OK);
    assert_int_equal(thaw_alloc_count(), before);
    assert_int_equal(thaw_events_close(&events), THAW_OK);
    assert_null(events);
    assert_int_equal(read_records(path, got, 1200), 1001);
    assert_string_equal(got[0].version, "brain.Event:2");
    for (int i = 0; i < 1000; i++) {
        assert_string_equal(got[i + 1].tag, i % 2 ? "train/loss" : "val/accuracy");
        assert_true(got[i + 1].step == i * 1000003LL);
        assert_true(got[i + 1].value == (float)(1.0 / (i + 1)));
        assert_true(got[i + 1].wall > 1.6e9 && got[i + 1].wall < 1e11);
    }
    assert_int_equal(thaw_remove_tree(folder), THAW_OK);
}

static void test_resumed_run(void **state)
{
    (void)state;
    char folder[] = "report_events_XXXXXX";
    assert_non_null(mkdtemp(folder));
    thaw_events *first = NULL;
    thaw_events *second = NULL;
    decoded got[4];
    char long_tag[600];
    memset(long_tag, 'x', sizeof long_tag);
    long_tag[599] = '\0';
    assert_int_equal(thaw_events_open(folder, 0, &first), THAW_OK);
    assert_int_equal(thaw_events_open(folder, 41, &second), THAW_OK);
    assert_string_not_equal(thaw_events_path(first), thaw_events_path(second));
    assert_int_equal(thaw_events_scalar(second, long_tag, 41, NAN), THAW_OK);
    assert_int_equal(thaw_events_flush(second), THAW_OK);
    assert_int_equal(read_records(thaw_events_path(second), got, 4), 3);
    assert_true(got[1].session_start && got[1].step == 41);
    assert_true(isnan(got[2].value));
    assert_int_equal(strlen(got[2].tag), 256);
    assert_int_equal(read_records(thaw_events_path(first), got, 4), 1);
    assert_int_equal(thaw_events_close(&first), THAW_OK);
    assert_int_equal(thaw_events_close(&second), THAW_OK);
    assert_int_equal(thaw_events_close(&second), THAW_OK);
    assert_int_equal(thaw_remove_tree(folder), THAW_OK);
}

static void test_directory_that_cannot_be(void **state)
{
    (void)state;
    thaw_events *events = NULL;
    assert_int_equal(thaw_events_open("/proc/no/such", 0, &events), THAW_ERR_RESOURCE);
    assert_null(events);
    thaw_error_clear();
}

/* For test_tensorboard.sh: a run that was killed after step 3 and resumed from step 2. */
static int write_sample(const char *folder)
{
    for (int64_t run = 0; run < 2; run++) {
        thaw_events *events = NULL;
        if (thaw_events_open(folder, run * 2, &events) != THAW_OK)
            return 1;
        for (int64_t step = run * 2; step < (run ? 6 : 4); step++)
            if (thaw_events_scalar(events, "train/loss", step, (double)(step + run * 100)) !=
                THAW_OK)
                return 1;
        if (thaw_events_close(&events) != THAW_OK)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return write_sample(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_known_answers),
        cmocka_unit_test(test_scalars_come_back),
        cmocka_unit_test(test_resumed_run),
        cmocka_unit_test(test_directory_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
