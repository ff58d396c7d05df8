#include "thaw/base.h"

#include <stdio.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* for the size of the state: it then lives in counted memory */
#include <xxhash.h>
#ifdef THAW_WITH_XXHASH_DISPATCH
#include <xxh_x86dispatch.h> /* the same names, but AVX2 or AVX-512 where the CPU has it: three times as fast as SSE2 */
#endif

struct thaw_hasher {
    XXH3_state_t state;
};

static thaw_digest from_xxh(XXH128_hash_t hash)
{
    return (thaw_digest){.low = hash.low64, .high = hash.high64};
}

thaw_digest thaw_hash(const void *data, size_t bytes)
{
    return from_xxh(XXH3_128bits(data, bytes));
}

thaw_status thaw_hasher_new(thaw_hasher **out)
{
    THAW_TRY(thaw_alloc(out, 1, sizeof **out));
    XXH3_128bits_reset(&(*out)->state);
    return THAW_OK;
}

void thaw_hasher_add(thaw_hasher *hasher, const void *data, size_t bytes)
{
    if (bytes > 0)
        XXH3_128bits_update(&hasher->state, data, bytes);
}

thaw_digest thaw_hasher_get(const thaw_hasher *hasher)
{
    return from_xxh(XXH3_128bits_digest(&hasher->state));
}

void thaw_hasher_free(thaw_hasher **hasher)
{
    thaw_free(hasher);
}

void thaw_digest_hex(thaw_digest digest, char hex[THAW_DIGEST_HEX])
{
    snprintf(hex, THAW_DIGEST_HEX, "%016llx%016llx", (unsigned long long)digest.high,
             (unsigned long long)digest.low);
}

bool thaw_digest_parse(const char *hex, thaw_digest *out)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t word[2] = {0, 0};
    if (strlen(hex) != THAW_DIGEST_HEX - 1)
        return false;
    for (int i = 0; i < THAW_DIGEST_HEX - 1; i++) {
        const char *digit = strchr(digits, hex[i]);
        if (digit == NULL)
            return false;
        word[i / 16] = word[i / 16] << 4 | (uint64_t)(digit - digits);
    }
    *out = (thaw_digest){.high = word[0], .low = word[1]};
    return true;
}

bool thaw_digest_equal(thaw_digest a, thaw_digest b)
{
    return a.low == b.low && a.high == b.high;
}
