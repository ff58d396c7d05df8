/* Networks, gradients and twenty optimizer steps against PyTorch: golden files without arguments, one binary file with.
 * thaw-test: timeout=60 modules=kern,adapt,optim */
#include "thaw/adapt.h"
#include "thaw/model.h"
#include "thaw/optim.h"

#include "model/parity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Agreed with tools/gen-golden. */
#define SMOOTHING 0.1f

/* float32 sums in another order: 1e-4 of the largest logit, 1e-3 of the largest gradient of a tensor. Within twenty steps some
 * activation crosses relu's kink in one of the two programs and not in the other; PyTorch in float32 leaves its own
 * float64 in the same way. So half of the tensors must have moved as PyTorch's did, and the worst one roughly; whole
 * tensors (live) are compared in the 2-norm over all of them. */
#define LOGITS_TOLERANCE   1e-4
#define GRADIENT_TOLERANCE 1e-3
#define MEDIAN_TOLERANCE   5e-3
#define WORST_TOLERANCE    5e-2
#define WHOLE_TOLERANCE    1e-2
/* Gradients below a kink of relu6 that the two programs may pass on different sides (tools/gen-golden, gradient_section): a
 * wrong formula is off by 1. */
#define ROUGH_TOLERANCE 5e-2

typedef struct setup {
    int64_t B;
    int steps;
    char trained; /* with which optimizer last: 's', 'a' */
    thaw_model *model;
    thaw_kern *kern;
    thaw_plan *train, *eval;
    thaw_state start; /* copies of all parameters and buffers */
    float *input, *probs, *loss;
    int32_t *labels;
    int64_t *ids;
    thaw_optim_tensor *tensors;
    const float **gradients; /* in the order of tensors */
    int32_t *params;         /* index in the graph, in the order of tensors */
    int32_t tensor_count;
    int32_t zeros; /* tensors whose gradient is nothing but rounding */
} setup;

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

/* "peft:ia3" is rung peft with that method; dora is lora's, vpt-deep vpt's. */
static void choose_method(char *depth, thaw_peft *peft)
{
    char *method = strchr(depth, ':');
    if (!thaw_starts_with(depth, "peft:"))
        return;
    *method++ = '\0';
    peft->dora = strcmp(method, "dora") == 0;
    peft->deep = strcmp(method, "vpt-deep") == 0;
    const char *name = peft->dora ? "lora" : peft->deep ? "vpt" : method;
    for (int i = 0; thaw_peft_names()[i]; i++) {
        if (strcmp(thaw_peft_names()[i], name) == 0)
            peft->method = i;
    }
    assert_string_equal(thaw_peft_names()[peft->method], name);
}

static void make_spec(setup *s, const char *header, thaw_model_spec *spec, thaw_rung *rung,
                      thaw_peft *peft)
{
    char arch[48], hidden[64], depth[32];
    long long width, C, H, W, K, batch, rank;
    int fields = sscanf(header,
                        "case arch=%47s width=%lld hidden=%63s C=%lld H=%lld W=%lld K=%lld B=%lld "
                        "rung=%31s rank=%lld steps=%d",
                        arch, &width, hidden, &C, &H, &W, &K, &batch, depth, &rank, &s->steps);
    assert_int_equal(fields, 11);
    *spec = (thaw_model_spec){.C = C, .H = H, .W = W, .K = K, .width = width};
    char *pool = strchr(arch, ':');
    if (pool) {
        *pool++ = '\0';
        assert_string_equal(pool, "mean");
        spec->pool = THAW_POOL_MEAN;
    }
    if (C == 0) {
        spec->W = 0;
        spec->T = W;
    }
    ok(thaw_strdup(&spec->arch, arch));
    if (strcmp(hidden, "-") != 0) {
        ok(thaw_alloc(&spec->hidden.items, 16, sizeof(int64_t)));
        for (char *at = hidden; *at; at += *at == ',')
            spec->hidden.items[spec->hidden.count++] = strtoll(at, &at, 10);
    }
    s->B = batch;
    thaw_peft_defaults(peft);
    choose_method(depth, peft);
    ok(thaw_rung_parse(depth, rung));
    peft->rank = rank > 0 ? rank : 1;
    peft->alpha = 2 * (double)peft->rank;
}

static void copy_start(setup *s)
{
    thaw_state all = {0};
    ok(thaw_graph_state(s->model->graph, THAW_ALL, &all));
    for (int64_t i = 0; i < all.count; i++) {
        const thaw_entry *e = &all.entries[i];
        ok(thaw_state_add_new(&s->start, e->name, e->tensor.dtype, e->tensor.shape, NULL));
    }
    ok(thaw_state_copy(&s->start, &all));
    thaw_state_clear(&all);
}

static void restart(setup *s)
{
    thaw_state all = {0};
    ok(thaw_graph_state(s->model->graph, THAW_ALL, &all));
    ok(thaw_state_copy(&all, &s->start));
    thaw_state_clear(&all);
}

static const thaw_reduced *reduced_of(const thaw_plan *plan, int32_t param)
{
    for (int32_t i = 0; i < thaw_plan_reduced_count(plan); i++) {
        const thaw_reduced *r = thaw_plan_reduced(plan, i);
        if (r->param == param)
            return r;
    }
    fail_msg("parameter %d is not reduced", param);
    return NULL;
}

static void list_tensors(setup *s)
{
    thaw_graph *g = s->model->graph;
    int32_t count = thaw_graph_param_count(g);
    ok(thaw_alloc(&s->tensors, count, sizeof *s->tensors));
    ok(thaw_alloc(&s->gradients, count, sizeof *s->gradients));
    ok(thaw_alloc(&s->params, count, sizeof *s->params));
    for (int32_t i = 0; i < count; i++) {
        const thaw_param *p = thaw_graph_param(g, i);
        if (!p->need_grad)
            continue;
        s->params[s->tensor_count] = i;
        s->gradients[s->tensor_count] = reduced_of(s->train, i)->data;
        s->tensors[s->tensor_count++] = (thaw_optim_tensor){
            .name = p->name, .data = p->data, .shape = p->shape, .is_weight = true};
    }
}

static void make_plans(setup *s)
{
    thaw_graph *g = s->model->graph;
    thaw_plan_options options = {.batch = s->B, .training = true, .from = -1, .to = -1, .keep = -1};
    ok(thaw_plan_new(g, s->kern, &options, &s->train));
    options.training = false;
    ok(thaw_plan_new(g, s->kern, &options, &s->eval));
}

static void make_batch(setup *s)
{
    const thaw_model_spec *spec = &s->model->spec;
    int64_t T = spec->T;
    const thaw_model_arch *arch = NULL;
    ok(thaw_model_arch_find(spec->arch, &arch));
    const double pad = (double)arch->pad_id;
    int64_t count = s->B * (T > 0 ? T : spec->C * spec->H * spec->W);
    ok(thaw_alloc(&s->input, count, sizeof(float)));
    ok(thaw_alloc(&s->probs, s->B * spec->K, sizeof(float)));
    ok(thaw_alloc(&s->loss, s->B, sizeof(float)));
    ok(thaw_alloc(&s->labels, s->B, sizeof(int32_t)));
    ok(thaw_alloc(&s->ids, s->B, sizeof(int64_t)));
    for (int64_t i = 0; i < count; i++) {
        double u = golden_uniform("input", (uint32_t)i);
        bool padding = T > 0 && i / T % 2 == 1 && i % T >= T - T / 3;
        s->input[i] = (float)(T == 0    ? 2 * u - 1
                              : padding ? pad
                                        : pad + floor(1 + u * (PARITY_TOKENS - 1)));
    }
    for (int64_t i = 0; i < s->B; i++) {
        s->labels[i] = (int32_t)(golden_uniform("labels", (uint32_t)i) * (double)spec->K);
        s->ids[i] = i;
    }
}

/* In a binary file the weights come first. */
static void set_weights(setup *s, parity_file *f)
{
    thaw_graph *g = s->model->graph;
    bool good = true;
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        if (!f->binary) {
            parity_fill(thaw_graph_param(g, i));
            continue;
        }
        assert_true(parity_next(f, &good));
        int32_t index = thaw_graph_find_param(g, f->record.name);
        assert_true(index >= 0 && strcmp(f->record.section, "param") == 0);
        thaw_param *p = thaw_graph_param(g, index);
        assert_int_equal(thaw_shape_count(&p->shape), f->record.count);
        memcpy(p->data, f->record.values, (size_t)f->record.count * sizeof(float));
    }
}

static void set_up(setup *s, parity_file *f)
{
    thaw_model_spec spec;
    thaw_rung rung;
    thaw_peft peft;
    memset(s, 0, sizeof *s);
    make_spec(s, f->header, &spec, &rung, &peft);
    ok(thaw_model_new(&spec, &s->model));
    ok(thaw_adapt_apply(s->model, &rung, &peft, 1));
    thaw_model_spec_clear(&spec);
    ok(thaw_kern_open("auto", &s->kern));
    set_weights(s, f);
    copy_start(s);
    make_plans(s);
    make_batch(s);
    list_tensors(s);
}

static void tear_down(setup *s)
{
    thaw_plan_free(&s->train);
    thaw_plan_free(&s->eval);
    thaw_model_free(&s->model);
    thaw_kern_close(&s->kern);
    thaw_state_clear(&s->start);
    thaw_free(&s->input);
    thaw_free(&s->probs);
    thaw_free(&s->loss);
    thaw_free(&s->labels);
    thaw_free(&s->ids);
    thaw_free(&s->tensors);
    thaw_free(&s->gradients);
    thaw_free(&s->params);
}

static const float *forward(setup *s, thaw_plan *plan, bool training)
{
    thaw_run run = {.B = s->B, .input = s->input, .sample_ids = s->ids, .training = training};
    thaw_plan_forward(plan, &run);
    return thaw_plan_value(plan, thaw_graph_logits(s->model->graph));
}

/* Gradients of the summed loss; returns the mean loss. */
static double forward_backward(setup *s)
{
    int64_t K = s->model->spec.K;
    double weight = 0;
    double loss = 0;
    thaw_run run = {.B = s->B, .input = s->input, .sample_ids = s->ids, .training = true};
    const float *logits = forward(s, s->train, true);
    thaw_kern_softmax_cross_entropy(s->B, K, logits, s->labels, SMOOTHING, NULL, s->loss, s->probs,
                                    &weight);
    thaw_kern_softmax_cross_entropy_backward(s->B, K, s->probs, s->labels, SMOOTHING, NULL,
                                             thaw_plan_output_gradient(s->train));
    thaw_plan_backward(s->train, &run, NULL, NULL, NULL);
    for (int64_t i = 0; i < s->B; i++)
        loss += s->loss[i];
    return loss / weight;
}

static void update_statistics(setup *s)
{
    thaw_graph *g = s->model->graph;
    for (int32_t i = 0; i < thaw_plan_reduced_count(s->train); i++) {
        const thaw_reduced *r = thaw_plan_reduced(s->train, i);
        if (!r->statistic)
            continue;
        thaw_param *p = thaw_graph_param(g, r->param);
        float momentum = thaw_graph_node(g, p->node)->attr.batch_norm.momentum;
        thaw_kern_scale(r->count, 1 - momentum, p->data);
        thaw_kern_axpy(r->count, momentum / (float)s->B, r->data, p->data);
    }
}

static void train(setup *s, bool adamw)
{
    thaw_optim_config config;
    thaw_rates rates;
    thaw_optimizer *optimizer = NULL;
    thaw_optim_defaults(&config);
    thaw_rates_defaults(&rates);
    config.kind = adamw ? 1 : 0;
    config.nesterov = !adamw;
    config.weight_decay = adamw ? 0.05 : 1e-3;
    config.epsilon = 1e-6;
    config.decay_all = true;
    rates.head = adamw ? 1e-3 : 2e-3;
    restart(s);
    ok(thaw_optimizer_new(&config, &rates, s->tensors, s->tensor_count, &optimizer));
    for (int step = 0; step < s->steps; step++) {
        forward_backward(s);
        update_statistics(s);
        ok(thaw_optimizer_step(optimizer, s->gradients, 1.0 / (double)s->B, 1, NULL));
    }
    thaw_optimizer_free(&optimizer);
}

static void compare_param(setup *s, parity_file *f)
{
    thaw_graph *g = s->model->graph;
    int32_t index = thaw_graph_find_param(g, f->record.name);
    if (index < 0)
        fail_msg("this graph has no parameter %s", f->record.name);
    thaw_param *p = thaw_graph_param(g, index);
    int64_t n = thaw_shape_count(&p->shape);
    assert_int_equal(n, f->record.count);
    if (thaw_ends_with(f->record.section, "no_grad")) {
        /* What is exactly zero in theory: rounding of sums of unit-sized terms. */
        const thaw_reduced *r = reduced_of(s->train, index);
        for (int64_t i = 0; i < n; i++)
            assert_true(fabs(r->data[i]) < 1e-5);
        s->zeros++;
    } else if (thaw_ends_with(f->record.section, "grad")) {
        const thaw_reduced *r = reduced_of(s->train, index);
        float *mean = NULL;
        ok(thaw_alloc(&mean, n, sizeof *mean));
        thaw_kern_axpy(n, 1 / (float)s->B, r->data, mean);
        parity_compare(f, mean);
        thaw_free(&mean);
    } else if (thaw_ends_with(f->record.section, "_change")) {
        float *change = NULL;
        ok(thaw_alloc(&change, n, sizeof *change));
        thaw_kern_add(n, p->data, -1, thaw_state_find(&s->start, p->name)->data, change);
        parity_compare(f, change);
        thaw_free(&change);
    } else {
        parity_compare(f, p->data);
    }
}

/* Trains when the first record of an optimizer comes by. */
static void train_for(setup *s, const char *section)
{
    char wanted = thaw_starts_with(section, "sgd") ? 's' : 'a';
    if (thaw_ends_with(section, "grad") || s->trained == wanted)
        return;
    train(s, wanted == 'a');
    s->trained = wanted;
}

static void compare_record(setup *s, parity_file *f, float *loss)
{
    const char *section = f->record.section;
    int64_t logits = s->B * s->model->spec.K;
    if (strcmp(section, "eval_logits") == 0) {
        assert_int_equal(f->record.count, logits);
        parity_compare(f, forward(s, s->eval, false));
    } else if (strcmp(section, "train_logits") == 0) {
        *loss = (float)forward_backward(s);
        parity_compare(f, thaw_plan_value(s->train, thaw_graph_logits(s->model->graph)));
    } else if (strcmp(section, "loss") == 0) {
        parity_compare(f, loss);
    } else {
        train_for(s, section);
        compare_param(s, f);
    }
}

static void check_section(const parity_file *f, const char *name, double tolerance)
{
    const parity_section *s = parity_result(f, name);
    if (!s)
        fail_msg("no section %s in the file", name);
    if (!(s->worst <= tolerance))
        fail_msg("%s differs from PyTorch by %.3g (relative), limit %.1g, in %s", name, s->worst,
                 tolerance, s->where);
}

static void check_moved(const parity_file *f, const char *name)
{
    check_section(f, name, WORST_TOLERANCE);
    double median = parity_median(parity_result(f, name));
    if (!(median <= MEDIAN_TOLERANCE))
        fail_msg("half of the tensors of %s differ from PyTorch by more than %.3g, limit %.1g",
                 name, median, MEDIAN_TOLERANCE);
}

static void check_whole(const parity_file *f, const char *name)
{
    const parity_section *s = parity_result(f, name);
    if (!s)
        fail_msg("no section %s in the file", name);
    double error = sqrt(s->difference / s->size);
    print_message("    %-13s all tensors together: relative difference %.2e\n", name, error);
    if (!(error <= WHOLE_TOLERANCE))
        fail_msg("%s as a whole differs from PyTorch by %.3g (relative, 2-norm), limit %.1g", name,
                 error, WHOLE_TOLERANCE);
}

static void check_steps(const setup *s, const parity_file *f)
{
    if (s->steps == 0)
        return;
    if (f->binary) {
        check_whole(f, "sgd_change");
        check_whole(f, "adamw_change");
        return;
    }
    if (parity_result(f, "sgd"))
        check_moved(f, "sgd"); /* running statistics */
    check_moved(f, "sgd_change");
    check_moved(f, "adamw_change");
}

static void compare_file(const char *path, bool binary)
{
    parity_file f;
    setup s;
    float loss = 0;
    bool good = true;
    if (!parity_open(&f, path, binary))
        fail_msg("cannot read %s; tools/gen-golden writes it", path);
    set_up(&s, &f);
    while (parity_next(&f, &good))
        compare_record(&s, &f, &loss);
    assert_true(good);
    print_message("%s", f.header);
    for (int i = 0; i < f.section_count; i++)
        print_message("    %-13s %3d tensors, relative difference: worst %.2e (%s), median %.2e\n",
                      f.sections[i].name, f.sections[i].records, f.sections[i].worst,
                      f.sections[i].where, parity_median(&f.sections[i]));
    check_section(&f, "eval_logits", LOGITS_TOLERANCE);
    check_section(&f, "train_logits", LOGITS_TOLERANCE);
    check_section(&f, "loss", LOGITS_TOLERANCE);
    check_section(&f, "grad", GRADIENT_TOLERANCE);
    check_steps(&s, &f);
    const parity_section *rough = parity_result(&f, "rough_grad");
    if (rough && !(parity_median(rough) <= ROUGH_TOLERANCE))
        fail_msg("half of the gradients differ from PyTorch by more than %g", parity_median(rough));
    assert_int_equal(parity_result(&f, "grad")->records + (rough ? rough->records : 0) + s.zeros,
                     s.tensor_count);
    tear_down(&s);
    parity_close(&f);
}

static void test_golden(void **state)
{
    compare_file(*state, false);
}

static void test_live(void **state)
{
    compare_file(*state, true);
}

#define GOLDEN(case_name)                                                                          \
    {                                                                                              \
        .name = case_name, .test_func = test_golden,                                               \
        .initial_state = (void *)(uintptr_t)(THAW_TESTS_DIR "/golden/" case_name ".txt")           \
    }

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        GOLDEN("mlp"),
        GOLDEN("resnet20"),
        GOLDEN("resnet20_lora"),
        GOLDEN("resnet18"),
        GOLDEN("resnet18_partial"),
        GOLDEN("resnet50"),
        GOLDEN("bert_tiny"),
        GOLDEN("bert_tiny_lora"),
        GOLDEN("efficientnet_lite0"),
        GOLDEN("tf_efficientnet_lite0"),
        GOLDEN("mobilenet_v2"),
        GOLDEN("vit_tiny"),
        GOLDEN("vit_tiny_mean"),
        GOLDEN("vit_tiny_lora"),
        GOLDEN("hf_vit_tiny"),
        GOLDEN("hf_vit_tiny_lora"),
        GOLDEN("vit_tiny_vpt"),
        GOLDEN("vit_tiny_vpt_deep"),
        GOLDEN("bert_tiny_dora"),
        GOLDEN("bert_tiny_ia3"),
        GOLDEN("bert_tiny_houlsby"),
        GOLDEN("bert_tiny_pfeiffer"),
        GOLDEN("bert_tiny_prefix"),
        GOLDEN("hf_vit_tiny_prefix"),
        GOLDEN("resnet20_dora"),
        GOLDEN("resnet20_ssf"),
        GOLDEN("resnet20_pfeiffer"),
    };
    if (count == 2) {
        const struct CMUnitTest live[] = {
            {.name = "live", .test_func = test_live, .initial_state = arguments[1]}};
        return cmocka_run_group_tests(live, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
