#include "model/text_impl.h"

/* Devlin et al. 2019, arXiv:1810.04805, with Hugging Face's names (BertModel); MiniLM: Wang et al. 2020, arXiv:2002.10957;
 * the smaller ones: Turc et al. 2019, arXiv:1908.08962. Norms stand after the sums. Padding is token 0, dropout is none. Features:
 * the pooler on the first token ([CLS]), that token, or the mean of all that are no padding (Reimers and Gurevych 2019,
 * arXiv:1908.10084); they belong to the last block. */
#define ARCH(title, count, hidden, split, words)                                                   \
    {                                                                                              \
        .name = (title), .family = "bert", .doc = (words), .width = (hidden), .blocks = (count),   \
        .K = 2, .T = 128, .heads = (split), .most_tokens = MODEL_TEXT_TOKENS                       \
    }
static const thaw_model_arch arches[] = {
    ARCH("minilm-l6", 6, 384, 12, "BERT of 6 layers and 384 features, as MiniLM's"),
    ARCH("bert-tiny", 2, 128, 2, "BERT of 2 layers and 128 features"),
    ARCH("bert-base", 12, 768, 12, "BERT of 12 layers and 768 features"),
    ARCH("minilm-l12", 12, 384, 12, "BERT of 12 layers and 384 features, as MiniLM's"),
    ARCH("bert-mini", 4, 256, 4, "BERT of 4 layers and 256 features"),
    ARCH("bert-small", 4, 512, 8, "BERT of 4 layers and 512 features"),
    ARCH("bert-medium", 8, 512, 8, "BERT of 8 layers and 512 features"),
    ARCH("bert-large", 24, 1024, 16, "BERT of 24 layers and 1024 features"),
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
    .epsilon = 1e-12f,
    .pad_id = 0,
    .types = 2,
};

static thaw_value build(thaw_model *model, thaw_value input)
{
    return model_text_build(model, input, &text, arches);
}

const model_family model_family_bert = {.name = "bert",
                                        .arches = arches,
                                        .count = sizeof arches / sizeof *arches,
                                        .one_width = true,
                                        .most_tokens = MODEL_TEXT_TOKENS,
                                        .vocabulary = 30522,
                                        .build = build};
