#include "cli/backbone_text_impl.h"

#include <math.h>
#include <string.h>

static const cli_text_kind bert = {.family = "bert",
                                   .prefix = "bert.",
                                   .heads = "num_attention_heads",
                                   .activation = "hidden_act",
                                   .epsilon = 1e-12};
static const cli_text_kind roberta = {
    .family = "roberta",
    .prefix = "roberta.",
    .heads = "num_attention_heads",
    .activation = "hidden_act",
    .epsilon = 1e-5,
    .pad_id = 1,
    .parts = {{"classifier.dense.", "pooler.dense."}, {"classifier.out_proj.", "classifier."}},
    .own_pooler = true,
    .is_bpe = true,
    .counts_places = true};
static const cli_text_kind distilbert = {.family = "distilbert",
                                         .prefix = "distilbert.",
                                         .heads = "n_heads",
                                         .activation = "activation",
                                         .epsilon = 1e-12,
                                         .own_pooler = true};

/* "encoder.layer.3.output..." is of layer 3; -1: of none. */
static int64_t layer_of(const char *name)
{
    static const char before[] = ".layer.";
    const char *at = strstr(name, before);
    int64_t layer = 0;
    int digits = 0;
    for (at = at == NULL ? "" : at + strlen(before); *at >= '0' && *at <= '9' && digits < 6; at++) {
        layer = 10 * layer + (*at - '0');
        digits++;
    }
    return digits > 0 && *at == '.' ? layer : -1;
}

/* A RoBERTa differs from a BERT in its one type of tokens, a DistilBERT in the names of its attention. */
bool cli_text_recognise(cli_text *text, const char *name, const thaw_shape *shape)
{
    static const char *const poolers[] = {"pooler.dense.weight", "classifier.dense.weight",
                                          "pre_classifier.weight"};
    for (int i = 0; i < 3; i++)
        text->has_pooler = text->has_pooler || thaw_ends_with(name, poolers[i]);
    if (text->kind == NULL)
        text->kind = &bert;
    if (thaw_ends_with(name, "attention.q_lin.weight"))
        text->kind = &distilbert;
    if (thaw_ends_with(name, "token_type_embeddings.weight") && shape->ndim == 2 &&
        shape->dim[0] == 1)
        text->kind = &roberta;
    const int64_t layer = layer_of(name);
    text->layers = layer >= text->layers ? layer + 1 : text->layers;
    if (thaw_ends_with(name, "embeddings.position_embeddings.weight") && shape->ndim == 2)
        text->place_rows = shape->dim[0];
    if (!thaw_ends_with(name, "embeddings.word_embeddings.weight") || shape->ndim != 2)
        return false;
    text->rows = shape->dim[0];
    text->width = shape->dim[1];
    return true;
}

bool cli_text_takes_head(const cli_text *text)
{
    return !text->kind->own_pooler || text->pool == THAW_POOL_POOLER;
}

bool cli_text_name(const cli_text *text, const char *theirs, char *out, size_t bytes)
{
    /* Weights from TensorFlow's days call a norm's parts so. */
    static const char *const old[][2] = {{"LayerNorm.gamma", "LayerNorm.weight"},
                                         {"LayerNorm.beta", "LayerNorm.bias"}};
    thaw_str name = {0};
    const cli_text_kind *kind = text->kind;
    const char *rest = theirs + (thaw_starts_with(theirs, kind->prefix) ? strlen(kind->prefix) : 0);
    for (int i = 0; i < 2; i++) {
        if (kind->parts[i][0] == NULL || !thaw_starts_with(rest, kind->parts[i][0]))
            continue;
        thaw_str_add(&name, kind->parts[i][1]);
        rest += strlen(kind->parts[i][0]);
        break;
    }
    thaw_str_add(&name, rest);
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

bool cli_beside(const char *weights, const char *name, thaw_str *path)
{
    const char *slash = strrchr(weights, '/');
    thaw_str_reset(path);
    if (slash != NULL)
        thaw_str_add_bytes(path, weights, (size_t)(slash - weights) + 1);
    thaw_str_add(path, name);
    return thaw_path_exists(thaw_str_c(path));
}

thaw_status cli_read_beside(const char *weights, const char *name, thaw_json **out)
{
    thaw_str path = {0};
    const thaw_status status =
        cli_beside(weights, name, &path) ? thaw_json_read(thaw_str_c(&path), out) : THAW_OK;
    thaw_str_clear(&path);
    return status;
}

thaw_status cli_bool_beside(const thaw_json *json, const char *file, const char *weights,
                            const char *key, bool *out)
{
    if (thaw_json_type_of(thaw_json_find(json, key)) == THAW_JSON_NULL)
        return THAW_OK;
    const thaw_status status = thaw_json_get_bool(json, key, out);
    return status == THAW_OK ? status : thaw_fail_context(status, "%s beside %s", file, weights);
}

/* Case and accents go together in the tokenizer that is built, and every Chinese character is a word. */
static thaw_status check_tokenizer(const thaw_json *json, const char *weights, bool given,
                                   bool *cased)
{
    static const char file[] = "tokenizer_config.json";
    bool lower = !*cased;
    bool chinese = true;
    THAW_TRY(cli_bool_beside(json, file, weights, "do_lower_case", &lower));
    if (!given)
        *cased = !lower;
    bool strip = !*cased;
    THAW_TRY(cli_bool_beside(json, file, weights, "strip_accents", &strip));
    THAW_TRY(cli_bool_beside(json, file, weights, "tokenize_chinese_chars", &chinese));
    THAW_CHECK(strip == !*cased, THAW_ERR_INPUT,
               "%s beside %s has strip_accents %s for a tokenizer that %s case; accents and case "
               "are kept or dropped together here",
               file, weights, strip ? "true" : "false", *cased ? "keeps" : "drops");
    THAW_CHECK(chinese, THAW_ERR_INPUT,
               "%s beside %s has tokenize_chinese_chars false; only true is built", file, weights);
    return THAW_OK;
}

static thaw_status read_case(const cli_args *args, const char *weights, cli_text *text)
{
    thaw_json *json = NULL;
    text->cased = cli_flag(args, "cased");
    THAW_TRY(cli_read_beside(weights, "tokenizer_config.json", &json));
    const thaw_status status =
        json == NULL ? THAW_OK : check_tokenizer(json, weights, text->cased, &text->cased);
    thaw_json_free(&json);
    return status;
}

/* The files that a vocabulary may be in, the plain ones first; false when there is none. */
static bool find_vocabulary(const cli_args *args, const char *weights, thaw_str *path)
{
    static const char *const names[] = {"vocab.txt", "vocab.json", "tokenizer.json"};
    const char *given = cli_value(args, "vocab");
    thaw_str_reset(path);
    if (given != NULL) {
        thaw_str_add(path, given);
        return true;
    }
    for (int i = 0; i < 3; i++)
        if (cli_beside(weights, names[i], path))
            return true;
    return false;
}

static thaw_status read_vocabulary(const cli_args *args, const char *weights, cli_text *text)
{
    thaw_str path = {0};
    thaw_vocabulary about;
    thaw_status status = THAW_OK;
    text->cased = cli_flag(args, "cased");
    if (!find_vocabulary(args, weights, &path)) {
        status = text->kind->is_bpe ? THAW_OK : read_case(args, weights, text);
        goto done;
    }
    if (!thaw_ends_with(thaw_str_c(&path), ".json"))
        THAW_TRY_TO(read_case(args, weights, text));
    THAW_TRY_TO(thaw_vocabulary_read(thaw_str_c(&path), text->cased, &about));
    THAW_CHECK_TO(about.pad_id == text->kind->pad_id, THAW_ERR_INPUT,
                  "%s pads texts with the token %lld, but a %s knows padding by %lld; they do not "
                  "belong together",
                  thaw_str_c(&path), (long long)about.pad_id, text->kind->family,
                  (long long)text->kind->pad_id);
    THAW_CHECK_TO(about.pieces <= text->rows, THAW_ERR_INPUT,
                  "%s has %lld pieces, but the table of tokens in %s has %lld rows; they do not "
                  "belong together",
                  thaw_str_c(&path), (long long)about.pieces, weights, (long long)text->rows);
    text->pieces = about.pieces;
    text->tokenizer = about.tokenizer;
    thaw_digest_hex(about.digest, text->vocabulary);
done:
    thaw_str_clear(&path);
    return status;
}

/* As sentence-transformers keeps it; its other ways of pooling are not built here. */
static thaw_status pooling_of(const thaw_json *json, const char *weights, int *out)
{
    static const char file[] = "1_Pooling/config.json";
    static const char *const built[] = {"pooling_mode_cls_token", "pooling_mode_mean_tokens"};
    bool on[2] = {false, false};
    for (int i = 0; i < 2; i++)
        THAW_TRY(cli_bool_beside(json, file, weights, built[i], &on[i]));
    for (const thaw_json *item = thaw_json_first(json); item; item = thaw_json_next(item)) {
        const char *key = thaw_json_key(item);
        const bool other = key != NULL && thaw_starts_with(key, "pooling_mode_") &&
                           strcmp(key, built[0]) != 0 && strcmp(key, built[1]) != 0;
        bool more = false;
        if (other)
            THAW_TRY(cli_bool_beside(json, file, weights, key, &more));
        THAW_CHECK(!more, THAW_ERR_INPUT,
                   "%s beside %s has %s true, which is not built; say --pool class, mean or pooler",
                   file, weights, key);
    }
    THAW_CHECK(on[0] != on[1], THAW_ERR_INPUT,
               "%s beside %s asks for %s; say --pool class, mean or pooler", file, weights,
               on[0] ? "both the first token and the mean"
                     : "neither the first token nor the mean");
    *out = on[1] ? THAW_POOL_MEAN : THAW_POOL_CLASS;
    return THAW_OK;
}

/* A sentence encoder may end in a linear layer, without which its features are others. Scaling to length 1 loses what a head can use. */
static thaw_status check_modules(const char *weights)
{
    thaw_json *json = NULL;
    const char *type = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(cli_read_beside(weights, "modules.json", &json));
    for (const thaw_json *item = thaw_json_first(json); item; item = thaw_json_next(item)) {
        status = thaw_json_get_string(item, "type", &type);
        if (status != THAW_OK) {
            status = thaw_fail_context(status, "modules.json beside %s", weights);
            goto done;
        }
        THAW_CHECK_TO(!thaw_ends_with(type, ".Dense"), THAW_ERR_INPUT,
                      "modules.json beside %s has %s, which is not built; say --pool class, mean "
                      "or pooler for features without it",
                      weights, type);
        if (thaw_ends_with(type, ".Normalize"))
            THAW_LOG(THAW_INFO,
                     "modules.json beside %s scales features to length 1; they are left as they "
                     "are for the head",
                     weights);
    }
done:
    thaw_json_free(&json);
    return status;
}

static thaw_status read_pooling(const cli_args *args, const char *weights, cli_text *text)
{
    const char *given = cli_value(args, "pool");
    thaw_json *json = NULL;
    thaw_status status = THAW_OK;
    text->pool = text->has_pooler ? THAW_POOL_POOLER : THAW_POOL_CLASS;
    if (given == NULL && text->said_pool != NULL) {
        THAW_CHECK(thaw_pool_parse(text->said_pool, &text->pool) && text->pool != THAW_POOL_AUTO &&
                       (text->pool != THAW_POOL_POOLER || text->has_pooler),
                   THAW_ERR_INPUT,
                   "%s says pool \"%s\" in its metadata, which it cannot have; say --pool class, "
                   "mean or pooler",
                   weights, text->said_pool);
        return THAW_OK;
    }
    THAW_CHECK(given == NULL ||
                   (thaw_pool_parse(given, &text->pool) && text->pool != THAW_POOL_AUTO),
               THAW_ERR_USAGE, "--pool %s: class, mean or pooler is wanted", given);
    THAW_CHECK(text->pool != THAW_POOL_POOLER || text->has_pooler, THAW_ERR_USAGE,
               "--pool pooler: %s has no pooler; take class or mean", weights);
    if (given != NULL)
        return THAW_OK;
    THAW_TRY(check_modules(weights));
    THAW_TRY(cli_read_beside(weights, "1_Pooling/config.json", &json));
    if (json != NULL)
        status = pooling_of(json, weights, &text->pool);
    thaw_json_free(&json);
    return status;
}

static thaw_status check_word(const thaw_json *json, const char *weights, const char *key,
                              const char *wanted)
{
    const char *word = NULL;
    if (thaw_json_type_of(thaw_json_find(json, key)) == THAW_JSON_NULL)
        return THAW_OK; /* then it is BERT's own */
    const thaw_status status = thaw_json_get_string(json, key, &word);
    if (status != THAW_OK)
        return thaw_fail_context(status, "config.json beside %s", weights);
    THAW_CHECK(strcmp(word, wanted) == 0, THAW_ERR_INPUT,
               "config.json beside %s has %s \"%s\"; only \"%s\" is built", weights, key, word,
               wanted);
    return THAW_OK;
}

/* What weights do not show must be as it is built. */
static thaw_status check_numbers(const thaw_json *json, const char *weights, cli_text *text)
{
    const cli_text_kind *kind = text->kind;
    double epsilon = kind->epsilon;
    int64_t pad_id = kind->pad_id;
    thaw_status status = THAW_OK;
    if (thaw_json_find(json, "layer_norm_eps") != NULL)
        status = thaw_json_get_double(json, "layer_norm_eps", &epsilon);
    if (status == THAW_OK &&
        thaw_json_type_of(thaw_json_find(json, "pad_token_id")) != THAW_JSON_NULL)
        status = thaw_json_get_int(json, "pad_token_id", &pad_id);
    if (status == THAW_OK && thaw_json_find(json, kind->heads) != NULL)
        status = thaw_json_get_int(json, kind->heads, &text->heads);
    if (status != THAW_OK)
        return thaw_fail_context(status, "config.json beside %s", weights);
    THAW_CHECK(fabs(epsilon - kind->epsilon) < 1e-2 * kind->epsilon, THAW_ERR_INPUT,
               "config.json beside %s has layer_norm_eps %g; only %g is built", weights, epsilon,
               kind->epsilon);
    THAW_CHECK(pad_id == kind->pad_id, THAW_ERR_INPUT,
               "config.json beside %s has pad_token_id %lld; only %lld is built", weights,
               (long long)pad_id, (long long)kind->pad_id);
    return THAW_OK;
}

/* The rows are all that is taken; a file that says others is not the weights'. */
static thaw_status check_places(const thaw_json *json, const char *weights, const cli_text *text)
{
    static const char key[] = "max_position_embeddings";
    int64_t rows = text->place_rows;
    if (rows == 0 || thaw_json_type_of(thaw_json_find(json, key)) == THAW_JSON_NULL)
        return THAW_OK;
    const thaw_status status = thaw_json_get_int(json, key, &rows);
    if (status != THAW_OK)
        return thaw_fail_context(status, "config.json beside %s", weights);
    THAW_CHECK(rows == text->place_rows, THAW_ERR_INPUT,
               "config.json beside %s has %s %lld, but the table of places in the weights has %lld "
               "rows; they do not belong together",
               weights, key, (long long)rows, (long long)text->place_rows);
    return THAW_OK;
}

static thaw_status read_config(const char *weights, cli_text *text)
{
    thaw_json *json = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(cli_read_beside(weights, "config.json", &json));
    if (json == NULL)
        goto done;
    THAW_TRY_TO(check_word(json, weights, "model_type", text->kind->family));
    THAW_TRY_TO(check_word(json, weights, text->kind->activation, "gelu"));
    THAW_TRY_TO(check_word(json, weights, "position_embedding_type", "absolute"));
    THAW_TRY_TO(check_places(json, weights, text));
    status = check_numbers(json, weights, text);
done:
    thaw_json_free(&json);
    return status;
}

thaw_status cli_text_open(const cli_args *args, const char *weights, cli_text *text)
{
    THAW_TRY(read_config(weights, text));
    THAW_TRY(read_vocabulary(args, weights, text));
    return read_pooling(args, weights, text);
}

/* A RoBERTa's first rows, up to that of padding, are no place of a token. */
void cli_text_spec(const cli_text *text, const thaw_model_arch *arch, thaw_model_spec *spec)
{
    const int64_t skipped = text->kind->counts_places ? text->kind->pad_id + 1 : 0;
    spec->places = arch->most_tokens;
    if (text->place_rows > skipped)
        spec->places = text->place_rows - skipped;
    spec->T = spec->places;
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
    if (text->tokenizer != NULL)
        return text->tokenizer;
    if (text->kind->is_bpe)
        return NULL;
    return text->cased ? "wordpiece cased" : "wordpiece";
}

void cli_text_say(const cli_text *text, const thaw_model_spec *spec)
{
    THAW_LOG(
        THAW_INFO, "reads texts of up to %lld tokens by %s, vocabulary of %lld%s; features: %s",
        (long long)spec->T,
        cli_text_tokenizer(text) ? cli_text_tokenizer(text) : "a tokenizer that is not known",
        (long long)(text->pieces > 0 ? text->pieces : text->rows),
        text->pieces > 0 ? "" : " (not known; name it with --vocab)", thaw_pool_words[text->pool]);
}
