#include "graph/plan_impl.h"

#include <string.h>

/* Of one tensor; sums of a thousand of them still fit into an address. */
#define MOST_BYTES ((double)(INT64_C(1) << 46))

static thaw_status check_options(const thaw_plan *plan)
{
    const thaw_graph *g = plan->source;
    const thaw_plan_options *o = &plan->options;
    char label[200];
    THAW_TRY(thaw_graph_built(g));
    THAW_CHECK(thaw_graph_valid(g), THAW_ERR_FAIL,
               "the graph is not finished; call thaw_graph_finish after the last change");
    THAW_CHECK(o->batch > 0, THAW_ERR_FAIL, "a plan for %lld samples; at least 1 is needed",
               (long long)o->batch);
    THAW_CHECK(thaw_graph_has_value(g, o->from) && thaw_graph_has_value(g, o->to) &&
                   (o->keep == -1 || thaw_graph_has_value(g, o->keep)),
               THAW_ERR_FAIL, "from %d, to %d or keep %d is not a value of this graph (it has %d)",
               o->from, o->to, o->keep, g->value_count);
    THAW_CHECK(o->kept == NULL || !o->training, THAW_ERR_FAIL,
               "a plan for training keeps no further values; use one for inference");
    for (thaw_value v = 0; v < g->value_count; v++) {
        double bytes = (double)o->batch * (double)thaw_shape_count(&g->values[v].shape) * 4.0;
        thaw_value_label(g, v, label, sizeof label);
        THAW_CHECK(bytes <= MOST_BYTES, THAW_ERR_RESOURCE,
                   "%s needs %.3g bytes for a batch of %lld; use a smaller batch", label, bytes,
                   (long long)o->batch);
    }
    return THAW_OK;
}

/* A norm that trains, in a plan for training. */
static bool uses_batch_statistics(const thaw_graph *g, const thaw_plan_options *options,
                                  const thaw_node *node)
{
    for (int32_t j = 0; j < node->param_count; j++)
        if (thaw_is_buffer(g->params[node->params[j]]))
            return options->training && !node->frozen_stats;
    return false;
}

static int32_t block_of(const thaw_graph *g, thaw_value v)
{
    return g->values[v].block > 1 ? g->values[v].block : 1;
}

void thaw_fill_need(const thaw_graph *g, int32_t index, const thaw_plan_options *options,
                    thaw_need *need)
{
    const thaw_node *node = g->nodes[index];
    *need = (thaw_need){.node = node,
                        .B = options->batch,
                        .out = g->values[node->output].shape,
                        .block_out = block_of(g, node->output),
                        .out_count = thaw_memory_count(&g->values[node->output]),
                        .form_out = g->values[node->output].form,
                        .scale_out = g->values[node->output].scale,
                        .active = node->active,
                        .batch_statistics = uses_batch_statistics(g, options, node)};
    need->meets = need->batch_statistics && options->abreast > 0;
    for (int32_t j = 0; j < node->input_count; j++) {
        need->in[j] = g->values[node->inputs[j]].shape;
        need->block_in[j] = block_of(g, node->inputs[j]);
        need->in_count[j] = thaw_memory_count(&g->values[node->inputs[j]]);
        need->form_in[j] = g->values[node->inputs[j]].form;
        need->scale_in[j] = g->values[node->inputs[j]].scale;
    }
    for (int32_t j = 0; j < node->param_count; j++) {
        const thaw_param *p = g->params[node->params[j]];
        need->frozen[j] = !p->trainable;
        need->dparam[j] = thaw_is_buffer(p) ? need->batch_statistics : node->active && p->trainable;
    }
}

static thaw_status make_step(const thaw_plan *plan, int32_t index, thaw_step *step)
{
    const thaw_node *node = plan->graph->nodes[index];
    *step = (thaw_step){.node = index,
                        .saved = THAW_NO_SPAN,
                        .forward_workspace = THAW_NO_SPAN,
                        .backward_workspace = THAW_NO_SPAN,
                        .replay_workspace = THAW_NO_SPAN,
                        .replay_from = -1};
    thaw_fill_need(plan->graph, index, &plan->options, &step->need);
    for (int32_t j = 0; j < node->input_count; j++)
        step->need.dx[j] = node->active && plan->wanted[node->inputs[j]];
    for (int32_t j = 0; j < THAW_MAX_PARAMS; j++)
        step->reduced[j] = -1;
    if (node->op->prepare != NULL) {
        thaw_call call = {.need = &step->need, .kern = plan->kern};
        for (int32_t j = 0; j < node->param_count; j++)
            call.param[j] = plan->graph->params[node->params[j]]->data;
        THAW_TRY(node->op->prepare(&call, &step->object));
    }
    if (node->op->constant_bytes != NULL)
        step->constant_bytes = node->op->constant_bytes(&step->need, step->object);
    return THAW_OK;
}

/* Where runs meet, and what they bring. */
static void note_meetings(thaw_plan *plan, thaw_step *step)
{
    for (int back = 0; back < 2 && step->need.meets; back++) {
        const int64_t n = step->need.node->op->row(&step->need, back == 1);
        step->row[back] = n;
        plan->meetings.count += n > 0;
        plan->meetings.doubles += n;
        plan->meetings.widest = n > plan->meetings.widest ? n : plan->meetings.widest;
    }
}

/* Every node of the lowered graph, and what backward from `to` needs of it. */
static thaw_status make_steps(thaw_plan *plan)
{
    const thaw_graph *g = plan->graph;
    const thaw_plan_options *o = &plan->options;
    thaw_status status = THAW_OK;
    bool *needed = NULL;
    bool *active = NULL;
    THAW_TRY_TO(thaw_alloc(&needed, g->node_count, sizeof *needed));
    THAW_TRY_TO(thaw_alloc(&active, g->node_count, sizeof *active));
    THAW_TRY_TO(thaw_needed_nodes(g, o->from, o->to, needed));
    thaw_need_grad(g, needed, o->from, plan->extra.input_gradient, active, plan->wanted);
    THAW_TRY_TO(thaw_alloc(&plan->steps, g->node_count, sizeof *plan->steps));
    for (int32_t i = 0; i < g->node_count; i++) {
        g->nodes[i]->active = o->training && active[i];
        THAW_TRY_TO(make_step(plan, i, &plan->steps[plan->step_count++]));
        note_meetings(plan, &plan->steps[i]);
        plan->steps[i].constant_offset = plan->constant_bytes;
        plan->constant_bytes += (plan->steps[i].constant_bytes + 63) / 64 * 64;
    }
    plan->lanes = plan->meetings.count > 0 ? o->abreast : 1;
done:
    thaw_free(&active);
    thaw_free(&needed);
    return status;
}

static int32_t find_reduced(const thaw_plan *plan, int32_t param)
{
    for (int32_t i = 0; i < plan->reduced_count; i++)
        if (plan->reduced[i].param == param)
            return i;
    return -1;
}

/* Adds the wanted tensors of one step, statistics or gradients. A parameter that several nodes share becomes final at the
 * one whose backward runs last, and moves there in the list: callers rely on the order of becoming ready. */
static void add_reduced(thaw_plan *plan, int32_t p, bool statistic)
{
    const thaw_need *need = &plan->steps[p].need;
    for (int32_t j = 0; j < need->node->param_count; j++) {
        int32_t param = need->node->params[j];
        const thaw_param *parameter = plan->graph->params[param];
        if (!need->dparam[j] || thaw_is_buffer(parameter) != statistic)
            continue;
        int32_t at = find_reduced(plan, param);
        if (at >= 0) {
            plan->gathers = true;
            plan->reduced_count--;
            memmove(&plan->reduced[at], &plan->reduced[at + 1],
                    (size_t)(plan->reduced_count - at) * sizeof *plan->reduced);
            memmove(&plan->final_step[at], &plan->final_step[at + 1],
                    (size_t)(plan->reduced_count - at) * sizeof *plan->final_step);
        }
        plan->final_step[plan->reduced_count] = p;
        plan->reduced[plan->reduced_count++] = (thaw_reduced){
            .param = param, .count = thaw_shape_count(&parameter->shape), .statistic = statistic};
    }
}

static int64_t padded(int64_t count)
{
    return (count + 15) / 16 * 16; /* 64 bytes: every tensor starts on a cache line */
}

static int64_t gradient_elements(const thaw_plan *plan)
{
    return plan->reduced_elements - plan->statistic_elements;
}

/* Gradients are handed out before the next lane's turn, unless they gather over several steps. */
static int64_t reduced_memory(const thaw_plan *plan)
{
    return plan->lanes * plan->statistic_elements +
           (plan->gathers ? plan->lanes : 1) * gradient_elements(plan);
}

void thaw_plan_use_lane(thaw_plan *plan, int32_t lane)
{
    plan->lane = lane;
    if (plan->reduced_data == NULL)
        return;
    float *statistic = plan->reduced_data + lane * plan->statistic_elements;
    float *gradient = plan->reduced_data + plan->lanes * plan->statistic_elements +
                      (plan->gathers ? lane : 0) * gradient_elements(plan);
    for (int32_t i = 0; i < plan->reduced_count; i++) {
        float **data = i < plan->statistic_count ? &statistic : &gradient;
        plan->reduced[i].data = *data;
        *data += padded(plan->reduced[i].count);
    }
}

static thaw_status make_reduced(thaw_plan *plan)
{
    const thaw_graph *g = plan->graph;
    THAW_TRY(thaw_alloc(&plan->reduced, g->param_count, sizeof *plan->reduced));
    THAW_TRY(thaw_alloc(&plan->final_step, g->param_count, sizeof *plan->final_step));
    for (int32_t p = 0; p < plan->step_count; p++)
        add_reduced(plan, p, true);
    plan->statistic_count = plan->reduced_count;
    for (int32_t p = plan->step_count - 1; p >= 0; p--)
        add_reduced(plan, p, false);
    for (int32_t i = 0; i < plan->reduced_count; i++) {
        plan->reduced_elements += padded(plan->reduced[i].count);
        if (i < plan->statistic_count)
            plan->statistic_elements = plan->reduced_elements;
    }
    THAW_TRY(thaw_alloc(&plan->reduced_data, reduced_memory(plan), sizeof *plan->reduced_data));
    thaw_plan_use_lane(plan, 0);
    for (int32_t p = 0; p < plan->step_count; p++)
        for (int32_t j = 0; j < plan->steps[p].need.node->param_count; j++)
            if (plan->steps[p].need.dparam[j])
                plan->steps[p].reduced[j] = find_reduced(plan, plan->steps[p].need.node->params[j]);
    return THAW_OK;
}

static thaw_status check_kept(const thaw_plan *plan)
{
    const bool *kept = plan->options.kept;
    char label[200];
    if (kept == NULL)
        return THAW_OK;
    for (thaw_value v = 0; v < plan->source->value_count; v++) {
        thaw_value_label(plan->source, v, label, sizeof label);
        THAW_CHECK(!kept[v] || v == plan->options.from || plan->graph->values[v].producer >= 0,
                   THAW_ERR_FAIL, "%s is to be kept, but nothing between from and to computes it",
                   label);
    }
    return THAW_OK;
}

static thaw_status build(thaw_plan *plan)
{
    THAW_TRY(check_options(plan));
    THAW_TRY(thaw_lower(plan->source, plan->kern, &plan->options, &plan->extra, &plan->graph,
                        &plan->counts));
    THAW_TRY(check_kept(plan));
    int32_t value_count = plan->graph->value_count;
    if (plan->options.observe)
        THAW_TRY(thaw_alloc(&plan->ranges, value_count, sizeof *plan->ranges));
    THAW_TRY(thaw_alloc(&plan->storage, value_count, sizeof *plan->storage));
    THAW_TRY(thaw_alloc(&plan->replayed, value_count, sizeof *plan->replayed));
    THAW_TRY(thaw_alloc(&plan->gradient, value_count, sizeof *plan->gradient));
    THAW_TRY(thaw_alloc(&plan->wanted, value_count, sizeof *plan->wanted));
    THAW_TRY(make_steps(plan));
    thaw_replay(plan);
    THAW_TRY(thaw_make_constants(plan));
    if (plan->options.training)
        THAW_TRY(make_reduced(plan));
    THAW_TRY(thaw_liveness(plan));
    THAW_TRY(thaw_memory_assign(plan->spans, plan->span_count, !plan->extra.no_reuse,
                                &plan->arena_bytes));
    THAW_CHECK(plan->arena_bytes <= PTRDIFF_MAX / (size_t)plan->lanes, THAW_ERR_RESOURCE,
               "the plan needs more memory than an address can name; use a smaller batch");
    THAW_TRY(
        thaw_alloc(&plan->rows, (plan->lanes + 1) * plan->meetings.widest, sizeof *plan->rows));
    return thaw_alloc(&plan->arena, (int64_t)thaw_plan_arena_bytes(plan), 1);
}

thaw_status thaw_plan_new_with(thaw_graph *g, const thaw_kern *kern,
                               const thaw_plan_options *options, const thaw_plan_extra *extra,
                               thaw_plan **out)
{
    thaw_plan *plan = NULL;
    *out = NULL;
    THAW_TRY(thaw_alloc(&plan, 1, sizeof *plan));
    plan->source = g;
    plan->kern = kern;
    plan->options = *options;
    plan->extra = *extra;
    if (plan->options.from == -1)
        plan->options.from = g->input;
    if (plan->options.to == -1)
        plan->options.to = g->logits;
    thaw_status status = THAW_OK;
    if (options->kept != NULL) {
        status = thaw_alloc(&plan->kept, g->value_count, sizeof *plan->kept);
        if (status == THAW_OK)
            memcpy(plan->kept, options->kept, (size_t)g->value_count * sizeof *plan->kept);
        plan->options.kept = plan->kept;
    }
    if (status == THAW_OK)
        status = build(plan);
    if (status == THAW_OK)
        *out = plan;
    else
        thaw_plan_free(&plan);
    return status;
}

thaw_status thaw_plan_new(thaw_graph *g, const thaw_kern *kern, const thaw_plan_options *options,
                          thaw_plan **out)
{
    return thaw_plan_new_with(g, kern, options, &(thaw_plan_extra){0}, out);
}

void thaw_plan_free(thaw_plan **plan)
{
    if (plan == NULL || *plan == NULL)
        return;
    for (int32_t p = 0; (*plan)->branches != NULL && p < (*plan)->step_count; p++)
        thaw_free(&(*plan)->branches[p]);
    for (int32_t p = 0; p < (*plan)->step_count; p++)
        if ((*plan)->steps[p].object != NULL)
            (*plan)->steps[p].need.node->op->release(&(*plan)->steps[p].object);
    thaw_lengths_free(*plan);
    thaw_free(&(*plan)->own_constants);
    thaw_free(&(*plan)->ranges);
    thaw_free(&(*plan)->kept);
    thaw_free(&(*plan)->scratch);
    thaw_free(&(*plan)->branches);
    thaw_free(&(*plan)->arena);
    thaw_free(&(*plan)->rows);
    thaw_free(&(*plan)->reduced_data);
    thaw_free(&(*plan)->final_step);
    thaw_free(&(*plan)->reduced);
    thaw_free(&(*plan)->spans);
    thaw_free(&(*plan)->wanted);
    thaw_free(&(*plan)->gradient);
    thaw_free(&(*plan)->storage);
    thaw_free(&(*plan)->replayed);
    thaw_free(&(*plan)->steps);
    thaw_lowered_free(&(*plan)->graph);
    thaw_free(plan);
}

const float *thaw_plan_ranges(const thaw_plan *plan)
{
    return plan->ranges;
}

thaw_plan_counts thaw_plan_count(const thaw_plan *plan)
{
    return plan->counts;
}

void thaw_plan_algorithms(const thaw_plan *plan, thaw_str *out)
{
    for (int32_t p = 0; p < plan->step_count; p++) {
        const thaw_node *node = plan->steps[p].need.node;
        if (node->op->algorithm != NULL)
            thaw_str_printf(out, "%s %s\n", node->name, node->op->algorithm(plan->steps[p].object));
    }
}

size_t thaw_plan_arena_bytes(const thaw_plan *plan)
{
    return plan->arena_bytes * (size_t)plan->lanes;
}

size_t thaw_plan_reduced_bytes(const thaw_plan *plan)
{
    return (size_t)reduced_memory(plan) * sizeof *plan->reduced_data;
}

int32_t thaw_plan_lanes(const thaw_plan *plan)
{
    return plan->lanes;
}

int32_t thaw_plan_turn(const thaw_plan *plan)
{
    return plan->lane;
}

thaw_meetings thaw_plan_meetings(const thaw_plan *plan)
{
    return plan->meetings;
}

int32_t thaw_plan_reduced_count(const thaw_plan *plan)
{
    return plan->reduced_count;
}

const thaw_reduced *thaw_plan_reduced(const thaw_plan *plan, int32_t index)
{
    THAW_ASSERT(index >= 0 && index < plan->reduced_count);
    return &plan->reduced[index];
}

float *thaw_plan_span(const thaw_plan *plan, int32_t span)
{
    const size_t offset = (size_t)plan->lane * plan->arena_bytes;
    return span >= 0 ? (float *)(void *)(plan->arena + offset + plan->spans[span].offset) : NULL;
}

const float *thaw_plan_value(const thaw_plan *plan, thaw_value v)
{
    if (v == -1)
        v = plan->options.to;
    THAW_ASSERT(thaw_stays_readable(plan->source, &plan->options, v));
    if (plan->storage[v] == THAW_GIVEN)
        return plan->input;
    return thaw_plan_span(plan, plan->storage[v]);
}

float *thaw_plan_output_gradient(thaw_plan *plan)
{
    return thaw_plan_span(plan, plan->gradient[plan->options.to]);
}

const float *thaw_plan_input_gradient(const thaw_plan *plan)
{
    return thaw_plan_span(plan, plan->gradient[plan->options.from]);
}
