#include "thaw/store.h"

#include "cli/cli_impl.h"
#include "thaw/model.h"

static int64_t count_values(const thaw_state *state)
{
    int64_t count = 0;
    for (int64_t i = 0; i < state->count; i++)
        count += thaw_tensor_count(&state->entries[i].tensor);
    return count;
}

/* pool: NULL where the network has no choice. */
static void print_json(const char *path, const thaw_backbone *b, const char *pool)
{
    thaw_json *out = thaw_json_new_object();
    const int64_t input[] = {b->C, b->H, b->W};
    thaw_json_set_string(out, "file", path);
    thaw_json_set_string(out, "arch", b->arch);
    thaw_json_set_digest(out, "digest", b->digest);
    if (b->tokens > 0) {
        thaw_json_set_int(out, "tokens", b->tokens);
        thaw_json_set_string(out, "tokenizer", b->tokenizer);
        thaw_json_set_string(out, "vocabulary", b->vocabulary);
    } else {
        thaw_json_set_ints(out, "input", input, 3);
        thaw_json_set_doubles(out, "mean", b->mean, b->C);
        thaw_json_set_doubles(out, "std", b->std, b->C);
    }
    if (pool != NULL)
        thaw_json_set_string(out, "pool", pool);
    thaw_json_set_int(out, "tensors", b->tensors.count);
    thaw_json_set_int(out, "values", count_values(&b->tensors));
    thaw_json_set_strings(out, "blocks", (const char *const *)b->blocks.items, b->blocks.count);
    thaw_json_set_strings(out, "source_classes", (const char *const *)b->classes.items,
                          b->classes.count);
    thaw_json_set_int(out, "features", b->D);
    thaw_json_set_int(out, "feature_samples", b->feature_samples);
    thaw_json_set_string(out, "origin", b->origin);
    thaw_json_set_string(out, "licence", b->license);
    cli_print_json(out);
    thaw_json_free(&out);
}

static void print_names(const char *title, const thaw_strings *names)
{
    thaw_str line = {0};
    for (int64_t i = 0; i < names->count; i++)
        thaw_str_printf(&line, "%s%s", i == 0 ? "" : ", ", names->items[i]);
    if (names->count > 0)
        cli_print("%-16s%s", title, thaw_str_c(&line));
    thaw_str_clear(&line);
}

static void print_text(const thaw_backbone *b, const char *pool)
{
    cli_print("%-16stexts of up to %lld tokens, pool %s", "input", (long long)b->tokens, pool);
    cli_print("%-16s%s", "tokenizer", b->tokenizer == NULL ? "unknown" : b->tokenizer);
    cli_print("%-16s%s", "vocabulary", b->vocabulary == NULL ? "unknown" : b->vocabulary);
}

static void print_numbers(const char *title, const double *x, int64_t count)
{
    thaw_str line = {0};
    for (int64_t i = 0; i < count; i++)
        thaw_str_printf(&line, "%s%.6g", i == 0 ? "" : ", ", x[i]);
    cli_print("%-16s%s", title, thaw_str_c(&line));
    thaw_str_clear(&line);
}

static void print_pictures(const thaw_backbone *b, const char *pool)
{
    cli_print("%-16s%lld x %lld x %lld%s%s", "input", (long long)b->C, (long long)b->H,
              (long long)b->W, pool != NULL ? ", pool " : "", pool != NULL ? pool : "");
    print_numbers("mean", b->mean, b->C);
    print_numbers("std", b->std, b->C);
}

static void print(const char *path, const thaw_backbone *b, const char *pool)
{
    char hex[THAW_DIGEST_HEX];
    thaw_digest_hex(b->digest, hex);
    cli_print("%s: %s, digest %s", path, b->arch, hex);
    if (b->tokens > 0)
        print_text(b, pool);
    else
        print_pictures(b, pool);
    cli_print("%-16s%lld tensors, %lld values", "weights", (long long)b->tensors.count,
              (long long)count_values(&b->tensors));
    print_names("blocks", &b->blocks);
    print_names("source classes", &b->classes);
    if (b->D > 0)
        cli_print("%-16s%lld, with source statistics of %lld samples", "features", (long long)b->D,
                  (long long)b->feature_samples);
    cli_print("%-16s%s", "origin", b->origin == NULL ? "unknown" : b->origin);
    cli_print("%-16s%s", "licence", b->license == NULL ? "unknown" : b->license);
}

static thaw_status run(const cli_args *args)
{
    thaw_backbone b = {0};
    thaw_model_spec spec = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_backbone_read_info(args->words[0], &b));
    THAW_TRY_TO(thaw_model_spec_load(&b.spec, &spec));
    const bool has_pool = b.tokens > 0 || spec.pool != THAW_POOL_AUTO;
    const char *pool = has_pool ? thaw_pool_words[spec.pool] : NULL;
    if (args->json)
        print_json(args->words[0], &b, pool);
    else
        print(args->words[0], &b, pool);
    status = THAW_OK;
done:
    thaw_model_spec_clear(&spec);
    thaw_backbone_clear(&b);
    return status;
}

const cli_command cli_backbone_info = {
    .usage = "FILE",
    .doc = "shows what a backbone file holds",
    .least_words = 1,
    .most_words = 1,
    .run_local = run,
};
