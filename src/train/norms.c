#include "train/norms_impl.h"

int32_t thaw_train_abreast(const thaw_comm *comm, const thaw_config *config)
{
    const int64_t mine = config->train.shards / thaw_comm_size(comm);
    if (config->train.batch_norm != THAW_NORM_SYNC)
        return 0;
    return mine < 1 ? 1 : (int32_t)mine;
}

thaw_status thaw_lanes_open(thaw_lanes *lanes, const thaw_config *config, const thaw_plan *plan)
{
    const int64_t widest = thaw_plan_meetings(plan).widest;
    lanes->count = thaw_plan_lanes(plan);
    THAW_TRY(thaw_alloc(&lanes->runs, lanes->count, sizeof *lanes->runs));
    if (widest == 0)
        return THAW_OK;
    return thaw_alloc(&lanes->met, config->train.shards * widest, sizeof *lanes->met);
}

void thaw_lanes_close(thaw_lanes *lanes)
{
    thaw_free(&lanes->runs);
    thaw_free(&lanes->met);
}

int64_t thaw_train_norm_bytes(const thaw_config *config, const thaw_plan *plan)
{
    return config->train.shards * thaw_plan_meetings(plan).doubles * (int64_t)sizeof(double);
}

void thaw_lanes_announce(const thaw_lanes *lanes, const thaw_config *config, const thaw_plan *plan)
{
    char text[32];
    if (config->train.batch_norm != THAW_NORM_SYNC)
        return;
    if (lanes->met == NULL) {
        THAW_LOG(THAW_INFO,
                 "train.batch_norm: sync: no batch norm trains here, so nothing is exchanged");
        return;
    }
    thaw_format_bytes((double)thaw_train_norm_bytes(config, plan), text, sizeof text);
    THAW_LOG(THAW_INFO,
             "train.batch_norm: sync: statistics over the whole batch, %d exchanges a step, %s in "
             "all; %d shard%s of a rank in memory at once",
             thaw_plan_meetings(plan).count, text, lanes->count, lanes->count == 1 ? "" : "s");
}

void thaw_lanes_describe(const thaw_lanes *lanes, const thaw_config *config, const thaw_plan *plan,
                         thaw_json *out)
{
    if (lanes->met == NULL)
        return;
    thaw_json_set_int(out, "batch_norm_meetings_per_step", thaw_plan_meetings(plan).count);
    thaw_json_set_int(out, "batch_norm_bytes_per_step", thaw_train_norm_bytes(config, plan));
    thaw_json_set_double(out, "batch_norm_seconds", lanes->seconds);
}
