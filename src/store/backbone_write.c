#include "thaw/store.h"

#include <string.h>

#include "store/backbone_impl.h"
#include "thaw/h5.h"

/* Views, under names with the group in front. given: without their data. */
static thaw_status add_group(thaw_state *all, const char *group, const thaw_state *part, bool given)
{
    thaw_status status = THAW_OK;
    thaw_str name = {0};
    for (int64_t i = 0; i < part->count; i++) {
        const thaw_tensor *t = &part->entries[i].tensor;
        thaw_str_reset(&name);
        thaw_str_printf(&name, "%s/%s", group, part->entries[i].name);
        THAW_TRY_TO(
            thaw_state_add(all, thaw_str_c(&name), t->dtype, t->shape, given ? NULL : t->data));
    }
done:
    thaw_str_clear(&name);
    return status;
}

static thaw_status gather(const thaw_backbone *b, thaw_state *all)
{
    THAW_TRY(add_group(all, "backbone", &b->tensors, b->values != NULL));
    THAW_TRY(add_group(all, "head", &b->head, b->values != NULL));
    THAW_TRY(add_group(all, "spec", &b->spec, false));
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

/* Values that are nowhere whole are seen once, on their way into the file; only then is the digest of the backbone known, which the attributes
 * tell. */
typedef struct passing {
    thaw_backbone *b;
    thaw_state attributes;
    thaw_hasher *hasher; /* of the backbone's tensors, which come in name order */
    /* Of the entry that is being given. */
    const thaw_tensor *tensor;
    thaw_take_rows *take;
    void *to;
} passing;

static thaw_status hash_and_take(void *to, int64_t rows, const void *values)
{
    passing *p = to;
    const thaw_tensor *t = p->tensor;
    const int64_t row = thaw_tensor_count(t) / thaw_shape_rows(&t->shape);
    thaw_hasher_add_values(p->hasher, t->dtype, rows * row, values);
    return p->take(p->to, rows, values);
}

static thaw_status give(void *context, const thaw_entry *entry, thaw_take_rows *take, void *to)
{
    static const char backbone[] = "backbone/", head[] = "head/";
    passing *p = context;
    const thaw_values *values = p->b->values;
    thaw_entry own = *entry;
    const bool some = thaw_tensor_count(&entry->tensor) > 0;
    if (thaw_starts_with(entry->name, backbone)) {
        own.name += sizeof backbone - 1;
        thaw_hasher_add_entry(p->hasher, own.name, own.tensor.dtype, &own.tensor.shape);
        p->tensor = &entry->tensor;
        p->take = take;
        p->to = to;
        return some ? values->give(values->context, &own, hash_and_take, p) : THAW_OK;
    }
    if (thaw_starts_with(entry->name, head))
        own.name += sizeof head - 1;
    return some ? values->give(values->context, &own, take, to) : THAW_OK;
}

static thaw_status describe_last(void *context, int64_t done, int64_t total)
{
    passing *p = context;
    if (done < total)
        return THAW_OK;
    if (p->b->values != NULL)
        p->b->digest = thaw_hasher_get(p->hasher);
    return describe(p->b, &p->attributes);
}

thaw_status thaw_backbone_write(const char *path, thaw_backbone *b)
{
    thaw_status status = THAW_OK;
    thaw_state all = {0};
    passing p = {.b = b};
    const thaw_values values = {give, &p};
    const thaw_h5_write what = {.state = &all,
                                .attributes = &p.attributes,
                                .values = b->values != NULL ? &values : NULL,
                                .each = describe_last,
                                .context = &p};
    THAW_TRY_TO(thaw_backbone_check(b, path, THAW_ERR_FAIL));
    if (b->values == NULL)
        THAW_TRY_TO(thaw_state_digest(&b->tensors, &b->digest));
    THAW_TRY_TO(thaw_hasher_new(&p.hasher));
    THAW_TRY_TO(gather(b, &all));
    THAW_TRY_TO(thaw_h5_save(path, &what, NULL));
done:
    thaw_hasher_free(&p.hasher);
    thaw_state_clear(&p.attributes);
    thaw_state_clear(&all);
    return status;
}
