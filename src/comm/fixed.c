#include "thaw/comm.h"

#include <math.h>

#include "comm/comm_impl.h"

#define PART_BITS 40

void thaw_fixed_carry(thaw_fixed *sum)
{
    int64_t units = sum->part >> PART_BITS;
    sum->whole += units;
    sum->part -= units << PART_BITS;
}

void thaw_fixed_add(thaw_fixed *sum, double term)
{
    if (!(fabs(term) < 0x1p40)) {
        sum->bad++;
        return;
    }
    double whole = floor(term);
    sum->whole += (int64_t)whole;
    sum->part += (int64_t)llrint((term - whole) * 0x1p40);
    thaw_fixed_carry(sum);
}

double thaw_fixed_value(const thaw_fixed *sum)
{
    if (sum->bad != 0)
        return NAN;
    return (double)sum->whole + (double)sum->part * 0x1p-40;
}

void thaw_allreduce_sum_fixed(thaw_comm *comm, thaw_fixed *sums, int64_t count)
{
    /* Parts are below 2^40: even 2^22 ranks cannot overflow their sum. */
    thaw_allreduce_sum_int64(comm, &sums[0].whole, 3 * count);
    for (int64_t i = 0; i < count; i++)
        thaw_fixed_carry(&sums[i]);
}
