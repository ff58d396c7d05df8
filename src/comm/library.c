#include "thaw/comm.h"

#include <mpi.h>
#include <string.h>

const char *thaw_comm_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (MPI_Get_library_version(text, &length) != MPI_SUCCESS)
        thaw_copy(text, sizeof text, "unknown");
    text[strcspn(text, ",\n")] = '\0';
    char *tab = strchr(text, '\t'); /* "MPICH Version:\t4.0.2" */
    if (tab != NULL)
        *tab = ' ';
    return text;
}
