#include "thaw/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_hex(thaw_digest digest, const char *expected)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(digest, hex);
    assert_string_equal(hex, expected);
}

/* What `xxhsum -H2` prints for the same bytes. */
static void digests_are_those_of_xxhsum(void **state)
{
    (void)state;
    assert_hex(thaw_hash("", 0), "99aa06d3014798d86001c324468d497f");
    assert_hex(thaw_hash("thaw", 4), "d30f5f7e133689474410f758b5e4249b");
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
    (void)state;
    unsigned char data[3000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 31 >> 3);
    for (size_t piece = 1; piece < sizeof data; piece = piece * 2 + 1) {
        thaw_hasher *hasher = NULL;
        assert_int_equal(thaw_hasher_new(&hasher), THAW_OK);
        for (size_t at = 0; at < sizeof data; at += piece)
            thaw_hasher_add(hasher, data + at, at + piece < sizeof data ? piece : sizeof data - at);
        thaw_hasher_add(hasher, NULL, 0);
        assert_true(thaw_digest_equal(thaw_hasher_get(hasher), thaw_hash(data, sizeof data)));
        thaw_hasher_free(&hasher);
        assert_null(hasher);
    }
}

static void hex_goes_there_and_back(void **state)
{
    (void)state;
    thaw_digest digest = thaw_hash("x", 1);
    thaw_digest back = {0};
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(digest, hex);
    assert_true(thaw_digest_parse(hex, &back));
    assert_true(thaw_digest_equal(digest, back));
    hex[0] = 'G';
    assert_false(thaw_digest_parse(hex, &back));
    assert_false(thaw_digest_parse("12", &back));
    assert_false(thaw_digest_parse("", &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_xxhsum),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(hex_goes_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
