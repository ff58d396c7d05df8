#include "thaw/data.h"

int64_t thaw_sampler_steps(const thaw_sampler *s)
{
    THAW_ASSERT(s->count > 0 && s->batch > 0 && s->shards > 0);
    return (s->count - 1) / s->batch + 1;
}

int64_t thaw_sampler_batch_size(const thaw_sampler *s, int64_t step)
{
    THAW_ASSERT(step >= 0 && step < thaw_sampler_steps(s));
    int64_t left = s->count - step * s->batch;
    return left < s->batch ? left : s->batch;
}

int64_t thaw_sampler_shard_most(const thaw_sampler *s)
{
    int64_t n = thaw_sampler_batch_size(s, 0);
    return (n - 1) / s->shards + 1;
}

void thaw_sampler_shard(const thaw_sampler *s, int64_t step, int64_t shard, int64_t *begin,
                        int64_t *end)
{
    THAW_ASSERT(shard >= 0 && shard < s->shards);
    int64_t n = thaw_sampler_batch_size(s, step);
    *begin = n * shard / s->shards;
    *end = n * (shard + 1) / s->shards;
}

void thaw_sampler_fill(const thaw_sampler *s, uint32_t epoch, int64_t step, int64_t begin,
                       int64_t end, int64_t *indices)
{
    THAW_ASSERT(begin >= 0 && begin <= end && end <= thaw_sampler_batch_size(s, step));
    int64_t first = step * s->batch;
    for (int64_t i = begin; i < end; i++) {
        int64_t position = first + i;
        indices[i - begin] =
            s->in_order ? position : thaw_permute(s->seed, epoch, s->count, position);
    }
}
