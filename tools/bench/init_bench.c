/* init_bench.c - MPI_Init, a barrier and MPI_Finalize: what of a job's start is MPI's own, for tools/bench/start. */
#include <stdio.h>

#include <mpi.h>

int main(int argc, char **argv)
{
    int code = MPI_Init(&argc, &argv);
    if (code == MPI_SUCCESS)
        code = MPI_Barrier(MPI_COMM_WORLD);
    if (code == MPI_SUCCESS)
        code = MPI_Finalize();
    if (code != MPI_SUCCESS)
        printf("MPI ended with %d\n", code);
    return code != MPI_SUCCESS;
}
