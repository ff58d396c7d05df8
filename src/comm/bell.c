#include "comm/comm_impl.h"

/* Every speaker sends every other one exactly one word, so that whatever happens all messages are matched: receives are posted at
 * the start and are looked at without waiting until the end. */
struct thaw_bell {
    int peers; /* other speakers; 0 for who does not speak */
    int *ranks;
    MPI_Request *arriving, *leaving;
    int *words; /* (peers) what arrived; 1 is trouble */
    int *done;  /* (peers) scratch of MPI_Testsome */
    int word;   /* what we send */
    bool rung, heard;
};

/* No gradient and no collective uses it. */
#define BELL_TAG 4711

static thaw_status allocate(thaw_bell *bell, int size)
{
    THAW_TRY(thaw_alloc(&bell->ranks, size, sizeof *bell->ranks));
    THAW_TRY(thaw_alloc(&bell->arriving, size, sizeof(MPI_Request)));
    THAW_TRY(thaw_alloc(&bell->leaving, size, sizeof(MPI_Request)));
    THAW_TRY(thaw_alloc(&bell->words, size, sizeof *bell->words));
    return thaw_alloc(&bell->done, size, sizeof *bell->done);
}

static void release(thaw_bell **bell)
{
    if (*bell == NULL)
        return;
    thaw_free(&(*bell)->done);
    thaw_free(&(*bell)->words);
    thaw_free(&(*bell)->leaving);
    thaw_free(&(*bell)->arriving);
    thaw_free(&(*bell)->ranks);
    thaw_free(bell);
}

thaw_status thaw_bell_new(thaw_comm *comm, bool speaks, thaw_bell **out)
{
    thaw_bell *bell = NULL;
    *out = NULL;
    thaw_status status = thaw_alloc(&bell, 1, sizeof *bell);
    if (status == THAW_OK)
        status = allocate(bell, comm->size);
    THAW_TRY_TO(thaw_agree(comm, status));
    const int mine = speaks;
    thaw_allgather(comm, &mine, sizeof mine, bell->ranks);
    for (int rank = 0; speaks && rank < comm->size; rank++) {
        if (rank != comm->rank && bell->ranks[rank])
            bell->ranks[bell->peers++] = rank; /* never ahead of where we read */
    }
    for (int i = 0; i < bell->peers; i++) {
        THAW_MPI(MPI_Irecv(&bell->words[i], 1, MPI_INT, bell->ranks[i], BELL_TAG, comm->mpi,
                           &bell->arriving[i]));
        bell->leaving[i] = MPI_REQUEST_NULL;
    }
    *out = bell;
    bell = NULL;
done:
    release(&bell);
    return status;
}

void thaw_bell_ring(thaw_bell *bell, thaw_comm *comm, bool trouble)
{
    if (bell->rung)
        return;
    bell->rung = true;
    bell->word = trouble;
    for (int i = 0; i < bell->peers; i++)
        THAW_MPI(MPI_Isend(&bell->word, 1, MPI_INT, bell->ranks[i], BELL_TAG, comm->mpi,
                           &bell->leaving[i]));
}

bool thaw_bell_heard(thaw_bell *bell)
{
    int count = 0;
    if (bell->heard || bell->peers == 0)
        return bell->heard;
    THAW_MPI(MPI_Testsome(bell->peers, bell->arriving, &count, bell->done, MPI_STATUSES_IGNORE));
    for (int i = 0; i < count; i++) /* MPI_UNDEFINED, when nothing is left to arrive, is negative */
        bell->heard = bell->heard || bell->words[bell->done[i]] != 0;
    return bell->heard;
}

void thaw_bell_end(thaw_bell **bell, thaw_comm *comm)
{
    if (*bell == NULL)
        return;
    thaw_bell_ring(*bell, comm, false);
    thaw_wait_for(comm, "MPI_Waitall", (*bell)->arriving, (*bell)->peers);
    thaw_wait_for(comm, "MPI_Waitall", (*bell)->leaving, (*bell)->peers);
    release(bell);
}
