#include "thaw/comm.h"

#include "comm/comm_impl.h"

/* Nodes count in the order of their first ranks. */
static void count_nodes(thaw_comm *comm)
{
    const bool first = comm->node_rank == 0;
    int place[3] = {0, 0, 0}; /* node_first, node_count, even_nodes */
    int most = 0;
    THAW_MPI(MPI_Comm_split(comm->mpi, first ? 0 : MPI_UNDEFINED, comm->rank, &comm->leaders));
    if (first) {
        int earlier = 0;
        THAW_MPI(MPI_Comm_set_errhandler(comm->leaders, MPI_ERRORS_RETURN));
        THAW_MPI(MPI_Scan(&comm->node_size, &earlier, 1, MPI_INT, MPI_SUM, comm->leaders));
        place[0] = earlier - comm->node_size;
        THAW_MPI(MPI_Comm_size(comm->leaders, &place[1]));
        THAW_MPI(MPI_Allreduce(&comm->node_size, &most, 1, MPI_INT, MPI_MAX, comm->leaders));
        place[2] = most * place[1] == comm->size;
    }
    THAW_MPI(MPI_Bcast(place, 3, MPI_INT, 0, comm->node));
    comm->node_first = place[0];
    comm->node_count = place[1];
    comm->even_nodes = place[2] != 0;
}

/* Rank and size, and who shares this node. */
static void look_around(thaw_comm *comm)
{
    THAW_MPI(MPI_Comm_rank(comm->mpi, &comm->rank));
    THAW_MPI(MPI_Comm_size(comm->mpi, &comm->size));
    THAW_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &comm->world_rank));
    THAW_MPI(MPI_Comm_split_type(comm->mpi, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL,
                                 &comm->node));
    THAW_MPI(MPI_Comm_set_errhandler(comm->node, MPI_ERRORS_RETURN));
    THAW_MPI(MPI_Comm_rank(comm->node, &comm->node_rank));
    THAW_MPI(MPI_Comm_size(comm->node, &comm->node_size));
    comm->node_ranks = comm->node_size;
    count_nodes(comm);
}

thaw_status thaw_comm_wrap(MPI_Comm mpi, thaw_comm **out)
{
    thaw_comm *comm = NULL;
    thaw_status status = thaw_alloc(&comm, 1, sizeof *comm);
    int good = status == THAW_OK;
    int all = 0;
    THAW_MPI(MPI_Allreduce(&good, &all, 1, MPI_INT, MPI_LAND, mpi));
    if (!all) {
        THAW_MPI(MPI_Comm_free(&mpi));
        thaw_free(&comm);
        return status != THAW_OK ? status
                                 : THAW_FAIL(THAW_ERR_RESOURCE, "another rank is out of memory");
    }
    comm->mpi = mpi;
    comm->peers = MPI_COMM_NULL;
    look_around(comm);
    *out = comm;
    return THAW_OK;
}

thaw_status thaw_comm_split(thaw_comm *comm, int color, int key, thaw_comm **out)
{
    *out = NULL;
    MPI_Comm part = MPI_COMM_NULL;
    THAW_MPI(MPI_Comm_split(comm->mpi, color < 0 ? MPI_UNDEFINED : color, key, &part));
    thaw_status status = THAW_OK;
    if (part != MPI_COMM_NULL) {
        THAW_MPI(MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN));
        status = thaw_comm_wrap(part, out);
        if (status == THAW_OK) {
            (*out)->node_ranks = comm->node_ranks;
            (*out)->yields = comm->yields;
        }
    }
    status = thaw_agree(comm, status);
    if (status != THAW_OK)
        thaw_comm_free(out);
    return status;
}

void thaw_comm_free(thaw_comm **sub)
{
    if (*sub == NULL)
        return;
    if ((*sub)->leaders != MPI_COMM_NULL)
        THAW_MPI(MPI_Comm_free(&(*sub)->leaders));
    if ((*sub)->peers != MPI_COMM_NULL)
        THAW_MPI(MPI_Comm_free(&(*sub)->peers));
    THAW_MPI(MPI_Comm_free(&(*sub)->node));
    THAW_MPI(MPI_Comm_free(&(*sub)->mpi));
    thaw_free(sub);
}

int thaw_comm_rank(const thaw_comm *comm)
{
    return comm->rank;
}

int thaw_comm_size(const thaw_comm *comm)
{
    return comm->size;
}

int thaw_comm_node_rank(const thaw_comm *comm)
{
    return comm->node_rank;
}

int thaw_comm_node_size(const thaw_comm *comm)
{
    return comm->node_size;
}

int thaw_comm_node_ranks(const thaw_comm *comm)
{
    return comm->node_ranks;
}

int thaw_comm_node_count(const thaw_comm *comm)
{
    return comm->node_count;
}

thaw_comm_counters thaw_comm_count(const thaw_comm *comm)
{
    return comm->count;
}
