#include "model/model_impl.h"

#include <stdio.h>
#include <string.h>

/* efficientnet_lite_pytorch counts all blocks through, and calls their parts otherwise than timm, whose names are ours. */

static const struct {
    const char *theirs, *ours, *first; /* first: in the block without expansion; NULL: not there */
} parts[] = {
    {"_expand_conv.", "conv_pw.", NULL},          {"_bn0.", "bn1.", NULL},
    {"_depthwise_conv.", "conv_dw.", "conv_dw."}, {"_bn1.", "bn2.", "bn1."},
    {"_project_conv.", "conv_pwl.", "conv_pw."},  {"_bn2.", "bn3.", "bn2."},
};
static const struct {
    const char *theirs, *ours;
} outside[] = {{"_conv_stem.", "conv_stem."},
               {"_bn0.", "bn1."},
               {"_conv_head.", "conv_head."},
               {"_bn1.", "bn2."},
               {"_fc.", "fc."}};

/* It takes (x - 127) / 128 of bytes. */
const thaw_input_norm thaw_model_lite_norm = {"efficientnet_lite_pytorch",
                                              {127.0 / 255, 127.0 / 255, 127.0 / 255},
                                              {128.0 / 255, 128.0 / 255, 128.0 / 255}};

static bool name_block(int blocks, int number, const char *rest, char *out, size_t bytes)
{
    int at = number;
    const int stage = model_lite_stage(blocks, &at);
    if (stage < 0)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *ours = number == 0 ? parts[i].first : parts[i].ours;
        if (ours != NULL && thaw_starts_with(rest, parts[i].theirs))
            return thaw_format(out, bytes, "blocks.%d.%d.%s%s", stage, at, ours,
                               rest + strlen(parts[i].theirs));
    }
    return false;
}

/* "_blocks.3.rest": 3, and where rest begins. */
static int block_number(const char *theirs, const char **rest)
{
    int number = 0;
    int length = 0;
    if (sscanf(theirs, "_blocks.%3d.%n", &number, &length) != 1 || length == 0 || number < 0)
        return -1;
    *rest = theirs + length;
    return number;
}

int thaw_model_lite_block(const char *theirs)
{
    const char *rest;
    return block_number(theirs, &rest);
}

bool thaw_model_name_from_lite(const char *theirs, int blocks, char *out, size_t bytes)
{
    const char *rest;
    const int number = block_number(theirs, &rest);
    if (number >= 0)
        return name_block(blocks, number, rest, out, bytes);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (thaw_starts_with(theirs, outside[i].theirs))
            return thaw_format(out, bytes, "%s%s", outside[i].ours,
                               theirs + strlen(outside[i].theirs));
    return false;
}

/* transformers since 5, in memory. */
static const struct {
    const char *theirs, *ours;
} vit_parts[] = {{"attention.q_proj.", "attention.attention.query."},
                 {"attention.k_proj.", "attention.attention.key."},
                 {"attention.v_proj.", "attention.attention.value."},
                 {"attention.o_proj.", "attention.output.dense."},
                 {"mlp.fc1.", "intermediate.dense."},
                 {"mlp.fc2.", "output.dense."},
                 {"layernorm_", "layernorm_"}};

/* "FROM<number>.REST" to "TO<number>.rest", by a table's columns. */
static bool rename_layer(const char *name, bool to_memory, char *out, size_t bytes)
{
    static const char memory[] = "layers.";
    static const char file[] = "encoder.layer.";
    const char *from = to_memory ? file : memory;
    if (!thaw_starts_with(name, from))
        return false;
    const char *number = name + strlen(from);
    const size_t digits = strspn(number, "0123456789");
    if (digits == 0 || number[digits] != '.')
        return false;
    const char *rest = number + digits + 1;
    for (size_t i = 0; i < sizeof vit_parts / sizeof *vit_parts; i++) {
        const char *before = to_memory ? vit_parts[i].ours : vit_parts[i].theirs;
        const char *after = to_memory ? vit_parts[i].theirs : vit_parts[i].ours;
        if (thaw_starts_with(rest, before))
            return thaw_format(out, bytes, "%s%.*s.%s%s", to_memory ? memory : file, (int)digits,
                               number, after, rest + strlen(before));
    }
    return false;
}

bool thaw_model_name_from_vit(const char *theirs, char *out, size_t bytes)
{
    return rename_layer(theirs, false, out, bytes);
}

bool thaw_model_name_to_vit(const char *ours, char *out, size_t bytes)
{
    return rename_layer(ours, true, out, bytes);
}
