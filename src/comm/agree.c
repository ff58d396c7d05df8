#include "thaw/comm.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm_impl.h"

/* "rank 3: ..." in front, unless an agreement in a sub-group has put it there already. */
static void name_rank(thaw_error *error)
{
    if (!thaw_starts_with(error->message, "rank "))
        (void)thaw_fail_context((thaw_status)error->code, "rank %d", error->origin);
}

thaw_status thaw_agree(thaw_comm *comm, thaw_status mine)
{
    /* The lowest rank that failed, and the lowest that did not: no such means that everybody failed alike. */
    int first[2] = {mine == THAW_OK ? INT_MAX : comm->rank, mine == THAW_OK ? comm->rank : INT_MAX};
    comm->count.allreduce_calls++;
    comm->count.allreduce_bytes += (int64_t)sizeof first;
    THAW_MPI_YIELDING(comm, MPI_Allreduce, MPI_Iallreduce, MPI_IN_PLACE, first, 2, MPI_INT, MPI_MIN,
                      comm->mpi);
    if (first[0] == INT_MAX)
        return THAW_OK;
    thaw_error *error = thaw_error_last();
    if (comm->rank == first[0]) {
        /* A status without words would otherwise travel with those of an older error. */
        if (error->code != (int32_t)mine)
            (void)THAW_FAIL(mine, "an error without a message (%s)", thaw_status_name(mine));
        error->origin = comm->world_rank;
        if (first[1] != INT_MAX)
            name_rank(error);
    }
    thaw_bcast(comm, first[0], error, (int64_t)sizeof *error);
    return (thaw_status)error->code;
}

thaw_status thaw_same_int64(thaw_comm *comm, const char *what, int64_t value)
{
    /* The complement turns the maximum into a minimum, and unlike the negative it exists for every value. */
    int64_t ends[2] = {value, ~value};
    thaw_allreduce_max_int64(comm, ends, 2);
    THAW_CHECK(ends[0] == ~ends[1], THAW_ERR_FAIL, /* uniform */
               "%s differs between ranks: from %lld to %lld", what, (long long)~ends[1],
               (long long)ends[0]);
    return THAW_OK;
}

/* Ranks that have rank i's digest. */
static int companions(const thaw_digest *all, int size, int i)
{
    int count = 0;
    for (int k = 0; k < size; k++)
        count += thaw_digest_equal(all[k], all[i]);
    return count;
}

/* The lowest rank that is not with the most, and how many more there are. Where as many have another digest, nobody can say who is wrong:
 * then it is the lowest that differs from rank 0. */
static int find_odd(const thaw_digest *all, int size, bool *certain, int *more)
{
    int most = 0;
    int odd = -1;
    for (int i = 1; i < size; i++) {
        if (companions(all, size, i) > companions(all, size, most))
            most = i;
    }
    *certain = true;
    *more = -1;
    for (int i = 0; i < size; i++) {
        if (thaw_digest_equal(all[i], all[most]))
            continue;
        odd = odd < 0 ? i : odd;
        (*more)++;
        *certain = *certain && companions(all, size, i) < companions(all, size, most);
    }
    return odd;
}

/* It is known to all that they differ: who does, and on which host. */
static thaw_status name_odd(thaw_comm *comm, const char *what, thaw_digest value)
{
    thaw_digest *all = NULL;
    char host[256] = "unknown";
    char others[64] = "";
    bool certain;
    int more;
    THAW_TRY(thaw_agree(comm, thaw_alloc(&all, comm->size, sizeof *all)));
    thaw_allgather(comm, &value, (int64_t)sizeof value, all);
    const int odd = find_odd(all, comm->size, &certain, &more);
    thaw_free(&all);
    int64_t rank = comm->world_rank;
    (void)gethostname(host, sizeof host - 1);
    thaw_bcast(comm, odd, host, (int64_t)sizeof host);
    thaw_bcast(comm, odd, &rank, (int64_t)sizeof rank);
    if (more > 0)
        (void)thaw_format(others, sizeof others, " and %d more", more);
    return THAW_FAIL(THAW_ERR_FAIL, /* uniform */
                     "%s differs between ranks: rank %lld on host %s%s %s", what, (long long)rank,
                     host, others,
                     certain ? "is not what most have"
                             : "and the others part, and as many have one as have another");
}

thaw_status thaw_same_digest(thaw_comm *comm, const char *what, thaw_digest value)
{
    int64_t low = (int64_t)value.low, high = (int64_t)value.high;
    int64_t ends[4] = {low, ~low, high, ~high};
    thaw_allreduce_max_int64(comm, ends, 4);
    if (ends[0] == ~ends[1] && ends[2] == ~ends[3]) /* uniform */
        return THAW_OK;
    return name_odd(comm, what, value);
}

/* Long lines are told apart at their end as well, and shown from a little before. */
static thaw_status compare_text(const char *what, const char *first, const char *host,
                                const char *mine)
{
    char here[256] = "unknown";
    size_t same = 0;
    if (strcmp(first, mine) == 0)
        return THAW_OK;
    (void)gethostname(here, sizeof here - 1);
    while (first[same] != '\0' && first[same] == mine[same])
        same++;
    const size_t from = same > 20 ? same - 20 : 0;
    return THAW_FAIL(THAW_ERR_USAGE,
                     "%s on host %s is '%s%.160s', but rank 0 on host %s has '%s%.160s'; start the "
                     "same on every rank",
                     what, here, from > 0 ? "..." : "", mine + from, host, from > 0 ? "..." : "",
                     first + from);
}

thaw_status thaw_same_text(thaw_comm *comm, const char *what, const char *text)
{
    char host[256] = "unknown";
    char *first = NULL;
    int64_t bytes = (int64_t)strlen(text) + 1;
    (void)gethostname(host, sizeof host - 1);
    thaw_bcast(comm, 0, &bytes, (int64_t)sizeof bytes);
    thaw_bcast(comm, 0, host, (int64_t)sizeof host);
    thaw_status status = thaw_agree(comm, thaw_alloc(&first, bytes, 1));
    if (status != THAW_OK)
        goto done;
    if (comm->rank == 0)
        memcpy(first, text, (size_t)bytes);
    thaw_bcast(comm, 0, first, bytes);
    status = thaw_agree(comm, compare_text(what, first, host, text));
done:
    thaw_free(&first);
    return status;
}
