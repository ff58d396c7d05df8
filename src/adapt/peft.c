#include "thaw/adapt.h"

#include "adapt/adapt_impl.h"

#include <string.h>

#define THAW_KIND(name, doc) #name,
static const char *const names[] = {
#include "adapt/kinds.def"
    NULL};
#undef THAW_KIND

#define THAW_KIND(name, doc) doc,
static const char *const docs[] = {
#include "adapt/kinds.def"
};
#undef THAW_KIND

#define THAW_KIND(name, doc) &adapt_kind_##name,
static const adapt_method *const methods[] = {
#include "adapt/kinds.def"
};
#undef THAW_KIND
#define METHODS (sizeof methods / sizeof *methods)

#define FIELD(member, ctype) THAW_FIELD(thaw_peft, member, ctype)
const thaw_field thaw_peft_fields[] = {
    {.name = "method",
     .type = THAW_FIELD_ENUM,
     .offset = FIELD(method, int),
     .preset = "lora",
     .choices = names,
     .doc = "What the peft rung trains beside the head."},
    {.name = "rank",
     .type = THAW_FIELD_INT,
     .offset = FIELD(rank, int64_t),
     .preset = "8",
     .least = 1,
     .most = 65536,
     .doc = "Rank of lora's update."},
    {.name = "alpha",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(alpha, double),
     .preset = "16",
     .least = 1e-6,
     .most = 1e6,
     .doc = "lora's update is scaled by alpha / rank."},
    {.name = "rslora",
     .type = THAW_FIELD_BOOL,
     .offset = FIELD(rslora, bool),
     .preset = "false",
     .doc = "Scale lora's update by alpha / sqrt(rank) instead."},
    {.name = "dora",
     .type = THAW_FIELD_BOOL,
     .offset = FIELD(dora, bool),
     .preset = "false",
     .doc = "Train the lengths of the weight rows beside lora's update (Liu et al. 2024)."},
    {.name = "lora_plus",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(lora_plus, double),
     .preset = "1",
     .least = 1,
     .most = 1e6,
     .doc = "lora's B and lengths learn at this many times the adapter rate (Hayou et al. 2024)."},
    {.name = "dropout",
     .type = THAW_FIELD_DOUBLE,
     .offset = FIELD(dropout, double),
     .preset = "0",
     .least = 0,
     .most = 0.99,
     .doc = "Probability of dropout on the input of lora's update."},
    {.name = "targets",
     .type = THAW_FIELD_STRINGS,
     .offset = FIELD(targets, thaw_strings),
     .preset = "",
     .doc = "Where the method goes: conv, linear, embedding, norm, or patterns of module names; "
            "none: the method's own choice, of lora query and value of vision transformers, "
            "DistilBERT "
            "and RoBERTa, and every linear layer and plain convolution of other networks, BERT's "
            "pooler among them."},
    {.name = "bottleneck",
     .type = THAW_FIELD_INT,
     .offset = FIELD(bottleneck, int64_t),
     .preset = "0",
     .least = 0,
     .most = 65536,
     .doc = "Features inside houlsby's and pfeiffer's bottlenecks; 0: a sixteenth, at least 4."},
    {.name = "virtual_tokens",
     .type = THAW_FIELD_INT,
     .offset = FIELD(virtual_tokens, int64_t),
     .preset = "20",
     .least = 1,
     .most = 16384,
     .doc =
         "How many learned vectors prompt puts in front of a text's words, prefix in front of each "
         "layer's keys and values, and vpt behind the class token."},
    {.name = "deep",
     .type = THAW_FIELD_BOOL,
     .offset = FIELD(deep, bool),
     .preset = "false",
     .doc = "vpt with vectors of its own in each layer, in the place of the last layer's."},
    {.name = "feedforward",
     .type = THAW_FIELD_STRINGS,
     .offset = FIELD(feedforward, thaw_strings),
     .preset = "",
     .doc = "Targets of ia3 whose input gets the factors, not the output; none: *.output.dense "
            "and *.mlp.fc2."},
    {.name = NULL}};
#undef FIELD

void thaw_peft_defaults(thaw_peft *out)
{
    *out = (thaw_peft){.rank = 8, .alpha = 16, .lora_plus = 1, .virtual_tokens = 20};
}

const char *const *thaw_peft_names(void)
{
    return names;
}

const char *thaw_peft_doc(int method)
{
    return docs[method];
}

const adapt_method *adapt_method_at(int method)
{
    THAW_ASSERT(method >= 0 && (size_t)method < METHODS);
    return methods[method];
}

const adapt_method *adapt_method_of(const thaw_model *model)
{
    for (size_t i = 0; model->adapter && i < METHODS; i++) {
        if (strcmp(names[i], model->adapter) == 0)
            return methods[i];
    }
    return NULL;
}
