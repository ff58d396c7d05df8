/* Vocabularies in JSON: what they ask for is built, or refused by its name. */
#include "data/bpe_impl.h"

#include <string.h>

#include "thaw/report.h"

#define MOST_BYTES (1 << 26) /* of a file; known ones have half of that */

/* The file a message is about. */
typedef struct source {
    const char *path;
    const thaw_json *root;
} source;

void thaw_recipe_clear(thaw_recipe *r)
{
    thaw_pieces_clear(&r->pieces);
    thaw_str_clear(&r->merges);
    thaw_free(&r->merges_path);
    *r = (thaw_recipe){0};
}

static thaw_status open_json(const char *path, thaw_json **out)
{
    thaw_str text = {0};
    thaw_status status = thaw_file_read_within(path, MOST_BYTES, &text);
    if (status == THAW_OK)
        status = thaw_json_parse(thaw_str_c(&text), text.length, path, out);
    thaw_str_clear(&text);
    return status;
}

static thaw_status in_file(thaw_status status, const char *path)
{
    return status == THAW_OK ? status : thaw_fail_context(status, "%s", path);
}

/* A key that must be as it is built, where the file has it. */
static bool is_null(const source *s, const char *key)
{
    return thaw_json_type_of(thaw_json_find(s->root, key)) == THAW_JSON_NULL;
}

static thaw_status need_word(const source *s, const char *key, const char *wanted)
{
    const char *word = NULL;
    THAW_TRY(in_file(thaw_json_get_string(s->root, key, &word), s->path));
    THAW_CHECK(strcmp(word, wanted) == 0, THAW_ERR_INPUT,
               "%s: \"%s\" is \"%s\"; only \"%s\" is built", s->path, key, word, wanted);
    return THAW_OK;
}

static thaw_status need_null(const source *s, const char *key)
{
    thaw_str found = {0};
    if (is_null(s, key))
        return THAW_OK;
    const thaw_json *there = thaw_json_find(s->root, key);
    const char *type = thaw_json_string_or(there, "type", NULL);
    if (type != NULL)
        thaw_str_add(&found, type);
    else
        thaw_json_compact(there, &found);
    const thaw_status status =
        THAW_FAIL(THAW_ERR_INPUT, "%s: \"%s\" is %.80s, which is not built; only null is", s->path,
                  key, thaw_str_c(&found));
    thaw_str_clear(&found);
    return status;
}

static thaw_status need_bool(const source *s, const char *key, bool wanted)
{
    bool found = wanted;
    if (!is_null(s, key))
        THAW_TRY(in_file(thaw_json_get_bool(s->root, key, &found), s->path));
    THAW_CHECK(found == wanted, THAW_ERR_INPUT, "%s: \"%s\" is %s; only %s is built", s->path, key,
               found ? "true" : "false", wanted ? "true" : "false");
    return THAW_OK;
}

/* ---- Pieces ---- */

/* Names of the pieces in the order of their ids, borrowed from the JSON. */
typedef struct listing {
    const char **names;
    int64_t count, room;
} listing;

static thaw_status list_piece(const source *s, listing *l, const char *name, int64_t id)
{
    THAW_CHECK(id >= 0 && id < l->room, THAW_ERR_INPUT,
               "%s: \"%s\" has the id %lld; %lld pieces have the ids from 0 to %lld", s->path, name,
               (long long)id, (long long)l->room, (long long)l->room - 1);
    THAW_CHECK(strchr(name, '\n') == NULL && strchr(name, '\r') == NULL, THAW_ERR_INPUT,
               "%s: the piece of id %lld has a line end, which is not built", s->path,
               (long long)id);
    THAW_CHECK(l->names[id] == NULL || strcmp(l->names[id], name) == 0, THAW_ERR_INPUT,
               "%s: \"%s\" and \"%s\" have the same id, %lld", s->path, l->names[id], name,
               (long long)id);
    l->count += l->names[id] == NULL;
    l->names[id] = name;
    return THAW_OK;
}

static thaw_status list_vocabulary(const source *s, const thaw_json *vocabulary, listing *l)
{
    for (const thaw_json *item = thaw_json_first(vocabulary); item; item = thaw_json_next(item)) {
        int64_t id = 0;
        const thaw_status status = thaw_json_get_int(item, "", &id);
        if (status != THAW_OK)
            return thaw_fail_context(status, "%s: the id of \"%s\"", s->path, thaw_json_key(item));
        THAW_TRY(list_piece(s, l, thaw_json_key(item), id));
    }
    return THAW_OK;
}

static thaw_status list_added(const source *s, listing *l)
{
    const thaw_json *list = thaw_json_find(s->root, "added_tokens");
    for (const thaw_json *item = thaw_json_first(list); item; item = thaw_json_next(item)) {
        int64_t id = 0;
        const char *name = NULL;
        THAW_TRY(in_file(thaw_json_get_int(item, "id", &id), s->path));
        THAW_TRY(in_file(thaw_json_get_string(item, "content", &name), s->path));
        THAW_TRY(list_piece(s, l, name, id));
    }
    return THAW_OK;
}

/* Added tokens may have pieces of the vocabulary, or follow them. */
static thaw_status read_pieces(const source *s, const thaw_json *vocabulary, thaw_pieces *out)
{
    listing l = {.room = thaw_json_count(vocabulary)};
    thaw_status status = THAW_OK;
    const thaw_json *added = thaw_json_find(s->root, "added_tokens");
    const int64_t words = l.room;
    l.room += thaw_json_count(added);
    THAW_CHECK(words > 0, THAW_ERR_INPUT, "%s: the vocabulary is empty", s->path);
    THAW_TRY_TO(thaw_alloc((void **)&l.names, l.room, sizeof *l.names));
    THAW_TRY_TO(list_vocabulary(s, vocabulary, &l));
    THAW_TRY_TO(list_added(s, &l));
    for (int64_t id = 0; id < l.count; id++) {
        THAW_CHECK_TO(l.names[id] != NULL, THAW_ERR_INPUT,
                      "%s: no piece has the id %lld; %lld pieces have the ids from 0 to %lld",
                      s->path, (long long)id, (long long)l.count, (long long)l.count - 1);
        thaw_str_add(&out->text, l.names[id]);
        thaw_str_add(&out->text, "\n");
    }
    THAW_TRY_TO(thaw_pieces_index(s->path, "id", 0, out));
done:
    thaw_free((void **)&l.names);
    return status;
}

/* ---- BPE ---- */

static thaw_status read_added(const source *s, thaw_recipe *r)
{
    const thaw_json *list = thaw_json_find(s->root, "added_tokens");
    for (const thaw_json *item = thaw_json_first(list); item; item = thaw_json_next(item)) {
        int64_t id = 0;
        bool single = false;
        bool normalized = false;
        thaw_added t = {0};
        THAW_CHECK(r->added_count < THAW_ADDED_MOST, THAW_ERR_INPUT,
                   "%s: more than %d added tokens", s->path, THAW_ADDED_MOST);
        THAW_TRY(in_file(thaw_json_get_int(item, "id", &id), s->path));
        THAW_TRY(in_file(thaw_json_get_bool(item, "single_word", &single), s->path));
        THAW_TRY(in_file(thaw_json_get_bool(item, "lstrip", &t.left), s->path));
        THAW_TRY(in_file(thaw_json_get_bool(item, "rstrip", &t.right), s->path));
        THAW_TRY(in_file(thaw_json_get_bool(item, "normalized", &normalized), s->path));
        THAW_CHECK(!single, THAW_ERR_INPUT,
                   "%s: the added token of id %lld has single_word true, which is not built",
                   s->path, (long long)id);
        t.id = (int32_t)id;
        t.late = normalized;
        r->added[r->added_count++] = t;
    }
    return THAW_OK;
}

/* Either "LEFT RIGHT" or ["LEFT", "RIGHT"]. */
static thaw_status read_merge(const source *s, const thaw_json *item, int64_t number, thaw_str *out)
{
    const bool pair = thaw_json_type_of(item) == THAW_JSON_ARRAY;
    const char *left = NULL;
    const char *right = "";
    thaw_status status = thaw_json_get_string(item, pair ? "0" : "", &left);
    if (status == THAW_OK && pair)
        status = thaw_json_get_string(item, "1", &right);
    if (status != THAW_OK)
        return thaw_fail_context(status, "%s: merge %lld", s->path, (long long)number);
    THAW_CHECK(strpbrk(left, "\r\n") == NULL && strpbrk(right, "\r\n") == NULL, THAW_ERR_INPUT,
               "%s: merge %lld has a line end", s->path, (long long)number);
    thaw_str_printf(out, "%s%s%s\n", left, pair ? " " : "", right);
    return THAW_OK;
}

static thaw_status read_merges(const source *s, thaw_recipe *r)
{
    const thaw_json *list = NULL;
    int64_t number = 0;
    THAW_TRY(in_file(thaw_json_get_array(s->root, "model.merges", &list), s->path));
    r->unit = "merge";
    THAW_TRY(thaw_strdup(&r->merges_path, s->path));
    for (const thaw_json *item = thaw_json_first(list); item; item = thaw_json_next(item))
        THAW_TRY(read_merge(s, item, number++, &r->merges));
    return THAW_OK;
}

/* What a template puts around texts, as "[CLS]:0 A:0 [SEP]:0". */
static thaw_status spell(const source *s, const char *key, thaw_str *out)
{
    const thaw_json *list = NULL;
    THAW_TRY(in_file(thaw_json_get_array(s->root, key, &list), s->path));
    for (const thaw_json *item = thaw_json_first(list); item; item = thaw_json_next(item)) {
        const bool special = thaw_json_find(item, "SpecialToken") != NULL;
        const char *id = NULL;
        int64_t type = 0;
        THAW_TRY(in_file(
            thaw_json_get_string(item, special ? "SpecialToken.id" : "Sequence.id", &id), s->path));
        THAW_TRY(in_file(
            thaw_json_get_int(item, special ? "SpecialToken.type_id" : "Sequence.type_id", &type),
            s->path));
        thaw_str_printf(out, "%s%s:%lld", out->length > 0 ? " " : "", id, (long long)type);
    }
    return THAW_OK;
}

static thaw_status check_template(const source *s, const char *key, const char *wanted)
{
    thaw_str found = {0};
    thaw_status status = spell(s, key, &found);
    if (status == THAW_OK && strcmp(thaw_str_c(&found), wanted) != 0)
        status = THAW_FAIL(THAW_ERR_INPUT, "%s: \"%s\" is %s; only %s is built", s->path, key,
                           thaw_str_c(&found), wanted);
    thaw_str_clear(&found);
    return status;
}

/* "RobertaProcessing" and "BertProcessing" name the two tokens, a template spells everything out. */
static thaw_status check_frame(const source *s, const char *own, const char *const *parts)
{
    const char *type = NULL;
    THAW_TRY(in_file(thaw_json_get_string(s->root, "post_processor.type", &type), s->path));
    if (strcmp(type, "TemplateProcessing") == 0) {
        THAW_TRY(check_template(s, "post_processor.single", parts[2]));
        return check_template(s, "post_processor.pair", parts[3]);
    }
    THAW_TRY(need_word(s, "post_processor.type", own));
    THAW_TRY(need_word(s, "post_processor.cls.0", parts[0]));
    return need_word(s, "post_processor.sep.0", parts[1]);
}

static thaw_status read_bpe(const source *s, thaw_recipe *r)
{
    static const char *const frame[] = {"<s>", "</s>", "<s>:0 A:0 </s>:0",
                                        "<s>:0 A:0 </s>:0 </s>:0 B:0 </s>:0"};
    static const char *const none[] = {"model.continuing_subword_prefix",
                                       "model.end_of_word_suffix"};
    double dropout = 0;
    r->is_bpe = true;
    THAW_TRY(need_null(s, "normalizer"));
    THAW_TRY(need_word(s, "pre_tokenizer.type", "ByteLevel"));
    THAW_TRY(need_bool(s, "pre_tokenizer.use_regex", true));
    THAW_TRY(in_file(
        thaw_json_get_bool(s->root, "pre_tokenizer.add_prefix_space", &r->prefix_space), s->path));
    THAW_TRY(check_frame(s, "RobertaProcessing", frame));
    for (int i = 0; i < 2; i++)
        if (!is_null(s, none[i]))
            THAW_TRY(need_word(s, none[i], ""));
    if (!is_null(s, "model.dropout"))
        THAW_TRY(in_file(thaw_json_get_double(s->root, "model.dropout", &dropout), s->path));
    THAW_CHECK(dropout == 0, THAW_ERR_INPUT, "%s: \"model.dropout\" is %g; only 0 is built",
               s->path, dropout);
    THAW_TRY(need_null(s, "model.unk_token"));
    THAW_TRY(need_bool(s, "model.byte_fallback", false));
    THAW_TRY(need_bool(s, "model.ignore_merges", false));
    THAW_TRY(read_added(s, r));
    return read_merges(s, r);
}

/* ---- WordPiece ---- */

/* The tokens that WordPiece finds in a text are five, of these names. */
static thaw_status check_specials(const source *s)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    const thaw_json *list = thaw_json_find(s->root, "added_tokens");
    for (const thaw_json *item = thaw_json_first(list); item; item = thaw_json_next(item)) {
        const char *name = NULL;
        bool known = false;
        THAW_TRY(in_file(thaw_json_get_string(item, "content", &name), s->path));
        for (int i = 0; i < 5; i++)
            known = known || strcmp(names[i], name) == 0;
        THAW_CHECK(known, THAW_ERR_INPUT,
                   "%s: the added token \"%s\" is not built; of WordPiece [PAD], [UNK], [CLS], "
                   "[SEP] and [MASK] are",
                   s->path, name);
    }
    return THAW_OK;
}

static thaw_status read_wordpiece(const source *s, thaw_recipe *r)
{
    static const char *const frame[] = {"[CLS]", "[SEP]", "[CLS]:0 A:0 [SEP]:0",
                                        "[CLS]:0 A:0 [SEP]:0 B:1 [SEP]:1"};
    bool lower = true;
    int64_t longest = 100;
    THAW_TRY(need_word(s, "normalizer.type", "BertNormalizer"));
    THAW_TRY(need_word(s, "pre_tokenizer.type", "BertPreTokenizer"));
    THAW_TRY(need_word(s, "model.unk_token", "[UNK]"));
    THAW_TRY(need_word(s, "model.continuing_subword_prefix", "##"));
    if (!is_null(s, "model.max_input_chars_per_word"))
        THAW_TRY(in_file(thaw_json_get_int(s->root, "model.max_input_chars_per_word", &longest),
                         s->path));
    THAW_CHECK(longest == 100, THAW_ERR_INPUT,
               "%s: \"model.max_input_chars_per_word\" is %lld; only 100 is built", s->path,
               (long long)longest);
    THAW_TRY(need_bool(s, "normalizer.clean_text", true));
    THAW_TRY(need_bool(s, "normalizer.handle_chinese_chars", true));
    THAW_TRY(in_file(thaw_json_get_bool(s->root, "normalizer.lowercase", &lower), s->path));
    THAW_TRY(need_bool(s, "normalizer.strip_accents", lower));
    THAW_TRY(check_frame(s, "BertProcessing", frame));
    r->cased = !lower;
    return check_specials(s);
}

/* ---- Files ---- */

static thaw_status read_tokenizer(const source *s, thaw_recipe *r)
{
    const char *type = NULL;
    const thaw_json *vocabulary = NULL;
    THAW_TRY(in_file(thaw_json_get_string(s->root, "model.type", &type), s->path));
    THAW_CHECK(strcmp(type, "BPE") == 0 || strcmp(type, "WordPiece") == 0, THAW_ERR_INPUT,
               "%s: \"model.type\" is \"%s\"; BPE and WordPiece are built", s->path, type);
    THAW_TRY(in_file(thaw_json_get_object(s->root, "model.vocab", &vocabulary), s->path));
    THAW_TRY(read_pieces(s, vocabulary, &r->pieces));
    return strcmp(type, "BPE") == 0 ? read_bpe(s, r) : read_wordpiece(s, r);
}

/* "dir/vocab.json" to "dir/<name>". */
static void beside(const char *path, const char *name, thaw_str *out)
{
    thaw_str_reset(out);
    thaw_str_add_bytes(out, path, strlen(path) - strlen("vocab.json"));
    thaw_str_add(out, name);
}

static thaw_status read_prefix(const char *path, thaw_recipe *r)
{
    thaw_str file = {0};
    thaw_json *json = NULL;
    thaw_status status = THAW_OK;
    beside(path, "tokenizer_config.json", &file);
    if (!thaw_path_exists(thaw_str_c(&file)))
        goto done;
    THAW_TRY_TO(open_json(thaw_str_c(&file), &json));
    if (thaw_json_type_of(thaw_json_find(json, "add_prefix_space")) != THAW_JSON_NULL)
        status = in_file(thaw_json_get_bool(json, "add_prefix_space", &r->prefix_space),
                         thaw_str_c(&file));
done:
    thaw_json_free(&json);
    thaw_str_clear(&file);
    return status;
}

/* Which tokens are found in a text is RobertaTokenizer's choice, not the file's. */
static thaw_status read_vocabulary(const source *s, thaw_recipe *r)
{
    static const char *const names[] = {"<s>", "</s>", "<unk>", "<pad>", "<mask>"};
    thaw_str file = {0};
    thaw_status status = THAW_OK;
    THAW_CHECK(thaw_ends_with(s->path, "vocab.json"), THAW_ERR_INPUT,
               "%s has no \"model\"; a tokenizer.json is wanted, or a vocab.json with merges.txt "
               "beside it",
               s->path);
    r->is_bpe = true;
    THAW_TRY_TO(read_pieces(s, s->root, &r->pieces));
    for (int i = 0; i < 5; i++) {
        const int32_t id = thaw_pieces_find(&r->pieces, names[i], strlen(names[i]));
        if (id >= 0)
            r->added[r->added_count++] = (thaw_added){.id = id};
    }
    beside(s->path, "merges.txt", &file);
    r->unit = "line";
    THAW_TRY_TO(thaw_strdup(&r->merges_path, thaw_str_c(&file)));
    THAW_TRY_TO(thaw_file_read_within(thaw_str_c(&file), MOST_BYTES, &r->merges));
    status = read_prefix(s->path, r);
done:
    thaw_str_clear(&file);
    return status;
}

thaw_status thaw_recipe_read(const char *path, thaw_recipe *r)
{
    thaw_json *json = NULL;
    THAW_TRY(open_json(path, &json));
    const source s = {path, json};
    const bool whole = thaw_json_type_of(thaw_json_find(json, "model")) == THAW_JSON_OBJECT;
    const thaw_status status = whole ? read_tokenizer(&s, r) : read_vocabulary(&s, r);
    thaw_json_free(&json);
    return status;
}
