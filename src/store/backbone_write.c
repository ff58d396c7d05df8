#include "thaw/store.h"

#include <string.h>

#include "store/backbone_impl.h"
#include "thaw/h5.h"

/* Views, under names with the group in front. */
static thaw_status add_group(thaw_state *all, const char *group, const thaw_state *part)
{
    thaw_status status = THAW_OK;
    thaw_str name = {0};
    for (int64_t i = 0; i < part->count; i++) {
        const thaw_tensor *t = &part->entries[i].tensor;
        thaw_str_reset(&name);
        thaw_str_printf(&name, "%s/%s", group, part->entries[i].name);
        THAW_TRY_TO(thaw_state_add(all, thaw_str_c(&name), t->dtype, t->shape, t->data));
    }
done:
    thaw_str_clear(&name);
    return status;
}

static thaw_status gather(const thaw_backbone *b, thaw_state *all)
{
    THAW_TRY(add_group(all, "backbone", &b->tensors));
    THAW_TRY(add_group(all, "head", &b->head));
    THAW_TRY(add_group(all, "spec", &b->spec));
    if (b->tokens == 0) {
        THAW_TRY(thaw_state_add(all, "input/mean", THAW_F64, thaw_shape1(b->C), b->mean));
        THAW_TRY(thaw_state_add(all, "input/std", THAW_F64, thaw_shape1(b->C), b->std));
    }
    if (b->D == 0)
        return THAW_OK;
    thaw_shape D = thaw_shape1(b->D);
    THAW_TRY(thaw_state_add(all, "features/mean", THAW_F64, D, b->feature_mean));
    return thaw_state_add(all, "features/variance", THAW_F64, D, b->feature_variance);
}

/* One name a line: the one form that any reader of attributes can take apart. */
static thaw_status add_lines(thaw_state *attributes, const char *name, const thaw_strings *lines)
{
    thaw_status status = THAW_OK;
    thaw_str text = {0};
    for (int64_t i = 0; i < lines->count; i++) {
        THAW_CHECK_TO(strchr(lines->items[i], '\n') == NULL, THAW_ERR_FAIL,
                      "a name in '%s' has a line break: \"%s\"", name, lines->items[i]);
        thaw_str_printf(&text, i > 0 ? "\n%s" : "%s", lines->items[i]);
    }
    /* No lines and one empty line are the same text; only the first has no attribute. */
    if (lines->count > 0)
        THAW_TRY_TO(thaw_state_add_text(attributes, name, thaw_str_c(&text)));
done:
    thaw_str_clear(&text);
    return status;
}

static thaw_status describe(const thaw_backbone *b, thaw_state *attributes)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(b->digest, hex);
    THAW_TRY(thaw_state_add_text(attributes, "format", THAW_BACKBONE_FORMAT));
    THAW_TRY(thaw_state_add_int(attributes, "version", THAW_BACKBONE_VERSION));
    THAW_TRY(thaw_state_add_text(attributes, "arch", b->arch));
    THAW_TRY(thaw_state_add_int(attributes, "channels", b->C));
    THAW_TRY(thaw_state_add_int(attributes, "height", b->H));
    THAW_TRY(thaw_state_add_int(attributes, "width", b->W));
    if (b->tokens > 0)
        THAW_TRY(thaw_state_add_int(attributes, "tokens", b->tokens));
    if (b->tokenizer != NULL)
        THAW_TRY(thaw_state_add_text(attributes, "tokenizer", b->tokenizer));
    if (b->vocabulary != NULL)
        THAW_TRY(thaw_state_add_text(attributes, "vocabulary", b->vocabulary));
    THAW_TRY(thaw_state_add_int(attributes, "features", b->D));
    THAW_TRY(thaw_state_add_int(attributes, "feature_samples", b->feature_samples));
    THAW_TRY(thaw_state_add_text(attributes, "backbone_digest", hex));
    THAW_TRY(add_lines(attributes, "blocks", &b->blocks));
    THAW_TRY(add_lines(attributes, "classes", &b->classes));
    if (b->origin != NULL)
        THAW_TRY(thaw_state_add_text(attributes, "origin", b->origin));
    if (b->license != NULL)
        THAW_TRY(thaw_state_add_text(attributes, "license", b->license));
    return THAW_OK;
}

thaw_status thaw_backbone_write(const char *path, thaw_backbone *b)
{
    thaw_status status = THAW_OK;
    thaw_state all = {0}, attributes = {0};
    THAW_TRY_TO(thaw_backbone_check(b, path, THAW_ERR_FAIL));
    THAW_TRY_TO(thaw_state_digest(&b->tensors, &b->digest));
    THAW_TRY_TO(gather(b, &all));
    THAW_TRY_TO(describe(b, &attributes));
    thaw_h5_write what = {.state = &all, .attributes = &attributes};
    THAW_TRY_TO(thaw_h5_save(path, &what, NULL));
done:
    thaw_state_clear(&attributes);
    thaw_state_clear(&all);
    return status;
}
