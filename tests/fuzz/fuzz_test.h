/* fuzz_test.h - what fuzz targets share. A target is tests/fuzz/fuzz_<name>.c with the one function that libFuzzer calls: it gives
 * the bytes to one parser, which may refuse them but not crash, leak, hang or ask for memory that their size does not
 * justify. Its seeds are the files of tests/fuzz/seeds/<name>.
 *
 * tools/fuzz runs targets under libFuzzer; every build runs the seeds and mutations of them through replay.c. */
#ifndef FUZZ_TEST_H
#define FUZZ_TEST_H

#include <stddef.h>
#include <stdint.h>

#include "thaw/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of a file in memory with these bytes, for parsers that open files; the same file each time. */
const char *fuzz_file(const uint8_t *data, size_t size);

#endif
