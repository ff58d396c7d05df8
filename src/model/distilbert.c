#include "model/text_impl.h"

/* Sanh et al. 2019, arXiv:1910.01108, with Hugging Face's names (DistilBertModel): BERT without token types. The pooler here is what
 * DistilBertForSequenceClassification calls pre_classifier: a linear layer and relu on the first token. */
#define ARCH(title, count, hidden, split, words)                                                   \
    {                                                                                              \
        .name = (title), .family = "distilbert", .doc = (words), .width = (hidden),                \
        .blocks = (count), .K = 2, .T = 128, .heads = (split), .most_tokens = MODEL_TEXT_TOKENS    \
    }
static const thaw_model_arch arches[] = {
    ARCH("distilbert-base", 6, 768, 12, "DistilBERT of 6 layers and 768 features"),
    ARCH("distilbert-tiny", 2, 128, 2, "DistilBERT of 2 layers and 128 features"),
};

static const model_text text = {
    .blocks = "transformer.layer",
    .query = "attention.q_lin",
    .key = "attention.k_lin",
    .value = "attention.v_lin",
    .out = "attention.out_lin",
    .attention_norm = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .norm = "output_layer_norm",
    .pooler = "pre_classifier",
    .pooler_relu = true,
    .epsilon = 1e-12f,
    .pad_id = 0,
};

static thaw_value build(thaw_model *model, thaw_value input)
{
    return model_text_build(model, input, &text, arches);
}

const model_family model_family_distilbert = {.name = "distilbert",
                                              .arches = arches,
                                              .count = sizeof arches / sizeof *arches,
                                              .one_width = true,
                                              .most_tokens = MODEL_TEXT_TOKENS,
                                              .vocabulary = 30522,
                                              .build = build};
