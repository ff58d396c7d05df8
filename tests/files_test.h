/* For tests on files: a folder of their own, small disks, and damage. */
#ifndef THAW_TESTS_FILES_TEST_H
#define THAW_TESTS_FILES_TEST_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE first: unshare is Linux's"
#endif

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "thaw/base.h"

static char folder[] = "/tmp/thaw-test-XXXXXX";

static inline int folder_make(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static inline int folder_remove(void **state)
{
    (void)state;
    return thaw_remove_tree(folder) != THAW_OK;
}

/* One of a few paths in the folder; the text lives until the eighth call after this one. */
static inline const char *in_folder(const char *name)
{
    static char paths[8][256];
    static int next;
    next = (next + 1) % 8;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

/* Mounts a disk of so many bytes at `path`, seen by this process only, gone when it ends. False without the right to do so. */
static inline bool small_disk(const char *path, long bytes)
{
    char option[64];
    snprintf(option, sizeof option, "size=%ld", bytes);
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", path, "tmpfs", 0, option) == 0;
}

static inline void read_bytes(const char *path, thaw_str *out)
{
    if (thaw_file_read(path, out) != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

/* In place, without the care of thaw_file_write: damage is quick. */
static inline void write_bytes(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != THAW_OK)                                                                     \
            fail_msg("%s", thaw_error_last()->message);                                            \
    } while (0)

/* The status, and words that the message must hold. */
#define assert_refused(expr, status, words)                                                        \
    do {                                                                                           \
        thaw_error_clear();                                                                        \
        assert_int_equal((expr), (status));                                                        \
        if (strstr(thaw_error_last()->message, (words)) == NULL)                                   \
            fail_msg("\"%s\" does not say \"%s\"", thaw_error_last()->message, (words));           \
    } while (0)

#endif
