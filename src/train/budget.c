/* Memory of a run against its budget: whether blocks are recomputed, and the error when nothing helps. */

#include "thaw/train.h"

#include <unistd.h>

#include "train/parts_impl.h"

#define GIB 1073741824.0

/* Part of a node's memory that its ranks may plan with: the rest is for the system, the page cache and what libraries take. */
#define NODE_SHARE 0.8

static double own_budget(const thaw_comm *comm, const thaw_config *config)
{
    if (config->train.memory_gib > 0)
        return config->train.memory_gib * GIB;
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE);
    return NODE_SHARE * bytes / thaw_comm_node_ranks(comm);
}

/* The optimizer's moments of a trained value, its average, and what an epoch began with. */
static int64_t companions(const thaw_config *config)
{
    return thaw_optim_config_moments(&config->optimizer) + (config->train.ema > 0) +
           thaw_limit_copies(config);
}

/* Weights; per trained value its gradient of a shard, its sum, what goes with it and the selected epoch's copy. Of the moments a rank may
 * have its part only. */
static double state_bytes(const thaw_setup *setup, const thaw_comm *comm)
{
    const thaw_graph *graph = setup->model->graph;
    const int64_t moments = thaw_optim_config_moments(&setup->config->optimizer);
    const int64_t total = thaw_graph_count_params(graph, false);
    const int64_t trained = thaw_graph_count_params(graph, true);
    const double elsewhere = (double)moments * (1 - 1.0 / thaw_parts(setup->config, comm));
    return 4.0 * ((double)(total + trained * (3 + companions(setup->config))) -
                  (double)trained * elsewhere);
}

/* What a checkpoint holds of each trained value: itself, the selected epoch's copy, what goes with it. An optimizer in parts is written from
 * where it is: the first rank would have all of it in its copy. */
static double copy_bytes(const thaw_setup *setup, const thaw_comm *comm)
{
    const thaw_train_config *train = &setup->config->train;
    const int64_t selected = train->select != THAW_SELECT_LAST;
    if (train->checkpoint_async != 0 || thaw_parts(setup->config, comm) > 1)
        return 0;
    return 4.0 * (double)(thaw_graph_count_params(setup->model->graph, true) *
                          (1 + selected + companions(setup->config)));
}

int64_t thaw_train_copy_bytes(const thaw_comm *comm, const thaw_setup *setup, const thaw_plan *plan,
                              int32_t company)
{
    const double copy = copy_bytes(setup, comm);
    const double rest = (double)thaw_plan_arena_bytes(plan) + state_bytes(setup, comm);
    return company * (rest + copy) <= own_budget(comm, setup->config) ? (int64_t)copy : 0;
}

static thaw_status over_budget(const thaw_comm *comm, const thaw_setup *setup,
                               const thaw_plan *plan, double budget)
{
    char text[4][32];
    const double activations = (double)thaw_plan_arena_bytes(plan);
    const double state = state_bytes(setup, comm);
    thaw_format_bytes(activations, text[0], sizeof *text);
    thaw_format_bytes(state, text[1], sizeof *text);
    thaw_format_bytes(activations + state, text[2], sizeof *text);
    thaw_format_bytes(budget, text[3], sizeof *text);
    return THAW_FAIL(THAW_ERR_RESOURCE,
                     "activations %s%s + weights and optimizer state %s = %s a rank, but "
                     "train.memory_gib allows %s; use more train.shards, a smaller train.batch, or "
                     "a rung that trains less",
                     text[0], thaw_plan_count(plan).replayed > 0 ? " (blocks recomputed)" : "",
                     text[1], text[2], text[3]);
}

static void say_recomputed(double needed, double budget)
{
    char text[2][32];
    thaw_format_bytes(needed, text[0], sizeof *text);
    thaw_format_bytes(budget, text[1], sizeof *text);
    THAW_LOG(
        THAW_INFO,
        "activations of %s a rank are over the budget of %s: blocks are recomputed in backward",
        text[0], text[1]);
}

int32_t thaw_train_room(thaw_comm *comm, const thaw_setup *setup, const thaw_plan *plan)
{
    const double needed = (double)thaw_plan_arena_bytes(plan) + state_bytes(setup, comm);
    double runs = own_budget(comm, setup->config) / needed;
    thaw_allreduce_min_double(comm, &runs, 1);
    return runs < 1 ? 1 : runs > INT16_MAX ? INT16_MAX : (int32_t)runs;
}

thaw_status thaw_train_plan_open(thaw_comm *comm, thaw_setup *setup,
                                 const thaw_plan_options *options, thaw_plan **out)
{
    const thaw_train_config *train = &setup->config->train;
    thaw_plan_options o = *options;
    double budget = own_budget(comm, setup->config);
    thaw_allreduce_min_double(comm, &budget, 1);
    const double limit = budget - state_bytes(setup, comm);
    o.recompute = train->recompute == THAW_RECOMPUTE_ON;
    THAW_TRY(thaw_plan_agree(comm, setup, &o, out));
    /* Workspaces may differ between CPUs; all ranks decide on the largest. */
    double needed = (double)thaw_plan_arena_bytes(*out);
    thaw_allreduce_max_double(comm, &needed, 1);
    if (needed > limit && train->recompute == THAW_RECOMPUTE_AUTO) { /* uniform */
        say_recomputed(needed, budget);
        thaw_plan_free(out);
        o.recompute = true;
        THAW_TRY(thaw_plan_agree(comm, setup, &o, out));
    }
    thaw_status status = THAW_OK;
    if (train->memory_gib > 0 && (double)thaw_plan_arena_bytes(*out) > limit)
        status = over_budget(comm, setup, *out, budget);
    status = thaw_agree(comm, status);
    if (status == THAW_OK)
        status = thaw_plan_keep_constants(comm, setup, *out);
    if (status != THAW_OK)
        thaw_plan_free(out);
    return status;
}
