/* kern_test.h - shared by the tests of kern: data, comparison, and the loop over all backends. */
#ifndef TESTS_KERN_TEST_H
#define TESTS_KERN_TEST_H

#include "thaw/kern.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/kern_impl.h"

static inline float *test_floats(int64_t count)
{
    float *data = NULL;
    assert_int_equal(thaw_alloc(&data, count > 0 ? count : 1, sizeof *data), THAW_OK);
    return data;
}

/* Bell-shaped values, fixed by `stream`. */
static inline float *test_random(int64_t count, uint64_t stream)
{
    float *data = test_floats(count);
    thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, 0, stream);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)thaw_rng_normal(&rng);
    return data;
}

static inline float *test_copy(int64_t count, const float *from)
{
    float *data = test_floats(count);
    memcpy(data, from, (size_t)count * sizeof *data);
    return data;
}

/* Largest |a - b| relative to the largest |b|: the max norm in which the project's parity limits are stated. */
static inline double test_distance(int64_t count, const float *a, const float *b)
{
    double worst = 0;
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - b[i]);
        if (!(difference <= worst))
            worst = difference;
        if (fabs((double)b[i]) > largest)
            largest = fabs((double)b[i]);
    }
    return largest > 0 ? worst / largest : worst;
}

#define assert_near(count, a, b, tolerance)                                                        \
    do {                                                                                           \
        double distance_ = test_distance(count, a, b);                                             \
        if (!(distance_ <= (tolerance)))                                                           \
            fail_msg("%s and %s differ by %g, more than %g", #a, #b, distance_,                    \
                     (double)(tolerance));                                                         \
    } while (0)

/* Inner loops of other kinds of CPU that this one can run too; native is tested with each. */
static inline const kern_isa *test_isa(int index)
{
    static const kern_isa *const all[] = {
        &kern_isa_portable,
#if defined(__x86_64__)
        &kern_isa_avx2,
#endif
    };
    return index < (int)(sizeof all / sizeof all[0]) ? all[index] : NULL;
}

static inline int test_name_count(void)
{
    int count = 0;
    while (thaw_kern_names()[count])
        count++;
    return count;
}

/* For loops over all backends, then over native with other inner loops: false at the end. *k stays NULL where a library
 * is not on this machine or the CPU cannot run the loops (then it is said). */
static inline bool test_open(int index, thaw_kern **k)
{
    *k = NULL;
    int other = index - test_name_count();
    const char *name = other < 0 ? thaw_kern_names()[index] : "native";
    if (other >= 0 && test_isa(other) == NULL)
        return false;
    thaw_status status = thaw_kern_open(name, k);
    if (status == THAW_ERR_FAIL) {
        print_message("backend %s is not here: %s\n", name, thaw_error_last()->message);
        return true;
    }
    assert_int_equal(status, THAW_OK);
    if (other >= 0) {
        kern_handle *handle = (*k)->library;
        bool fits = test_isa(other)->lanes <= handle->isa->lanes;
        handle->isa = test_isa(other);
        if (!fits) {
            print_message("native with %s loops: not on this CPU\n", handle->isa->name);
            thaw_kern_close(k);
        }
    }
    return true;
}

#endif
