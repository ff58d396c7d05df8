#include "model/text_impl.h"

/* Liu et al. 2019, arXiv:1907.11692, with Hugging Face's names (RobertaModel); distilroberta-base as Sanh et al. 2019, arXiv:1910.01108, made it.
 * As BERT, but padding is token 1, places are counted from behind it, all tokens are of one type. What RobertaForSequenceClassification
 * calls classifier.dense is the pooler here: both are a linear layer and tanh on the first token. */
#define ARCH(title, count, hidden, split, words)                                                   \
    {                                                                                              \
        .name = (title), .family = "roberta", .doc = (words), .width = (hidden),                   \
        .blocks = (count), .K = 2, .T = 128, .heads = (split), .pad_id = 1,                        \
        .most_tokens = MODEL_TEXT_TOKENS                                                           \
    }
static const thaw_model_arch arches[] = {
    ARCH("roberta-base", 12, 768, 12, "RoBERTa of 12 layers and 768 features"),
    ARCH("roberta-large", 24, 1024, 16, "RoBERTa of 24 layers and 1024 features"),
    ARCH("distilroberta-base", 6, 768, 12, "RoBERTa of 6 layers and 768 features"),
    ARCH("roberta-tiny", 2, 128, 2, "RoBERTa of 2 layers and 128 features"),
};

static const model_text text = {
    .blocks = "encoder.layer",
    .query = "attention.self.query",
    .key = "attention.self.key",
    .value = "attention.self.value",
    .out = "attention.output.dense",
    .attention_norm = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .norm = "output.LayerNorm",
    .pooler = "pooler.dense",
    .epsilon = 1e-5f,
    .pad_id = 1,
    .types = 1,
    .counted = true,
};

static thaw_value build(thaw_model *model, thaw_value input)
{
    return model_text_build(model, input, &text, arches);
}

const model_family model_family_roberta = {.name = "roberta",
                                           .arches = arches,
                                           .count = sizeof arches / sizeof *arches,
                                           .one_width = true,
                                           .most_tokens = MODEL_TEXT_TOKENS,
                                           .vocabulary = 50265,
                                           .build = build};
