/* Architectures: parameter counts, names, blocks, any input size, the stored description.
 * thaw-test: timeout=60 modules=kern */
#include "thaw/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

static thaw_model *make(const char *arch, int64_t C, int64_t H, int64_t W, int64_t K, int64_t width)
{
    thaw_model_spec spec = {.C = C, .H = H, .W = W, .K = K, .width = width};
    const thaw_model_arch *row = NULL;
    thaw_model *model = NULL;
    ok(thaw_model_arch_find(arch, &row));
    if (row->T > 0) {
        spec.C = spec.H = spec.W = 0;
        spec.T = W;
    }
    ok(thaw_strdup(&spec.arch, arch));
    ok(thaw_model_new(&spec, &model));
    thaw_model_spec_clear(&spec);
    return model;
}

static int64_t params_of(const char *arch)
{
    const thaw_model_arch *row = NULL;
    int64_t count = 0;
    ok(thaw_model_arch_find(arch, &row));
    ok(thaw_model_arch_params(row, &count));
    return count;
}

/* torchvision's documented counts; He et al. 2015, table 6, gives 0.27M, 0.46M, 0.66M and 0.85M for the CIFAR ones. */
static void test_parameter_counts(void **state)
{
    (void)state;
    assert_int_equal(params_of("resnet18"), 11689512);
    assert_int_equal(params_of("resnet34"), 21797672);
    assert_int_equal(params_of("resnet50"), 25557032);
    assert_int_equal(params_of("resnet101"), 44549160);
    assert_int_equal(params_of("resnet152"), 60192808);
    assert_int_equal(params_of("wide_resnet50_2"), 68883240);
    assert_int_equal(params_of("wide_resnet101_2"), 126886696);
    assert_int_equal(params_of("resnet20"), 269722);
    assert_int_equal(params_of("resnet32"), 464154);
    assert_int_equal(params_of("resnet44"), 658586);
    assert_int_equal(params_of("resnet56"), 853018);
    assert_int_equal(params_of("mobilenet_v2"), 3504872);
    assert_int_equal(params_of("efficientnet_lite0"), 4652008); /* timm */
    assert_int_equal(params_of("tf_efficientnet_lite0"), 4652008);
    assert_int_equal(params_of("efficientnet_lite1"), 5416680);
    assert_int_equal(params_of("efficientnet_lite2"), 6092072);
    assert_int_equal(params_of("bert-base"), 109482240 + 2 * 768 + 2); /* BertModel and a head */
    assert_int_equal(params_of("roberta-base"),
                     124645632 + 2 * 768 + 2);     /* RobertaModel and a head */
    assert_int_equal(params_of("distilbert-base"), /* DistilBertModel, pre_classifier and a head */
                     66362880 + 768 * 768 + 768 + 2 * 768 + 2);
    assert_int_equal(params_of("bert-tiny"), 4385920 + 2 * 128 + 2);
    assert_int_equal(params_of("minilm-l6"), 22713216 + 2 * 384 + 2);
    assert_int_equal(params_of("vit_tiny_patch16_224"), 5717416); /* timm */
    assert_int_equal(params_of("vit_small_patch16_224"), 22050664);
    assert_int_equal(params_of("vit_base_patch16_224"), 86567656);
    assert_int_equal(params_of("hf_vit_base_patch16_224"), 86567656);
    assert_int_equal(params_of("mlp"), 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
}

static long largest_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Of the 1.3 GB that it has: `thaw backbone list` counts all architectures. */
static void test_counting_parameters_allocates_none(void **state)
{
    (void)state;
    const long before = largest_kib();
    assert_int_equal(params_of("bert-large"), 335141888 + 2 * 1024 + 2);
    assert_in_range(largest_kib() - before, 0, 200 << 10);
}

static void test_every_arch_is_in_the_table(void **state)
{
    (void)state;
    assert_true(thaw_model_arch_count() >= 8);
    assert_null(thaw_model_arch_at(-1));
    assert_null(thaw_model_arch_at(thaw_model_arch_count()));
    for (int32_t i = 0; i < thaw_model_arch_count(); i++) {
        const thaw_model_arch *arch = thaw_model_arch_at(i);
        const thaw_model_arch *found = NULL;
        ok(thaw_model_arch_find(arch->name, &found));
        assert_ptr_equal(arch, found);
        assert_true(strlen(arch->doc) > 10);
        thaw_model *model = make(arch->name, 1, 32, 32, 5, 0);
        assert_int_equal(model->blocks, arch->blocks);
        assert_int_equal(thaw_graph_block_count(model->graph), arch->blocks + 1);
        thaw_model_free(&model);
    }
}

static void test_names_and_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t block;
    } expected[] = {
        {"conv1.weight", 0},
        {"bn1.running_var", 0},
        {"layer1.0.conv1.weight", 1},
        {"layer2.0.downsample.0.weight", 3},
        {"layer2.0.downsample.1.running_mean", 3},
        {"layer4.1.bn2.bias", 8},
        {"fc.weight", -1},
        {"fc.bias", -1},
    };
    thaw_model *model = make("resnet18", 3, 32, 32, 10, 8);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        int32_t index = thaw_graph_find_param(model->graph, expected[i].name);
        if (index < 0)
            fail_msg("no parameter %s", expected[i].name);
        assert_int_equal(thaw_graph_param(model->graph, index)->block, expected[i].block);
    }
    int32_t first = -7;
    assert_int_equal(thaw_model_find_blocks(model, "layer3", &first), 2);
    assert_int_equal(first, 5);
    assert_int_equal(thaw_model_find_blocks(model, "layer3.1", &first), 1);
    assert_int_equal(first, 6);
    assert_int_equal(thaw_model_find_blocks(model, "stem", &first), 1);
    assert_int_equal(first, 0);
    assert_int_equal(thaw_model_find_blocks(model, "head", &first), 1);
    assert_int_equal(first, -1);
    assert_int_equal(thaw_model_find_blocks(model, "layer", &first), 0);
    assert_int_equal(model->D, 64);
    thaw_model_free(&model);
}

static void check_block(const thaw_model *model, const char *name, int32_t block)
{
    int32_t index = thaw_graph_find_param(model->graph, name);
    if (index < 0)
        fail_msg("no parameter %s", name);
    assert_int_equal(thaw_graph_param(model->graph, index)->block, block);
}

static void test_names_of_other_families(void **state)
{
    (void)state;
    int32_t first = -7;
    thaw_model *bert = make("bert-tiny", 0, 0, 12, 3, 0);
    check_block(bert, "embeddings.word_embeddings.weight", 0);
    check_block(bert, "embeddings.LayerNorm.bias", 0);
    check_block(bert, "encoder.layer.0.attention.self.query.weight", 1);
    check_block(bert, "encoder.layer.1.attention.output.LayerNorm.weight", 2);
    check_block(bert, "encoder.layer.1.intermediate.dense.bias", 2);
    check_block(bert, "pooler.dense.weight", 2);
    assert_int_equal(thaw_model_find_blocks(bert, "encoder.layer", &first), 2);
    assert_int_equal(bert->D, 128);
    thaw_model_free(&bert);
    thaw_model *lite = make("efficientnet_lite0", 3, 64, 64, 3, 0);
    check_block(lite, "conv_stem.weight", 0);
    check_block(lite, "blocks.0.0.conv_dw.weight", 1);
    check_block(lite, "blocks.2.1.bn3.running_mean", 5);
    check_block(lite, "blocks.6.0.conv_pwl.weight", 16);
    check_block(lite, "conv_head.weight", 16);
    assert_int_equal(thaw_model_find_blocks(lite, "blocks.5", &first), 4);
    thaw_model_free(&lite);
    thaw_model *vit = make("vit_tiny_patch16_224", 3, 64, 64, 3, 0);
    check_block(vit, "cls_token", 0);
    check_block(vit, "pos_embed", 0);
    check_block(vit, "patch_embed.proj.weight", 0);
    check_block(vit, "blocks.0.attn.qkv.bias", 1);
    check_block(vit, "blocks.11.mlp.fc2.weight", 12);
    check_block(vit, "norm.weight", 12);
    assert_int_equal(thaw_model_find_blocks(vit, "blocks", &first), 12);
    assert_int_equal(vit->D, 192);
    thaw_model_free(&vit);
    thaw_model *hf = make("hf_vit_tiny_patch16_224", 3, 64, 64, 3, 0);
    check_block(hf, "embeddings.cls_token", 0);
    check_block(hf, "embeddings.position_embeddings", 0);
    check_block(hf, "embeddings.patch_embeddings.projection.bias", 0);
    check_block(hf, "encoder.layer.0.attention.attention.query.weight", 1);
    check_block(hf, "encoder.layer.4.layernorm_before.weight", 5);
    check_block(hf, "encoder.layer.11.attention.output.dense.weight", 12);
    check_block(hf, "layernorm.bias", 12);
    thaw_model_free(&hf);
    thaw_model *mobile = make("mobilenet_v2", 3, 64, 64, 3, 0);
    check_block(mobile, "features.1.conv.0.0.weight", 1);
    check_block(mobile, "features.1.conv.2.weight", 1);
    check_block(mobile, "features.17.conv.3.running_var", 17);
    check_block(mobile, "features.18.1.weight", 17);
    thaw_model_free(&mobile);
}

/* A forward pass on odd inputs: shapes settle and logits are finite. */
static void test_any_input_size(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        int64_t C, H, W, width;
    } inputs[] = {
        {"resnet20", 1, 28, 28, 0},
        {"resnet20", 5, 7, 3, 4},
        {"resnet18", 1, 28, 28, 8},
        {"resnet18", 2, 1, 1, 4},
        {"resnet50", 3, 31, 17, 2},
        {"mlp", 2, 3, 5, 0},
        {"mobilenet_v2", 2, 33, 31, 0},
        {"efficientnet_lite0", 1, 28, 28, 0},
        {"bert-tiny", 1, 1, 17, 0},
        {"vit_tiny_patch16_224", 2, 32, 16, 0},
        {"hf_vit_tiny_patch16_224", 1, 16, 48, 0},
    };
    thaw_kern *kern = NULL;
    ok(thaw_kern_open("auto", &kern));
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        thaw_model *model =
            make(inputs[i].arch, inputs[i].C, inputs[i].H, inputs[i].W, 4, inputs[i].width);
        thaw_plan_options options = {.batch = 2, .from = -1, .to = -1, .keep = -1};
        thaw_plan *plan = NULL;
        float *input = NULL;
        int64_t ids[] = {0, 1};
        int64_t count = 2 * inputs[i].C * inputs[i].H * inputs[i].W;
        thaw_model_initialize(model, 3);
        ok(thaw_plan_new(model->graph, kern, &options, &plan));
        ok(thaw_alloc(&input, count, sizeof *input));
        thaw_kern_fill(count, 0.5f, input);
        thaw_run run = {.B = 2, .input = input, .sample_ids = ids};
        thaw_plan_forward(plan, &run);
        const float *logits = thaw_plan_value(plan, thaw_graph_logits(model->graph));
        assert_true(thaw_kern_all_finite(8, logits) && thaw_kern_sum_squares(8, logits) > 0);
        /* A library's product may treat the last rows of a batch in another way: rounding. */
        for (int k = 0; k < 4; k++)
            if (fabsf(logits[k] - logits[4 + k]) > 1e-5f * (1 + fabsf(logits[k])))
                fail_msg("%s: the same sample has other logits: %g, %g", inputs[i].arch,
                         (double)logits[k], (double)logits[4 + k]);
        thaw_free(&input);
        thaw_plan_free(&plan);
        thaw_model_free(&model);
    }
    thaw_kern_close(&kern);
}

static void test_same_seed_same_weights(void **state)
{
    (void)state;
    thaw_digest digests[3];
    for (int i = 0; i < 3; i++) {
        thaw_model *model = make("resnet20", 3, 32, 32, 10, 4);
        thaw_state all = {0};
        thaw_model_initialize(model, i == 2 ? 8 : 7);
        ok(thaw_graph_state(model->graph, THAW_ALL, &all));
        ok(thaw_state_digest(&all, &digests[i]));
        thaw_state_clear(&all);
        thaw_model_free(&model);
    }
    assert_true(thaw_digest_equal(digests[0], digests[1]));
    assert_false(thaw_digest_equal(digests[0], digests[2]));
}

static void test_initialize_head_leaves_the_rest(void **state)
{
    (void)state;
    thaw_model *model = make("resnet20", 3, 32, 32, 10, 4);
    thaw_digest digests[2];
    float weight = 0;
    for (int i = 0; i < 2; i++) {
        thaw_state backbone = {0};
        if (i == 0)
            thaw_model_initialize(model, 1);
        else
            thaw_model_initialize_head(model, 2);
        ok(thaw_graph_state(model->graph, THAW_BACKBONE, &backbone));
        ok(thaw_state_digest(&backbone, &digests[i]));
        thaw_state_clear(&backbone);
        int32_t fc = thaw_graph_find_param(model->graph, "fc.weight");
        assert_true(thaw_graph_param(model->graph, fc)->data[0] != weight);
        weight = thaw_graph_param(model->graph, fc)->data[0];
    }
    assert_true(thaw_digest_equal(digests[0], digests[1]));
    thaw_model_free(&model);
}

/* ---- Descriptions ---- */

static void test_spec_survives_a_state(void **state)
{
    (void)state;
    const char *const archs[] = {"mlp", "resnet20", "bert-tiny"};
    for (int i = 0; i < 3; i++) {
        thaw_state stored = {0};
        thaw_model_spec loaded = {0};
        thaw_str why = {0};
        thaw_model *rebuilt = NULL;
        thaw_model *model = make(archs[i], 1, 6, 5, 3, 0);
        model->spec.head_dropout = 0.25;
        if (i == 1) {
            model->spec.head_hidden = 7;
            model->spec.head_activation = THAW_ACTIVATION_TANH;
        }
        ok(thaw_model_spec_save(&model->spec, &stored));
        ok(thaw_model_spec_load(&stored, &loaded));
        assert_true(thaw_model_spec_same_backbone(&model->spec, &loaded, &why));
        assert_int_equal(loaded.K, 3);
        assert_true(loaded.head_dropout == 0.25 && loaded.T == (i == 2 ? 5 : 0));
        assert_true(loaded.H == (i == 2 ? 0 : 6) && loaded.W == (i == 2 ? 0 : 5));
        ok(thaw_model_new(&loaded, &rebuilt));
        /* Two layers have two parameters more than one. */
        assert_int_equal(thaw_graph_param_count(rebuilt->graph),
                         thaw_graph_param_count(model->graph) + (i == 1 ? 2 : 0));
        assert_int_equal(loaded.head_activation,
                         i == 1 ? THAW_ACTIVATION_TANH : THAW_ACTIVATION_RELU);
        const int32_t first = thaw_graph_find_param(rebuilt->graph, "fc.0.weight");
        assert_int_equal(first >= 0, i == 1);
        if (i == 1)
            assert_int_equal(thaw_graph_param(rebuilt->graph, first)->shape.dim[0], 7);
        thaw_model_spec_clear(&loaded);
        thaw_state_clear(&stored);
        thaw_model_free(&model);
        thaw_model_free(&rebuilt);
        thaw_str_clear(&why);
    }
}

/* Whatever block is the first to train, one value of all tokens leads to it: what a frozen prefix keeps. */
static void test_a_vision_transformer_can_be_cut_at_every_block(void **state)
{
    (void)state;
    static const char *const archs[] = {"vit_tiny_patch16_224", "hf_vit_tiny_patch16_224"};
    for (int a = 0; a < 2; a++) {
        thaw_model *model = make(archs[a], 1, 32, 16, 3, 0);
        for (int32_t first = 1; first <= model->blocks; first++) {
            for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
                thaw_param *p = thaw_graph_param(model->graph, i);
                p->trainable = p->block < 0 || p->block >= first;
            }
            ok(thaw_graph_analyze(model->graph));
            thaw_shape cut =
                thaw_graph_value_shape(model->graph, thaw_graph_boundary(model->graph));
            assert_int_equal(cut.ndim, 2);
            assert_int_equal(cut.dim[0], 3);
            assert_int_equal(cut.dim[1], 192);
        }
        thaw_model_free(&model);
    }
}

static void test_patches_survive_a_state(void **state)
{
    (void)state;
    char arch[] = "vit_tiny_patch16_224";
    thaw_model_spec spec = {
        .arch = arch, .C = 1, .H = 8, .W = 12, .K = 3, .patch = 4, .pool = THAW_POOL_MEAN};
    thaw_model_spec loaded = {0};
    thaw_state stored = {0};
    thaw_str why = {0};
    thaw_model *model = NULL;
    ok(thaw_model_new(&spec, &model));
    ok(thaw_model_spec_save(&model->spec, &stored));
    ok(thaw_model_spec_load(&stored, &loaded));
    assert_true(loaded.patch == 4 && loaded.pool == THAW_POOL_MEAN);
    assert_true(thaw_model_spec_same_backbone(&model->spec, &loaded, &why));
    thaw_model_spec_format(&loaded, &why);
    assert_non_null(strstr(thaw_str_c(&why), "patch 4, mean of patches"));
    thaw_str_reset(&why);
    loaded.patch = 2;
    assert_false(thaw_model_spec_same_backbone(&model->spec, &loaded, &why));
    assert_non_null(strstr(thaw_str_c(&why), "patch size"));
    int32_t places = thaw_graph_find_param(model->graph, "pos_embed");
    assert_int_equal(thaw_graph_param(model->graph, places)->shape.dim[1], 1 + 2 * 3);
    thaw_model_spec_clear(&loaded);
    thaw_state_clear(&stored);
    thaw_model_free(&model);
    thaw_str_clear(&why);
}

static void test_what_differs_is_named(void **state)
{
    (void)state;
    thaw_str why = {0};
    thaw_model *a = make("resnet20", 1, 28, 28, 5, 0);
    thaw_model *b = make("resnet20", 1, 32, 32, 7, 16); /* the usual width, written out */
    thaw_model *c = make("resnet20", 3, 28, 28, 5, 0);
    thaw_model *d = make("mlp", 1, 28, 28, 5, 0);
    assert_true(thaw_model_spec_same_backbone(&a->spec, &b->spec, &why));
    assert_false(thaw_model_spec_same_backbone(&a->spec, &c->spec, &why));
    assert_non_null(strstr(thaw_str_c(&why), "channels"));
    thaw_str_reset(&why);
    assert_false(thaw_model_spec_same_backbone(&a->spec, &d->spec, &why));
    assert_non_null(strstr(thaw_str_c(&why), "mlp"));
    thaw_str_clear(&why);
    thaw_model_free(&a);
    thaw_model_free(&b);
    thaw_model_free(&c);
    thaw_model_free(&d);
}

/* What a text network is, beside its architecture: a table of tokens, types of tokens, what the features are. */
static void test_text_survives_a_state(void **state)
{
    (void)state;
    char arch[] = "bert-tiny";
    static const struct {
        int pool;
        int64_t params; /* fewer than with the pooler */
    } cases[] = {{THAW_POOL_AUTO, 0},
                 {THAW_POOL_POOLER, 0},
                 {THAW_POOL_MEAN, 128 * 129},
                 {THAW_POOL_CLASS, 128 * 129}};
    int64_t whole = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        thaw_model_spec spec = {.arch = arch,
                                .T = 8,
                                .segments = i % 2 == 1,
                                .K = 3,
                                .vocabulary = 50,
                                .pool = cases[i].pool};
        thaw_model_spec loaded = {0};
        thaw_state saved = {0};
        thaw_model *model = NULL;
        thaw_str why = {0};
        ok(thaw_model_new(&spec, &model));
        ok(thaw_model_spec_save(&model->spec, &saved));
        ok(thaw_model_spec_load(&saved, &loaded));
        assert_true(loaded.segments == spec.segments && loaded.vocabulary == 50 && loaded.T == 8);
        assert_int_equal(loaded.pool, i == 0 ? THAW_POOL_POOLER : cases[i].pool);
        const int64_t params = thaw_graph_count_params(model->graph, false);
        whole = i == 0 ? params : whole;
        assert_int_equal(params, whole - cases[i].params);
        spec.T = 16; /* tables do not depend on it */
        assert_true(thaw_model_spec_same_backbone(&spec, &loaded, &why));
        spec.vocabulary = 51;
        assert_false(thaw_model_spec_same_backbone(&spec, &loaded, &why));
        assert_string_equal(thaw_str_c(&why),
                            "the number of different tokens is 51 in one and 50 in the other");
        thaw_str_clear(&why);
        thaw_model_free(&model);
        thaw_state_clear(&saved);
        thaw_model_spec_clear(&loaded);
    }
}

static void refuse(thaw_model_spec spec, const char *word)
{
    thaw_model *model = NULL;
    int64_t live = thaw_alloc_live();
    assert_int_equal(thaw_model_new(&spec, &model), THAW_ERR_CONFIG);
    assert_null(model);
    assert_int_equal(thaw_alloc_live(), live);
    if (!strstr(thaw_error_last()->message, word))
        fail_msg("\"%s\" does not say %s", thaw_error_last()->message, word);
}

/* The table of places is as long as the description says, and then so may texts be. */
static void test_places_of_texts(void **state)
{
    static const struct {
        const char *arch;
        int64_t places, rows;
    } cases[] = {{"bert-tiny", 0, 512},    {"bert-tiny", 64, 64},    {"bert-tiny", 600, 600},
                 {"roberta-tiny", 0, 514}, {"roberta-tiny", 64, 66}, {"distilbert-tiny", 64, 64}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        thaw_model_spec spec = {.arch = (char *)cases[i].arch, .K = 3, .places = cases[i].places};
        thaw_model_spec loaded = {0};
        thaw_state saved = {0};
        thaw_model *model = NULL;
        thaw_str why = {0};
        spec.T = spec.places > 0 ? spec.places : 512;
        ok(thaw_model_new(&spec, &model));
        const int32_t table =
            thaw_graph_find_param(model->graph, "embeddings.position_embeddings.weight");
        assert_int_equal(thaw_graph_param(model->graph, table)->shape.dim[0], cases[i].rows);
        ok(thaw_model_spec_save(&model->spec, &saved));
        ok(thaw_model_spec_load(&saved, &loaded));
        assert_int_equal(loaded.places, spec.T);
        assert_true(thaw_model_spec_same_backbone(&spec, &loaded, &why));
        loaded.places++;
        assert_false(thaw_model_spec_same_backbone(&spec, &loaded, &why));
        assert_non_null(strstr(thaw_str_c(&why), "the number of places of a text is"));
        thaw_str_clear(&why);
        thaw_model_free(&model);
        thaw_state_clear(&saved);
        thaw_model_spec_clear(&loaded);
        spec.T++;
        refuse(spec, "number of tokens cannot be");
    }
}

static void test_bad_descriptions(void **state)
{
    (void)state;
    char resnet[] = "resnet20";
    char typo[] = "resnet81";
    char mlp[] = "mlp";
    int64_t hidden[] = {8, 0};
    thaw_ints sizes = {.items = hidden, .count = 2};
    refuse((thaw_model_spec){.arch = typo, .C = 1, .H = 8, .W = 8, .K = 2}, "did you mean");
    refuse((thaw_model_spec){.arch = NULL, .C = 1, .H = 8, .W = 8, .K = 2}, "arch");
    refuse((thaw_model_spec){.arch = resnet, .C = 0, .H = 8, .W = 8, .K = 2}, "channels");
    refuse((thaw_model_spec){.arch = resnet, .C = 1, .H = 8, .W = 8, .K = 0}, "classes");
    refuse((thaw_model_spec){.arch = resnet, .C = 1, .H = 8, .W = 8, .K = 2, .hidden = sizes},
           "hidden");
    refuse((thaw_model_spec){.arch = mlp, .C = 1, .H = 8, .W = 8, .K = 2, .hidden = sizes},
           "hidden");
    refuse((thaw_model_spec){.arch = mlp, .C = 1, .H = 8, .W = 8, .K = 2, .width = 4}, "width");
    refuse((thaw_model_spec){.arch = resnet, .C = 1, .H = 8, .W = 8, .K = 2, .head_dropout = 1},
           "head_dropout");
    char bert[] = "bert-tiny";
    refuse((thaw_model_spec){.arch = bert, .C = 1, .H = 8, .W = 8, .K = 2},
           "choose an architecture for images");
    refuse((thaw_model_spec){.arch = bert, .T = 513, .K = 2}, "512");
    refuse((thaw_model_spec){.arch = bert, .T = 8, .K = 2, .width = 64}, "one width");
    refuse((thaw_model_spec){.arch = resnet, .T = 8, .K = 2}, "reads images");
    refuse((thaw_model_spec){.arch = bert, .T = 8, .K = 2, .patch = 4}, "patch");
    refuse((thaw_model_spec){.arch = bert, .T = 8, .K = 2, .vocabulary = -1}, "vocabulary");
    char vit[] = "vit_tiny_patch16_224";
    refuse((thaw_model_spec){.arch = vit, .C = 1, .H = 28, .W = 28, .K = 2}, "model.patch");
    refuse((thaw_model_spec){.arch = vit, .C = 1, .H = 32, .W = 32, .K = 2, .patch = -1}, "patch");
    refuse((thaw_model_spec){.arch = vit, .C = 1, .H = 32, .W = 32, .K = 2, .width = 64}, "width");
    refuse((thaw_model_spec){.arch = resnet, .C = 1, .H = 8, .W = 8, .K = 2, .patch = 4}, "patch");
    refuse(
        (thaw_model_spec){.arch = resnet, .C = 1, .H = 8, .W = 8, .K = 2, .pool = THAW_POOL_MEAN},
        "pool");
    refuse(
        (thaw_model_spec){.arch = vit, .C = 1, .H = 32, .W = 32, .K = 2, .pool = THAW_POOL_POOLER},
        "reads images");
}

/* What each network makes smaller in all, by its strides. */
static void test_least_size(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        int64_t size, least;
    } rows[] = {{"resnet20", 32, 4},
                {"resnet18", 224, 32},
                {"mobilenet_v2", 224, 32},
                {"efficientnet_lite0", 224, 32},
                {"tf_efficientnet_lite0", 224, 32},
                {"mlp", 28, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        thaw_model *model = make(rows[i].arch, 3, rows[i].size, rows[i].size, 2, 0);
        assert_int_equal(thaw_model_least_size(model), rows[i].least);
        thaw_model_free(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counting_parameters_allocates_none),
        cmocka_unit_test(test_parameter_counts),
        cmocka_unit_test(test_every_arch_is_in_the_table),
        cmocka_unit_test(test_names_and_blocks),
        cmocka_unit_test(test_names_of_other_families),
        cmocka_unit_test(test_any_input_size),
        cmocka_unit_test(test_same_seed_same_weights),
        cmocka_unit_test(test_initialize_head_leaves_the_rest),
        cmocka_unit_test(test_spec_survives_a_state),
        cmocka_unit_test(test_a_vision_transformer_can_be_cut_at_every_block),
        cmocka_unit_test(test_patches_survive_a_state),
        cmocka_unit_test(test_text_survives_a_state),
        cmocka_unit_test(test_what_differs_is_named),
        cmocka_unit_test(test_least_size),
        cmocka_unit_test(test_places_of_texts),
        cmocka_unit_test(test_bad_descriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
