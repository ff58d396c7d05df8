#include "train/train_impl.h"

#include <string.h>

/* Ranges for 8 bits: the largest magnitude that each value of the frozen prefix has over some training samples. All ranks look at
 * a part; the largest of the largest does not depend on how many there are. Linear layers find a scale for each row as it comes, so
 * where the prefix's kernels have no 8-bit convolutions no sample is looked at. */

enum { CALIBRATION_SAMPLES = 512 };

/* Which samples are drawn must not depend on the run's seed: all seeds share the features. */
#define CALIBRATION_SEED UINT64_C(0x7468617772616e67)

static bool wanted(const thaw_setup *s)
{
    return s->config->train.frozen_precision == THAW_PRECISION_INT8;
}

static thaw_plan_options prefix_options(const thaw_setup *s)
{
    return (thaw_plan_options){.batch = thaw_prefix_batch(s),
                               .from = -1,
                               .to = thaw_graph_boundary(s->model->graph),
                               .keep = -1};
}

/* What runs the prefix: *own where it is not the run's kernels. */
static thaw_status open_kern(const thaw_setup *s, thaw_kern **own, const thaw_kern **kern)
{
    THAW_TRY(thaw_prefix_own_kern(s, own));
    *kern = *own != NULL ? *own : s->kern;
    return THAW_OK;
}

/* A plan with these ranges runs something in 8 bits. */
static thaw_status check_effect(const thaw_setup *s, const thaw_kern *kern, const float *ranges)
{
    thaw_plan_options options = prefix_options(s);
    thaw_plan *plan = NULL;
    char rung[THAW_RUNG_TEXT];
    thaw_rung_format(&s->rung, rung);
    options.batch = 1; /* what runs in 8 bits does not depend on it, memory does */
    options.ranges = ranges;
    THAW_TRY(thaw_plan_new(s->model->graph, kern, &options, &plan));
    const int32_t count = thaw_plan_count(plan).eight_bits;
    thaw_plan_free(&plan);
    THAW_CHECK(count > 0 || kern->has_int8, THAW_ERR_CONFIG,
               "train.frozen_precision: int8 has nothing to do: the frozen part of rung %s has no "
               "linear layer, and %s (%s) has no fast 8-bit convolutions on this CPU; use f32",
               rung, kern->name, kern->cpu_kernels);
    THAW_CHECK(count > 0, THAW_ERR_CONFIG,
               "train.frozen_precision: int8 has nothing to do: no convolution or linear layer of "
               "the frozen part of rung %s has 8 channels or more; use f32",
               rung);
    return THAW_OK;
}

static thaw_status ones(const thaw_setup *s, float **out)
{
    const int32_t count = thaw_graph_value_count(s->model->graph);
    THAW_TRY(thaw_alloc(out, count, sizeof **out));
    for (int32_t v = 0; v < count; v++)
        (*out)[v] = 1;
    return THAW_OK;
}

/* Which layers can is a matter of the network and the kernels, which any range above zero shows. */
thaw_status thaw_ranges_usable(thaw_setup *s)
{
    thaw_kern *own = NULL;
    const thaw_kern *kern;
    float *ranges = NULL;
    thaw_status status;
    THAW_TRY_TO(open_kern(s, &own, &kern));
    if (!kern->has_int8 && !kern->has_linear_int8) {
        status = THAW_FAIL(THAW_ERR_CONFIG,
                           "train.frozen_precision: int8 needs kernels with fast 8-bit arithmetic, "
                           "and %s (%s) has none on this CPU; use f32",
                           kern->name, kern->cpu_kernels);
        goto done;
    }
    THAW_TRY_TO(ones(s, &ranges));
    s->ranges_seen = kern->has_int8;
    status = check_effect(s, kern, ranges);
done:
    thaw_free(&ranges);
    thaw_kern_close(&own);
    return status;
}

thaw_status thaw_ranges_check(thaw_setup *s)
{
    char rung[THAW_RUNG_TEXT];
    if (!wanted(s))
        return THAW_OK;
    thaw_rung_format(&s->rung, rung);
    THAW_CHECK(thaw_has_prefix(s) || thaw_dataset_text(s->dataset) == NULL, THAW_ERR_CONFIG,
               "train.frozen_precision: int8 has nothing to do: of a network for texts only rung "
               "frozen has a frozen part, since every attention reads the tokens, and this is rung "
               "%s; choose frozen, or f32",
               rung);
    THAW_CHECK(thaw_has_prefix(s), THAW_ERR_CONFIG,
               "train.frozen_precision: int8 has nothing to do: rung %s has no frozen part before "
               "what trains; choose frozen or partial:K, or f32",
               rung);
    return thaw_ranges_usable(s);
}

thaw_status thaw_train_eight_bits(thaw_comm *comm, const thaw_config *config, const char *rung,
                                  bool *can, thaw_str *why)
{
    thaw_setup setup;
    THAW_TRY(thaw_setup_open(comm, config, rung, THAW_SETUP_TRAIN, &setup));
    thaw_status status = thaw_agree(comm, thaw_ranges_check(&setup));
    thaw_setup_close(&setup);
    *can = status == THAW_OK;
    if (status != THAW_ERR_CONFIG)
        return status;
    thaw_str_add(why, thaw_error_last()->message);
    thaw_error_clear();
    return THAW_OK;
}

int64_t thaw_ranges_samples(const thaw_setup *s)
{
    const int64_t count = thaw_dataset_count(s->dataset, s->train);
    if (!s->ranges_seen)
        return 0;
    return count < CALIBRATION_SAMPLES ? count : CALIBRATION_SAMPLES;
}

static thaw_status observe(const thaw_comm *comm, const thaw_setup *s, thaw_plan *plan,
                           int64_t batch)
{
    const int64_t count = thaw_dataset_count(s->dataset, s->train);
    const int64_t n = thaw_ranges_samples(s);
    const int64_t begin = n * thaw_comm_rank(comm) / thaw_comm_size(comm);
    const int64_t end = n * (thaw_comm_rank(comm) + 1) / thaw_comm_size(comm);
    float *input = NULL;
    int64_t *indices = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&input, batch * thaw_dataset_values(s->dataset), sizeof *input));
    THAW_TRY_TO(thaw_alloc(&indices, batch, sizeof *indices));
    for (int64_t at = begin; at < end; at += batch) {
        const int64_t part = end - at < batch ? end - at : batch;
        for (int64_t i = 0; i < part; i++)
            indices[i] = thaw_permute(CALIBRATION_SEED, 0, count, at + i);
        THAW_TRY_TO(thaw_dataset_read(s->dataset, s->train, part, indices, input));
        const thaw_run run = {.B = part, .input = input, .sample_ids = indices};
        thaw_plan_forward(plan, &run);
    }
    status = THAW_OK;
done:
    thaw_free(&indices);
    thaw_free(&input);
    return status;
}

/* Floats that are not negative are ordered as their bits are. */
static void largest_of_all(thaw_comm *comm, const float *mine, int64_t *bits, int32_t count,
                           float *out)
{
    for (int32_t v = 0; v < count; v++) {
        uint32_t word;
        memcpy(&word, &mine[v], sizeof word);
        bits[v] = (int64_t)word;
    }
    thaw_allreduce_max_int64(comm, bits, count);
    for (int32_t v = 0; v < count; v++) {
        const uint32_t word = (uint32_t)bits[v];
        memcpy(&out[v], &word, sizeof word);
    }
}

static thaw_status see_ranges(thaw_comm *comm, thaw_setup *s)
{
    const int32_t count = thaw_graph_value_count(s->model->graph);
    const int64_t batch = thaw_prefix_batch(s);
    thaw_plan_options options = prefix_options(s);
    thaw_plan *plan = NULL;
    int64_t *bits = NULL;
    thaw_status status;
    options.observe = true;
    THAW_TRY_TO(thaw_plan_agree(comm, s, &options, &plan));
    status = observe(comm, s, plan, batch);
    if (status == THAW_OK)
        status = thaw_alloc(&bits, count, sizeof *bits);
    if (status == THAW_OK)
        status = thaw_alloc(&s->ranges, count, sizeof *s->ranges);
    THAW_TRY_TO(thaw_agree(comm, status));
    largest_of_all(comm, thaw_plan_ranges(plan), bits, count, s->ranges);
    status = thaw_agree(comm, check_effect(s, s->kern, s->ranges));
done:
    thaw_free(&bits);
    thaw_plan_free(&plan);
    return status;
}

/* What a plan asks of a linear layer's range is whether there is one. Convolutions get none, whatever kernels evaluation runs on. */
static thaw_status mark_linear_layers(thaw_setup *s)
{
    const thaw_graph *g = s->model->graph;
    bool *needed = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_prefix_values(g, &needed));
    THAW_TRY_TO(ones(s, &s->ranges));
    for (int32_t v = 0; v < thaw_graph_value_count(g); v++)
        if (!needed[v])
            s->ranges[v] = 0;
    for (int32_t i = 0; i < thaw_graph_node_count(g); i++) {
        const thaw_node *node = thaw_graph_node(g, i);
        if (strcmp(thaw_node_kind(node), "conv2d") == 0)
            s->ranges[node->inputs[0]] = 0;
    }
    status = THAW_OK;
done:
    thaw_free(&needed);
    return status;
}

static thaw_status copy_ranges(const float *from, int32_t count, float **to)
{
    thaw_free(to);
    THAW_TRY(thaw_alloc(to, count, sizeof **to));
    memcpy(*to, from, (size_t)count * sizeof **to);
    return THAW_OK;
}

/* Convolutions are taken in 8 bits only where that is faster. */
static void warn_of_slow_bytes(const thaw_comm *comm, const thaw_setup *s)
{
    if (thaw_comm_rank(comm) == 0 && !s->kern->has_int8 && !thaw_linear8_is_fast())
        THAW_LOG(THAW_WARN,
                 "train.frozen_precision: int8 saves memory, but no time, on this CPU without "
                 "AVX-512 VNNI: linear layers in floats are as fast or faster");
}

thaw_status thaw_ranges_open(thaw_comm *comm, thaw_setup *s, thaw_pool *pool)
{
    const int32_t count = thaw_graph_value_count(s->model->graph);
    thaw_digest key = {0};
    if (!wanted(s)) /* uniform */
        return THAW_OK;
    THAW_TRY(thaw_agree(comm, thaw_ranges_check(s)));
    warn_of_slow_bytes(comm, s);
    if (!s->ranges_seen) /* uniform */
        return thaw_agree(comm, mark_linear_layers(s));
    THAW_TRY(thaw_agree(comm, thaw_ranges_key(s, &key)));
    int64_t there = pool != NULL && pool->ranges != NULL && pool->range_count == count &&
                    thaw_digest_equal(pool->ranges_of, key);
    thaw_allreduce_min_int64(comm, &there, 1);
    if (there != 0)
        return thaw_agree(comm, copy_ranges(pool->ranges, count, &s->ranges));
    THAW_TRY(see_ranges(comm, s));
    if (pool == NULL)
        return THAW_OK;
    pool->ranges_of = key;
    pool->range_count = count;
    return thaw_agree(comm, copy_ranges(s->ranges, count, &pool->ranges));
}

thaw_status thaw_ranges_add(const thaw_setup *s, thaw_state *out)
{
    if (s->ranges == NULL)
        return THAW_OK;
    return thaw_state_add(out, THAW_RANGES_ENTRY, THAW_F32,
                          thaw_shape1(thaw_graph_value_count(s->model->graph)), s->ranges);
}

thaw_status thaw_ranges_load(thaw_setup *s, const char *path, const thaw_state *state)
{
    const int32_t count = thaw_graph_value_count(s->model->graph);
    const thaw_entry *entry = NULL;
    if (!wanted(s) || !thaw_has_prefix(s)) /* older runs may have no prefix */
        return THAW_OK;
    for (int64_t i = 0; i < state->count; i++)
        if (strcmp(state->entries[i].name, THAW_RANGES_ENTRY) == 0)
            entry = &state->entries[i];
    THAW_CHECK(entry != NULL && entry->tensor.dtype == THAW_F32 &&
                   thaw_tensor_count(&entry->tensor) == count,
               THAW_ERR_INPUT,
               "%s was trained on features in 8 bits, but its %s are missing or not %d numbers",
               path, THAW_RANGES_ENTRY, (int)count);
    return copy_ranges(entry->tensor.data, count, &s->ranges);
}
