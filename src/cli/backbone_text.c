#include "cli/backbone_text_impl.h"

#include <math.h>
#include <string.h>

bool cli_text_name(const char *theirs, char *out, size_t bytes)
{
    /* Weights from TensorFlow's days call a norm's parts so. */
    static const char *const old[][2] = {{"LayerNorm.gamma", "LayerNorm.weight"},
                                         {"LayerNorm.beta", "LayerNorm.bias"}};
    thaw_str name = {0};
    thaw_str_add(&name, theirs + (thaw_starts_with(theirs, "bert.") ? strlen("bert.") : 0));
    for (int i = 0; i < 2; i++) {
        if (!thaw_ends_with(thaw_str_c(&name), old[i][0]))
            continue;
        thaw_str front = {0};
        thaw_str_add_bytes(&front, name.data, name.length - strlen(old[i][0]));
        thaw_str_add(&front, old[i][1]);
        thaw_str_clear(&name);
        name = front;
    }
    const bool fits = thaw_copy(out, bytes, thaw_str_c(&name));
    thaw_str_clear(&name);
    return fits;
}

/* The path of a file beside the weights; false when there is none. */
static bool beside(const char *weights, const char *name, thaw_str *path)
{
    const char *slash = strrchr(weights, '/');
    thaw_str_reset(path);
    if (slash != NULL)
        thaw_str_add_bytes(path, weights, (size_t)(slash - weights) + 1);
    thaw_str_add(path, name);
    return thaw_path_exists(thaw_str_c(path));
}

/* NULL when there is no such file. */
static thaw_status read_beside(const char *weights, const char *name, thaw_json **out)
{
    thaw_str path = {0};
    const thaw_status status =
        beside(weights, name, &path) ? thaw_json_read(thaw_str_c(&path), out) : THAW_OK;
    thaw_str_clear(&path);
    return status;
}

static thaw_status read_vocabulary(const cli_args *args, const char *weights, cli_text *text)
{
    const char *given = cli_value(args, "vocab");
    thaw_str path = {0};
    thaw_digest digest;
    thaw_status status = THAW_OK;
    if (given != NULL)
        thaw_str_add(&path, given);
    else if (!beside(weights, "vocab.txt", &path))
        goto done;
    THAW_TRY_TO(thaw_vocabulary_read(thaw_str_c(&path), &text->pieces, &digest));
    THAW_CHECK_TO(text->pieces <= text->rows, THAW_ERR_INPUT,
                  "%s has %lld pieces, but the table of tokens in %s has %lld rows; they do not "
                  "belong together",
                  thaw_str_c(&path), (long long)text->pieces, weights, (long long)text->rows);
    thaw_digest_hex(digest, text->vocabulary);
done:
    thaw_str_clear(&path);
    return status;
}

static thaw_status read_case(const cli_args *args, const char *weights, cli_text *text)
{
    thaw_json *json = NULL;
    bool lower = true;
    text->cased = cli_flag(args, "cased");
    if (text->cased)
        return THAW_OK;
    THAW_TRY(read_beside(weights, "tokenizer_config.json", &json));
    if (json != NULL && thaw_json_get_bool(json, "do_lower_case", &lower) != THAW_OK)
        thaw_error_clear(); /* not every tokenizer's settings name it */
    text->cased = !lower;
    thaw_json_free(&json);
    return THAW_OK;
}

/* As sentence-transformers keeps it; its other ways of pooling are not built here. */
static thaw_status pooling_of(const thaw_json *json, const char *weights, int *out)
{
    bool mean = false;
    bool cls = false;
    if (thaw_json_get_bool(json, "pooling_mode_mean_tokens", &mean) != THAW_OK ||
        thaw_json_get_bool(json, "pooling_mode_cls_token", &cls) != THAW_OK)
        thaw_error_clear();
    THAW_CHECK(
        mean != cls, THAW_ERR_INPUT,
        "1_Pooling/config.json beside %s asks for features that are neither the mean nor the "
        "first token; say --pool class, mean or pooler",
        weights);
    *out = mean ? THAW_POOL_MEAN : THAW_POOL_CLASS;
    return THAW_OK;
}

static thaw_status read_pooling(const cli_args *args, const char *weights, cli_text *text)
{
    const char *given = cli_value(args, "pool");
    thaw_json *json = NULL;
    thaw_status status = THAW_OK;
    text->pool = text->has_pooler ? THAW_POOL_POOLER : THAW_POOL_CLASS;
    THAW_CHECK(given == NULL ||
                   (thaw_pool_parse(given, &text->pool) && text->pool != THAW_POOL_AUTO),
               THAW_ERR_USAGE, "--pool %s: class, mean or pooler is wanted", given);
    THAW_CHECK(text->pool != THAW_POOL_POOLER || text->has_pooler, THAW_ERR_USAGE,
               "--pool pooler: %s has no pooler; take class or mean", weights);
    if (given != NULL)
        return THAW_OK;
    THAW_TRY(read_beside(weights, "1_Pooling/config.json", &json));
    if (json != NULL)
        status = pooling_of(json, weights, &text->pool);
    thaw_json_free(&json);
    return status;
}

static thaw_status check_word(const thaw_json *json, const char *weights, const char *key,
                              const char *wanted)
{
    const char *word = NULL;
    if (thaw_json_get_string(json, key, &word) != THAW_OK) {
        thaw_error_clear(); /* then it is BERT's own */
        return THAW_OK;
    }
    THAW_CHECK(strcmp(word, wanted) == 0, THAW_ERR_INPUT,
               "config.json beside %s has %s \"%s\"; only \"%s\" is built", weights, key, word,
               wanted);
    return THAW_OK;
}

static thaw_status read_config(const char *weights, cli_text *text)
{
    thaw_json *json = NULL;
    double epsilon = 1e-12;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(read_beside(weights, "config.json", &json));
    if (json == NULL)
        goto done;
    THAW_TRY_TO(check_word(json, weights, "model_type", "bert"));
    THAW_TRY_TO(check_word(json, weights, "hidden_act", "gelu"));
    THAW_TRY_TO(check_word(json, weights, "position_embedding_type", "absolute"));
    if (thaw_json_get_double(json, "layer_norm_eps", &epsilon) != THAW_OK)
        thaw_error_clear();
    if (thaw_json_get_int(json, "num_attention_heads", &text->heads) != THAW_OK)
        thaw_error_clear();
    THAW_CHECK_TO(fabs(epsilon - 1e-12) < 1e-14, THAW_ERR_INPUT,
                  "config.json beside %s has layer_norm_eps %g; only 1e-12 is built", weights,
                  epsilon);
done:
    thaw_json_free(&json);
    return status;
}

thaw_status cli_text_open(const cli_args *args, const char *weights, cli_text *text)
{
    THAW_TRY(read_config(weights, text));
    THAW_TRY(read_vocabulary(args, weights, text));
    THAW_TRY(read_case(args, weights, text));
    return read_pooling(args, weights, text);
}

void cli_text_spec(const cli_text *text, const thaw_model_arch *arch, thaw_model_spec *spec)
{
    spec->T = arch->most_tokens;
    spec->H = 0;
    spec->W = 0;
    spec->vocabulary = text->rows;
    spec->pool = text->pool;
}

thaw_status cli_text_check(const cli_text *text, const char *weights, const thaw_model_arch *arch)
{
    THAW_CHECK(text->heads == 0 || text->heads == arch->heads, THAW_ERR_INPUT,
               "config.json beside %s says %lld heads of attention, but %s has %lld", weights,
               (long long)text->heads, arch->name, (long long)arch->heads);
    return THAW_OK;
}

const char *cli_text_tokenizer(const cli_text *text)
{
    return text->cased ? "wordpiece cased" : "wordpiece";
}

void cli_text_say(const cli_text *text, const thaw_model_spec *spec)
{
    THAW_LOG(
        THAW_INFO, "reads texts of up to %lld tokens by %s, vocabulary of %lld%s; features: %s",
        (long long)spec->T, cli_text_tokenizer(text),
        (long long)(text->pieces > 0 ? text->pieces : text->rows),
        text->pieces > 0 ? "" : " (not known; name it with --vocab)", thaw_pool_words[text->pool]);
}
