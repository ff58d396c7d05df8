#include "evidence/paired_impl.h"

#include <stdlib.h>
#include <string.h>

/* Total order, so that the result does not depend on whose qsort it is. */
static int by_cluster(const void *a, const void *b)
{
    const thaw_member *x = a;
    const thaw_member *y = b;
    if (x->cluster != y->cluster)
        return x->cluster < y->cluster ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

void thaw_members_sort(thaw_member *members, int64_t count)
{
    if (count > 1)
        qsort(members, (size_t)count, sizeof *members, by_cluster);
}

static void add_example(const thaw_scores *scores, int64_t example, thaw_units *units, int64_t unit)
{
    for (int64_t s = 0; s < scores->seeds; s++) {
        int64_t at = s * scores->N + example;
        units->difference[unit * units->seeds + s] += (double)scores->b[at] - (double)scores->a[at];
    }
    units->size[unit] += 1;
}

static void gather(const thaw_scores *scores, thaw_member *members, thaw_units *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < scores->N; i++) {
        if (scores->mask && !scores->mask[i])
            continue;
        members[n].cluster = scores->cluster ? scores->cluster[i] : 0;
        members[n].sample = i;
        n++;
    }
    if (scores->cluster)
        thaw_members_sort(members, n);
    for (int64_t i = 0; i < n; i++) {
        bool first = i == 0 || !scores->cluster || members[i].cluster != members[i - 1].cluster;
        if (first)
            out->count++;
        add_example(scores, members[i].sample, out, out->count - 1);
    }
}

thaw_status thaw_units_make(const thaw_scores *scores, thaw_units *out)
{
    thaw_status status = THAW_OK;
    thaw_member *members = NULL;
    memset(out, 0, sizeof *out);
    out->seeds = scores->seeds;
    THAW_TRY_TO(thaw_alloc(&members, scores->N, sizeof *members));
    THAW_TRY_TO(thaw_alloc(&out->difference, scores->N * scores->seeds, sizeof *out->difference));
    THAW_TRY_TO(thaw_alloc(&out->size, scores->N, sizeof *out->size));
    gather(scores, members, out);
done:
    thaw_free(&members);
    return status;
}

void thaw_units_clear(thaw_units *units)
{
    thaw_free(&units->size);
    thaw_free(&units->difference);
    units->count = 0;
}
