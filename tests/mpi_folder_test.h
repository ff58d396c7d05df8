/* A folder that all ranks of a test use. */
#ifndef THAW_TESTS_MPI_FOLDER_TEST_H
#define THAW_TESTS_MPI_FOLDER_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mpi_test.h"

static char directory[] = "/tmp/thaw-test-XXXXXX";

static inline void make_directory(void)
{
    if (thaw_comm_rank(world) == 0 && mkdtemp(directory) == NULL)
        directory[0] = '\0';
    thaw_bcast(world, 0, directory, sizeof directory);
    assert_all(directory[0] != '\0');
}

static inline void remove_directory(void)
{
    if (thaw_comm_rank(world) == 0 && thaw_remove_tree(directory) != THAW_OK)
        fprintf(stderr, "%s is left\n", directory);
}

#endif
