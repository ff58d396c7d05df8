#include "data/texts_impl.h"

#include <string.h>

#include "data/named_table_impl.h"
#include "data/tokenizer_impl.h"

/* Tokens of all rows, one after another: row i has those from begin[i] on, the last `second[i]` of them of type 1. A row that no split takes
 * has none. */
typedef struct texts_state {
    int32_t *ids;
    int64_t count, room;
    int64_t *begin;  /* (rows + 1) */
    int32_t *second; /* (rows) */
    int64_t rows, row_room;
    int64_t T, planes;
    int32_t pad;
} texts_state;

typedef struct columns {
    int64_t text, pair; /* -1: there is none */
    thaw_table named;
} columns;

/* One import. */
typedef struct reader {
    thaw_job *job;
    char separator;
    int64_t source; /* that is being read */
    thaw_tokenizer *tokenizer;
    thaw_tokens tokens; /* of one row */
    int64_t least;      /* tokens of texts that have one each */
    int64_t texts, cut, empty, longest;
} reader;

thaw_status thaw_texts_check(const thaw_import *o)
{
    THAW_CHECK(o->vocab && *o->vocab, THAW_ERR_USAGE,
               "--vocab: name the vocabulary that the network reads texts with, its vocab.txt, "
               "vocab.json or tokenizer.json");
    const int64_t least = o->text_pair && *o->text_pair ? 5 : 3;
    THAW_CHECK(o->tokens >= least, THAW_ERR_USAGE,
               "--tokens %lld: what stands around texts and one token of each need at least %lld",
               (long long)o->tokens, (long long)least);
    return THAW_OK;
}

static thaw_status find_columns(const thaw_job *job, const thaw_csv *csv, columns *c)
{
    const thaw_import *o = job->options;
    c->pair = -1;
    THAW_TRY(thaw_csv_need(csv, o->text && *o->text ? o->text : "text", &c->text));
    if (o->text_pair && *o->text_pair)
        THAW_TRY(thaw_csv_need(csv, o->text_pair, &c->pair));
    return thaw_table_open(&c->named, job, csv);
}

static thaw_status grow(texts_state *state, int64_t tokens)
{
    if (state->rows + 1 >= state->row_room) {
        const int64_t room = state->row_room > 0 ? 2 * state->row_room : 1024;
        THAW_TRY(thaw_realloc(&state->begin, state->row_room, room, sizeof *state->begin));
        THAW_TRY(thaw_realloc(&state->second, state->row_room, room, sizeof *state->second));
        state->row_room = room;
    }
    if (state->count + tokens > state->room) {
        const int64_t room = 2 * state->room + tokens;
        THAW_TRY(thaw_realloc(&state->ids, state->room, room, sizeof *state->ids));
        state->room = room;
    }
    return THAW_OK;
}

static thaw_status keep(texts_state *state, const thaw_tokens *tokens)
{
    int32_t second = 0;
    THAW_TRY(grow(state, tokens->count));
    memcpy(state->ids + state->count, tokens->ids, (size_t)tokens->count * sizeof *state->ids);
    for (int64_t t = 0; tokens->types && t < tokens->count; t++)
        second += tokens->types[t];
    state->second[state->rows++] = second;
    state->count += tokens->count;
    state->begin[state->rows] = state->count;
    return THAW_OK;
}

/* What a walk over a table does with each row. */
typedef thaw_status (*visit)(reader *r, texts_state *state, const char *where, const thaw_csv *csv,
                             const columns *c);

static thaw_status list_row(reader *r, texts_state *state, const char *where, const thaw_csv *csv,
                            const columns *c)
{
    (void)state;
    return thaw_table_add(&c->named, csv, where, &r->job->named);
}

static thaw_status encode_row(reader *r, texts_state *state, const char *where, const thaw_csv *csv,
                              const columns *c)
{
    const char *text = thaw_csv_get(csv, c->text);
    const char *pair = c->pair < 0 ? NULL : thaw_csv_get(csv, c->pair);
    thaw_status status = thaw_tokenizer_encode(r->tokenizer, text, pair, state->T, &r->tokens);
    if (status != THAW_OK)
        return thaw_fail_context(status, "%s", where);
    const int64_t whole = r->tokens.count + r->tokens.cut;
    r->texts++;
    r->cut += r->tokens.cut > 0;
    r->empty += whole < r->least;
    r->longest = whole > r->longest ? whole : r->longest;
    return THAW_OK;
}

static thaw_status read_row(reader *r, texts_state *state, const char *where, const thaw_csv *csv,
                            const columns *c)
{
    const thaw_source *source = &r->job->sources[r->source];
    THAW_CHECK(
        state->rows < source->count, THAW_ERR_INPUT,
        "%s: a row more than there were when the table was read for its labels; it must stay "
        "as it is",
        where);
    r->tokens.count = 0;
    if (r->job->split_of[source->first + state->rows] >= 0)
        THAW_TRY(encode_row(r, state, where, csv, c));
    return keep(state, &r->tokens);
}

static thaw_status walk(reader *r, texts_state *state, visit with)
{
    const char *table = r->job->options->images.items[r->source];
    thaw_csv *csv = NULL;
    columns c = {0};
    thaw_str where = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(
        thaw_csv_open(table, r->separator, r->job->options->quotes == THAW_QUOTES_CSV, &csv));
    THAW_TRY_TO(find_columns(r->job, csv, &c));
    for (bool more = true; more;) {
        THAW_TRY_TO(thaw_csv_next(csv, &more));
        thaw_str_reset(&where);
        thaw_str_printf(&where, "%s:%lld", table, (long long)thaw_csv_line(csv));
        if (more)
            THAW_TRY_TO(with(r, state, thaw_str_c(&where), csv, &c));
    }
done:
    thaw_table_close(&c.named);
    thaw_str_clear(&where);
    thaw_csv_close(&csv);
    return status;
}

static thaw_status list_source(reader *r)
{
    thaw_job *job = r->job;
    thaw_source *source = &job->sources[r->source];
    texts_state *state = NULL;
    source->x = (thaw_array){.kind = job->kind, .dtype = THAW_I32};
    THAW_TRY(thaw_strdup(&source->x.name, job->options->images.items[r->source]));
    THAW_TRY(thaw_alloc(&state, 1, sizeof *state));
    source->x.state = state;
    state->planes = job->sample.dim[0];
    state->T = job->sample.dim[1];
    state->pad = (int32_t)job->text.pad_id;
    THAW_TRY(walk(r, state, list_row));
    source->first = job->N;
    source->count = job->named.count - job->N;
    source->x.shape = thaw_shape_make(4, (int64_t[]){source->count, state->planes, state->T, 1});
    job->N = job->named.count;
    THAW_CHECK(source->count > 0, THAW_ERR_INPUT, "%s: no row after the names of columns",
               source->x.name);
    return THAW_OK;
}

static thaw_status prepare(reader *r)
{
    thaw_job *job = r->job;
    const thaw_import *o = job->options;
    const bool pair = o->text_pair && *o->text_pair;
    THAW_TRY(thaw_tokenizer_open(o->vocab, o->cased != 0, &r->tokenizer));
    const thaw_frame *frame = thaw_tokenizer_frame(r->tokenizer);
    r->least = thaw_frame_least(frame, pair);
    THAW_CHECK(o->tokens >= r->least, THAW_ERR_USAGE,
               "--tokens %lld: what stands around texts and one token of each need at least %lld",
               (long long)o->tokens, (long long)r->least);
    THAW_TRY(thaw_alloc(&r->tokens.ids, o->tokens, sizeof *r->tokens.ids));
    if (pair && frame->typed)
        THAW_TRY(thaw_alloc(&r->tokens.types, o->tokens, sizeof *r->tokens.types));
    return THAW_OK;
}

static void clear_reader(reader *r)
{
    thaw_free(&r->tokens.types);
    thaw_free(&r->tokens.ids);
    thaw_tokenizer_free(&r->tokenizer);
}

static thaw_status describe(const reader *r)
{
    thaw_job *job = r->job;
    const thaw_import *o = job->options;
    thaw_vocabulary about;
    char hex[THAW_DIGEST_HEX];
    job->dtype = THAW_I32;
    job->sample = thaw_shape_make(3, (int64_t[]){r->tokens.types ? 2 : 1, o->tokens, 1});
    thaw_tokenizer_about(r->tokenizer, &about);
    thaw_digest_hex(about.digest, hex);
    job->text.pieces = about.pieces;
    job->text.pad_id = about.pad_id;
    THAW_TRY(thaw_strdup(&job->text.vocabulary, hex));
    return thaw_strdup(&job->text.tokenizer, about.tokenizer);
}

static void say(const reader *r)
{
    THAW_LOG(THAW_INFO,
             "%lld texts read; the longest has %lld tokens, %lld are cut to %lld (%.1f%%)",
             (long long)r->texts, (long long)r->longest, (long long)r->cut,
             (long long)r->job->options->tokens, 100 * (double)r->cut / (double)r->texts);
    if (r->empty > 0)
        THAW_LOG(THAW_WARN, "%lld texts have no token; is --text the right column?",
                 (long long)r->empty);
}

thaw_status thaw_texts_list(thaw_job *job, char separator)
{
    reader r = {.job = job, .separator = separator};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(prepare(&r));
    THAW_TRY_TO(describe(&r));
    for (r.source = 0; r.source < job->source_count; r.source++)
        THAW_TRY_TO(list_source(&r));
done:
    clear_reader(&r);
    return status;
}

thaw_status thaw_texts_read(thaw_job *job, char separator)
{
    reader r = {.job = job, .separator = separator};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(prepare(&r));
    for (r.source = 0; r.source < job->source_count; r.source++) {
        const thaw_source *source = &job->sources[r.source];
        texts_state *state = source->x.state;
        THAW_TRY_TO(walk(&r, state, read_row));
        THAW_CHECK_TO(state->rows == source->count, THAW_ERR_INPUT,
                      "%s: %lld rows when it was read for its labels, now %lld; a file is wanted "
                      "that can be read twice and stays as it is, not a pipe",
                      source->x.name, (long long)source->count, (long long)state->rows);
    }
    say(&r);
done:
    clear_reader(&r);
    return status;
}

thaw_status thaw_texts_rows(thaw_array *array, int64_t first, int64_t count, void *out)
{
    const texts_state *state = array->state;
    const int64_t T = state->T;
    for (int64_t i = 0; i < count; i++) {
        int32_t *row = (int32_t *)out + i * state->planes * T;
        const int64_t begin = state->begin[first + i];
        const int64_t n = state->begin[first + i + 1] - begin;
        memset(row, 0, (size_t)(state->planes * T) * sizeof *row);
        memcpy(row, state->ids + begin, (size_t)n * sizeof *row);
        for (int64_t t = n; t < T; t++)
            row[t] = state->pad;
        for (int64_t t = n - state->second[first + i]; state->planes == 2 && t < n; t++)
            row[T + t] = 1;
    }
    return THAW_OK;
}

void thaw_texts_close(thaw_array *array)
{
    texts_state *state = array->state;
    if (state != NULL) {
        thaw_free(&state->ids);
        thaw_free(&state->begin);
        thaw_free(&state->second);
    }
    thaw_free(&array->state);
}
