#include "thaw/store.h"

#include <string.h>

#include "store/backbone_impl.h"
#include "thaw/h5.h"

/* Before anything else, so that a dataset given as a backbone is called just that. */
static thaw_status check_format(const char *path)
{
    thaw_status status = THAW_OK;
    thaw_h5 *file = NULL;
    thaw_str format = {0};
    int64_t version = 0;
    THAW_TRY_TO(thaw_h5_open(path, &file));
    THAW_CHECK_TO(thaw_h5_has_attribute(file, "/", "format"), THAW_ERR_INPUT,
                  "%s is not a backbone file (an HDF5 file without the attribute \"format\")",
                  path);
    THAW_TRY_TO(thaw_h5_get_text(file, "/", "format", &format));
    THAW_CHECK_TO(strcmp(thaw_str_c(&format), THAW_BACKBONE_FORMAT) == 0, THAW_ERR_INPUT,
                  "%s is not a backbone file (its format is \"%s\")", path, thaw_str_c(&format));
    THAW_TRY_TO(thaw_h5_get_int(file, "/", "version", &version));
    THAW_CHECK_TO(version == THAW_BACKBONE_VERSION, THAW_ERR_INPUT,
                  "%s has version %lld of the backbone format; this program reads version %d", path,
                  (long long)version, THAW_BACKBONE_VERSION);
done:
    thaw_str_clear(&format);
    thaw_h5_close(&file);
    return status;
}

/* Moves the entries of a group, without the group in their names. */
static thaw_status take_group(thaw_state *all, const char *group, thaw_state *part)
{
    for (int64_t i = 0; i < all->count; i++) {
        thaw_entry *e = &all->entries[i];
        if (!thaw_starts_with(e->name, group))
            continue;
        const char *name = e->name + strlen(group);
        THAW_TRY(thaw_state_add(part, name, e->tensor.dtype, e->tensor.shape, e->tensor.data));
        part->entries[part->count - 1].owned = e->owned;
        e->owned = false;
    }
    return THAW_OK;
}

static thaw_status take_vector(thaw_state *all, const char *name, int64_t count, double **out)
{
    thaw_tensor *t = thaw_state_find(all, name);
    THAW_CHECK(t != NULL, THAW_ERR_INPUT, "'%s' is missing", name);
    THAW_CHECK(t->dtype == THAW_F64 && t->shape.ndim == 1 && t->shape.dim[0] == count,
               THAW_ERR_INPUT, "'%s' is not a vector of %lld float64", name, (long long)count);
    THAW_TRY(thaw_alloc(out, count, sizeof **out));
    if (count > 0)
        memcpy(*out, t->data, (size_t)count * sizeof **out);
    return THAW_OK;
}

/* Absent gives NULL. */
static thaw_status take_text(const thaw_state *attributes, const char *name, char **out)
{
    thaw_str text = {0};
    if (thaw_state_find(attributes, name) == NULL)
        return THAW_OK;
    thaw_status status = thaw_state_get_text(attributes, name, &text);
    if (status == THAW_OK)
        status = thaw_strdup(out, thaw_str_c(&text));
    thaw_str_clear(&text);
    return status;
}

static thaw_status take_lines(const thaw_state *attributes, const char *name, thaw_strings *out)
{
    thaw_status status = THAW_OK;
    char *text = NULL;
    THAW_TRY_TO(take_text(attributes, name, &text));
    if (text == NULL)
        goto done;
    int64_t lines = 1;
    for (const char *at = text; *at != 0; at++)
        lines += *at == '\n';
    THAW_TRY_TO(thaw_alloc(&out->items, lines, sizeof *out->items));
    char *line = text;
    while (out->count < lines) {
        size_t length = strcspn(line, "\n");
        line[length] = 0;
        THAW_TRY_TO(thaw_strdup(&out->items[out->count], line));
        out->count++;
        line += length + 1;
    }
done:
    thaw_free(&text);
    return status;
}

static thaw_status take_attributes(const thaw_state *attributes, thaw_backbone *b)
{
    char *hex = NULL;
    THAW_TRY(take_text(attributes, "arch", &b->arch));
    THAW_TRY(take_text(attributes, "origin", &b->origin));
    THAW_TRY(take_text(attributes, "license", &b->license));
    THAW_TRY(take_text(attributes, "tokenizer", &b->tokenizer));
    THAW_TRY(take_text(attributes, "vocabulary", &b->vocabulary));
    if (thaw_state_find(attributes, "tokens") != NULL)
        THAW_TRY(thaw_state_get_int(attributes, "tokens", &b->tokens));
    THAW_TRY(take_lines(attributes, "blocks", &b->blocks));
    THAW_TRY(take_lines(attributes, "classes", &b->classes));
    THAW_TRY(thaw_state_get_int(attributes, "channels", &b->C));
    THAW_TRY(thaw_state_get_int(attributes, "height", &b->H));
    THAW_TRY(thaw_state_get_int(attributes, "width", &b->W));
    THAW_TRY(thaw_state_get_int(attributes, "features", &b->D));
    THAW_TRY(thaw_state_get_int(attributes, "feature_samples", &b->feature_samples));
    THAW_TRY(take_text(attributes, "backbone_digest", &hex));
    bool good = hex != NULL && thaw_digest_parse(hex, &b->digest);
    thaw_free(&hex);
    THAW_CHECK(good, THAW_ERR_INPUT, "'backbone_digest' is missing or damaged");
    return THAW_OK;
}

/* Everything is loaded; spreads it over the members. */
static thaw_status spread(thaw_state *all, const thaw_state *attributes, thaw_backbone *b)
{
    THAW_TRY(take_attributes(attributes, b));
    if (b->tokens == 0) {
        THAW_TRY(take_vector(all, "input/mean", b->C, &b->mean));
        THAW_TRY(take_vector(all, "input/std", b->C, &b->std));
    }
    if (b->D > 0) {
        THAW_TRY(take_vector(all, "features/mean", b->D, &b->feature_mean));
        THAW_TRY(take_vector(all, "features/variance", b->D, &b->feature_variance));
    }
    THAW_TRY(take_group(all, "spec/", &b->spec));
    THAW_TRY(take_group(all, "head/", &b->head));
    return take_group(all, "backbone/", &b->tensors);
}

/* The parts that a listing shows, and of weights and head only what they are like. */
static thaw_status load_info(const char *path, thaw_state *all, thaw_state *attributes)
{
    static const char *const whole[] = {"spec/", "input/", "features/"};
    static const char *const shapes[] = {"head/", "backbone/"};
    for (size_t i = 0; i < 3; i++) {
        thaw_state part = {0};
        thaw_status status = thaw_h5_load(path, whole[i], &part, i == 0 ? attributes : NULL);
        for (int64_t k = 0; k < part.count && status == THAW_OK; k++) {
            thaw_entry *e = &part.entries[k];
            status = thaw_state_add(all, e->name, e->tensor.dtype, e->tensor.shape, e->tensor.data);
            if (status == THAW_OK) {
                all->entries[all->count - 1].owned = e->owned;
                e->owned = false;
            }
        }
        thaw_state_clear(&part);
        THAW_TRY(status);
    }
    for (size_t i = 0; i < 2; i++) {
        thaw_state part = {0};
        thaw_status status = thaw_h5_load_shapes(path, shapes[i], &part, NULL);
        for (int64_t k = 0; k < part.count && status == THAW_OK; k++)
            status = thaw_state_add(all, part.entries[k].name, part.entries[k].tensor.dtype,
                                    part.entries[k].tensor.shape, NULL);
        thaw_state_clear(&part);
        THAW_TRY(status);
    }
    return THAW_OK;
}

static thaw_status read_file(const char *path, bool info_only, thaw_backbone *b)
{
    thaw_status status = THAW_OK;
    thaw_state all = {0}, attributes = {0};
    thaw_digest found;
    *b = (thaw_backbone){0};
    THAW_TRY_TO(check_format(path));
    THAW_TRY_TO(info_only ? load_info(path, &all, &attributes)
                          : thaw_h5_load(path, NULL, &all, &attributes));
    status = spread(&all, &attributes, b);
    if (status != THAW_OK) {
        status =
            thaw_fail_context(status == THAW_ERR_RESOURCE ? status : THAW_ERR_INPUT, "%s", path);
        goto done;
    }
    THAW_TRY_TO(thaw_backbone_check(b, path, THAW_ERR_INPUT));
    if (!info_only) {
        THAW_TRY_TO(thaw_state_digest(&b->tensors, &found));
        THAW_CHECK_TO(thaw_digest_equal(found, b->digest), THAW_ERR_INPUT,
                      "%s: the weights are not those its description is about", path);
    }
done:
    thaw_state_clear(&attributes);
    thaw_state_clear(&all);
    if (status != THAW_OK)
        thaw_backbone_clear(b);
    return status;
}

thaw_status thaw_backbone_read(const char *path, thaw_backbone *b)
{
    return read_file(path, false, b);
}

thaw_status thaw_backbone_read_info(const char *path, thaw_backbone *b)
{
    return read_file(path, true, b);
}
