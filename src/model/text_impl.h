/* text_impl.h - what the networks of BERT's kind share: embeddings, blocks with norms after the sums, three kinds of features. A family is the
 * names that its origin gives to the parts, and a few numbers. */
#ifndef MODEL_TEXT_IMPL_H
#define MODEL_TEXT_IMPL_H

#include "model/model_impl.h"

#define MODEL_TEXT_TOKENS 512 /* of a text at most, unless spec.places says another */

typedef struct model_text {
    const char *blocks; /* a block is called <blocks>.<number>; in it: */
    const char *query, *key, *value, *out, *attention_norm;
    const char *up, *down, *norm;
    const char *pooler; /* the layer that pool pooler puts on the first token, with tanh, or */
    bool pooler_relu;   /* relu behind it */
    float epsilon;
    int64_t pad_id;
    int64_t types; /* rows of the table of token types; 0: there is no such table */
    bool
        counted; /* the k-th token that is no padding has place pad_id + k; else token t has place t */
} model_text;

/* model_family.build with these. `arches` and `count`: the family's. */
thaw_value model_text_build(thaw_model *model, thaw_value input, const model_text *text,
                            const thaw_model_arch *arches);

#endif
