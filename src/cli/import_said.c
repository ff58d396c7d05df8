#include "cli/import_impl.h"

#include <math.h>
#include <string.h>

/* What transformers and timm write beside weights about the pictures that these were trained on. */

static const char preprocessor[] = "preprocessor_config.json";
static const char config[] = "config.json";

/* As many finite numbers as there are, from `least` on. */
static thaw_status read_numbers(const thaw_json *json, const char *key, double least,
                                import_numbers *out)
{
    const thaw_json *list = NULL;
    THAW_TRY(thaw_json_get_array(json, key, &list));
    const int64_t count = thaw_json_count(list);
    THAW_CHECK(count > 0 && count <= IMPORT_CHANNELS, THAW_ERR_INPUT,
               "%s has %lld numbers; one a channel is wanted, 1 to %d", key, (long long)count,
               IMPORT_CHANNELS);
    for (int64_t c = 0; c < count; c++) {
        THAW_TRY(thaw_json_get_double(thaw_json_at(list, c), "", &out->value[c]));
        THAW_CHECK(isfinite(out->value[c]) && out->value[c] >= least, THAW_ERR_INPUT,
                   "%s has %g; a finite number%s is wanted", key, out->value[c],
                   least > 0 ? " above 0" : "");
    }
    out->count = count;
    return THAW_OK;
}

static thaw_status read_norm(const thaw_json *json, const char *mean, const char *std,
                             import_norm *out)
{
    THAW_TRY(read_numbers(json, mean, -INFINITY, &out->mean));
    THAW_TRY(read_numbers(json, std, 1e-9, &out->std));
    THAW_CHECK(out->mean.count == out->std.count, THAW_ERR_INPUT,
               "%s has %lld numbers and %s %lld; one a channel is wanted", mean,
               (long long)out->mean.count, std, (long long)out->std.count);
    return THAW_OK;
}

/* Bytes become 0..1 first, here as there. */
static thaw_status check_scale(const thaw_json *json, const char *weights)
{
    bool rescale = true;
    const double factor = thaw_json_double_or(json, "rescale_factor", 1.0 / 255);
    THAW_TRY(cli_bool_beside(json, preprocessor, weights, "do_rescale", &rescale));
    THAW_CHECK(rescale && fabs(factor * 255 - 1) < 1e-6, THAW_ERR_INPUT,
               "%s beside %s %s %g before it normalises; only 1/255 is built: say --mean and --std "
               "of inputs in 0..1",
               preprocessor, weights,
               rescale ? "multiplies bytes by" : "does not rescale bytes, which is a factor of",
               rescale ? factor : 1.0);
    return THAW_OK;
}

/* A side in pixels: "size": 224, or "size": {"height": 224, "width": 224}; 0 where it is another thing. */
static int64_t side_of(const thaw_json *json, const char *key)
{
    const thaw_json *value = thaw_json_find(json, key);
    const int64_t height = thaw_json_int_or(value, "height", 0);
    if (thaw_json_type_of(value) != THAW_JSON_OBJECT)
        return thaw_json_int_or(json, key, 0);
    return height == thaw_json_int_or(value, "width", 0) ? height : 0;
}

/* Options of thaw data import: the shorter side, or (squash) both, become `resized`, and the middle `cut` of it is kept; 0: all of it. */
static void tell_pictures(int64_t resized, bool squash, int64_t cut, const char *filter,
                          import_said *out)
{
    if (resized < 1 || cut > resized || filter == NULL || (cut == 0 && !squash))
        return;
    const bool fits =
        cut == 0 ? thaw_format(out->pictures, sizeof out->pictures,
                               "--size %lld --fit squash --filter %s", (long long)resized, filter)
                 : thaw_format(out->pictures, sizeof out->pictures,
                               "--size %lld --shorter %lld --filter %s", (long long)cut,
                               (long long)resized, filter);
    THAW_ASSERT(fits);
    out->square = squash && cut > 0;
}

/* Filters have Pillow's numbers. The shortest side, or one number for both. */
static void read_pictures(const thaw_json *json, import_said *out)
{
    const int64_t resample = thaw_json_int_or(json, "resample", 0);
    const char *filter = resample == 2 ? "bilinear" : resample == 3 ? "bicubic" : NULL;
    const int64_t shorter = thaw_json_int_or(json, "size.shortest_edge", 0);
    const bool cuts = thaw_json_bool_or(json, "do_center_crop", false);
    const int64_t cut = cuts ? side_of(json, "crop_size") : 0;
    if (!thaw_json_bool_or(json, "do_resize", true) || (cuts && cut < 1))
        return;
    tell_pictures(shorter > 0 ? shorter : side_of(json, "size"), shorter == 0, cut, filter, out);
}

static thaw_status read_preprocessor(const char *weights, const thaw_json *json, int64_t C,
                                     import_said *out)
{
    bool normalise = true;
    THAW_TRY(cli_bool_beside(json, preprocessor, weights, "do_normalize", &normalise));
    if (normalise && thaw_json_type_of(thaw_json_find(json, "image_mean")) == THAW_JSON_NULL)
        return THAW_OK;
    THAW_TRY(check_scale(json, weights));
    out->norm.mean.count = out->norm.std.count = C;
    for (int64_t c = 0; c < C; c++)
        out->norm.std.value[c] = 1;
    if (normalise) {
        const thaw_status status = read_norm(json, "image_mean", "image_std", &out->norm);
        if (status != THAW_OK)
            return thaw_fail_context(status, "%s beside %s", preprocessor, weights);
    }
    out->source = "preprocessor_config.json beside the weights";
    read_pictures(json, out);
    return THAW_OK;
}

/* timm cuts the middle of a picture whose shorter side is input / crop_pct. */
static thaw_status read_timm(const char *weights, const thaw_json *json, import_said *out)
{
    const thaw_json *said = thaw_json_find(json, "pretrained_cfg");
    const int64_t side = thaw_json_int_or(said, "input_size.1", 0);
    const double share = thaw_json_double_or(said, "crop_pct", 0);
    const char *filter = thaw_json_string_or(said, "interpolation", "");
    const bool built = strcmp(filter, "bilinear") == 0 || strcmp(filter, "bicubic") == 0;
    if (thaw_json_type_of(thaw_json_find(said, "mean")) == THAW_JSON_NULL)
        return THAW_OK;
    const thaw_status status = read_norm(said, "mean", "std", &out->norm);
    if (status != THAW_OK)
        return thaw_fail_context(status, "pretrained_cfg of %s beside %s", config, weights);
    out->source = "config.json beside the weights";
    if (share > 0.1 && share <= 1 && side > 0 && side <= 65536 &&
        side == thaw_json_int_or(said, "input_size.2", 0) &&
        strcmp(thaw_json_string_or(said, "crop_mode", "center"), "center") == 0)
        tell_pictures((int64_t)((double)side / share), false, side, built ? filter : NULL, out);
    return THAW_OK;
}

thaw_status import_read_said(const char *weights, int64_t C, import_said *out)
{
    thaw_json *json = NULL;
    thaw_status status;
    *out = (import_said){0};
    THAW_TRY_TO(cli_read_beside(weights, preprocessor, &json));
    if (json != NULL)
        THAW_TRY_TO(read_preprocessor(weights, json, C, out));
    thaw_json_free(&json);
    if (out->source == NULL)
        THAW_TRY_TO(cli_read_beside(weights, config, &json));
    if (json != NULL)
        THAW_TRY_TO(read_timm(weights, json, out));
    status = THAW_OK;
done:
    thaw_json_free(&json);
    return status;
}
